"""What the documentation says about exported files is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import onnx

from engine.backends import onnx_devices
from engine.export import PARTS, export_onnx
from engine.export_check import LEAST_SDR_DB, MOST_DIFFERENCE
from engine.models.mdx23c_onnx import _MOST_BYTES
from engine.models.spectrum_graph import _LONGEST_FACTOR
from tests.docs.pages import ROOT
from tests.engine.onnx_exports import save_tiny

PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def test_the_devices_of_the_table_are_those_that_are_known() -> None:
    rows = re.findall(r"^\| (`.*?) \| (\w+ExecutionProvider) \| (.*) \|$", PAGE, re.MULTILINE)
    told = {re.findall(r"`(\w+)`", words)[0]: (provider, wheel) for words, provider, wheel in rows}
    assert list(told) == list(onnx_devices._PROVIDERS)
    for device, (provider, wheel) in told.items():
        known = onnx_devices._PROVIDERS[device]
        assert known.name == provider
        assert device == "cpu" or re.findall(r"`(.*?)`", wheel)[0] in known.remedy
    for other, device in onnx_devices._SPELLINGS.items():
        assert f"`{device}`, `{other}`" in PAGE


def test_the_parts_take_and_give_what_the_table_says(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)`.*? \| `(\w+)`, `(\[.*?\])` \| `(\w+)`, `(\[.*?\])` \|$", PAGE, re.MULTILINE)
    assert tuple(part for part, *_ in rows) == PARTS
    sizes = {"stems": 2, "channels": 2, "2 * channels": 4, "bins": 16}
    checkpoint = save_tiny(tmp_path)
    for part, *told in rows:
        export_onnx(checkpoint, tmp_path / "a.onnx", part=part, overwrite=True)
        graph = onnx.load(tmp_path / "a.onnx").graph
        for value, name, axes in zip((*graph.input, *graph.output), told[::2], told[1::2], strict=True):
            assert value.name == name
            shape = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            assert shape == [sizes.get(axis, axis) for axis in axes.strip("[]").split(", ")]


def test_the_limits_are_those_that_hold() -> None:
    assert f"More than {MOST_DIFFERENCE:.0e}".replace("e-0", "e-") + " with fp32" in PAGE
    assert f"less than {LEAST_SDR_DB:g} dB with fp16" in PAGE
    assert f"no product of two numbers up to {_LONGEST_FACTOR}" in PAGE
    assert f"weights of more than {_MOST_BYTES / 1e9:g} GB" in PAGE.replace("\n", " ")
