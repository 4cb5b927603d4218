"""Ingest: measurements from MQTT into InfluxDB, in batches."""

import logging
import os
import sys
import threading
import time

import httpx
import paho.mqtt.client as mqtt

logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s:%(message)s", stream=sys.stdout)
logging.getLogger("httpx").setLevel(logging.WARNING)
log = logging.getLogger("ingest")
batch, lock = [], threading.Lock()


def connected(client, userdata, flags, reason, properties):
    if reason.is_failure:
        log.error("MQTT broker refused the connection: %s", reason)
        return
    log.info("connected to MQTT broker %s", os.environ["MQTT_HOST"])
    client.subscribe("greenhouse/#")


def lost(client, userdata, flags, reason, properties):
    log.warning("disconnected from MQTT broker: %s", reason)


def received(client, userdata, message):
    with lock:
        batch.append(f"{message.topic.replace('/', ',house=', 1)} value={float(message.payload)}")


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "ingest")
client.username_pw_set(os.environ["MQTT_USER"], os.environ["MQTT_PASSWORD"])
client.on_connect, client.on_disconnect, client.on_message = connected, lost, received
client.connect_async(os.environ["MQTT_HOST"], int(os.environ.get("MQTT_PORT", "1883")))
client.loop_start()
http = httpx.Client(
    timeout=4, base_url=os.environ["INFLUX_URL"], auth=(os.environ["INFLUX_USER"], os.environ["INFLUX_PASSWORD"])
)
while True:
    time.sleep(5)
    with lock:
        points, batch[:] = batch[:], []
    if not points:
        log.warning("no measurements for 5 s")
        continue
    try:
        answer = http.post("/write", params={"db": "greenhouse"}, content="\n".join(points))
        if answer.status_code != 204:
            log.error("influxdb refused %d points: %d %s", len(points), answer.status_code, answer.text.strip())
        else:
            log.info("wrote %d points", len(points))
    except httpx.HTTPError as error:
        log.error("cannot write %d points to %s: %s", len(points), http.base_url, error or type(error).__name__)
