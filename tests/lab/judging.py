"""Whether a verdict is true: the records that dm-analyze and dm-propose wrote, held against the catalogue."""

from collections.abc import Sequence
from typing import Any

from .faults import Fault


def wrong(fault: Fault, judged: Sequence[dict[str, Any]]) -> list[str]:
    """What the judged records of a stack say that is not true of the fault, a line each; empty when all is right."""
    found = {record["service"]: record for record in judged if record["analysis"]["role"] == "root"}
    expected = {root.service: root for root in fault.roots}
    complaints = [f"{service} is no root ({_said(found[service])})" for service in found if service not in expected]
    for service, root in expected.items():
        if service not in found:
            complaints.append(f"{service} is a root: {root.causes[0]}")
            continue
        record = found[service]
        proposed = [proposal["action"] for proposal in record["proposals"]]
        if record["analysis"]["cause"] not in root.causes:
            complaints.append(f"{service} has the cause {' or '.join(root.causes)}, not {_said(record)}")
        if not proposed or proposed[0] not in root.first_actions:
            complaints.append(f"the first action for {service} is {' or '.join(root.first_actions)}, not {proposed}")
    symptoms = {record["service"] for record in judged if record["analysis"]["role"] == "symptom"}
    if symptoms != set(fault.symptoms):
        complaints.append(f"the symptoms are {sorted(fault.symptoms)}, not {sorted(symptoms)}")
    return complaints


def _said(record: dict[str, Any]) -> str:
    return f"{record['analysis']['cause']}: {record['analysis']['hypothesis']}"
