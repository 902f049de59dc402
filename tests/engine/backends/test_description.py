"""A description says all that a graph does not, or names what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backends.description import ModelDescription, parse_description, read_description
from engine.errors import ModelError

GOOD: dict[str, Any] = {"sample_rate": 44_100, "stems": ["vocals", "other"]}

_KEYS = st.text() | st.sampled_from(sorted(ModelDescription.model_fields))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(_KEYS, children),
)


def test_rate_and_stems_are_enough() -> None:
    assert parse_description(GOOD, "a.yaml") == ModelDescription(sample_rate=44_100, stems=("vocals", "other"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sample_rate": "44100"}, "sample_rate '44100': input should be a valid integer"),
        ({"sample_rate": 44_100.5}, "sample_rate 44100.5: input should be a valid integer"),
        ({"sample_rate": True}, "sample_rate True: input should be a valid integer"),
        ({"sample_rate": 0}, "sample_rate 0: input should be greater than or equal to 1"),
        ({"stems": []}, "stems []: "),
        ({"stems": "vocals"}, "stems 'vocals': input should be a valid tuple"),
        ({"stems": ["vocals", False]}, "stems.1 False: input should be a valid string"),
        ({"channels": 3}, "channels 3: input should be less than or equal to 2"),
        ({"hop_frames": 0}, "hop_frames 0: "),
        ({"lookahead_frames": -1}, "lookahead_frames -1: "),
        ({"hop": 5}, "an unknown key 'hop': allowed are sample_rate, stems, name"),
        ({"states": [{"input": "a"}]}, "no states.0.output: add it"),
        (
            {"states": [{"input": "a", "output": "b", "shape": 1}]},
            "'states.0.shape': allowed are input, output",
        ),
        ({"states": [{"input": "a", "output": "b", "initial": float("nan")}]}, "states.0.initial nan: "),
    ],
)
def test_other_keys_and_values_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_description({**GOOD, **change}, "a.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ModelError, match=r"^the description in a.yaml has no sample_rate: add it; no stems: add it$"):
        parse_description({}, "a.yaml")


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_anything_but_a_mapping_is_refused(data: object) -> None:
    with pytest.raises(ModelError, match="must be a mapping with the keys sample_rate, stems"):
        parse_description(data, "a.yaml")


@given(ANYTHING)
def test_whatever_was_written_is_taken_or_refused_in_one_line(data: object) -> None:
    said = "taken"
    try:
        parse_description(data, "a.yaml")
    except ModelError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_metadata_comes_before_the_file_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("sample_rate: 8000\nstems: [a]\n")
    assert read_description(tmp_path / "a.onnx", {}).sample_rate == 8000
    assert read_description(tmp_path / "a.onnx", {"stemstream": json.dumps(GOOD)}).sample_rate == 44_100
    with pytest.raises(ModelError, match="the metadata 'stemstream' of"):
        read_description(tmp_path / "a.onnx", {"stemstream": "{}"})


MERGES = b"a: &a {x: 1, y: 1}\n" + b"".join(
    b"%c: &%c {<<: [%s]}\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 10)) for n in b"bcdefghij"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"sample_rate: [1", "is not YAML"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "is None: it must be a mapping"),
        (b"!!python/object/apply:os.getpid []", "is not YAML"),
        (b"{" * 5000, "is not YAML"),
        (b"a: b\n" * 20_000, "is longer than 65536 characters"),
        (b"a: &a [x]\nb: &b [*a, *a]\nstems: [*b, *b]\n", "an unknown key 'a'"),
        (MERGES, "is not YAML (more than 10000 values"),
    ],
    ids=["cut off", "not text", "empty", "code", "deep", "long", "aliases", "merges"],
)
def test_bad_yaml_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.yaml") as caught:
        read_description(tmp_path / "a.onnx", {})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", "[" * 50_000, "NaN", '{"sample_rate": 1' + "0" * 5000 + "}"])
def test_bad_json_is_one_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(ModelError, match="the metadata 'stemstream' of") as caught:
        read_description(tmp_path / "a.onnx", {"stemstream": content})
    assert "\n" not in str(caught.value)
