#!/bin/sh
set -e
if [ ! -e /var/lib/influxdb/meta/meta.db ]; then
  INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:8086 INFLUXDB_HTTP_AUTH_ENABLED=false influxd run >/dev/null 2>&1 &
  first=$!
  until influx -execute 'SHOW DATABASES' >/dev/null 2>&1; do sleep 0.3; done
  influx -execute "CREATE USER admin WITH PASSWORD '$INFLUX_ADMIN_PASSWORD' WITH ALL PRIVILEGES"
  influx -execute "CREATE DATABASE greenhouse"
  influx -execute "CREATE USER ingest WITH PASSWORD '$INFLUX_INGEST_PASSWORD'"
  influx -execute "GRANT ALL ON greenhouse TO ingest"
  kill $first; wait $first || true
fi
exec influxd run
