"""A webhook with a JSON body of ours: POST to one URL, followed nowhere else, by no proxy."""

from __future__ import annotations

from typing import Any

from dm_tools import __version__
from dm_tools.notify.channels import NotTold


def tell(url: str, headers: dict[str, str], body: bytes, id: str, seconds: float) -> None:
    """Post one message. Whoever gets it twice can tell by `Idempotency-Key`. Raises NotTold."""
    import httpx

    ours = {"Content-Type": "application/json", "User-Agent": f"dm-notify/{__version__}", "Idempotency-Key": id}
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers | ours) as answer,
        ):
            code = answer.status_code
    except httpx.TimeoutException:
        raise NotTold(f"no answer within {seconds:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
        raise NotTold(_why(failure)) from None
    if not 200 <= code < 300:
        raise NotTold(f"the service answered {code}")


def _why(failure: Any) -> str:
    """The kind of failure: its text may quote the URL."""
    words = {"ConnectError": "no connection", "RemoteProtocolError": "the answer is no HTTP", "ReadError": "cut off"}
    return words.get(type(failure).__name__, f"not sent ({type(failure).__name__})")
