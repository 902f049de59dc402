"""An ONNX file names every place that its weights come from, and none of them is outside its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, helper

from engine.backends import external_data
from engine.backends.external_data import check_external_data, external_data_locations
from engine.errors import ModelError
from tests.engine.onnx_models import audio, external, external_gains, gains, save


def in_initializer() -> ModelProto:
    return external_gains("place")


def in_constant() -> ModelProto:
    made = gains(1.0, 0.0)
    made.graph.node.append(helper.make_node("Constant", [], ["c"], value=external("c", "place")))
    return made


def in_sparse_initializer() -> ModelProto:
    made = gains(1.0, 0.0)
    made.graph.sparse_initializer.append(SparseTensorProto(values=external("v", "place"), dims=[2]))
    return made


def in_branch() -> ModelProto:
    branch = helper.make_graph([], "branch", [], [audio("c", 1, 2, 1, 1)], [external("c", "place")])
    made = gains(1.0, 0.0)
    made.graph.node.append(helper.make_node("If", ["flag"], ["d"], then_branch=branch, else_branch=branch))
    return made


def in_function() -> ModelProto:
    made = gains(1.0, 0.0)
    constant = helper.make_node("Constant", [], ["c"], value=external("c", "place"))
    made.functions.append(helper.make_function("d", "f", [], ["c"], [constant], list(made.opset_import)))
    return made


def in_list_attribute() -> ModelProto:
    made = gains(1.0, 0.0)
    node = made.graph.node.add(op_type="Many")
    node.attribute.append(helper.make_attribute("all", [external("c", "place")]))
    return made


@pytest.mark.parametrize(
    "build", [in_initializer, in_constant, in_sparse_initializer, in_branch, in_function, in_list_attribute]
)
def test_every_tensor_is_found(tmp_path: Path, build: Callable[[], ModelProto]) -> None:
    assert "place" in external_data_locations(save(tmp_path / "a.onnx", build()))


def test_a_graph_that_is_added_to_the_end_of_the_file_is_found_too(tmp_path: Path) -> None:
    # Protocol buffer readers merge it with the first.
    path = tmp_path / "a.onnx"
    path.write_bytes(gains(1.0, 0.0).SerializeToString() + external_gains("place").SerializeToString())
    assert external_data_locations(path) == ("place",)


def test_every_message_of_the_format_that_leads_to_a_tensor_is_followed() -> None:
    tensor = TensorProto.DESCRIPTOR
    messages = [each for each in vars(onnx.onnx_ml_pb2).values() if hasattr(each, "DESCRIPTOR")]
    descriptors = {
        each.DESCRIPTOR.full_name: each.DESCRIPTOR for each in messages if hasattr(each.DESCRIPTOR, "fields")
    }
    leading = {tensor.full_name}
    while True:
        more = {
            name
            for name, message in descriptors.items()
            if any(field.message_type and field.message_type.full_name in leading for field in message.fields)
        }
        if more <= leading:
            break
        leading |= more
    expected = {
        name.removeprefix("onnx.").removesuffix("Proto"): {
            field.number: field.message_type.name.removesuffix("Proto")
            for field in descriptors[name].fields
            if field.message_type and field.message_type.full_name in leading
        }
        for name in leading - {tensor.full_name}
    }
    followed = {name: fields for name, fields in external_data._CHILDREN.items() if name != "Tensor"}
    assert followed == expected
    assert tensor.fields_by_name["external_data"].number in external_data._CHILDREN["Tensor"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, with a file outside of it and links to that file."""
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    made = tmp_path / "model"
    (made / "sub").mkdir(parents=True)
    (made / "w.bin").write_bytes(bytes(8))
    (made / "sub" / "w.bin").write_bytes(bytes(8))
    (made / "link.bin").symlink_to(tmp_path / "secret.bin")
    (made / "up").symlink_to(tmp_path)
    return made


@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "sub/../w.bin", "./w.bin"])
def test_places_within_the_folder_are_allowed(folder: Path, location: str) -> None:
    check_external_data(save(folder / "a.onnx", external_gains(location)))


@pytest.mark.parametrize(
    "location", ["../secret.bin", "sub/../../secret.bin", "link.bin", "up/secret.bin", "/etc/passwd", "{}/w.bin"]
)
def test_places_outside_the_folder_are_refused(folder: Path, location: str) -> None:
    location = location.format(folder)
    path = save(folder / "a.onnx", external_gains(location))
    with pytest.raises(ModelError, match="outside its own folder: only relative paths within") as caught:
        check_external_data(path)
    assert repr(location) in str(caught.value)


@pytest.mark.parametrize("location", ["none.bin", "sub", "", "*/_ORT_MEM_ADDR_/*", "a\0b", "x" * 5000])
def test_places_that_hold_no_file_are_refused(folder: Path, location: str) -> None:
    path = save(folder / "a.onnx", external_gains(location))
    with pytest.raises(ModelError, match=r"which is not (there|a usable path)"):
        check_external_data(path)


def test_a_model_in_a_download_cache_of_links_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    save(tmp_path / "blobs" / "aaa", external_gains("w.bin"))
    (tmp_path / "blobs" / "bbb").write_bytes(bytes(8))
    (tmp_path / "snapshot" / "a.onnx").symlink_to("../blobs/aaa")
    (tmp_path / "snapshot" / "w.bin").symlink_to("../blobs/bbb")
    check_external_data(tmp_path / "snapshot" / "a.onnx")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for content in (b"", b"text and more text", b"\x3a\xff\xff\xff\xff\x0f", b"\x80" * 20, b"\x0b"):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="not a complete ONNX file"):
            check_external_data(path)
