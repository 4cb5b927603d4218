#!/bin/sh
# A CA of our own and the certificates of edge and orders-tls; one that ended long ago, one of a foreign CA, one of another name.
set -e
cd "$1"
authority() { openssl req -x509 -newkey rsa:2048 -nodes -days 400 -subj "/CN=$2" -keyout "$1.key" -out "$1.crt" 2>/dev/null; }
certificate() { # NAME CA SUBJECT DATES...
  name=$1 ca=$2 subject=$3
  shift 3
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$subject" -keyout "$name.key" -out "$name.csr" 2>/dev/null
  : > index
  printf 'subjectAltName=DNS:%s\n' "$subject" > "$name.ext"
  openssl ca -batch -notext -config ca.conf -keyfile "$ca.key" -cert "$ca.crt" -in "$name.csr" -out "$name.crt" \
    -extfile "$name.ext" "$@" 2>/dev/null
}
cat > ca.conf <<'CONF'
[ca]
default_ca = here
[here]
dir = .
database = index
new_certs_dir = .
default_md = sha256
unique_subject = no
rand_serial = yes
policy = any
[any]
commonName = supplied
CONF
authority ca "Orchard Internal CA"
authority other "Somebody Else CA"
certificate edge ca orchard.example -days 90
certificate orders ca orders -days 90
certificate expired ca orders -startdate 20250101000000Z -enddate 20260101000000Z
certificate edge-expired ca orchard.example -startdate 20250101000000Z -enddate 20260101000000Z
certificate foreign other orders -days 90
certificate renamed ca orders.staging.example -days 90
rm -f ./*.csr ./*.ext ca.conf index* [0-9A-F]*.pem
chmod 644 ./*.key
