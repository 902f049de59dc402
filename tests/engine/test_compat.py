"""``demix`` as the training program has it: any config object, any module, and every frame exact."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from engine.compat import demix
from engine.config import read_config
from engine.errors import BlockError, ConfigurationError, ModelError
from engine.models.mdx23c import Mdx23c, SpectrumTransform
from engine.models.mdx23c_layout import match_architecture
from engine.offline import separate
from engine.registry import load_separator
from engine.separator import F32
from tests.engine.mdx23c_models import GOLDEN_NAMES, STRIDE, Golden

WINDOW = 60
CPU = torch.device("cpu")
GOLDENS_OWN_ROUNDING = 2.5e-5
"""What the golden outputs are off what double precision gives, at most."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Gains(nn.Module):
    """Each stem is the window times a gain; keeps the shapes it was called with."""

    def __init__(self, *gains: float, has_stem_axis: bool = True) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.tensor(gains))
        self.has_stem_axis = has_stem_axis
        self.seen: list[tuple[int, ...]] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(windows.shape))
        stems = windows[:, None] * self.gains[:, None, None]
        return stems if self.has_stem_axis else stems[:, 0]


class Means(nn.Module):
    """Two stems that depend on the whole window, so that where windows lie can be heard."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        mean = windows.mean(dim=-1, keepdim=True)
        return torch.stack((windows * mean, windows + mean), dim=1)


class Network(nn.Module):
    """A golden checkpoint as its program builds it: waveforms in, waveforms out. In double precision inside."""

    def __init__(self, golden: Golden) -> None:
        super().__init__()
        tensors = torch.load(golden.checkpoint, weights_only=True)
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        architecture = match_architecture(shapes, read_config(golden.config), file="f", config_source="c")
        self.transform = SpectrumTransform(architecture.n_fft, architecture.hop_frames, architecture.bins)
        self.network = Mdx23c(architecture)
        self.network.load_state_dict(tensors)
        self.eval().double()

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        spectrum = self.transform.forward(windows).double()
        return self.transform.inverse(self.network(spectrum).float())


def config(overlap: int = 4, *, batch_size: int = 1, names: Any = ("vocals", "other"), **training: Any) -> Any:
    return {
        "audio": {"chunk_size": WINDOW},
        "training": {"instruments": list(names), **training},
        "inference": {"num_overlap": overlap, "batch_size": batch_size},
    }


def namespace(data: Any) -> Any:
    return SimpleNamespace(**{k: namespace(v) if isinstance(v, dict) else v for k, v in data.items()})


class Attributes:
    """As ``ConfigDict`` is: attributes and items, no mapping, and an AttributeError for what is missing."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = {k: Attributes(v) if isinstance(v, dict) else v for k, v in data.items()}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._data:
            raise AttributeError(name)
        return self._data[name]

    def __getitem__(self, name: str) -> Any:
        return self._data[name]


