#!/bin/sh
set -e
if [ ! -e /var/lib/ldap/data.mdb ]; then
  slapadd -f /etc/orchard/slapd.conf -l /etc/orchard/seed.ldif
  chown -R openldap /var/lib/ldap
fi
mkdir -p /run/slapd
chown openldap /run/slapd
exec slapd -d stats -f /etc/orchard/slapd.conf -h ldap:/// -u openldap -g openldap
