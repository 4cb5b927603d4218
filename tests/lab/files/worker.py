"""The shop's worker: each second one order from Redis into PostgreSQL; an error costs one round."""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import psycopg2
import redis

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("worker")

DATABASE_URL = os.environ["DATABASE_URL"]
# A statement whose server vanishes in the middle fails after seconds, not after the kernel's quarter of an hour.
PATIENCE = {"connect_timeout": 2, "tcp_user_timeout": 2000, "keepalives_idle": 1, "keepalives_interval": 1}
CATALOGUE_ITEMS = int(os.environ.get("CATALOGUE_ITEMS", "1000"))
HEARTBEAT = Path("/tmp/heartbeat")

queue = redis.Redis.from_url(os.environ["REDIS_URL"], socket_connect_timeout=1, socket_timeout=1)


def store(order: str) -> None:
    connection = psycopg2.connect(DATABASE_URL, **PATIENCE)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO orders (content) VALUES (%s || repeat('.', 1900))", (order,))
            cursor.execute("DELETE FROM orders WHERE at < now() - interval '10 minutes'")
            cursor.execute("DELETE FROM visits WHERE at < now() - interval '10 minutes'")
    finally:
        connection.close()


def work(number: int) -> None:
    queue.lpush("orders", json.dumps({"order": number, "items": ["tea"]}))
    order = queue.rpop("orders")
    if order:
        store(order.decode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
log.info("loading a catalogue of %d items", CATALOGUE_ITEMS)
catalogue = [f"item {number}" for number in range(CATALOGUE_ITEMS)]
log.info("waiting for orders")
number = 0
while True:
    number += 1
    try:
        work(number)
        HEARTBEAT.write_text(f"order {number}\n")
        log.info("order %d stored", number)
    except Exception:
        log.exception("order %d failed", number)
    time.sleep(1)
