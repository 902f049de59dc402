"""The files of all stems appear together or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import BlockError, ConfigurationError, LifecycleError, OutputError
from engine.files.reader import AudioReader
from engine.files.stem_writers import StemWriters

F32 = npt.NDArray[np.float32]

THREE_STEMS = np.zeros((3, 2, 100), np.float32)


def noise(frames: int, channels: int = 2) -> F32:
    rng = np.random.default_rng(0)
    return rng.uniform(-0.9, 0.9, (channels, frames)).astype(np.float32)


def read_all(path: Path) -> F32:
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(4096))
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((reader.channels, 0), np.float32)


def write_then(writer: StemWriters, audio: F32, what: Callable[[], object]) -> None:
    with writer:
        writer.write(audio)
        what()


def fail(error: type[BaseException]) -> None:
    raise error("stop")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def paths(folder: Path, stems: str = "abc") -> dict[str, Path]:
    return {stem: folder / "song" / f"{stem}.wav" for stem in stems}


def test_every_stem_gets_its_own_audio(tmp_path: Path) -> None:
    stems = np.stack([noise(5000) * gain for gain in (1, 2, 3)]).astype(np.float32)
    with StemWriters(paths(tmp_path), 44100, 2, frames_hint=5000) as writers:
        assert list(writers.writers) == ["a", "b", "c"]
        writers.write(stems[:, :, :3000])
        writers.write(stems[:, :, 3000:])
        assert [name[:7] for name in names(tmp_path)] == [".a.wav.", ".b.wav.", ".c.wav."]
    assert names(tmp_path) == ["a.wav", "b.wav", "c.wav"]
    for path, stem in zip(paths(tmp_path).values(), stems, strict=True):
        np.testing.assert_array_equal(read_all(path), stem)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_none(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write_then(StemWriters(paths(tmp_path), 44100, 2), THREE_STEMS, lambda: fail(error))
    assert names(tmp_path) == []


def test_none_is_opened_if_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "song" / "c.wav").mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder"):
        StemWriters(paths(tmp_path), 44100, 2)
    assert names(tmp_path) == []


@pytest.mark.parametrize("older", [b"", b"older"])
def test_none_appears_if_one_cannot_be_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, older: bytes) -> None:
    (tmp_path / "song").mkdir()
    for path in paths(tmp_path).values() if older else ():
        path.write_bytes(older)
    synced = []

    def sync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.files.part_file.os.fsync", sync)
    with pytest.raises(OutputError, match="no space left"):
        write_then(StemWriters(paths(tmp_path), 44100, 2), THREE_STEMS, lambda: None)
    assert names(tmp_path) == (["a.wav", "b.wav", "c.wav"] if older else [])
    assert all(path.read_bytes() == older for path in (tmp_path / "song").iterdir())


def test_none_stays_if_one_cannot_be_renamed(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"b\.wav"):
        write_then(StemWriters(paths(tmp_path), 44100, 2), THREE_STEMS, (tmp_path / "song" / "b.wav").mkdir)
    assert names(tmp_path) == []


def test_a_rename_that_fails_leaves_an_older_file_or_its_whole_successor(tmp_path: Path) -> None:
    (tmp_path / "song").mkdir()
    (tmp_path / "song" / "a.wav").write_bytes(b"older")
    with pytest.raises(OutputError, match=r"b\.wav"):
        write_then(StemWriters(paths(tmp_path), 44100, 2), THREE_STEMS, (tmp_path / "song" / "b.wav").mkdir)
    assert names(tmp_path) == ["a.wav"]
    assert read_all(tmp_path / "song" / "a.wav").shape == (2, 100)


@pytest.mark.parametrize("second", ["x.wav", "X.WAV", "y/../x.wav"])
def test_two_stems_never_share_a_file(tmp_path: Path, second: str) -> None:
    with pytest.raises(ConfigurationError, match="would share"):
        StemWriters({"a": tmp_path / "x.wav", "b": tmp_path / second}, 44100, 2)
    assert names(tmp_path) == []


def test_no_stems_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        StemWriters({}, 44100, 2)


def test_the_number_of_stems_must_fit(tmp_path: Path) -> None:
    with (
        StemWriters(paths(tmp_path), 44100, 2) as writers,
        pytest.raises(BlockError, match=r"must be \(3, channels, frames\)"),
    ):
        writers.write(np.zeros((2, 2, 100), np.float32))


def test_an_aborted_group_cannot_be_committed(tmp_path: Path) -> None:
    writers = StemWriters(paths(tmp_path), 44100, 2)
    writers.abort()
    with pytest.raises(LifecycleError, match="aborted"):
        writers.commit()
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_real_limit_of_the_system_stops_all_stems(tmp_path: Path) -> None:
    script = """
        import resource, signal, sys
        import numpy as np
        from engine.errors import OutputError
        from engine.files.stem_writers import StemWriters
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        folder = sys.argv[1]
        try:
            with StemWriters({s: f"{folder}/{s}.wav" for s in ("a", "b")}, 44100, 2) as writers:
                for _ in range(20):
                    writers.write(np.zeros((2, 2, 1000), np.float32))
        except OutputError as error:
            print(error)
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert names(tmp_path) == []
