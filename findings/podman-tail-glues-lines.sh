#!/usr/bin/env bash
# Podman 4.3.1: `podman logs --tail N` (and the logs of its Docker API) glues a whole line to what follows it if that has no newline
# yet, or came in pieces because it is long. Without --tail the same log is right.
# Expected before it was run: the last N lines, as they are without --tail.
# Output: "all one|two|three" and "tail one|twothree|" (a bar for each newline).
# Needs root, runc and Debian 12: its packages are only unpacked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/debs" "$folder/root/bin" "$folder/tmp"
(cd "$folder/debs" && apt-get download -qq 'podman=4.3.1*' conmon busybox-static libgpgme11 libsubid4 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
install "$folder/packages/bin/busybox" "$folder/root/bin/busybox"
printf '%s\n' '[engine]' 'events_logger="file"' '[network]' "network_config_dir=\"$folder\"" '[containers]' 'default_ulimits=[]' \
    >"$folder/containers.conf"
libraries=("$folder"/packages/usr/lib/*-linux-gnu)
export CONTAINERS_CONF=$folder/containers.conf LD_LIBRARY_PATH=${libraries[0]} TMPDIR=$folder/tmp
podman() {
    "$folder/packages/usr/bin/podman" --log-level error --root "$folder/storage" --runroot "$folder/run" --tmpdir "$folder/tmp" \
        --storage-driver vfs --cgroup-manager cgroupfs --conmon "$folder/packages/usr/bin/conmon" --runtime runc "$@"
}
podman run --name talker --network none --log-driver k8s-file --rootfs "$folder/root" \
    /bin/busybox printf 'one\ntwo\nthree' >/dev/null
echo "all $(podman logs talker | tr '\n' '|')" | tee "$folder/out"
echo "tail $(podman logs --tail 2 talker | tr '\n' '|')" | tee -a "$folder/out"
podman rm talker >/dev/null
diff <(printf 'all one|two|three\ntail one|twothree|\n') "$folder/out"
