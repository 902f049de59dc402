"""A graph and its description make a model together, or one line says where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper

from engine.backends.description import ModelDescription
from engine.backends.onnx import OnnxSeparator
from engine.backends.onnx_layout import GraphTensor, match_layout
from engine.errors import ModelError
from tests.engine.onnx_models import DELAY_STATES, audio, compressed, gains, model, one_hop_delay, save


def test_lengths_that_just_fill_the_window_are_allowed() -> None:
    layout = match_layout(
        [GraphTensor("mix", "float32", (None, 2, 8))],
        [GraphTensor("out", "float32", ())],
        ModelDescription(sample_rate=8000, stems=("a",), hop_frames=3, lookahead_frames=4, fade_frames=1),
        default_name="m",
        source="model file 'm.onnx'",
    )
    spec = layout.spec
    assert (spec.name, spec.window_frames, spec.hop_frames, spec.lookahead_frames, spec.fade_frames) == (
        "m",
        8,
        3,
        4,
        1,
    )
    assert (layout.input, layout.output, layout.state_outputs, layout.single_row) == ("mix", "out", (), False)


@pytest.mark.parametrize(
    ("made", "extra", "said"),
    [
        (gains(1.0, 0.0), {}, "the graph leaves its window open: give window_frames"),
        (gains(1.0, 0.0, channels="c", frames=8), {}, "the graph leaves its channels open: give channels"),
        (gains(1.0, 0.0, frames=8), {"channels": 1}, "channels is 2 by the graph, 1 by channels"),
        (gains(1.0, 0.0, frames=8), {"window_frames": 9}, "window is 8 by the graph, 9 by window_frames"),
        (gains(1.0, 0.0, channels=3, frames=8), {}, "3 channels: 1 or 2 are supported"),
        (gains(1.0, 0.0, 1.0, frames=8), {}, "shape [?, 3, 2, 8]: its stems axis must be 2"),
        (gains(1.0, frames=8, stems="s"), {}, "shape [?, 1, 2, 8]: its stems axis must be 2"),
        (compressed(), {}, "'out' gave float32 [1, 3, 2, 8] for one window: it must be float32 [1, 2, 2, 8]"),
        (gains(1.0, 0.0, batch=4, frames=8), {}, "its batch axis must be open, or 1"),
        (gains(1.0, 0.0, frames=8, dtype=TensorProto.DOUBLE), {}, "'mix' holds float64: audio must be float32"),
        (gains(1.0, 0.0, frames=8), {"window_granularity_frames": 4}, "takes windows of 8 frames only"),
        (gains(1.0, 0.0, frames=8), {"hop_frames": 9}, "longer than the window of 8 frames"),
        (gains(1.0, 0.0, frames=8), {"hop_frames": 4, "lookahead_frames": 4, "fade_frames": 1}, "hop 4, fade 1"),
        (gains(1.0, 0.0, frames=8), {"input": "audio"}, "no input 'audio': it has mix"),
        (gains(1.0, 0.0, frames=8), {"output": "stems"}, "no output 'stems': it has out"),
        (one_hop_delay(), {"stems": ["all"]}, "3 inputs that are not states (past, mix, count)"),
        (
            one_hop_delay(),
            {"stems": ["all"], "states": DELAY_STATES[:1], "input": "mix", "output": "out"},
            "input 'count' is neither the audio 'mix' nor a state",
        ),
        (
            one_hop_delay(),
            {"stems": ["all"], "states": [DELAY_STATES[0], {"input": "count", "output": "next_past"}]},
            "two states use the same output (next_past, next_past)",
        ),
        (
            one_hop_delay(),
            {"stems": ["all"], "states": [{"input": "past", "output": "next_count"}]},
            "state 'next_count' holds int64 where 'past' takes float32",
        ),
        (
            one_hop_delay(),
            {"stems": ["all"], "states": [DELAY_STATES[1], {"input": "past", "output": "out"}]},
            "state 'out' has shape [?, 1, 2, 8] where 'past' takes [?, 2, 8]",
        ),
        (
            one_hop_delay(),
            {"stems": ["all"], "states": DELAY_STATES, "input": "past"},
            "input 'past' is listed as a state and as the audio",
        ),
        (
            one_hop_delay(),
            {"stems": ["all"], "states": DELAY_STATES, "fade_frames": 2},
            "one hop and no crossfade",
        ),
        (one_hop_delay(), {"stems": ["all"], "states": DELAY_STATES, "hop_frames": 4}, "hop is 8 by the graph, 4"),
        (
            model(
                [helper.make_node("Identity", ["mix"], ["out"])],
                [audio("mix", "b", 2, 8)],
                [audio("out", "b", 2, 8)],
            ),
            {},
            "'out' has shape [?, 2, 8]: it must be [batch, stems, channels, frames]",
        ),
        (
            model([helper.make_node("Identity", ["mix"], ["out"])], [audio("mix", 8)], [audio("out", 8)]),
            {},
            "'mix' has shape [8]: it must be [batch, channels, frames]",
        ),
        (gains(1.0, 0.0, frames=8), {"stems": ["../x", "other"]}, "names a stem '../x'"),
        (gains(1.0, 0.0, frames=8), {"stem": 1}, "has an unknown key 'stem': allowed are sample_rate, stems"),
    ],
)
def test_a_description_that_does_not_fit_its_graph_names_the_value_and_what_is_allowed(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    made: ModelProto,
    extra: dict[str, Any],
    said: str,
) -> None:
    path = save(tmp_path / "model.onnx", made, {"sample_rate": 44_100, "stems": ["vocals", "other"], **extra})
    with pytest.raises(ModelError) as caught:
        OnnxSeparator(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
