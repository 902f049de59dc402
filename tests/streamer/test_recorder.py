"""Takes that are aligned, valid and finished, whatever happens to the disk, the process or the recorder."""

from __future__ import annotations

import errno
import gc
import io
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine.errors import BlockError, ConfigurationError, OutputError
from engine.files.reader import AudioReader
from streamer.recorder import Recorder, RecorderStats

F32 = npt.NDArray[np.float32]

STEMS = ("Vocals", "drums")
FILES = ("vocals", "drums")
RATE = 8000
PATIENCE_S = 20.0


def make_recorder(folder: Path, **settings: object) -> Recorder:
    given: dict[str, object] = {"sample_rate": RATE, "channels": 2, "buffer_s": 1.0} | settings
    return Recorder(folder, STEMS, **given)  # type: ignore[arg-type]


def music(frames: int, first: int = 0) -> F32:
    """Give stems whose frame n has the value n + 1, in each row with another sign or size."""
    rows = np.array([[1.0, -1.0], [2.0, 0.5]], np.float32)[..., None]
    return np.arange(first + 1, first + frames + 1, dtype=np.float32) * rows


def read(take: Path, names: tuple[str, ...] = FILES) -> F32:
    """Read the files of a take, shape (files, channels, frames): they must have one length."""
    return np.stack([read_file(take / f"{name}.wav") for name in names])


def read_file(path: Path) -> F32:
    with AudioReader(path) as reader:
        return np.concatenate([np.zeros((reader.channels, 0), np.float32), *reader.blocks(4096)], axis=1)


def writing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "stemstream-recorder"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in writing_threads():
        thread.join(PATIENCE_S)
    assert not writing_threads()


class Disk:
    """Holds the files of recorders, which stand still while ``runs`` is not set and fail beyond their room."""

    def __init__(self) -> None:
        self.runs = threading.Event()
        self.runs.set()
        self.waits = threading.Event()
        self.room_bytes = sys.maxsize
        self.rooms: dict[str, int] = {}
        self.fails_to_truncate = False

    def open(self, path: Path) -> DiskFile:
        return DiskFile(self, path)


class DiskFile:
    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._name = path.name
        self._file = io.FileIO(path, "x+")

    def write(self, data: memoryview) -> int:
        if not self._disk.runs.is_set():
            self._disk.waits.set()
            assert self._disk.runs.wait(PATIENCE_S)
        room = self._disk.rooms.get(self._name, self._disk.room_bytes) - self._file.tell()
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data[:room])

    def truncate(self, size: int) -> int:
        if self._disk.fails_to_truncate:
            raise OSError(errno.EIO, "Input/output error")
        return self._file.truncate(size)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk()
    monkeypatch.setattr("engine.files.writer._open_new", disk.open)
    yield disk
    disk.runs.set()


# What is recorded


@pytest.mark.parametrize("blocks", [[5000], [1, 511, 512, 700, 3], [80] * 50, []])
def test_stems_are_recorded_to_the_bit_in_files_of_their_own(tmp_path: Path, blocks: list[int]) -> None:
    with make_recorder(tmp_path) as recorder:
        for n, frames in enumerate(blocks):
            recorder.write(music(frames, sum(blocks[:n])))
    total = sum(blocks)
    assert recorder.stats() == RecorderStats("closed", total, 0, 0, None)
    if total:
        np.testing.assert_array_equal(read(recorder.folder), music(total))
        info = soundfile.info(recorder.folder / "vocals.wav")
        assert (info.samplerate, info.subtype) == (RATE, "FLOAT")


def test_the_mixture_is_the_sum_of_the_stems(tmp_path: Path) -> None:
    with make_recorder(tmp_path, with_mixture=True) as recorder:
        recorder.write(music(5000))
    np.testing.assert_array_equal(read(recorder.folder, ("mixture",))[0], music(5000)[0] + music(5000)[1])
    assert sorted(path.name for path in recorder.folder.iterdir()) == ["drums.wav", "mixture.wav", "vocals.wav"]


def test_a_view_of_a_larger_array_is_recorded_right(tmp_path: Path) -> None:
    stems = music(4000)
    with make_recorder(tmp_path) as recorder:
        recorder.write(stems[..., ::2])
        recorder.write(stems[..., 100:900])
    expected = np.concatenate([stems[..., ::2], stems[..., 100:900]], axis=-1)
    np.testing.assert_array_equal(read(recorder.folder), expected)


