"""A model's facts agree with each other, or one line names the one that does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import ModelError
from engine.spec import ModelSpec, StateSpec, find_stem

WINDOWED: dict[str, Any] = {
    "name": "m",
    "sample_rate": 44_100,
    "channels": 2,
    "stems": ("vocals", "other"),
    "stateful": False,
    "window_frames": 100,
    "hop_frames": 50,
}
STATEFUL: dict[str, Any] = {
    **WINDOWED,
    "stateful": True,
    "hop_frames": 100,
    "states": (StateSpec("a", (3, 4)), StateSpec("n", (1,), "int64", 7)),
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stems": ()}, "names no stems"),
        ({"stems": ("a", "a")}, "names a stem twice: a, a"),
        ({"stems": ("Bass", "bass")}, "names a stem twice: Bass, bass"),
        ({"residual": "Vocals"}, "has the residual 'Vocals', which differs from a stem in case alone: spell it as in"),
        ({"overlap": 0}, "has overlap 0: it must be >= 1"),
        ({"stems": ("a", "../b")}, "names a stem '../b'"),
        ({"stems": ("a", "")}, "names a stem ''"),
        ({"stems": ("a", " b")}, "names a stem ' b'"),
        ({"stems": ("a", "..")}, "names a stem '..'"),
        ({"stems": ("a", ".b")}, "names a stem '.b'"),
        (
            {"stems": ("a", "b.")},
            "names a stem 'b.': stem names become file names, so they must not be empty, start or",
        ),
        ({"residual": "c:d"}, "names a stem 'c:d'"),
        ({"channels": 0}, "has 0 channels: 1 or 2"),
        ({"channels": 3}, "has 3 channels: 1 or 2"),
        ({"sample_rate": 0}, "sample rate 0: it must be from 1"),
        ({"hop_frames": 0}, "1 <= hop <= window"),
        ({"hop_frames": 101}, "1 <= hop <= window"),
        ({"lookahead_frames": -1}, "lookahead_frames -1: it must be >= 0"),
        ({"fade_frames": -1}, "fade_frames -1: it must be >= 0"),
        ({"window_granularity_frames": -1}, "window_granularity_frames -1: it must be >= 0"),
        ({"priming_frames": -1}, "priming_frames -1: it must be >= 0"),
        ({"states": STATEFUL["states"]}, "is not stateful but lists states"),
    ],
)
def test_a_windowed_model_refuses(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        ModelSpec(**{**WINDOWED, **change})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hop_frames": 50}, "sees one hop, so they must be equal"),
        ({"fade_frames": 1}, "leave fade_frames at 0"),
        ({"states": ()}, "lists no states"),
        ({"states": (StateSpec("a", (1,)), StateSpec("a", (2,)))}, "names a state twice: a, a"),
    ],
)
def test_a_stateful_model_refuses(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        ModelSpec(**{**STATEFUL, **change})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("", (1,)), "has no name"),
        (("a", (0,)), "every axis must be a positive integer"),
        (("a", (1.5,)), "every axis must be a positive integer"),
        (("a", (1,), "float33"), "dtype 'float33': use a NumPy dtype"),
    ],
)
def test_a_state_refuses(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        StateSpec(*arguments)


@pytest.mark.parametrize(
    ("stems", "residual", "output_stems", "index"),
    [
        (("vocals", "other"), "", ("vocals", "other"), 1),
        (("other", "vocals"), "", ("other", "vocals"), 0),
        (("vocals", "drums"), "", ("vocals", "drums"), 1),
        (("vocals", "drums"), "vocals", ("vocals", "drums"), 0),
        (("vocals",), "instrumental", ("vocals", "instrumental"), 1),
        (("Vocals", "Other", "Drums"), "", ("Vocals", "Other", "Drums"), 1),
        (("Other",), "", ("Other", "rest"), 1),
    ],
)
def test_the_residual_is_the_named_stem_or_other_or_the_last(
    stems: tuple[str, ...], residual: str, output_stems: tuple[str, ...], index: int
) -> None:
    spec = ModelSpec(**{**WINDOWED, "stems": stems, "residual": residual})
    assert spec.output_stems == output_stems
    assert spec.residual_index == index


def test_fresh_states_hold_their_initial_value_for_every_stream() -> None:
    first, second = ModelSpec(**STATEFUL).initial_states(5)
    assert (first.shape, first.dtype, second.shape, second.dtype) == ((5, 3, 4), np.float32, (5, 1), np.int64)
    assert not first.any()
    assert (second == 7).all()
    assert ModelSpec(**WINDOWED).initial_states(5) == ()


def test_specs_that_differ_in_their_description_only_are_equal() -> None:
    assert ModelSpec(**WINDOWED, description="a") == ModelSpec(**WINDOWED, description="b")


def test_a_stem_is_found_in_whatever_case_it_is_written() -> None:
    assert find_stem("no reverb", ("No Reverb", "Reverb")) == "No Reverb"
    assert find_stem("REVERB", ("No Reverb", "Reverb")) == "Reverb"
    assert find_stem("vocals", ("No Reverb", "Reverb")) is None


@pytest.mark.parametrize(
    ("window", "step", "rule", "taken", "refused"),
    [
        (100, 0, "100 frames only", (100,), (0, 50, 200)),
        (96, 32, "96 frames or multiples of 32 frames", (32, 64, 96, 3200), (-32, 0, 16, 97)),
        (120, 32, "120 frames or multiples of 32 frames plus 24", (24, 56, 120, 152), (-8, 0, 32, 96, 128)),
    ],
)
def test_other_windows_differ_by_multiples_of_the_granularity(
    window: int, step: int, rule: str, taken: tuple[int, ...], refused: tuple[int, ...]
) -> None:
    spec = ModelSpec(**{**WINDOWED, "window_frames": window, "window_granularity_frames": step})
    assert spec.window_rule == rule
    for frames in taken:
        assert spec.takes_window(frames)
        spec.check_window(frames)
    for frames in refused:
        assert not spec.takes_window(frames)
        with pytest.raises(ModelError, match=f"^model 'm' takes no window of {frames} frames: use {rule}$"):
            spec.check_window(frames)
