"""What a model runs on is the fastest that is good enough, told, and remembered for this model and machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine import compute_choice
from engine.compute import Compute
from engine.compute_choice import best_batch_size, load_fastest, remember_batch_size
from engine.errors import ConfigurationError, ModelError, UnavailableError
from engine.separator import F32, Separator
from tests.engine.mdx23c_models import TINY, random_tensors, save_model

FP32, BF16 = Compute("cpu", "torch", "fp32"), Compute("cpu", "torch", "bf16")


Spoil = Callable[[F32], None]
"""Spoils stems (batch, stems, channels, frames) in place."""


class Clock:
    """Time that passes only while a scripted model runs."""

    def __init__(self) -> None:
        self.now = 0.0


class Scripted(Separator):
    """A model that takes so many seconds a run and adds so much noise to what it gives."""

    def __init__(
        self, source: Separator, clock: Clock, seconds: float, noise_db: float, spoil: Spoil = lambda stems: None
    ) -> None:
        self.spec = source.spec
        self._clock, self._seconds, self._noise_db = clock, seconds, noise_db
        self._spoil = spoil
        self.is_released = False

    def process(self, windows: F32, states: tuple[()]) -> tuple[F32, tuple[()]]:
        self._clock.now += self._seconds
        stems = np.repeat(windows[:, None], len(self.spec.stems), axis=1)
        noise = np.random.default_rng(0).normal(0.0, 1.0, stems.shape)
        level = np.sqrt(np.mean(stems**2)) * 10 ** (-self._noise_db / 20)
        spoilt = (stems + level * noise).astype(np.float32)
        self._spoil(spoilt)
        return spoilt, ()

    def release(self) -> None:
        self.is_released = True


Machine = Callable[..., list[Scripted]]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    return save_model(tmp_path / "tiny.ckpt")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Make a machine whose precisions take so long and are so exact; gives what is loaded on it."""
    real = compute_choice.load_separator

    def make(**precisions: tuple[float, float] | tuple[float, float, Spoil] | Exception) -> list[Scripted]:
        clock, loaded = Clock(), []

        def load(name: Path, *, compute: Compute, **options: object) -> Separator:
            outcome = precisions[compute.precision]
            if isinstance(outcome, Exception):
                raise outcome
            loaded.append(Scripted(real(name), clock, *outcome))
            return loaded[-1]

        monkeypatch.setattr(compute_choice, "load_separator", load)
        monkeypatch.setattr("engine.backends.torch_devices.torch_devices", lambda: ("cpu",))
        monkeypatch.setattr("engine.backends.torch_devices.fast_precisions", lambda device: tuple(precisions))
        monkeypatch.setattr("engine.compute_trial.time.perf_counter", lambda: clock.now)
        return loaded

    return make


def test_the_fastest_is_chosen_and_the_reason_is_told(checkpoint: Path, machine: Machine) -> None:
    loaded = machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    told: list[str] = []
    separator, choice = load_fastest(checkpoint, tell=told.append)
    assert choice.compute == BF16
    assert choice.reason == "3.0 times as fast as cpu, torch, fp32, 50 dB from fp32"
    assert told == [
        "measuring cpu, torch, fp32 | cpu, torch, bf16, once for this model on this machine",
        f"cpu, torch, bf16: {choice.reason}",
    ]
    assert [(each.compute, round(each.sdr_db)) for each in choice.measured if each.compute == BF16] == [(BF16, 50)]
    assert separator is loaded[1]
    assert [each.is_released for each in loaded] == [True, False]


def test_a_precision_that_would_be_heard_is_not_chosen_by_itself(checkpoint: Path, machine: Machine) -> None:
    loaded = machine(fp32=(3.0, 200.0), bf16=(1.0, 35.0))
    separator, choice = load_fastest(checkpoint)
    assert choice.compute == FP32
    assert choice.reason == (
        "cpu, torch, bf16 would be 3.0 times as fast, but a stem of it is only 35 dB from fp32, and 40 are asked for"
    )
    assert separator is loaded[0]
    assert loaded[1].is_released
    separator, choice = load_fastest(checkpoint, precision="bf16")
    assert choice.compute == BF16


