"""MP3 files that do not tell their length are read to the end all the same."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine.files.mp3_length import PrefixedFile, missing_length_header
from engine.files.reader import AudioReader

F32 = npt.NDArray[np.float32]


def loud_and_soft(frames: int, channels: int) -> F32:
    """Noise whose loudness changes, so that a variable bit rate varies."""
    noise = np.random.default_rng(0).standard_normal((channels, frames)).astype(np.float32)
    gain = np.where(np.arange(frames) // 20_000 % 2, 0.0001, 0.2)
    return (noise * gain).astype(np.float32)


def untagged(path: Path, rate: int, channels: int, mode: str) -> int:
    """Write an MP3, take its length header away, and tell how many frames a decoder finds in the rest."""
    soundfile.write(
        path, loud_and_soft(200_000, channels).T, rate, format="MP3", bitrate_mode=mode, compression_level=0.5
    )
    data = path.read_bytes()
    first = data[:2]
    path.write_bytes(data[data.index(first, data.index(b"LAME")) :])
    return -(-200_000 // 1152) * 1152


def read_all(path: Path) -> F32:
    with AudioReader(path) as reader:
        audio = np.concatenate(list(reader.blocks(5000)), axis=1)
        assert audio.shape[1] == reader.frames
        return audio


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_an_untagged_file_is_read_to_the_end(tmp_path: Path, rate: int, channels: int, mode: str) -> None:
    path = tmp_path / "song.mp3"
    least = untagged(path, rate, channels, mode)
    assert missing_length_header(path) is not None
    got = read_all(path)
    assert least - 1152 <= got.shape[1] <= least + 3 * 1152
    assert np.abs(got[:, 165_000:175_000]).max() > 0.05


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_a_large_picture_in_front_and_a_tag_behind_do_not_matter(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "song.mp3"
    untagged(path, 44100, 2, mode)
    plain = read_all(path)
    front = b"ID3\x04\x00\x00\x00\x10\x00\x00" + b"\xff\xfb\x90\x00" * (1 << 16)
    path.write_bytes(front + path.read_bytes() + b"TAG" + bytes(125))
    np.testing.assert_array_equal(read_all(path), plain)


def test_a_tagged_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    soundfile.write(path, loud_and_soft(50_000, 2).T, 44100, bitrate_mode="VARIABLE")
    assert missing_length_header(path) is None
    assert read_all(path).shape == (2, 50_000)


def test_what_is_no_mp3_needs_no_header(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "short").write_bytes(b"\xff\xfb")
    assert missing_length_header(tmp_path / "short") is None
    missing_length_header(tmp_path / "noise")


def test_a_prefixed_file_reads_as_one(tmp_path: Path) -> None:
    (tmp_path / "rest").write_bytes(b"3456789")
    with (tmp_path / "rest").open("rb") as raw:
        file, model = PrefixedFile(b"012", raw), io.BytesIO(b"0123456789")
        for offset, whence, size in ((0, 0, 2), (0, 1, 2), (1, 1, 100), (-4, 2, 3), (2, 0, 1), (0, 2, 5), (3, 0, 4)):
            assert file.seek(offset, whence) == model.seek(offset, whence)
            assert file.read(size) == model.read(size)
            assert file.tell() == model.tell()
        assert file.seek(0, os.SEEK_END) == 10
