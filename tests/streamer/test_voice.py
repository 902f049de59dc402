"""A voice: what it says of the stems ahead is true the moment it is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.files.reader import AudioReader
from streamer import voice as module
from streamer.feed import Result
from streamer.play_head import Cue
from streamer.stem_store import StemStore
from streamer.testing import IdentitySeparator
from streamer.track import Track
from streamer.voice import Voice
from tests.streamer.coded_songs import F32, RATE, write_coded

FRAMES, BLOCK = 8000, 128


@pytest.fixture
def store() -> Iterator[StemStore]:
    store = StemStore(3, 2)
    yield store
    store.close()


@pytest.fixture
def voice(tmp_path: Path, store: StemStore) -> Iterator[Voice]:
    track = Track(0, AudioReader(write_coded(tmp_path / "song.wav", FRAMES)), FRAMES, store)
    spec = IdentitySeparator(sample_rate=RATE).spec
    made = Voice(track, Cue(0, 0), spec, channels=2, block_frames=BLOCK, mixture_consistent=True)
    yield made
    made.close()


def stems(frames: int) -> F32:
    return np.full((3, 2, frames), 0.1, np.float32)


def load(voice: Voice, *, waits: bool = False) -> None:
    while voice.load(waits=waits):
        pass


def render(voice: Voice, frames: int) -> int:
    """Render, and give how many frames were not separated."""
    missing = 0
    for _ in range(0, frames, BLOCK):
        voice.render(np.zeros((3, 2, BLOCK), np.float32), withholds=False)
        missing += voice.rungs.mixture
    return missing


def test_stems_are_not_said_to_be_there_before_they_can_be_rendered(
    voice: Voice, store: StemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[int] = []

    def made(*values: object) -> Result:
        said.append(voice.known_ahead)
        return Result(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "Result", made)
    store.write_final(0, stems(1000))
    voice.load()
    assert said == [0]
    assert voice.known_ahead == 1000


def test_whoever_waits_is_not_led_past_what_is_still_to_come(voice: Voice, store: StemStore) -> None:
    store.write_final(0, stems(1000))
    store.write_provisional(1300, stems(1000))
    load(voice)
    assert render(voice, 768) == 0
    load(voice, waits=True)
    assert voice.known_ahead == 1000 - 768
    store.write_final(1000, stems(1000))
    load(voice, waits=True)
    assert render(voice, 1024) == 0


def test_whoever_does_not_wait_goes_on_where_stems_are_in_time(voice: Voice, store: StemStore) -> None:
    store.write_final(0, stems(1000))
    store.write_provisional(1300, stems(5000))
    missing = 0
    while voice.place < 2048:
        load(voice)
        missing += render(voice, BLOCK)
    # The gap, and a fade on either side.
    assert 300 < missing <= 300 + 2 * 64


def test_what_was_made_since_is_no_gap(voice: Voice, store: StemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_final(0, stems(1000))
    load(voice)
    render(voice, 896)
    known_to = store.known_to

    def written_meanwhile(frame: int) -> int:
        end = known_to(frame)
        store.write_final(1000, stems(2000))
        return end

    monkeypatch.setattr(store, "known_to", written_meanwhile)
    load(voice)
    monkeypatch.undo()
    load(voice)
    assert render(voice, 1024) == 0


def test_silence_lies_behind_the_end_and_no_song(voice: Voice, store: StemStore) -> None:
    store.write_final(0, stems(FRAMES))
    missing = 0
    while voice.place < FRAMES:
        load(voice)
        n = min(BLOCK, FRAMES - voice.place)
        voice.render(np.zeros((3, 2, n), np.float32), withholds=True)
        missing += voice.rungs.mixture
    assert missing == 0
