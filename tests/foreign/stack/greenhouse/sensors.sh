#!/bin/sh
# Two houses of sensors.
while true; do
  for house in north south; do
    mosquitto_pub -h "$MQTT_HOST" -p "${MQTT_PORT:-1883}" -u "$MQTT_USER" -P "$MQTT_PASSWORD" -t "greenhouse/$house" -m "2$(($(date +%s) % 10)).5" ||
      echo "$(date -Iseconds) publishing for $house failed with status $?" >&2
  done
  sleep 2
done
