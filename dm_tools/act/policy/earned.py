"""Autonomy that is earned and lost: a pure function of the outcomes and of what persons signed.

An action against a cause on one service is proposed for promotion once it has helped k times in a row there, proved,
and the posterior's lower bound is high enough. A person accepts it once. One failed proof, or harm, after that and it
is lost: it has to prove itself, and to be accepted, anew. Another version of the image (another tag) has to prove it a
few times, with a person, before it holds for that one, too; another image is another service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dm_tools.act.policy.language import Earned
from dm_tools.act.posterior import Experience, Place, helped, place_of, possibly_here, same_service
from dm_tools.records import Acceptance, ActionName, ActionOutcome, Cause, Promotion, Proof, Standing
from dm_tools.text.times import seconds_or_never


@dataclass(frozen=True)
class Key:
    """What a promotion is about; of `place.image` the version (tag, digest) is left out."""

    cause: Cause | None
    action: ActionName
    place: Place

    @property
    def id(self) -> str:
        """A short name for it."""
        place = self.place
        parts = [place.host, place.project, place.service, place.repository, self.cause, self.action]
        text = "\0".join("" if each is None else f"={each}" for each in parts)
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest()


def standing(
    key: Key, outcomes: Iterable[ActionOutcome], signed: Sequence[Acceptance], rule: Earned, experience: Experience
) -> Promotion | None:
    """How far an action has come; None if it is too early to propose it, or without a cause or an image.

    `outcomes`: at least those of the action on the service. `experience`: what is known of all.
    """
    if key.cause is None or key.place.image is None:
        return None
    own = sorted(
        (each for each in outcomes if each.action == key.action and possibly_here(each, key.place)),
        key=lambda each: seconds_or_never(each.at),
    )
    # What an outcome does not say may be what this is about: that counts against it, and not for it.
    images, causes = (key.place.repository, None), (key.cause, None)
    maybe = [each for each in own if each.cause in causes and place_of(each).repository in images]
    bad = [each for each in maybe if helped(each) is False]
    harm = [each for each in own if each.proof == Proof.WORSE]  # whatever it was against, and with which image
    last_bad = max((seconds_or_never(each.at) for each in (*bad, *harm)), default=float("-inf"))
    same = key.cause, key.place.repository
    mine = [each for each in maybe if (each.cause, place_of(each).repository) == same and same_service(each, key.place)]
    row = [each for each in mine if helped(each) and seconds_or_never(each.at) > last_bad]
    with_version = sum(1 for each in row if each.image == key.place.image)
    about = [each for each in signed if each.id == key.id]
    if not about and len(row) < rule.successes:
        return None
    found = experience.estimate(key.cause, key.action, key.place)
    entry = max(about, key=lambda each: seconds_or_never(each.at), default=None)
    at = by = None
    proved = with_version >= rule.per_version
    ripe = len(row) >= rule.successes and proved and found.low >= rule.lower_bound
    state = Standing.PROPOSED if ripe else None
    if entry is not None:
        signed_at = seconds_or_never(entry.at)
        lost = [each for each in (*bad, *harm) if seconds_or_never(each.at) >= signed_at]
        at, by = entry.at, entry.by
        if not entry.accepted:
            state = state or Standing.REVOKED
        elif not lost:
            state = Standing.ACCEPTED if proved else Standing.PROBATION
        elif not ripe:
            state, at = Standing.LOST, min(lost, key=lambda each: seconds_or_never(each.at)).at
    if state is None:
        return None
    return Promotion(
        id=key.id,
        standing=state,
        service=key.place.service,
        action=key.action,
        cause=key.cause,
        image=key.place.image,
        project=key.place.project,
        host=key.place.host,
        successes=found.successes,
        failures=found.failures,
        in_a_row=len(row),
        with_version=with_version,
        low=round(found.low, 4),
        high=round(found.high, 4),
        at=None if state == Standing.PROPOSED else at,
        by=None if state == Standing.PROPOSED else by,
    )


def promotions(
    outcomes: Sequence[ActionOutcome], signed: Sequence[Acceptance], rule: Earned, experience: Experience
) -> list[Promotion]:
    """All that is proposed, accepted, lost or revoked; by service, action and cause."""
    ordered = sorted(outcomes, key=lambda each: seconds_or_never(each.at))
    keys = {}  # the newest version of each
    for each in ordered:
        if each.action in rule.actions:
            key = Key(each.cause, each.action, place_of(each))
            keys[key.id] = key
    by_service: dict[tuple[str | None, str], list[ActionOutcome]] = {}
    for each in ordered:
        by_service.setdefault((each.host, each.service), []).append(each)
    found = []
    for key in keys.values():
        own = by_service[key.place.host, key.place.service]
        if (promotion := standing(key, own, signed, rule, experience)) is not None:
            found.append(promotion)
    return sorted(found, key=lambda each: (each.service, each.action, each.cause or "", each.id))