def test_a_slower_precision_is_not_chosen(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=(1.0, 200.0), bf16=(2.0, 60.0))
    assert load_fastest(checkpoint)[1].compute == FP32


def test_it_is_measured_once_for_a_model_on_a_machine(
    checkpoint: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    load_fastest(checkpoint)
    loaded.clear()
    told: list[str] = []
    _, choice = load_fastest(checkpoint, tell=told.append)
    assert (choice.compute, choice.measured, len(loaded)) == (BF16, (), 1)
    assert told == ["cpu, torch, bf16: 3.0 times as fast as cpu, torch, fp32, 50 dB from fp32 (measured earlier)"]
    loaded.clear()
    monkeypatch.setattr("engine.remembered.processor_name", lambda: "another processor")
    assert load_fastest(checkpoint)[1].measured
    assert len(loaded) == 2


def test_another_file_of_the_same_name_is_measured_anew(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    load_fastest(checkpoint)
    save_model(checkpoint, tensors=random_tensors(TINY, seed=5))
    assert load_fastest(checkpoint)[1].measured


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 3}'])
def test_a_damaged_memory_is_made_anew(checkpoint: Path, machine: Machine, tmp_path: Path, content: str) -> None:
    machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    place = tmp_path / "cache" / "compute.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content)
    assert load_fastest(checkpoint)[1].measured
    assert json.loads(place.read_text())
    assert not load_fastest(checkpoint)[1].measured


def test_a_cache_folder_that_cannot_be_written_only_costs_the_memory(
    checkpoint: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("STEMSTREAM_CACHE", str(blocked))
    assert load_fastest(checkpoint)[1].compute == BF16
    assert load_fastest(checkpoint)[1].measured


@pytest.mark.parametrize("fault", [ModelError("no such operator"), MemoryError("no such operator")])
def test_what_does_not_run_is_left_with_its_reason_and_tried_again(
    checkpoint: Path, machine: Machine, fault: Exception
) -> None:
    loaded = machine(fp32=(3.0, 200.0), bf16=fault)
    separator, choice = load_fastest(checkpoint)
    assert separator is loaded[0]
    assert choice.reason == "cpu, torch, bf16 does not run (no such operator)"
    machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    assert load_fastest(checkpoint)[1].compute == BF16


def test_what_the_machine_lacks_is_not_tried_again(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=(3.0, 200.0), bf16=UnavailableError("none here"))
    assert load_fastest(checkpoint)[1].measured
    assert not load_fastest(checkpoint)[1].measured


def test_where_fp32_does_not_run_nothing_is_judged_close_to_it(checkpoint: Path, machine: Machine) -> None:
    loaded = machine(fp32=ModelError("first"), bf16=(1.0, 50.0))
    with pytest.raises(ModelError, match="first"):
        load_fastest(checkpoint)
    assert [each.is_released for each in loaded] == [True]


def test_what_was_chosen_and_no_longer_runs_is_measured_anew(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    load_fastest(checkpoint)
    machine(fp32=(3.0, 200.0), bf16=ModelError("the library is gone"))
    told: list[str] = []
    assert load_fastest(checkpoint, tell=told.append)[1].compute == FP32
    assert told[0] == (
        "cpu, torch, bf16 was chosen earlier and no longer runs (the library is gone): all are measured anew"
    )


def lose_a_stem(stems: F32) -> None:
    stems[:, 1] = 0.0


def overflow(stems: F32) -> None:
    stems[0, 0, 0, 3] = np.inf


def lose_a_number(stems: F32) -> None:
    stems[0, 0, 0, 3] = np.nan


@pytest.mark.parametrize("spoil", [lose_a_stem, overflow, lose_a_number])
def test_a_precision_that_spoils_one_stem_is_not_chosen(checkpoint: Path, machine: Machine, spoil: Spoil) -> None:
    loaded = machine(fp32=(3.0, 200.0), bf16=(0.1, 80.0, spoil))
    separator, choice = load_fastest(checkpoint)
    assert separator is loaded[0]
    assert choice.compute == FP32
    assert loaded[1].is_released


def test_a_precision_that_gains_next_to_nothing_is_not_chosen(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=(1.1, 200.0), bf16=(1.0, 60.0))
    _, choice = load_fastest(checkpoint)
    assert (choice.compute, choice.reason) == (FP32, "cpu, torch, bf16 would be only 1.10 times as fast")


def test_another_config_is_measured_anew(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=(3.0, 200.0), bf16=(1.0, 50.0))
    load_fastest(checkpoint)
    other = checkpoint.with_suffix(".yaml")
    other.write_text(other.read_text().replace("vocals", "voice"))
    assert load_fastest(checkpoint)[1].measured


def test_a_model_that_cannot_be_loaded_is_one_error_and_no_measurement(checkpoint: Path, machine: Machine) -> None:
    machine(fp32=ModelError("it is empty"), bf16=ModelError("it is empty"))
    told: list[str] = []
    with pytest.raises(ModelError, match="it is empty"):
        load_fastest(checkpoint, tell=told.append)
    assert told == []


def test_without_a_compiler_onnx_runtime_is_tried_beside_pytorch(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.kernels.library._load", lambda: (None, "no C compiler was found: install gcc"))
    told: list[str] = []
    _, choice = load_fastest(checkpoint, tell=told.append)
    assert [str(each.compute) for each in choice.measured] == ["cpu, eager, fp32", "cpu, onnx, fp32"]
    told.clear()
    _, choice = load_fastest(checkpoint, backend="torch", tell=told.append)
    assert choice.compute == FP32
    assert told[-1] == "without fused steps, so about half as fast: no C compiler was found: install gcc"
    with pytest.raises(UnavailableError, match="needs fused steps, and they cannot be had here: no C"):
        load_fastest(checkpoint, precision="bf16")


def test_words_that_are_not_known_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    for words in ({"device": "tpu v5"}, {"backend": "jax"}, {"precision": "int8"}):
        with pytest.raises(ConfigurationError, match="is not known: use auto"):
            load_fastest(tmp_path / "missing.ckpt", **words)


def test_what_this_machine_lacks_is_refused_with_what_it_has(checkpoint: Path) -> None:
    with pytest.raises(UnavailableError, match=r"device 'cuda:7' is not here, but .*cpu: "):
        load_fastest(checkpoint, device="cuda:7")
    with pytest.raises(UnavailableError, match="precision fp16 is for GPUs: a processor takes fp32 or bf16"):
        load_fastest(checkpoint, precision="fp16", device="cpu")
    with pytest.raises(UnavailableError, match="model 'spatial' runs with precision fp32, not bf16"):
        load_fastest("spatial", precision="bf16")
    with pytest.raises(UnavailableError, match=r"device 'tensorrt' is none of PyTorch's: .* --backend onnx"):
        load_fastest(checkpoint, device="tensorrt")
    with pytest.raises(UnavailableError, match="model 'spatial' runs with device cpu, not cuda"):
        load_fastest("spatial", device="cuda")


def test_the_embedded_model_needs_no_measurement() -> None:
    separator, choice = load_fastest("spatial")
    assert (choice.compute, choice.measured) == (Compute("cpu", "onnx", "fp32"), ())
    assert separator.spec.name == "spatial"


def test_a_checkpoint_runs_in_onnx_runtime_too(checkpoint: Path) -> None:
    one, choice = load_fastest(checkpoint, backend="onnx")
    assert choice.compute == Compute("cpu", "onnx", "fp32")
    other, _ = load_fastest(checkpoint, backend="eager", precision="fp32")
    window = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 2, one.spec.window_frames)).astype(np.float32)
    np.testing.assert_allclose(one.process(window, ())[0], other.process(window, ())[0], rtol=0, atol=1e-4)


def test_the_best_batch_size_is_that_of_the_model_on_its_device(checkpoint: Path) -> None:
    _, choice = load_fastest(checkpoint, precision="fp32")
    assert choice.batch_size == 1
    assert remember_batch_size(checkpoint, FP32, 8)
    assert load_fastest(checkpoint, precision="fp32")[1].batch_size == 8
    assert load_fastest(checkpoint, precision="bf16")[1].batch_size == 1
    assert best_batch_size(Compute("cuda:0", "torch", "fp16"), "some model") == 4
