"""The HTTP doors: tools, sessions, reports, figures; the only module that imports `starlette`.

No door approves or carries out anything: nothing here can import what changes an engine (a test holds that).
"""

from __future__ import annotations

import asyncio
import contextlib
import html
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from dm_tools import redact
from dm_tools.collect.services import ManifestError, NothingFoundError
from dm_tools.pipe import clock, exits, say
from dm_tools.records import Problem
from dm_tools.serve import api, metrics
from dm_tools.serve.guard import MAX_BODY, Guard, TooLarge
from dm_tools.serve.runs import Busy, Failed, Runs, Wanted
from dm_tools.serve.stack import Stack
from dm_tools.store import kept
from dm_tools.watch import figures

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

THREADS = 16  # tools that work at once; others wait
CALL_SECONDS = 60.0
STATUS = {"bad_arguments": 422, "not_allowed": 403, "unknown_tool": 404, "not_found": 404, "not_in_inventory": 404}
STATUS |= {"busy": 409, "docker_unreachable": 503, "timeout": 504, "internal": 500}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'"
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


class Doors:
    """What the routes lead to. `proofs_dir`: where reports are kept."""

    def __init__(self, stack: Stack, runs: Runs, proofs_dir: Path) -> None:
        self.stack, self.runs, self.proofs_dir = stack, runs, proofs_dir
        self.watched = figures.Kept(proofs_dir)
        self.calls: dict[tuple[str, str], int] = {}
        self._free = asyncio.Semaphore(THREADS)

    async def answer(self, name: str, arguments: dict[str, Any]) -> tuple[Any, dict[str, str] | None]:
        """A tool's output, or the error that came instead."""
        error: dict[str, str] | None = None
        output = None
        try:
            if name in self.stack.tools and self.stack.tools[name].later:
                return self._counted(name, await self.stack.later(name, arguments), None)
            async with self._free, asyncio.timeout(CALL_SECONDS):
                output = await asyncio.to_thread(self.stack.answer, name, arguments)
        except Problem as problem:
            error = {"code": problem.code, "message": problem.message}
        except (ManifestError, NothingFoundError) as failure:
            error = {"code": "no_inventory", "message": str(failure)}
        except TimeoutError:
            error = {"code": "timeout", "message": f"no answer within {CALL_SECONDS:g} s"}
        except Exception as bug:  # of a tool of ours: the door stays open
            say.note(redact.redact(f"internal error: {name[:40]}: {type(bug).__name__}: {bug}"))
            error = {"code": "internal", "message": f"a bug: {type(bug).__name__}"}
        return self._counted(name, output, error)

    def _counted(self, name: str, output: Any, error: dict[str, str] | None) -> tuple[Any, dict[str, str] | None]:
        known = name if name in self.stack.tools else "unknown"
        outcome = error["code"] if error else "done"
        self.calls[known, outcome] = self.calls.get((known, outcome), 0) + 1
        return output, error

    # Routes

    async def healthz(self, request: Request) -> Response:
        """Well, unless a watch of this folder has stopped making rounds and nobody ended it."""
        found = await asyncio.to_thread(figures.status, self.proofs_dir)
        if found and (reason := figures.trouble(found, clock.now())):
            return _json({"ok": False, "reason": reason}, 503)
        return _json({"ok": True})

    async def tools(self, request: Request) -> Response:
        return _json({"tools": [api.listed(tool) for tool in self.stack.tools.values()]})

    async def call(self, request: Request) -> Response:
        arguments = await _object(request)
        name = request.path_params["name"]
        output, error = await self.answer(name, arguments)
        status = STATUS.get(error["code"], 502) if error else 200
        return _json({"tool": name, "output": output, "error": error}, status)

    def session(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """A route that runs a session, and answers with its report or, if asked, stage by stage."""

        async def run(request: Request) -> Response:
            from starlette.responses import RedirectResponse, StreamingResponse

            from_page = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
            try:
                wanted = Wanted() if from_page else msgspec.convert(await _object(request), Wanted)
                wanted.check()
            except (msgspec.ValidationError, ValueError) as wrong:
                return _json(_error("bad_arguments", str(wrong)), 422)
            lines = self.runs.start(name, wanted)
            try:
                first = await anext(lines)
                accepted = request.headers.get("accept", "")
                for kind, form in (("text/event-stream", b"data: %s\n\n"), ("application/x-ndjson", b"%s\n")):
                    if kind in accepted:
                        stream = _streamed(first, lines, form)
                        return StreamingResponse(stream, media_type=kind, headers=HEADERS)
                found = [first] + [line async for line in lines]
            except Busy:
                return _json(_error("busy", "another run is under way; ask again when it has ended"), 409)
            except Failed as failure:
                away = failure.status in (exits.UNREACHABLE, exits.TERMINATED)
                return _json(_error("failed", str(failure)), 503 if away else 500)
            return RedirectResponse("/", 303) if from_page else _json(found[-1]["report"])

        return run

    async def reports(self, request: Request) -> Response:
        return _json({"reports": await asyncio.to_thread(kept.listed, self.proofs_dir)})

    async def report(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        name = request.path_params["name"]
        stem, suffix = (name.removesuffix(".html"), ".html") if name.endswith(".html") else (name, ".json")
        found = kept.path(self.proofs_dir, stem, suffix)
        if found is None:
            return _json(_error("not_found", "there is no such report"), 404)
        kind = "text/html; charset=utf-8" if suffix == ".html" else "application/json"
        return FileResponse(found, media_type=kind, headers=HEADERS)

    async def brief(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        text = kept.brief(self.proofs_dir)
        if text is None:
            return _json(_error("not_found", "there is no run yet"), 404)
        return PlainTextResponse(text, headers=HEADERS)

    async def metrics(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        text = metrics.text(await asyncio.to_thread(kept.listed, self.proofs_dir), self.calls, self.runs)
        if found := await asyncio.to_thread(figures.status, self.proofs_dir):
            text += figures.text(found, await asyncio.to_thread(self.watched.counts))
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4", headers=HEADERS)

    async def openapi(self, request: Request) -> Response:
        return _json(api.document(self.stack.tools.values()))

    async def page(self, request: Request) -> Response:
        from starlette.responses import HTMLResponse

        newest = kept.path(self.proofs_dir, "enhanced", ".html")
        frame = f'<iframe src="/reports/{newest.stem}.html" title="newest report"></iframe>' if newest else ""
        rows = await asyncio.to_thread(kept.listed, self.proofs_dir)
        older = "".join(f'<li><a href="/reports/{row["id"]}">{html.escape(row["id"])}</a></li>' for row in rows[:10])
        text = api.PAGE.format(
            shown=frame or "<p>No report yet.</p>", older=older, busy="disabled" if self.runs.running else ""
        )
        return HTMLResponse(text, headers=HEADERS | {"Content-Security-Policy": POLICY})


def application(doors: Doors, token: str | None, names: frozenset[str], mcp: Any = None) -> Guard:
    """The application behind the guard. `mcp`: the MCP application that answers at /mcp."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as held:
            if mcp is not None:
                await held.enter_async_context(mcp.router.lifespan_context(mcp))
            held.push_async_callback(doors.runs.end)
            yield

    routes = [
        Route("/", doors.page),
        Route("/healthz", doors.healthz),
        Route("/tools", doors.tools),
        Route("/tools/{name}", doors.call, methods=["POST"]),
        Route("/start-stack-probe", doors.session("diagnose"), methods=["POST"]),
        Route("/analyze-and-propose-fixes", doors.session("diagnose-enhanced"), methods=["POST"]),
        Route("/reports", doors.reports),
        Route("/reports/{name}", doors.report),
        Route("/brief", doors.brief),
        Route("/metrics", doors.metrics),
        Route("/openapi.json", doors.openapi),
        *(mcp.routes if mcp is not None else []),  # not mounted: what is mounted at / takes other methods of ours
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan, exception_handlers=_handlers()), token, names)


def _json(value: Any, status: int = 200) -> Response:
    from starlette.responses import Response

    return Response(orjson.dumps(value), status, HEADERS, "application/json")


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def _object(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body; empty without one. Raises HTTPException."""
    from starlette.exceptions import HTTPException

    try:
        body = await request.body()
        found = orjson.loads(body) if body.strip() else {}
    except ValueError:
        raise HTTPException(400, "the body is no JSON") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the body is no JSON object")
    return found


async def _streamed(first: dict[str, Any], lines: AsyncGenerator[dict[str, Any]], form: bytes) -> AsyncIterator[bytes]:
    try:
        yield form % orjson.dumps(first)
        async for line in lines:
            yield form % orjson.dumps(line)
    except Failed as failure:
        yield form % orjson.dumps(_error("failed", str(failure)))
    finally:
        await lines.aclose()  # nobody reads any more: the run ends


def _handlers() -> Any:
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    async def refused(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        answer = _json(_error(str(failure.status_code), failure.detail), failure.status_code)
        answer.headers.update(failure.headers or {})  # Allow
        return answer

    async def too_large(request: Request, failure: Exception) -> Response:
        return _json(_error("too_large", f"a body has at most {MAX_BODY >> 20} MiB"), 413)

    async def gone(request: Request, failure: Exception) -> Response:
        return _json(_error("gone", "the request did not arrive"), 400)  # nobody is there to read it

    async def broken(request: Request, failure: Exception) -> Response:
        return _json(_error("internal", "a bug; the server has said more on its standard error"), 500)

    return {HTTPException: refused, TooLarge: too_large, ClientDisconnect: gone, Exception: broken}
