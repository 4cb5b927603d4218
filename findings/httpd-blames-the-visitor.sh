#!/usr/bin/env bash
# Apache httpd 2.4.71 (mod_authnz_ldap): once the password of the server's own account in the directory, AuthLDAPBindPassword, is out
# of date, its error log says of each visitor "Password Mismatch" (AH01617), even of one whom the directory does not know, and answers
# 401. No line at the usual log level names the account that was refused; only slapd's own log does.
# Expected before it was run: a line that says that the server itself cannot log in to the directory, and 500.
# Output: "current 200 401 401 AH01617 ann, AH01618 bob," and "outdated 401 401 401 AH01617 ann, AH01617 ann, AH01617 bob," (the
# server's password; the answers to Ann, to Ann with a wrong password, to Bob, whom nobody knows; what is logged of whom).
# Needs Debian 12: its packages are only unpacked.
set -euo pipefail
folder=$(mktemp -d)
directory=
clean() {
    [[ -z $directory ]] || { kill "$directory" && wait "$directory"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap clean EXIT
chmod 755 "$folder" # httpd's workers give up root
mkdir "$folder/debs" "$folder/db" "$folder/page"
(cd "$folder/debs" && apt-get download -qq 'apache2-bin=2.4.71*' libapr1 libaprutil1 libaprutil1-ldap libjansson4 liblua5.3-0 \
    'slapd=2.5.13*' libldap-2.5-0 libsasl2-2 libodbc2 libltdl7 2>/dev/null)
for package in "$folder"/debs/*.deb; do dpkg-deb -x "$package" "$folder/packages"; done
libraries=("$folder"/packages/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=${libraries[0]} PATH="$folder/packages/usr/sbin:$PATH"
read -r ldap web < <(python3 -c 'import socket
pair = [socket.socket() for _ in range(2)]
for each in pair: each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in pair))')
printf '%s\n' "include $folder/packages/etc/ldap/schema/"{core,cosine,inetorgperson}.schema "modulepath $folder/packages/usr/lib/ldap" \
    'moduleload back_mdb' 'database mdb' 'suffix dc=shop' "directory $folder/db" >"$folder/slapd.conf"
printf '%s\n' 'dn: dc=shop' 'objectClass: domain' 'dc: shop' >"$folder/people.ldif"
for name in server ann; do
    printf '%s\n' '' "dn: uid=$name,dc=shop" 'objectClass: inetOrgPerson' "uid: $name" "cn: $name" "sn: $name" "userPassword: $name-current"
done >>"$folder/people.ldif"
slapadd -q -f "$folder/slapd.conf" -l "$folder/people.ldif"
slapd -f "$folder/slapd.conf" -h "ldap://127.0.0.1:$ldap" -d 0 &
directory=$!
echo hello >"$folder/page/index.html"
for password in current outdated; do
    {
        printf '%s\n' "ServerRoot $folder" 'ServerName localhost' "Listen 127.0.0.1:$web" "PidFile $folder/pid" \
            "ErrorLog $folder/$password.log" "DocumentRoot $folder/page" 'User nobody' 'Group nogroup' 'Mutex pthread'
        for module in mpm_event authn_core authz_core authz_user auth_basic ldap authnz_ldap; do
            echo "LoadModule ${module}_module $folder/packages/usr/lib/apache2/modules/mod_$module.so"
        done
        printf '%s\n' '<Location />' 'AuthType Basic' 'AuthName shop' 'AuthBasicProvider ldap' 'Require valid-user' \
            "AuthLDAPURL ldap://127.0.0.1:$ldap/dc=shop?uid" 'AuthLDAPBindDN uid=server,dc=shop' \
            "AuthLDAPBindPassword server-$password" '</Location>'
    } >"$folder/httpd.conf"
    apache2 -f "$folder/httpd.conf" -X &
    server=$!
    answers=()
    for visitor in ann:ann-current ann:wrong bob:wrong; do
        answers+=("$(curl -s -o "$folder/answer" -w '%{http_code}' --retry 20 --retry-connrefused --retry-delay 1 -u "$visitor" \
            "http://127.0.0.1:$web/index.html")")
    done
    kill "$server"
    wait "$server" || true
    said=$(sed -nE 's/.*(AH0161[78]): user ([a-z]+).*/\1 \2,/p' "$folder/$password.log" | xargs)
    echo "$password ${answers[*]} $said"
    if grep -q 'uid=server' "$folder/$password.log"; then echo "names its own account"; fi
    rm -f "$folder/pid"
done | tee "$folder/out"
diff <(printf '%s\n' 'current 200 401 401 AH01617 ann, AH01618 bob,' 'outdated 401 401 401 AH01617 ann, AH01617 ann, AH01617 bob,') \
    "$folder/out"
