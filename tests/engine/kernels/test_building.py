"""The compiled steps are built once for a machine, whole or not at all; where they cannot be, it says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.kernels import building
from engine.kernels.building import BuildError, built_library


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kernels"


def compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a compiler of one's own in the place of the machine's."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    return path


def test_the_library_is_built_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    compiler(tmp_path, monkeypatch, f'echo "$@" >> {log}; exec cc "$@"')
    first = built_library()
    assert first.parent == cache
    calls = log.read_text().count("-c")
    assert calls >= 1
    assert built_library() == first
    assert log.read_text().count("-c") == calls
    assert [path.name for path in cache.iterdir()] == [first.name]


def test_another_compiler_or_other_sources_build_anew(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, monkeypatch, 'exec cc "$@"')
    first = built_library()
    monkeypatch.setattr(building, "_COMPILE", (*building._COMPILE, "-DANOTHER"))
    assert built_library() != first


def test_a_machine_without_the_finest_options_takes_coarser_ones(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(
        tmp_path,
        monkeypatch,
        'case "$*" in *march=native*) echo "error: unknown option" >&2; exit 1;; esac; exec cc "$@"',
    )
    monkeypatch.setattr(building, "_NATIVE", ("-march=native", "-mtune=native"))
    assert built_library().is_file()


def test_without_a_compiler_the_remedy_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(BuildError, match=r"^no C compiler was found \(cc or gcc or clang\): sudo apt install gcc"):
        built_library()
    monkeypatch.setenv("CC", "icc -q")
    with pytest.raises(BuildError, match=r"no C compiler was found \(CC=icc\)"):
        built_library()


def test_a_compiler_that_fails_leaves_nothing_and_is_quoted(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = compiler(tmp_path, monkeypatch, 'echo "mdx23c.c:1: error: no such thing" >&2; exit 1')
    with pytest.raises(BuildError) as caught:
        built_library()
    assert str(caught.value) == (
        f"{path} cannot compile the fused steps (mdx23c.c:1: error: no such thing): install gcc"
    )
    assert list(cache.iterdir()) == []


def test_a_linker_that_fails_is_quoted(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler(
        tmp_path, monkeypatch, 'case "$*" in *-shared*) echo "ld: error: no room" >&2; exit 1;; esac; exec cc "$@"'
    )
    with pytest.raises(BuildError, match=r"cannot link the fused steps \(ld: error: no room\)"):
        built_library()
    assert list(cache.iterdir()) == []


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("STEMSTREAM_CACHE", os.fspath(blocked))
    with pytest.raises(BuildError, match=r"cannot be kept in .* name another folder with STEMSTREAM_CACHE"):
        built_library()
