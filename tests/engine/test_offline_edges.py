"""Exact to the first and last frame, against a reference that does it all at once, and never a window too many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigurationError
from engine.offline import Progress, SeparationCounters, separate, separate_blocks
from engine.plan import Fill, WindowPlan, live_plan, offline_plan
from engine.separator import F32, Separator
from engine.worker import Worker
from streamer.testing import DelaySeparator, IdentitySeparator, Outcome, Run, ScriptedWorker, VirtualClock
from tests.engine.told_models import Echo, Recording, WholeWindow

RATE = 8000
WINDOW = 64
OVERLAPS = [1, 2, 3, 4, 7, 8]


class Eager:
    """A worker that runs every window that it may at once, on the caller's thread."""

    batch_size = 1

    def attach(self, client: Any, *, warm_up: bool = True) -> tuple[float, ...]:
        self._client = client
        self._runner = client.separator.runner(1, client.window_frames)
        return ()

    def time_runs(self, client: Any, *, runs: int, seconds: float) -> tuple[float, ...]:
        return ()

    def detach(self, client: Any) -> None:
        self.wake()

    def nudge(self) -> None:
        pass

    def wake(self) -> None:
        while self._client.load(self._runner, 0):
            self._runner.run(1)
            self._client.store(self._runner, 0, 0.0)

    def wait(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        self.wake()
        return until()


def noise(channels: int, frames: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, frames)).astype(np.float32)


def lengths(hop: int) -> list[int]:
    """Lengths around every seam: of windows, hops and borders."""
    seams = (1, hop, WINDOW - hop, WINDOW, WINDOW + hop, 2 * (WINDOW - hop), 2 * WINDOW, 5 * hop, 5 * WINDOW)
    return sorted({n for seam in seams for n in (seam - 1, seam, seam + 1) if n > 0})


