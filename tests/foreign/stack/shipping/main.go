// Shipping: quotes from the carrier outside, labels for orders.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

type rates struct {
	Base  float64            `json:"base"`
	Zones map[string]float64 `json:"zones"`
}

func must(name string) string {
	value := os.Getenv(name)
	if value == "" {
		log.Fatalf("environment variable %s is required", name)
	}
	return value
}

func get(client *http.Client, address string, into interface{}) error {
	answer, err := client.Get(address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != 200 {
		return fmt.Errorf("GET %s: status %d: %.120q", address, answer.StatusCode, body)
	}
	return json.Unmarshal(body, into)
}

func main() {
	carrier, orders := must("CARRIER_URL"), must("ORDERS_URL")
	proxy, err := url.Parse(must("EGRESS_PROXY"))
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(must("CA_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatalf("no certificate in %s", os.Getenv("CA_FILE"))
	}
	outside := &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
	inside := &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}

	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	http.HandleFunc("/quote", func(w http.ResponseWriter, r *http.Request) {
		weight, _ := strconv.ParseFloat(r.URL.Query().Get("weight"), 64)
		var found rates
		if err := get(outside, carrier+"/rates", &found); err != nil {
			log.Printf("quote: %v", err)
			http.Error(w, "no rates", http.StatusBadGateway)
			return
		}
		found.Zones["home"] += found.Base * weight
		json.NewEncoder(w).Encode(map[string]float64{"cost": found.Zones["home"]})
	})
	http.HandleFunc("/label/", func(w http.ResponseWriter, r *http.Request) {
		var order map[string]interface{}
		if err := get(inside, orders+"/orders/"+r.URL.Path[len("/label/"):], &order); err != nil {
			log.Printf("label: %v", err)
			http.Error(w, "no such order", http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, "LABEL %v %v\n", order["id"], order["item"])
	})
	listen := os.Getenv("LISTEN")
	if listen == "" {
		listen = ":9000"
	}
	log.Printf("shipping listens on %s, carrier %s through %s", listen, carrier, proxy.Host)
	log.Fatal(http.ListenAndServe(listen, nil))
}
