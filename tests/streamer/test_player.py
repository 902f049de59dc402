"""A player with its threads: what it saves is what ``separate`` writes, and nothing stops the sound."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from engine import Compute, load_separator, separate_file
from engine.errors import ConfigurationError, DeviceError, LifecycleError
from engine.separator import Separator, StateArrays
from engine.stem_cache import StemCache
from streamer import Player
from streamer.events import Event
from streamer.scratch import Scratch
from streamer.song import compose_song
from streamer.testing import IdentitySeparator
from tests.engine.mdx23c_models import STRIDE, Golden
from tests.engine.onnx_models import describe, gains, save
from tests.streamer.coded_songs import RATE, decode, write_coded

F32 = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("song") / "song.wav"
    soundfile.write(path, compose_song(2.0, sample_rate=44_100).mixture.T, 44_100, subtype="FLOAT")
    return path


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    return write_coded(tmp_path / "coded.wav", 24_000)


def player_of(path: Path | list[Path], separator: Separator | None = None, **options: object) -> Player:
    separator = IdentitySeparator(sample_rate=RATE) if separator is None else separator
    return Player(path, separator, output=None, **options)  # type: ignore[arg-type]


def stems_in(folder: Path) -> dict[str, F32]:
    return {path.name: soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("*.wav"))}


def kinds(events: tuple[Event, ...]) -> list[str]:
    return [event.kind for event in events]


def seek_about(player: Player, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    player.play()
    for _ in range(12):
        player.seek(float(random.uniform(0, player.duration_s)))
        player.read(int(random.integers(100, 3000)), waits=bool(random.integers(2)))


def network(folder: Path) -> Separator:
    made = describe(gains(0.1, 0.2, 0.3, 0.4), name="net", sample_rate=44_100, stems=list("abcd"), window_frames=8192)
    return load_separator(str(save(folder / "net.onnx", made)))


@pytest.mark.parametrize(("kind", "finish", "tolerance"), [("spatial", "background", 1e-6), ("network", "exit", 1e-5)])
def test_stems_saved_while_somebody_seeks_about_are_those_of_separate(
    song: Path, tmp_path: Path, kind: str, finish: str, tolerance: float
) -> None:
    separator = load_separator("spatial") if kind == "spatial" else network(tmp_path)
    cache = StemCache(tmp_path / "cache")
    with player_of(song, separator, save=tmp_path / "played", finish=finish, cache=cache) as player:
        seek_about(player)
    assert "saved" in kinds(player.events())
    assert [path.parent.name for path in player.saved[str(song)].values()] == ["song"] * 4
    separate_file(separator, song, tmp_path / "separated")
    played, separated = stems_in(tmp_path / "played" / "song"), stems_in(tmp_path / "separated" / "song")
    assert played.keys() == separated.keys()
    for name, stem in separated.items():
        np.testing.assert_allclose(played[name], stem, atol=tolerance)
    # What was saved counts as done, and what was kept is as good.
    again = separate_file(separator, song, tmp_path / "played", overwrite=False)
    assert again.was_done
    with player_of(song, separator, save=tmp_path / "kept", cache=cache) as player:
        player.play().read(1000)
        assert player.stats().processor.windows == 0
    for name, stem in stems_in(tmp_path / "kept" / "song").items():
        np.testing.assert_allclose(stem, separated[name], atol=tolerance)


@pytest.mark.parametrize("place", [0, 1])
def test_a_checkpoint_played_and_sought_about_in_saves_what_the_reference_gives(tmp_path: Path, place: int) -> None:
    golden = Golden("two_stems")
    overlap, track, expected = golden.tracks[place]
    soundfile.write(tmp_path / "track.wav", track.T, 44_100, subtype="FLOAT")
    # The operations of the reference, in its order.
    compute = Compute("cpu", "eager", "fp32")
    separator = load_separator(golden.checkpoint, config=golden.config, compute=compute)
    with player_of(tmp_path / "track.wav", separator, save=tmp_path / "played", overlap=overlap) as player:
        seek_about(player)
        assert player.stats().jumps > 1
    separate_file(separator, tmp_path / "track.wav", tmp_path / "separated", overlap=overlap)
    played, separated = (stems_in(tmp_path / folder / "track") for folder in ("played", "separated"))
    assert sorted(played) == ["other.wav", "vocals.wav"]
    for stem, wanted in zip(("vocals.wav", "other.wav"), expected, strict=True):
        np.testing.assert_allclose(played[stem], separated[stem], rtol=0, atol=1e-5)
        np.testing.assert_allclose(played[stem].T[:, ::STRIDE], wanted, rtol=0, atol=1e-5)


def test_whoever_waits_for_the_stems_hears_all_of_them(song: Path) -> None:
    separator = load_separator("spatial")
    with player_of(song, separator) as player:
        player.mixer["drums"].solo = True
        heard = player.play().read(2 * 44_100)
        assert player.stats().coverage == 1.0
        assert not player.read(100).any()
        assert player.is_over
    audio = soundfile.read(song, dtype="float32")[0].T
    np.testing.assert_allclose(heard, separator.separate(audio, 44_100, stems=["drums"])[0], atol=1e-6)


def test_a_queue_of_two_rates_comes_out_at_one(tmp_path: Path) -> None:
    lengths = {8000: 8000, 11_025: 11_025, 12_000: 6000}
    paths = [write_coded(tmp_path / f"{rate}.wav", frames, rate=rate) for rate, frames in lengths.items()]
    with player_of(paths, sample_rate=8000) as player:
        heard = player.play().read(22_000)
    # 1 s, 1 s and half a second, at half of full scale on the right.
    loud = np.flatnonzero(np.abs(heard[1]) > 0.25)
    assert loud[-1] == pytest.approx(20_000, abs=4)
    assert np.median(heard[1, loud]) == pytest.approx(0.5, abs=1e-3)
    dips = np.count_nonzero(np.abs(heard[1, : loud[-1]]) < 0.3)
    assert dips < 60


def test_without_waiting_the_sound_goes_on_beside_a_model_that_hangs(coded: Path) -> None:
    class Hanging(IdentitySeparator):
        is_free = threading.Event()

        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            self.is_free.wait(20)
            return super().process(windows, states)

    separator = Hanging(sample_rate=RATE)
    with player_of(coded, separator) as player:
        places, _ = decode(player.play().read(24_000, waits=False))
        separator.is_free.set()
        assert places[1:].tolist() == list(range(1, 24_000))
        assert player.stats().coverage == 0.0
        assert "behind" in kinds(player.events())


def test_a_model_that_fails_is_told_and_the_song_is_heard(coded: Path, tmp_path: Path) -> None:
    class Failing(IdentitySeparator):
        def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
            raise RuntimeError("out of memory")

    with player_of(coded, Failing(sample_rate=RATE), save=tmp_path / "out") as player:
        places, _ = decode(player.play().read(24_000))
        assert places[1:].tolist() == list(range(1, 24_000))
        told = [event.text for event in player.events() if event.kind == "fault"]
        assert "out of memory" in told[0]
    assert player.not_saved == (str(coded),)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").rglob("*.*"))


def test_a_full_disk_is_told_and_the_sound_goes_on(
    coded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(scratch: Scratch, file: object, begin: int, frames: F32) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Scratch, "_write", full)
    with player_of(coded) as player:
        player.mixer["vocals"].mute = True
        places, gain = decode(player.play().read(24_000))
        assert places[1:].tolist() == list(range(1, 24_000))
        assert gain.max() <= 0.75 + 1e-5
        assert player.stats().coverage > 0.99
        (told,) = [event.text for event in player.events() if event.kind == "cache"]
        assert "No space left on device" in told


def test_files_that_cannot_be_written_are_told_and_the_sound_goes_on(coded: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in its place")
    with player_of(coded, save=tmp_path / "out") as player:
        places, _ = decode(player.play().read(24_000))
        assert places[1:].tolist() == list(range(1, 24_000))
    (told,) = [event.text for event in player.events() if event.kind == "not saved"]
    assert "the sound goes on" in told
    assert player.not_saved == (str(coded),)


def test_a_damaged_cache_is_told_and_made_again(coded: Path, tmp_path: Path) -> None:
    cache = StemCache(tmp_path / "cache")
    with player_of(coded, cache=cache) as player:
        player.play().read(24_000)
        player.finish()
    (entry,) = cache.entries()
    file = cache.folder / entry.name / "stem-0.flac"
    data = bytearray(file.read_bytes())
    data[-200] ^= 0xFF
    file.write_bytes(data)
    with player_of(coded, cache=cache) as player:
        player.play().read(24_000)
        assert player.stats().coverage == 1.0
        player.finish()
        (told,) = [event.text for event in player.events() if event.kind == "cache"]
        assert "damaged" in told
    assert len(cache.entries()) == 1


def test_a_cache_that_cannot_be_written_to_is_told_once(coded: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    with player_of(coded, cache=StemCache(tmp_path / "cache")) as player:
        player.play().read(24_000)
        assert player.stats().coverage == 1.0
        (told,) = [event.text for event in player.events() if event.kind == "cache"]
        assert "cannot be written to" in told


def test_two_players_share_a_cache(coded: Path, tmp_path: Path) -> None:
    cache = StemCache(tmp_path / "cache")
    with player_of(coded, cache=cache) as one, player_of(coded, cache=StemCache(cache.folder)) as other:
        for player in (one, other):
            player.play()
        for _ in range(6):
            sounds = [decode(player.read(4000))[0] for player in (one, other)]
            np.testing.assert_array_equal(*sounds)
        for player in (one, other):
            player.finish()
    assert len(cache.entries()) == 1
    assert all(not path.name.startswith(".") for path in cache.folder.iterdir())


KILLED = """
import sys, time
from streamer import Player
from engine.stem_cache import StemCache
from streamer.testing import IdentitySeparator

