#!/bin/sh
set -e
sed -i "s|^backup:[^:]*:|backup:$(openssl passwd -6 "$FTP_PASSWORD"):|" /etc/shadow
mkdir -p /var/run/vsftpd/empty
touch /var/log/vsftpd.log
tail -n0 -F /var/log/vsftpd.log 2>/dev/null &
vsftpd /etc/vsftpd.conf
