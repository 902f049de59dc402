"""What a session counted is not forgotten when another model takes over, and nobody's processor is taken away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import LifecycleError
from streamer import StemProcessor
from streamer.recorder import RecorderStats
from streamer.testing import IdentitySeparator
from streamer.totals import add_recordings
from tests.streamer.scripted_device import RATE, ScriptedDevice
from tests.streamer.scripted_session import (
    BLOCK,
    PATIENCE_S,
    Changing,
    Held,
    TimedWorker,
    end,
    processor_on,
    run,
    session_on,
)


def another(device: ScriptedDevice) -> Held:
    return processor_on(device, IdentitySeparator(sample_rate=RATE, hop_frames=512, lookahead_frames=0))


def changed(device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, **options: Any) -> dict[str, Any]:
    """Run a session with a change half-way; gives its stats before the change and at the end."""
    session = session_on(device, **options)
    seen: dict[str, Any] = {}
    device.events[RATE // 2 - BLOCK] = lambda: seen.update(before=session.stats())
    changing = Changing(monkeypatch, device, session, RATE // 2, another(device))
    device.events[RATE] = lambda: end(session, device)
    with session:
        session.wait(PATIENCE_S)
        changing.join()
    assert changing.error is None
    return seen | {"after": session.stats(), "session": session}


def test_a_change_adds_to_what_the_processors_before_it_counted(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.sound = np.full((2, 4 * RATE), 2.0, np.float32)
    device.sound[:, 1000:1010] = np.nan
    seen = changed(device, monkeypatch)
    before, after = seen["before"], seen["after"]
    assert before.processor.non_finite_input_samples == after.processor.non_finite_input_samples == 20
    # All that came while both heard counts for both.
    assert after.processor.frames > after.frames > 0
    assert after.processor.blocks >= after.blocks
    assert after.processor.windows > before.processor.windows
    # Every sample of the output was beyond full scale, on both sides of the change.
    assert before.clipped_samples > 0
    assert after.clipped_samples > 2 * (after.frames - 2 * after.latency.total_frames)


def test_coverage_over_a_change_is_that_of_all_frames(device: ScriptedDevice) -> None:
    run(session := session_on(device), device, RATE // 2)
    whole = session.stats().processor
    good = replace(whole, final_frames=900, late_frames=0, provisional_frames=0, mixture_frames=100, misses=2)
    bad = replace(good, final_frames=0, provisional_frames=100, mixture_frames=900, misses=5, compute_p99_s=0.5)
    total = good + bad
    assert (total.coverage, total.misses, total.blocks) == (0.5, 7, 2 * whole.blocks)
    assert total.compute_p99_s == 0.5


def test_the_recording_of_a_session_is_the_sum_of_its_takes(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stats = changed(device, monkeypatch, record=tmp_path)["after"]
    takes = sorted(tmp_path.iterdir())
    assert [take.name for take in takes] == ["take-001", "take-002"]
    lengths = [soundfile.info(take / "vocals.wav").frames for take in takes]
    assert min(lengths) > 0
    assert stats.takes == 2
    assert (stats.recording.frames_written, stats.recording.state) == (sum(lengths), "closed")


def test_an_error_of_an_earlier_take_is_kept() -> None:
    failed = RecorderStats("error", 100, 20, 1, "the disk is full")
    fine = RecorderStats("recording", 300, 1, 2, None)
    assert add_recordings(failed, fine) == RecorderStats("recording", 400, 21, 3, "the disk is full")
    assert add_recordings(None, fine) == add_recordings(fine, None) == fine
    assert add_recordings(None, None) is None


def test_the_recording_is_told_without_counting_all_else(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = session_on(device, record=tmp_path)
    with session:
        session.wait(0.0)
        with monkeypatch.context() as patch:
            patch.delattr(StemProcessor, "stats")
            recording = session.recording
    assert recording is not None
    assert recording.state == "recording"
    assert session.recording is not None
    assert session.recording.state == "closed"


def test_a_processor_that_is_prepared_already_is_not_taken(device: ScriptedDevice) -> None:
    processor = processor_on(device)
    with processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK):
        latency = processor.latency_frames
        with pytest.raises(LifecycleError, match=r"prepared already.*release it, or make another one"):
            session_on(device, processor).start()
        assert processor.latency_frames == latency


def test_a_change_to_a_processor_that_is_prepared_already_is_refused_and_the_sound_goes_on(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = another(device).prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    session = session_on(device)
    changing = Changing(monkeypatch, device, session, RATE // 2, processor)
    run(session, device, RATE)
    changing.join()
    assert isinstance(changing.error, LifecycleError)
    assert "prepared already" in str(changing.error)
    assert processor.is_prepared
    assert session.stats().processor.coverage == 1.0


def test_a_processor_that_the_program_released_does_not_cover_its_own_error(device: ScriptedDevice) -> None:
    processor = processor_on(device)
    session = session_on(device, processor)

    def fail_on_its_own() -> None:
        with session:
            session.stop()
            assert session.wait(PATIENCE_S)
            processor.release()
            raise ZeroDivisionError("the program's own")

    with pytest.raises(ZeroDivisionError, match="the program's own"):
        fail_on_its_own()
    assert not processor.is_prepared


@pytest.mark.parametrize("shares", [True, False])
def test_a_change_on_a_shared_worker_does_not_make_the_sound_wait_for_a_measurement(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, shares: bool
) -> None:
    workers = [TimedWorker(device.clock, [0.001] * 20) for _ in range(2)]
    first, second = (
        StemProcessor(
            IdentitySeparator(sample_rate=RATE), realtime=True, worker=workers[0 if shares else n], clock=device.now
        )
        for n in range(2)
    )
    session = session_on(device, first)
    changing = Changing(monkeypatch, device, session, RATE // 2, second)
    device.events[RATE] = lambda: end(session, device)
    with session:
        assert session.capacity is not None
        session.wait(PATIENCE_S)
        changing.join()
        assert changing.error is None
    assert sum(len(worker.asked) for worker in workers) == (1 if shares else 2)
    assert (session.capacity is None) == shares
