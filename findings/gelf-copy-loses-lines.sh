#!/usr/bin/env bash
# Docker 20.10.24: while the server of a `gelf` log driver over UDP is away, the engine's own copy, which `docker logs` reads,
# lacks every other line: the refusal of one datagram makes the next line fail, and what fails is not copied either. With `syslog`
# over UDP, which looks the same, the copy is whole.
# Expected before it was run: the copy has each line, whatever becomes of what is sent away; that is what it is for.
# Output: "gelf 0 2 4 6 8" and "syslog 0 1 2 3 4 5 6 7 8 9" (driver, the lines of ten that `docker logs` shows).
# Needs root and Debian 12: it runs an engine in a network namespace of its own, from packages that are only unpacked.
set -euo pipefail
folder=$(mktemp -d)
space=finding-$$
engine=
clean() {
    [[ -z $engine ]] || { kill "$engine" && wait "$engine"; } 2>/dev/null || true
    ip netns del "$space" 2>/dev/null || true
    umount "$folder"/data/* 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
mkdir "$folder/debs" "$folder/root"
(cd "$folder/debs" && apt-get download -qq 'docker.io=20.10.24*' containerd runc busybox-static 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
export PATH="$folder/packages/usr/bin:$folder/packages/usr/sbin:$folder/packages/sbin:$PATH" DOCKER_HOST=unix://$folder/docker.sock
ip netns add "$space" && ip netns exec "$space" ip link set lo up
echo '{}' >"$folder/daemon.json"
nsenter --net="/run/netns/$space" dockerd --config-file="$folder/daemon.json" --data-root="$folder/data" --bridge=none \
    --iptables=false --exec-root="$folder/exec" --pidfile="$folder/pid" --host="$DOCKER_HOST" 2>"$folder/log" &
engine=$!
for _ in {1..100}; do
    if docker version >/dev/null 2>&1; then break; fi
    sleep 0.2
done
install -D "$folder/packages/bin/busybox" "$folder/root/bin/busybox"
tar -C "$folder/root" -c . | docker import - finding >/dev/null
for driver in gelf syslog; do
    docker run --name "$driver" --network none --log-driver "$driver" --log-opt "$driver-address=udp://127.0.0.1:9" finding \
        /bin/busybox sh -c 'for i in 0 1 2 3 4 5 6 7 8 9; do echo $i; /bin/busybox sleep 0.2; done' >/dev/null
    echo "$driver" "$(docker logs "$driver" | xargs)"
    docker rm "$driver" >/dev/null
done | tee "$folder/out"
diff <(printf 'gelf 0 2 4 6 8\nsyslog 0 1 2 3 4 5 6 7 8 9\n') "$folder/out"
