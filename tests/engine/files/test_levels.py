"""What integers cannot hold is counted and told, or lowered with all stems alike; nothing else changes a level."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import OutputError
from engine.files.levels import Clip, LevelledWriters
from engine.files.stem_writers import StemWriters
from engine.separator import F32

RATE = 8000


def stems(frames: int = 50_000, level: float = 0.5) -> F32:
    return (level * np.random.default_rng(1).uniform(-1, 1, (2, 2, frames))).astype(np.float32)


def write(folder: Path, audio: F32, subtype: str, clip: Clip, ext: str = "wav") -> LevelledWriters:
    paths = {"loud": folder / f"loud.{ext}", "soft": folder / f"soft.{ext}"}
    writers = StemWriters(paths, RATE, 2, frames_hint=audio.shape[-1], subtype=subtype)
    with LevelledWriters(writers, subtype, clip) as levelled:
        for begin in range(0, audio.shape[-1], 7000):
            levelled.write(audio[..., begin : begin + 7000])
    return levelled


def read(folder: Path, ext: str = "wav") -> F32:
    return np.stack([soundfile.read(folder / f"{stem}.{ext}", dtype="float32")[0].T for stem in ("loud", "soft")])


@pytest.mark.parametrize(("subtype", "ext"), [("PCM_16", "wav"), ("PCM_24", "wav"), ("PCM_24", "flac")])
def test_clamped_samples_are_counted_by_stem(tmp_path: Path, subtype: str, ext: str) -> None:
    audio = stems()
    audio[0, 0, [5, 7000, 30_000]] = [1.5, -2.0, 1.0001]
    levelled = write(tmp_path, audio, subtype, Clip.CLAMP, ext)
    assert levelled.clipped_samples == {"loud": 3}
    assert levelled.over_db == {"loud": pytest.approx(20 * math.log10(2))}
    assert levelled.gain_db == 0
    np.testing.assert_allclose(read(tmp_path, ext), np.clip(audio, -1, 1), rtol=0, atol=2.0**-15)


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2.0**-15), ("PCM_24", 2.0**-22)])
def test_scaling_lowers_all_stems_alike_so_that_nothing_clips(tmp_path: Path, subtype: str, step: float) -> None:
    audio = stems()
    audio[0, 1, 40_000] = -2.5
    levelled = write(tmp_path, audio, subtype, Clip.SCALE)
    gain = 10 ** (levelled.gain_db / 20)
    assert gain == pytest.approx(1 / 2.5, rel=1e-4)
    assert levelled.clipped_samples == {}
    assert levelled.over_db == {"loud": pytest.approx(20 * math.log10(2.5))}
    np.testing.assert_allclose(read(tmp_path), gain * audio, rtol=0, atol=step)
    assert np.abs(read(tmp_path)).max() < 1


@pytest.mark.parametrize("level", [0.001, 0.5, 1.0])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_nothing_is_scaled_that_fits(tmp_path: Path, subtype: str, level: float) -> None:
    audio = stems(level=level)
    audio[0, 0, 0], audio[0, 0, 1] = level, -level
    for clip in Clip:
        levelled = write(tmp_path / clip, audio, subtype, clip)
        assert (levelled.gain_db, levelled.clipped_samples, levelled.over_db) == (0, {}, {})
    assert (tmp_path / "clamp" / "loud.wav").read_bytes() == (tmp_path / "scale" / "loud.wav").read_bytes()


@pytest.mark.parametrize("clip", list(Clip))
def test_floats_are_written_as_they_are(tmp_path: Path, clip: Clip) -> None:
    audio = stems(level=4.0)
    levelled = write(tmp_path, audio, "FLOAT", clip)
    assert (levelled.gain_db, levelled.clipped_samples, levelled.over_db) == (0, {}, {})
    np.testing.assert_array_equal(read(tmp_path), audio)


@pytest.mark.parametrize("clip", list(Clip))
def test_an_error_leaves_nothing_behind(tmp_path: Path, clip: Clip) -> None:
    writers = StemWriters({"a": tmp_path / "x" / "a.wav"}, RATE, 2, subtype="PCM_16")
    levelled = LevelledWriters(writers, "PCM_16", clip)
    levelled.write(stems()[:1])
    levelled.__exit__(RuntimeError, RuntimeError("stop"), None)
    assert not list((tmp_path / "x").iterdir())


def test_what_is_put_aside_has_no_name(tmp_path: Path) -> None:
    writers = StemWriters({"a": tmp_path / "a.wav"}, RATE, 2, subtype="PCM_16")
    with LevelledWriters(writers, "PCM_16", Clip.SCALE) as levelled:
        levelled.write(stems()[:1])
        assert [path.name[:7] for path in tmp_path.iterdir()] == [".a.wav."]


def test_a_full_disk_is_told_with_what_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = io.FileIO("/dev/full", "r+")
    monkeypatch.setattr("engine.files.levels.tempfile.TemporaryFile", lambda dir: full)
    writers = StemWriters({"a": tmp_path / "a.wav"}, RATE, 2, subtype="PCM_16")
    with (
        pytest.raises(OutputError, match=r"No space left.*--clip clamp"),
        LevelledWriters(writers, "PCM_16", Clip.SCALE) as levelled,
    ):
        levelled.write(stems()[:1])
    assert not list(tmp_path.iterdir())
    assert full.closed


@pytest.mark.parametrize("frames", [100, 50_000])
def test_a_disk_that_is_full_at_the_close_too_is_told_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    # Buffered, as the real one is: what could not be written is tried again when it is closed.
    full = open("/dev/full", "w+b")  # noqa: SIM115 - closed by what is tested
    monkeypatch.setattr("engine.files.levels.tempfile.TemporaryFile", lambda dir: full)
    writers = StemWriters({"a": tmp_path / "a.wav"}, RATE, 2, subtype="PCM_16")
    with (
        pytest.raises(OutputError, match=r"No space left.*--clip clamp"),
        LevelledWriters(writers, "PCM_16", Clip.SCALE) as levelled,
    ):
        levelled.write(stems(frames)[:1])
    assert not list(tmp_path.iterdir())
    assert full.closed


def test_no_frames_at_all_are_no_fault(tmp_path: Path) -> None:
    for clip in Clip:
        assert write(tmp_path / clip, stems(0), "PCM_16", clip).gain_db == 0
        assert read(tmp_path / clip).shape == (2, 2, 0)
