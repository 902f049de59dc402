"""One model takes over from another while the sound goes on: to the sample, without a gap, or not at all."""

from __future__ import annotations

import shutil
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import (
    CapacityError,
    ConfigurationError,
    LatencyError,
    LifecycleError,
    OutputError,
    StemstreamError,
)
from streamer import StemProcessor
from streamer.audio.stream import StreamFormat
from streamer.chain import Chain
from streamer.events import EventLog
from streamer.live_format import open_stream
from streamer.mixer import Mixer
from streamer.pump import Pump
from streamer.testing import DelaySeparator, IdentitySeparator
from streamer.turnover import TURNOVER_S, Turnover
from tests.streamer.scripted_device import LOOP, RATE, STATED, ScriptedDevice
from tests.streamer.scripted_session import BLOCK, PATIENCE_S, Changing, Held, end, processor_on, returned, session_on

F32 = npt.NDArray[np.float32]
FADE = round(TURNOVER_S * RATE)
OTHERS = {"vocals": 0.5, "bass": 0.25, "other": 0.25}


def quicker(device: ScriptedDevice, **options: Any) -> Held:
    """Another model, with a shorter hop and so a smaller latency."""
    return processor_on(
        device, IdentitySeparator(OTHERS, sample_rate=RATE, hop_frames=512, lookahead_frames=0), **options
    )


def slower(device: ScriptedDevice, **options: Any) -> Held:
    """A model of another kind, with more latency."""
    return processor_on(
        device, DelaySeparator(OTHERS, sample_rate=RATE, hop_frames=2048, lookahead_frames=4096), **options
    )


def delayed(device: ScriptedDevice, frames: int, count: int) -> F32:
    """What is heard, so many frames late."""
    assert device.sound is not None
    return np.pad(device.sound, ((0, 0), (frames, 0)))[:, :count]


def expected(device: ScriptedDevice, old: int, new: int, heard_from: int, count: int) -> F32:
    """What comes out of a change between two latencies, on the axis of what was captured."""
    weights = np.clip((np.arange(count) - heard_from - new + 1) / FADE, 0.0, 1.0)
    return weights * delayed(device, new, count) + (1.0 - weights) * delayed(device, old, count)


