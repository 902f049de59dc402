"""An exported file is the checkpoint again: the same stems, the same plan, and nothing else needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import engine
from engine.errors import ConfigurationError, ExportError, ModelError
from engine.export import export_onnx
from engine.metrics import sdr_db
from engine.offline import separate
from engine.plan import live_plan, offline_plan
from engine.registry import load_separator
from tests.engine.mdx23c_models import GOLDEN_NAMES, STRIDE, Golden, GoldenNetwork, config_data, save_model, tiny
from tests.engine.onnx_exports import COMPLEX, exported_model, save_tiny, value_types, windows_of

PARTS = ("core", "waveform")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=GOLDEN_NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


@pytest.fixture(scope="module", params=PARTS)
def golden_file(request: pytest.FixtureRequest, golden: Golden, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A golden checkpoint, exported, in a folder of its own."""
    path = tmp_path_factory.mktemp("export") / f"{golden.name}.onnx"
    report = export_onnx(golden.checkpoint, path, config=golden.config, part=request.param)
    assert (report.path, report.part, report.precision) == (path, request.param, "fp32")
    assert report.size_bytes == path.stat().st_size
    return path


class TestGolden:
    def test_batches_are_those_of_pytorch(self, golden: Golden, golden_file: Path) -> None:
        separator = load_separator(golden_file)
        # The network as it is: random weights amplify what a faster way rounds otherwise.
        reference = GoldenNetwork(golden, separator.spec, torch.float32)
        windows = np.stack([np.roll(golden.chunk[0], 1000 * n, axis=-1) for n in range(8)])
        wanted, _ = reference.process(windows, ())
        for size in (1, 2, 4, 8):
            stems, states = separator.process(windows[:size], ())
            assert states == ()
            np.testing.assert_allclose(stems, wanted[:size], rtol=0, atol=1e-4)

    def test_a_window_is_that_of_the_reference(self, golden: Golden, golden_file: Path) -> None:
        window, expected = golden.chunk
        stems, _ = load_separator(golden_file).process(window[None], ())
        np.testing.assert_allclose(stems[0, ..., ::STRIDE], expected, rtol=0, atol=1e-4)

    def test_a_runner_gives_the_same_from_run_to_run(self, golden_file: Path) -> None:
        separator = load_separator(golden_file)
        runner = separator.runner(2, separator.spec.window_frames)
        found = []
        for seed in (1, 2, 1):
            runner.windows[...] = windows_of(separator, 2, seed=seed)
            runner.run(2)
            found.append(runner.stems.copy())
        np.testing.assert_array_equal(found[0], found[2])
        assert np.abs(found[0] - found[1]).max() > 1e-3
        runner.windows[0] = windows_of(separator, seed=2)[0]
        runner.run(1)
        np.testing.assert_array_equal(runner.stems[1], found[0][1])

    def test_the_spec_and_the_plans_are_the_checkpoints(self, golden: Golden, golden_file: Path) -> None:
        wanted, found = load_separator(golden.checkpoint, config=golden.config).spec, load_separator(golden_file).spec
        assert found == wanted
        assert found.description == wanted.description
        assert offline_plan(found) == offline_plan(wanted)
        assert live_plan(found) == live_plan(wanted)

    def test_the_file_says_all_that_is_needed(self, golden: Golden, golden_file: Path) -> None:
        model = onnx.load(golden_file)
        told = json.loads({each.key: each.value for each in model.metadata_props}["stemstream"])
        spec = load_separator(golden.checkpoint, config=golden.config).spec
        assert told["stems"] == list(spec.stems)
        for key in ("sample_rate", "window_frames", "window_granularity_frames", "overlap", "hop_frames", "residual"):
            assert told[key] == getattr(spec, key)
        assert set(told.get("spectrum", {})) == ({"n_fft", "hop_frames", "bins"} if "spectrum" in told else set())

    def test_the_graph_is_sound_open_and_real(self, golden_file: Path) -> None:
        model = onnx.load(golden_file)
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version >= 17
        assert {each.domain for each in model.opset_import} == {""}
        types = value_types(model)
        assert onnx.TensorProto.FLOAT in types
        assert not types & set(COMPLEX)
        for value in (*model.graph.input, *model.graph.output):
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            first, *_, last = value.type.tensor_type.shape.dim
            assert (first.dim_param, bool(last.dim_param)) == ("batch", True)

    def test_a_recording_comes_out_the_same(self, golden: Golden, golden_file: Path) -> None:
        overlap, track, expected = golden.tracks[0]
        rate = load_separator(golden_file).spec.sample_rate
        stems = separate(load_separator(golden_file), track, rate, overlap=overlap, batch_size=3)
        given = stems[: len(expected), :, ::STRIDE]
        np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("part", PARTS)
