"""A model of one's own needs a spec and ``process``; the runner around it checks and copies what it gives."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest
import torch

from engine.errors import BlockError, ModelError
from engine.offline import separate
from engine.progress import Progress
from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec, StateSpec
from tests.engine.told_models import WholeWindow


class Accumulator(Separator):
    """Gives the running sum of its hops as the only stem."""

    spec = ModelSpec(
        name="sum",
        sample_rate=8000,
        channels=1,
        stems=("sum",),
        stateful=True,
        window_frames=4,
        hop_frames=4,
        states=(StateSpec("total", (1, 4)),),
    )

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        total = states[0] + windows
        return total[:, None], (total,)


def test_a_runner_carries_the_states_of_the_rows_that_ran() -> None:
    runner = Accumulator().runner(3, 4)
    runner.windows[:] = 1
    runner.run(3)
    runner.run(2)
    np.testing.assert_array_equal(runner.stems[:, 0, 0, 0], [2, 2, 1])
    np.testing.assert_array_equal(runner.states[0][:, 0, 0], [2, 2, 1])


def test_one_thread_at_a_time_is_inside_a_model() -> None:
    second_is_inside = threading.Event()
    seen_by_first = []

    class Crowded(Accumulator):
        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            if threading.current_thread() is second:
                second_is_inside.set()
            else:
                second.start()
                seen_by_first.append(second_is_inside.wait(timeout=0.2))
            return super().process(windows, states)

    model = Crowded()
    second = threading.Thread(target=model.runner(1, 4).run, args=(1,))
    model.runner(1, 4).run(1)
    second.join()
    assert seen_by_first == [False]
    assert second_is_inside.is_set()


@pytest.mark.parametrize(
    ("stems_shape", "state_shapes", "said"),
    [
        ((1, 1, 4), [(1, 1, 4)], r"gave stems of shape \(1, 1, 4\): its spec promises \(1, 1, 1, 4\)"),
        ((1, 2, 1, 4), [(1, 1, 4)], "gave stems of shape"),
        ((1, 1, 1, 4), [], "gave 0 states: its spec promises 1"),
    ],
)
def test_other_shapes_than_promised_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    stems_shape: tuple[int, ...],
    state_shapes: list[tuple[int, ...]],
    said: str,
) -> None:
    model = Accumulator()
    given = np.zeros(stems_shape, np.float32), tuple(np.zeros(shape, np.float32) for shape in state_shapes)
    monkeypatch.setattr(model, "process", lambda windows, states: given)
    with pytest.raises(ModelError, match=said):
        model.runner(1, 4).run(1)


def test_a_models_own_error_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Accumulator()
    monkeypatch.setattr(model, "process", lambda windows, states: 1 / 0)
    runner = model.runner(1, 4)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            runner.run(1)


# A whole recording


def noise(*shape: int) -> F32:
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def test_arrays_go_in_and_arrays_come_out() -> None:
    model, audio = WholeWindow(), noise(2, 500)
    stems = model.separate(audio, 8000, overlap=2, batch_size=3)
    assert isinstance(stems, np.ndarray)
    np.testing.assert_array_equal(stems, separate(model, audio, 8000, overlap=2))


def test_one_channel_may_come_without_its_axis() -> None:
    model, audio = WholeWindow(), noise(500)
    np.testing.assert_array_equal(model.separate(audio, 8000), separate(model, audio[None], 8000)[:, 0])


def test_stems_come_in_the_order_in_which_they_are_named() -> None:
    model, audio = WholeWindow(), noise(2, 500)
    stems = model.separate(audio, 8000, stems=["other", "vocals"])
    np.testing.assert_array_equal(stems, separate(model, audio, 8000)[[2, 0]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 500), (500,)])
def test_tensors_go_in_and_tensors_come_out(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    model, audio = WholeWindow(), torch.from_numpy(noise(*shape)).to(dtype).requires_grad_()
    stems = model.separate(audio, 8000)
    assert isinstance(stems, torch.Tensor)
    assert (stems.dtype, stems.device) == (torch.float32, audio.device)
    assert torch.equal(stems, torch.from_numpy(model.separate(audio.detach().float().numpy(), 8000)))


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        (np.zeros((2, 10), np.int16), "int16: divide integers"),
        (torch.zeros((2, 10), dtype=torch.int32), "int32: divide integers"),
        (np.zeros((1, 2, 10), np.float32), r"shape \(1, 2, 10\)"),
        ([0.0, 0.1], "not list"),
    ],
)
def test_what_is_not_audio_is_refused(audio: Any, said: str) -> None:
    with pytest.raises(BlockError, match=said):
        WholeWindow().separate(audio, 8000)


def test_it_tells_how_far_it_is_and_can_be_cancelled() -> None:
    said: list[Progress] = []
    WholeWindow().separate(noise(2, 500), 8000, progress=said.append)
    assert said[-1] == Progress(1.0, 0.0)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        WholeWindow().separate(noise(2, 500), 8000, cancel=cancel)
