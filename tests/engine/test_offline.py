"""A whole recording comes back at its own length, rate and level, at constant memory, like the stream of it."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BlockError, ConfigurationError, ModelError
from engine.offline import Progress, SeparationCounters, separate, separate_blocks
from engine.plan import Fill, WindowPlan, live_plan, offline_plan
from engine.separator import F32, Separator
from engine.worker import Worker
from streamer.processor import StemProcessor
from streamer.testing import DelaySeparator, IdentitySeparator, ScriptedWorker, VirtualClock
from tests.engine.told_models import Echo, Recording, WholeWindow

GAINS = {"vocals": 0.25, "drums": 0.5, "other": 0.25}
RATE = 44_100


def noise(channels: int, frames: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, frames)).astype(np.float32)


def identity(**lengths: Any) -> IdentitySeparator:
    return IdentitySeparator(GAINS, **{"window_frames": 64, "hop_frames": 16, **lengths})


def assert_scaled(stems: F32, audio: F32) -> None:
    for stem, gain in zip(stems, GAINS.values(), strict=True):
        np.testing.assert_allclose(stem, gain * audio, rtol=0, atol=1e-6)


class Stayer:
    """A client with nothing to do, so that a worker stays warm between separations."""

    def __init__(self, model: Separator, window_frames: int) -> None:
        self.separator = model
        self.window_frames = window_frames

    def slack_s(self) -> None:
        return None


@pytest.fixture(scope="module", params=[1, 2, 4, 8])
def warm(request: pytest.FixtureRequest) -> Iterator[tuple[Worker, IdentitySeparator]]:
    """A worker that is kept running for each batch size."""
    worker, model = Worker(request.param), identity(fade_frames=6, lookahead_frames=8)
    stayer: Any = Stayer(model, 64)
    worker.attach(stayer)
    yield worker, model
    worker.detach(stayer)


# Lengths


@pytest.mark.parametrize("fill", ["zeros", "reflect"])
@pytest.mark.parametrize("overlap", range(1, 9))
def test_every_length_comes_back_whole_to_its_last_frame(
    warm: tuple[Worker, IdentitySeparator], overlap: int, fill: Fill
) -> None:
    worker, model = warm
    plan = offline_plan(model.spec, overlap=overlap, fill=fill)
    hop, window = plan.hop_frames, plan.window_frames
    around = [0, 1, 2, hop - 1, hop, hop + 1, window - 1, window, window + 1, 2 * window - 1, 2 * window + 1]
    for frames in {*around, 5, 33, 97, 127, 211, 397, 611}:
        audio = noise(2, frames, frames)
        stems = separate(model, audio, RATE, plan=plan, worker=worker)
        assert stems.shape == (3, 2, frames)
        assert stems.dtype == np.float32
        assert_scaled(stems, audio)


@pytest.mark.parametrize("lookahead_frames", [1, 16, 40])
def test_every_length_comes_back_whole_from_a_live_plan(
    warm: tuple[Worker, IdentitySeparator], lookahead_frames: int
) -> None:
    worker, model = warm
    plan = live_plan(model.spec, lookahead_frames=lookahead_frames)
    for frames in (0, 1, 15, 16, 17, 63, 64, 65, 255):
        audio = noise(2, frames, frames)
        assert_scaled(separate(model, audio, RATE, plan=plan, worker=worker), audio)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
@pytest.mark.parametrize("lookahead_frames", [1, 8, 40])
def test_every_length_comes_back_whole_from_a_stateful_model(batch_size: int, lookahead_frames: int) -> None:
    model = DelaySeparator(GAINS, hop_frames=16, lookahead_frames=lookahead_frames)
    for frames in (0, 1, 7, 15, 16, 17, 31, 39, 40, 41, 333):
        audio = noise(2, frames, frames)
        assert_scaled(separate(model, audio, RATE, batch_size=batch_size), audio)


@given(
    cuts=st.lists(st.integers(0, 150), max_size=12),
    overlap=st.integers(1, 5),
    batch_size=st.sampled_from([1, 3]),
    fill=st.sampled_from(["zeros", "reflect"]),
)
@settings(max_examples=40, deadline=None)
def test_it_does_not_matter_how_a_recording_is_cut_into_blocks(
    cuts: list[int], overlap: int, batch_size: int, fill: Fill
) -> None:
    model = WholeWindow()
    plan = offline_plan(model.spec, overlap=overlap, fill=fill)
    audio = noise(2, sum(cuts))
    ends = np.cumsum([0, *cuts])
    blocks = [audio[:, begin:end] for begin, end in itertools.pairwise(ends)]
    parts = list(separate_blocks(model, blocks, 8000, channels=2, plan=plan, batch_size=batch_size))
    whole = separate(model, audio, 8000, plan=plan)
    np.testing.assert_array_equal(np.concatenate([np.zeros((3, 2, 0), np.float32), *parts], axis=-1), whole)


@given(frames=st.integers(0, 300), overlap=st.integers(1, 8), batch_size=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_model_sees_its_windows_filled_as_the_plan_says(frames: int, overlap: int, batch_size: int) -> None:
    audio = noise(1, frames)
    for fill in ("zeros", "reflect"):
        model = Recording(WholeWindow(channels=1))
        worker = ScriptedWorker(VirtualClock(8000))
        plan = offline_plan(model.spec, overlap=overlap, fill=fill)
        separate(model, audio, 8000, plan=plan, worker=worker)
        window, hop = plan.window_frames, plan.hop_frames
        border = window - hop
        if fill == "reflect" and frames > 1:
            # Mirrored by the overlap of two windows, and what that gives again.
            padded = np.pad(np.pad(audio[0], border, mode="reflect"), (0, hop), mode="reflect")
        else:
            padded = np.pad(audio[0], (border, border + hop))
        for index, seen in enumerate(batch[0, 0] for batch in model.batches):
            np.testing.assert_array_equal(seen, padded[index * hop : index * hop + window])


def test_no_window_is_run_but_those_of_the_recording() -> None:
    model, counters = Recording(WholeWindow()), SeparationCounters()
    separate(model, noise(2, 300), 8000, counters=counters)
    assert len(model.batches) == counters.windows > 0


def test_what_it_gives_is_the_callers_to_keep() -> None:
    model, audio = identity(), noise(2, 400)
    parts = list(separate_blocks(model, [audio], RATE, channels=2, overlap=4))
    assert len(parts) >= 1
    assert not any(np.shares_memory(one, two) for one in parts for two in parts if one is not two)
    assert_scaled(np.concatenate(parts, axis=-1), audio)


def test_the_input_is_left_as_it_was() -> None:
    audio = noise(2, 400)
    audio[0, 7] = np.nan
    kept = audio.copy()
    separate(identity(), audio, RATE)
    np.testing.assert_array_equal(audio, kept)


# Stems and channels


def test_a_model_of_one_stem_gets_a_complement_by_subtraction() -> None:
    model, audio = IdentitySeparator({"vocals": 0.3}, window_frames=64, hop_frames=16), noise(2, 501)
    stems = separate(model, audio, RATE)
    assert model.spec.output_stems == ("vocals", "other")
    np.testing.assert_allclose(stems[0], np.float32(0.3) * audio, rtol=0, atol=1e-6)
    np.testing.assert_allclose(stems.sum(axis=0), audio, rtol=0, atol=1e-6)


def test_the_complement_of_a_stateful_model_is_in_time_with_it() -> None:
    model = DelaySeparator({"vocals": 0.3}, hop_frames=16, lookahead_frames=24)
    audio = noise(2, 501)
    stems = separate(model, audio, RATE)
    np.testing.assert_allclose(stems[1], np.float32(0.7) * audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gains", [GAINS, {"vocals": 0.3}])
def test_mono_is_doubled_into_a_stereo_model_and_averaged_out(gains: dict[str, float]) -> None:
    class Panned(IdentitySeparator):
        def process(self, windows: F32, states: Any) -> Any:
            np.testing.assert_array_equal(windows[:, 0], windows[:, 1])
            stems, _ = super().process(windows, states)
            return stems * np.array([0.5, 1.5], np.float32)[:, None], ()

    model, audio = Panned(gains, window_frames=64, hop_frames=16), noise(1, 333)
    stems = separate(model, audio, RATE)
    assert stems.shape == (len(model.spec.output_stems), 1, 333)
    for stem, gain in zip(stems, gains.values(), strict=False):
        np.testing.assert_allclose(stem, gain * audio, rtol=0, atol=1e-6)
    np.testing.assert_allclose(stems.sum(axis=0), audio, rtol=0, atol=1e-6)


def test_stereo_for_a_mono_model_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="2 channels do not fit 'identity', which takes 1: mix down"):
        separate(identity(channels=1), noise(2, 10), RATE)


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros(10, np.float32), r"ndarray of shape \(10,\): transpose"),
        (np.zeros((3, 10), np.float32), r"shape \(3, 10\)"),
        (np.zeros((10, 2), np.float32), r"shape \(10, 2\)"),
        ([[0.0]], "not list"),
        (np.zeros((2, 10), np.int16), "int16: divide integers by their full scale"),
    ],
)
def test_what_is_not_audio_is_refused(audio: Any, said: str) -> None:
    with pytest.raises(BlockError, match=said):
        separate(identity(), audio, RATE)


def test_a_plan_and_an_overlap_are_not_both_taken() -> None:
    model = identity()
    with pytest.raises(ConfigurationError, match="overlap=2 and a plan were given"):
        separate(model, noise(2, 10), RATE, plan=offline_plan(model.spec), overlap=2)


# Rates


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 31_999, 44_099, 48_000, 96_000, 176_400, 192_000])
@pytest.mark.parametrize("model_rate", [16_000, 44_100])
def test_other_rates_come_back_at_their_own_rate_and_length(rate: int, model_rate: int) -> None:
    model = identity(window_frames=2048, hop_frames=512, sample_rate=model_rate)
    frames = rate // 5 + 1
    hz = 0.2 * min(rate, model_rate)
    audio = np.sin(2 * np.pi * hz / rate * np.arange(frames) + np.array([[0.0], [1.0]])).astype(np.float32)
    stems = separate(model, audio, rate)
    assert stems.shape == (3, 2, frames)
    edge = rate // 50
    for stem, gain in zip(stems, GAINS.values(), strict=True):
        np.testing.assert_allclose(stem[:, edge:-edge], gain * audio[:, edge:-edge], rtol=0, atol=2e-4)


@pytest.mark.parametrize(("rate", "model_rate"), [(8000, 44_100), (192_000, 8000), (48_000, 44_100), (44_100, 48_000)])
def test_any_length_comes_back_at_any_rate(rate: int, model_rate: int) -> None:
    model = identity(sample_rate=model_rate)
    for frames in (0, 1, 2, 3, 11, 12, 13, 25, 147, 160, 161, 479, 481, 1000, 4801):
        stems = separate(model, noise(2, frames), rate, overlap=2)
        assert stems.shape == (3, 2, frames)
        assert np.isfinite(stems).all()
        parts = list(separate_blocks(model, [noise(2, frames)], rate, channels=2, overlap=2))
        assert sum(part.shape[-1] for part in parts) == frames


def test_equal_rates_are_not_converted() -> None:
    model, audio = (
        IdentitySeparator({"a": 1.0, "b": 0.0}, window_frames=64, hop_frames=64, fade_frames=0),
        noise(2, 333),
    )
    np.testing.assert_array_equal(separate(model, audio, RATE, overlap=1)[0], audio)


def test_double_precision_is_taken() -> None:
    audio = noise(2, 300).astype(np.float64)
    assert_scaled(separate(identity(), audio, RATE), audio.astype(np.float32))


# Faults


def test_samples_that_are_not_finite_are_silence_and_are_counted() -> None:
    model, audio = Recording(identity()), noise(2, 500).astype(np.float64)
    clean = audio.copy()
    for place, value in (((0, 0), np.nan), ((1, 250), np.inf), ((0, 251), -np.inf), ((1, 499), 1e300)):
        audio[place] = value
        clean[place] = 0
    counters = SeparationCounters()
    stems = separate(model, audio, RATE, counters=counters)
    assert counters.non_finite_samples == 4
    assert all(np.isfinite(batch).all() for batch in model.batches)
    assert_scaled(stems, clean.astype(np.float32))


def test_it_counts_frames_and_windows() -> None:
    counters = SeparationCounters()
    model = identity()
    separate(model, noise(2, 320), RATE, overlap=4, counters=counters)
    plan = offline_plan(model.spec, overlap=4)
    assert counters == SeparationCounters(
        frames=320, non_finite_samples=0, windows=plan.window_for(319) + 1, batch_size=1
    )


class Failing(IdentitySeparator):
    """A model whose sixth window after the warm-up goes wrong."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__(GAINS, window_frames=64, hop_frames=16)
        self._raises = raises

    def process(self, windows: F32, states: Any) -> Any:
        stems, _ = super().process(windows, states)
        for row, window in enumerate(windows):
            if window[0, -1] == 96:
                if self._raises:
                    raise RuntimeError("out of memory")
                stems[row] = np.nan
        return stems, ()


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(("raises", "said"), [(True, "out of memory"), (False, "not finite")])
def test_a_model_that_fails_ends_the_separation_and_leaves_the_worker_clean(
    raises: bool, said: str, batch_size: int
) -> None:
    audio = np.tile(np.arange(1, 501, dtype=np.float32), (2, 1))
    worker, model = Worker(batch_size), Failing(raises=raises)
    with pytest.raises(ModelError, match=f"'identity' failed after .* windows: .*{said}") as caught:
        separate(model, audio, RATE, worker=worker)
    assert caught.value.__cause__ is not None
    assert (worker.stream_count, worker.is_running) == (0, False)
    assert_scaled(separate(model, noise(2, 300), RATE, worker=worker), noise(2, 300))


