"""The compiled steps are built once for a machine, whole or not at all; where they cannot be, it says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.kernels import building, library
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


def test_other_options_build_anew_and_what_is_built_needs_no_compiler(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(tmp_path, monkeypatch, 'exec cc "$@"')
    first = built_library()
    monkeypatch.setenv("CC", "none")
    assert built_library() == first
    monkeypatch.setenv("CC", "cc")
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
        f"{path} cannot compile the fused steps (mdx23c.c:1: error: no such thing): sudo apt install gcc libc6-dev"
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


def test_a_compiler_without_threads_builds_all_the_same(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apple = 'case "$*" in *-fopenmp*) echo "error: unsupported option" >&2; exit 1;; esac'
    compiler(tmp_path, monkeypatch, f'{apple}; exec cc "$@"')
    assert built_library().is_file()


def test_a_command_that_is_none_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "gcc 'x")
    with pytest.raises(BuildError, match=r"^CC=gcc 'x is no command \(No closing quotation\): correct it or unset it$"):
        built_library()


def test_what_others_may_write_is_not_loaded(cache: Path) -> None:
    built = built_library()
    assert cache.stat().st_mode & 0o077 == 0
    built.chmod(0o666)
    with pytest.raises(BuildError, match="may be written by others, and what is there would be run: chmod go-w it"):
        built_library()
    built.chmod(0o644)
    cache.chmod(0o777)
    with pytest.raises(BuildError, match="may be written by others"):
        built_library()
    cache.chmod(0o700)


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_damaged_library_is_built_anew(cache: Path, content: bytes) -> None:
    path = built_library()
    path.write_bytes(content)
    kernels, why = library._load.__wrapped__()
    assert kernels is not None, why
    assert len(path.read_bytes()) > len(content)
