"""Measure how often the analysis is right, print the table and write docs/scoreboard.md."""

import argparse
import datetime
import sys
from pathlib import Path

from dm_tools.patterns import reading as reader
from tests.conftest import ROOT
from tests.score import board, first_sight, secrets

PAGE = ROOT / "docs" / "scoreboard.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="score", description=__doc__)
    parser.add_argument("--cases", type=Path, metavar="FILE", help="score another file of log cases and write nothing")
    parser.add_argument(
        "--first-sight", type=Path, metavar="FOLDER", help="measure a set for the first and only time, and keep its row"
    )
    parser.add_argument(
        "--secrets", type=Path, metavar="FOLDER", help="the same of a set of secrets (see tests/score/secrets.py)"
    )
    parser.add_argument("--given", action="store_true", help="renew the page's first two tables only: seconds")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if the page is not what is measured"
    )
    parser.add_argument("--live", action="store_true", help="also put every fault into real containers")
    parser.add_argument("--model", action="store_true", help="also ask a real model: LLM_BASE_URL, or a small one")
    chosen = parser.parse_args()
    if chosen.cases:
        if not chosen.cases.is_file():
            parser.error(f"no such file: {str(chosen.cases)!r}")
        sys.stdout.write("\n".join(board.cases_only(chosen.cases)) + "\n")
        return 0
    if chosen.first_sight:
        try:
            seen_first = first_sight.measure(
                chosen.first_sight, reader.read(None), first_sight.commit(), datetime.date.today()
            )
        except (first_sight.Refused, OSError) as failure:
            parser.error(str(failure))
        sys.stdout.write("\n".join(first_sight.page(seen_first)) + "\n")
        return 0
    if chosen.secrets:
        try:
            seen = secrets.measure(chosen.secrets, first_sight.commit(), datetime.date.today())
        except (first_sight.Refused, OSError) as failure:
            parser.error(str(failure))
        sys.stdout.write(f"{seen}\n")
        return 0
    before = PAGE.read_text() if PAGE.exists() else ""
    if chosen.given:
        text = board.renewed(before)
    else:
        text = "\n".join(board.page(board.measure(chosen.live, before, not chosen.check, chosen.model))) + "\n"
    if chosen.check:
        same = board.figures(text) == board.figures(before)
        if not same:
            sys.stderr.write(f"{PAGE.name} does not say what was measured: run scripts/score\n")
        return int(not same)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
