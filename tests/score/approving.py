"""What a measured session approves: the first fix of each issue that changes something and can be taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dm_tools.act.catalogue import CATALOGUE
from dm_tools.records import ActionName, Risk
from tests.conftest import ROOT

SESSION = str(ROOT / "scripts/supervisor-session.sh")
# What can be done without the Compose file and without an older image, which the lab does not have.
HEALS = {
    name
    for name, action in CATALOGUE.items()
    if action.risk == Risk.REVERSIBLE and name not in (ActionName.RECREATE, ActionName.ROLLBACK_IMAGE)
}


def approve(report: dict[str, Any], path: Path) -> list[str]:
    """Approve the first fix of each issue that changes something and can be taken back; returns what was approved."""
    actions = []
    for issue in report["issues"]:
        for fix in issue["proposed_fixes"]:
            if fix["action"] in HEALS:
                kept = ("action", "confidence", "reasoning", "parameters", "risk", "undo")
                action = {key: fix[key] for key in kept} | {"issue_id": issue["id"], "service": issue["service"]}
                actions.append(action | {key: issue[key] for key in ("identity", "docker_host")})
                break
    approval = {"generated_at": "", "source_report": report["report_path"], "approved_actions": actions}
    path.write_text(json.dumps(approval))
    return [f"{each['action']} {each['service']}" for each in actions]
