"""The page of a latency measurement: it fits, can be read, and shows each probe and xrun at its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamer.report.latency_page import Histogram, histogram, latency_contents, latency_page
from streamer.round_trip import Xrun
from tests.streamer.report.browser import Browser
from tests.streamer.report.test_look import COLOURS_OF_CANVASES, HARD_TO_READ, NAMELESS, STICKING_OUT, VIEWS
from tests.streamer.report.test_page import EVIL, Elements
from tests.streamer.round_trips import PROCESSOR, RING, measurement

PROMISED = 256 + RING + PROCESSOR.total_frames
XRUNS = (Xrun(48_000, "underrun", 256), Xrun(96_000, "driver", 0), Xrun(96_256, "overflow", 512))
KINDS: dict[str, dict[str, Any]] = {
    "as promised": {"totals": [PROMISED] * 20},
    "spread": {"totals": [PROMISED + 37 * n for n in range(20)], "xruns": XRUNS},
    "with losses": {"totals": [PROMISED, None, PROMISED + 900, None] * 6, "xruns": XRUNS},
    "nothing": {"totals": [None] * 20},
    "a long name": {"totals": [PROMISED - 60] * 20, "name": "x" * 80 + " <b>&"},
    "two clocks": {"totals": [PROMISED + 500] * 20, "clock_bridge_frames": 500},
}


def contents(totals: list[int | None], **options: Any) -> dict[str, Any]:
    return latency_contents(
        measurement(totals, **options),
        model="made up",
        machine={"processor": "of some kind", "cpus": 2},
        versions={"python": "3", "torch": None},
    )


def shown(browser: Browser, folder: Path, view: dict[str, Any] | None = None, **kind: Any) -> Browser:
    file = folder / "latency.html"
    file.write_text(latency_page(contents(**kind)), encoding="utf-8")
    browser.open(file, **(view or {}))
    return browser


def test_delays_that_are_one_number_are_one_bar_with_room_around_it() -> None:
    made = histogram([1000] * 20, 1000)
    assert (made.bin_frames, sum(made.counts), max(made.counts)) == (1, 20, 20)
    assert made.counts.index(20) == 1000 - made.begin_frames
    assert len(made.counts) >= 15


def test_a_histogram_holds_every_delay_and_the_promise_in_few_bins() -> None:
    delays = [1000, 1001, 5000, 90_000]
    made = histogram(delays, 200)
    assert sum(made.counts) == 4
    assert len(made.counts) <= 60
    assert made.begin_frames <= 200
    assert made.counts[(90_000 - made.begin_frames) // made.bin_frames] == 1
    assert made.begin_frames + made.bin_frames * len(made.counts) > 90_000


def test_no_bin_begins_before_zero() -> None:
    assert histogram([2], 0) == Histogram(0, 1, (0, 0, 1, *(0 for _ in range(len(histogram([2], 0).counts) - 3))))


def test_names_are_nothing_but_text_and_nothing_leads_out_of_the_page() -> None:
    page = latency_page(contents([PROMISED] * 20, name=EVIL))
    plain = latency_page(contents([PROMISED] * 20))
    assert [tag for tag, _ in Elements(page).found] == [tag for tag, _ in Elements(plain).found]
    embedded = next(text for text in Elements(page).scripts if text.startswith("{"))
    assert json.loads(embedded)["title"] == f"Latency of {EVIL}"
    policy = next(str(a["content"]) for _, a in Elements(page).found if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for tag, attributes in Elements(page).found:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag


@pytest.mark.browser
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_without_a_word_fits_and_can_be_read(
    browser: Browser, tmp_path: Path, kind: str, view: dict[str, Any]
) -> None:
    page = shown(browser, tmp_path, view, **KINDS[kind])
    assert page.messages() == []
    assert page.run("return document.documentElement.dataset.theme") == view["scheme"]
    assert page.run("return document.scrollingElement.scrollWidth <= innerWidth")
    assert page.run(STICKING_OUT) == []
    assert page.run(NAMELESS) == []
    assert page.run(HARD_TO_READ) == []
    for label, width, height, colours in page.run(COLOURS_OF_CANVASES):
        assert width > 200, label
        assert height > 100, label
        assert colours > 5, label
    assert all(url.startswith(("file:", "data:")) for url in page.requests())


@pytest.mark.browser
def test_the_table_tells_promised_and_measured(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, totals=[PROMISED + 100] * 20)
    rows = page.run(
        "return [...document.querySelectorAll('#rows tbody tr')]"
        ".map((row) => [...row.children].map((each) => each.textContent))"
    )
    assert rows[0] == ["device", "256", "5.33", "356", "7.42", "stated by driver"]
    assert rows[-1][:5] == ["total", f"{PROMISED:,}", f"{PROMISED / 48:.2f}", f"{PROMISED + 100:,}", "90.35"]
    assert page.text("#figures").splitlines()[4:6] == ["+100 frames", "+2.08 ms"]


@pytest.mark.browser
def test_each_xrun_is_marked_on_the_timeline_and_told_in_words(browser: Browser, tmp_path: Path) -> None:
    red = """
    const canvas = document.getElementById("timeline");
    const { data } = canvas.getContext("2d").getImageData(0, 2, canvas.width, 1);
    let runs = 0, was = false;
    for (let x = 0; x < canvas.width; x++) {
      const at = 4 * x, is = data[at] > 150 && data[at + 1] < 90;
      runs += is && !was; was = is;
    }
    return runs;
    """
    assert shown(browser, tmp_path, {"scheme": "light"}, totals=[PROMISED] * 20).run(red) == 0
    page = shown(browser, tmp_path, {"scheme": "light"}, totals=[PROMISED] * 20, xruns=XRUNS[:2])
    assert page.run(red) == 2
    assert "2 xruns" in str(page.find("#timeline").get_attribute("aria-label"))
    page.find("details summary").click()
    assert "xrun: underrun, 256 frames lost" in page.text("#events")


@pytest.mark.browser
def test_a_probe_that_did_not_come_back_is_told(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, totals=[PROMISED, None] * 10)
    page.find("details summary").click()
    assert page.text("#events").count("a probe that did not come back") == 10
    assert "10 of 20" in page.text("#figures")
    label = str(page.find("#histogram").get_attribute("aria-label"))
    assert label.startswith("Histogram of 10 round trips: from 88.27 ms to 88.27 ms")


@pytest.mark.browser
def test_the_colours_can_be_changed(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path, {"scheme": "light"}, totals=[PROMISED] * 20)
    before = page.run("return document.getElementById('timeline').toDataURL()")
    page.find("#theme").click()
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    assert page.run("return document.getElementById('timeline').toDataURL()") != before
