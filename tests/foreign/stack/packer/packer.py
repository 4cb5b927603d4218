"""Packer: takes new orders from NATS, asks for a shipping quote, confirms."""

import asyncio
import json
import logging
import os
import sys

import httpx
import nats

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
logging.getLogger("httpx").setLevel(logging.WARNING)
log = logging.getLogger("packer")


async def main():
    async def failed(error):
        log.error("nats: %r", error)

    connection = await nats.connect(
        os.environ["NATS_URL"], name="packer", error_cb=failed, max_reconnect_attempts=-1, connect_timeout=3
    )
    stream = connection.jetstream()
    orders = await stream.pull_subscribe("orders.new", durable="packer")
    log.info("waiting for orders")
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            try:
                messages = await orders.fetch(10, timeout=5)
            except TimeoutError:  # that of NATS is one, too
                continue
            for message in messages:
                order = json.loads(message.data)
                try:
                    answer = await client.get(os.environ["SHIPPING_URL"] + "/quote", params={"weight": order["weight"]})
                    answer.raise_for_status()
                except httpx.HTTPError as error:
                    log.error("no quote for order %s: %s", order["id"], str(error) or type(error).__name__)
                    await message.nak(delay=5)
                    continue
                await message.ack()
                log.info("order %s packed, shipping costs %s", order["id"], answer.json()["cost"])


asyncio.run(main())
