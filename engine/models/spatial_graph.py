"""Generate ``spatial.onnx`` and ``spatial_low.onnx``: one small graph, run once a hop without Python in between.

Run ``python -m engine.models.spatial_graph`` after a change here or in the design; it needs the ``onnx`` package.

A mask that both channels share is real and even, so the inverse transform of a masked spectrum of left + i right is
again left + i right: one complex transform forward, and one back for each stem but the last, which is what the others
leave of the delayed input.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from engine.graph_builder import GraphBuilder
from engine.models.spatial_design import SpatialDesign
from engine.models.spatial_transform import add_forward, add_inverse

__all__ = ["SHIPPED", "build_graph", "main"]

# Read by every ONNX Runtime that the project supports.
_OPSET = 17
_IR_VERSION = 8


def _energies(b: GraphBuilder, spectrum: str, n_fft: int) -> str:
    """Energies of mid and side, (batch, 2, bins).

    With Z = L + i R and Z'(k) = Z(n_fft - k): left + right is (Z + i conj Z') (1 - i) / 2 and left - right is
    (Z - i conj Z') (1 + i) / 2, and i conj Z' is Z' with its real and imaginary part exchanged.
    """
    bins = n_fft // 2 + 1
    half = b.op("Slice", [spectrum, b.integers(0), b.integers(bins), b.integers(2)], "half")
    backwards = -np.arange(bins) % n_fft
    exchanged = b.constant("mirror_bins", np.stack((n_fft + backwards, backwards)), np.int64)
    mirror = b.op("Gather", [b.reshape(spectrum, "spectrum_flat", -1, 2 * n_fft), exchanged], "mirror", axis=1)
    both = [
        b.op("ReduceSumSquare", [b.op(kind, [half, mirror], name)], f"{name}_energy", axes=[1], keepdims=1)
        for kind, name in (("Add", "mid"), ("Sub", "side"))
    ]
    return b.op("Mul", [b.op("Concat", both, "energies_unscaled", axis=1), b.constant("quarter", 0.25)], "energies_now")


def _masks(b: GraphBuilder, energies_now: str, design: SpatialDesign) -> str:
    """Masks of vocals, drums and bass, (batch, 3, bins), and the states that follow."""
    bins = design.bins
    total = b.op("ReduceSum", [energies_now, b.integers(1)], "total", keepdims=1)
    ratio = b.op("Mul", [total, b.constant("per_floor", 1.0 / design.energy_floor)], "ratio")
    level = b.op("Log", [b.op("Add", [ratio, b.constant("one", 1.0)], "ratio_above_one")], "level")

    attack, release = design.smoothing(design.attack_s), design.smoothing(design.release_s)
    harmonic = b.reshape("harmonic", "harmonic_row", -1, 1, bins)
    change = b.op("LeakyRelu", [b.op("Sub", [level, harmonic], "change")], "eased", alpha=release / attack)
    step = b.op("Mul", [change, b.constant("attack", attack)], "step")
    moved = b.op("Sub", [b.op("Add", [harmonic, step], "moved"), b.constant("level_leak", design.level_leak)], "leaked")
    held = b.op("Relu", [moved], "held")
    b.reshape(held, "next_harmonic", -1, bins)

    wide = _mean_of_neighbours(b, level, design.neighbours, "wide")
    narrow = _mean_of_neighbours(b, level, design.partial_bins, "narrow")
    fallen = b.op("Relu", [b.op("Sub", [b.reshape("partial", "partial_row", -1, 1, bins), narrow], "fall")], "fallen")
    decay = b.constant("partial_decay", 1.0 - design.smoothing(design.partial_decay_s))
    falling = b.op("Add", [narrow, b.op("Mul", [fallen, decay], "falling")], "partial_before_leak")
    partial = b.op("Relu", [b.op("Sub", [falling, "level_leak"], "partial_leaked")], "partial_now")
    b.reshape(partial, "next_partial", -1, bins)
    standing_out = b.op("Sub", [partial, wide], "standing_out")

    over = b.op("Sub", [b.op("Sub", [wide, held], "over"), b.constant("margin", design.margin)], "over_margin")
    sharp = b.op("Mul", [over, b.constant("sharpness", design.sharpness)], "sharp")
    against = b.op("Mul", [standing_out, b.constant("partial_weight", design.partial_weight)], "against")
    percussive = b.op("Sigmoid", [b.op("Sub", [sharp, against], "logit")], "percussive")
    tonal = b.op("Sub", ["one", percussive], "tonal")

    weight = design.smoothing(design.panning_s)
    kept = b.op("Mul", ["energies", b.constant("panning_kept", 1.0 - weight)], "energies_kept")
    new = b.op("Mul", [energies_now, b.constant("panning_new", weight)], "energies_new")
    mixed = b.op("Add", [kept, new], "energies_mixed")
    leaked = b.op("Sub", [mixed, b.constant("energy_leak", design.energy_leak)], "energies_leaked")
    smooth = b.op("Relu", [leaked], "next_energies")
    mid, side = b.split(smooth, 1, (1, 1), ("mid_smooth", "side_smooth"))
    towards = b.op("Relu", [b.op("Sub", [mid, side], "mid_over_side")], "towards_centre")
    floor = b.constant("energy_floor", design.energy_floor)
    sums = b.op("Add", [b.op("Add", [mid, side], "mid_and_side"), floor], "mid_and_side_floor")
    centred = b.op("Div", [towards, sums], "centred")

    contrast = b.op("Mul", [standing_out, b.constant("voice_contrast", design.voice_contrast)], "contrast")
    voiced = b.op("Sigmoid", [b.op("Add", [contrast, b.constant("voice_bias", design.voice_bias)], "voice")], "voiced")
    centred_voice = b.op("Mul", [b.op("Mul", [tonal, centred], "tonal_centred"), voiced], "centred_voice")
    vocals = b.op("Mul", [centred_voice, b.constant("voice_register", design.voice_register)], "vocals_mask")
    bass = b.op("Mul", [tonal, b.constant("bass_register", design.bass_register)], "bass_mask")
    return b.op("Concat", [vocals, percussive, bass], "masks", axis=1)


def _mean_of_neighbours(b: GraphBuilder, level: str, count: int, name: str) -> str:
    """Mean over ``count`` bins around each one; at the edges over those that exist."""
    if count == 1:
        return level
    pool = {"kernel_shape": [count], "pads": [count // 2] * 2, "count_include_pad": 0}
    return b.op("AveragePool", [level], name, **pool)


def build_graph(design: SpatialDesign, name: str = "spatial") -> onnx.ModelProto:
    """Build the separator's graph.

    Parameters
    ----------
    design : SpatialDesign
        Lengths and constants.
    name : str
        Name in the model's description.

    Returns
    -------
    onnx.ModelProto
        Input ``windows`` (batch, 2, hop), output ``stems`` (batch, 4, 2, hop), and for each state an input with its
        name and an output ``next_`` + name. Always the same bytes for the same design.
    """
    spec = design.spec(name)
    hop, n_fft, count = design.hop_frames, design.n_fft, len(design.stems) - 1
    b = GraphBuilder()
    frame = b.op("Concat", ["past", "windows"], "frame", axis=2)
    delayed, _ = b.split(frame, 2, (hop, design.past_frames), ("delayed", "next_past"))
    magnitude = b.op("Abs", [frame], "magnitude")
    heard = b.op("GreaterOrEqual", [magnitude, b.constant("quietest", design.quietest)], "heard")
    sane = b.op("LessOrEqual", [magnitude, b.constant("loudest", design.loudest)], "sane")
    used = b.op("And", [heard, sane], "used")
    audible = b.op("Where", [used, frame, b.constant("zero", 0.0)], "audible")
    windowed = b.op("Mul", [audible, b.constant("analysis", design.analysis_window)], "windowed")

    spectrum = add_forward(b, windowed, n_fft)
    masks = _masks(b, _energies(b, spectrum, n_fft), design)
    # A Gather with mirrored indices would do the same at three times the cost.
    first, end, axis, step = (b.integers(value) for value in (n_fft // 2 - 1, 0, 2, -1))
    backwards = b.op("Slice", [masks, first, end, axis, step], "masks_backwards")
    even = b.op("Concat", [masks, backwards], "masks_even", axis=2)
    masked = b.op(
        "Mul",
        [b.reshape(even, "masks_rows", -1, count, 1, n_fft), b.reshape(spectrum, "spectrum_rows", -1, 1, 2, n_fft)],
        "masked",
    )
    unscaled = add_inverse(b, masked, count, n_fft)
    separated = b.op("Mul", [unscaled, b.constant("synthesis", design.synthesis_window / n_fft)], "separated")

    early, late = b.split(separated, 3, (design.past_frames, hop), ("early", "late"))
    summed = b.op("Add", ["tail", early], "summed")
    ready, kept = b.split(summed, 3, (hop, design.past_frames - hop), ("ready", "kept"))
    b.op("Concat", [kept, late], "next_tail", axis=3)
    taken = b.op("ReduceSum", [ready, b.integers(1)], "taken", keepdims=1)
    rest = b.op("Sub", [b.reshape(delayed, "delayed_row", -1, 1, 2, hop), taken], "rest")
    b.op("Concat", [ready, rest], "stems", axis=1)

    def value(label: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(label, TensorProto.FLOAT, ["batch", *shape])

    graph = helper.make_graph(
        b.nodes,
        name,
        [value("windows", 2, hop), *(value(s.name, *s.shape) for s in spec.states)],
        [value("stems", count + 1, 2, hop), *(value(f"next_{s.name}", *s.shape) for s in spec.states)],
        b.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="stemstream"
    )
    described = {
        "name": spec.name,
        "sample_rate": spec.sample_rate,
        "stems": list(spec.stems),
        "hop_frames": hop,
        "lookahead_frames": spec.lookahead_frames,
        "priming_frames": spec.priming_frames,
        "residual": spec.residual,
        "description": spec.description,
        "states": [{"input": s.name, "output": f"next_{s.name}", "initial": s.initial} for s in spec.states],
    }
    helper.set_model_props(model, {"stemstream": json.dumps(described)})
    onnx.checker.check_model(model, full_check=True)
    return model


SHIPPED = {
    "spatial.onnx": ("spatial", SpatialDesign()),
    "spatial_low.onnx": ("spatial-low", SpatialDesign(n_fft=1024, hop_frames=256)),
}
"""Name and design of each file beside this module."""


def main() -> None:
    """Write the shipped files beside this module."""
    for file, (name, design) in SHIPPED.items():
        model = build_graph(design, name)
        Path(__file__).with_name(file).write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