class TestExport:
    def test_windows_of_other_lengths_are_those_of_pytorch(self, tmp_path: Path, part: str) -> None:
        checkpoint = save_tiny(tmp_path)
        reference, separator = load_separator(checkpoint), exported_model(checkpoint, part=part)
        for frames in (56, 184):
            windows = windows_of(reference, 2)
            windows = np.concatenate((windows, windows), axis=2)[..., :frames]
            wanted, _ = reference.process(windows, ())
            np.testing.assert_allclose(separator.process(windows, ())[0], wanted, rtol=0, atol=1e-5)
        with pytest.raises(ModelError, match="no window of 60 frames: use 120 frames or multiples of 32"):
            separator.runner(1, 60)

    def test_half_precision_is_close(self, tmp_path: Path, part: str) -> None:
        checkpoint = save_tiny(tmp_path)
        separator = exported_model(checkpoint, part=part, precision="fp16")
        windows = windows_of(separator, 4)
        wanted, _ = load_separator(checkpoint).process(windows, ())
        stems, _ = separator.process(windows, ())
        assert stems.dtype == np.float32
        assert 40.0 < sdr_db(wanted.reshape(1, -1), stems.reshape(1, -1)) < 90.0
        types = value_types(onnx.load(tmp_path / "exported.onnx"))
        assert onnx.TensorProto.FLOAT16 in types
        assert not types & set(COMPLEX)

    def test_it_is_the_same_file_every_time(self, tmp_path: Path, part: str) -> None:
        checkpoint = save_tiny(tmp_path)
        contents = []
        for n in range(2):
            path = tmp_path / f"{n}.onnx"
            export_onnx(checkpoint, path, part=part)
            contents.append(path.read_bytes())
        assert contents[0] == contents[1]

    def test_a_target_gives_what_it_leaves_by_subtraction(self, tmp_path: Path, part: str) -> None:
        one = tiny(outputs=1)
        checkpoint = save_tiny(
            tmp_path, one, training={"instruments": ["Vocals", "Other"], "target_instrument": "Vocals"}
        )
        assert exported_model(checkpoint, part=part).spec.output_stems == ("Vocals", "Other")

    def test_the_checkpoint_is_no_longer_needed(self, tmp_path: Path, part: str) -> None:
        checkpoint = save_tiny(tmp_path)
        wanted = exported_model(checkpoint, part=part).process(windows_of(load_separator(checkpoint)), ())[0]
        path = tmp_path / "exported.onnx"
        for each in (checkpoint, checkpoint.with_suffix(".yaml")):
            each.unlink()
        # Nor is PyTorch, nor the package that wrote the file.
        program = (
            "import sys; sys.modules.update(torch=None, onnx=None)\n"
            "import numpy as np; from engine import load_separator\n"
            f"separator = load_separator({str(path)!r}); spec = separator.spec\n"
            "x = 0.2 * np.random.default_rng(0).standard_normal((1, spec.channels, spec.window_frames))\n"
            "np.save('stems.npy', separator.process(x.astype(np.float32), ())[0])\n"
        )
        root = Path(engine.__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
        np.testing.assert_array_equal(np.load(tmp_path / "stems.npy"), wanted)


def test_an_export_is_there_at_the_top() -> None:
    assert engine.export_onnx is export_onnx


class TestRefusals:
    def refused(self, *arguments: Any, **options: Any) -> str:
        with pytest.raises(ExportError) as caught:
            export_onnx(*arguments, **options)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 4
        return str(caught.value)

    def test_a_file_that_is_there_is_kept(self, tmp_path: Path) -> None:
        checkpoint = save_tiny(tmp_path)
        for name in ("there.onnx", "link.onnx"):
            there = tmp_path / name
            if name == "link.onnx":
                there.symlink_to(tmp_path / "nowhere")
            else:
                there.write_bytes(b"kept")
            assert f"{name}' exists: choose another file name, or replace it with" in self.refused(checkpoint, there)
        assert (tmp_path / "there.onnx").read_bytes() == b"kept"
        export_onnx(checkpoint, tmp_path / "there.onnx", overwrite=True)
        assert load_separator(tmp_path / "there.onnx").spec.stems == ("vocals", "other")

    def test_another_kind_of_file_is_not_written(self, tmp_path: Path) -> None:
        assert "'model.pt' does not end in .onnx" in self.refused(tmp_path / "a.ckpt", "model.pt")

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            ("spatial", "model 'spatial' is no checkpoint: only those of MDX23C models can be exported"),
            ("mine.onnx", "is an ONNX file already: it is used as it is"),
        ],
    )
    def test_what_is_no_checkpoint_is_not_exported(self, tmp_path: Path, model: str, said: str) -> None:
        assert said in self.refused(model, tmp_path / "a.onnx")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("model", "said"), [("song.wav", "does not exist: use a path"), ("mdx", "is not known")])
    def test_what_is_no_model_is_not_exported(self, tmp_path: Path, model: str, said: str) -> None:
        with pytest.raises(ModelError, match=f"model '{model}' {said}"):
            export_onnx(model, tmp_path / "a.onnx")

    def test_a_checkpoint_that_cannot_be_used_says_why_and_leaves_nothing(self, tmp_path: Path) -> None:
        checkpoint = save_model(tmp_path / "model.ckpt", has_config=False)
        with pytest.raises(ModelError, match="needs its config"):
            export_onnx(checkpoint, tmp_path / "a.onnx")
        with pytest.raises(ModelError, match="does not exist"):
            export_onnx(tmp_path / "none.ckpt", tmp_path / "a.onnx")
        assert [path.name for path in tmp_path.iterdir()] == ["model.ckpt"]

    def test_a_transform_without_small_factors_goes_as_core_alone(self, tmp_path: Path) -> None:
        # Twice a prime, and more than the dense products may be long.
        large = tiny(n_fft=2 * 521, hop_frames=256)
        checkpoint = save_tiny(tmp_path, large)
        assert "a transform of 1042 frames cannot be put into a graph" in self.refused(checkpoint, tmp_path / "a.onnx")
        reference, separator = load_separator(checkpoint), exported_model(checkpoint, part="core")
        windows = windows_of(reference)
        wanted, _ = reference.process(windows, ())
        np.testing.assert_allclose(separator.process(windows, ())[0], wanted, rtol=0, atol=1e-5)

    def test_windows_too_short_to_be_reflected_go_as_core_alone(self, tmp_path: Path) -> None:
        short = tiny(n_fft=64, scales=1)
        checkpoint = save_model(tmp_path / "model.ckpt", short, config=config_data(short, window=8 * 5))
        assert "a graph cannot reflect these: export the network alone" in self.refused(checkpoint, tmp_path / "a.onnx")
        separator = exported_model(checkpoint, part="core")
        windows = windows_of(separator)
        wanted, _ = load_separator(checkpoint).process(windows, ())
        np.testing.assert_allclose(separator.process(windows, ())[0], wanted, rtol=0, atol=1e-5)
        with pytest.raises(
            ModelError, match="no window of 24 frames: it must be longer than half of its transform, 32"
        ):
            separator.runner(1, 24)

    @pytest.mark.parametrize("options", [{"part": "half"}, {"precision": "bf16"}])
    def test_unknown_words_name_those_that_are_known(self, tmp_path: Path, options: dict[str, str]) -> None:
        ((name, value),) = options.items()
        with pytest.raises(ConfigurationError, match=f"{name} '{value}' is unknown: use .* or "):
            export_onnx(tmp_path / "a.ckpt", tmp_path / "a.onnx", **options)

    @pytest.mark.parametrize("package", ["onnx", "torch"])
    def test_a_missing_package_names_the_extra(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        checkpoint = save_tiny(tmp_path)
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ModelError, match=r"pip install 'stemstream\[torch\]'"):
            export_onnx(checkpoint, tmp_path / "a.onnx")

    def test_too_many_weights_for_one_file_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("engine.models.mdx23c_onnx._MOST_BYTES", 1000)
        assert "an ONNX file holds 1000 bytes: it is too large" in self.refused(
            save_tiny(tmp_path), tmp_path / "a.onnx"
        )
        assert not (tmp_path / "a.onnx").exists()
        assert not list(tmp_path.glob("*.part"))


def test_the_architecture_of_a_public_model_is_exported_by_its_lengths(tmp_path: Path) -> None:
    public = replace(tiny(), n_fft=12288, hop_frames=2048, bands=4, frequencies=16)
    checkpoint = save_tiny(tmp_path, public, audio={"chunk_size": 31 * 2048})
    reference, separator = load_separator(checkpoint), exported_model(checkpoint)
    windows = windows_of(reference)
    wanted, _ = reference.process(windows, ())
    np.testing.assert_allclose(separator.process(windows, ())[0], wanted, rtol=0, atol=1e-5)
