#!/bin/sh
# Health check of the worker: an order was stored in the last seconds.
last=$(test -s /tmp/heartbeat && stat -c %Y /tmp/heartbeat) || { echo "no order stored yet"; exit 1; }
age=$(($(date +%s) - last))
echo "last order stored $age s ago"
test "$age" -lt 4
