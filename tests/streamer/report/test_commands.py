"""What the commands write, opened in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.cli import main
from tests.streamer.report.browser import Browser

pytestmark = pytest.mark.browser


def test_the_demonstration_can_be_seen_and_heard(tmp_path: Path, browser: Browser) -> None:
    assert main(["demo", "--seconds", "2", "--pace", "fast", "-o", str(tmp_path)]) == 0
    browser.open(tmp_path / "report.html", width=390, height=844)
    assert browser.text("#title") == "Demo song, seed 0"
    assert len(browser.driver.find_elements("css selector", ".dumbbell")) == 4
    browser.find("#play").click()
    browser.until(lambda: browser.run("return document.getElementById('seek').valueAsNumber") > 0.1)
    assert browser.messages() == []


def test_a_song_of_ones_own_can_be_seen_and_heard(tmp_path: Path, browser: Browser) -> None:
    assert main(["demo", "--seconds", "1", "--pace", "fast", "-o", str(tmp_path / "demo")]) == 0
    song, page = tmp_path / "demo" / "mixture.wav", tmp_path / "page.html"
    assert main(["play", str(song), "-o", "none", "--pace", "realtime", "--report", str(page)]) == 0
    browser.open(page)
    assert browser.text("#title") == "mixture.wav"
    assert "SDR" not in browser.text()
    browser.find("#play").click()
    browser.until(lambda: browser.run("return document.getElementById('seek').valueAsNumber") > 0.1)
    assert browser.messages() == []
