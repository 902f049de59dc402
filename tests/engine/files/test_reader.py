"""Audio files read in blocks: every format, exact lengths, and one line for whatever is wrong."""

from __future__ import annotations

import builtins
import os
import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine.errors import AudioFileError, ConfigurationError, LifecycleError
from engine.files.reader import AudioReader

F32 = npt.NDArray[np.float32]

LIBSNDFILE_FORMATS = [
    ("wav", "WAV", "FLOAT", 44100),
    ("wav", "WAV", "PCM_16", 8000),
    ("wav", "WAV", "PCM_24", 96001),
    ("wav", "RF64", "FLOAT", 192000),
    ("flac", "FLAC", "PCM_24", 44100),
    ("aiff", "AIFF", "PCM_24", 48000),
    ("mp3", "MP3", "MPEG_LAYER_III", 44100),
    ("ogg", "OGG", "VORBIS", 44100),
    ("opus", "OGG", "OPUS", 48000),
]
LOSSY = {"MPEG_LAYER_III", "VORBIS", "OPUS", "aac"}


def music(frames: int, channels: int = 2, seed: int = 0) -> F32:
    """Low-passed noise: codecs keep it well enough to find it again by correlation."""
    noise = np.random.default_rng(seed).standard_normal((channels, frames + 31))
    smooth = np.stack([np.convolve(row, np.hanning(32), "valid") for row in noise])
    smooth *= 0.3 / np.abs(smooth).max()
    return smooth.astype(np.float32)


def lag_frames(sent: F32, got: F32) -> int:
    size = 2 * max(sent.shape[1], got.shape[1])
    product = np.fft.rfft(got[0], size) * np.conj(np.fft.rfft(sent[0], size))
    lag = int(np.argmax(np.fft.irfft(product, size)))
    return lag - size if lag > size // 2 else lag


def read_all(path: Path, block_frames: int = 4096) -> F32:
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(block_frames))
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((reader.channels, 0), np.float32)


