"""Accounts: who somebody is, from the directory."""

import logging
import os

from flask import Flask, jsonify
from ldap3 import Connection, Server

logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(levelname)s in %(module)s: %(message)s")
app = Flask("accounts")
server = Server(os.environ["LDAP_URL"], connect_timeout=3)
BASE = os.environ.get("LDAP_BASE", "ou=people,dc=orchard,dc=example")


@app.get("/healthz")
def healthz():
    return "ok"


@app.get("/who/<name>")
def who(name):
    bound = Connection(
        server, os.environ["LDAP_BIND_DN"], os.environ["LDAP_BIND_PASSWORD"], auto_bind=True, receive_timeout=4
    )
    with bound:
        bound.search(BASE, f"(uid={name})", attributes=["cn", "mail"])
        if not bound.entries:
            app.logger.warning("no entry for uid=%s below %s: %s", name, BASE, bound.result["description"])
            return jsonify(error="unknown"), 404
        return jsonify(name=str(bound.entries[0].cn), mail=str(bound.entries[0].mail))
