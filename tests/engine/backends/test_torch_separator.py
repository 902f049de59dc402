"""An MDX23C checkpoint is a model like any other: exact, the same every time, and refused in one line otherwise."""

from __future__ import annotations

import copy
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from engine import known_models
from engine.backends.torch_separator import TorchRunner, TorchSeparator
from engine.config import parse_config
from engine.errors import ConfigurationError, ModelError, OutOfMemory
from engine.known_models import KnownModel
from engine.offline import separate
from engine.plan import WindowPlan, offline_plan
from engine.registry import load_separator
from engine.separator import F32
from streamer.processor import StemProcessor
from tests.engine.mdx23c_models import (
    GOLDEN_NAMES,
    STRIDE,
    TINY,
    WINDOW,
    Golden,
    GoldenNetwork,
    config_data,
    random_tensors,
    save_model,
    tiny,
)

RATE = 44_100


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(*shape: int, seed: int = 1) -> F32:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def rms(values: F32) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load_separator(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def model(tmp_path: Path) -> TorchSeparator:
    return TorchSeparator(save_model(tmp_path / "tiny.ckpt"))


@pytest.fixture
def small(tmp_path: Path) -> TorchSeparator:
    """Give the fastest network there is, for tests of how its windows are put together."""
    return TorchSeparator(save_model(tmp_path / "small.ckpt", tiny(scales=1, blocks=1)))


def overlap_added(model: TorchSeparator, audio: F32, overlap: int) -> F32:
    """Separate a track as the reference does it, all at once and in double precision."""
    window, frames = model.spec.window_frames, audio.shape[1]
    hop, fade = window // overlap, window // 10
    border = window - hop
    stems = np.zeros((len(model.spec.stems), 2, frames + border + 2 * window))
    weight = np.zeros(stems.shape[-1])
    if not frames:
        return stems[..., :0].astype(np.float32)
    kind = "reflect" if frames > 1 else "constant"
    padded = np.pad(audio, ((0, 0), (border, border)), mode=kind)
    padded = np.pad(padded, ((0, 0), (0, window)), mode=kind)
    ramps = np.ones(window)
    if border:
        ramps[:fade] = np.linspace(0, 1, fade)
        ramps[-fade:] = np.linspace(1, 0, fade)
    for start in range(0, frames + border, hop):
        part = np.ascontiguousarray(padded[None, :, start : start + window])
        stems[..., start : start + window] += ramps * model.process(part, ())[0][0]
        weight[start : start + window] += ramps
    return (stems / np.maximum(weight, 1e-9))[..., border : border + frames].astype(np.float32)


ROUNDED = {("four_stems_six_bands", 4): 1.7e-5}
"""What single precision left in the recorded figures themselves where it is more than the 0.00001 of all others: in
double precision this difference is 1.62e-5 on every machine."""


class TestReference:
    @pytest.mark.parametrize("name", GOLDEN_NAMES)
    def test_a_window_comes_out_as_from_the_reference(self, name: str) -> None:
        golden = Golden(name)
        window, expected = golden.chunk
        model = TorchSeparator(golden.checkpoint, config=golden.config, way="eager")
        in_double, _ = GoldenNetwork(golden, model.spec, torch.float64).process(window[None], ())
        np.testing.assert_allclose(in_double[0, ..., ::STRIDE], expected, rtol=0, atol=1e-5)
        stems, states = model.process(window[None], ())
        assert states == ()
        in_single, _ = GoldenNetwork(golden, model.spec, torch.float32).process(window[None], ())
        np.testing.assert_array_equal(stems, in_single)

    @pytest.mark.parametrize("name", GOLDEN_NAMES)
    def test_fused_steps_round_as_single_precision_does(self, name: str) -> None:
        golden = Golden(name)
        window, _ = golden.chunk
        model = TorchSeparator(golden.checkpoint, config=golden.config, way="fused")
        exact, _ = GoldenNetwork(golden, model.spec, torch.float64).process(window[None], ())
        plain, _ = GoldenNetwork(golden, model.spec, torch.float32).process(window[None], ())
        fused, _ = model.process(window[None], ())
        assert rms(fused - exact) <= 10 * rms(plain - exact) + 1e-7
        again, _ = model.process(window[None], ())
        np.testing.assert_array_equal(again, fused)

    @pytest.mark.parametrize("name", GOLDEN_NAMES)
    def test_a_track_comes_out_as_from_the_reference(self, name: str) -> None:
        golden = Golden(name)
        model = TorchSeparator(golden.checkpoint, config=golden.config, way="eager")
        in_double = GoldenNetwork(golden, model.spec, torch.float64)
        in_single = GoldenNetwork(golden, model.spec, torch.float32)
        assert golden.tracks
        for overlap, track, expected in golden.tracks:
            stems = separate(model, track, RATE, overlap=overlap)
            assert stems.shape == (len(model.spec.output_stems), *track.shape)
            np.testing.assert_array_equal(stems, separate(in_single, track, RATE, overlap=overlap))
            exact = separate(in_double, track, RATE, overlap=overlap)
            difference = exact[: len(expected), :, ::STRIDE] - expected
            assert np.abs(expected).max() > 0.01
            assert np.abs(difference).max() <= ROUNDED.get((name, overlap), 1e-5)
            assert np.sqrt(np.mean(np.square(difference))) < 1e-6

    def test_what_a_target_leaves_is_the_other_stem(self) -> None:
        golden = Golden("target_only")
        model = load_separator(golden.checkpoint, config=golden.config)
        assert (model.spec.stems, model.spec.output_stems) == (("Vocals",), ("Vocals", "Other"))
        track = golden.tracks[0][1][:, :20_000]
        np.testing.assert_allclose(separate(model, track, RATE).sum(axis=0), track, rtol=0, atol=1e-6)


class TestOffline:
    @pytest.mark.parametrize("overlap", [1, 2, 4, 7])
    def test_every_length_is_separated_as_if_all_at_once(self, small: TorchSeparator, overlap: int) -> None:
        hop = WINDOW // overlap
        for frames in (0, 1, 2, hop, hop + 1, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW + 7):
            audio = noise(2, frames, seed=frames)
            stems = separate(small, audio, RATE, overlap=overlap)
            assert stems.shape == (2, 2, frames)
            np.testing.assert_allclose(stems, overlap_added(small, audio, overlap), rtol=0, atol=2e-6)

    def test_the_overlap_is_the_configs_unless_told(self, tmp_path: Path) -> None:
        config = config_data(TINY, inference={"num_overlap": 6})
        spec = TorchSeparator(save_model(tmp_path / "a.ckpt", config=config)).spec
        assert offline_plan(spec) == WindowPlan(WINDOW, WINDOW // 6, 0, WINDOW // 10, WINDOW, fill="reflect")
        assert offline_plan(spec, overlap=2).hop_frames == WINDOW // 2

    def test_a_batch_changes_no_bit(self, small: TorchSeparator) -> None:
        audio = noise(2, 5 * WINDOW + 3)
        alone = separate(small, audio, RATE)
        for batch_size in (2, 3, 8):
            np.testing.assert_array_equal(separate(small, audio, RATE, batch_size=batch_size), alone)

    def test_the_same_comes_out_every_time(self, small: TorchSeparator, tmp_path: Path) -> None:
        audio = noise(2, 3 * WINDOW)
        first = separate(small, audio, RATE)
        np.testing.assert_array_equal(separate(small, audio, RATE), first)
        np.testing.assert_array_equal(separate(TorchSeparator(small.path), audio, RATE), first)

    def test_silence_is_silence_to_the_last_bit(self, small: TorchSeparator) -> None:
        assert not separate(small, np.zeros((2, 3 * WINDOW), np.float32), RATE).any()
        late = noise(2, 6 * WINDOW)
        late[:, : 3 * WINDOW] = 0.0
        stems = separate(small, late, RATE)
        assert not stems[..., :WINDOW].any()
        assert stems[..., 4 * WINDOW :].any()


class TestLive:
    def test_a_stream_is_the_plan_that_the_spec_suggests(self, small: TorchSeparator) -> None:
        audio = noise(2, 6 * WINDOW)
        processor = StemProcessor(small, mixture_consistent=False)
        with processor.prepare(sample_rate=RATE, channels=2, max_block_frames=40):
            blocks = [processor.process(audio[:, n : n + 40]).copy() for n in range(0, audio.shape[1], 40)]
            heard = np.concatenate(blocks, axis=-1)[..., processor.latency_frames :]
        assert np.abs(heard).max() > 0.01
        spec = small.spec
        plan = WindowPlan(WINDOW, WINDOW // 4, WINDOW // 10, WINDOW // 16, WINDOW // 4 + WINDOW // 16)
        assert (spec.hop_frames, spec.lookahead_frames, spec.fade_frames) == (
            plan.hop_frames,
            plan.lookahead_frames,
            plan.fade_frames,
        )
        offline = separate(small, audio, RATE, plan=plan)
        np.testing.assert_allclose(heard, offline[..., : heard.shape[-1]], rtol=0, atol=1e-6)


class TestLoading:
    def test_the_facts_come_from_the_file_and_the_config(self, tmp_path: Path) -> None:
        architecture = tiny(outputs=3, channels=1)
        config = config_data(architecture, audio={"sample_rate": 48_000})
        config["training"]["instruments"] = ["Vocals", "Other", "No Reverb"]
        spec = TorchSeparator(save_model(tmp_path / "mine.ckpt", architecture, config=config)).spec
        assert (spec.name, spec.sample_rate, spec.channels) == ("mine", 48_000, 1)
        assert (spec.stems, spec.residual) == (("Vocals", "Other", "No Reverb"), "Other")
        assert (spec.window_frames, spec.stateful, spec.states) == (WINDOW, False, ())
        assert spec.description == "MDX23C network of 3 stems"

    @pytest.mark.parametrize("name", ["a.ckpt", "a.pth", "a.pt", "a.th", "a.safetensors"])
    @pytest.mark.parametrize("wrapping", ["bare", "state", "state_dict", "model_state_dict", "module", "safetensors"])
    def test_every_kind_of_file_gives_the_same_model(
        self, tmp_path: Path, model: TorchSeparator, name: str, wrapping: str
    ) -> None:
        tensors: Any = random_tensors(TINY)
        if wrapping == "module":
            tensors = {f"module.{key}": tensor for key, tensor in tensors.items()}
        if wrapping == "safetensors":
            save_file(tensors, tmp_path / name)
        else:
            torch.save(tensors if wrapping in ("bare", "module") else {wrapping: tensors, "epoch": 1}, tmp_path / name)
        loaded = load_separator(tmp_path / name, config=model.path.with_suffix(".yaml"))
        windows = noise(2, 2, WINDOW)
        np.testing.assert_array_equal(loaded.process(windows, ())[0], model.process(windows, ())[0])

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_weights_of_other_precision_become_float32(self, tmp_path: Path, dtype: torch.dtype) -> None:
        tensors = random_tensors(TINY)
        rounded = {key: tensor.to(dtype).to(torch.float32) for key, tensor in tensors.items()}
        one = TorchSeparator(save_model(tmp_path / "one.ckpt", tensors=rounded))
        other = save_model(tmp_path / "other.ckpt", tensors={key: t.to(dtype) for key, t in tensors.items()})
        windows = noise(1, 2, WINDOW)
        expected = one.process(windows, ())[0]
        np.testing.assert_array_equal(TorchSeparator(other).process(windows, ())[0], expected)

    def test_the_file_may_go_once_it_is_loaded(self, model: TorchSeparator) -> None:
        windows = noise(1, 2, WINDOW)
        before = model.process(windows, ())[0]
        size = model.path.stat().st_size
        with model.path.open("r+b") as file:
            file.write(b"\xff" * size)
        model.path.unlink()
        np.testing.assert_array_equal(model.process(windows, ())[0], before)

    def test_loading_takes_no_number_from_the_programs_generator(self, tmp_path: Path) -> None:
        path = save_model(tmp_path / "a.ckpt")
        state = torch.get_rng_state()
        TorchSeparator(path)
        assert torch.equal(torch.get_rng_state(), state)

    def test_the_config_that_is_given_wins_over_the_one_beside_it(self, tmp_path: Path) -> None:
        path = save_model(tmp_path / "a.ckpt")
        other = tmp_path / "other.yaml"
        other.write_text(yaml.safe_dump(config_data(TINY, training={"instruments": ["dry", "wet"]})))
        assert TorchSeparator(path).spec.stems == ("vocals", "other")
        assert load_separator(str(path), config=str(other)).spec.stems == ("dry", "wet")

    def test_a_known_file_needs_no_config(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = save_model(tmp_path / "a.ckpt", has_config=False)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        config = parse_config(config_data(TINY, training={"instruments": ["kick", "snare"]}), "c")
        monkeypatch.setitem(known_models.KNOWN_MODELS, digest, KnownModel("two drums", config))
        spec = TorchSeparator(path).spec
        assert (spec.name, spec.stems, spec.description) == ("a", ("kick", "snare"), "two drums")

    def test_without_a_config_the_remedy_is_named(self, tmp_path: Path) -> None:
        path = save_model(tmp_path / "a.ckpt", has_config=False)
        assert refusal(path) == (
            f"checkpoint {str(path)!r} needs its config, which is not known for this file: name the YAML file that "
            "came with it with --config (in Python config=...), or save it as 'a.yaml' beside the checkpoint"
        )
        assert "config 'none.yaml' does not exist" in refusal(path, config="none.yaml")

    def test_a_config_of_another_model_is_refused_before_a_network_is_built(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = save_model(tmp_path / "a.ckpt", config=config_data(TINY, model={"num_channels": 128}))
        monkeypatch.setattr("engine.backends.torch_separator.make_model", None)
        assert refusal(path) == (
            f"config {str(path.with_suffix('.yaml'))!r} has model.num_channels 128 where checkpoint {str(path)!r} has "
            "4: use the config that belongs to this file, or correct it"
        )

    def test_weights_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        tensors = random_tensors(TINY)
        tensors["final_conv.2.weight"][3, 1] = float("nan")
        path = save_model(tmp_path / "a.ckpt", tensors=tensors)
        assert "holds values that are not finite in 'final_conv.2.weight'" in refusal(path)

    def test_a_payload_does_not_run(self, tmp_path: Path) -> None:
        class Payload:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(tmp_path / "it ran"),)

        path = save_model(tmp_path / "a.ckpt", tensors={**random_tensors(TINY), "x": Payload()})
        assert "it asks for 'posix.mkdir' when it is read" in refusal(path)
        assert not (tmp_path / "it ran").exists()


class TestRunner:
    def test_it_runs_from_one_row_to_all_of_them_and_leaves_the_windows(self, model: TorchSeparator) -> None:
        runner = model.runner(3, WINDOW)
        assert isinstance(runner, TorchRunner)
        windows = noise(3, 2, WINDOW)
        runner.windows[:] = windows
        runner.run(2)
        np.testing.assert_array_equal(runner.windows, windows)
        np.testing.assert_array_equal(runner.stems[:2], model.process(windows, ())[0][:2])
        assert not runner.stems[2].any()
        for n in (0, 4, -1):
            with pytest.raises(ConfigurationError, match="this runner takes 1 to 3"):
                runner.run(n)
        with pytest.raises(ConfigurationError, match="batch size 0 is out of range"):
            model.runner(0, WINDOW)

    def test_its_buffers_stay_where_they_are(self, model: TorchSeparator) -> None:
        runner = model.runner(1, WINDOW)
        windows, stems = runner.windows, runner.stems
        runner.windows[:] = noise(1, 2, WINDOW)
        runner.run(1)
        first = stems.copy()
        runner.windows[:] = noise(1, 2, WINDOW, seed=2)
        runner.run(1)
        assert runner.windows is windows
        assert runner.stems is stems
        assert not np.array_equal(stems, first)

    def test_other_windows_are_those_that_the_network_can_halve(self, model: TorchSeparator) -> None:
        assert model.spec.window_rule == f"{WINDOW} frames or multiples of 32 frames plus 24"
        for window in (56, 88, WINDOW, 248):
            assert model.process(noise(1, 2, window), ())[0].shape == (1, 2, 2, window)
            assert offline_plan(model.spec, window_frames=window).window_frames == window
        for window in (0, WINDOW - 8, WINDOW + 1, 128):
            with pytest.raises(ModelError, match=f"takes no window of {window} frames: use {WINDOW} frames or"):
                model.runner(1, window)

    def test_what_pytorch_says_is_one_line(self, model: TorchSeparator, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(window: torch.Tensor, stems: torch.Tensor) -> None:
            raise RuntimeError("not enough memory:\nyou tried to allocate 9 GB")

        runner = model.runner(1, WINDOW)
        monkeypatch.setattr(runner, "_pass", fail)
        with pytest.raises(
            OutOfMemory,
            match=r"^model 'tiny' ran out of memory in PyTorch \(not enough memory: you tried to allocate 9 GB\): free",
        ):
            runner.run(1)

    def test_a_released_model_says_so_and_its_runners_go_on(self, model: TorchSeparator) -> None:
        runner = model.runner(1, WINDOW)
        model.release()
        runner.run(1)
        with pytest.raises(ModelError, match="model 'tiny' has been released: load it again"):
            model.process(noise(1, 2, WINDOW), ())

    def test_several_threads_may_run_it_at_once(self, model: TorchSeparator) -> None:
        windows = noise(4, 1, 2, WINDOW)
        expected = [model.process(window, ())[0] for window in windows]
        found: list[F32 | None] = [None] * 4

        def run(n: int) -> None:
            for _ in range(5):
                found[n] = model.process(windows[n], ())[0]

        threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_it_can_be_used_in_a_plain_call_with_windows_that_must_not_be_written(self, model: TorchSeparator) -> None:
        windows = noise(1, 2, WINDOW)
        windows.flags.writeable = False
        kept = copy.copy(windows)
        model.process(windows, ())
        np.testing.assert_array_equal(windows, kept)


class TestThreads:
    def test_no_more_than_asked_for_run_and_the_programs_own_number_comes_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 3)
        path = save_model(tmp_path / "a.ckpt")
        for asked, before, used in ((1, 2, 1), (2, 1, 2), (64, 1, 3), (None, 1, 1)):
            torch.set_num_threads(1)
            model = TorchSeparator(path, threads=asked)
            torch.set_num_threads(before)
            runner, seen = model.runner(1, WINDOW), []
            monkeypatch.setattr(runner, "_pass", lambda window, stems, seen=seen: seen.append(torch.get_num_threads()))
            runner.run(1)
            assert seen == [used]
            assert torch.get_num_threads() == before

    @pytest.mark.parametrize("threads", [0, -1, 1.5, "2"])
    def test_a_number_that_makes_no_sense_is_refused(self, tmp_path: Path, threads: Any) -> None:
        with pytest.raises(ConfigurationError, match="it must be an integer from 1"):
            load_separator(save_model(tmp_path / "a.ckpt"), threads=threads)


def test_nothing_imports_pytorch_that_does_not_need_it() -> None:
    code = (
        "import sys, engine, streamer\n"
        "for package in (engine, streamer):\n"
        "    for name in package.__all__:\n"
        "        getattr(package, name)\n"
        "separator = engine.load_separator('spatial')\n"
        "engine.available_models()\n"
        "print('torch' in sys.modules, 'safetensors' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