def test_until_the_fade_it_is_the_old_model_and_after_it_the_new_one_to_the_sample(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    for make in (quicker, slower):
        device.frames = 0
        device.clock.frames = 0
        session = session_on(device, engine=engine)
        changing = Changing(monkeypatch, device, session, RATE // 2, make(device), cause="a test")
        device.events[RATE + RATE // 2] = lambda session=session: end(session, device)  # type: ignore[misc]
        with session:
            old = session.latency
            session.wait(PATIENCE_S)
            changing.join()
            new = session.latency
            assert session.stats().processor.coverage == 1.0
        assert changing.error is None
        ring = old.ring_frames
        played = device.kept[:, ring:]
        wanted = expected(
            device, old.processor.total_frames, new.processor.total_frames, changing.heard_from, played.shape[1]
        )
        np.testing.assert_allclose(played, wanted, atol=1e-6)
        # The sound of both was there: neither a hole nor the one alone would have passed.
        assert changing.heard_from + new.processor.total_frames + FADE + RATE // 4 < played.shape[1]
        stats = session.stats()
        assert (stats.xruns, stats.lost_frames, stats.epochs) == (0, 0, 1)
        told = f"{1000 * old.total_s:.1f} ms became {1000 * new.total_s:.1f} ms"
        assert changing.event is not None
        assert changing.event.text == f"{make(device).spec.name} took over (a test): {told}"
        assert session.events() == (changing.event,)


def test_a_change_allocates_no_array_for_a_block(device: ScriptedDevice) -> None:
    block = 2048

    def chain() -> Chain:
        processor = processor_on(device).prepare(sample_rate=RATE, channels=2, max_block_frames=block)
        return Chain(
            processor,
            Mixer(processor.stems, channels=2, sample_rate=RATE, max_block_frames=block),
            block_frames=block,
        )

    turnover = Turnover(chain(), device_channels=2, block_frames=block, fade_frames=5_000)
    stream = open_stream(StreamFormat(LOOP, LOOP, RATE, 2, 2, block, 2), "callback", clock=device)
    pump = Pump(
        stream,
        turnover,
        sample_rate=RATE,
        block_frames=block,
        ring_frames=2 * block,
        jump_frames=RATE,
        end=threading.Event(),
        events=EventLog(),
        clock=device,
    )
    following, handed_over = chain(), threading.Event()
    takes_over = threading.Thread(target=lambda: turnover.take_over(following, lambda: bool(handed_over.set())))
    stream.start()
    peaks = []
    for number in range(40):
        if number == 20:
            takes_over.start()
            assert handed_over.wait(PATIENCE_S)
            tracemalloc.start()
        device.advance(block)
        if number < 20:
            assert pump.step()
            continue
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        assert pump.step()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
        if turnover.chain is following:
            break
    tracemalloc.stop()
    takes_over.join(PATIENCE_S)
    stream.close(1.0)
    turnover.release()
    # It lasted for the latency and the fade, and one channel of a block would be 8 kB. During the last block another
    # thread sums up what the old chain counted, and lets go of it.
    assert len(peaks) >= 4
    assert max(peaks[1:-1]) < 6_000, peaks


def test_stems_of_the_same_name_keep_their_controls(device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_on(device)
    changing = Changing(monkeypatch, device, session, RATE // 2, quicker(device))
    with session:
        mixer = session.mixer
        vocals, drums = mixer["vocals"], mixer["drums"]
        vocals.mute = True
        drums.gain_db = -6.0
        mixer["other"].gain_db = -20 * np.log10(2)
        device.events[RATE] = lambda: end(session, device)
        session.wait(PATIENCE_S)
        changing.join()
        assert session.mixer is not mixer
        assert list(session.mixer) == ["vocals", "bass", "other"]
        assert session.mixer["vocals"] is vocals
        assert (vocals.mute, session.mixer["bass"].gain_db) == (True, 0.0)
        vocals.mute = False
        assert not session.mixer["vocals"].mute
    delay = session.latency.processor.total_frames
    tail = device.kept[:, -RATE // 8 :]
    at = device.kept.shape[1] - session.latency.ring_frames - RATE // 8
    # No vocals, the bass as it comes, and half of the rest.
    np.testing.assert_allclose(tail, 0.375 * delayed(device, delay, at + RATE // 8)[:, at:], atol=1e-6)


def test_solo_and_bypass_stay_and_are_those_of_both_mixers(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_on(device)
    changing = Changing(monkeypatch, device, session, RATE // 2, quicker(device))
    with session:
        before = session.mixer
        before["vocals"].solo = True
        # Set on the way, when the new mixer was made already.
        changing.then = lambda: setattr(before, "bypass", True)
        device.events[RATE + RATE // 2] = lambda: end(session, device)
        session.wait(PATIENCE_S)
        changing.join()
        assert session.mixer["vocals"].solo
        assert session.mixer.bypass
        before.bypass = False
        assert not session.mixer.bypass
    delay = session.latency.total_frames - sum(STATED)
    # In bypass all is heard, whatever is soloed.
    assert returned(device, delay, begin=3 * RATE // 4 - delay).all()


def impossible(
    device: ScriptedDevice, case: str, folder: Path, used: StemProcessor
) -> tuple[StemProcessor, dict[str, Any]]:
    """Give a processor for a change that is not possible."""
    if case == "no time for the model":
        return quicker(device), {"latency_s": 0.02}
    if case == "no latency":
        return quicker(device), {"latency_s": "50"}
    if case == "too slow":
        return quicker(device, run_s=[1.0] * 20), {}
    if case == "no such stem":
        return processor_on(device, IdentitySeparator({"bass": 0.5, "other": 0.5}, sample_rate=RATE)), {}
    if case == "no folder":
        shutil.rmtree(folder)
        folder.write_text("in the way")
        return quicker(device), {}
    if case == "it waits":
        return StemProcessor(IdentitySeparator(sample_rate=RATE)), {}
    return used, {}


@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        ("no time for the model", LatencyError, "20 ms from end to end are too little for 'identity'"),
        ("no latency", ConfigurationError, "latency_s='50' is not a latency"),
        ("too slow", CapacityError, "'identity' takes 1000.0 ms"),
        ("no such stem", ConfigurationError, "stem 'drums' is unknown"),
        ("no folder", OutputError, "cannot take a recording"),
        ("it waits", ConfigurationError, "make its processor with realtime=True"),
        ("in use", LifecycleError, "this processor is in use already: make another one"),
    ],
)
def test_a_refused_change_leaves_the_session_as_it_was(
    device: ScriptedDevice, tmp_path: Path, case: str, kind: type[StemstreamError], words: str
) -> None:
    takes = tmp_path / "takes"
    settings: dict[str, Any] = {"outputs": "drums=1 mix=2"} if case == "no such stem" else {}
    used = processor_on(device, run_s=[0.001])
    session = session_on(device, used, record=takes, **settings)
    with session:
        before = (session.mixer, session.latency, session.capacity, session.warning)
        processor, options = impossible(device, case, takes, used)
        with pytest.raises(kind, match=words):
            session.change(processor, **options)
        assert (session.mixer, session.latency, session.capacity, session.warning) == before
        if case != "in use":
            with pytest.raises(LifecycleError, match="not prepared"):
                processor.stats()
        if case != "no folder":
            assert [each.name for each in takes.iterdir()] == ["take-001"]
        device.events[device.frames + RATE // 2] = lambda: end(session, device)
        session.wait(PATIENCE_S)
    if not settings:
        assert returned(device, session.latency.total_frames - sum(STATED)).all()
    assert session.events() == ()
    assert session.stats().epochs == 1


def test_a_session_that_ends_during_a_change_lets_go_of_both(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = processor_on(device), quicker(device)
    session = session_on(device, first, record=tmp_path)
    changing = Changing(monkeypatch, device, session, RATE // 2, second)
    changing.then = session.stop
    with session:
        session.wait(PATIENCE_S)
        changing.join()
        assert isinstance(changing.error, LifecycleError)
        assert str(changing.error) == "the session ended before the change was done"
        with pytest.raises(LifecycleError, match="not prepared"):
            second.stats()
        first.stats()
        with pytest.raises(LifecycleError, match="the session has ended"):
            session.change(quicker(device))
    with pytest.raises(LifecycleError, match="not prepared"):
        first.stats()
    assert session.events() == ()


def test_an_interrupted_change_is_let_go_of_at_the_end(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = processor_on(device), quicker(device)
    session = session_on(device, first, record=tmp_path)

    def interrupt(turnover: Turnover, chain: Chain, has_ended: Any) -> bool:
        def stop() -> bool:
            raise KeyboardInterrupt

        device.is_alive = False
        return take_over(turnover, chain, stop)

    take_over = Turnover.take_over
    monkeypatch.setattr(Turnover, "take_over", interrupt)
    # No block comes, so the change cannot be done before it is interrupted.
    monkeypatch.setattr(Turnover, "finish", lambda turnover: None)
    with pytest.raises(KeyboardInterrupt), session:
        session.change(second)
    for processor in (first, second):
        with pytest.raises(LifecycleError, match="not prepared"):
            processor.stats()
    assert not [each for each in threading.enumerate() if each.name == "stemstream-recorder"]


def test_two_changes_at_once_are_refused(device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    third = quicker(device)
    session = session_on(device)
    changing = Changing(monkeypatch, device, session, RATE // 2, slower(device))

    def ask_again() -> None:
        with pytest.raises(LifecycleError, match="another model is taking over already: wait until it has"):
            session.change(third)
        asked.append(True)

    asked: list[bool] = []
    changing.then = ask_again
    device.events[RATE] = lambda: end(session, device)
    with session:
        session.wait(PATIENCE_S)
        changing.join()
    assert asked
    assert changing.event is not None
    with pytest.raises(LifecycleError, match="not prepared"):
        third.stats()


def test_a_chain_that_comes_too_late_for_its_turn_is_released(device: ScriptedDevice) -> None:
    def chain() -> Chain:
        processor = processor_on(device).prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
        mixer = Mixer(processor.stems, channels=2, sample_rate=RATE, max_block_frames=BLOCK)
        return Chain(processor, mixer, block_frames=BLOCK)

    turnover = Turnover(chain(), device_channels=2, block_frames=BLOCK, fade_frames=100)
    refused_chain = chain()

    def meanwhile() -> bool:
        with pytest.raises(LifecycleError, match="taking over already"):
            turnover.take_over(refused_chain, lambda: True)
        return True

    assert not turnover.take_over(chain(), meanwhile)
    with pytest.raises(LifecycleError, match="not prepared"):
        refused_chain.processor.stats()
    turnover.release()


def test_a_chain_that_is_looked_at_is_not_released_meanwhile(device: ScriptedDevice) -> None:
    processor = processor_on(device).prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK)
    mixer = Mixer(processor.stems, channels=2, sample_rate=RATE, max_block_frames=BLOCK)
    is_near = threading.Event()

    class Watched(Chain):
        def finish_recording(self) -> None:
            super().finish_recording()
            is_near.set()

    turnover = Turnover(
        Watched(processor, mixer, block_frames=BLOCK), device_channels=2, block_frames=BLOCK, fade_frames=9
    )
    releases = threading.Thread(target=turnover.release)
    with turnover.kept() as chain:
        releases.start()
        assert is_near.wait(PATIENCE_S)
        for _ in range(100):
            chain.processor.stats()
    releases.join(PATIENCE_S)
    with pytest.raises(LifecycleError, match="not prepared"):
        processor.stats()


def test_after_a_jump_during_a_change_the_new_model_is_heard_at_its_place(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, begun = processor_on(device), RATE // 2
    # Half a second is lost in the middle of the change.
    first.hold = (begun // BLOCK + 4, lambda: device.advance(RATE // 2))
    session = session_on(device, first, ring_blocks=2)
    changing = Changing(monkeypatch, device, session, begun, slower(device))
    device.events[2 * RATE] = lambda: end(session, device)
    with session:
        old = session.latency.total_frames - sum(STATED)
        session.wait(PATIENCE_S)
        changing.join()
    assert changing.event is not None
    assert [event.kind for event in session.events()] == ["jump", "latency"]
    assert session.stats().epochs == 2
    new = session.latency.total_frames - sum(STATED)
    assert returned(device, old, end=begun + 4 * BLOCK - old).all()
    assert returned(device, new, begin=begun + RATE // 2 + old + FADE + 10 * BLOCK).all()
    # The change begins anew: until the new model has something to give, it is the old one.
    epoch = begun // BLOCK * BLOCK + 5 * BLOCK + session.stats().skipped_frames
    heard = slice(epoch + 10 * BLOCK, epoch + new - old)
    assert heard.stop - heard.start > 4 * BLOCK
    assert device.sound is not None
    played = device.kept[:, heard.start + old : heard.stop + old]
    np.testing.assert_allclose(played, device.sound[:, heard], atol=1e-6)
    # Nothing of the time before the jump is heard again: silence lasts for the latency.
    silent = device.kept[:, begun + 8 * BLOCK : begun + RATE // 2 + min(old, new)]
    assert not silent.any()


@pytest.mark.parametrize("asked_at", [RATE, 3 * RATE], ids=["before it was lost", "while it was lost"])
def test_a_change_needs_no_device_and_is_heard_when_it_is_back(
    device: ScriptedDevice, monkeypatch: pytest.MonkeyPatch, asked_at: int
) -> None:
    session = session_on(device)
    changing = Changing(monkeypatch, device, session, asked_at, quicker(device))

    def die() -> None:
        device.is_alive = False

    def revive() -> None:
        changing.join()
        device.is_alive = True

    device.events |= {RATE + 2 * BLOCK: die, 5 * RATE: revive, 6 * RATE: lambda: end(session, device)}
    with session:
        session.wait(PATIENCE_S)
    assert changing.event is not None
    kinds = [event.kind for event in session.events()]
    assert [kind for kind in kinds if kind != "lost"] == ["latency", "returned"]
    assert returned(device, session.latency.total_frames - sum(STATED)).all()
    assert session.mixer.stems == ("vocals", "bass", "other")
