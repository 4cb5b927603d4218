#!/bin/sh
set -e
touch /run/mosquitto.passwd
mosquitto_passwd -b /run/mosquitto.passwd sensors "$MQTT_PASSWORD"
mosquitto_passwd -b /run/mosquitto.passwd ingest "$MQTT_INGEST_PASSWORD"
chown mosquitto /run/mosquitto.passwd
chown -R mosquitto /data
exec mosquitto -c /etc/mosquitto/mosquitto.conf
