"""What can be heard in a report."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.errors import OutputError
from streamer.report.listening import Tape, encoded, listening_rate
from tests.streamer.report.reports import sines


def decoded(mp3: bytes) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(io.BytesIO(mp3), dtype="float32", always_2d=True)
    return samples.T, rate


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("rate", "heard_at"), [(8_000, 16_000), (22_050, 22_050), (44_100, 44_100), (48_000, 48_000), (96_000, 48_000)]
)
def test_a_signal_comes_back_in_place_at_a_rate_that_browsers_play(rate: int, heard_at: int, channels: int) -> None:
    stems = sines(2, 0.5, rate=rate, channels=channels)
    with Tape(2, channels, rate, max_frames=rate) as tape:
        for start in range(0, stems.shape[-1], 480):
            tape.add(stems[..., start : start + 480])
        mp3s = encoded(tape)
    assert listening_rate(rate) == heard_at
    for mp3, stem in zip(mp3s, stems, strict=True):
        audio, found = decoded(mp3)
        assert (found, audio.shape) == (heard_at, (channels, heard_at // 2))
        # Every frame where both rates have one.
        ours, theirs = audio[:, :: max(1, heard_at // rate)], stem[:, :: max(1, rate // heard_at)]
        assert np.sqrt(np.mean((ours - theirs) ** 2)) < 0.02


def test_only_the_beginning_is_kept() -> None:
    with Tape(1, 1, 16_000, max_frames=1000) as tape:
        for _ in range(3):
            tape.add(np.ones((1, 1, 400), np.float32))
        assert tape.frames == 1000
        (mp3,) = encoded(tape)
    assert decoded(mp3)[0].shape == (1, 1000)


def test_signals_without_a_frame_have_no_mp3() -> None:
    with Tape(2, 2, 48_000, max_frames=1000) as tape:
        assert encoded(tape) == [b"", b""]


def test_a_full_disk_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streamer.report.listening.tempfile.TemporaryFile", full)
    with pytest.raises(OutputError, match=r"No space left on device.*TMPDIR"):
        Tape(1, 1, 48_000, max_frames=10)


class SmallDisk(io.FileIO):
    """A file on a disk that is full after so many bytes."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "w+")
        self.room = room

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        if not self.room:
            raise OSError(28, "No space left on device")
        fits = data.cast("B")[: self.room]
        self.room -= len(fits)
        return super().write(fits)


@pytest.mark.parametrize("room", [0, 4 * 100, 4 * 5 * 100 + 50])
def test_a_disk_that_fills_up_costs_the_rest_of_what_could_be_heard_and_nothing_else(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter(range(10))
    monkeypatch.setattr(
        "streamer.report.listening.tempfile.TemporaryFile",
        lambda **options: SmallDisk(tmp_path / str(next(names)), room),
    )
    with Tape(2, 1, 48_000, max_frames=10_000) as tape:
        for _ in range(8):
            tape.add(np.ones((2, 1, 100), np.float32))
        assert tape.frames == room // 400 * 100
        assert "No space left on device" in str(tape.error)
        assert "TMPDIR" in str(tape.error)
        for mp3 in encoded(tape):
            assert not mp3 if not tape.frames else decoded(mp3)[0].shape == (1, tape.frames)


@pytest.mark.parametrize("level", [1e2, 1e6, 1e9])
def test_no_level_ends_the_encoder(level: float) -> None:
    audio = level * np.random.default_rng(0).standard_normal((1, 2, 48_000))
    with Tape(1, 2, 48_000, max_frames=48_000) as tape:
        tape.add(audio.astype(np.float32))
        (mp3,) = encoded(tape)
    assert 10 < np.abs(decoded(mp3)[0]).max() < 1000
