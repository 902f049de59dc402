"""The plugin-style contract: life cycle, blocks, flush, reset, rates and channels."""

import gc
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import BlockError, ConfigurationError, LatencyError, LifecycleError
from engine.plan import offline_plan, stateful_plan
from engine.separator import Separator, StateArrays
from engine.worker import Worker
from streamer import StemProcessor
from streamer.testing import NEVER, DelaySeparator, IdentitySeparator, Outcome, ScriptedWorker, VirtualClock, play

RATE = 44_100


def waiting(
    separator: Separator | None = None, *, block: int = 512, channels: int = 2, rate: int = RATE
) -> StemProcessor:
    separator = IdentitySeparator() if separator is None else separator
    processor = StemProcessor(separator, worker=ScriptedWorker(VirtualClock(rate)))
    return processor.prepare(sample_rate=rate, channels=channels, max_block_frames=block)


def noise(frames: int, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)


def stream(processor: StemProcessor, audio: np.ndarray, blocks: list[int]) -> np.ndarray:
    """Everything that comes out, the flush included."""
    parts, done = [], 0
    for length in itertools.cycle(blocks):
        if done >= audio.shape[1]:
            break
        parts.append(processor.process(audio[:, done : done + length]).copy())
        done += length
    parts.append(processor.flush().copy())
    return np.concatenate(parts, axis=-1)


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(st.integers(1, 512), min_size=1, max_size=8),
    frames=st.integers(0, 6000),
    is_stateful=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_blocks_give_every_input_frame_exactly_once(
    blocks: list[int], frames: int, is_stateful: bool, seed: int
) -> None:
    separator = DelaySeparator({"x": 1.0, "rest": 0.0}) if is_stateful else IdentitySeparator({"x": 1.0, "rest": 0.0})
    processor = waiting(separator)
    audio = noise(frames, seed=seed)
    out = stream(processor, audio, blocks)
    latency = processor.latency_frames
    assert out.shape == (2, 2, frames + latency)
    assert not out[..., :latency].any()
    np.testing.assert_allclose(out[0, :, latency:], audio, atol=1e-6)
    np.testing.assert_allclose(out.sum(axis=0)[:, latency:], audio, atol=1e-6)
    assert processor.stats().coverage == 1.0


def test_flush_without_any_input_gives_the_latency_in_silence() -> None:
    processor = waiting()
    tail = processor.flush()
    assert tail.shape == (3, 2, processor.latency_frames)
    assert not tail.any()


def test_after_flush_only_reset_or_release() -> None:
    processor = waiting()
    processor.process(noise(100))
    processor.flush()
    for call in (lambda: processor.process(noise(100)), processor.flush):
        with pytest.raises(LifecycleError, match="call reset"):
            call()
    processor.reset()
    assert processor.process(noise(100)).shape == (3, 2, 100)
    processor.release()


def test_before_prepare_and_after_release_every_call_says_what_to_do() -> None:
    processor = StemProcessor(IdentitySeparator())
    for _ in range(2):
        for call in (
            lambda: processor.process(noise(8)),
            processor.flush,
            processor.reset,
            processor.stats,
            lambda: processor.latency_frames,
        ):
            with pytest.raises(LifecycleError, match="call prepare first"):
                call()
        processor.prepare(sample_rate=RATE, channels=2, max_block_frames=64)
        processor.release()
    processor.release()


def test_prepare_again_takes_new_settings() -> None:
    processor = waiting()
    processor.process(noise(512))
    processor.prepare(sample_rate=48_000, channels=1, max_block_frames=64)
    assert processor.process(noise(64, channels=1)).shape == (3, 1, 64)
    assert processor.stats().frames == 64


def test_a_reset_stream_is_as_good_as_a_new_one() -> None:
    for separator, rate in itertools.product((IdentitySeparator(), DelaySeparator()), (RATE, 48_000)):
        processor = waiting(separator, rate=rate)
        first, second = noise(5000, seed=1), noise(5000, seed=2)
        fresh = stream(processor, second, [300])
        processor.reset()
        processor.process(first[:, :512])
        processor.reset()
        assert np.array_equal(stream(processor, second, [300]), fresh)


