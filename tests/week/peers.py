"""What two others would have done in the same week, by the rules that they document and publish. Pure.

- docker-autoheal (docker-entrypoint of willfarrell/docker-autoheal): every AUTOHEAL_INTERVAL seconds (5) each container
  of which Docker says `unhealthy`, and that is not `restarting`, is restarted, and the webhook told. Of one that is
  restarted the healthcheck begins anew: three failures 30 seconds apart (Docker's defaults) make it unhealthy again.
  What a restart would have cured is not known: the week goes on as it was.
- Gatus (README, alerting; watchdog/alerting.go): an endpoint each service; an alert after `failure-threshold` failures
  in a row (3), resolved after `success-threshold` successes (2), told since `send-on-resolved` is set; maintenance in
  the windows that were silenced. It is given a memory over restarts (its database).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

HEALTH_ROUNDS = 3  # rounds until a container that was restarted is unhealthy again
LISTED = ("running", "paused")  # what the list of containers holds that it asks for, but for those it leaves alone


@dataclass(frozen=True)
class Seen:
    """A look at a service: Docker's word on its health and state, and whether all its checks were good."""

    service: str
    health: str | None
    state: str
    good: bool


@dataclass(frozen=True)
class Told:
    """A message (of autoheal: a restart with its message). `kind`: opened, resolved, restarted."""

    number: int
    service: str
    kind: str


def autoheal(rounds: Iterable[tuple[int, list[Seen]]]) -> list[Told]:
    """Every restart."""
    found, until = [], dict[str, int]()
    for number, looks in rounds:
        for each in looks:
            if each.health == "unhealthy" and each.state in LISTED and until.get(each.service, 0) <= number:
                found.append(Told(number, each.service, "restarted"))
                until[each.service] = number + HEALTH_ROUNDS
    return found


def gatus(rounds: Iterable[tuple[int, list[Seen]]], quiet: set[tuple[str, int]]) -> list[Told]:
    """Every alert and every end of one. `quiet`: service and round of maintenance."""
    found, failures, successes = [], dict[str, int](), dict[str, int]()
    open_ones: set[str] = set()
    for number, looks in rounds:
        for each in looks:
            if (each.service, number) in quiet:
                continue
            name = each.service
            failures[name] = 0 if each.good else failures.get(name, 0) + 1
            successes[name] = successes.get(name, 0) + 1 if each.good else 0
            if failures[name] >= 3 and name not in open_ones:
                open_ones.add(name)
                found.append(Told(number, name, "opened"))
            elif successes[name] >= 2 and name in open_ones:
                open_ones.remove(name)
                found.append(Told(number, name, "resolved"))
    return found
