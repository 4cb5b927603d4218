"""The worker as a bad release shipped it: a price is missing and the first order ends the program."""

import logging
import sys
from typing import Any

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("worker")

PRICES: dict[str, Any] = {"tea": 4, "cake": None}


def total(items: list[str]) -> int:
    return sum(PRICES[item] for item in items)


log.info("release 2.4.0, waiting for orders")
log.info("order 1 costs %d", total(["tea", "cake"]))
