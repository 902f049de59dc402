"""A capture's clock goes on while no packets come, and packets that come back find their place in time."""

from __future__ import annotations

import threading
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from streamer.audio.loopback.packets import PacketRing
from tests.streamer.audio.loopback.hand_clock import RATE, HandClock

F32 = npt.NDArray[np.float32]
PACKET = 480
PATIENCE = 3 * PACKET


class Source:
    """Packets of a counter, one sample apart, whose value tells the frame."""

    def __init__(self, *, patience: bool = True, channels: int = 2, source_channels: int = 2) -> None:
        self.clock = HandClock()
        self.ring = PacketRing(
            sample_rate=RATE,
            source_channels=source_channels,
            channels=channels,
            patience_s=PATIENCE / RATE if patience else None,
            clock=self.clock,
        )
        self.ring.begin()
        self.frames = 0
        self._source_channels = source_channels

    def packet(self, frames: int = PACKET, *, takes: bool = True) -> None:
        """Bring frames, as a rule after the time that they last."""
        if takes:
            self.clock.advance(frames)
        counted = np.arange(self.frames + 1, self.frames + 1 + frames, dtype=np.float32)
        self.frames += frames
        self.ring.append(np.repeat(counted[:, None], self._source_channels, axis=1))

    def heard(self, begin: int, end: int) -> F32:
        out = np.full((2, end - begin), np.nan, np.float32)
        assert self.ring.copy(begin, out)
        return out[0]


def test_packets_come_out_as_they_came_in() -> None:
    source = Source()
    for _ in range(10):
        source.packet()
    assert source.ring.written == 10 * PACKET
    np.testing.assert_array_equal(source.heard(0, 10 * PACKET), np.arange(1, 10 * PACKET + 1))


def test_frames_that_are_gone_or_not_there_yet_are_not_given() -> None:
    source = Source()
    out = np.zeros((2, PACKET), np.float32)
    source.packet()
    assert not source.ring.copy(1, out)
    for _ in range(400):
        source.packet()
    assert not source.ring.copy(0, out)


def test_before_anything_is_played_there_is_silence_and_time_goes_on() -> None:
    source = Source()
    assert source.ring.written == 0
    source.clock.advance(RATE)
    assert source.ring.written == RATE - PATIENCE
    assert not source.heard(0, RATE - PATIENCE).any()


def test_the_clock_goes_on_in_silence_without_a_jump_and_never_falls() -> None:
    source = Source()
    source.packet()
    seen = []
    for _ in range(1000):
        source.clock.advance(48)
        seen.append(source.ring.written)
    steps = np.diff(seen)
    assert set(steps.tolist()) <= {0, 48}
    assert seen[0] == PACKET
    assert seen[-1] == PACKET + 48_000 - PATIENCE


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize("silence", [PATIENCE + 1, 5 * PACKET + 7, 3 * RATE, 100 * RATE, 10_000 * RATE])
def test_what_is_played_after_silence_is_where_the_clock_is(silence: int, looks: bool) -> None:
    source = Source()
    source.packet()
    source.clock.advance(silence)
    told = source.ring.written if looks else 0
    source.packet()
    end = source.ring.written
    assert end == 2 * PACKET + silence
    assert end - PACKET >= told
    np.testing.assert_array_equal(source.heard(end - PACKET, end), np.arange(PACKET + 1, 2 * PACKET + 1))
    before = min(silence, RATE)
    assert not source.heard(end - PACKET - before, end - PACKET).any()


def test_silence_that_was_told_is_never_written_over_with_sound() -> None:
    source = Source()
    source.packet()
    source.clock.advance(10 * PACKET)
    told = source.ring.written
    source.packet(8 * PACKET, takes=False)
    assert not source.heard(PACKET, told).any()
    assert source.heard(told, told + 1) == PACKET + 1


def test_packets_that_were_only_late_do_not_put_the_clock_ahead() -> None:
    source = Source()
    source.packet()
    source.clock.advance(20 * PACKET)
    for _ in range(20):
        source.packet(takes=False)
    for _ in range(50):
        source.packet()
    ahead = source.ring.written - 71 * PACKET
    assert 0 <= ahead <= PATIENCE
    assert source.ring.dropped_frames >= 20 * PACKET - PATIENCE - PACKET
    end = source.ring.written
    np.testing.assert_array_equal(source.heard(end - 10 * PACKET, end), np.arange(61 * PACKET + 1, 71 * PACKET + 1))


def test_a_device_whose_clock_is_fast_loses_nothing() -> None:
    source = Source()
    source.clock.advance(10 * PACKET)
    for _ in range(6000):
        source.clock.advance(PACKET * 0.999)
        source.packet(takes=False)
    assert source.ring.dropped_frames == 0
    assert source.frames == 6000 * PACKET


def test_without_patience_the_clock_stands_when_nothing_comes() -> None:
    source = Source(patience=False)
    source.packet()
    source.clock.advance(RATE)
    assert source.ring.written == PACKET
    source.packet()
    assert source.ring.written == 2 * PACKET


def test_more_channels_are_mixed_down() -> None:
    source = Source(source_channels=6)
    source.packet(10_000)
    gain = 1.0 + 2.0 * np.sqrt(0.5)
    np.testing.assert_allclose(source.heard(0, 10_000), gain * np.arange(1, 10_001), rtol=1e-6)


@pytest.mark.parametrize("source_channels", [2, 6])
def test_no_array_is_allocated_for_a_packet(source_channels: int) -> None:
    source = Source(source_channels=source_channels)
    packet = np.zeros((PACKET, source_channels), np.float32)
    out = np.zeros((2, PACKET), np.float32)

    def go_on() -> None:
        source.clock.advance(PACKET)
        source.ring.append(packet)
        assert source.ring.copy(source.ring.written - PACKET, out)

    go_on()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(100):
            go_on()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < 4 * PACKET


def test_a_reader_in_another_thread_never_sees_the_clock_fall_or_run_ahead() -> None:
    source = Source()
    end = threading.Event()
    wrong: list[tuple[int, int]] = []

    def read() -> None:
        last = 0
        while not end.is_set():
            before = source.ring.written
            latest = round(source.clock.frames)
            if before < last or before > latest:
                wrong.append((before, latest))
            last = before

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(2000):
        if number % 10 == 0:
            source.clock.advance(10 * PACKET)
        source.packet()
    end.set()
    thread.join()
    assert not wrong