def test_mono_stems_make_mono_files(tmp_path: Path) -> None:
    with make_recorder(tmp_path, channels=1) as recorder:
        recorder.write(music(100)[:, :1])
    np.testing.assert_array_equal(read(recorder.folder)[:, 0], music(100)[:, 0])


# Takes


def test_every_recorder_makes_a_take_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "songs" / "mine"
    for number in (1, 2):
        with make_recorder(folder) as recorder:
            recorder.write(music(number))
        assert recorder.folder == folder / f"take-00{number}"
    assert soundfile.info(folder / "take-001" / "drums.wav").frames == 1


def test_takes_are_numbered_above_the_highest_that_is_there(tmp_path: Path) -> None:
    for name in ("take-002", "take-1041", "take-x", "take-9999 best", "other"):
        (tmp_path / name).mkdir()
    with make_recorder(tmp_path) as one, make_recorder(tmp_path) as other:
        assert (one.folder.name, other.folder.name) == ("take-1042", "take-1043")


def test_a_take_that_got_nothing_is_removed(tmp_path: Path) -> None:
    with make_recorder(tmp_path, with_mixture=True):
        pass
    assert list(tmp_path.iterdir()) == []


# A slow disk


def test_what_is_lost_to_a_slow_disk_is_silence_of_its_length_in_all_files(tmp_path: Path, disk: Disk) -> None:
    recorder = make_recorder(tmp_path, with_mixture=True)
    capacity = 8192
    disk.runs.clear()
    recorder.write(music(100))
    assert disk.waits.wait(PATIENCE_S)
    given = 100
    while given < 3 * capacity:
        recorder.write(music(256, given))
        given += 256
    during = recorder.stats()
    assert (during.state, during.gaps, during.error) == ("recording", 1, None)
    assert during.frames_lost >= given - 100 - capacity - 256
    disk.runs.set()
    stats = recorder.close()
    assert (stats.state, stats.frames_written, stats.frames_lost) == ("closed", given, during.frames_lost)
    heard = read(recorder.folder, (*FILES, "mixture"))
    is_lost = ~heard.any(axis=(0, 1))
    assert np.count_nonzero(is_lost) == stats.frames_lost
    np.testing.assert_array_equal(heard[:2], music(given) * ~is_lost)
    np.testing.assert_array_equal(heard[2], heard[0] + heard[1])


def test_recording_goes_on_in_time_after_a_stall(tmp_path: Path, disk: Disk) -> None:
    recorder = make_recorder(tmp_path)
    disk.runs.clear()
    recorder.write(music(100))
    assert disk.waits.wait(PATIENCE_S)
    given = 100
    while not recorder.stats().gaps:
        recorder.write(music(1000, given))
        given += 1000
    disk.runs.set()
    lost = -1
    # The stall is over when a block is no longer lost.
    while lost != recorder.stats().frames_lost:
        lost = recorder.stats().frames_lost
        recorder.write(music(1000, given))
        given += 1000
    stats = recorder.close()
    heard = read(recorder.folder)
    np.testing.assert_array_equal(heard[..., -1000:], music(1000, given - 1000))
    assert heard.shape[-1] == given == stats.frames_written
    assert stats.gaps == 1


# A full disk


@pytest.mark.parametrize("room_bytes", [200, 1000, 70_003, 100_000])
def test_a_full_disk_ends_the_recording_and_not_the_sound(tmp_path: Path, disk: Disk, room_bytes: int) -> None:
    recorder = make_recorder(tmp_path, with_mixture=True)
    disk.room_bytes = room_bytes
    given = 0
    for _ in range(40):
        recorder.write(music(500, given))
        given += 500
        if given % 8000 == 0:
            for thread in writing_threads():
                thread.join(0.15)
    stats = recorder.close()
    assert stats.state == "error"
    assert "no space left: free some or choose a folder on another disk" in str(stats.error)
    heard = read(recorder.folder, (*FILES, "mixture"))
    assert heard.shape[-1] == stats.frames_written <= room_bytes // 8
    np.testing.assert_array_equal(heard[:2], music(stats.frames_written))
    assert stats.frames_written + stats.frames_lost == given