def test_nothing_of_the_old_stream_is_heard_after_a_reset_with_work_in_flight() -> None:
    for separator, delay in itertools.product((IdentitySeparator(), DelaySeparator()), (0, 300, 900, 5_000)):
        clock = VirtualClock(RATE)
        worker = ScriptedWorker(clock, lambda run, delay=delay: Outcome(delay))
        processor = StemProcessor(separator, realtime=True, worker=worker, clock=clock)
        processor.prepare(sample_rate=RATE, channels=2, max_block_frames=256)
        play(processor, clock, np.ones((2, 7_777), np.float32), blocks=256)
        processor.reset()
        assert not play(processor, clock, np.zeros((2, 20_000), np.float32), blocks=256).any()


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (np.zeros((2, 0), np.float32), "a block of 0 frames"),
        (np.zeros((2, 513), np.float32), "a block of 513 frames was given: 1 to 512"),
        (np.zeros((1, 64), np.float32), r"shape \(2, frames\)"),
        (np.zeros((64, 2), np.float32), r"shape \(64, 2\)"),
        (np.zeros(64, np.float32), r"shape \(64,\)"),
        (np.zeros((2, 64), np.int16), "must hold floats, not int16"),
        (np.zeros((2, 64), np.complex64), "must hold floats, not complex64"),
        ([[0.0] * 64] * 2, "not list"),
    ],
)
def test_a_rejected_block_leaves_the_stream_as_it_was(block: np.ndarray, complaint: str) -> None:
    audio = noise(4096)
    expected = stream(waiting(), audio, [512])
    processor = waiting()
    parts = []
    for done in range(0, 4096, 512):
        with pytest.raises(BlockError, match=complaint):
            processor.process(block)
        parts.append(processor.process(audio[:, done : done + 512]).copy())
    parts.append(processor.flush().copy())
    assert np.array_equal(np.concatenate(parts, axis=-1), expected)
    assert processor.stats().blocks == 8


def test_an_out_of_the_wrong_shape_is_refused_before_anything_is_taken() -> None:
    processor = waiting()
    for out in (np.zeros((3, 2, 65), np.float32), np.zeros((3, 2, 64)), np.zeros((2, 2, 64), np.float32)):
        with pytest.raises(BlockError, match="out has shape"):
            processor.process(noise(64), out=out)
    locked = np.zeros((3, 2, 64), np.float32)
    locked.flags.writeable = False
    with pytest.raises(BlockError, match="out is read-only"):
        processor.process(noise(64), out=locked)
    assert processor.stats().blocks == 0


def test_with_out_the_stems_are_written_there_and_without_it_a_view_is_reused() -> None:
    with_out, without = waiting(), waiting()
    audio = noise(8 * 512)
    first = None
    for done in range(0, audio.shape[1], 512):
        out = np.full((3, 2, 512), np.nan, np.float32)
        assert with_out.process(audio[:, done : done + 512], out=out) is out
        view = without.process(audio[:, done : done + 512])
        assert np.array_equal(out, view)
        first = view if first is None else first
        assert np.shares_memory(view, first)


def test_double_precision_blocks_are_taken_too() -> None:
    audio = noise(3000)
    assert np.array_equal(stream(waiting(), audio.astype(np.float64), [500]), stream(waiting(), audio, [500]))


def test_samples_that_are_not_finite_are_replaced_counted_and_never_reach_the_model() -> None:
    class Watchful(DelaySeparator):
        def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
            assert np.isfinite(windows).all()
            return super().process(windows, states)

    audio = noise(4000).astype(np.float64)
    audio[0, 10], audio[1, 2000], audio[0, 3000], audio[1, 3999] = np.nan, np.inf, -np.inf, 1e300
    processor = waiting(Watchful())
    out = stream(processor, audio, [512])
    cleaned = audio.copy()
    cleaned[[0, 1, 0, 1], [10, 2000, 3000, 3999]] = 0.0
    np.testing.assert_allclose(out.sum(axis=0)[:, processor.latency_frames :], cleaned, atol=1e-6)
    assert processor.stats().non_finite_input_samples == 4
    assert processor.stats().model_exceptions == 0


def test_equal_rates_bypass_the_bridge_bit_for_bit() -> None:
    # Without fades the overlap-add multiplies by one, so nothing may change a bit.
    separator = IdentitySeparator({"x": 1.0, "rest": 0.0}, fade_frames=0)
    processor = waiting(separator)
    audio = noise(9000)
    assert processor.latency.bridge_frames == 0
    assert np.array_equal(stream(processor, audio, [333])[0, :, processor.latency_frames :], audio)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_mono_is_duplicated_in_and_averaged_out(rate: int) -> None:
    class Panned(IdentitySeparator):
        def process(self, windows: np.ndarray, states: StateArrays) -> tuple[np.ndarray, StateArrays]:
            assert np.array_equal(windows[:, 0], windows[:, 1])
            stems, _ = super().process(windows, states)
            stems[:, :, 1] = 0.0
            return stems, ()

    processor = waiting(Panned({"left": 1.0, "other": 0.0}), channels=1, rate=rate)
    audio = np.sin(0.05 * np.arange(9000, dtype=np.float32))[None]
    out = stream(processor, audio, [400])[..., processor.latency_frames :]
    np.testing.assert_allclose(out[0, :, 500:-500], 0.5 * audio[:, 500:-500], atol=1e-4)
    np.testing.assert_allclose(out.sum(axis=0), audio, atol=1e-6)
    assert processor.stats().model_exceptions == 0