def test_blocks_that_fail_half_way_leave_the_worker_clean() -> None:
    def blocks() -> Iterator[F32]:
        yield noise(2, 300)
        raise OSError("the disc is gone")

    worker = Worker()
    with pytest.raises(OSError, match="the disc is gone"):
        list(separate_blocks(identity(), blocks(), RATE, channels=2, worker=worker))
    assert (worker.stream_count, worker.is_running) == (0, False)


def test_a_separation_that_is_given_up_leaves_the_worker_clean() -> None:
    worker = Worker()
    parts = separate_blocks(identity(), [noise(2, 300)] * 9, RATE, channels=2, worker=worker)
    next(parts)
    assert worker.is_running
    parts.close()
    assert (worker.stream_count, worker.is_running) == (0, False)


def test_an_exception_from_the_progress_cancels_the_separation() -> None:
    class Cancelled(Exception):
        pass

    def cancel(progress: Progress) -> None:
        raise Cancelled

    worker = Worker()
    with pytest.raises(Cancelled):
        separate(identity(), noise(2, 300), RATE, worker=worker, progress=cancel)
    assert (worker.stream_count, worker.is_running) == (0, False)


# Progress


@pytest.mark.parametrize("frames", [0, 1, 1000, 100_000])
@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_progress_rises_to_one_and_ends_there(frames: int, rate: int) -> None:
    said: list[Progress] = []
    separate(identity(window_frames=4096, hop_frames=1024), noise(2, frames), rate, progress=said.append)
    fractions = [progress.fraction for progress in said]
    assert fractions == sorted(fractions)
    # Told once before the first window, so that a caller can stop a slow model there too.
    assert fractions[0] == 0.0
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert said[-1] == Progress(1.0, 0.0)
    assert len(said) >= min(3, frames // 32_768)


def test_progress_without_a_known_length_has_no_fraction_until_the_end() -> None:
    said: list[Progress] = []
    list(separate_blocks(identity(), [noise(2, 100)] * 3, RATE, channels=2, progress=said.append))
    assert len(said) > 3
    assert all(math.isnan(progress.fraction) for progress in said[:-1])
    assert all(math.isnan(progress.eta_s) for progress in said[:-1])
    assert said[-1] == Progress(1.0, 0.0)


# Streams and whole recordings


def stream(model: Separator, plan: WindowPlan | None, audio: F32, rate: int, blocks: Sequence[int]) -> F32:
    """Stream a recording block by block and take the latency out again."""
    processor = StemProcessor(model, plan=plan, mixture_consistent=False)
    with processor.prepare(sample_rate=rate, channels=audio.shape[0], max_block_frames=max(blocks)):
        parts, done, number = [], 0, 0
        while done < audio.shape[1]:
            block = audio[:, done : done + blocks[number % len(blocks)]]
            parts.append(processor.process(block).copy())
            done += block.shape[1]
            number += 1
        latency = processor.latency_frames
        parts.append(processor.flush().copy())
    return np.concatenate(parts, axis=-1)[..., latency:]


@given(
    blocks=st.lists(st.integers(1, 90), min_size=1, max_size=6),
    lookahead=st.integers(0, 20),
    fade=st.integers(0, 8),
    hop=st.integers(8, 20),
    frames=st.integers(1, 600),
)
@settings(max_examples=60, deadline=None)
def test_a_windowed_stream_gives_what_the_whole_recording_gives_with_the_same_plan(
    blocks: list[int], lookahead: int, fade: int, hop: int, frames: int
) -> None:
    model, audio = WholeWindow(), noise(2, frames, hop)
    plan = live_plan(model.spec, hop_frames=hop, lookahead_frames=lookahead, fade_frames=fade)
    whole = separate(model, audio, 8000, plan=plan)
    np.testing.assert_allclose(stream(model, plan, audio, 8000, blocks), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("overlap", [1, 2, 3, 5])
def test_a_stream_may_have_the_plan_of_a_whole_recording(overlap: int) -> None:
    model, audio = WholeWindow(), noise(2, 700)
    plan = offline_plan(model.spec, overlap=overlap, fill="zeros")
    whole = separate(model, audio, 8000, plan=plan)
    np.testing.assert_allclose(stream(model, plan, audio, 8000, [37, 64]), whole, rtol=0, atol=1e-6)


@given(
    blocks=st.lists(st.integers(1, 90), min_size=1, max_size=6),
    hop=st.integers(2, 40),
    lookahead=st.integers(1, 50),
    frames=st.integers(1, 600),
)
@settings(max_examples=60, deadline=None)
def test_a_stateful_stream_gives_what_the_whole_recording_gives(
    blocks: list[int], hop: int, lookahead: int, frames: int
) -> None:
    model, audio = Echo(hop_frames=hop, lookahead_frames=lookahead), noise(2, frames, hop)
    whole = separate(model, audio, 8000)
    np.testing.assert_allclose(stream(model, None, audio, 8000, blocks), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("make", [WholeWindow, Echo])
def test_a_mono_stream_gives_what_the_whole_mono_recording_gives(make: Callable[[], Separator]) -> None:
    model, audio = make(), noise(1, 700)
    plan = live_plan(model.spec)
    whole = separate(model, audio, 8000, plan=plan)
    np.testing.assert_allclose(stream(model, plan, audio, 8000, [50]), whole, rtol=0, atol=1e-6)


# Memory


def peak_bytes(model: Separator, seconds: int, rate: int, overlap: int | None) -> int:
    block = noise(2, rate // 2)
    # Without a thread, so that the size of the parts does not hang on who gets the processor.
    worker = ScriptedWorker(VirtualClock(rate))
    separation = separate_blocks(
        model, (block for _ in range(2 * seconds)), rate, channels=2, overlap=overlap, worker=worker
    )
    tracemalloc.start()
    try:
        heard = sum(part.shape[-1] for part in separation)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert heard == seconds * rate
    return peak


@pytest.mark.parametrize("rate", [8000, 16_000])
@pytest.mark.parametrize(
    ("model", "overlap"),
    [
        (IdentitySeparator(GAINS, window_frames=4096, hop_frames=1024, sample_rate=8000), 4),
        (DelaySeparator(GAINS, hop_frames=1024, sample_rate=8000), None),
    ],
)
def test_ten_times_the_length_takes_no_more_memory(model: Separator, overlap: int | None, rate: int) -> None:
    peak_bytes(model, 1, rate, overlap)
    short, long = (peak_bytes(model, seconds, rate, overlap) for seconds in (10, 100))
    assert long <= 1.05 * short


@pytest.mark.parametrize("rate", [float("nan"), "48000", 0, -1, True, 48_000.5, 10**9])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="sample_rate="):
        separate(IdentitySeparator(), np.zeros((2, 100), np.float32), rate)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_that_add_up_to_the_input_do_so_at_every_rate(rate: int, channels: int) -> None:
    model = IdentitySeparator({"vocals": 0.25, "other": 0.5, "drums": 0.25})
    audio = np.random.default_rng(rate).uniform(-1, 1, (channels, rate // 3 + 1)).astype(np.float32)
    stems = separate(model, audio, rate)
    np.testing.assert_allclose(stems.sum(axis=0), audio, atol=3e-6)
