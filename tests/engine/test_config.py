"""The config beside a checkpoint says what its shapes cannot, and is plain data: no tag makes anything happen."""

from __future__ import annotations

import copy
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import Mdx23cConfig, parse_config, read_config
from engine.errors import ModelError
from tests.engine.mdx23c_models import GOLDEN_NAMES, TINY, Golden, config_data

MINIMAL: dict[str, Any] = {
    "audio": {"sample_rate": 44_100, "n_fft": 32, "hop_length": 8, "chunk_size": 120},
    "model": {"act": "gelu", "norm": "InstanceNorm"},
    "training": {"instruments": ["vocals", "other"]},
}


def changed(**sections: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(MINIMAL)
    for section, values in sections.items():
        data.setdefault(section, {}).update(values)
    return data


def refusal(data: object) -> str:
    with pytest.raises(ModelError) as caught:
        parse_config(data, "config 'c.yaml'")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("config 'c.yaml' ")
    return str(caught.value)


def file_refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestKeys:
    def test_what_the_shapes_say_may_be_left_out(self) -> None:
        config = parse_config(MINIMAL, "c")
        assert (config.window_frames, config.stems, config.residual) == (120, ("vocals", "other"), "other")
        assert (config.audio.num_channels, config.inference.num_overlap, config.model.scale) == (2, 4, None)

    def test_keys_of_the_training_are_ignored(self) -> None:
        config = parse_config(config_data(TINY, training={"augmentations": {"pitch": [1, "x"]}, "lr": None}), "c")
        assert config.model.scale == (2, 2)

    @pytest.mark.parametrize("name", GOLDEN_NAMES)
    def test_the_reference_configs_are_read(self, name: str) -> None:
        assert read_config(Golden(name).config).window_frames == 16_128

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"audio": {"n_fft": "8192"}}, "audio.n_fft '8192': input should be a valid integer"),
            ({"audio": {"n_fft": 32.5}}, "audio.n_fft 32.5: "),
            ({"audio": {"hop_length": 0}}, "audio.hop_length 0: input should be greater than or equal to 1"),
            ({"audio": {"chunk_size": True}}, "audio.chunk_size True: input should be a valid integer"),
            ({"audio": {"num_channels": 3}}, "audio.num_channels 3: input should be less than or equal to 2"),
            ({"model": {"act": None}}, "model.act None: input should be a valid string"),
            ({"model": {"scale": [2]}}, "model.scale.1"),
            ({"model": {"growth": -1}}, "model.growth -1: "),
            ({"training": {"instruments": []}}, "training.instruments []: "),
            ({"training": {"instruments": "vocals"}}, "training.instruments 'vocals': "),
            ({"training": {"instruments": ["a", 5]}}, "training.instruments.1 5: input should be a valid string"),
            ({"training": {"instruments": ["Bass", "bass"]}}, "training.instruments Bass, bass: each name must be"),
            (
                {"training": {"target_instrument": "drums"}},
                "training.target_instrument 'drums': it must be one of vocals, other, or null",
            ),
            ({"training": {"model_type": "bs_roformer"}}, "training.model_type 'bs_roformer': only 'mdx23c'"),
            ({"inference": {"num_overlap": 0}}, "inference.num_overlap 0: "),
            ({"inference": {"normalize": True}}, "inference.normalize true: only false is supported"),
            ({"audio": {"hop_length": 20}}, "audio.hop_length 20: it must be at most half of audio.n_fft, 16"),
            ({"audio": {"chunk_size": 121}}, "audio.chunk_size 121: it must be a multiple of audio.hop_length (8)"),
            (
                {"audio": {"chunk_size": 16}},
                "audio.chunk_size 16: it must be a multiple of audio.hop_length (8) and more",
            ),
            ({"inference": {"chunk_size": 121}}, "inference.chunk_size 121: it must be a multiple"),
            (
                {"audio": {"chunk_size": 2**48}},
                "audio.chunk_size 281474976710656: input should be less than or equal to",
            ),
            ({"inference": {"chunk_size": 2**48}}, "inference.chunk_size 281474976710656: input should be less"),
            ({"audio": {"n_fft": 2**40}}, "audio.n_fft 1099511627776: input should be less than or equal to 1048576"),
            ({"audio": {"sample_rate": 10**9}}, "audio.sample_rate 1000000000: input should be less than or equal to"),
            ({"model": {"num_scales": 10**9}}, "model.num_scales 1000000000: input should be less than or equal to 64"),
            ({"model": {"scale": [0, 2]}}, "model.scale.0 0: input should be greater than or equal to 1"),
            ({"training": {"instruments": [str(n) for n in range(257)]}}, "training.instruments "),
            ({"inference": {"num_overlap": 10**9}}, "inference.num_overlap 1000000000: input should be less than or"),
            (
                {"inference": {"num_overlap": 121}},
                "inference.num_overlap 121: it must be at most audio.chunk_size, 120",
            ),
        ],
    )
    def test_a_value_that_cannot_be_is_named(self, change: dict[str, Any], said: str) -> None:
        assert said in refusal(changed(**change))

    @pytest.mark.parametrize("section", ["audio", "model", "training"])
    def test_a_missing_key_is_named(self, section: str) -> None:
        for key in MINIMAL[section]:
            data = copy.deepcopy(MINIMAL)
            del data[section][key]
            assert f"has no {section}.{key}: add it" in refusal(data)
        whole = {name: values for name, values in MINIMAL.items() if name != section}
        assert f"has no {section}: add it" in refusal(whole)

    @pytest.mark.parametrize("data", [None, [], "audio", 5])
    def test_what_is_no_mapping_is_refused(self, data: object) -> None:
        assert "it must be a mapping with the sections audio, model and training" in refusal(data)

    def test_the_chunk_of_the_inference_wins(self) -> None:
        assert parse_config(changed(inference={"chunk_size": 248}), "c").window_frames == 248

    @settings(deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["audio", "model", "training", "n_fft", "act"]) | st.text(), inner)
            ),
        )
    )
    def test_nothing_but_a_config_is_taken_and_it_is_always_one_line(self, data: object) -> None:
        try:
            parse_config(data, "c")
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most of what is drawn is refused, not all


