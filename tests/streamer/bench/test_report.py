"""Reports are there whole or not at all."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from engine.errors import ConfigurationError, OutputError
from streamer.bench import report
from streamer.bench.report import check_folder, write_report
from streamer.bench.table import Table

TABLE = Table("1. Batch sizes", ("batch", "ratio"), (("1", "2.00"),), ("A note",), (("batch 1", (1.9, 2.0, 2.1)),))


def test_figures_text_and_plots_are_written(tmp_path: Path) -> None:
    facts = {"rows": [{"cost": math.nan, "ratio": math.inf, "batches": (1, 2)}]}
    paths = write_report(tmp_path / "a" / "b", facts, TABLE.markdown(), [TABLE])
    assert [path.name for path in paths] == ["bench-1.svg", "bench.json", "bench.md"]
    assert json.loads(paths[1].read_text()) == {"rows": [{"cost": None, "ratio": None, "batches": [1, 2]}]}
    text = paths[2].read_text()
    assert "| batch | ratio |\n|---|---|\n| 1 | 2.00 |\n" in text
    assert "- A note" in text
    assert "![1. Batch sizes](bench-1.svg)" in text
    assert "times as fast as the baseline" in paths[0].read_text()


def test_without_matplotlib_there_are_no_plots_and_no_links_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "can_plot", lambda: False)
    paths = write_report(tmp_path, {}, "text\n", [TABLE])
    assert [path.name for path in paths] == ["bench.json", "bench.md"]
    assert paths[1].read_text() == "text\n"


def test_where_one_file_fails_none_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(table: Table, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "_plot", fail)
    with pytest.raises(OutputError, match=r"cannot be written to .*\(No space left on device\)"):
        write_report(tmp_path / "out", {}, "", [TABLE])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_take_reports_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigurationError, match="is a file: name a folder"):
        check_folder(file, overwrite=True)
    with pytest.raises(OutputError, match="cannot be written to"):
        check_folder(file / "below", overwrite=False)
    check_folder(tmp_path / "new", overwrite=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["bench.json", "bench.md"])
def test_reports_of_an_earlier_run_are_replaced_only_if_asked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(ConfigurationError, match="name another folder, or give --overwrite"):
        check_folder(tmp_path, overwrite=False)
    check_folder(tmp_path, overwrite=True)
