#!/bin/sh
(sleep 2; while true; do varnishncsa -t off; sleep 1; done) &
exec varnishd -F -f /etc/varnish/default.vcl -a :6081 -T none -s "malloc,${VARNISH_SIZE:-64m}"
