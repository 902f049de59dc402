"""Weights come out of every kind of file in which they are spread, and nothing else does: no file runs anything."""

from __future__ import annotations

import codecs
import collections
import os
import pickle
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from engine.checkpoint import check_finite, read_tensors
from engine.errors import ModelError

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.5, -1.0]), "n": torch.tensor(4)}


def save_zip(contents: Any, path: Path) -> None:
    torch.save(contents, path)


def save_legacy(contents: Any, path: Path) -> None:
    torch.save(contents, path, _use_new_zipfile_serialization=False)


def save_bare_pickle(contents: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(contents))


def read(path: Path) -> dict[str, torch.Tensor]:
    return read_tensors(path, f"checkpoint {path.name!r}")


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"checkpoint {path.name!r} ")
    return str(caught.value)


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


class TestContainers:
    @pytest.mark.parametrize("save", [save_zip, save_legacy])
    @pytest.mark.parametrize("prefix", ["", "module.", "module.module."])
    @pytest.mark.parametrize("wrapper", [None, "state", "state_dict", "model_state_dict"])
    def test_weights_are_found_in_every_wrapping(
        self, tmp_path: Path, wrapper: str | None, prefix: str, save: Callable[[Any, Path], None]
    ) -> None:
        named: Any = collections.OrderedDict((prefix + name, tensor) for name, tensor in WEIGHTS.items())
        beside = {"epoch": 3, "optimizer_state_dict": {"state": {0: {"step": torch.tensor(1.0)}}}, "best": 7.5}
        save(named if wrapper is None else {wrapper: named, **beside}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), WEIGHTS)

    @pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a.pth"])
    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_what_kind_of_file_it_is_shows_in_its_contents(self, tmp_path: Path, prefix: str, name: str) -> None:
        save_file({prefix + key: tensor for key, tensor in WEIGHTS.items()}, tmp_path / name)
        assert_same(dict(sorted(read(tmp_path / name).items())), dict(sorted(WEIGHTS.items())))

    def test_a_pytorch_file_may_be_called_safetensors(self, tmp_path: Path) -> None:
        save_zip(WEIGHTS, tmp_path / "a.safetensors")
        assert_same(read(tmp_path / "a.safetensors"), WEIGHTS)

    def test_a_safetensors_file_whose_first_byte_is_that_of_a_pickle_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        for length in range(200):
            save_file({"a": torch.ones(2)}, path, metadata={"note": "x" * length})
            if path.read_bytes()[0] == 0x80:
                break
        else:
            pytest.fail("no header of 128 bytes was made")
        assert_same(read(path), {"a": torch.ones(2)})

    def test_the_first_wrapper_of_the_known_order_counts(self, tmp_path: Path) -> None:
        ones, zeros = {"a": torch.ones(1)}, {"a": torch.zeros(1)}
        save_zip({"model_state_dict": zeros, "state_dict": zeros, "state": ones}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), ones)

    def test_a_prefix_that_not_all_names_have_stays(self, tmp_path: Path) -> None:
        mixed = {"module.a": torch.ones(1), "b": torch.ones(1)}
        save_zip(mixed, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), mixed)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_every_kind_of_float_is_read(self, tmp_path: Path, dtype: torch.dtype) -> None:
        save_zip({"a": torch.ones(2, dtype=dtype)}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), {"a": torch.ones(2, dtype=dtype)})

    def test_parameters_are_tensors(self, tmp_path: Path) -> None:
        save_zip({"a": torch.nn.Parameter(torch.ones(2))}, tmp_path / "a.ckpt")
        assert torch.equal(read(tmp_path / "a.ckpt")["a"], torch.ones(2))


