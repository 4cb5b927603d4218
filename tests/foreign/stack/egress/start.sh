#!/bin/sh
mkdir -p /var/log/squid /var/spool/squid
touch /var/log/squid/access.log /var/log/squid/cache.log
chown -R proxy /var/log/squid /var/spool/squid
tail -n0 -F /var/log/squid/access.log /var/log/squid/cache.log 2>/dev/null | grep --line-buffered -v -e '^==>' -e '^$' &
exec squid -N -f /etc/squid/squid.conf
