#!/usr/bin/env bash
# mosquitto_pub 2.0.11: with MQTT 5 and QoS 1 or 2 the broker answers a message that it does not take with a reason code; mosquitto_pub
# prints a warning of it and ends with 0 all the same, so that a script, a cron job or a health check counts it as sent.
# Expected before it was run: another exit code; with MQTT 5 the client knows that its message was refused.
# Output: "open 0 0 kept 1" and "closed 0 0 kept 0" (topic, exit codes with QoS 1 and 2, whether the broker has the retained message).
# Needs Debian 12: its packages are only unpacked.
set -euo pipefail
folder=$(mktemp -d)
broker=
clean() {
    [[ -z $broker ]] || { kill "$broker" && wait "$broker"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
mkdir "$folder/debs"
(cd "$folder/debs" && apt-get download -qq 'mosquitto=2.0.11*' 'mosquitto-clients=2.0.11*' 'libmosquitto1=2.0.11*' libcjson1 libdlt2 \
    libwebsockets17 libev4 libuv1 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
libraries=("$folder"/packages/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=${libraries[0]} PATH="$folder/packages/usr/bin:$folder/packages/usr/sbin:$PATH"
port=$(python3 -c 'import socket; free = socket.socket(); free.bind(("127.0.0.1", 0)); print(free.getsockname()[1])')
printf '%s\n' 'topic readwrite open' 'topic read closed' >"$folder/acl"
chmod 600 "$folder/acl"
printf '%s\n' "listener $port 127.0.0.1" 'allow_anonymous true' "acl_file $folder/acl" "user $(id -un)" >"$folder/mosquitto.conf"
mosquitto -c "$folder/mosquitto.conf" 2>"$folder/log" &
broker=$!
for _ in {1..50}; do
    if mosquitto_pub -p "$port" -t open -m up 2>/dev/null; then break; fi
    sleep 0.1
done
for topic in open closed; do
    codes=()
    for quality in 1 2; do
        code=0
        mosquitto_pub -p "$port" -V mqttv5 -q "$quality" -r -t "$topic" -m hello || code=$?
        codes+=("$code")
    done
    echo "$topic ${codes[*]} kept $(mosquitto_sub -p "$port" -t "$topic" -C 1 -W 1 2>/dev/null | wc -l)"
done | tee "$folder/out"
diff <(printf 'open 0 0 kept 1\nclosed 0 0 kept 0\n') "$folder/out"
