"""A stream on two devices with two clocks keeps its latency to a millisecond and its sound clean, whatever they do."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from engine.errors import DeviceError, DeviceLostError
from engine.ring import FrameRing
from streamer.audio import portaudio
from streamer.audio.stream import StreamFormat
from streamer.audio.two_clock_stream import TwoClockStream
from streamer.audio.two_devices import open_two_clock_stream
from tests.streamer.audio.scripted_clocks import Side, TwoClocks, device_of, rtmixer_of, sounddevice_of

F64 = npt.NDArray[np.float64]
RATE, TONE_HZ = 48_000, 440.0
PROMISE_S = 0.001


def tone(moments: F64) -> F64:
    sound: F64 = 0.5 * np.sin(2 * np.pi * TONE_HZ * moments)
    return sound


def chirps(moments: F64) -> F64:
    """One sweep each quarter of a second, no two of them alike in time."""
    since = moments % 0.25
    sound: F64 = 0.5 * np.sin(2 * np.pi * (300 * since + 12_000 * since**2)) * (since < 0.1)
    return sound


class Rig:
    """Two scripted devices, a stream on them, and a pump that gives back what it reads."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        ppm: float = 200.0,
        input_rate: int = RATE,
        periods: tuple[int, int] = (480, 512),
        block: int = 512,
        ring_blocks: int = 3,
        jitter_s: float = 0.0,
        oversleep_s: float = 0.0,
        signal: Callable[[F64], F64] = tone,
        engine: str = "callback",
        channels: int = 1,
    ) -> None:
        self.input = Side(rate=input_rate, ppm=ppm, period=periods[0], begin_s=0.0031, jitter_s=jitter_s)
        self.output = Side(rate=RATE, ppm=0.0, period=periods[1], begin_s=0.0, jitter_s=jitter_s, seed=7)
        self.clocks = TwoClocks(self.input, self.output, signal, channels=channels, oversleep_s=oversleep_s)
        sounddevice = sounddevice_of(self.clocks)
        monkeypatch.setitem(sys.modules, "sounddevice", sounddevice)
        monkeypatch.setitem(sys.modules, "rtmixer", rtmixer_of(sounddevice))
        self.asked = StreamFormat(
            device_of(self.input, 0, "input"),
            device_of(self.output, 1, "output"),
            RATE,
            channels,
            channels,
            block,
            ring_blocks,
        )
        self.stream: TwoClockStream = open_two_clock_stream(self.asked, engine=engine, clock=self.clocks)  # type: ignore[arg-type]
        self.busy_s: Callable[[], float] = lambda: 0.0
        """For how long the pump is busy with a block."""
        self.skipped = 0

    def run(self, seconds: float) -> Rig:
        if self.clocks.on_output is None:
            self.stream.start()
        ends = self.clocks.now() + seconds
        while self.clocks.now() < ends:
            self.skipped += self.stream.catch_up(RATE // 4)
            if self.stream.wait(0.1):
                block = self.stream.read().copy()
                if busy_s := self.busy_s():
                    self.clocks.advance(busy_s)
                self.stream.write(block)
        return self

    @property
    def promised_s(self) -> float:
        return (self.asked.ring_frames + self.stream.bridge_frames) / RATE

    def delays_s(self, window: int = 960) -> tuple[F64, F64]:
        """Give the latency of each window of the tone that is not silent, and its moment."""
        sound = self.clocks.sound[0].astype(np.float64)
        moments = self.clocks.moments
        turned = sound * np.exp(-2j * np.pi * TONE_HZ * moments)
        n = len(sound) // window
        turned, loud = (each[: n * window].reshape(n, window) for each in (turned, sound))
        # A window of Hann keeps the image at twice the frequency out.
        mean = turned @ np.hanning(window)
        heard = np.sqrt(np.mean(loud**2, axis=1)) > 0.3
        phase = np.angle(mean[heard] * 1j * np.exp(2j * np.pi * TONE_HZ * self.promised_s))
        return -phase / (2 * np.pi * TONE_HZ), moments[::window][:n][heard]

    def dirt_db(self) -> float:
        """Give the loudest second of what is not the tone, against the tone: clicks are everywhere in a spectrum."""
        sound = self.clocks.sound[0].astype(np.float64)
        first = int(np.argmax(np.abs(sound) > 0.1)) + RATE // 10
        worst = -200.0
        for begin in range(first, len(sound) - RATE, RATE):
            spectrum = np.abs(np.fft.rfft(sound[begin : begin + RATE] * np.blackman(RATE))) ** 2
            near = np.zeros(len(spectrum), bool)
            near[int(TONE_HZ) - 30 : int(TONE_HZ) + 30] = True
            worst = max(worst, 10 * np.log10(spectrum[~near].sum() / spectrum[near].sum()))
        return worst


def check(rig: Rig, *, after_s: float = 0.0) -> None:
    off_s, moments = rig.delays_s()
    off_s = off_s[moments > after_s]
    assert len(off_s) > 40
    assert np.abs(off_s).max() <= PROMISE_S, (off_s.min(), off_s.max())


def chirp_delays_s(rig: Rig) -> F64:
    """Give the latency of each chirp, by correlation with what was sent."""
    sound = rig.clocks.sound[0].astype(np.float64)
    moments = rig.clocks.moments
    found = []
    length, furthest = RATE // 4, 240
    for begin in range(RATE, len(sound) - length - furthest, length):
        sent = chirps(moments[begin : begin + length] - rig.promised_s)
        match = np.correlate(sound[begin - furthest : begin + length + furthest], sent, "valid")
        best = int(np.argmax(match))
        assert match[best] > 0.9 * (sent @ sent)
        found.append((best - furthest) / RATE)
    assert len(found) > 8
    return np.array(found)


def cents(rig: Rig, after_s: float = 0.0) -> float:
    """Give the largest deviation of the pitch over half a second."""
    off_s, moments = rig.delays_s(RATE // 2)
    off_s, moments = off_s[moments > after_s], moments[moments > after_s]
    return float(1200 * np.log2(1 + np.abs(np.diff(off_s) / np.diff(moments)).max()))


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_five_minutes_at_either_end_keep_the_latency_and_the_sound_clean(
    monkeypatch: pytest.MonkeyPatch, ppm: float
) -> None:
    rig = Rig(monkeypatch, ppm=ppm, periods=(1024, 960), block=1024, oversleep_s=0.002).run(300.0)
    check(rig)
    _, moments = rig.delays_s()
    assert moments[-1] - moments[0] > 299
    assert rig.dirt_db() < -80
    assert rig.stream.counters.xruns == 0
    stats = rig.stream.drift
    assert stats.ppm == pytest.approx(ppm, abs=10)
    assert (stats.max_cents < 0.7, stats.jumps) == (True, 0)
    assert cents(rig) < 1.0
    assert cents(rig, after_s=20.0) < 0.25


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
@pytest.mark.parametrize(
    ("input_rate", "periods", "block"),
    [
        (48_000, (256, 480), 256),
        (48_000, (128, 1024), 256),
        (44_100, (441, 512), 512),
        (96_000, (960, 256), 256),
        (16_000, (160, 128), 128),
        (48_000, (2048, 256), 128),
    ],
)
def test_sound_comes_back_at_the_promised_time_whatever_the_periods_and_the_rate(
    monkeypatch: pytest.MonkeyPatch, input_rate: int, periods: tuple[int, int], block: int, engine: str
) -> None:
    rig = Rig(
        monkeypatch,
        input_rate=input_rate,
        periods=periods,
        block=block,
        engine=engine,
        ring_blocks=3 + periods[1] // block,
        signal=chirps,
        oversleep_s=0.001,
        channels=2,
    ).run(5.0)
    off_s = chirp_delays_s(rig)
    assert np.abs(off_s).max() <= PROMISE_S
    assert rig.stream.counters.xruns == 0
    # What a frame waits for: its period, what the converter holds back, and three milliseconds.
    least = (periods[0] + 47) / input_rate + 0.003
    assert rig.stream.bridge_frames >= round(least * RATE)
    assert rig.stream.bridge_frames <= max(least, (block / RATE + 47 / input_rate + 0.003)) * RATE + 100


def test_callbacks_that_come_late_and_a_busy_pump_do_not_move_the_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, periods=(256, 256), block=256, jitter_s=0.002, oversleep_s=0.001)
    random = np.random.default_rng(5)
    rig.busy_s = lambda: 0.005 * random.random()
    rig.run(30.0)
    check(rig)
    assert rig.stream.counters.xruns == 0
    assert rig.stream.drift.jumps == 0
    assert rig.dirt_db() < -80
    assert cents(rig) < 1.5
    assert cents(rig, after_s=20.0) < 0.5


def test_stamps_tell_the_latency_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch).run(4.0)
    stream = rig.stream
    measured = stream.rendered_frame - stream.captured_frame
    assert measured == pytest.approx(rig.asked.ring_frames + stream.bridge_frames, abs=48)
    assert 0 < stream.margin_frames <= rig.asked.ring_frames
    assert stream.latency.input_frames == stream.latency.output_frames == 48


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
def test_an_input_that_is_held_up_is_silent_for_so_long_and_then_where_it_was(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    rig = Rig(monkeypatch, engine=engine).run(4.0)
    rig.input.held_until_s = rig.clocks.now() + 0.15
    before_s = rig.clocks.now()
    rig.run(4.0)
    counters, stats = rig.stream.counters, rig.stream.drift
    assert (counters.underruns, counters.overflows, stats.jumps) == (1, 0, 0)
    assert counters.lost_output_frames == pytest.approx(0.14 * RATE, abs=0.02 * RATE)
    check(rig)
    _, moments = rig.delays_s()
    silent_s = np.diff(moments).max()
    assert 0.1 < silent_s < 0.2
    assert before_s < moments[np.argmax(np.diff(moments))] < before_s + 0.2


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
@pytest.mark.parametrize("lost_s", [0.01, 0.1, 0.6])
def test_frames_that_the_input_lost_are_silence_and_what_follows_is_in_its_place(
    monkeypatch: pytest.MonkeyPatch, lost_s: float, engine: str
) -> None:
    rig = Rig(monkeypatch, engine=engine, periods=(240, 480)).run(4.0)
    at_s = rig.clocks.now()
    rig.input.drops_until_s = at_s + lost_s
    rig.run(4.0)
    stats, counters = rig.stream.drift, rig.stream.counters
    assert rig.input.lost >= 0.5 * lost_s * RATE
    assert stats.jumps == 1
    # Short ones come out of the margin.
    assert (counters.underruns >= 1) == (lost_s > 0.05)
    # Until it is sure that frames are lost, and have not only been held up.
    check(rig, after_s=at_s + lost_s + 0.35)
    off_s, moments = rig.delays_s()
    before = off_s[moments < at_s]
    assert np.abs(before).max() < PROMISE_S
    assert moments[-1] > at_s + lost_s + 3.0


@pytest.mark.parametrize("lost_s", [0.02, 0.3])
def test_time_that_the_output_lost_is_skipped_in_the_input(monkeypatch: pytest.MonkeyPatch, lost_s: float) -> None:
    rig = Rig(monkeypatch, block=256, periods=(256, 256)).run(4.0)
    at_s = rig.clocks.now()
    rig.output.drops_until_s = at_s + lost_s
    rig.run(4.0)
    stats, counters = rig.stream.drift, rig.stream.counters
    assert stats.jumps == 1
    assert counters.overflows == 1
    assert counters.lost_input_frames == pytest.approx(rig.output.lost, abs=48)
    check(rig, after_s=at_s + lost_s + 0.35)


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
def test_a_block_that_comes_late_is_lost_and_the_next_ones_are_in_their_place(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    rig = Rig(monkeypatch, engine=engine, block=256, periods=(256, 256), ring_blocks=3).run(4.0)
    holds = [0.1]
    rig.busy_s = lambda: holds.pop() if holds else 0.0
    rig.run(4.0)
    counters = rig.stream.counters
    assert (counters.underruns, counters.overflows, rig.skipped) == (1, 0, 0)
    assert counters.lost_output_frames == pytest.approx(0.1 * RATE - 3 * 256, abs=3 * 256)
    check(rig)
    assert rig.stream.drift.jumps == 0


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
@pytest.mark.parametrize("held_s", [0.5, 3.2, 6.0])
def test_after_a_long_hold_up_old_sound_is_thrown_away_and_latency_is_what_it_was(
    monkeypatch: pytest.MonkeyPatch, held_s: float, engine: str
) -> None:
    rig = Rig(monkeypatch, engine=engine).run(4.0)
    holds = [held_s]
    rig.busy_s = lambda: holds.pop() if holds else 0.0
    at_s = rig.clocks.now()
    rig.run(held_s + 4.0)
    assert rig.skipped > 0
    assert (rig.stream.counters.overflows, rig.stream.drift.jumps) == (1, 0)
    check(rig, after_s=at_s + held_s + 0.7)
    off_s, moments = rig.delays_s()
    assert np.abs(off_s[moments < at_s]).max() < PROMISE_S
    assert moments[-1] > at_s + held_s + 3.8
    # Nothing old is heard meanwhile.
    assert not np.any((moments > at_s + 0.2) & (moments < at_s + held_s - 0.1))


def test_an_input_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch).run(2.0)
    rig.input.is_alive = False
    with pytest.raises(DeviceLostError, match="the device 'scripted input' has stopped: check that it is plugged in"):
        rig.run(2.0)


@pytest.mark.parametrize("direction", ["input", "output"])
def test_a_device_whose_clock_stands_still_is_lost(monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    rig = Rig(monkeypatch).run(2.0)
    getattr(rig, direction).held_until_s = 1e9
    with pytest.raises(DeviceLostError, match=f"the device 'scripted {direction}' has stood still for 1 s"):
        rig.run(3.0)


@pytest.mark.parametrize("direction", ["input", "output"])
def test_a_device_that_does_not_begin_is_refused_but_not_lost(monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    rig = Rig(monkeypatch)
    getattr(rig, direction).held_until_s = 1e9
    with pytest.raises(DeviceError, match="has stood still for 4 s") as caught:
        rig.stream.start()
    assert not isinstance(caught.value, DeviceLostError)


def test_devices_that_keep_no_time_are_refused_instead_of_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch)
    # Faster and faster: no line fits for long.
    monkeypatch.setattr(rig.input, "moment_of", lambda frames: 3.0 * np.log1p(frames / RATE))
    with pytest.raises(DeviceError, match="'scripted input' and 'scripted output' come too unevenly"):
        rig.stream.start()


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
def test_an_input_that_needs_seconds_to_begin_is_waited_for(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    rig = Rig(monkeypatch, engine=engine)
    rig.input.held_until_s = 3.5
    rig.run(6.0)
    check(rig)
    assert rig.stream.counters.xruns == 0


def test_a_hold_up_while_the_devices_begin_does_not_make_the_latency_longer_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = Rig(monkeypatch).run(2.0).stream.bridge_frames
    rig = Rig(monkeypatch)
    rig.clocks.events.append((0.4, lambda: setattr(rig.input, "held_until_s", 0.45)))
    rig.run(4.0)
    assert rig.stream.bridge_frames == pytest.approx(usual, abs=48)
    check(rig, after_s=1.0)


class GivenCapture:
    """A capture that is none of PortAudio's."""

    channels, latency_frames, flags = 1, 441, 0
    error: DeviceLostError | None = None

    def __init__(self, clocks: TwoClocks) -> None:
        self.sample_rate = clocks.input.rate
        self._clocks = clocks
        self._ring = FrameRing((1,), 2 * self.sample_rate)

    def start(self) -> None:
        self._clocks.on_input = lambda block, *_: self._ring.append(block.T)

    @property
    def written(self) -> int:
        return self._ring.written

    def copy(self, start: int, out: npt.NDArray[np.float32]) -> bool:
        return start + out.shape[1] <= self.written and self._ring.copy(start, out)

    def close(self, timeout_s: float) -> bool:
        self._clocks.on_input = None
        return True


def test_a_capture_of_another_kind_and_rate_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, input_rate=44_100, ppm=-200.0, periods=(441, 512))
    rig.stream.close(1.0)
    capture = GivenCapture(rig.clocks)
    rig.stream = open_two_clock_stream(rig.asked, capture, "callback", clock=rig.clocks)
    rig.run(8.0)
    check(rig)
    assert rig.stream.counters.xruns == 0
    assert rig.stream.latency.input_frames == 480
    capture.error = DeviceLostError("its sink is gone")
    with pytest.raises(DeviceLostError, match="its sink is gone"):
        rig.run(1.0)
    assert rig.stream.close(1.0)
    assert rig.clocks.on_input is None


def test_an_input_that_refuses_the_sessions_rate_is_asked_for_its_own_and_blocks_of_one_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(monkeypatch, input_rate=44_100, block=480, periods=(441, 480))
    opened = sys.modules["sounddevice"].opened  # type: ignore[attr-defined]
    keys = ("device", "channels", "samplerate", "blocksize", "latency")
    assert [opened["input"][key] for key in keys] == [0, 1, 44_100, 441, "low"]
    assert [opened["output"][key] for key in keys] == [1, 1, 48_000, 480, "low"]
    assert rig.stream.close(1.0)
    assert rig.stream.close(1.0)
    assert rig.clocks.on_input is None
    assert rig.clocks.on_output is None


def test_a_refused_rate_names_the_device_and_lets_go_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    before = portaudio._use.open_streams
    asked = StreamFormat(rig.asked.input, rig.asked.output, 32_000, 1, 1, 256, 2)
    with pytest.raises(DeviceError, match=r"^'scripted output' refused 32000 Hz: rates taken are 48000; use one"):
        open_two_clock_stream(asked, engine="callback", clock=rig.clocks)
    assert portaudio._use.open_streams == before


def test_a_capture_of_other_channels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    asked = StreamFormat(rig.asked.input, rig.asked.output, RATE, 2, 2, 256, 2)
    before = portaudio._use.open_streams
    with pytest.raises(DeviceError, match=r"input 'scripted input' gives 1 channel\(s\), 2 are needed: open it with 2"):
        open_two_clock_stream(asked, GivenCapture(rig.clocks), engine="callback", clock=rig.clocks)
    assert portaudio._use.open_streams == before


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
def test_a_block_allocates_no_array_but_the_converters_own(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    block = 2048
    rig = Rig(monkeypatch, block=block, periods=(block, block), channels=2, engine=engine).run(2.0)
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(20):
            rig.clocks.advance(block / RATE)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            rig.stream.catch_up(RATE)
            assert rig.stream.wait(0.0)
            rig.stream.write(rig.stream.read())
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    # libsamplerate's binding gives 16 kB of new frames; one channel more would be 8 kB.
    assert max(peaks[5:]) < 16_384 + 6_000, peaks


@pytest.mark.parametrize("engine", ["rtmixer", "callback"])
@pytest.mark.parametrize("pause_s", [0.05, 1.5, 9.0])
def test_a_stream_that_was_started_long_before_it_is_used_begins_anew_where_its_devices_are(
    monkeypatch: pytest.MonkeyPatch, pause_s: float, engine: str
) -> None:
    rig = Rig(monkeypatch, engine=engine)
    rig.stream.start()
    promised = rig.stream.bridge_frames
    rig.clocks.advance(pause_s)
    rig.stream.rejoin()
    rig.run(5.0)
    assert rig.stream.bridge_frames == promised
    assert (rig.skipped, rig.stream.counters.xruns) == (0, 0)
    check(rig)


def test_a_beginning_that_nobody_waits_for_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch)
    rig.output.is_alive = False
    stream = open_two_clock_stream(
        rig.asked, engine="callback", should_stop=lambda: rig.clocks.now() > 0.5, clock=rig.clocks
    )
    with pytest.raises(DeviceError, match="the session has ended while its devices began"):
        stream.start()
    assert rig.clocks.now() < 0.6


def test_a_fault_that_only_a_driver_knows_of_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, engine="rtmixer").run(1.0)
    assert rig.stream.counters.xruns == 0
    rig.stream._playback._playing.stats.output_underflows += 1  # type: ignore[attr-defined]
    rig.run(1.0)
    assert (rig.stream.counters.xruns, rig.stream.counters.device_flags) == (1, 1)
