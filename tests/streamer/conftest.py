"""A sound device in virtual time and songs that tell their frames, for everything that runs on them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from streamer.audio import portaudio
from tests.streamer.coded_songs import write_coded
from tests.streamer.scripted_device import RATE, ScriptedDevice, sounddevice_of
from tests.streamer.scripted_rtmixer import rtmixer_of
from tests.streamer.seek_storms import FRAMES


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedDevice:
    """Hears noise, and stands in for what plays and records on this machine; no calibration is known for it."""
    monkeypatch.setenv("STEMSTREAM_DATA", str(tmp_path / "data"))
    sound = (0.2 * np.random.default_rng(0).standard_normal((2, 8 * RATE))).astype(np.float32)
    device = ScriptedDevice(sound=sound)
    monkeypatch.setitem(sys.modules, "sounddevice", sounddevice_of(device))
    monkeypatch.setitem(sys.modules, "rtmixer", rtmixer_of(device))
    return device


@pytest.fixture
def songs(tmp_path: Path) -> list[Path]:
    """Songs that tell their frames, one behind the other."""
    return [write_coded(tmp_path / f"song-{n}.wav", frames, song=n) for n, frames in enumerate(FRAMES)]


@pytest.fixture(params=["rtmixer", "callback"])
def engine(request: pytest.FixtureRequest) -> str:
    """Give the one and the other way to move sound."""
    given: str = request.param
    return given


@pytest.fixture(autouse=True)
def _streams_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count PortAudio's streams from none: those that other tests left open on scripted devices are gone."""
    monkeypatch.setattr(portaudio, "_use", portaudio._Use())
