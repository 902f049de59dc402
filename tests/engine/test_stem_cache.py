"""Stems that are kept: whole or absent, found again, thrown away when there are too many, and never trusted blindly."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.cached_stems import CachedStems
from engine.errors import OutputError
from engine.files.part_file import PartFile
from engine.stem_cache import CacheKey, StemCache

F32 = npt.NDArray[np.float32]
KEY = CacheKey("5095", "identity 1234", "windows 4096/1024/128 reflect")
STEMS = ("vocals", "drums")
FRAMES = 5000


def stems(seed: int = 0, gain: float = 0.5) -> F32:
    return (gain * np.random.default_rng(seed).uniform(-1, 1, (2, 2, FRAMES))).astype(np.float32)


def keep(cache: StemCache, key: CacheKey = KEY, *, sound: F32 | None = None) -> F32:
    sound = stems() if sound is None else sound
    writer = cache.writer(key, title="song.wav", stems=STEMS, sample_rate=8000, channels=2, frames=FRAMES)
    for begin in range(0, FRAMES, 1024):
        writer.write(sound[..., begin : begin + 1024])
    writer.commit()
    return sound


@pytest.fixture
def cache(tmp_path: Path) -> StemCache:
    return StemCache(tmp_path / "stems")


def found(cache: StemCache, key: CacheKey = KEY) -> CachedStems:
    kept, problem = cache.find(key)
    assert problem is None
    assert kept is not None
    return kept


@pytest.mark.parametrize("gain", [0.5, 3.9])
def test_what_was_kept_comes_back_also_above_full_scale(cache: StemCache, gain: float) -> None:
    sound = keep(cache, sound=stems(gain=gain))
    kept = found(cache)
    assert (kept.frontier, kept.known_to(7), kept.final_to(7), kept.provisional_to(7)) == (FRAMES, FRAMES, FRAMES, 7)
    np.testing.assert_allclose(kept.read(0, FRAMES), sound, atol=1e-6)
    np.testing.assert_allclose(kept.read(4000, 4100), sound[..., 4000:4100], atol=1e-6)


@pytest.mark.parametrize("part", ["song", "model", "settings"])
def test_another_song_model_or_setting_is_not_found(cache: StemCache, part: str) -> None:
    keep(cache)
    other = CacheKey(**{**vars(KEY), part: "other"})
    assert cache.find(other) == (None, None)


def test_nothing_is_there_before_it_is_complete(cache: StemCache) -> None:
    writer = cache.writer(KEY, title="song", stems=STEMS, sample_rate=8000, channels=2, frames=FRAMES)
    writer.write(stems())
    assert cache.find(KEY) == (None, None)
    assert cache.entries() == ()
    writer.abort()
    assert list(cache.folder.iterdir()) == []


def test_a_stem_that_is_too_loud_to_be_kept_is_refused(cache: StemCache) -> None:
    writer = cache.writer(KEY, title="song", stems=STEMS, sample_rate=8000, channels=2, frames=FRAMES)
    with pytest.raises(OutputError, match="more than 12 dB above full scale"):
        writer.write(stems(gain=5.0))


@pytest.mark.parametrize("damage", ["bytes", "cut", "facts", "no facts", "missing"])
def test_a_damaged_entry_is_removed_and_said(cache: StemCache, damage: str) -> None:
    keep(cache)
    place = cache.folder / KEY.name
    file = place / "stem-1.flac"
    if damage == "bytes":
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0xFF
        file.write_bytes(data)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:500])
    elif damage == "facts":
        (place / "entry.json").write_text("{")
    elif damage == "no facts":
        (place / "entry.json").unlink()
    else:
        file.unlink()
    kept, problem = cache.find(KEY)
    assert kept is None
    assert not place.exists()
    # Half an entry can be another process's, which is clearing up.
    assert (problem or "they are separated again").endswith("they are separated again")
    assert (problem is None) == damage.startswith(("no", "missing"))
    keep(cache)
    assert cache.find(KEY)[0] is not None


def test_two_that_keep_the_same_do_not_disturb_each_other(cache: StemCache) -> None:
    other = StemCache(cache.folder)
    first = cache.writer(KEY, title="song", stems=STEMS, sample_rate=8000, channels=2, frames=FRAMES)
    second = other.writer(KEY, title="song", stems=STEMS, sample_rate=8000, channels=2, frames=FRAMES)
    sound = stems()
    for writer in (first, second):
        writer.write(sound)
    first.commit()
    kept = found(other)
    second.commit()
    np.testing.assert_allclose(kept.read(0, FRAMES), sound, atol=1e-6)
    assert len(cache.entries()) == 1
    assert [path.name for path in cache.folder.iterdir()] == [KEY.name]


def test_what_was_not_used_for_the_longest_time_goes_first(cache: StemCache) -> None:
    keys = [CacheKey(str(n), "model", "settings") for n in range(3)]
    for age, key in enumerate(keys):
        keep(cache, key, sound=stems(age))
        os.utime(cache.folder / key.name / "entry.json", (1000.0 + age, 1000.0 + age))
    assert found(cache, keys[0]).frontier == FRAMES
    size = cache.entries()[0].size_bytes
    StemCache(cache.folder, limit_bytes=2 * size + size // 2).prune()
    assert {entry.name for entry in cache.entries()} == {keys[0].name, keys[2].name}
    StemCache(cache.folder, limit_bytes=0).prune()
    assert cache.entries() == ()


def test_stems_that_are_heard_can_be_heard_on_when_they_are_thrown_away(cache: StemCache) -> None:
    sound = keep(cache)
    kept = found(cache)
    assert cache.clear()[0] == 1
    np.testing.assert_allclose(kept.read(100, 200), sound[..., 100:200], atol=1e-6)


def test_clearing_removes_everything_also_what_a_killed_process_left(cache: StemCache) -> None:
    keep(cache)
    (cache.folder / ".abc.0000.part").mkdir()
    (cache.folder / ".abc.0000.part" / "stem-0.flac").write_bytes(b"half")
    count, size = cache.clear()
    assert count == 1
    assert size > 1000
    assert list(cache.folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "stems").write_text("a file in its place")
    with pytest.raises(OutputError, match=r"cache folder '.*stems' cannot be written to .*STEMSTREAM_CACHE"):
        keep(StemCache(tmp_path / "stems"))


def test_a_full_disk_leaves_nothing_behind(cache: StemCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(part: PartFile) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PartFile, "sync", full)
    writer = cache.writer(KEY, title="song", stems=STEMS, sample_rate=8000, channels=2, frames=FRAMES)
    writer.write(stems())
    with pytest.raises(OutputError, match="no space left"):
        writer.commit()
    writer.abort()
    assert list(cache.folder.iterdir()) == []


def test_the_facts_of_an_entry_are_those_of_the_song(cache: StemCache) -> None:
    keep(cache)
    (entry,) = cache.entries()
    assert (entry.title, entry.stems, entry.frames, entry.sample_rate) == ("song.wav", STEMS, FRAMES, 8000)
    facts = json.loads((cache.folder / KEY.name / "entry.json").read_text())
    assert facts["version"] == 1
    assert entry.size_bytes >= sum(path.stat().st_size for path in (cache.folder / KEY.name).glob("*.flac"))
