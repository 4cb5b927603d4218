"""Take every connection PostgreSQL has to give to its users and keep them, as a leaking client would."""

import sys
import time

import psycopg2

held = []
while True:
    try:
        held.append(psycopg2.connect("dbname=shop user=app", connect_timeout=2))
    except psycopg2.OperationalError as error:
        sys.stderr.write(f"{len(held)} held: {error}")
        time.sleep(0.2)