def all_at_once(model: Separator, audio: F32, plan: WindowPlan) -> F32:
    """Pad the whole recording, run every window, add all up under the weights, and divide by their sum."""
    frames, border, hop = audio.shape[1], plan.window_frames - plan.hop_frames, plan.hop_frames
    mode = "reflect" if plan.fill == "reflect" and frames > 1 else "constant"
    padded = np.pad(audio, ((0, 0), (border, border)), mode=mode)  # type: ignore[call-overload]
    padded = np.pad(padded, ((0, 0), (0, hop)), mode=mode)  # type: ignore[call-overload]
    weights = plan.weights().astype(np.float64)
    total = np.zeros((3, *padded.shape))
    weight = np.zeros(padded.shape[1])
    for begin in range(0, border + frames, hop):
        window = padded[:, begin : begin + plan.window_frames]
        total[..., begin : begin + plan.window_frames] += model.process(window[None], ())[0][0] * weights
        weight[begin : begin + plan.window_frames] += weights
    here = slice(border, border + frames)
    return np.asarray(total[..., here] / weight[here], np.float32)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("fill", ["reflect", "zeros"])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_every_length_is_as_if_separated_all_at_once(overlap: int, fill: Fill, batch_size: int) -> None:
    model, worker = WholeWindow(), Worker(batch_size)
    plan = offline_plan(model.spec, overlap=overlap, fill=fill)
    for frames in lengths(plan.hop_frames):
        audio = noise(2, frames, frames)
        stems = separate(model, audio, RATE, plan=plan, worker=worker)
        np.testing.assert_allclose(stems, all_at_once(model, audio, plan), rtol=0, atol=2e-6, err_msg=str(frames))


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_no_window_is_run_that_only_touches_what_is_removed(overlap: int) -> None:
    for frames in [0, *lengths(WINDOW // overlap)]:
        model, counters = Recording(WholeWindow()), SeparationCounters()
        plan = offline_plan(model.spec, overlap=overlap)
        separate(model, noise(2, frames), RATE, plan=plan, counters=counters, worker=Eager())
        border = plan.window_frames - plan.hop_frames
        # Windows begin every hop from a border before the first frame on; those that begin behind the last are none.
        needed = -(-(border + frames) // plan.hop_frames) if frames else 0
        assert sum(model.batch_sizes) == counters.windows == needed, frames


@pytest.mark.parametrize("level", [1.0, 3.0, 1e-4])
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_a_model_that_changes_nothing_gives_back_every_frame_at_its_level(overlap: int, level: float) -> None:
    model = IdentitySeparator({"all": 1.0, "none": 0.0}, window_frames=WINDOW, hop_frames=16)
    for frames in lengths(WINDOW // overlap):
        audio = np.float32(level) * noise(2, frames)
        stems = separate(model, audio, 44_100, overlap=overlap, batch_size=2)
        np.testing.assert_allclose(stems[0], audio, rtol=0, atol=1e-6 * max(1, level))
        assert not stems[1].any()


# Excerpts


def excerpt(model: Separator, audio: F32, rate: int, start: int, stop: int | None, plan: WindowPlan | None) -> F32:
    blocks = [audio[:, n : n + 100] for n in range(0, audio.shape[1], 100)]
    channels, frames = audio.shape
    parts = separate_blocks(
        model, blocks, rate, channels=channels, frames=frames, start_frame=start, stop_frame=stop, plan=plan
    )
    return np.concatenate([np.zeros((3, audio.shape[0], 0), np.float32), *parts], axis=-1)


STRETCHES = [(0, 1), (0, 700), (1, 2), (63, 65), (64, 128), (300, 301), (699, 700), (500, None), (123, 456), (10, 900)]


@pytest.mark.parametrize("overlap", [1, 2, 3, 4])
@pytest.mark.parametrize("fill", ["reflect", "zeros"])
def test_an_excerpt_is_bit_for_bit_that_stretch_of_the_whole(overlap: int, fill: Fill) -> None:
    model, audio = WholeWindow(), noise(2, 700)
    plan = offline_plan(model.spec, overlap=overlap, fill=fill)
    whole = separate(model, audio, RATE, plan=plan)
    for start, stop in STRETCHES:
        np.testing.assert_array_equal(excerpt(model, audio, RATE, start, stop, plan), whole[..., start:stop])


def test_an_excerpt_under_a_plan_with_a_lookahead_is_that_stretch_too() -> None:
    model, audio = WholeWindow(), noise(1, 700)
    plan = live_plan(model.spec)
    whole = separate(model, audio, RATE, plan=plan)
    for start, stop in STRETCHES:
        np.testing.assert_array_equal(excerpt(model, audio, RATE, start, stop, plan), whole[..., start:stop])


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 7999])
def test_an_excerpt_at_another_rate_is_that_stretch_to_the_rounding_of_the_converter(rate: int) -> None:
    model, audio = WholeWindow(sample_rate=RATE), noise(2, 20_000)
    whole = separate(model, audio, rate)
    for start, stop in [(1, 9_000), (8_345, 8_346), (19_000, None), (12_000, 99_999)]:
        cut = excerpt(model, audio, rate, start, stop, None)
        np.testing.assert_allclose(cut, whole[..., start:stop], rtol=0, atol=1e-5)


def test_an_excerpt_of_a_model_with_a_state_is_that_stretch_once_the_state_is_primed() -> None:
    audio = noise(2, 2000)
    for model in (Echo(priming_frames=400), DelaySeparator(hop_frames=16, lookahead_frames=24, sample_rate=RATE)):
        whole = separate(model, audio, RATE)
        for start, stop in [(0, 3), (5, 100), (700, 701), (1000, 1500), (1999, None)]:
            cut = excerpt(model, audio, RATE, start, stop, None)
            np.testing.assert_allclose(cut, whole[..., start:stop], rtol=0, atol=1e-6)


def test_an_excerpt_runs_only_the_windows_that_have_a_part_in_it_and_reads_no_further() -> None:
    model, counters, read = Recording(WholeWindow()), SeparationCounters(), []

    def blocks() -> object:
        for number in range(10_000):
            read.append(number)
            yield np.full((2, 1000), 0.1, np.float32)

    parts = separate_blocks(
        model, blocks(), RATE, channels=2, start_frame=640, stop_frame=704, overlap=4, counters=counters,
        worker=Eager(),
    )  # fmt: skip
    assert sum(part.shape[-1] for part in parts) == 64
    assert sum(model.batch_sizes) == counters.windows == (64 + 64) // 16 - 1
    assert len(read) < 40


def test_an_excerpt_behind_the_end_is_empty() -> None:
    for rate in (RATE, 11_025):
        assert excerpt(WholeWindow(), noise(2, 700), rate, 700, None, None).shape == (3, 2, 0)
        assert excerpt(WholeWindow(), noise(2, 700), rate, 99_999, 100_000, None).shape == (3, 2, 0)


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (5, 5), (5, 4)])
def test_a_stretch_that_is_none_is_refused(start: int, stop: int | None) -> None:
    with pytest.raises(ConfigurationError, match=f"frames {start} to {stop} are none"):
        excerpt(WholeWindow(), noise(2, 700), RATE, start, stop, None)