class TestNumpyNumbers:
    """Training programs leave them beside the weights."""

    BESIDE: ClassVar[dict[str, Any]] = {
        "best_metric": np.float64(9.87),
        "all_metrics": {"sdr": [np.float32(1.5), np.int64(3), np.bool_(True), np.complex64(1j)]},
        "kind": np.dtype("<f4"),
        "time": np.datetime64("2025-01-01"),
    }

    @pytest.mark.parametrize("save", [save_zip, save_legacy])
    def test_they_do_not_keep_the_weights_from_being_read(
        self, tmp_path: Path, save: Callable[[Any, Path], None]
    ) -> None:
        save({"epoch": np.int64(4), "model_state_dict": WEIGHTS, **self.BESIDE}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), WEIGHTS)

    @pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
    def test_those_of_either_generation_of_numpy_are_known(self, tmp_path: Path, module: str) -> None:
        save_legacy({"state": WEIGHTS, "best": np.float64(9.87)}, tmp_path / "a.ckpt")
        told = np.float64(0).__reduce__()[0].__module__.encode()
        contents = (tmp_path / "a.ckpt").read_bytes()
        assert contents.count(told + b"\nscalar") == 1
        (tmp_path / "a.ckpt").write_bytes(contents.replace(told + b"\nscalar", module.encode() + b"\nscalar"))
        assert_same(read(tmp_path / "a.ckpt"), WEIGHTS)

    def test_nothing_of_numpys_is_called_for_them(self, tmp_path: Path) -> None:
        class Forged:
            """A number type whose state would set flags that NumPy trusts."""

            def __reduce__(self) -> tuple[Any, ...]:
                return np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 255)

        class NoNumber:
            def __reduce__(self) -> tuple[Any, ...]:
                return np.float64(0).__reduce__()[0], (Forged(), b"\x01" * 8)

        save_zip({"state": WEIGHTS, "best": NoNumber()}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), WEIGHTS)

    def test_one_in_the_place_of_a_tensor_is_refused(self, tmp_path: Path) -> None:
        save_zip({"state": {**WEIGHTS, "b": np.float32(1)}}, tmp_path / "a.ckpt")
        assert "holds scalar under 'b' where a tensor is wanted" in refusal(tmp_path / "a.ckpt")

    def test_arrays_of_numpys_are_refused(self, tmp_path: Path) -> None:
        save_zip({"state": WEIGHTS, "best": np.ones(3)}, tmp_path / "a.ckpt")
        assert "multiarray._reconstruct' when it is read" in refusal(tmp_path / "a.ckpt")

    def test_the_rest_of_the_program_is_not_affected(self, tmp_path: Path) -> None:
        before = set(torch.serialization.get_safe_globals())
        save_zip({"best": np.float64(9.87)}, tmp_path / "a.ckpt")
        refusal(tmp_path / "a.ckpt")
        assert set(torch.serialization.get_safe_globals()) == before
        with pytest.raises(pickle.UnpicklingError, match="scalar"):
            torch.load(tmp_path / "a.ckpt", weights_only=True)


