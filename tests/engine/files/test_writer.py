"""Audio files that appear whole or not at all."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine.errors import BlockError, ConfigurationError, LifecycleError, OutputError
from engine.files.part_file import PartFile
from engine.files.reader import AudioReader
from engine.files.writer import AudioWriter, needs_rf64

F32 = npt.NDArray[np.float32]

MAX_WAV_BYTES = 2**32 - 4096


def noise(frames: int, channels: int = 2) -> F32:
    rng = np.random.default_rng(0)
    return rng.uniform(-0.9, 0.9, (channels, frames)).astype(np.float32)


def read_all(path: Path) -> F32:
    with AudioReader(path) as reader:
        blocks = list(reader.blocks(4096))
        return np.concatenate(blocks, axis=1) if blocks else np.zeros((reader.channels, 0), np.float32)


def write_then(writer: AudioWriter, audio: F32, what: Callable[[], object]) -> None:
    with writer:
        writer.write(audio)
        what()


def fail(error: type[BaseException]) -> None:
    raise error("stop")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def fill_disk_after(monkeypatch: pytest.MonkeyPatch, limit_bytes: int) -> None:
    """Let each part file take so many bytes and then say what a full disk says."""

    class SmallDisk:
        def __init__(self, path: Path) -> None:
            self.file = path.open("w+b", buffering=0)

        def write(self, data: memoryview) -> int:
            room = limit_bytes - self.file.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data[:room])

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    monkeypatch.setattr("engine.files.part_file._open_raw", SmallDisk)
    monkeypatch.setattr("engine.files.writer._open_new", SmallDisk)


class TestContent:
    @pytest.mark.parametrize("frames_hint", [None, 10_000, 2**31])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_wav_keeps_every_float(self, tmp_path: Path, channels: int, frames_hint: int | None) -> None:
        sent = noise(10_000, channels)
        sent[0, :4] = [np.nan, np.inf, -np.inf, 3.5]
        with AudioWriter(tmp_path / "a.wav", 44100, channels, frames_hint=frames_hint) as writer:
            for start in range(0, 10_000, 3000):
                writer.write(sent[:, start : start + 3000])
            assert writer.frames_written == 10_000
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), sent)
        assert soundfile.info(tmp_path / "a.wav").samplerate == 44100

    @pytest.mark.parametrize(("subtype", "bits"), [("FLOAT", 24), ("PCM_24", 24), ("PCM_16", 16)])
    def test_flac_keeps_its_bits(self, tmp_path: Path, subtype: str, bits: int) -> None:
        with AudioWriter(tmp_path / "a.flac", 48000, 2, subtype=subtype) as writer:
            writer.write(noise(10_000))
        assert soundfile.info(tmp_path / "a.flac").subtype == f"PCM_{bits}"
        np.testing.assert_allclose(read_all(tmp_path / "a.flac"), noise(10_000), atol=2.0 ** (1 - bits))

    @pytest.mark.parametrize("name", ["a.flac", "a.wav"])
    def test_integers_clip_and_do_not_wrap(self, tmp_path: Path, name: str) -> None:
        with AudioWriter(tmp_path / name, 48000, 1, subtype="PCM_24") as writer:
            writer.write(np.array([[1.5, -1.5, 0.0]], np.float32))
        np.testing.assert_allclose(read_all(tmp_path / name), [[1.0, -1.0, 0.0]], atol=1e-6)

    @pytest.mark.parametrize("name", ["a.flac", "a.wav"])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_no_frames_make_a_readable_file(self, tmp_path: Path, name: str, channels: int) -> None:
        with AudioWriter(tmp_path / name, 44100, channels):
            pass
        with AudioReader(tmp_path / name) as reader:
            assert (reader.sample_rate, reader.channels) == (44100, channels)
        assert read_all(tmp_path / name).shape == (channels, 0)

    def test_rows_of_a_larger_array_are_written_right(self, tmp_path: Path) -> None:
        both = noise(2000)
        with AudioWriter(tmp_path / "a.wav", 44100, 1) as writer:
            writer.write(both[1:, ::2])
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), both[1:, ::2])


class TestRf64:
    @pytest.mark.parametrize(
        ("frames", "expected"),
        [(None, True), (0, False), (MAX_WAV_BYTES // 8, False), (MAX_WAV_BYTES // 8 + 1, True), (2**40, True)],
    )
    def test_is_chosen_where_four_gib_could_be_passed(self, frames: int | None, expected: bool) -> None:
        assert needs_rf64(frames, 2, 4) is expected

    @pytest.mark.parametrize(("frames_hint", "begins"), [(None, b"JUNK"), (2**31, b"JUNK"), (100, b"fmt ")])
    def test_room_is_kept_for_the_long_header_and_a_short_file_ends_as_plain_wav(
        self, tmp_path: Path, frames_hint: int | None, begins: bytes
    ) -> None:
        with AudioWriter(tmp_path / "a.wav", 44100, 2, frames_hint=frames_hint) as writer:
            writer.write(noise(100))
            (part,) = tmp_path.glob(".a.wav.*.part")
            assert part.read_bytes()[12:16] == begins
        assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"

    def test_without_the_downgrade_the_file_is_rf64_and_readable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.files.writer.allow_plain_wav", lambda _: None)
        with AudioWriter(tmp_path / "a.wav", 44100, 2) as writer:
            writer.write(noise(100))
        assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(100))


class TestInPlace:
    def test_the_file_has_its_name_from_the_start_and_is_never_renamed(self, tmp_path: Path) -> None:
        with AudioWriter(tmp_path / "x" / "a.wav", 44100, 2, in_place=True) as writer:
            assert names(tmp_path) == ["a.wav"]
            assert read_all(tmp_path / "x" / "a.wav").shape == (2, 0)
            writer.write(noise(100))
        assert names(tmp_path) == ["a.wav"]
        np.testing.assert_array_equal(read_all(tmp_path / "x" / "a.wav"), noise(100))

    def test_what_the_header_tells_can_be_read_while_more_is_written(self, tmp_path: Path) -> None:
        with AudioWriter(tmp_path / "a.wav", 44100, 2, in_place=True) as writer:
            for told in (1000, 1700, 1801):
                writer.write(noise(2000)[:, writer.frames_written : told])
                writer.update_header()
                writer.write(noise(2000)[:, told : told + 100])
                assert soundfile.info(tmp_path / "a.wav").frames == told
                np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(2000)[:, :told])
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(2000)[:, :1901])

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_exception_keeps_what_was_written(self, tmp_path: Path, error: type[BaseException]) -> None:
        with pytest.raises(error):
            write_then(AudioWriter(tmp_path / "a.wav", 44100, 2, in_place=True), noise(100), lambda: fail(error))
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(100))

    @pytest.mark.parametrize(("keep_frames", "kept"), [(0, 0), (699, 699), (1000, 1000), (2000, 1000), (None, 1000)])
    @pytest.mark.parametrize("is_told", [True, False])
    def test_an_aborted_file_is_cut_as_asked(
        self, tmp_path: Path, keep_frames: int | None, kept: int, is_told: bool
    ) -> None:
        writer = AudioWriter(tmp_path / "a.wav", 44100, 2, in_place=True)
        writer.write(noise(1000))
        if is_told:
            writer.update_header()
        writer.abort(keep_frames=keep_frames)
        writer.abort(keep_frames=1)
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(1000)[:, :kept])
        assert (tmp_path / "a.wav").stat().st_size == soundfile.info(tmp_path / "a.wav").frames * 8 + 112

    def test_a_full_disk_keeps_every_block_that_was_written_whole(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill_disk_after(monkeypatch, 8 * 2500)
        writer = AudioWriter(tmp_path / "a.wav", 44100, 2, in_place=True)
        writer.write(noise(1000))
        writer.update_header()
        writer.write(noise(1000))
        with pytest.raises(OutputError, match="no space left: free some"):
            writer.write(noise(1000))
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), np.tile(noise(1000), (1, 2)))
        with pytest.raises(LifecycleError, match="finished"):
            writer.write(noise(1))

    def test_a_file_that_exists_is_refused_and_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"older")
        with pytest.raises(OutputError, match=r"a\.wav' exists: move it away or choose another folder"):
            AudioWriter(tmp_path / "a.wav", 44100, 2, in_place=True)
        assert (tmp_path / "a.wav").read_bytes() == b"older"

    def test_flac_cannot_be_written_in_place(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"only \.wav can be"):
            AudioWriter(tmp_path / "a.flac", 44100, 2, in_place=True)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("name", ["a.wav", "a.flac"])
    def test_files_that_appear_at_the_end_have_no_use_for_a_header_before(self, tmp_path: Path, name: str) -> None:
        with AudioWriter(tmp_path / name, 44100, 2) as writer:
            writer.write(noise(100))
            writer.update_header()
            writer.write(noise(100))
        assert read_all(tmp_path / name).shape == (2, 200)
        with pytest.raises(LifecycleError, match="finished"):
            writer.update_header()

    def test_a_file_that_passes_four_gib_becomes_rf64_on_the_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files: list[io.FileIO] = []

        def open_new(path: Path) -> io.FileIO:
            files.append(io.FileIO(path, "x+"))
            return files[-1]

        monkeypatch.setattr("engine.files.writer._open_new", open_new)
        path = tmp_path / "a.wav"
        writer = AudioWriter(path, 44100, 2, in_place=True)
        writer.write(noise(1000))
        # As if nearly 4 GiB had been written: a hole in the file, which takes no room.
        frames = (2**32 - 8000) // 8
        files[0].seek(112 + frames * 8)
        for marker, more in ((b"RIFF", 100), (b"RF64", 1900)):
            writer.write(noise(2000)[:, :more])
            frames += more
            writer.update_header()
            with path.open("rb") as file:
                assert file.read(4) == marker
            assert soundfile.info(path).frames == frames
        writer.commit()
        with soundfile.SoundFile(path) as file:
            assert file.frames == frames
            np.testing.assert_array_equal(file.read(1000, dtype="float32").T, noise(1000))
            file.seek(frames - 1900)
            np.testing.assert_array_equal(file.read(dtype="float32").T, noise(2000)[:, :1900])
        path.unlink()


class TestWholeOrNotAtAll:
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_exception_leaves_nothing(self, tmp_path: Path, error: type[BaseException]) -> None:
        with pytest.raises(error):
            write_then(AudioWriter(tmp_path / "a.wav", 44100, 2), noise(100), lambda: fail(error))
        assert names(tmp_path) == []

    def test_an_exception_leaves_the_older_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"older")
        with pytest.raises(ValueError, match="stop"):
            write_then(AudioWriter(tmp_path / "a.wav", 44100, 2), noise(100), lambda: fail(ValueError))
        assert names(tmp_path) == ["a.wav"]
        assert (tmp_path / "a.wav").read_bytes() == b"older"

    def test_success_replaces_the_older_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(b"older")
        with AudioWriter(tmp_path / "a.wav", 44100, 2) as writer:
            writer.write(noise(100))
            assert (tmp_path / "a.wav").read_bytes() == b"older"
        assert names(tmp_path) == ["a.wav"]
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(100))

    def test_folders_are_made(self, tmp_path: Path) -> None:
        with AudioWriter(tmp_path / "x" / "y" / "a.flac", 44100, 2) as writer:
            writer.write(noise(100))
        assert read_all(tmp_path / "x" / "y" / "a.flac").shape == (2, 100)

    def test_a_finished_writer_takes_no_more(self, tmp_path: Path) -> None:
        writer = AudioWriter(tmp_path / "a.wav", 44100, 2)
        writer.commit()
        writer.commit()
        writer.abort()
        assert names(tmp_path) == ["a.wav"]
        with pytest.raises(LifecycleError, match="finished"):
            writer.write(noise(1))

    def test_an_aborted_writer_cannot_be_committed(self, tmp_path: Path) -> None:
        with AudioWriter(tmp_path / "a.wav", 44100, 2) as writer:
            writer.abort()
            writer.abort()
            with pytest.raises(LifecycleError, match="aborted"):
                writer.commit()
        assert names(tmp_path) == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "rate", "channels", "subtype", "said"),
        [
            ("a.mp3", 44100, 2, "FLOAT", "allowed are .wav, .flac"),
            ("a", 44100, 2, "FLOAT", "allowed are .wav, .flac"),
            ("a.wav", 44100, 3, "FLOAT", "channels is 3: allowed are 1 and 2"),
            ("a.wav", 44100, 2, "MP3", "allowed are FLOAT, PCM_16, PCM_24"),
            ("a.wav", 0, 2, "FLOAT", "sample_rate is 0"),
            ("a.flac", 700_000, 2, "FLOAT", "sample_rate is 700000"),
        ],
    )
    def test_settings(self, tmp_path: Path, name: str, rate: int, channels: int, subtype: str, said: str) -> None:
        with pytest.raises(ConfigurationError, match=said):
            AudioWriter(tmp_path / name, rate, channels, subtype=subtype)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("block", [np.zeros((1, 5), np.float32), np.zeros(5, np.float32), np.zeros((2, 5))])
    def test_blocks(self, tmp_path: Path, block: F32) -> None:
        with AudioWriter(tmp_path / "a.wav", 44100, 2) as writer:
            with pytest.raises(BlockError, match="must be float32 of shape"):
                writer.write(block)
            writer.write(noise(7))
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(7))

    def test_the_target_is_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            AudioWriter(tmp_path / "a.wav", 44100, 2)

    def test_the_folder_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "out").touch()
        with pytest.raises(OutputError, match="cannot be made"):
            AudioWriter(tmp_path / "out" / "a.wav", 44100, 2)

    def test_the_folder_is_not_writable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("engine.files.part_file._open_raw", refuse)
        with pytest.raises(OutputError, match="Permission denied"):
            AudioWriter(tmp_path / "a.wav", 44100, 2)


class TestFullDisk:
    @pytest.mark.parametrize("room_bytes", [0, 10, 1000, 50_000, 79_990, 110_000])
    @pytest.mark.parametrize("name", ["a.wav", "a.flac"])
    def test_one_line_and_no_part_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, room_bytes: int
    ) -> None:
        fill_disk_after(monkeypatch, room_bytes)

        def write_everything() -> None:
            with AudioWriter(tmp_path / name, 44100, 2, frames_hint=20_000) as writer:
                for start in range(0, 20_000, 1000):
                    writer.write(noise(20_000)[:, start : start + 1000])

        with pytest.raises(OutputError, match=r"no space left, 0\.[12] MB are needed") as caught:
            write_everything()
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
        assert names(tmp_path) == []

    def test_a_file_that_just_fits_is_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill_disk_after(monkeypatch, 8 * 1000 + 200)
        with AudioWriter(tmp_path / "a.wav", 44100, 2, frames_hint=1000) as writer:
            writer.write(noise(1000))
        np.testing.assert_array_equal(read_all(tmp_path / "a.wav"), noise(1000))

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
    def test_the_real_error_is_kept_and_later_writes_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("engine.files.part_file._open_raw", lambda _: io.FileIO("/dev/full", "wb"))
        part = PartFile(tmp_path / "a.wav")
        assert part.write(b"x" * 10) == 0
        assert part.error is not None
        assert part.error.errno == errno.ENOSPC
        assert part.write(b"x") == 0
        part.discard()