@pytest.mark.parametrize("make", [IdentitySeparator, DelaySeparator], ids=["windowed", "stateful"])
def test_two_streams_of_one_worker_give_what_each_gives_alone(make: type[Separator]) -> None:
    separator = make()
    songs = [noise(6000, seed=n) for n in range(2)]
    alone = [stream(waiting(separator), song, [512]) for song in songs]
    worker = Worker(batch_size=4)
    pair = [StemProcessor(separator, worker=worker) for _ in songs]
    for processor in pair:
        processor.prepare(sample_rate=RATE, channels=2, max_block_frames=512)
    together: list[list[np.ndarray]] = [[], []]
    for done in range(0, 6000, 512):
        for processor, song, parts in zip(pair, songs, together, strict=True):
            parts.append(processor.process(song[:, done : done + 512]).copy())
    for processor, parts, expected in zip(pair, together, alone, strict=True):
        parts.append(processor.flush().copy())
        np.testing.assert_allclose(np.concatenate(parts, axis=-1), expected, atol=1e-6)
        processor.release()
    assert not worker.is_running


def test_a_whole_files_plan_works_in_a_stream_too() -> None:
    separator = IdentitySeparator({"x": 1.0, "rest": 0.0})
    plan = offline_plan(separator.spec, overlap=4, fill="zeros")
    processor = StemProcessor(separator, plan=plan, worker=ScriptedWorker(VirtualClock(RATE)))
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=512)
    audio = noise(20_000)
    out = stream(processor, audio, [512])[0, :, processor.latency_frames :]
    np.testing.assert_allclose(out, audio, atol=1e-6)
    assert processor.latency_frames == separator.spec.window_frames - 1


@pytest.mark.parametrize(
    ("settings_", "complaint"),
    [
        ({"sample_rate": 7_999}, "sample_rate=7999 is not supported"),
        ({"sample_rate": 200_000}, "8000 to 192000 Hz"),
        ({"sample_rate": 44_100.0}, "give a whole number"),
        ({"channels": 3}, "channels=3 is not supported: 'identity' takes 1 or 2"),
        ({"channels": 0}, "channels=0"),
        ({"channels": True}, "channels=True"),
        ({"channels": "2"}, "channels='2'"),
        ({"max_block_frames": 0}, "max_block_frames=0"),
    ],
)
def test_settings_that_are_not_allowed_are_named_with_those_that_are(settings_: dict[str, int], complaint: str) -> None:
    good = {"sample_rate": RATE, "channels": 2, "max_block_frames": 512}
    with pytest.raises(ConfigurationError, match=complaint):
        StemProcessor(IdentitySeparator()).prepare(**{**good, **settings_})


@pytest.mark.parametrize("latency_s", [0.0, -1.0, float("nan"), float("inf"), 1e6, True, "0.1"])
def test_a_latency_that_is_none_is_refused(latency_s: float) -> None:
    with pytest.raises(ConfigurationError, match="is not a latency"):
        StemProcessor(IdentitySeparator(), latency_s=latency_s)


def test_a_plan_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="stateful plan does not fit"):
        StemProcessor(IdentitySeparator(), plan=stateful_plan(DelaySeparator().spec))


def test_with_fixed_blocks_no_other_length_is_taken() -> None:
    processor = StemProcessor(IdentitySeparator(), worker=ScriptedWorker(VirtualClock(RATE)))
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=256, fixed_blocks=True)
    with pytest.raises(BlockError, match="exactly 256"):
        processor.process(noise(255))


def test_fixed_blocks_that_do_not_divide_the_latency_are_flushed_to_the_frame() -> None:
    separator = IdentitySeparator({"x": 1.0, "rest": 0.0}, window_frames=2048, hop_frames=1024, fade_frames=256)
    for block, realtime in itertools.product((512, 300), (False, True)):
        clock = VirtualClock(RATE)
        processor = StemProcessor(separator, realtime=realtime, worker=ScriptedWorker(clock), clock=clock)
        processor.prepare(sample_rate=RATE, channels=2, max_block_frames=block, fixed_blocks=True)
        audio = noise(44 * block)
        out = np.concatenate([play(processor, clock, audio, blocks=block), processor.flush()], axis=-1)
        np.testing.assert_allclose(out[0, :, processor.latency_frames :], audio, atol=1e-6)
        stats = processor.stats()
        assert stats.final_frames == audio.shape[1]
        assert stats.coverage == 1.0