@pytest.mark.parametrize("full", FILES)
def test_files_stay_aligned_when_one_of_them_cannot_grow(tmp_path: Path, disk: Disk, full: str) -> None:
    disk.rooms[f"{full}.wav"] = 70_000
    with make_recorder(tmp_path, buffer_s=10.0) as recorder:
        for n in range(20):
            recorder.write(music(1000, 1000 * n))
    stats = recorder.stats()
    assert f"{full}.wav" in str(stats.error)
    # The room of one is full in the second chunk; the other one has had it already, or never gets it.
    assert stats.frames_written == 8192
    np.testing.assert_array_equal(read(recorder.folder), music(8192))


def test_a_disk_that_fails_altogether_leaves_what_the_headers_told(tmp_path: Path, disk: Disk) -> None:
    recorder = make_recorder(tmp_path)
    disk.room_bytes, disk.fails_to_truncate = 0, True
    recorder.write(music(1000))
    stats = recorder.close()
    assert stats.state == "error"
    assert read(recorder.folder).shape[-1] == stats.frames_written == 0
    assert stats.frames_lost == 1000


def test_after_an_error_writing_and_closing_go_on_in_silence(tmp_path: Path, disk: Disk) -> None:
    recorder = make_recorder(tmp_path)
    disk.room_bytes = 0
    recorder.write(music(10))
    for thread in writing_threads():
        thread.join(PATIENCE_S)
    first = recorder.stats()
    recorder.write(music(5))
    assert (first.state, first.frames_lost) == ("error", 10)
    assert recorder.stats().frames_lost == 15
    assert recorder.close() == recorder.close() == recorder.stats()


def test_a_fault_of_any_kind_is_told_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    recorder = make_recorder(tmp_path)
    recorder.write(music(100))
    monkeypatch.setattr("streamer.recorder.AudioWriter.commit", fail)
    stats = recorder.close()
    assert (stats.state, stats.error) == ("error", "the recording ended (RuntimeError: broken): start another")
    np.testing.assert_array_equal(read(recorder.folder), music(100))


def run_child(code: str, folder: Path) -> subprocess.Popen[str]:
    program = "import sys, threading\nimport numpy as np\nfrom streamer.recorder import Recorder\n" + code
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True)