class TestStems:
    @pytest.mark.parametrize(
        ("instruments", "target", "stems", "residual"),
        [
            (["vocals", "bass", "drums", "other"], None, ("vocals", "bass", "drums", "other"), "other"),
            (["Vocals", "Other", "Drums"], None, ("Vocals", "Other", "Drums"), "Other"),
            (["Vocals", "Instrumental"], None, ("Vocals", "Instrumental"), "Instrumental"),
            (["Vocals", "Other"], "Vocals", ("Vocals",), "Other"),
            (["Similarity", "Difference"], "Similarity", ("Similarity",), "Difference"),
            (["Vocals", "Drums", "Bass", "Other"], "Vocals", ("Vocals",), "instrumental"),
            (["Vocals", "Drums", "Bass"], "Bass", ("Bass",), "no_Bass"),
        ],
    )
    def test_the_residual_is_other_or_what_stands_beside_the_target(
        self, instruments: list[str], target: str | None, stems: tuple[str, ...], residual: str
    ) -> None:
        config = parse_config(changed(training={"instruments": instruments, "target_instrument": target}), "c")
        assert (config.stems, config.residual) == (stems, residual)


class TestFiles:
    def test_the_tag_for_tuples_is_understood(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        text = yaml.safe_dump(changed(model={"scale": [2, 2]}))
        text = text.replace("  scale:\n", "  scale: !!python/tuple\n")
        path.write_text(text + "augmentations:\n  all: !!python/tuple\n  - !!python/tuple [0.1, [1, 2]]\n  - x\n")
        assert "!!python/tuple" in text
        assert read_config(path) == parse_config(changed(model={"scale": (2, 2)}), "c")

    @pytest.mark.parametrize(
        "tagged",
        [
            "!!python/object/apply:os.system ['touch ran']",
            "!!python/object/new:os.system ['touch ran']",
            "!!python/object:os.stat_result {}",
            "!!python/name:os.system",
            "!!python/module:os",
            "!!python/tuple {a: 1}",
            "!!python/tuple text",
            "!!python/list [1]",
            "!mine [1]",
        ],
    )
    def test_no_other_tag_is_and_none_runs_anything(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tagged: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "c.yaml"
        path.write_text(yaml.safe_dump(MINIMAL) + f"extra: {tagged}\n")
        said = file_refusal(path)
        assert "is not a YAML file of plain data" in said
        assert "allowed are plain values and !!python/tuple" in said
        assert [each.name for each in tmp_path.iterdir()] == ["c.yaml"]

    def test_the_loader_of_other_programs_learns_no_tag(self) -> None:
        with pytest.raises(yaml.constructor.ConstructorError):
            yaml.safe_load("!!python/tuple [1]")

    @pytest.mark.parametrize(
        "text",
        [b"a: [", b"? !!python/tuple [[1]]\n: 2", b"{[1]: 2}", b"a: 2001-99-99", b"--- a\n--- b", b"[" * 5000, b"\x00"],
    )
    def test_text_that_is_no_yaml_is_refused(self, tmp_path: Path, text: bytes) -> None:
        (tmp_path / "c.yaml").write_bytes(text)
        assert "is not a YAML file of plain data" in file_refusal(tmp_path / "c.yaml")

    def test_a_few_lines_cannot_become_a_heap_of_data(self, tmp_path: Path) -> None:
        merged = ["&a {k0: 1, k1: 1, k2: 1, k3: 1}"]
        listed = ["&a [1, 2, 3, 4]"]
        for this, last in zip("bcdefghi", "abcdefgh", strict=True):
            merged.append(f"&{this} {{<<: [{', '.join([f'*{last}'] * 10)}]}}")
            listed.append(f"&{this} [{', '.join([f'*{last}'] * 10)}]")
        for lines in (merged, listed):
            (tmp_path / "c.yaml").write_text("".join(f"x{n}: {line}\n" for n, line in enumerate(lines)))
            tracemalloc.start()
            said = file_refusal(tmp_path / "c.yaml")
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert "more than 10000 values, and those count again that are referred to" in said
            assert peak_bytes < 10_000_000

    @pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {<<: *a}}", "a: &a {<<: [*a, *a]}"])
    def test_nothing_may_hold_itself(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "c.yaml").write_text(text)
        assert "a value refers to itself" in file_refusal(tmp_path / "c.yaml")

    def test_what_is_written_once_may_be_referred_to(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_text("base: &base {act: gelu}\n" + yaml.safe_dump(MINIMAL).replace("act: gelu", "<<: *base"))
        assert "*base" in path.read_text()
        assert read_config(path) == parse_config(MINIMAL, "c")

    def test_what_is_no_text_file_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
        (tmp_path / "long.yaml").write_text("#" * 65_537)
        (tmp_path / "folder.yaml").mkdir()
        assert "cannot be read" in file_refusal(tmp_path / "latin.yaml")
        assert "is longer than 65536 characters" in file_refusal(tmp_path / "long.yaml")
        assert "cannot be read" in file_refusal(tmp_path / "folder.yaml")
        assert "does not exist: check the path" in file_refusal(tmp_path / "missing.yaml")

    def test_a_config_cannot_be_changed(self) -> None:
        config = parse_config(MINIMAL, "c")
        with pytest.raises(ValueError, match="frozen"):
            config.audio = config.audio
        assert isinstance(config, Mdx23cConfig)
