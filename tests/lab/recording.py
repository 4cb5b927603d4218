"""What the collecting commands see of a fault, kept in tests/data/faults so that it can be judged without Docker."""

import os
import re
import subprocess
from pathlib import Path

from . import stack
from .faults import CATALOGUE, Fault
from .settings import LabError

COMMANDS = Path(__file__).parent.parent.parent / "bin"
COLLECT = "dm-services | dm-probe | dm-inspect | dm-logs --tail 20 --max-bytes 1600 | dm-stats"
"""The stages of a diagnosis before dm-analyze, with fewer lines of the logs, so that a recording can be reviewed."""
TRIM = "jq -sc 'sort_by(.service)[] | del(.logs.templates) | if .inspect then .inspect.health_log |= .[-2:] else . end'"
"""Of so few lines the templates say nothing new, and the last two health checks say what those before did."""


def record(fault: Fault, environment: dict[str, str]) -> None:
    """Write the recording of the fault that is in now. Raises LabError if a secret of the shop is in it."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{COLLECT} | {TRIM}"],
        env=os.environ | environment | {"PATH": f"{COMMANDS}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode not in (0, 4):  # 4: some evidence is missing, which a missing container cannot help
        raise LabError(f"{COLLECT} ended with {done.returncode}: {done.stderr}")
    if leaked := [secret for secret in secrets() if secret in done.stdout]:
        raise LabError(f"the recording of {fault.name} would hold a secret of the lab: {leaked[0]!r}")
    fault.recording.parent.mkdir(exist_ok=True)
    fault.recording.write_text(done.stdout)


def secrets() -> set[str]:
    """Every password and key that the shop or one of its faults uses."""
    text = repr(stack.services()) + CATALOGUE.read_text()
    found = re.findall(r"""://[^\s:/@]*:([^\s/@]+)@|_KEY': '([^']+)'|"--requirepass", "([^"]+)\"""", text)
    return {secret for groups in found for secret in groups if secret}
