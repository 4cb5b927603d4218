"""Mailroom: looks for new mail every few seconds."""

import imaplib
import os
import sys
import time
import traceback

HOST, USER = os.environ["IMAP_HOST"], os.environ["IMAP_USER"]
PORT = int(os.environ.get("IMAP_PORT", "143"))


def poll():
    with imaplib.IMAP4(HOST, PORT, timeout=5) as box:
        box.login(USER, os.environ["IMAP_PASSWORD"])
        status, data = box.select("INBOX")
        if status != "OK":
            raise imaplib.IMAP4.error(f"cannot select INBOX: {data[0]!r}")
        box.append("INBOX", "", time.time(), b"From: form@orchard.example\r\nSubject: hello\r\n\r\nhi\r\n")
        status, data = box.search(None, "ALL")
        sys.stdout.write(f"{len(data[0].split())} messages in INBOX of {USER}\n")


while True:
    try:
        poll()
    except Exception:
        traceback.print_exc()
        if os.environ.get("ON_ERROR") == "exit":
            sys.exit(1)
    time.sleep(6)
