"""``stemstream live`` as a process on a real sound server: a song goes into its microphone, and its output is kept.

Another client plays the song and records both sides; its counter tells where the server or that client lost frames
themselves. What is said about sound holds for every tenth of a second around which the counter is whole and the
machine kept its pace.
"""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.other_side import F32, jumps_of
from engine import load_separator
from engine.files.reader import AudioReader
from streamer import StemProcessor
from streamer.song import compose_song
from tests.devices.conftest import ROOT, Server
from tests.devices.pace import Pace

pytestmark = pytest.mark.device

RATE, BLOCK = 48_000, 256
PIECE_S = 0.1
PIECE = round(PIECE_S * RATE)
COMMAND = ("-m", "streamer.cli", "live", "mic:loopback", "-o", "loopback")
SONG_S = 12.0


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("song") / "song.npy"
    np.save(path, 0.7 * compose_song(SONG_S, sample_rate=RATE).mixture.astype(np.float32))
    return path


_AROUND = 4 * BLOCK
"""Frames around those that others lost, of which nothing is said either."""

Pieces = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Heard:
    """Both sides of a session, shape (channels, frames) each, when it began, its report, and the machine's pace."""

    recorded: F32
    began_s: float
    report: dict[str, Any]
    pace: Pace

    @property
    def latency(self) -> int:
        total: int = self.report["latency"]["total_frames"]
        return total

    def pair(self, channels: slice) -> tuple[F32, F32]:
        """Give the input and what was played to other channels, each frame beside its own."""
        return self.recorded[:2, : -self.latency], self.recorded[channels, self.latency :]

    def steady(self) -> Pieces:
        """Tell of each whole piece of `pair` whether the machine kept its pace in it and on the way."""
        pieces = (self.recorded.shape[1] - self.latency) // PIECE
        steady = self.pace.steady(self.began_s, pieces + 1, PIECE_S)
        return steady[:-1] & steady[1:]

    def clean(self) -> Pieces:
        """Tell of each whole piece of `pair` whether nobody else lost frames in it or on the way."""
        clean = np.ones((self.recorded.shape[1] - self.latency) // PIECE, np.bool_)
        for place in jumps_of(self.recorded[-1]):
            first, last = (place - self.latency - _AROUND) // PIECE, (place + _AROUND) // PIECE
            clean[max(0, first) : last + 1] = False
        return clean


def listen(server: Server, folder: Path, song: Path, *options: str, seconds: float) -> Heard:
    """Run the command beside the other side, which begins when the command says its latency."""
    live = server.begin(*COMMAND, "-b", str(BLOCK), "--json", *options)
    try:
        assert live.stderr is not None
        while not (line := live.stderr.readline()).startswith("latency"):
            assert line, "it ended before it began"
        other = server.begin(
            *(ROOT / "benchmarks" / "other_side.py", "--device", "loopback", "--seconds", str(seconds)),
            *("--sound", song, "--out", folder / "heard.npy"),
        )
        with Pace() as pace:
            began_s, complaints = other.communicate(timeout=seconds + 30)
        assert other.returncode == 0, complaints
        live.send_signal(signal.SIGINT)
        said, complaints = live.communicate(timeout=30)
    finally:
        live.kill()
    assert live.returncode == 130, complaints
    # The first second is that of the processor's own beginning, if it began late.
    return Heard(np.load(folder / "heard.npy")[:, RATE:], float(began_s) + 1.0, json.loads(said), pace)


def test_unity_gains_give_the_song_back_after_the_promised_time(jack: Server, song: Path, tmp_path: Path) -> None:
    heard = listen(jack, tmp_path, song, "--stem-outputs", "mix=3,4", "drums=5,6", seconds=42.0)
    played, returned = heard.pair(slice(2, 4))
    wrong = np.abs(returned - played).max(axis=0) > 1e-6
    clean, steady = heard.clean(), heard.steady()
    lost = wrong[: len(clean) * PIECE].reshape(-1, PIECE).any(axis=1)
    assert np.abs(played).max() > 0.3
    assert clean.sum() * PIECE_S >= 30.0, clean
    assert (clean & steady).sum() * PIECE_S >= 5.0, steady
    # An xrun of the session would be silence in place of sound.
    assert not lost[clean & steady].any(), np.flatnonzero(lost & clean & steady)
    assert heard.report["counters"]["coverage"] >= 0.95
    assert heard.report["measured"]["total_frames"] == heard.latency
    assert np.abs(heard.recorded[4:6]).max() > 0.05


def test_a_muted_stem_is_not_in_the_output(jack: Server, song: Path, tmp_path: Path) -> None:
    heard = listen(jack, tmp_path, song, "--mute", "drums", "--stem-outputs", "mix=3,4", "drums=5,6", seconds=16.0)
    played, mix = heard.pair(slice(2, 4))
    _, own = heard.pair(slice(4, 6))
    clean = np.repeat(heard.clean() & heard.steady(), PIECE)
    n = len(clean)
    # Muted, it is heard nowhere; the mix is the song without it.
    assert not own.any()
    drums = expected_stems(heard.recorded[:2])["drums"][:, :n]
    settled = clean & (np.arange(n) >= RATE)
    assert settled.sum() >= 3 * RATE
    taken = (played - mix)[:, :n][:, settled]
    expected = drums[:, settled]
    error_db = 10 * np.log10(np.mean((taken - expected) ** 2) / np.mean(expected**2))
    assert error_db < -20, error_db
    assert np.mean(taken**2) > 1e-5


def expected_stems(song: F32) -> dict[str, F32]:
    """What the same processor gives for the same input when it waits for the model, latency taken off."""
    processor = StemProcessor(load_separator("spatial"))
    with processor.prepare(sample_rate=RATE, channels=2, max_block_frames=BLOCK) as prepared:
        blocks = [prepared.process(song[:, n : n + BLOCK]).copy() for n in range(0, song.shape[1] - BLOCK, BLOCK)]
        stems = np.concatenate([*blocks, prepared.flush()], axis=2)[..., prepared.latency_frames :]
        return dict(zip(prepared.stems, stems, strict=True))


def test_a_recording_is_aligned_with_what_was_heard(jack: Server, song: Path, tmp_path: Path) -> None:
    heard = listen(jack, tmp_path, song, "--record", str(tmp_path / "takes"), "--stem-outputs", "mix=3,4", seconds=6.0)
    take = tmp_path / "takes" / "take-001"
    with AudioReader(take / "mixture.wav") as reader:
        recorded = np.concatenate(list(reader.blocks(1 << 16)), axis=1)
    assert sorted(path.name for path in take.iterdir()) == [
        *("bass.wav", "drums.wav", "mixture.wav", "other.wav", "vocals.wav")
    ]
    # The recording began before the other side did: find where, and from there both are the same.
    probe = heard.recorded[0, 2 * RATE : 2 * RATE + 4096].astype(np.float64)
    place = int(np.argmax(np.correlate(recorded[0].astype(np.float64), probe, "valid")))
    same = np.abs(recorded[:, place : place + RATE // 2] - heard.recorded[:2, 2 * RATE : 2 * RATE + RATE // 2])
    assert np.percentile(same, 90) < 1e-6
    assert heard.report["recording"]["error"] is None


def test_a_microphone_that_gives_nothing_but_zeros_ends_it(jack: Server) -> None:
    done = jack.call(*COMMAND)
    assert done.returncode == 3, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: the input has given nothing but digital silence for 3 s: check that this program")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("mic:missing",), "input device 'missing' was not found: there are "),
        (("mic:loopback", "-o", "system", "--stem-outputs", "drums=3,4"), "has 2 channel(s), and channel 4 was asked"),
        (("mic:loopback", "-o", "loopback", "-r", "44100"), "refused 44100 Hz: rates taken are 48000"),
    ],
)
def test_what_a_device_does_not_do_is_told_in_one_line(jack: Server, options: tuple[str, ...], words: str) -> None:
    done = jack.call("-m", "streamer.cli", "live", *options)
    assert done.returncode == 3, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]