FULL = """
import resource
recorder = Recorder(sys.argv[1], ("vocals", "drums"), sample_rate=8000, channels=2, with_mixture=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_003, 100_003))
for n in range(30):
    recorder.write(np.arange(1000 * n + 1, 1000 * n + 1001, dtype=np.float32) * np.ones((2, 2, 1), np.float32))
stats = recorder.close()
print(stats.state, stats.frames_written, stats.frames_lost, stats.error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no limit for the size of files")
def test_a_limit_of_the_system_itself_ends_the_recording_with_valid_files(tmp_path: Path) -> None:
    with run_child(FULL, tmp_path) as child:
        said = child.communicate(timeout=60)[0]
    state, written, lost, error = said.split(maxsplit=3)
    assert state == "error"
    assert "cannot be written (File too large)" in error
    assert int(written) + int(lost) == 30_000
    heard = read(tmp_path / "take-001", (*FILES, "mixture"))
    assert heard.shape[-1] == int(written) > 0
    np.testing.assert_array_equal(heard[0, 0], np.arange(1, int(written) + 1))


# The end of the process


ENDLESS = """
recorder = Recorder(sys.argv[1], ("vocals", "drums"), sample_rate=8000, channels=2, with_mixture=True)
clock, n = threading.Event(), 0
print(0, flush=True)
while True:
    clock.wait(0.01)
    recorder.write(np.arange(n + 1, n + 81, dtype=np.float32) * np.ones((2, 2, 1), np.float32))
    n += 80
    print(n, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
@pytest.mark.parametrize("seconds", [0.0, 1.2, 2.0])
def test_a_killed_process_leaves_files_that_open_and_are_short_by_less_than_a_second(
    tmp_path: Path, seconds: float
) -> None:
    with run_child(ENDLESS, tmp_path) as child:
        assert child.stdout is not None
        given = -1
        while given < seconds * RATE:
            given = int(child.stdout.readline())
        child.kill()
        given = max([given, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
    for name in (*FILES, "mixture"):
        heard = read_file(tmp_path / "take-001" / f"{name}.wav")[0]
        assert given - RATE <= len(heard) <= given + 80
        np.testing.assert_array_equal(heard, np.arange(1, len(heard) + 1) * (2 if name == "mixture" else 1))


FORGETFUL = """
recorder = Recorder(sys.argv[1], ("vocals", "drums"), sample_rate=8000, channels=2)
recorder.write(np.ones((2, 2, 3000), np.float32))
"""


def test_a_program_that_ends_without_close_finishes_its_files(tmp_path: Path) -> None:
    with run_child(FORGETFUL, tmp_path) as child:
        child.communicate(timeout=60)
    assert child.returncode == 0
    assert read(tmp_path / "take-001").shape == (2, 2, 3000)


# Threads and memory


def test_the_thread_ends_at_close(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path)
    assert len(writing_threads()) == 1
    recorder.close()
    assert not writing_threads()


def test_a_recorder_that_is_dropped_finishes_its_files_and_ends_its_thread(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path)
    recorder.write(music(3000))
    threads = writing_threads()
    del recorder
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    np.testing.assert_array_equal(read(tmp_path / "take-001"), music(3000))


def test_after_close_nothing_is_taken(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path)
    recorder.write(music(100))
    stats = recorder.close()
    recorder.write(music(100))
    assert recorder.stats() == stats
    assert read(recorder.folder).shape[-1] == 100


def test_an_exception_in_the_session_keeps_the_take(tmp_path: Path) -> None:
    def play(recorder: Recorder) -> None:
        with recorder:
            recorder.write(music(100))
            raise KeyboardInterrupt

    recorder = make_recorder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        play(recorder)
    assert read(recorder.folder).shape[-1] == 100


def test_writing_allocates_no_array(tmp_path: Path, disk: Disk) -> None:
    recorder, block = make_recorder(tmp_path, buffer_s=10.0), np.ones((2, 2, 4096), np.float32)
    disk.runs.clear()
    recorder.write(block)
    # While the writing thread stands still, all that is allocated is for the block.
    assert disk.waits.wait(PATIENCE_S)
    tracemalloc.start()
    try:
        for number in range(40):
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            recorder.write(block)
            # A row is 16 KiB.
            assert number < 2 or tracemalloc.get_traced_memory()[1] - before < 4 << 10
    finally:
        tracemalloc.stop()
        disk.runs.set()
    assert recorder.close().gaps == 1


# Refusals


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"stems": ()}, "one name or more"),
        ({"stems": "vocals"}, "give a sequence"),
        ({"stems": ("a", "A")}, "a would be written twice"),
        ({"stems": ("a", "Mixture"), "with_mixture": True}, "mixture would be written twice"),
        ({"channels": 3}, "channels is 3: allowed are 1 and 2"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"buffer_s": 0.5}, "buffer_s is 0.5: 1 to 600 seconds are allowed"),
        ({"buffer_s": float("nan")}, "buffer_s is nan"),
    ],
)
def test_settings_out_of_range_are_refused_and_leave_no_take(
    tmp_path: Path, setting: dict[str, object], said: str
) -> None:
    allowed: dict[str, object] = {"stems": STEMS, "sample_rate": RATE, "channels": 2}
    with pytest.raises(ConfigurationError, match=said):
        Recorder(tmp_path, **(allowed | setting))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match=r"out' cannot take a recording \(.*\): choose another"):
        make_recorder(tmp_path / "out")


def test_a_disk_that_is_full_from_the_start_is_told_at_once(tmp_path: Path, disk: Disk) -> None:
    disk.room_bytes = 0
    with pytest.raises(OutputError, match="no space left"):
        make_recorder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "block", [np.zeros((3, 2, 5), np.float32), np.zeros((2, 1, 5), np.float32), np.zeros((2, 5)), np.zeros((2, 2, 5))]
)
def test_blocks_that_do_not_fit_are_refused(tmp_path: Path, block: F32) -> None:
    with make_recorder(tmp_path) as recorder, pytest.raises(BlockError, match=r"must be float32 of shape \(2, 2, fra"):
        recorder.write(block)


def test_stem_names_cannot_leave_the_take(tmp_path: Path) -> None:
    with Recorder(tmp_path / "x", ("../vocals", "a/b"), sample_rate=RATE, channels=2) as recorder:
        recorder.write(music(1))
    assert sorted(path.name for path in recorder.folder.iterdir()) == ["_vocals.wav", "a_b.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
