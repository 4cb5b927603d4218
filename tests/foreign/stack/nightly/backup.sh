#!/bin/sh
# Every minute: the orders' database to the archive.
# shellcheck source=/dev/null
. /run/backup.env
name="orders-$(date +%H%M).tar.gz"
echo "backup: $name starts"
if ! tar -C /data -czf "/tmp/$name" orders.db; then echo "backup: tar failed" >&2; exit 1; fi
if curl -sS -T "/tmp/$name" --user "backup:$FTP_PASSWORD" --connect-timeout 5 --max-time 20 "ftp://$FTP_HOST/"; then
  echo "backup: $name stored, $(stat -c %s "/tmp/$name") bytes"
else
  status=$?
  echo "backup: $name NOT stored, curl ended with $status" >&2
fi
rm -f "/tmp/$name"
