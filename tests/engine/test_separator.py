"""A model of one's own needs a spec and ``process``; the runner around it checks and copies what it gives."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from engine.errors import ModelError
from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec, StateSpec


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
