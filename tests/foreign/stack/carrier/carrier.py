"""The carrier's API, which is outside of the stack."""

import http.server
import json
import os
import sys
import time

STATUS, DELAY = int(os.environ.get("STATUS", "200")), float(os.environ.get("DELAY", "0"))
BODY = os.environ.get("BODY") or json.dumps({"base": 2.5, "zones": {"home": 4.0}})


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(DELAY)
        self.send_response(STATUS)
        if STATUS == 429:
            self.send_header("Retry-After", "3600")
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(BODY.encode())


http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
