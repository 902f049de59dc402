"""The plain way as a program: the stems of a file, and what they took."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import baseline
import numpy as np
import pytest
import soundfile

from tests.engine.mdx23c_models import STRIDE, Golden

RANDOM_WEIGHTS_AMPLIFY = 5e-4
"""What another processor's order of additions comes to in float32; the golden stems' peaks are about 0.1."""


def test_as_a_program_it_writes_the_stems_and_says_what_they_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    golden = Golden("two_stems")
    overlap, track, expected = golden.tracks[0]
    soundfile.write(tmp_path / "song.wav", track.T, 44_100, subtype="FLOAT")
    places = golden.checkpoint, golden.config, tmp_path / "song.wav", tmp_path / "stems"
    monkeypatch.setattr(sys, "argv", ["baseline.py", *map(str, places), "--overlap", str(overlap)])
    baseline.main()
    figures = json.loads(capsys.readouterr().out)
    assert (figures["frames"], figures["peak_mb"] > 50, figures["seconds"] > 0) == (track.shape[1], True, True)
    for stem, reference in zip(("vocals", "other"), expected, strict=True):
        written, rate = soundfile.read(tmp_path / "stems" / f"{stem}.wav", dtype="float32")
        assert rate == 44_100
        np.testing.assert_allclose(written.T[:, ::STRIDE], reference, rtol=0, atol=RANDOM_WEIGHTS_AMPLIFY)
