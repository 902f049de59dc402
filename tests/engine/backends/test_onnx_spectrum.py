"""A graph that takes and gives spectra is a model like any other: the transforms are made around it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from engine.backends.onnx import OnnxSeparator
from engine.backends.onnx_runners import SpectrumRunner
from engine.errors import ConfigurationError, ModelError
from tests.engine.onnx_models import Dim, audio, model, save

SPECTRUM = {"n_fft": 32, "hop_frames": 8, "bins": 17}
DUO = {"sample_rate": 44_100, "stems": ["vocals", "other"], "window_frames": 64, "spectrum": SPECTRUM}


def spectral_gains(
    *values: float, batch: Dim = "batch", parts: Dim = 4, bins: Dim = 17, columns: Dim = "columns"
) -> ModelProto:
    """Give one stem per gain: the spectrum times that gain."""
    return model(
        [helper.make_node("Unsqueeze", ["mix", "axis"], ["one"]), helper.make_node("Mul", ["one", "gains"], ["out"])],
        [audio("mix", batch, parts, bins, columns)],
        [audio("out", batch, len(values), parts, bins, columns)],
        [
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
            helper.make_tensor("gains", TensorProto.FLOAT, [1, len(values), 1, 1, 1], values),
        ],
    )


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.fixture(params=["batch", 1], ids=["open batch axis", "batch axis of 1"])
def duo(request: pytest.FixtureRequest, tmp_path: Path) -> OnnxSeparator:
    return OnnxSeparator(save(tmp_path / "duo.onnx", spectral_gains(0.25, 0.75, batch=request.param), DUO))


def test_waveforms_go_in_and_come_out(duo: OnnxSeparator) -> None:
    windows = noise(3, 2, 64)
    stems, states = duo.process(windows, ())
    assert states == ()
    assert stems.dtype == np.float32
    np.testing.assert_allclose(stems, np.stack((windows * 0.25, windows * 0.75), axis=1), rtol=0, atol=1e-6)
    assert (duo.spec.channels, duo.spec.window_frames, duo.spec.stateful) == (2, 64, False)


def test_a_runner_touches_no_more_rows_than_it_is_asked_for(duo: OnnxSeparator) -> None:
    runner = duo.runner(3, 64)
    assert isinstance(runner, SpectrumRunner)
    runner.windows[...] = noise(3, 2, 64)
    runner.run(2)
    np.testing.assert_allclose(runner.stems[:2, 1], 0.75 * runner.windows[:2], rtol=0, atol=1e-6)
    assert not runner.stems[2].any()
    for n in (0, 4):
        with pytest.raises(ConfigurationError, match="this runner takes 1 to 3"):
            runner.run(n)
    with pytest.raises(ConfigurationError, match="must be at least 1"):
        duo.runner(0, 64)


def test_bins_that_the_graph_does_not_see_count_as_zero(tmp_path: Path) -> None:
    beside = {**DUO, "window_frames": 128, "spectrum": {**SPECTRUM, "bins": 4}}
    separator = OnnxSeparator(save(tmp_path / "low.onnx", spectral_gains(1.0, 0.0, bins=4), beside))
    time = np.arange(128) / 32
    low, high = np.cos(2 * np.pi * 2 * time), np.cos(2 * np.pi * 12 * time)
    window = np.broadcast_to(low + high, (1, 2, 128)).astype(np.float32)
    # Far from the ends, where it is reflected.
    found = separator.process(window, ())[0][0, 0, :, 48:80]
    np.testing.assert_allclose(found, np.broadcast_to(low[48:80], (2, 32)), atol=1e-5)


def test_a_graph_of_fixed_axes_says_its_window_and_channels(tmp_path: Path) -> None:
    beside = {key: value for key, value in DUO.items() if key != "window_frames"}
    separator = OnnxSeparator(save(tmp_path / "a.onnx", spectral_gains(1.0, 0.0, parts=2, columns=9), beside))
    assert (separator.spec.channels, separator.spec.window_frames) == (1, 64)
    with pytest.raises(ModelError, match="use 64 frames only"):
        separator.runner(1, 72)


def test_windows_may_differ_by_the_granularity(tmp_path: Path) -> None:
    beside = {**DUO, "window_granularity_frames": 16}
    separator = OnnxSeparator(save(tmp_path / "a.onnx", spectral_gains(1.0, 0.0), beside))
    windows = noise(1, 2, 32)
    np.testing.assert_allclose(separator.process(windows, ())[0][:, 0], windows, rtol=0, atol=1e-6)
    with pytest.raises(ModelError, match="no window of 16 frames: it must be longer than half of its transform, 16"):
        separator.runner(1, 16)


def test_a_steady_run_allocates_nothing_large(tmp_path: Path) -> None:
    beside = {**DUO, "window_frames": 31 * 512, "spectrum": {"n_fft": 2048, "hop_frames": 512, "bins": 1025}}
    separator = OnnxSeparator(save(tmp_path / "a.onnx", spectral_gains(1.0, 0.0, bins=1025), beside))
    runner = separator.runner(2, 31 * 512)
    runner.windows[...] = noise(2, 2, 31 * 512)
    runner.run(2)
    tracemalloc.start()
    try:
        runner.run(2)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100_000 < runner.windows.nbytes


@pytest.mark.filterwarnings("error")
def test_values_that_are_not_finite_are_handed_on_in_silence(duo: OnnxSeparator) -> None:
    windows = noise(2, 2, 64)
    windows[1] = np.inf
    stems, _ = duo.process(windows, ())
    assert np.isfinite(stems[0]).all()
    assert not np.isfinite(stems[1]).any()


def test_a_released_model_says_so(duo: OnnxSeparator) -> None:
    duo.release()
    with pytest.raises(ModelError, match="has been released"):
        duo.process(noise(1, 2, 64), ())


@pytest.mark.parametrize(
    ("made", "changes", "said"),
    [
        (
            spectral_gains(1.0, 0.0, bins=16),
            {},
            "shape [?, 4, 16, ?]: it must have 2 parts for each channel and 17 bins",
        ),
        (
            spectral_gains(1.0, 0.0, parts=3),
            {},
            "shape [?, 3, 17, ?]: it must have 2 parts for each channel and 17 bins",
        ),
        (spectral_gains(1.0, 0.0, parts=6), {}, "has 3 channels: 1 or 2 are supported"),
        (spectral_gains(1.0, 0.0, columns=10), {}, "window is 72 by the graph, 64 by window_frames"),
        (spectral_gains(1.0), {}, "its stems axis must be 2"),
        (
            model(
                [helper.make_node("Identity", ["mix"], ["out"])],
                [audio("mix", "b", 2, 64)],
                [audio("out", "b", 2, 2, 64)],
            ),
            {},
            "'mix' has shape [?, 2, 64]: it must be [batch, 2 * channels, bins, columns]",
        ),
        (spectral_gains(1.0, 0.0), {"window_frames": 60}, "window_frames is 60: it must be a multiple of spectrum.hop"),
        (
            spectral_gains(1.0, 0.0),
            {"window_granularity_frames": 4},
            "window_granularity_frames is 4: it must be a mul",
        ),
        (spectral_gains(1.0, 0.0), {"window_frames": 16}, "window has 16 frames: it must be longer than half of"),
        (spectral_gains(1.0, 0.0), {"spectrum": {**SPECTRUM, "n_fft": 33}}, "spectrum.n_fft 33"),
        (spectral_gains(1.0, 0.0), {"spectrum": {**SPECTRUM, "hop_frames": 20}}, "hop_frames must be at most half"),
        (spectral_gains(1.0, 0.0), {"spectrum": {**SPECTRUM, "bins": 18}}, "bins must be at most 17"),
        (spectral_gains(1.0, 0.0), {"spectrum": {**SPECTRUM, "hop": 8}}, "allowed are n_fft, hop_frames, bins"),
        (spectral_gains(1.0, 0.0), {"spectrum": {"n_fft": 32, "bins": 17}}, "no spectrum.hop_frames: add it"),
        (
            spectral_gains(1.0, 0.0),
            {"states": [{"input": "mix", "output": "out"}]},
            "a stateful model takes waveforms: leave out spectrum",
        ),
    ],
)
def test_a_description_that_does_not_fit_names_the_value_and_what_is_allowed(
    tmp_path: Path, made: ModelProto, changes: dict[str, Any], said: str
) -> None:
    path = save(tmp_path / "model.onnx", made, {**DUO, **changes})
    with pytest.raises(ModelError) as caught:
        OnnxSeparator(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
