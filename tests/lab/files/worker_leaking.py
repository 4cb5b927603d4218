"""The worker as a release that never lets go: every order leaves an open file and a waiting thread behind."""

import logging
import os
import sys
import threading
import time
from pathlib import Path

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("worker")

log.info("release 2.6.0, waiting for orders")
number = 0
while True:
    number += 1
    try:
        os.open("/srv/worker.py", os.O_RDONLY)
        threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        Path("/tmp/heartbeat").write_text(f"order {number}\n")
        log.info("order %d stored", number)
        time.sleep(0.05)
    except Exception:
        log.exception("order %d failed", number)
        time.sleep(0.5)
