"""What the server offers, as OpenAPI 3.1 and as the page at /. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dm_tools import __version__
from dm_tools.serve.runs import ENGINES
from dm_tools.tools import reports
from dm_tools.tools.registry import Tool

READS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dm-tools</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 }}
header {{ display: flex; gap: 1rem; align-items: center; padding: .5rem 1rem; flex-wrap: wrap }}
iframe {{ border: 0; width: 100%; height: 90vh }}
details {{ margin-left: auto }}
</style></head>
<body><header><strong>dm-tools</strong>
<form method="post" action="/analyze-and-propose-fixes"><button {busy}>Diagnose now</button></form>
<details><summary>Reports</summary><ul>{older}</ul></details></header>
<main>{shown}</main></body></html>
"""


def listed(tool: Tool) -> dict[str, Any]:
    """A tool as /tools tells it."""
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters, "annotations": READS}


_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "object", "properties": {"code": {"type": "string"}, "message": {"type": "string"}}},
    },
    "required": ["error"],
}
_LATE = {"type": "object", "properties": {"ok": {"const": False}, "reason": {"type": "string"}}}
_WANTED = {
    "type": "object",
    "properties": {
        "services": {"type": "array", "items": reports.SERVICE, "maxItems": reports.MAX_SERVICES},
        "discover": {"type": "boolean"},
        "screenshots": {"type": "boolean"},
        "engine": {"enum": [None, *ENGINES]},
    },
    "additionalProperties": False,
}
_REPORT = {"type": "object", "required": ["generated_at", "report_id", "summary"]}


def _answers(good: dict[str, Any], kind: str = "application/json", *wrong: int) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "done", "content": {kind: {"schema": good}}}}
    for status in (400, 401, 403, 408, 413, 421, 500, *wrong):
        answers[str(status)] = {"description": "refused", "content": {"application/json": {"schema": _ERROR}}}
    return answers


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": bool(schema.get("required")), "content": {"application/json": {"schema": schema}}}


def document(tools: Iterable[Tool]) -> dict[str, Any]:
    """The OpenAPI document."""
    any_object, text = {"type": "object"}, {"type": "string"}
    paths: dict[str, Any] = {
        "/healthz": {
            "get": {
                "summary": "That the server lives, and the watch of its folder, if there is one, makes its rounds.",
                "responses": _answers({"const": {"ok": True}})
                | {"503": {"description": "late", "content": {"application/json": {"schema": _LATE}}}},
            }
        },
        "/tools": {"get": {"summary": "The tools.", "responses": _answers(any_object)}},
        "/reports": {"get": {"summary": "The reports, the newest first.", "responses": _answers(any_object)}},
        "/reports/{name}": {
            "get": {
                "summary": "A report: JSON, or with .html as a page; latest, enhanced and stack are the newest.",
                "parameters": [{"name": "name", "in": "path", "required": True, "schema": text}],
                "responses": _answers(_REPORT, "application/json", 404),
            }
        },
        "/brief": {
            "get": {
                "summary": "The newest run in a few thousand tokens, for a large model.",
                "responses": _answers(text, "text/plain", 404),
            }
        },
        "/metrics": {"get": {"summary": "Figures for Prometheus.", "responses": _answers(text, "text/plain")}},
        "/openapi.json": {"get": {"summary": "This document.", "responses": _answers(any_object)}},
    }
    sessions = {
        "/start-stack-probe": "Probe the stack, no analysis.",
        "/analyze-and-propose-fixes": "Diagnose the stack: causes and proposed fixes. With Accept: "
        "application/x-ndjson or text/event-stream a line per stage, and the report last.",
    }
    for path, summary in sessions.items():
        responses = _answers(_REPORT, "application/json", 409, 422, 503)
        paths[path] = {"post": {"summary": summary, "requestBody": _body(_WANTED), "responses": responses}}
    for tool in tools:
        answer = {"type": "object", "required": ["tool", "output", "error"]}
        responses = _answers(answer, "application/json")
        for status in (404, 409, 422, 502, 503, 504):
            responses[str(status)] = {"description": "no answer", "content": {"application/json": {"schema": answer}}}
        paths[f"/tools/{tool.name}"] = {
            "post": {"summary": tool.description, "requestBody": _body(tool.parameters), "responses": responses}
        }
    security = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    info = {"title": "dm-tools", "version": __version__, "description": "Looks at a Docker stack, and changes nothing."}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": security, "security": [{}, {"token": []}]}
