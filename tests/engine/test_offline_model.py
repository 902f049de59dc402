"""A recording costs only the stems that are wanted and the windows that are not silence, and no bit changes by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import ConfigurationError, ModelError
from engine.offline import SeparationCounters, separate
from engine.offline_model import OfflineModel
from engine.separator import F32, Separator, StateArrays
from engine.worker import Worker
from streamer.testing import DelaySeparator, IdentitySeparator, ScriptedWorker, VirtualClock
from tests.engine.mdx23c_models import GOLDEN_NAMES, Golden
from tests.engine.told_models import Recording, WholeWindow

RATE = 44_100
SILENCE = np.zeros((2, 64), np.float32)


class Biased(Separator):
    """A windowed model that hears something in silence."""

    def __init__(self) -> None:
        self.spec = WholeWindow().spec
        self._stems = np.random.default_rng(3).uniform(-1, 1, (3, 2, 64)).astype(np.float32)

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        return windows[:, None] * np.float32(0.3) + self._stems, ()


def noise(channels: int, frames: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).uniform(-1, 1, (channels, frames)).astype(np.float32)


def with_pauses(frames: int = 1500) -> F32:
    audio = noise(2, frames)
    audio[:, 200:600] = 0
    audio[:, 900:1400] = 0
    return audio


# Silence


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("overlap", [1, 2, 4])
@pytest.mark.parametrize("make", [WholeWindow, Biased])
def test_windows_of_silence_are_skipped_bit_for_bit(make: Any, overlap: int, batch_size: int) -> None:
    audio, counters, all_counters = with_pauses(), SeparationCounters(), SeparationCounters()
    model = Recording(make())
    stems = separate(model, audio, 8000, plan=None, overlap=overlap, worker=Worker(batch_size), counters=counters)
    every = OfflineModel(make(), skips_silence=False)
    expected = separate(every, audio, 8000, overlap=overlap, counters=all_counters)
    np.testing.assert_array_equal(stems.view(np.uint32), expected.view(np.uint32))
    assert counters.windows + counters.silent_windows == all_counters.windows
    assert sum(model.batch_sizes) == counters.windows
    assert counters.silent_windows > 0
    assert all_counters.silent_windows == 0


def test_one_window_of_silence_is_run_for_all_recordings_that_share_a_model() -> None:
    source = Recording(Biased())
    model, counters = OfflineModel(source), SeparationCounters()
    for _ in range(3):
        separate(model, np.zeros((2, 640), np.float32), 8000, overlap=2, counters=counters)
    assert sum(model.runner(1, 64).skipped) == 0
    assert sum(source.batch_sizes) == 1
    assert (counters.windows, counters.silent_windows) == (0, 21)


def test_a_batch_of_loud_and_silent_windows_gives_each_its_own() -> None:
    source = Recording(Biased())
    runner = OfflineModel(source).runner(6, 64)
    loud = noise(2, 128).reshape(2, 2, 64)
    for order in ([0, None, 1], [None, None, 0, None, 1, None], [1, 0], [None]):
        for row, place in enumerate(order):
            runner.windows[row] = SILENCE if place is None else loud[place]
        runner.run(len(order))
        for row, place in enumerate(order):
            window = SILENCE if place is None else loud[place]
            np.testing.assert_array_equal(runner.stems[row], Biased().process(window[None], ())[0][0])
    assert source.batch_sizes == [3, 2, 2]


def test_a_negative_zero_is_not_taken_for_silence() -> None:
    source = Recording(Biased())
    separate(source, np.full((2, 640), -0.0, np.float32), 8000, overlap=1)
    assert sum(source.batch_sizes) == 10


def test_a_stateful_model_hears_every_hop_of_silence() -> None:
    source, counters = Recording(DelaySeparator(hop_frames=16, lookahead_frames=8)), SeparationCounters()
    separate(source, np.zeros((2, 640), np.float32), 44_100, counters=counters)
    assert sum(source.batch_sizes) == counters.windows > 40
    assert counters.silent_windows == 0


def test_silence_that_a_model_cannot_hear_is_a_fault_as_ever() -> None:
    class Divides(WholeWindow):
        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            with np.errstate(invalid="ignore"):
                return np.stack([windows / np.abs(windows).sum()] * 3, axis=1), ()

    with pytest.raises(ModelError, match="not finite"):
        separate(Divides(), np.zeros((2, 640), np.float32), 8000)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_checkpoint_skips_silence_bit_for_bit(name: str) -> None:
    from engine.backends.torch_separator import TorchSeparator

    golden = Golden(name)
    model = TorchSeparator(golden.checkpoint, config=golden.config, threads=1)
    window = model.spec.window_frames
    audio = noise(2, 5 * window)
    audio[:, window : 4 * window] = 0
    counters = SeparationCounters()
    stems = separate(model, audio, RATE, overlap=2, counters=counters)
    expected = separate(OfflineModel(model, skips_silence=False), audio, RATE, overlap=2)
    np.testing.assert_array_equal(stems.view(np.uint32), expected.view(np.uint32))
    assert counters.silent_windows >= 3


# Stems


@pytest.mark.parametrize("rate", [8000, 11_025])
@pytest.mark.parametrize("wanted", [["drums"], ["other", "VOCALS"], ["drums", "other"], ["vocals", "drums", "other"]])
def test_stems_that_are_wanted_are_those_of_a_separation_into_all(wanted: list[str], rate: int) -> None:
    model, audio = WholeWindow(), noise(2, 2000)
    whole = separate(model, audio, rate)
    places = [model.spec.stems.index(name.lower()) for name in wanted]
    np.testing.assert_array_equal(separate(model, audio, rate, stems=wanted), whole[places])


def test_only_wanted_stems_are_added_up() -> None:
    model = OfflineModel(WholeWindow(), ["drums"])
    assert model.spec.stems == ("drums",)
    assert model.runner(1, 64).stems.shape == (1, 1, 2, 64)


def test_a_stem_by_subtraction_needs_all_the_others() -> None:
    source = IdentitySeparator({"vocals": 0.3}, window_frames=64, hop_frames=16)
    model = OfflineModel(source, ["other"])
    assert (model.spec.stems, model.outputs) == (("vocals",), ("other",))
    audio = noise(2, 501)
    np.testing.assert_array_equal(separate(model, audio, 44_100)[0], separate(source, audio, 44_100)[1])


@pytest.mark.parametrize("rate", [8000, 11_025, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("wanted", [["vocals"], ["other"], ["drums", "vocals"]])
def test_the_rest_is_what_the_stems_leave_of_the_input(wanted: list[str], channels: int, rate: int) -> None:
    # Its own stems do not add up to the input, so the rest is not their sum.
    model, audio = WholeWindow(), noise(channels, rate // 3)
    stems = separate(model, audio, rate, stems=wanted, with_rest=True)
    assert stems.shape == (len(wanted) + 1, *audio.shape)
    np.testing.assert_allclose(stems.sum(axis=0), audio, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(stems[:-1], separate(model, audio, rate, stems=wanted))


def test_the_rest_of_one_stem_is_named_after_it() -> None:
    assert OfflineModel(WholeWindow(), ["drums"], with_rest=True).names == ("drums", "no_drums")


@pytest.mark.parametrize(
    ("stems", "said"),
    [(["piano"], "stem 'piano' is unknown: this model gives vocals, drums, other"), ([], "no stems are wanted")],
)
def test_a_choice_that_cannot_be_is_refused(stems: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OfflineModel(WholeWindow(), stems)


def test_a_model_whose_stems_are_chosen_takes_no_other_choice() -> None:
    with pytest.raises(ConfigurationError, match="for a model that gives drums: leave them out"):
        separate(OfflineModel(WholeWindow(), ["drums"]), noise(2, 10), 8000, stems=["vocals"])


def test_releasing_it_releases_the_model_and_what_it_remembers() -> None:
    released: list[bool] = []

    class Releasable(Biased):
        def release(self) -> None:
            released.append(True)

    model = OfflineModel(Releasable())
    separate(model, np.zeros((2, 300), np.float32), 8000, worker=ScriptedWorker(VirtualClock(8000)))
    assert model.silent_stems
    model.release()
    assert released == [True]
    assert not model.silent_stems
