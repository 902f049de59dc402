"""Reports find their place on the page of results, and nothing else there changes."""

from __future__ import annotations

import sys
from pathlib import Path

import add_bench
import pytest

PAGE = "# Measured results\n\n## Before\n\nText.\n\n## All commands\n\nLast.\n"


def test_a_report_stands_before_the_list_of_commands() -> None:
    page = add_bench.add(PAGE, "matrix", "### 1. Batch sizes\n\n![1](bench-1.svg)\n")
    section = "## stemstream bench: matrix\n\n### 1. Batch sizes\n\n![1](matrix-bench-1.svg)\n\n"
    assert page == PAGE.replace("## All commands", f"{section}## All commands")


def test_a_new_report_replaces_the_one_of_its_name_only() -> None:
    page = add_bench.add(add_bench.add(PAGE, "matrix", "old"), "full-size", "other")
    assert add_bench.add(page, "matrix", "new") == page.replace("old", "new")


def test_as_a_program_it_takes_plots_along_and_writes_nothing_where_a_report_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, results = tmp_path / "bench" / "matrix", tmp_path / "docs" / "results.md"
    for place in (folder, results.parent):
        place.mkdir(parents=True)
    (folder / "bench.md").write_text("![1](bench-1.svg)")
    (folder / "bench-1.svg").write_text("<svg/>")
    results.write_text(PAGE)
    monkeypatch.setattr(sys, "argv", ["add_bench.py", str(folder), str(tmp_path / "gone"), "--results", str(results)])
    with pytest.raises(FileNotFoundError):
        add_bench.main()
    assert results.read_text() == PAGE
    monkeypatch.setattr(sys, "argv", ["add_bench.py", str(folder), "--results", str(results)])
    add_bench.main()
    assert "![1](matrix-bench-1.svg)" in results.read_text()
    assert (results.parent / "matrix-bench-1.svg").read_text() == "<svg/>"
