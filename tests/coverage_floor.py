"""`python -m tests.coverage_floor`: fail when a package is covered less than was promised."""

import io
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from coverage import Coverage

FLOORS = {
    "engine/machine": 100.0,
    "engine/codec": 100.0,
    "engine/journal": 100.0,
    "engine/vocabulary.py": 100.0,
    "engine/effects.py": 100.0,
    "engine/errors.py": 100.0,
    "engine": 95.0,
    "machines": 95.0,
}
"""Branch coverage in per cent; the longest name that fits a file decides."""

PURE = (
    *("table.py", "ring.py", "line.py", "room.py", "seat.py", "vocabulary.py", "link.py", "reasons.py"),
    *("masks.py", "projection.py", "wire_answers.py", "wire_events.py"),
)
"""Rules of a machine folder, as is everything in its folder `rules`: covered wholly."""


def floor_of(path: str) -> tuple[str, float]:
    """The group that a file counts for, and what that group must reach."""
    folder, _, file = path.rpartition("/")
    # `machines/<api>/seat.py` is a rule; `machines/<api>/client/seat.py` is not.
    if folder.startswith("machines/") and (
        folder.endswith("/rules") or (folder.count("/") == 1 and file in PURE)
    ):
        return "machines/*/rules", 100.0
    name = max((one for one in FLOORS if path.startswith(one)), key=len)
    return name, FLOORS[name]


def main() -> int:
    """Print a line a group; 1 when one is below its floor."""
    coverage = Coverage()
    coverage.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        with_output = io.StringIO()
        sys.stdout, stdout = with_output, sys.stdout
        try:
            coverage.json_report(outfile=str(report))
        finally:
            sys.stdout = stdout
        files = json.loads(report.read_text())["files"]
    done: dict[str, int] = defaultdict(int)
    wanted: dict[str, int] = defaultdict(int)
    worst: dict[str, list[str]] = defaultdict(list)
    floors: dict[str, float] = {}
    for path, found in sorted(files.items()):
        group, floors_at = floor_of(path)
        summary = found["summary"]
        floors[group] = floors_at
        done[group] += summary["covered_lines"] + summary.get("covered_branches", 0)
        wanted[group] += summary["num_statements"] + summary.get("num_branches", 0)
        if summary["percent_covered"] < floors_at:
            lines = ",".join(str(line) for line in found["missing_lines"][:12])
            branches = " ".join(f"{a}->{b}" for a, b in found.get("missing_branches", [])[:8])
            worst[group].append(f"    {path} {summary['percent_covered']:.1f} %: {lines} {branches}")
    failed = False
    for group in sorted(floors):
        reached = 100.0 * done[group] / max(wanted[group], 1)
        below = reached < floors[group]
        failed = failed or below
        print(f"{'LOW ' if below else 'ok  '} {group}: {reached:.2f} % of {floors[group]:g} %")
        if below:
            print("\n".join(worst[group]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