# Progress and cancelling


def long_windows() -> WholeWindow:
    """Give a model each of whose windows is worth a look."""
    return WholeWindow(window_frames=16_384, hop_frames=8192)


def test_progress_follows_the_windows_and_not_the_reading() -> None:
    said: list[Progress] = []
    worker = ScriptedWorker(VirtualClock(RATE))
    separate(long_windows(), noise(2, 20 * 8192), RATE, overlap=2, progress=said.append, worker=worker)
    windows = 20 + 1
    assert sorted({progress.fraction for progress in said}) == pytest.approx(np.arange(windows + 1) / windows)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_cancelling_ends_it_within_the_window_that_runs(batch_size: int) -> None:
    cancel, model, worker = threading.Event(), Recording(WholeWindow()), Worker(batch_size)

    def stop_soon(progress: Progress) -> None:
        if sum(model.batch_sizes) >= 3:
            cancel.set()

    with pytest.raises(CancelledError, match="was cancelled"):
        separate(model, noise(2, 640_000), RATE, worker=worker, cancel=cancel, progress=stop_soon)
    assert (worker.stream_count, worker.is_running) == (0, False)


def test_cancelling_is_heard_in_the_midst_of_the_many_windows_that_a_frame_needs() -> None:
    cancel, model = threading.Event(), Recording(WholeWindow())

    def cancel_meanwhile(run: Run) -> Outcome:
        if run.number == 1:
            cancel.set()
        return Outcome()

    with pytest.raises(CancelledError):
        separate(
            model,
            noise(2, 200),
            RATE,
            overlap=8,
            cancel=cancel,
            worker=ScriptedWorker(VirtualClock(RATE), cancel_meanwhile),
        )
    assert len(model.batches) == 2


@pytest.mark.parametrize(("start", "stop"), [(64, 128), (639, None), (640, None), (690, None), (9999, None), (0, 1)])
def test_progress_of_an_excerpt_rises_to_one_whatever_is_in_it(start: int, stop: int | None) -> None:
    said: list[Progress] = []
    parts = separate_blocks(
        WholeWindow(),
        [noise(2, 640)],
        RATE,
        channels=2,
        frames=640,
        start_frame=start,
        stop_frame=stop,
        progress=said.append,
    )
    list(parts)
    fractions = [progress.fraction for progress in said]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)


def test_what_is_cancelled_before_it_begins_runs_nothing() -> None:
    cancel, model = threading.Event(), Recording(WholeWindow())
    cancel.set()
    with pytest.raises(CancelledError):
        separate(model, noise(2, 640), RATE, cancel=cancel)
    assert not model.batches
