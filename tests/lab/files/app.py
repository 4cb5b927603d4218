"""The shop's web application: every page needs PostgreSQL and Redis, and says in its log why it failed."""

import json
import logging
import os
import signal
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis

logging.basicConfig(
    level=os.environ.get("LOG_LEVEL", "INFO"),
    stream=sys.stderr,
    format="%(asctime)s %(levelname)s %(name)s: %(message)s",
)
log = logging.getLogger("app")

SECRET_KEY = os.environ["SECRET_KEY"]
DATABASE_URL = os.environ["DATABASE_URL"]
# A statement whose server vanishes in the middle fails after seconds, not after the kernel's quarter of an hour.
PATIENCE = {"connect_timeout": 2, "tcp_user_timeout": 2000, "keepalives_idle": 1, "keepalives_interval": 1}
PAGE_DELAY = float(os.environ.get("PAGE_DELAY_SECONDS", "0"))
PAGE_ITEMS = int(os.environ.get("PAGE_ITEMS", "10"))
PAYMENTS_URL = os.environ.get("PAYMENTS_URL")

cache = redis.Redis.from_url(os.environ["REDIS_URL"], socket_connect_timeout=1, socket_timeout=1)


def database(statement: str) -> None:
    connection = psycopg2.connect(DATABASE_URL, **PATIENCE)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def count_visit() -> None:
    database("INSERT INTO visits (session) VALUES (repeat('s', 1900))")  # four fill a page of the disk
    cache.set("last-visit", time.time())


def price_list() -> int:
    # One by one: a long list costs processor time, not memory.
    return sum(len(json.dumps({"item": number, "price": number % 7 + 0.99})) for number in range(PAGE_ITEMS))


def ask_payments() -> None:
    if PAYMENTS_URL:
        try:
            urllib.request.urlopen(PAYMENTS_URL, timeout=1).close()
        except OSError:
            log.error("the payment provider does not answer: %s", PAYMENTS_URL)
            raise


def check_database() -> None:
    database("SELECT 1")


def check_cache() -> None:
    cache.set("health", time.time())


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.health()
        else:
            self.page()

    def page(self) -> None:
        started = time.monotonic()
        try:
            time.sleep(PAGE_DELAY)
            price_list()
            count_visit()
            ask_payments()
        except Exception:
            log.exception("GET %s failed", self.path)
            self.answer(500, {"error": "internal server error"})
            return
        seconds = time.monotonic() - started
        if seconds > 1:
            log.warning("GET %s took %.1f s", self.path, seconds)
        self.answer(200, {"shop": "open"})

    def health(self) -> None:
        for dependency, check in (("postgres", check_database), ("redis", check_cache)):
            try:
                check()
            except Exception as error:
                log.error("health check: %s failed: %s", dependency, str(error).strip())
                self.answer(503, {"status": "failed", "dependency": dependency})
                return
        self.answer(200, {"status": "ok"})

    def answer(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.info("%s %s", self.address_string(), format % args)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = ThreadingHTTPServer(("0.0.0.0", 8000), Page)
log.info("listening on port 8000")
server.serve_forever()
