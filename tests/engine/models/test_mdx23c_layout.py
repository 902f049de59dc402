"""The shapes in a checkpoint say what its network is, and a config that says otherwise is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import parse_config
from engine.errors import ModelError
from engine.known_models import KNOWN_MODELS
from engine.models.mdx23c_layout import Architecture, match_architecture, tensor_shapes
from tests.engine.mdx23c_models import TINY, config_data, tiny


def match(shapes: Any, config: Any) -> Architecture:
    return match_architecture(
        shapes, parse_config(config, "config 'c'"), file="checkpoint 'm'", config_source="config 'c'"
    )


def refusal(shapes: Any, config: Any) -> str:
    with pytest.raises(ModelError) as caught:
        match(shapes, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    scales = draw(st.integers(1, 3))
    scale = draw(st.sampled_from([(2, 2), (1, 2), (2, 1), (3, 2)]))
    bottleneck = draw(st.integers(1, 4))
    frequencies = scale[1] ** scales * bottleneck * draw(st.integers(1, 3))
    bands = draw(st.integers(1, 6))
    groups = draw(st.integers(1, 3))
    return Architecture(
        n_fft=2 * bands * frequencies + 2,
        hop_frames=draw(st.integers(1, bands * frequencies // 2 + 1)),
        channels=draw(st.integers(1, 2)),
        bands=bands,
        frequencies=frequencies,
        width=groups * draw(st.integers(1, 5)),
        growth=groups * draw(st.integers(0, 4)),
        scales=scales,
        blocks=draw(st.integers(1, 3)),
        scale=scale,
        bottleneck=bottleneck,
        outputs=draw(st.integers(1, 5)),
        norm=draw(st.sampled_from(["InstanceNorm", "BatchNorm", f"GroupNorm{groups}", ""])),
        act=draw(st.sampled_from(["gelu", "relu", "elu0.5", "elu1"])),
    )


def config_of(architecture: Architecture) -> dict[str, Any]:
    columns = architecture.column_step
    while architecture.hop_frames * (columns - 1) <= architecture.n_fft // 2:
        columns += architecture.column_step
    return config_data(architecture, window=architecture.hop_frames * (columns - 1), inference={"num_overlap": 1})


SIZES = {
    "audio": ["dim_f"],
    "model": [
        "num_subbands",
        "num_channels",
        "growth",
        "num_scales",
        "num_blocks_per_scale",
        "bottleneck_factor",
        "scale",
    ],
}


@given(architectures())
@settings(max_examples=60, deadline=None)
def test_all_sizes_come_out_of_the_shapes_whether_the_config_has_them_or_not(architecture: Architecture) -> None:
    shapes, config = tensor_shapes(architecture), config_of(architecture)
    assert match(shapes, config) == architecture
    for section, keys in SIZES.items():
        for key in keys:
            del config[section][key]
    assert match(shapes, config) == architecture


@given(architectures(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_size_that_disagrees_is_named_with_both_values(architecture: Architecture, data: st.DataObject) -> None:
    shapes, config = tensor_shapes(architecture), config_of(architecture)
    section = data.draw(st.sampled_from(sorted(SIZES)))
    key = data.draw(st.sampled_from(SIZES[section]))
    right = config[section][key]
    config[section][key] = wrong = [right[0] + 1, right[1]] if key == "scale" else right + 1
    if key == "bottleneck_factor" and architecture.frequencies // wrong == architecture.frequencies // right:
        return
    said = refusal(shapes, config)
    shown = ["x".join(map(str, value)) if key == "scale" else str(value) for value in (wrong, right)]
    if key == "bottleneck_factor":
        assert said.startswith(f"config 'c' has model.bottleneck_factor {wrong} where checkpoint 'm' has ")
    else:
        assert said == (
            f"config 'c' has {section}.{key} {shown[0]} where checkpoint 'm' has {shown[1]}: "
            "use the config that belongs to this file, or correct it"
        )


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        (
            "training",
            {"instruments": ["a", "b", "c"]},
            "training.instruments 3 (a, b, c) where checkpoint 'm' has 2 stems",
        ),
        (
            "training",
            {"target_instrument": "vocals"},
            "training.target_instrument 1 (vocals) where checkpoint 'm' has 2 stems",
        ),
        ("audio", {"num_channels": 1}, "model.num_subbands 2 where checkpoint 'm' has 4"),
        ("audio", {"n_fft": 16}, "audio.n_fft 16, which gives 9 bins, where checkpoint 'm' needs 16"),
        (
            "audio",
            {"chunk_size": 128},
            "audio.chunk_size 128: it must be audio.hop_length x (4 m - 1), such as 152",
        ),
        ("inference", {"chunk_size": 112}, "inference.chunk_size 112: it must be audio.hop_length x (4 m - 1)"),
        ("model", {"act": "tanh"}, "model.act 'tanh': allowed are 'gelu', 'relu' and 'elu' with its alpha"),
        ("model", {"act": "elu"}, "model.act 'elu': allowed are"),
        ("model", {"norm": None}, "model.norm None where checkpoint 'm' has gains and no running statistics: use"),
        ("model", {"norm": "instancenorm"}, "model.norm 'instancenorm' where checkpoint 'm' has gains"),
        ("model", {"norm": "BatchNorm"}, "model.norm 'BatchNorm' where checkpoint 'm' has gains"),
        ("model", {"norm": "GroupNorm0"}, "model.norm 'GroupNorm0' where checkpoint 'm' has gains"),
        ("model", {"norm": "GroupNorm4"}, "model.norm 'GroupNorm4' where checkpoint 'm' has a norm of 6 channels"),
    ],
)
def test_every_other_disagreement_is_named(section: str, change: dict[str, Any], said: str) -> None:
    config = config_data(TINY, **{section: change})
    assert f"config 'c' has {said}" in refusal(tensor_shapes(TINY), config)


@pytest.mark.parametrize(
    ("norm", "said"),
    [("BatchNorm", "running statistics: use 'BatchNorm'"), ("", "no norms: use null")],
)
def test_a_norm_that_the_file_does_not_have_is_named(norm: str, said: str) -> None:
    shapes, config = tensor_shapes(tiny(norm=norm)), config_data(TINY)
    assert f"model.norm 'InstanceNorm' where checkpoint 'm' has {said}" in refusal(shapes, config)


def test_a_file_without_norms_takes_no_name_of_one() -> None:
    shapes, plain = tensor_shapes(tiny(norm="")), config_data(TINY, model={"norm": "Identity"})
    assert match(shapes, plain).norm == ""


@pytest.mark.parametrize(
    "first",
    [
        "first_conv.weight",
        "encoder_blocks.0.tfc_tdf.blocks.0.tdf.2.weight",
        "encoder_blocks.0.downscale.conv.2.weight",
        "final_conv.2.weight",
    ],
)
def test_all_that_is_missing_is_counted_where_a_tensor_that_says_a_size_is_among_it(first: str) -> None:
    shapes = tensor_shapes(TINY)
    gone = {first, *[name for name in shapes if name.startswith("decoder_blocks.1")][:14]}
    left = {name: shape for name, shape in shapes.items() if name not in gone}
    extra = {f"extra.{n}": (1,) for n in range(13)}
    said = refusal(left | extra, config_data(TINY))
    assert f"does not hold the {len(shapes)} tensors of an MDX23C network of 2 scales (15 missing: " in said
    assert " and 5 more; 13 unknown, of no part of the network: extra.0, " in said
    assert "extra.9 and 3 more): download it again" in said


@pytest.mark.parametrize("act", ["elu" + "9" * 41, "elu10000", "elu0." + "1" * 400, "elu", "elu.", "swish"])
def test_an_activation_out_of_range_is_refused(act: str) -> None:
    said = refusal(tensor_shapes(TINY), config_data(TINY, model={"act": act}))
    assert f"config 'c' has model.act {act!r}: allowed are 'gelu', 'relu' and 'elu' with its alpha" in said


@pytest.mark.parametrize("act", ["elu1.0", "elu1", "elu.5", "elu1.", "elu9999.12345678"])
def test_the_alpha_may_be_written_in_any_way(act: str) -> None:
    assert match(tensor_shapes(TINY), config_data(TINY, model={"act": act})).act == act


def test_another_network_is_said_to_be_one() -> None:
    assert refusal({"layers.0.weight": (3, 4)}, config_data(TINY)) == (
        "checkpoint 'm' has no tensor 'first_conv.weight': "
        "it is no MDX23C (TFC-TDF v3) network; export other networks to ONNX"
    )
    flat = {**tensor_shapes(TINY), "first_conv.weight": (4, 8)}
    assert "has a tensor 'first_conv.weight' of shape 4x8: it is no MDX23C" in refusal(flat, config_data(TINY))
    hollow = {**tensor_shapes(TINY), "first_conv.weight": (4, 0, 1, 1)}
    assert "of shape 4x0x1x1: it is no MDX23C" in refusal(hollow, config_data(TINY))


@given(architectures(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_tensor_that_is_missing_or_unknown_or_misshapen_is_named(
    architecture: Architecture, data: st.DataObject
) -> None:
    shapes, config = tensor_shapes(architecture), config_of(architecture)
    name = data.draw(st.sampled_from(sorted(shapes)))
    said = refusal({key: shape for key, shape in shapes.items() if key != name}, config)
    assert "checkpoint 'm'" in said
    assert "(1 unknown, of no part of the network: extra.weight): download it again" in refusal(
        {**shapes, "extra.weight": (1,)}, config
    )
    refusal({**shapes, name: (*shapes[name], 2)}, config)


@given(architectures(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_shape_with_another_length_is_refused_in_one_line(architecture: Architecture, data: st.DataObject) -> None:
    shapes, config = tensor_shapes(architecture), config_of(architecture)
    if data.draw(st.booleans()):
        for section, keys in SIZES.items():
            for key in keys:
                del config[section][key]
    name = data.draw(st.sampled_from(sorted(name for name, shape in shapes.items() if shape)))
    shape = list(shapes[name])
    axis = data.draw(st.integers(0, len(shape) - 1))
    shape[axis] = data.draw(st.integers(0, 100).filter(lambda length: length != shape[axis]))
    refusal({**shapes, name: tuple(shape)}, config)


def test_tensors_that_are_missing_or_unknown_or_misshapen_are_all_counted_and_ten_are_named() -> None:
    shapes = tensor_shapes(TINY)
    gone = [name for name in shapes if ".tfc2." in name]
    extra = {f"extra.{n}.weight": (1,) for n in range(11)}
    said = refusal({name: shape for name, shape in shapes.items() if name not in gone} | extra, config_data(TINY))
    assert f"({len(gone)} missing: {', '.join(gone[:10])} and {len(gone) - 10} more; 11 unknown, of no part" in said
    assert "extra.9.weight and 1 more): download it again" in said
    assert gone[10] not in said
    assert "extra.10.weight" not in said
    said = refusal({**shapes, "bottleneck_block.blocks.1.tdf.5.weight": (2, 2)}, config_data(TINY))
    assert "needs (1): 'bottleneck_block.blocks.1.tdf.5.weight' is 2x2 and not 2x1; it is damaged" in said
    said = refusal(shapes | {name: (7, *shapes[name]) for name in gone}, config_data(TINY))
    assert f"has tensors of other shapes than the rest needs ({len(gone)}): '{gone[0]}' is 7x" in said
    assert f" and {len(gone) - 10} more; it is damaged" in said


def test_frequencies_that_cannot_be_halved_as_often_are_refused() -> None:
    odd = tiny(frequencies=6, bottleneck=1, n_fft=32)
    assert "folds 6 frequencies by 4, which leaves a rest" in refusal(tensor_shapes(odd), config_data(odd))


# How many parameters the public networks are known to have, in the order of the table.
PUBLIC = (111_990_272, 111_994_368, 111_990_272, 109_378_624, 109_376_576, 109_368_384)


@pytest.mark.parametrize(("digest", "parameters"), list(zip(KNOWN_MODELS, PUBLIC, strict=True)))
def test_the_known_models_have_as_many_weights_as_the_public_files(digest: str, parameters: int) -> None:
    config = KNOWN_MODELS[digest].config
    assert config.audio.dim_f is not None
    architecture = Architecture(
        n_fft=config.audio.n_fft,
        hop_frames=config.audio.hop_length,
        channels=2,
        bands=4,
        frequencies=config.audio.dim_f // 4,
        width=128,
        growth=128,
        scales=5,
        blocks=2,
        scale=(2, 2),
        bottleneck=4,
        outputs=len(config.stems),
        norm="InstanceNorm",
        act="gelu",
    )
    shapes = tensor_shapes(architecture)
    assert match_architecture(shapes, config, file="f", config_source="c") == architecture
    sizes = [1] * len(shapes)
    for n, shape in enumerate(shapes.values()):
        for length in shape:
            sizes[n] *= length
    assert (len(shapes), sum(sizes)) == (319, parameters)
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")