def test_a_loop_back_into_the_input_needs_leave(pulse: Server) -> None:
    done = pulse.call("-m", "streamer.cli", "live", "loopback:va_loop", "-o", "va_loop", "--duration", "1")
    assert done.returncode == 3, done.stderr
    assert "--allow-feedback" in done.stderr
    allowed = pulse.call(
        *("-m", "streamer.cli", "live", "loopback:va_loop", "-o", "va_loop", "--duration", "1", "--allow-feedback")
    )
    assert allowed.returncode == 0, allowed.stderr


def test_what_is_played_to_one_sink_comes_out_of_another(pulse: Server) -> None:
    # PortAudio may never go on after a fault of the driver as it begins; a second later the session begins anew.
    done = pulse.call("-m", "streamer.cli", "live", "loopback:va_out", "-o", "va_loop", "--duration", "5", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] >= 2.5 * RATE


def test_an_ended_process_leaves_no_client_behind(jack: Server) -> None:
    live = jack.begin(*COMMAND, "--allow-silence")
    try:
        assert live.stderr is not None
        while not live.stderr.readline().startswith("latency"):
            assert live.poll() is None
        live.send_signal(signal.SIGTERM)
        live.communicate(timeout=20)
    finally:
        live.kill()
    assert live.returncode == 130
    listed = subprocess.run(["pgrep", "-f", "streamer.cli live"], capture_output=True, text=True, check=False)
    assert str(live.pid) not in listed.stdout