class Slow(IdentitySeparator):
    def process(self, windows, states):
        time.sleep(0.02)
        return super().process(windows, states)

song, out, cache = sys.argv[1:]
player = Player(song, Slow(sample_rate=8000), output=None, save=out, cache=StemCache(__import__("pathlib").Path(cache)))
player.play()
while True:
    player.read(800)
    print(player.stats().processor.windows, flush=True)
"""


def test_after_a_kill_stems_and_cache_are_whole_or_absent_and_the_next_start_goes_on(
    coded: Path, tmp_path: Path
) -> None:
    out, cache = tmp_path / "out", StemCache(tmp_path / "cache")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, coded, out, cache.folder],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 4:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not list(out.rglob("*.wav"))
    assert cache.entries() == ()
    with player_of(coded, save=out, cache=cache) as player:
        player.play().read(24_000)
    assert sorted(path.name for path in out.rglob("*.wav")) == ["drums.wav", "other.wav", "vocals.wav"]
    assert len(cache.entries()) == 1


def test_threads_end_with_the_player(coded: Path) -> None:
    before = threading.active_count()
    with player_of(coded) as player:
        player.play().read(1000)
        assert threading.active_count() > before
    assert threading.active_count() == before
    player.close()
    with pytest.raises(LifecycleError, match="closed"):
        player.play()


def test_a_value_that_is_not_allowed_is_refused_at_once(coded: Path) -> None:
    for options, said in (
        ({"finish": "soon"}, "finish='soon' is not known"),
        ({"gaps": "noise"}, "gaps='noise' is not known"),
        ({"block_frames": 0}, "block_frames=0 cannot be used"),
        ({"start_s": -1.0}, "-1.0 is no place in a track"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            player_of(coded, **options)
    with player_of(coded) as player, pytest.raises(ConfigurationError, match="frames=-1 cannot be read"):
        player.read(-1)


def test_a_player_on_a_device_is_not_read_from(coded: Path) -> None:
    with Player(coded, IdentitySeparator(sample_rate=RATE), output="nowhere") as player:
        with pytest.raises(LifecycleError, match="output=None"):
            player.read(100)
        with pytest.raises(DeviceError):
            player.play()