class Payload:
    """Calls for a command when it is unpickled in good faith."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self._proof}'",)


class Calls:
    """Calls for anything when it is unpickled in good faith."""

    def __init__(self, call: tuple[Any, ...]) -> None:
        self._call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


class TestTrust:
    @pytest.mark.parametrize("wrapper", [None, "state_dict"])
    @pytest.mark.parametrize("save", [save_zip, save_legacy])
    def test_a_malicious_file_is_refused_by_name_and_nothing_of_it_runs(
        self, tmp_path: Path, save: Callable[[Any, Path], None], wrapper: str | None
    ) -> None:
        proof = tmp_path / "it ran"
        contents: Any = {**WEIGHTS, "b": Payload(proof)}
        save(contents if wrapper is None else {wrapper: contents}, tmp_path / "a.ckpt")
        said = refusal(tmp_path / "a.ckpt")
        assert "is refused: it asks for 'posix.system' when it is read, and only weights are allowed" in said
        assert not proof.exists()
        # The payload is a live one: whoever trusts the file runs it.
        torch.load(tmp_path / "a.ckpt", weights_only=False)
        assert proof.exists()

    def test_a_payload_beside_numpys_numbers_does_not_run(self, tmp_path: Path) -> None:
        proof = tmp_path / "it ran"
        beside = {"best": np.float64(1), "b": Payload(proof)}
        save_zip({"state": WEIGHTS, **beside}, tmp_path / "a.ckpt")
        assert "it asks for 'posix.system'" in refusal(tmp_path / "a.ckpt")
        assert not proof.exists()

    def test_a_bare_pickle_does_not_run_either(self, tmp_path: Path) -> None:
        proof = tmp_path / "it ran"
        save_bare_pickle(Payload(proof), tmp_path / "a.ckpt")
        assert "is refused: it asks for 'posix.system' when it is read" in refusal(tmp_path / "a.ckpt")
        assert not proof.exists()
        pickle.loads((tmp_path / "a.ckpt").read_bytes())  # noqa: S301 - shows that the payload is a live one
        assert proof.exists()

    def test_a_whole_module_is_refused(self, tmp_path: Path) -> None:
        save_zip(torch.nn.Linear(2, 2), tmp_path / "a.ckpt")
        assert "it asks for 'torch.nn.modules.linear.Linear'" in refusal(tmp_path / "a.ckpt")

    def test_a_small_file_cannot_promise_much_memory(self, tmp_path: Path) -> None:
        save_zip({"a": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "a.ckpt")
        assert "promises tensors of 4000000000000 bytes and has " in refusal(tmp_path / "a.ckpt")

    def test_a_pickle_that_is_no_checkpoint_is_refused_with_a_reason(self, tmp_path: Path) -> None:
        for protocol in range(2, 6):
            (tmp_path / "a.ckpt").write_bytes(pickle.dumps({"a": 1}, protocol))
            assert "cannot be read (" in refusal(tmp_path / "a.ckpt")
            assert "cannot be read ()" not in refusal(tmp_path / "a.ckpt")

    @pytest.mark.parametrize("is_zip", [True, False])
    def test_instructions_that_pytorch_does_not_know_are_a_reason(self, tmp_path: Path, is_zip: bool) -> None:
        torch.save(WEIGHTS, tmp_path / "a.ckpt", pickle_protocol=4, _use_new_zipfile_serialization=is_zip)
        assert "cannot be read (Unsupported operand 149): get a file that torch.save" in refusal(tmp_path / "a.ckpt")

    def test_a_reason_that_begins_with_an_empty_line_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise pickle.UnpicklingError("Weights only load failed.\n\tWeightsUnpickler error: \n\nno mark\nmore")

        save_zip(WEIGHTS, tmp_path / "a.ckpt")
        monkeypatch.setattr(torch, "load", fail)
        assert "cannot be read (no mark): get a file" in refusal(tmp_path / "a.ckpt")

    @pytest.mark.parametrize("save", [save_zip, save_legacy])
    @pytest.mark.parametrize(
        ("call", "asked"),
        [
            ((bytearray, (3 * 10**9,)), "builtins.bytearray"),
            ((torch.Tensor, (10**9,)), "torch.Tensor"),
            ((torch.UntypedStorage, (3 * 10**9,)), "torch.storage.UntypedStorage"),
            ((collections.OrderedDict, ([("a", 1)],)), "collections.OrderedDict"),
            ((codecs.encode, ("aaaa", "hex")), "_codecs.encode"),
        ],
        ids=lambda each: each if isinstance(each, str) else "",
    )
    def test_what_makes_much_memory_of_few_bytes_is_refused_by_name(
        self, tmp_path: Path, call: tuple[Any, ...], asked: str, save: Callable[[Any, Path], None]
    ) -> None:
        save({"state_dict": WEIGHTS, "beside": Calls(call)}, tmp_path / "a.ckpt")
        tracemalloc.start()
        said = refusal(tmp_path / "a.ckpt")
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert f"is refused: it asks for '{asked}' when it is read" in said
        assert peak_bytes < 50_000_000

    def test_a_long_text_is_not_made_into_bytes_again_and_again(self, tmp_path: Path) -> None:
        text = "x" * 1000
        save_zip({"state": WEIGHTS, "once": Calls((codecs.encode, (text, "latin1")))}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), WEIGHTS)
        twice = [Calls((codecs.encode, (text, "latin1"))) for _ in range(2)]
        save_zip({"state": WEIGHTS, "twice": twice}, tmp_path / "a.ckpt")
        assert "it asks for '_codecs.encode'" in refusal(tmp_path / "a.ckpt")

    @pytest.mark.parametrize("save", [save_zip, save_legacy])
    @pytest.mark.parametrize("kind", ["state", "call"])
    def test_what_is_large_is_not_copied_many_times(
        self, tmp_path: Path, kind: str, save: Callable[[Any, Path], None]
    ) -> None:
        large = {f"{n:04}": n for n in range(10_000)}
        many: list[Any] = []
        for _ in range(200):
            if kind == "state":
                many.append(collections.OrderedDict())
                vars(many[-1]).update({"a": 1})
            else:
                many.append(Calls((collections.Counter, (large,))))
        few = many[:10]
        save({"state": WEIGHTS, "large": large, "many": few}, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), WEIGHTS)
        save({"state": WEIGHTS, "large": large, "many": many}, tmp_path / "a.ckpt")
        said = refusal(tmp_path / "a.ckpt")
        assert "cannot be read (it asks for " in said
        assert " copies of what it holds)" in said

    def test_what_a_training_program_leaves_beside_the_weights_is_passed_over(self, tmp_path: Path) -> None:
        module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
        optimizer = torch.optim.AdamW(module.parameters())
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
        module(torch.ones(4, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
        training = {
            "model_state_dict": module.state_dict(),
            "optimizer_state_dict": optimizer.state_dict(),
            "scheduler_state_dict": scheduler.state_dict(),
            "best_metric": np.float64(9.5),
            "shape": torch.Size([1, 2]),
            "seen": {1, 2},
            "kind": torch.float32,
        }
        save_zip(training, tmp_path / "a.ckpt")
        assert_same(read(tmp_path / "a.ckpt"), dict(module.state_dict()))

    def test_a_packed_archive_is_not_unpacked(self, tmp_path: Path) -> None:
        save_zip({"a": torch.zeros(1_000_000)}, tmp_path / "plain.ckpt")
        with (
            zipfile.ZipFile(tmp_path / "plain.ckpt") as plain,
            zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for member in plain.namelist():
                packed.writestr(member, plain.read(member))
        assert "cannot be read (its parts have 400" in refusal(tmp_path / "a.ckpt")

    def test_a_tar_archive_is_refused(self, tmp_path: Path) -> None:
        # A name that begins as a pickle does makes an archive look like one.
        with tarfile.open(tmp_path / "a.ckpt", "w", encoding="latin1", format=tarfile.GNU_FORMAT) as archive:
            archive.addfile(tarfile.TarInfo("\x80\x02N." * 5))
        assert (tmp_path / "a.ckpt").read_bytes().startswith(b"\x80\x02N.")
        assert "cannot be read (it is a tar archive" in refusal(tmp_path / "a.ckpt")

    @pytest.mark.parametrize(
        ("contents", "said"),
        [
            (torch.ones(2), "holds Tensor: it must hold named tensors, bare or under state, state_dict"),
            ([torch.ones(2)], "holds list: it must hold named tensors"),
            ({}, "holds an empty mapping"),
            ({"state_dict": {}}, "holds an empty mapping"),
            ({"state_dict": {"a": 5}}, "holds int under 'a' where a tensor is wanted"),
            ({"weights": {"a": torch.ones(2)}}, "holds dict under 'weights' where a tensor is wanted"),
            ({1: torch.ones(2)}, "holds Tensor under '1' where a tensor is wanted"),
            ({"a": torch.eye(3).to_sparse()}, "asks for 'torch._utils._rebuild_sparse_tensor' when it is read"),
            ({"a": torch.ones(3, device="meta")}, "asks for 'torch._utils._rebuild_meta_tensor_no_storage'"),
            (
                {"a": torch.ones(3, dtype=torch.int8)},
                "holds 'a' as int8: allowed are float32, float16, bfloat16, float64",
            ),
            ({"a": torch.ones(3, dtype=torch.int64)}, "holds 'a' as int64"),
            ({"a": torch.ones(3, dtype=torch.complex64)}, "holds 'a' as complex64"),
        ],
    )
    def test_what_is_no_weights_is_named(self, tmp_path: Path, contents: Any, said: str) -> None:
        save_zip(contents, tmp_path / "a.ckpt")
        assert said in refusal(tmp_path / "a.ckpt")


class TestDamage:
    @pytest.mark.parametrize("save", [save_zip, save_legacy, save_file], ids=["zip", "legacy", "safetensors"])
    @given(data=st.data())
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_file_that_is_cut_off_is_refused(
        self, tmp_path: Path, data: st.DataObject, save: Callable[[Any, Path], None]
    ) -> None:
        path = tmp_path / "a.ckpt"
        save(WEIGHTS, path)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
        refusal(path)

    @pytest.mark.parametrize("save", [save_zip, save_legacy, save_file], ids=["zip", "legacy", "safetensors"])
    @given(data=st.data())
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_file_with_a_changed_byte_is_read_or_refused(
        self, tmp_path: Path, data: st.DataObject, save: Callable[[Any, Path], None]
    ) -> None:
        path = tmp_path / "a.ckpt"
        save(WEIGHTS, path)
        damaged = bytearray(path.read_bytes())
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(damaged)
        try:
            tensors = read(path)
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 - some of these bytes do not matter
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())

    def test_a_page_that_was_saved_in_its_place_is_shown(self, tmp_path: Path) -> None:
        (tmp_path / "a.ckpt").write_text("version https://git-lfs.github.com/spec/v1")
        assert "begins with b'version https://git-lfs.': download it again" in refusal(tmp_path / "a.ckpt")

    def test_what_is_no_file_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "folder.ckpt").mkdir()
        (tmp_path / "empty.ckpt").touch()
        assert "is a folder: name the checkpoint in it" in refusal(tmp_path / "folder.ckpt")
        assert "is empty: download it again" in refusal(tmp_path / "empty.ckpt")
        assert "does not exist: check the path" in refusal(tmp_path / "missing.ckpt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_named(value: float, dtype: torch.dtype) -> None:
    check_finite(WEIGHTS, "checkpoint 'a'")
    with pytest.raises(ModelError, match=r"^checkpoint 'a' holds values that are not finite in 'b'"):
        check_finite({**WEIGHTS, "b": torch.tensor([1.0, value], dtype=dtype)}, "checkpoint 'a'")


def test_weights_that_are_too_large_for_float32_are_not_finite() -> None:
    with pytest.raises(ModelError, match="not finite in 'b'"):
        check_finite({"b": torch.tensor([1e300], dtype=torch.float64)}, "checkpoint 'a'")
