#!/bin/sh
# Puts the price list into etcd and makes the users. Runs on every deployment.
set -eu
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS="${ETCD_URL}"
set --
if etcdctl --user "root:${ETCD_ROOT_PASSWORD}" user get "${ETCD_USER}" >/dev/null 2>&1; then
  set -- --user "root:${ETCD_ROOT_PASSWORD}"
fi
echo "seeding ${ETCD_URL}"
while read -r id price; do
  etcdctl "$@" put "/price/$id" "$price"
done < "${PRICE_LIST:-/seed/prices.txt}"
if [ $# -eq 0 ]; then
  etcdctl user add "root:${ETCD_ROOT_PASSWORD}"
  etcdctl role add reader
  etcdctl role grant-permission reader --prefix=true read /price/
  etcdctl user add "${ETCD_USER}:${ETCD_PASSWORD}"
  etcdctl user grant-role "${ETCD_USER}" reader
  etcdctl auth enable
fi
echo "seeding done"
