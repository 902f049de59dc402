"""The report in a browser: it can be heard."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.streamer.report.browser import Browser
from tests.streamer.report.conftest import Show

pytestmark = pytest.mark.browser


def position(page: Browser) -> float:
    return float(page.run("return document.getElementById('seek').valueAsNumber"))


def play(page: Browser) -> None:
    page.find("#play").click()
    page.until(lambda: position(page) > 0.05)


def gains(page: Browser) -> list[float]:
    """Of each signal, the mixture first; what comes before them is the sum's own."""
    return list(page.run("return window.gains.map((gain) => gain.value)"))[1:]


def wait_for_gains(page: Browser, *wanted: float) -> None:
    page.until(lambda: gains(page) == pytest.approx(wanted, abs=0.01))


def test_play_plays_and_pause_stays(show: Show) -> None:
    page = show(seconds=20.0)
    play(page)
    assert page.find("#play").get_attribute("aria-label") == "Pause"
    page.until(lambda: page.find("#clock").text != "0:00.0 / 0:20.0")
    page.until(lambda: page.run("return document.querySelectorAll('.meter i')[1].style.transform") != "scaleY(0.000)")
    page.find("#play").click()
    stopped = position(page)
    assert page.find("#play").get_attribute("aria-label") == "Play"
    page.find("#play").click()
    page.until(lambda: position(page) > stopped + 0.05)
    assert page.messages() == []


def test_it_ends_at_the_end_and_begins_again(show: Show) -> None:
    page = show(seconds=0.3)
    page.find("#play").click()
    page.until(lambda: position(page) == pytest.approx(0.3) and page.find("#play").accessible_name == "Play")
    page.find("#play").click()
    page.until(lambda: 0.0 < position(page) < 0.29)


@pytest.mark.parametrize(
    ("clicks", "wanted"),
    [
        ((), (0, 1, 1, 1)),
        (("Mute one",), (0, 0, 1, 1)),
        (("Mute one", "Mute one"), (0, 1, 1, 1)),
        (("Solo two",), (0, 0, 1, 0)),
        (("Solo two", "Solo three", "Mute three"), (0, 0, 1, 1)),
    ],
)
def test_mute_and_solo_are_heard(show: Show, clicks: Sequence[str], wanted: Sequence[float]) -> None:
    page = show("one", "two", "three", seconds=20.0)
    play(page)
    for label in clicks:
        page.find(f"[aria-label='{label}']").click()
    wait_for_gains(page, *wanted)
    heard = page.run("return [...document.querySelectorAll('.row')].map((row) => row.dataset.audible)")
    assert heard[1:] == ["true" if gain else "false" for gain in wanted[1:]]


def test_the_mixture_takes_the_place_of_the_stems_and_back(show: Show) -> None:
    page = show("one", "two", seconds=20.0)
    play(page)
    page.find(".switch label:last-child").click()
    wait_for_gains(page, 1, 0, 0)
    page.find("[aria-label='Solo one']").click()
    wait_for_gains(page, 0, 1, 0)


def test_volume_has_a_name_and_is_heard(show: Show) -> None:
    from selenium.webdriver.common.keys import Keys

    page = show("one", "two", seconds=20.0)
    slider = page.find("[aria-label='Volume of two']")
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT * 25)
    assert slider.get_attribute("aria-valuetext") == "25 %"
    play(page)
    wait_for_gains(page, 0, 1, 0.25)


@pytest.mark.parametrize("row", [1, 3])
def test_a_click_into_a_spectrogram_goes_there(show: Show, row: int) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    page = show("one", "two", seconds=20.0)
    picture = page.find(f".row:nth-child({row}) .picture")
    ActionChains(page.driver).move_to_element(picture).click().perform()
    assert position(page) == pytest.approx(10.0, abs=0.1)
    cursors = page.run("return [...document.querySelectorAll('.cursor')].map((each) => parseFloat(each.style.left))")
    assert cursors == pytest.approx([50.0] * 3, abs=0.5)


def test_keys_play_and_move(show: Show) -> None:
    from selenium.webdriver.common.keys import Keys

    page = show("one", seconds=20.0)
    body = page.find("body")
    body.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert position(page) == pytest.approx(5.0, abs=0.01)
    body.send_keys(Keys.SPACE)
    page.until(lambda: position(page) > 5.05)
    body.send_keys(Keys.SPACE)
    assert page.find("#play").get_attribute("aria-label") == "Play"


def test_all_signals_last_as_long_as_what_was_played(show: Show) -> None:
    page = show("one", seconds=2.0)
    lengths = page.driver.execute_async_script(
        """
        const done = arguments[0];
        const { signals, listening } = JSON.parse(document.getElementById("contents").textContent);
        const context = new OfflineAudioContext(2, 1, listening.sample_rate);
        const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
        Promise.all(signals.map((signal) => context.decodeAudioData(bytes(signal.mp3))))
          .then((buffers) => done(buffers.map((buffer) => buffer.length)));
        """
    )
    assert lengths == [32_000, 32_000]


def test_only_what_is_there_can_be_heard(show: Show) -> None:
    page = show("one", seconds=10.0, listening_s=4.0)
    assert "The first 0:04 of 0:10" in page.text("#listen-note")
    page.run(
        "document.getElementById('seek').value = 9; document.getElementById('seek').dispatchEvent(new Event('input'))"
    )
    assert position(page) == 4.0
    assert len(page.driver.find_elements("css selector", ".beyond")) == 2


def test_nothing_can_be_played_where_there_is_nothing(show: Show) -> None:
    page = show(seconds=0.0)
    assert not page.find("#play").is_enabled()
    assert not page.find("#seek").is_enabled()
    assert "nothing to hear" in page.text("#listen-note")


def test_all_signals_start_at_one_moment_and_where_their_sound_begins(show: Show) -> None:
    page = show("one", "two", seconds=20.0)
    play(page)
    starts = page.run("return window.starts")
    assert len(starts) == 3
    assert {tuple(each) for each in starts} == {(starts[0][0], 0)}
