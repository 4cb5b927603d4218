"""Orders: a Starlette application on SQLite that tells NATS of each new order."""

import contextlib
import json
import logging
import os

import nats
from sqlalchemy import create_engine, text
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
log = logging.getLogger("orders")
engine = create_engine(os.environ["DATABASE_URL"], connect_args={"timeout": 3})
NATS_URL = os.environ["NATS_URL"]


@contextlib.asynccontextmanager
async def lifespan(app):
    async def failed(error):
        log.error("nats: %r", error)

    async def lost():
        log.warning("nats: disconnected")

    async def back():
        log.info("nats: connected again")

    app.state.nats = await nats.connect(
        NATS_URL,
        name="orders",
        error_cb=failed,
        disconnected_cb=lost,
        reconnected_cb=back,
        max_reconnect_attempts=-1,
        allow_reconnect=True,
        connect_timeout=3,
    )
    app.state.stream = app.state.nats.jetstream(timeout=3)
    with contextlib.suppress(nats.js.errors.BadRequestError):
        await app.state.stream.add_stream(name="orders", subjects=["orders.*"])
    log.info("connected to nats, ready")
    yield
    await app.state.nats.drain()


def query(statement, **values):
    with engine.begin() as connection:
        result = connection.execute(text(statement), values)
        return [dict(row) for row in result.mappings()] if result.returns_rows else result.lastrowid


async def healthz(request):
    return PlainTextResponse("ok")


async def listing(request):
    rows = await run_in_threadpool(query, "SELECT id, item, weight, state FROM orders ORDER BY id DESC LIMIT 20")
    return JSONResponse(rows)


async def create(request):
    order = await request.json()
    number = await run_in_threadpool(
        query,
        "INSERT INTO orders (item, weight, state) VALUES (:item, :weight, 'new')",
        item=order["item"],
        weight=order["weight"],
    )
    await request.app.state.stream.publish("orders.new", json.dumps({"id": number, **order}).encode())
    log.info("order %s accepted", number)
    return JSONResponse({"id": number}, status_code=201)


async def one(request):
    rows = await run_in_threadpool(
        query, "SELECT id, item, weight, state FROM orders WHERE id = :id", id=request.path_params["id"]
    )
    return JSONResponse(rows[0]) if rows else JSONResponse({"error": "no such order"}, status_code=404)


async def stock(request):
    rows = await run_in_threadpool(
        query, "SELECT count(*) AS sold FROM orders WHERE item = :item", item=request.path_params["item"]
    )
    return JSONResponse({"left": 100000 - rows[0]["sold"]})


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/healthz", healthz),
        Route("/orders", listing),
        Route("/orders", create, methods=["POST"]),
        Route("/orders/{id:int}", one),
        Route("/stock/{item}", stock),
    ],
)
