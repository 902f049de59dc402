"""Random blocks, resets, bypasses and faults for a minute a seed: what must hold, holds at every frame."""

from collections.abc import Callable

import numpy as np
import pytest

from engine.separator import Separator
from streamer import StemProcessor
from streamer.latency import JOIN_FRAMES
from streamer.testing import DelaySeparator, IdentitySeparator, Outcome, Run, ScriptedWorker, VirtualClock

RATE = 8_000
MAX_BLOCK = 1024
STEP = 2.0 / JOIN_FRAMES
ONSET = 100


def separators() -> dict[str, Callable[[], Separator]]:
    small = {"sample_rate": RATE, "window_frames": 1024, "hop_frames": 256}
    return {
        "windowed": lambda: IdentitySeparator(**small, lookahead_frames=64, fade_frames=64),
        "windowed without overlap": lambda: IdentitySeparator(**small, lookahead_frames=0, fade_frames=0),
        "windowed with tiny hops": lambda: IdentitySeparator(
            sample_rate=RATE, window_frames=512, hop_frames=40, lookahead_frames=100, fade_frames=20
        ),
        "stateful": lambda: DelaySeparator(sample_rate=RATE, hop_frames=128, lookahead_frames=64),
        "bridged": lambda: IdentitySeparator(
            sample_rate=11_025, window_frames=1400, hop_frames=350, lookahead_frames=90, fade_frames=90
        ),
        "bridged and stateful": lambda: DelaySeparator(sample_rate=11_025, hop_frames=180, lookahead_frames=90),
    }


class Fuzz:
    """One seed: a script of faults and a stream of transitions, checked block by block.

    Every epoch has an input level of its own, so that a frame of another epoch could not hide.
    """

    def __init__(self, separator: Separator, seed: int, *, has_resets: bool = True) -> None:
        self.rng = np.random.default_rng(seed)
        self.has_resets = has_resets
        self.mood = 0.0
        self.clock = VirtualClock(RATE)
        self.worker = ScriptedWorker(self.clock, self.script)
        self.processor = StemProcessor(separator, realtime=True, worker=self.worker, clock=self.clock)
        self.processor.prepare(sample_rate=RATE, channels=2, max_block_frames=MAX_BLOCK)
        self.latency = self.processor.latency_frames
        self.slip = 2e-3 if self.processor.latency.bridge_frames else 1e-6
        self.epochs = 0
        self.begin_epoch()

    def script(self, run: Run) -> Outcome:
        """Be well for a while, then ill for a while."""
        if self.rng.random() < 0.02:
            self.mood = float(self.rng.choice([0.0, 0.0, 0.3, 1.0]))
        if self.rng.random() < self.mood * 0.3:
            return Outcome(float(self.rng.integers(0, 400)), self.rng.choice(["raise", "nan"]))
        if self.rng.random() < self.mood:
            return Outcome(float(self.rng.choice([100, 300, 900, 4_000, float("inf")], p=[0.3, 0.3, 0.2, 0.15, 0.05])))
        return Outcome(float(self.rng.integers(0, 40)))

    def begin_epoch(self) -> None:
        self.epochs += 1
        self.level = np.float32(0.2 + 0.8 * self.rng.random())
        self.heard = 0
        self.last = np.zeros((len(self.processor.stems), 2), np.float32)

    def run(self, seconds: float) -> None:
        frames = 0
        while frames < seconds * RATE:
            frames += self.block()
            event = self.rng.random()
            if event < 0.004 and self.has_resets:
                self.processor.reset()
                self.begin_epoch()
            elif event < 0.01:
                self.processor.bypass = not self.processor.bypass
            elif event < 0.03:
                self.worker.release_hang()

    def block(self) -> int:
        n = int(self.rng.integers(1, MAX_BLOCK + 1)) if self.rng.random() < 0.5 else int(self.rng.integers(1, 65))
        self.clock.advance(n)
        self.check(self.processor.process(np.tile(self.input(self.heard, n), (2, 1))))
        self.heard += n
        return n

    def input(self, start: int, n: int) -> np.ndarray:
        """Rise smoothly to the epoch's level, so that a bridge has nothing to ring about, and stay there."""
        rise = np.clip((np.arange(start, start + n) + 1) / ONSET, 0.0, 1.0)
        return (self.level * (0.5 - 0.5 * np.cos(np.pi * rise))).astype(np.float32)

    def check(self, out: np.ndarray) -> None:
        expected = self.input(self.heard - self.latency, out.shape[-1])
        np.testing.assert_allclose(out.sum(axis=0), np.tile(expected, (2, 1)), atol=1e-6)
        gains = np.array([0.25, 0.5], np.float32)[:, None, None]
        assert np.all(out[:-1] >= -self.slip)
        assert np.all(out[:-1] <= gains * expected + self.slip)
        steps = np.abs(np.diff(out, axis=-1, prepend=self.last[..., None])).max(axis=(0, 1))
        assert np.all(steps <= (np.pi / ONSET + STEP) * self.level + self.slip)
        assert self.processor.latency_frames == self.latency
        self.last = out[..., -1].copy()


@pytest.mark.parametrize("seed", range(25))
def test_a_minute_of_transitions(seed: int) -> None:
    makes = list(separators().values())
    fuzz = Fuzz(makes[seed % len(makes)](), seed)
    fuzz.run(60)
    assert fuzz.epochs > 2
    stats = fuzz.processor.stats()
    assert 0.0 < stats.coverage < 1.0
    assert stats.final_frames
    assert stats.mixture_frames


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25, 75))
@pytest.mark.parametrize("make", separators().values(), ids=separators())
def test_ten_minutes_of_transitions(make: Callable[[], Separator], seed: int) -> None:
    Fuzz(make(), seed).run(600)


@pytest.mark.parametrize("make", separators().values(), ids=separators())
def test_after_any_trouble_separation_comes_back_whole(make: Callable[[], Separator]) -> None:
    for seed in range(3):
        fuzz = Fuzz(make(), seed, has_resets=False)
        fuzz.run(10)
        fuzz.processor.bypass = False
        fuzz.worker.script = lambda run: Outcome(5)
        fuzz.worker.release_hang()
        for _ in range(40):
            fuzz.block()
        before = fuzz.processor.stats()
        for _ in range(20):
            fuzz.block()
        after = fuzz.processor.stats()
        assert after.misses == before.misses
        assert after.final_frames > before.final_frames
