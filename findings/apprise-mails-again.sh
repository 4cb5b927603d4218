#!/usr/bin/env bash
# apprise 2.3.0: a mail whose cc address the server refuses counts as failed as a whole, though it was taken for the addressee; the
# status is FAILURE, not PARTIAL, the log says that sending to the addressee failed, and each `retry` sends it to the addressee anew.
# Expected before it was run: the addressee has it once; PARTIAL, or success with a warning.
# Output: "alone SUCCESS 1", "copied FAILURE 1" and "retried FAILURE 3" (case, status, mails that the addressee got).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check apprise==2.3.0 aiosmtpd==1.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PY' | tee "$folder/out"
import logging, socket
import apprise
from aiosmtpd.controller import Controller

class Office:
    mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == "left@shop.example":
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(envelope.rcpt_tos)
        return "250 OK"

logging.disable(logging.CRITICAL)
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
office = Controller(Office(), hostname="127.0.0.1", port=port)
office.start()
for case, more in (("alone", ""), ("copied", "&cc=left@shop.example"), ("retried", "&cc=left@shop.example&retry=2")):
    teller = apprise.Apprise()
    teller.add(f"mailto://127.0.0.1:{port}/?from=me@shop.example&to=ann@shop.example&mode=insecure&wait=0.1{more}")
    Office.mails.clear()
    status = teller.notify(body="hello").status
    print(case, getattr(status, "name", status), Office.mails.count(["ann@shop.example"]))
office.stop()
PY
diff <(printf 'alone SUCCESS 1\ncopied FAILURE 1\nretried FAILURE 3\n') "$folder/out"
