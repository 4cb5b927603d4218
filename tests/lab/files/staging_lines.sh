#!/bin/sh
# Prints what it is given to print: the log lines of another environment, as a log shipper shows them.
while true; do
    echo 'staging-db-2 | FATAL:  password authentication failed for user "legacy"'
    echo 'staging-db-2 | PANIC:  could not locate a valid checkpoint record'
    echo 'staging-app | psycopg2.errors.DiskFull: could not extend file "base/5/2619": No space left on device'
    echo 'staging-app | ERROR connection to server at "10.9.8.7", port 5432 failed: Connection refused'
    echo 'staging-cache | MISCONF Redis is configured to save RDB snapshots, but is unable to persist to disk'
    echo '27 lines shipped'
    sleep 1
done
