"""What a live session records is what it heard, stem by stem and at its time, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine.errors import ConfigurationError, OutputError
from streamer.audio.devices import list_devices
from streamer.testing import IdentitySeparator
from tests.streamer.scripted_device import RATE, STATED, ScriptedDevice
from tests.streamer.scripted_session import (
    BLOCK,
    PATIENCE_S,
    Changing,
    end,
    processor_on,
    returned,
    run,
    session_on,
)
from tests.streamer.test_recorder import Disk

F32 = npt.NDArray[np.float32]
GAINS = {"vocals": 0.25, "drums": 0.5, "other": 0.25}


def recorded(take: Path, name: str) -> F32:
    """Read a stem, shape (channels, frames)."""
    audio, rate = soundfile.read(take / f"{name}.wav", dtype="float32")
    assert rate == RATE
    sound: F32 = audio.T
    return sound


def assert_is_heard(device: ScriptedDevice, take: Path, gains: dict[str, float], begin: int = 0) -> int:
    """Hold every file to what was captured from a frame on; gives its length."""
    assert device.sound is not None
    assert {path.name for path in take.iterdir()} == {f"{name}.wav" for name in (*gains, "mixture")}
    lengths = set()
    for name, gain in {**gains, "mixture": 1.0}.items():
        sound = recorded(take, name)
        np.testing.assert_allclose(sound, gain * device.sound[:, begin : begin + sound.shape[1]], atol=1e-6)
        lengths.add(sound.shape[1])
    (length,) = lengths
    return length


@pytest.mark.parametrize("block", [100, 256, 4096])
def test_recorded_frame_n_is_captured_frame_n_of_every_stem(device: ScriptedDevice, tmp_path: Path, block: int) -> None:
    session = session_on(device, record=tmp_path / "takes", block_frames=block)
    run(session, device, RATE)
    length = assert_is_heard(device, tmp_path / "takes" / "take-001", GAINS)
    stats = session.stats()
    # All that came out of the model, and none of the silence before.
    assert length == stats.frames - stats.latency.processor.total_frames > RATE // 2
    # Told as it is at the end, when the files are complete.
    assert stats.recording is not None
    assert (stats.recording.state, stats.recording.error) == ("closed", None)
    assert (stats.recording.frames_written, stats.recording.frames_lost) == (length, 0)
    assert stats.as_dict()["recording"]["frames_written"] == length


def test_controls_are_heard_and_not_recorded(device: ScriptedDevice, tmp_path: Path) -> None:
    def configure(mixer: object) -> None:
        mixer["vocals"].mute = True  # type: ignore[index]

    run(session_on(device, record=tmp_path, configure=configure), device, RATE // 2)
    assert_is_heard(device, tmp_path / "take-001", GAINS)


def test_every_session_makes_a_take_of_its_own(device: ScriptedDevice, tmp_path: Path) -> None:
    for number in (1, 2):
        run(session_on(device, record=tmp_path), device, device.frames + RATE // 4)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["take-001", "take-002"][:number]


@pytest.mark.parametrize("jump_at", [4, 100], ids=["before the first sound", "later"])
def test_after_a_jump_silence_keeps_the_time(device: ScriptedDevice, tmp_path: Path, jump_at: int) -> None:
    processor = processor_on(device)
    processor.hold = (jump_at, lambda: device.advance(RATE // 2))
    session = session_on(device, processor, record=tmp_path, ring_blocks=2)
    run(session, device, 2 * RATE)
    assert device.sound is not None
    stats = session.stats()
    latency = stats.latency.processor.total_frames
    # Block `jump_at` was the last one before the jump; the model kept what it had not given out yet.
    heard_until = (jump_at + 1) * BLOCK
    kept_until = max(0, heard_until - latency)
    heard_again = heard_until + stats.skipped_frames
    assert stats.skipped_frames > RATE // 4
    for name, gain in GAINS.items():
        sound = recorded(tmp_path / "take-001", name)
        wanted = gain * device.sound[:, : sound.shape[1]]
        wanted[:, kept_until:heard_again] = 0.0
        np.testing.assert_allclose(sound, wanted, atol=1e-6)
        assert sound.shape[1] > RATE
    assert stats.recording is not None
    assert (stats.recording.frames_lost, stats.recording.gaps) == (stats.skipped_frames, 1)


def test_a_change_of_model_begins_a_take_with_the_first_frame_that_it_heard(
    device: ScriptedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"vocals": 0.5, "other": 0.5}
    session = session_on(device, record=tmp_path)
    following = processor_on(device, IdentitySeparator(others, sample_rate=RATE, hop_frames=512))
    changing = Changing(monkeypatch, device, session, RATE // 2, following)
    device.events[RATE] = lambda: end(session, device)
    with session:
        first_latency = session.latency.processor.total_frames
        session.wait(PATIENCE_S)
        changing.join()
    first = assert_is_heard(device, tmp_path / "take-001", GAINS)
    second = assert_is_heard(device, tmp_path / "take-002", others, begin=changing.heard_from)
    # The first take goes on to the end of the fade, so the two overlap.
    assert first + first_latency > changing.heard_from
    assert changing.heard_from + second == session.stats().frames - session.latency.processor.total_frames
    assert session.stats().recording is not None
    assert session.stats().recording.frames_written == first + second  # type: ignore[union-attr]


def test_a_full_disk_ends_the_recording_and_not_the_sound(
    device: ScriptedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    disk.room_bytes = 200_000
    monkeypatch.setattr("engine.files.writer._open_new", disk.open)
    session = session_on(device, record=tmp_path)
    run(session, device, 2 * RATE)
    assert returned(device, session.latency.total_frames - sum(STATED)).all()
    stats = session.stats()
    assert stats.recording is not None
    assert stats.recording.state == "error"
    assert str(stats.recording.error).endswith("no space left: free some or choose a folder on another disk")
    assert stats.as_dict()["recording"]["error"] == stats.recording.error
    # What was written before it is kept, and right.
    assert 0 < assert_is_heard(device, tmp_path / "take-001", GAINS) == stats.recording.frames_written
    assert session.error is None


def test_a_folder_that_takes_nothing_is_told_before_the_sound_begins(device: ScriptedDevice, tmp_path: Path) -> None:
    folder = tmp_path / "a file"
    folder.write_text("in the way")
    with pytest.raises(OutputError, match="cannot take a recording"):
        session_on(device, record=folder).start()
    # This is refused while a stream is open.
    list_devices(refreshes=True)


def test_a_session_that_cannot_begin_leaves_no_take(device: ScriptedDevice, tmp_path: Path) -> None:
    def configure(mixer: object) -> None:
        mixer["piano"]  # type: ignore[index]

    with pytest.raises(ConfigurationError, match="stem 'piano' is unknown"):
        session_on(device, record=tmp_path / "takes", configure=configure).start()
    assert not list((tmp_path / "takes").iterdir())
    list_devices(refreshes=True)
