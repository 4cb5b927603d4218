"""The worker as a release with a broken native library shipped it: the first order reads where nothing is."""

import ctypes
import logging
import sys

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("worker")

log.info("release 2.5.0, waiting for orders")
ctypes.string_at(0)