def noise(*shape: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def run(settings: Any, module: nn.Module, mix: Any, model_type: str = "mdx23c", **options: Any) -> dict[str, F32]:
    return demix(settings, module, mix, CPU, model_type, **options)


def in_one_piece(module: nn.Module, mix: F32, overlap: int) -> F32:
    """Cut, weigh and add all at once and in double precision."""
    hop, fade, frames = WINDOW // overlap, WINDOW // 10, mix.shape[1]
    border = WINDOW - hop
    padded = np.pad(np.pad(mix, ((0, 0), (border, border)), mode="reflect"), ((0, 0), (0, WINDOW)), mode="reflect")
    ramps = np.ones(WINDOW)
    if border:
        ramps[:fade], ramps[-fade:] = np.linspace(0, 1, fade), np.linspace(1, 0, fade)
    sums, counter = np.zeros((2, *padded.shape)), np.zeros(padded.shape[1])
    for start in range(0, frames + border, hop):
        part = torch.from_numpy(padded[None, :, start : start + WINDOW])
        sums[..., start : start + WINDOW] += ramps * module(part)[0].numpy()
        counter[start : start + WINDOW] += ramps
    return (sums[..., border : border + frames] / counter[border : border + frames]).astype(np.float32)


def as_the_training_program(module: nn.Module, mix: F32, overlap: int) -> F32:
    """Cut as that program does it, with a batch of one: tracks of up to two borders are not reflected at their ends."""
    hop, fade = WINDOW // overlap, WINDOW // 10
    border = WINDOW - hop
    is_reflected = mix.shape[1] > 2 * border
    padded = np.pad(mix, ((0, 0), (border, border)), mode="reflect") if is_reflected else mix
    sums, counter = np.zeros((2, *padded.shape)), np.zeros(padded.shape[1])
    for start in range(0, padded.shape[1], hop):
        part = padded[:, start : start + WINDOW]
        heard = part.shape[1]
        mode: Any = "reflect" if heard > WINDOW // 2 else "constant"
        window = torch.from_numpy(np.pad(part, ((0, 0), (0, WINDOW - heard)), mode=mode)[None])
        ramps = np.ones(WINDOW)
        if start:
            ramps[:fade] = np.linspace(0, 1, fade)
        if start + WINDOW < padded.shape[1]:
            ramps[-fade:] = np.linspace(1, 0, fade)
        sums[..., start : start + heard] += (ramps * module(window)[0].numpy())[..., :heard]
        counter[start : start + heard] += ramps[:heard]
    stems = (sums / counter).astype(np.float32)
    return stems[..., border:-border] if is_reflected else stems


class TestReference:
    @pytest.mark.parametrize("name", GOLDEN_NAMES)
    def test_a_track_comes_out_as_from_the_reference(self, name: str) -> None:
        golden = Golden(name)
        data = yaml.safe_load(golden.config.read_text(encoding="utf-8"))
        network = Network(golden)
        for overlap, track, expected in golden.tracks:
            data["inference"]["num_overlap"] = overlap
            stems = run(data, network, track)
            target = data["training"]["target_instrument"]
            assert list(stems) == ([target] if target else data["training"]["instruments"])
            for stem, reference in zip(stems.values(), expected, strict=True):
                np.testing.assert_allclose(stem[:, ::STRIDE], reference, rtol=0, atol=GOLDENS_OWN_ROUNDING)

    def test_it_is_what_the_project_gives_for_the_same_checkpoint(self) -> None:
        golden = Golden("target_only")
        model = load_separator(golden.checkpoint, config=golden.config)

        class Module(nn.Module):
            def forward(self, windows: torch.Tensor) -> torch.Tensor:
                return torch.from_numpy(model.process(windows.numpy(), ())[0])

        data = yaml.safe_load(golden.config.read_text(encoding="utf-8"))
        track = golden.tracks[0][1][:, :20_000]
        stems = run(data, Module(), track)
        np.testing.assert_array_equal(stems["Vocals"], separate(model, track, 44_100)[0])


class TestEdges:
    @pytest.mark.parametrize("batch_size", [1, 3])
    @pytest.mark.parametrize("overlap", [1, 2, 4, 7])
    def test_every_frame_of_every_length_is_there(self, overlap: int, batch_size: int) -> None:
        module = Gains(0.25, 0.75)
        for frames in (0, 1, 2, 7, 15, 16, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7):
            mix = noise(2, frames, seed=frames)
            stems = run(config(overlap, batch_size=batch_size), module, mix)
            np.testing.assert_allclose(stems["vocals"], 0.25 * mix, rtol=0, atol=1e-7)
            np.testing.assert_allclose(stems["other"], 0.75 * mix, rtol=0, atol=1e-7)

    @pytest.mark.parametrize("batch_size", [1, 4])
    @pytest.mark.parametrize("overlap", [1, 2, 4, 7])
    def test_windows_lie_and_fade_as_the_config_says(self, overlap: int, batch_size: int) -> None:
        mix = noise(2, 5 * WINDOW + 11)
        stems = run(config(overlap, batch_size=batch_size), Means(), mix)
        expected = in_one_piece(Means(), mix, overlap)
        np.testing.assert_allclose(np.stack(list(stems.values())), expected, rtol=0, atol=1e-6)


class TestShortTracks:
    @pytest.mark.parametrize("overlap", [2, 4, 7])
    def test_from_two_borders_and_a_frame_on_the_training_program_gives_the_same(self, overlap: int) -> None:
        borders = 2 * (WINDOW - WINDOW // overlap)
        for frames in (borders + 1, borders + 2, borders + WINDOW):
            mix = noise(2, frames)
            stems = np.stack(list(run(config(overlap), Means(), mix).values()))
            np.testing.assert_allclose(stems, as_the_training_program(Means(), mix, overlap), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("overlap", [2, 4, 7])
    def test_up_to_two_borders_it_reflects_nothing_and_gives_something_else(self, overlap: int) -> None:
        borders = 2 * (WINDOW - WINDOW // overlap)
        for frames in (borders, borders - 1):
            mix = noise(2, frames)
            stems = np.stack(list(run(config(overlap), Means(), mix).values()))
            np.testing.assert_allclose(stems, in_one_piece(Means(), mix, overlap), rtol=0, atol=1e-6)
            assert np.abs(stems - as_the_training_program(Means(), mix, overlap)).max() > 1e-3


class TestConfig:
    @pytest.mark.parametrize("kind", [dict, namespace, Attributes])
    def test_any_kind_of_object_will_do(self, kind: Callable[[Any], Any]) -> None:
        mix = noise(2, 200)
        stems = run(kind(config(2, batch_size=3)), Gains(1.0, 0.5), mix)
        assert list(stems) == ["vocals", "other"]
        np.testing.assert_allclose(stems["other"], 0.5 * mix, atol=1e-7)

    def test_a_window_for_inference_wins_over_that_of_the_training(self) -> None:
        settings, module = config(), Gains(1.0, 0.5)
        settings["inference"]["chunk_size"] = 90
        run(settings, module, noise(2, 200))
        assert {shape[-1] for shape in module.seen} == {90}

    def test_batches_are_as_large_as_it_says(self) -> None:
        module = Gains(1.0, 0.5)
        run(config(batch_size=3), module, noise(2, 3000))
        assert {len(seen) for seen in module.seen} == {3}
        assert max(shape[0] for shape in module.seen) == 3

    def test_overlap_and_batch_have_defaults(self) -> None:
        module = Gains(1.0, 0.5)
        settings = config()
        del settings["inference"]
        run(settings, module, noise(2, 10 * WINDOW))
        assert {shape[0] for shape in module.seen} == {1}
        assert len(module.seen) == 4 * 10 + 3

    def test_a_target_is_the_only_stem(self) -> None:
        mix = noise(2, 200)
        for has_stem_axis in (True, False):
            module = Gains(0.5, has_stem_axis=has_stem_axis)
            stems = run(config(target_instrument="vocals"), module, mix)
            assert list(stems) == ["vocals"]
            np.testing.assert_allclose(stems["vocals"], 0.5 * mix, atol=1e-7)

    def test_names_are_free(self) -> None:
        stems = run(config(names=["a/b", "A/B", ""]), Gains(1.0, 2.0, 3.0), noise(2, 100))
        assert list(stems) == ["a/b", "A/B", ""]

    def test_normalising_is_left_to_the_caller(self) -> None:
        settings, mix = config(), noise(2, 200)
        settings["inference"]["normalize"] = True
        np.testing.assert_allclose(run(settings, Gains(1.0, 0.5), mix)["vocals"], mix, atol=1e-7)

    @pytest.mark.parametrize(
        ("section", "key", "value", "told"),
        [
            ("audio", "chunk_size", None, "config has no audio.chunk_size: add it"),
            ("audio", "chunk_size", 0, "config has audio.chunk_size 0: it must be a whole number from 1"),
            ("inference", "chunk_size", 1.5, r"config has inference.chunk_size 1\.5"),
            ("inference", "num_overlap", True, "config has inference.num_overlap True"),
            ("inference", "num_overlap", 61, "overlap 61 is out of range"),
            ("inference", "batch_size", "2", "config has inference.batch_size '2'"),
            ("inference", "batch_size", 5000, "batch size 5000 cannot be used"),
            ("training", "instruments", [], "it must be a list of the stems' names, each once"),
            ("training", "instruments", "vocals", "it must be a list of the stems' names, each once"),
            ("training", "instruments", ["a", "a"], "it must be a list of the stems' names, each once"),
            ("training", "instruments", [1, "1"], r"instruments \[1, '1'\]: it must be a list of the stems' names"),
            ("training", "instruments", [["a"], ["b"]], "it must be a list of the stems' names, each once"),
            ("training", "instruments", {"a": 1}, "it must be a list of the stems' names, each once"),
            ("training", "target_instrument", ["a"], "it must be a stem's name, or None"),
        ],
    )
    def test_what_cannot_be_used_is_refused_in_one_line(self, section: str, key: str, value: Any, told: str) -> None:
        settings = config()
        settings[section][key] = value
        with pytest.raises(ConfigurationError, match=told) as refused:
            run(settings, Gains(1.0, 0.5), noise(2, 100))
        assert "\n" not in str(refused.value)


class TestTypes:
    @pytest.mark.parametrize("model_type", ["mdx23c", "bs_roformer", "mel_band_roformer", "scnet", "segm_models"])
    def test_all_types_but_one_are_cut_alike(self, model_type: str) -> None:
        mix = noise(2, 200)
        np.testing.assert_array_equal(
            run(config(), Means(), mix, model_type)["other"], run(config(), Means(), mix)["other"]
        )

    def test_the_one_that_is_cut_in_another_way_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="'htdemucs' is cut in a way of its own: separate it with demucs"):
            run(config(), Gains(1.0, 0.5), noise(2, 100), "htdemucs")


class TestAudio:
    @pytest.mark.parametrize(
        "kind",
        [
            torch.from_numpy,
            lambda a: a.astype(np.float64),
            lambda a: a.tolist(),
            lambda a: torch.from_numpy(a).double(),
            lambda a: torch.from_numpy(a).double().requires_grad_(),
        ],
    )
    def test_arrays_and_tensors_of_any_precision_come_out_as_float32_arrays(self, kind: Callable[[F32], Any]) -> None:
        mix = noise(2, 200)
        stems = run(config(), Gains(1.0, 0.5), kind(mix))
        assert all(isinstance(stem, np.ndarray) and stem.dtype == np.float32 for stem in stems.values())
        np.testing.assert_allclose(stems["vocals"], mix, atol=1e-7)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_tensors_of_half_the_precision_are_taken_as_they_are(self, dtype: torch.dtype) -> None:
        mix = torch.from_numpy(noise(2, 200)).to(dtype)
        np.testing.assert_allclose(run(config(), Gains(1.0, 0.5), mix)["vocals"], mix.float().numpy(), atol=1e-7)

    @pytest.mark.parametrize("device", ["nonsense", "cpu:x", "cuda:4711", 1.5, None])
    def test_a_device_that_is_not_there_is_refused_in_one_line(self, device: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"^device {device!r} cannot be used ") as refused:
            demix(config(), Gains(1.0, 0.5), noise(2, 100), device, "mdx23c")
        assert "\n" not in str(refused.value)

    def test_a_tensor_that_wants_gradients_is_taken_and_nothing_is_changed(self) -> None:
        mix = torch.from_numpy(noise(2, 200)).requires_grad_()
        kept = mix.detach().clone()

        class Writes(Gains):
            def forward(self, windows: torch.Tensor) -> torch.Tensor:
                return super().forward(windows.mul_(0.5))

        np.testing.assert_allclose(run(config(), Writes(1.0, 1.0), mix)["vocals"], 0.5 * kept.numpy(), atol=1e-7)
        assert torch.equal(mix, kept)

    def test_one_channel_stays_one_channel(self) -> None:
        module = Gains(1.0, 0.5)
        assert run(config(), module, noise(1, 200))["other"].shape == (1, 200)
        assert {shape[1] for shape in module.seen} == {1}

    def test_what_is_no_audio_is_refused(self) -> None:
        for mix in (
            noise(100),
            noise(3, 100),
            noise(1, 2, 100),
            np.array([["a"]]),
            np.ones((2, 9), complex),
            [[1.0], [1.0, 2.0]],
        ):
            with pytest.raises(BlockError):
                run(config(), Gains(1.0, 0.5), mix)


class TestModule:
    def test_it_runs_without_gradients_and_keeps_its_mode(self) -> None:
        said = []

        class Asks(Gains):
            def forward(self, windows: torch.Tensor) -> torch.Tensor:
                said.append((torch.is_inference_mode_enabled(), self.training, windows.dtype, windows.device.type))
                return super().forward(windows)

        run(config(), Asks(1.0, 0.5), noise(2, 100))
        assert set(said) == {(True, True, torch.float32, "cpu")}

    def test_more_frames_than_it_was_given_are_cut_off(self) -> None:
        class Longer(Gains):
            def forward(self, windows: torch.Tensor) -> torch.Tensor:
                return nn.functional.pad(super().forward(windows), (0, 3), value=9.0)

        mix = noise(2, 200)
        np.testing.assert_allclose(run(config(), Longer(1.0, 0.5), mix)["vocals"], mix, atol=1e-7)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_it_may_give_another_precision(self, dtype: torch.dtype) -> None:
        class Rounded(Gains):
            def forward(self, windows: torch.Tensor) -> torch.Tensor:
                return super().forward(windows).to(dtype)

        mix = noise(2, 200).astype(np.float16)
        np.testing.assert_allclose(run(config(), Rounded(1.0, 0.5), mix)["vocals"], mix, atol=2e-3)

    @pytest.mark.parametrize(
        ("module", "told"),
        [
            (Gains(1.0), r"gave shape \(1, 1, 2, 60\), where the config promises \(1, 2, 2, 60\)"),
            (Gains(1.0, 0.5, 0.2), r"gave shape \(1, 3, 2, 60\)"),
            (Gains(1.0, has_stem_axis=False), r"gave shape \(1, 2, 60\)"),
            (nn.Identity(), r"gave shape \(1, 2, 60\)"),
            (nn.Flatten(), r"gave shape \(1, 120\)"),
            (nn.LSTM(WINDOW, WINDOW), "gave tuple, where the config promises"),
            (nn.Linear(7, 7), "model 'Linear' failed after 0 windows: RuntimeError: "),
            (Gains(float("nan"), 1.0), "not finite"),
        ],
        ids=str,
    )
    def test_what_it_does_wrong_is_one_line(self, module: nn.Module, told: str) -> None:
        with pytest.raises(ModelError, match=told) as refused:
            run(config(), module, noise(2, 100))
        assert "\n" not in str(refused.value)


class TestProgress:
    @pytest.mark.parametrize(("is_asked", "is_terminal"), [(True, True), (True, False), (False, True)])
    def test_a_bar_is_drawn_where_it_is_asked_for_and_can_be_seen(
        self, is_asked: bool, is_terminal: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return is_terminal

        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setenv("TERM", "xterm")
        run(config(), Gains(1.0, 0.5), noise(2, 200), pbar=is_asked)
        said = sys.stderr.getvalue()
        assert ("separating" in said) == ("100%" in said) == (is_asked and is_terminal)
        assert bool(said) == (is_asked and is_terminal)

    def test_the_arguments_go_by_position_and_by_name(self) -> None:
        mix, module = noise(2, 100), Gains(1.0, 0.5)
        named = demix(config=config(), model=module, mix=mix, device="cpu", model_type="mdx23c", pbar=False)
        np.testing.assert_array_equal(named["other"], demix(config(), module, mix, CPU, "mdx23c", False)["other"])
