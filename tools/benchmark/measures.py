"""Runs the measures and shows them: what the module promises, or the whole survey."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import page
from modules import SOFTHSM, Modules, prepared
from promises import PROMISES, Kept
from rich.progress import Progress
from survey import Point, rows, take

EXAMPLES = """examples:
  tools/bench --quick                    what is promised, in rounds of 0.4 s: about three minutes
  tools/bench                            the promises and the whole survey: about a quarter of an hour
  tools/bench --module /path/other.so    beside another module than SoftHSM2; it needs a slot not yet initialised
  tools/bench --write                    ... and puts tables and plots into tools/benchmark
  tools/bench --clients                  whole runs of pkcs11-tool, OpenSSL, keytool and others: see --clients --help
"""


def _keep(modules: Modules, progress: Progress) -> list[Kept]:
    task = progress.add_task("promises", total=sum(promise.rounds for promise in PROMISES))
    kept = []
    for promise in PROMISES:
        progress.update(task, description=promise.name)
        figures = []
        for _ in range(promise.rounds):
            figures.append(promise.once(modules))
            progress.advance(task)
        kept.append(Kept(promise, figures))
    return kept


def _survey(modules: Modules, progress: Progress) -> list[Point]:
    to_take = rows(rounds=3)
    task = progress.add_task("survey", total=len(to_take))
    points = []
    for row in to_take:
        progress.update(task, description=f"{row.table}: {row.measure}, {row.at}")
        points.append(take(row, modules))
        progress.advance(task)
    return points


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="the promises only, in rounds of 0.4 s, not of 2 s")
    parser.add_argument("--module", default=SOFTHSM, metavar="PATH", help="the module beside ours (SoftHSM2)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--write", action="store_true", help="also into tools/benchmark/README.md and plots/")
    parser.add_argument("--programs", type=Path, required=True, help=argparse.SUPPRESS)
    given = parser.parse_args()
    points: list[Point] = []
    with Progress(transient=True, disable=given.json or not sys.stderr.isatty()) as progress:
        if not given.quick:
            # Hundreds of measures, so each is shorter than a promise's; and they leave tokens too full for those.
            with prepared(given.programs, 0.3, given.module) as modules:
                points = _survey(modules, progress)
        with prepared(given.programs, 0.4 if given.quick else 2.0, given.module) as modules:
            kept = _keep(modules, progress)
            peer = modules.peer_name
    if given.json:
        told = {one.promise.name: {"goal": one.promise.goal, "rounds": [f._asdict() for f in one.figures]}
                for one in kept}
        print(json.dumps({"machine": page.machine(), "peer": peer, "promises": told,
                          "survey": [point._asdict() for point in points]}))
        return 0
    named = {**page.tables(points, peer), "promises": page.promise_table(kept, peer)}
    page.draw(named)
    if given.write:
        page.write(named)
        if points:
            import plots

            plots.write(points, peer, page.PLOTS)
    return 0 if all(one.reached for one in kept) else 1


if __name__ == "__main__":
    raise SystemExit(main())
