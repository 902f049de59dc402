"""Put reports of ``stemstream bench`` into ``docs/results.md``, each below a heading of its own, and plots beside it.

    python benchmarks/add_bench.py DIR... [--results FILE]

A report replaces an earlier one whose folder had the same name; everything else on the page stays as it is. All reports
are read before anything is written.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

_RESULTS = Path(__file__).parents[1] / "docs" / "results.md"
_LAST = "## All commands\n"


def main() -> None:
    """Put every folder's report in its place."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="what -o of stemstream bench named")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="FILE", help="the page (default docs/)")
    arguments = parser.parse_args()
    reports = {folder: (folder / "bench.md").read_text(encoding="utf-8") for folder in arguments.folders}
    page = arguments.results.read_text(encoding="utf-8")
    for folder, text in reports.items():
        page = add(page, folder.name, text)
    for folder in reports:
        for plot in folder.glob("bench-*.svg"):
            (arguments.results.parent / f"{folder.name}-{plot.name}").write_bytes(plot.read_bytes())
    arguments.results.write_text(page, encoding="utf-8")


def add(page: str, name: str, report: str) -> str:
    """Give the page with a report of that name in it."""
    heading = f"## stemstream bench: {name}\n"
    body = re.sub(r"\]\((bench-\d\.svg)\)", rf"]({name}-\1)", report)
    section = f"{heading}\n{body.strip()}\n\n"
    found = re.search(rf"^{re.escape(heading)}.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found:
        return page[: found.start()] + section + page[found.end() :]
    before, last, after = page.partition(_LAST)
    return f"{before}{section}{last}{after}" if last else f"{page.rstrip()}\n\n{section}"


if __name__ == "__main__":
    main()