def encode(path: Path, audio: F32, rate: int, codec: str = "aac", options: dict[str, str] | None = None) -> Path:
    av = pytest.importorskip("av")
    layout = "mono" if audio.shape[0] == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def message(path: Path) -> str:
    with pytest.raises(AudioFileError) as caught:
        read_all(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


class TestFormats:
    @pytest.mark.parametrize("frames", [1, 1000, 30011])
    @pytest.mark.parametrize(("suffix", "container", "subtype", "rate"), LIBSNDFILE_FORMATS)
    def test_length_and_alignment_are_those_of_the_source(
        self, tmp_path: Path, suffix: str, container: str, subtype: str, rate: int, frames: int
    ) -> None:
        sent, path = music(frames), tmp_path / f"song.{suffix}"
        soundfile.write(path, sent.T, rate, subtype, format=container)
        with AudioReader(path) as reader:
            assert (reader.sample_rate, reader.channels, reader.frames) == (rate, 2, frames)
        got = read_all(path)
        assert got.shape == sent.shape
        assert got.dtype == np.float32
        if subtype in LOSSY:
            assert frames < 1000 or lag_frames(sent, got) == 0
        else:
            np.testing.assert_allclose(got, sent, atol=2.0**-15 if subtype == "PCM_16" else 2.0**-23)

    @pytest.mark.parametrize("frames", [1, 1000, 1024, 30011, 30720, 30721])
    @pytest.mark.parametrize("rate", [22050, 44100, 48000])
    def test_m4a_loses_its_priming_and_padding(self, tmp_path: Path, rate: int, frames: int) -> None:
        sent = music(frames)
        path = encode(tmp_path / "song.m4a", sent, rate)
        with AudioReader(path) as reader:
            assert (reader.sample_rate, reader.channels, reader.frames) == (rate, 2, frames)
        got = read_all(path)
        assert got.shape == sent.shape
        assert frames < 1000 or lag_frames(sent, got) == 0

    def test_m4a_keeps_a_last_packet_that_a_rounded_edit_list_leaves_out(self, tmp_path: Path) -> None:
        # 30727 frames are 696.8 ms; the encoder's edit list says 696, which ends before the last packet of 7 begins.
        sent = (0.5 * np.sin(0.5 * np.arange(30727)))[None].astype(np.float32)
        got = read_all(encode(tmp_path / "song.m4a", sent, 44100))
        assert got.shape == sent.shape
        assert np.abs(got[:, -7:]).max() > 0.1

    def test_m4a_with_lossless_audio_comes_back_to_the_bit(self, tmp_path: Path) -> None:
        sent = np.round(music(9999, channels=1) * 2**15).astype(np.float32) / np.float32(2**15)
        np.testing.assert_array_equal(read_all(encode(tmp_path / "song.m4a", sent, 44100, "alac")), sent)

    def test_m4a_is_known_by_its_content_whatever_its_suffix(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "song.m4a", music(5000), 44100).rename(tmp_path / "song.wav")
        assert read_all(path).shape == (2, 5000)

    def test_flac_is_known_by_its_content_whatever_its_suffix(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "song.m4a", music(500).T, 44100, format="FLAC")
        assert read_all(tmp_path / "song.m4a").shape == (2, 500)

    def test_an_edit_list_that_hides_audio_is_honoured(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "song.m4a", music(44100), 44100)
        data = bytearray(path.read_bytes())
        # The edit list's one entry: length in thousandths of a second, then where the media begins.
        entry = data.index(b"elst") + 12
        assert struct.unpack_from(">Ii", data, entry) == (1000, 1024)
        struct.pack_into(">I", data, entry, 500)
        path.write_bytes(data)
        got = read_all(path)
        assert got.shape == (2, 22050)
        assert lag_frames(music(44100)[:, :22050], got) == 0

    def test_raw_aac_has_no_length_before_it_is_decoded(self, tmp_path: Path) -> None:
        sent = music(30011)
        path = encode(tmp_path / "song.aac", sent, 44100)
        with AudioReader(path) as reader:
            assert reader.frames is None
        assert lag_frames(sent, read_all(path)) == 1024

    def test_a_flac_that_does_not_know_its_length_is_read_to_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "song.flac"
        soundfile.write(path, music(10001).T, 44100)
        data = bytearray(path.read_bytes())
        data[18:26] = ((int.from_bytes(data[18:26], "big") >> 36) << 36).to_bytes(8, "big")
        path.write_bytes(data)
        with AudioReader(path) as reader:
            assert reader.frames is None
        np.testing.assert_allclose(read_all(path, 777), music(10001), atol=2.0**-15)

    @pytest.mark.parametrize("suffix", ["wav", "aiff", "ogg"])
    def test_no_frames_in_gives_no_frames_out(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"song.{suffix}"
        soundfile.write(path, np.zeros((0, 2)), 44100)
        with AudioReader(path) as reader:
            assert reader.frames == 0
            assert list(reader.blocks(64)) == []

    def test_non_finite_samples_pass(self, tmp_path: Path) -> None:
        audio = np.array([[0.0, np.nan, np.inf, -np.inf, 2.0]], np.float32)
        soundfile.write(tmp_path / "song.wav", audio.T, 44100, "FLOAT")
        np.testing.assert_array_equal(read_all(tmp_path / "song.wav"), audio)

    def test_a_wav_from_a_pipe_has_no_size_and_is_read_to_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "song.wav"
        soundfile.write(path, music(1000).T, 44100, "PCM_16")
        data = bytearray(path.read_bytes())
        struct.pack_into("<I", data, 4, 0xFFFFFFFF)
        struct.pack_into("<I", data, data.index(b"data") + 4, 0xFFFFFFFF)
        path.write_bytes(data)
        assert read_all(path).shape == (2, 1000)


class TestBlocks:
    @pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
    @pytest.mark.parametrize("block_frames", [1, 999, 5000, 100000])
    def test_cutting_into_blocks_changes_nothing(self, tmp_path: Path, suffix: str, block_frames: int) -> None:
        path = tmp_path / f"song.{suffix}"
        if suffix == "m4a":
            encode(path, music(5000), 44100)
        else:
            soundfile.write(path, music(5000).T, 44100)
        with AudioReader(path) as reader:
            blocks = list(reader.blocks(block_frames))
        assert [b.shape[1] for b in blocks[:-1]] == [block_frames] * (len(blocks) - 1)
        assert all(b.flags.c_contiguous and b.flags.owndata for b in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks, axis=1), read_all(path))

    def test_every_call_starts_at_the_first_frame(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "song.mp3", music(9000).T, 44100)
        with AudioReader(tmp_path / "song.mp3") as reader:
            next(iter(reader.blocks(3000)))
            first, second = (np.concatenate(list(reader.blocks(3000)), axis=1) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_closing_ends_what_was_begun(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "song.wav", music(9000).T, 44100)
        reader = AudioReader(tmp_path / "song.wav")
        blocks = reader.blocks(1000)
        next(blocks)
        reader.close()
        assert list(blocks) == []
        with pytest.raises(LifecycleError, match="closed"):
            reader.blocks(1000)

    def test_a_block_holds_at_least_one_frame(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "song.wav", music(9).T, 44100)
        with AudioReader(tmp_path / "song.wav") as reader, pytest.raises(ConfigurationError, match="at least 1"):
            reader.blocks(0)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts open files as Linux lists them")
    def test_blocks_that_nobody_asks_for_any_more_let_go_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "song.wav"
        soundfile.write(path, np.zeros((1000, 2)), 44100)
        with AudioReader(path) as reader:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(10):
                next(reader.blocks(100))
            assert len(os.listdir("/proc/self/fd")) == before


class TestRefusals:
    def test_missing(self, tmp_path: Path) -> None:
        assert "does not exist" in message(tmp_path / "no.wav")

    def test_folder(self, tmp_path: Path) -> None:
        assert "is a folder" in message(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
    def test_named_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "song.wav")
        assert "not a regular file" in message(tmp_path / "song.wav")

    def test_unreadable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "song.wav").write_bytes(b"RIFF")

        def refuse(*_: Any, **__: Any) -> Any:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        assert "permissions" in message(tmp_path / "song.wav")

    @pytest.mark.parametrize("suffix", ["wav", "mp3", "m4a"])
    def test_empty(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"song.{suffix}").touch()
        assert "0 bytes" in message(tmp_path / f"song.{suffix}")

    @pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a", "txt"])
    def test_text(self, tmp_path: Path, suffix: str) -> None:
        (tmp_path / f"song.{suffix}").write_text("this is not music\n" * 200)
        text = message(tmp_path / f"song.{suffix}")
        assert "not audio" in text
        assert "use wav, flac" in text

    def test_eight_channels(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "song.wav", np.zeros((10, 8)), 44100)
        assert "8 channels: 1 or 2" in message(tmp_path / "song.wav")

    @pytest.mark.parametrize("name", ["wav", "aiff", "flac", "au", "w64", "rf64", "mp3"])
    def test_truncated_is_refused_before_anything_is_read(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / f"song.{name}"
        soundfile.write(path, music(48000).T, 48000, format=name.upper())
        cut(path, 0.6)
        with pytest.raises(AudioFileError, match=r"truncated.*promises 48000 frames, [1-4]\d{4} are there"):
            AudioReader(path)

    def test_m4a_truncated_before_its_index(self, tmp_path: Path) -> None:
        assert "not audio" in message(cut(encode(tmp_path / "song.m4a", music(48000), 48000), 0.6))

    def test_m4a_truncated_after_its_index(self, tmp_path: Path) -> None:
        path = encode(tmp_path / "song.m4a", music(48000), 48000, options={"movflags": "faststart"})
        assert "truncated" in message(cut(path, 0.6))

    @pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
    def test_damage_in_the_middle_is_not_passed_over(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"song.{suffix}"
        soundfile.write(path, music(48000).T, 48000)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
        path.write_bytes(data)
        assert "damaged" in message(path)

    def test_a_recording_that_was_never_finished(self, tmp_path: Path) -> None:
        path = tmp_path / "song.wav"
        soundfile.write(path, np.zeros((400_000, 2)), 44100, "PCM_16")
        data = bytearray(path.read_bytes())
        struct.pack_into("<I", data, data.index(b"data") + 4, 0)
        path.write_bytes(data)
        assert "unfinished recording" in message(path)

    def test_m4a_without_pyav_names_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = encode(tmp_path / "song.m4a", music(1000), 44100)
        real_import: Callable[..., Any] = builtins.__import__

        def without_av(name: str, *arguments: Any, **named: Any) -> Any:
            if name == "av":
                raise ModuleNotFoundError("No module named 'av'", name="av")
            return real_import(name, *arguments, **named)

        monkeypatch.delitem(sys.modules, "engine.files.av_source", raising=False)
        monkeypatch.setattr(builtins, "__import__", without_av)
        assert 'pip install "stemstream[formats]"' in message(path)

    def test_a_video_without_sound(self, tmp_path: Path) -> None:
        av = pytest.importorskip("av")
        path = tmp_path / "film.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 32), np.uint8), format="yuv420p")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        assert "no audio stream" in message(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no names that are not text")
def test_a_name_that_is_not_text_in_any_encoding_is_read_too(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    soundfile.write(os.fsencode(path), np.zeros((100, 2)), 44_100)
    with AudioReader(path) as reader:
        assert sum(block.shape[1] for block in reader.blocks(64)) == 100