@pytest.mark.parametrize("end", ["flush", "release"])
def test_live_audio_that_comes_too_fast_is_counted_while_it_plays_and_warned_of_once_at_its_end(end: str) -> None:
    now = [0.0]
    processor = StemProcessor(
        IdentitySeparator(), realtime=True, worker=ScriptedWorker(VirtualClock(RATE)), clock=lambda: now[0]
    )
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=512)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(400):
            now[0] += 512 / RATE / 2.0
            processor.process(noise(512))
        # Where nobody reads standard error, a warning would stop the sound.
        assert caught == []
        assert processor.stats().is_too_fast
        getattr(processor, end)()
        processor.release()
    assert len(caught) == 1
    assert "realtime=False" in str(caught[0].message)


def test_live_audio_far_too_fast_through_a_bridge_neither_hangs_nor_stays_unseparated() -> None:
    now = [0.0]
    separator = DelaySeparator(hop_frames=512, priming_frames=40 * 512)
    worker = Worker()
    processor = StemProcessor(separator, realtime=True, worker=worker, clock=lambda: now[0])
    processor.prepare(sample_rate=48_000, channels=2, max_block_frames=8192)
    ones = np.ones((2, 8192), np.float32)

    def has_caught_up() -> bool:
        stats = processor.stats()
        done = stats.windows - stats.primed_windows + stats.skipped_windows
        return done >= (stats.frames - 64) * 44_100 // 48_000 // 512

    for _ in range(100):
        now[0] += 8192 / 48_000
        processor.process(ones)
    for _ in range(200):
        now[0] += 8192 / 48_000
        # Results must be taken for the worker to go on, so no block waits for all that is due.
        worker.wait(has_caught_up, 0.1)
        out = processor.process(ones)
        if np.abs(out[0] - 0.25).max() < 1e-3:
            break
    np.testing.assert_allclose(out[0], 0.25, atol=1e-3)
    stats = processor.stats()
    assert 0 < stats.skipped_windows < stats.frames * 44_100 // 48_000 // 512
    processor.release()


def test_a_refusal_in_real_time_names_a_latency_that_the_measured_model_keeps() -> None:
    for rate, block in ((44_100, 64), (48_000, 512)):

        def prepare(latency_s: float, rate: int = rate, block: int = block) -> StemProcessor:
            processor = StemProcessor(DelaySeparator(), latency_s=latency_s, realtime=True)
            return processor.prepare(sample_rate=rate, channels=2, max_block_frames=block)

        with pytest.raises(LatencyError, match="too small") as refusal:
            prepare(0.001)
        smallest = float(str(refusal.value).split("is latency_s=")[1].split(";")[0])
        processor = prepare(smallest)
        assert processor.latency.compute_frames > 0
        processor.release()


def test_a_processor_that_is_dropped_lets_its_worker_go() -> None:
    worker = Worker()
    processor = StemProcessor(IdentitySeparator(), worker=worker)
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=64)
    assert worker.is_running
    del processor
    gc.collect()
    assert not worker.is_running


def test_live_audio_in_blocks_of_seconds_at_its_pace_does_not_warn() -> None:
    now = [0.0]
    processor = StemProcessor(
        IdentitySeparator(), realtime=True, worker=ScriptedWorker(VirtualClock(RATE)), clock=lambda: now[0]
    )
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=2 * RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seconds in (0.8, 0.8, 0.8, 2.0, 2.0, 0.4, 0.4):
            now[0] += seconds
            processor.process(noise(int(seconds * RATE)))


def test_live_audio_at_its_pace_with_jitter_does_not_warn() -> None:
    now = [0.0]
    processor = StemProcessor(
        IdentitySeparator(), realtime=True, worker=ScriptedWorker(VirtualClock(RATE)), clock=lambda: now[0]
    )
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=512)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for burst in range(100):
            now[0] = burst * 8 * 512 / RATE
            for _ in range(8):
                processor.process(noise(512))


def test_flush_of_a_live_stream_gives_up_on_a_worker_that_hangs() -> None:
    clock = VirtualClock(RATE)
    worker = ScriptedWorker(clock, lambda run: NEVER)
    processor = StemProcessor(IdentitySeparator(), realtime=True, worker=worker, clock=clock)
    processor.prepare(sample_rate=RATE, channels=2, max_block_frames=512)
    out = play(processor, clock, np.ones((2, 4096), np.float32), blocks=512)
    whole = np.concatenate([out, processor.flush()], axis=-1)[..., processor.latency_frames :]
    assert np.array_equal(whole[-1], np.ones((2, 4096)))
