"""The embedded separators: their files, their contract, and that graph and reference compute the same."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.backends.onnx import OnnxSeparator
from engine.errors import ModelError
from engine.models.spatial import load, load_low
from engine.models.spatial_design import SpatialDesign
from engine.models.spatial_graph import SHIPPED, build_graph
from engine.models.spatial_reference import SpatialReference
from engine.separator import Separator
from tests.engine.models.sounds import RATE, centred, music, rms_db, separate

HOP = 512
LOOKAHEAD = 1536
DESIGNS = [
    pytest.param(SpatialDesign(), id="default"),
    pytest.param(SpatialDesign(n_fft=1024, hop_frames=256), id="shorter"),
    pytest.param(SpatialDesign(n_fft=1024, hop_frames=512), id="half-overlap"),
    pytest.param(SpatialDesign(n_fft=64, hop_frames=16), id="tiny"),
]


@pytest.fixture(scope="module")
def separator() -> Separator:
    return load()


@pytest.mark.parametrize("file", SHIPPED)
def test_shipped_file_is_what_the_generator_makes(file: str) -> None:
    shipped = onnx.load_model_from_string((files("engine.models") / file).read_bytes())
    name, design = SHIPPED[file]
    generated = build_graph(design, name)
    assert list(shipped.graph.node) == list(generated.graph.node)
    assert list(shipped.graph.input) == list(generated.graph.input)
    assert list(shipped.graph.output) == list(generated.graph.output)
    assert list(shipped.metadata_props) == list(generated.metadata_props)
    assert list(shipped.opset_import) == list(generated.opset_import)
    assert shipped.ir_version == generated.ir_version
    assert [c.name for c in shipped.graph.initializer] == [c.name for c in generated.graph.initializer]
    for ours, made in zip(shipped.graph.initializer, generated.graph.initializer, strict=True):
        # Sines may differ in the last bit between platforms.
        np.testing.assert_allclose(
            numpy_helper.to_array(ours), numpy_helper.to_array(made), rtol=1e-6, atol=1e-12, err_msg=ours.name
        )


def test_the_low_one_takes_half_the_time() -> None:
    low, default = load_low().spec, load().spec
    assert low.name == "spatial-low"
    assert (low.stems, low.channels, low.sample_rate) == (default.stems, default.channels, default.sample_rate)
    assert (low.hop_frames, low.lookahead_frames) == (256, 768)
    for spec, most_ms in ((low, 25.0), (default, 50.0)):
        assert 1000 * (spec.hop_frames + spec.lookahead_frames) / spec.sample_rate <= most_ms


def test_spec_is_the_promised_one(separator: Separator) -> None:
    assert separator.spec == SpatialDesign().spec() == SpatialReference().spec
    assert separator.spec.stems == ("vocals", "drums", "bass", "other")
    assert separator.spec.stateful
    assert (separator.spec.sample_rate, separator.spec.channels) == (RATE, 2)
    assert (separator.spec.hop_frames, separator.spec.lookahead_frames) == (HOP, LOOKAHEAD)
    assert separator.spec.priming_frames == 44544
    assert separator.spec.residual == "other"


@pytest.mark.parametrize("design", DESIGNS)
def test_graph_computes_what_the_reference_does(design: SpatialDesign, tmp_path: Path) -> None:
    path = tmp_path / "spatial.onnx"
    onnx.save(build_graph(design), path)
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, 0.3, (1, 2, 3 * RATE)).astype(np.float32)
    noise[:, :, RATE : 2 * RATE] *= 1e-4
    signal = np.concatenate((music(3), noise, centred(np.sin(np.arange(3 * RATE) * 0.01))))
    signal = signal[:, :, : 300 * design.hop_frames]
    expected, (expected_past, expected_tail, *_) = separate(SpatialReference(design), signal)
    given, (past, tail, *_) = separate(OnnxSeparator(path), signal)
    np.testing.assert_allclose(given, expected, rtol=0.0, atol=1e-5)
    np.testing.assert_array_equal(past, expected_past)
    np.testing.assert_allclose(tail, expected_tail, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("design", DESIGNS)
def test_stems_sum_to_the_delayed_input_from_the_first_hop_on(design: SpatialDesign, tmp_path: Path) -> None:
    path = tmp_path / "spatial.onnx"
    onnx.save(build_graph(design), path)
    signal = np.random.default_rng(2).uniform(-1.0, 1.0, (1, 2, 60 * design.hop_frames)).astype(np.float32)
    late = design.n_fft - design.hop_frames
    delayed = np.concatenate((np.zeros((1, 2, late), np.float32), signal[:, :, :-late]), axis=2)
    for separator in (OnnxSeparator(path), SpatialReference(design)):
        stems, _ = separate(separator, signal)
        np.testing.assert_allclose(stems.sum(axis=1), delayed, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("design", DESIGNS)
def test_windows_overlap_to_one_and_keep_the_variance_of_noise(design: SpatialDesign) -> None:
    both = (design.analysis_window * design.synthesis_window).reshape(-1, design.hop_frames)
    np.testing.assert_allclose(both.sum(axis=0), 1.0, rtol=1e-12)
    assert np.sum(design.analysis_window**2) == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_masks_are_shares_of_one(scale: float) -> None:
    model = build_graph(SpatialDesign())
    model.graph.output.append(helper.make_tensor_value_info("masks", TensorProto.FLOAT, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    spec = SpatialDesign().spec()
    rng = np.random.default_rng(4)
    signal = (np.concatenate((music(1), rng.normal(0.0, 0.3, (1, 2, RATE))), axis=2) * scale).astype(np.float32)
    states = list(spec.initial_states(1))
    names = ["windows", *(state.name for state in spec.states)]
    for start in range(0, signal.shape[2] - HOP + 1, HOP):
        hop = np.ascontiguousarray(signal[:, :, start : start + HOP])
        _, *states, masks = session.run(None, dict(zip(names, (hop, *states), strict=True)))
        assert masks.shape == (1, 3, 1025)
        assert masks.min() >= 0.0
        assert masks.max() <= 1.0
        assert masks.sum(axis=1).max() <= 1.0 + 1e-6


def test_streams_in_a_batch_do_not_hear_each_other(separator: Separator) -> None:
    streams = np.concatenate((music(1, seed=5), 100.0 * music(1, seed=6), np.zeros_like(music(1))))
    together, _ = separate(separator, streams)
    for row, stream in enumerate(streams):
        alone, _ = separate(separator, stream[None])
        np.testing.assert_allclose(together[row], alone[0], rtol=0.0, atol=1e-6 * max(1.0, np.abs(stream).max()))
    assert not together[2].any()


def test_initial_state_is_silence_before_the_start(separator: Separator) -> None:
    signal = music(0.5)
    silence = np.zeros((1, 2, 7 * HOP), np.float32)
    at_once, _ = separate(separator, signal)
    after_silence, _ = separate(separator, np.concatenate((silence, signal), axis=2))
    length = min(at_once.shape[3], after_silence.shape[3] - 7 * HOP)
    np.testing.assert_array_equal(after_silence[..., 7 * HOP :][..., :length], at_once[..., :length])


def test_silence_gives_silence(separator: Separator) -> None:
    stems, states = separate(separator, np.zeros((2, 2, 20 * HOP), np.float32))
    assert not stems.any()
    assert all(not state.any() for state in states)


@pytest.mark.parametrize("kind", ["graph", "reference"])
def test_silence_after_music_becomes_exact_and_ends_at_the_initial_state(kind: str, separator: Separator) -> None:
    signal = music(0.5)[:, :, : 40 * HOP]
    silence = np.zeros((1, 2, 700 * HOP), np.float32)
    used = separator if kind == "graph" else SpatialReference()
    stems, states = separate(used, np.concatenate((signal, silence), axis=2))
    assert not stems[..., signal.shape[2] + 2 * LOOKAHEAD :].any()
    assert all(not state.any() for state in states)


def test_a_decaying_state_does_not_pass_through_denormal_numbers(separator: Separator) -> None:
    _, states = separate(separator, music(0.5))
    hop = np.zeros((1, 2, HOP), np.float32)
    for _ in range(1500):
        _, states = separator.process(hop, states)
        for state in states[2:]:
            assert np.all((state == 0.0) | (state > 1e-30))


def test_what_is_below_the_last_bit_of_any_recording_is_left_to_the_residual(separator: Separator) -> None:
    faint = np.random.default_rng(7).uniform(-9e-9, 9e-9, (1, 2, 30 * HOP)).astype(np.float32)
    stems, states = separate(separator, faint)
    assert not stems[:, :3].any()
    np.testing.assert_array_equal(stems[:, 3, :, LOOKAHEAD:], faint[:, :, :-LOOKAHEAD])
    assert all(not state.any() for state in states[1:])


FINITE = {
    "full scale noise": lambda rng, shape: rng.uniform(-1.0, 1.0, shape),
    "direct current": lambda rng, shape: np.ones(shape),
    "clipped": lambda rng, shape: np.clip(rng.normal(0.0, 10.0, shape), -1.0, 1.0),
    "impulses": lambda rng, shape: (rng.random(shape) < 1e-3) * 1.0,
    "1e-30": lambda rng, shape: rng.normal(0.0, 1e-30, shape),
    "denormal": lambda rng, shape: rng.normal(0.0, 1e-41, shape),
    "fade to nothing": lambda rng, shape: rng.normal(0.0, 1.0, shape) * np.geomspace(1.0, 1e-44, shape[-1]),
    "1e6": lambda rng, shape: np.where(rng.random(shape) < 0.5, -1e6, 1e6),
    "direct current of 1e6": lambda rng, shape: np.full(shape, 1e6),
    "1e25": lambda rng, shape: rng.normal(0.0, 1e25, shape),
    "1e12": lambda rng, shape: rng.normal(0.0, 1e12, shape),
    "largest float": lambda rng, shape: np.where(rng.random(shape) < 0.5, -1.0, 1.0) * np.finfo(np.float32).max,
    "loud then nothing": lambda rng, shape: np.where(np.arange(shape[-1]) < 9000, 1e6, 0.0) * np.ones(shape),
    "nothing then loud": lambda rng, shape: np.where(np.arange(shape[-1]) > 9000, 1e6, 0.0) * np.ones(shape),
}


@pytest.mark.parametrize("kind", FINITE)
def test_any_finite_input_gives_finite_stems_that_sum_to_it(kind: str, separator: Separator) -> None:
    signal = FINITE[kind](np.random.default_rng(8), (1, 2, 60 * HOP)).astype(np.float32)
    stems, states = separate(separator, signal)
    assert np.isfinite(stems).all()
    assert all(np.isfinite(state).all() for state in states)
    late = signal[:, :, :-LOOKAHEAD].astype(np.float64)
    given = stems[..., LOOKAHEAD:].sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose(given, late, rtol=0.0, atol=1e-6 * max(1.0, np.abs(late).max()))


def test_one_bad_sample_spoils_one_sample_and_no_state(separator: Separator) -> None:
    signal = music(0.5)
    bad = signal.copy()
    bad[0, 0, 5000] = np.nan
    bad[0, 1, 6000] = np.inf
    stems, states = separate(separator, bad)
    spoiled = np.argwhere(~np.isfinite(stems))
    assert spoiled.tolist() == [[0, 3, 0, 5000 + LOOKAHEAD], [0, 3, 1, 6000 + LOOKAHEAD]]
    assert all(np.isfinite(state).all() for state in states)


def test_priming_makes_a_fresh_state_as_good_as_an_old_one(separator: Separator) -> None:
    signal = music(6, seed=9)
    start, priming = 150 * HOP, separator.spec.priming_frames
    old, _ = separate(separator, signal)
    fresh, _ = separate(separator, signal[:, :, start:])
    difference = fresh - old[..., start : start + fresh.shape[3]]
    mixture = rms_db(signal)
    assert max(rms_db(stem) for stem in np.swapaxes(difference[..., priming:], 0, 1)) < mixture - 60.0
    assert rms_db(difference[..., : priming // 4]) > mixture - 60.0


@pytest.mark.parametrize("n_fft", [0, 32, 1000, 2047])
def test_a_transform_length_that_is_no_power_of_two_is_refused(n_fft: int) -> None:
    with pytest.raises(ModelError, match=f"n_fft is {n_fft}: use a power of two"):
        SpatialDesign(n_fft=n_fft)


@pytest.mark.parametrize("hop_frames", [0, -512, 500, 2048])
def test_a_hop_that_does_not_divide_the_transform_is_refused(hop_frames: int) -> None:
    with pytest.raises(ModelError, match=f"hop_frames is {hop_frames} with n_fft 2048: use a divisor"):
        SpatialDesign(hop_frames=hop_frames)
