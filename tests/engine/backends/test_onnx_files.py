"""An ONNX file that cannot be used, or must not be, is refused in one line and without noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engine.backends.onnx import OnnxSeparator
from engine.errors import ModelError
from tests.engine.onnx_models import audio, describe, external_gains, gains, model, save

TWO = {"sample_rate": 44_100, "stems": ["vocals", "other"]}


def message(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        OnnxSeparator(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


class TestBadFiles:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"this is a text file and no model\n" * 9, "not a complete ONNX file"),
            (gains(1.0, 0.0).SerializeToString()[:-40], "not a complete ONNX file"),
            (b"\x08\x08", "cannot be loaded"),
            (b"PK\x03\x04" + bytes(200), "not a complete ONNX file"),
        ],
        ids=["empty", "text", "truncated", "no graph", "zip"],
    )
    def test_are_one_line(self, tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, said: str) -> None:
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        assert said in message(path)
        assert capfd.readouterr() == ("", "")

    def test_every_truncation_is_one_line(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        whole = describe(gains(1.0, 0.0, frames=8), **TWO).SerializeToString()
        path = tmp_path / "cut.onnx"
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            assert message(path)
        assert capfd.readouterr() == ("", "")

    def test_missing_ones_and_folders_are_one_line(self, tmp_path: Path) -> None:
        assert "does not exist: check the path" in message(tmp_path / "none.onnx")
        (tmp_path / "dir.onnx").mkdir()
        assert "is a folder" in message(tmp_path / "dir.onnx")

    def test_an_operator_that_does_not_exist_is_one_line(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        made = model(
            [helper.make_node("Frobnicate", ["mix"], ["out"])],
            [audio("mix", "b", 2, 8)],
            [audio("out", "b", 2, 2, 8)],
        )
        assert "Frobnicate" in message(save(tmp_path / "a.onnx", made, TWO))
        assert capfd.readouterr() == ("", "")

    def test_a_file_without_a_description_says_where_to_put_one(self, tmp_path: Path) -> None:
        said = message(save(tmp_path / "a.onnx", gains(1.0, 0.0)))
        assert "has no description: write 'a.yaml' beside it with at least sample_rate and stems" in said


class TestExternalData:
    def test_beside_the_model_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "w.bin").write_bytes(np.array([0.5, 2.0], np.float32).tobytes())
        separator = OnnxSeparator(save(tmp_path / "a.onnx", external_gains("w.bin"), TWO))
        assert separator.process(np.ones((1, 2, 8), np.float32), ())[0][0, :, 0, 0].tolist() == [0.5, 2.0]

    def test_outside_its_folder_is_never_read(self, tmp_path: Path) -> None:
        (tmp_path / "secret.bin").write_bytes(bytes(8))
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "secret.bin")
        for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin"):
            path = save(tmp_path / "model" / "a.onnx", external_gains(location), TWO)
            assert "outside its own folder" in message(path)

    def test_that_is_too_short_is_one_line(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "w.bin").write_bytes(bytes(5))
        assert "cannot be loaded" in message(save(tmp_path / "a.onnx", external_gains("w.bin"), TWO))
        assert capfd.readouterr() == ("", "")
