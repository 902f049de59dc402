"""The report in a browser: everything is drawn, fits, and can be read, at every width and in both colours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from streamer.report import report_page
from tests.streamer.report.browser import Browser
from tests.streamer.report.conftest import Show
from tests.streamer.report.reports import contents

pytestmark = pytest.mark.browser

VIEWS = [
    pytest.param({"width": width, "height": height, "scheme": scheme}, id=f"{width}-{scheme}")
    for width, height in ((390, 844), (1440, 900))
    for scheme in ("light", "dark")
]
ODD = ("drums & bass", "<b>bold</b>", "a name that goes on and on and on", "guitar", "ファイル", "piano")
KINDS: dict[str, dict[str, Any]] = {
    "with truth": {"with_truth": True},
    "without truth": {},
    "with misses": {"missed": [*range(40, 60), 200]},
    "over the deadline": {"slow": 0.9, "missed": [10]},
    "one stem": {"names": ("vocals",)},
    "six odd stems": {"names": ODD, "title": "x" * 150 + ".flac", "with_truth": True},
    "waiting": {"is_realtime": False},
    "cut": {"listening_s": 1.0},
    "mono at 8 kHz": {"rate": 8_000, "channels": 1},
    "one frame": {"seconds": 1 / 16_000},
    "nothing": {"seconds": 0.0},
}

COLOURS_OF_CANVASES = """
return [...document.querySelectorAll("canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const box = canvas.getBoundingClientRect();
  return [canvas.getAttribute("aria-label"), box.width, box.height, new Set(new Uint32Array(data.buffer)).size];
});
"""
STICKING_OUT = """
return [...document.querySelectorAll("button, input, label, summary, canvas, h1, h2, p, dd, li")]
  .filter((each) => each.checkVisibility() && each.type !== "radio")
  .filter((each) => {
    const box = each.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth || !box.width || !box.height;
  })
  .map((each) => each.outerHTML.slice(0, 200));
"""
OVERLAPPING = """
const controls = [...document.querySelectorAll(".transport > *, .row button, .row input, .strip-name, #theme")];
const boxes = controls.map((each) => each.getBoundingClientRect());
const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
return controls.flatMap((each, i) =>
  controls.slice(i + 1)
    .filter((_, j) => overlap(boxes[i], boxes[i + 1 + j]))
    .map((other) => [each.outerHTML, other.outerHTML]));
"""
HARD_TO_READ = """
const parse = (colour) => (colour.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const luminance = (colour) => {
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const [red, green, blue] = parse(colour).map((part) => linear(part / 255));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const isClear = (colour) => parse(colour)[3] === 0;
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if (!isClear(colour)) return colour;
  }
  return "rgb(255, 255, 255)";
};
return [...document.querySelectorAll("body *")]
  .filter((node) => node.checkVisibility() && !node.matches("script, :disabled"))
  .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
  .filter((node) => parseFloat(getComputedStyle(node).fontSize) > 0)
  .map((node) => {
    const [a, b] = [getComputedStyle(node).color, ground(node)].map(luminance).sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), node.outerHTML.slice(0, 160)];
  })
  .filter(([contrast]) => contrast < 4.5);
"""
NAMELESS = """
return [...document.querySelectorAll("button, input, canvas, [role=img]")]
  .filter((each) => !each.getAttribute("aria-label") && !each.closest("label"))
  .map((each) => each.outerHTML);
"""


@cache
def page_of(kind: str) -> str:
    return report_page(contents(**KINDS[kind]))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_without_a_word_and_fits(browser: Browser, tmp_path: Path, kind: str, view: dict[str, Any]) -> None:
    page, file = browser, tmp_path / "report.html"
    file.write_text(page_of(kind), encoding="utf-8")
    page.open(file, **view)
    assert page.messages() == []
    assert page.run("return document.documentElement.dataset.theme") == view["scheme"]
    assert page.run("return document.scrollingElement.scrollWidth <= innerWidth")
    assert page.run(STICKING_OUT) == []
    assert page.run(OVERLAPPING) == []
    assert page.run(NAMELESS) == []
    assert page.run(HARD_TO_READ) == []
    canvases = page.run(COLOURS_OF_CANVASES)
    names = KINDS[kind].get("names", ("vocals", "drums", "bass", "other"))
    assert len(canvases) == len(names) + 2
    for label, width, height, colours in canvases:
        assert label
        assert width > 200
        assert height > 80
        assert colours > (8 if kind not in ("nothing", "one frame") else 0), label


def test_it_asks_the_network_for_nothing(show: Show) -> None:
    page = show()
    assert {address.split(":")[0] for address in page.requests()} <= {"file", "data"}
    assert page.run("return performance.getEntriesByType('resource').length") == 0


def test_even_a_script_of_its_own_cannot_ask_the_network(show: Show) -> None:
    page = show()
    outcome = page.driver.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('sent'), (error) => done(error.name));"
    )
    assert outcome == "TypeError"
    assert any("Content Security Policy" in message for message in page.messages())


@pytest.mark.parametrize(
    ("with_truth", "missed"), [(True, []), (False, []), (False, [3, 5, 77]), (True, list(range(100)))]
)
def test_it_says_what_happened(show: Show, with_truth: bool, missed: list[int]) -> None:
    page = show(with_truth=with_truth, missed=missed)
    assert f"{len(missed)} of 300" in page.text("#figures").replace("\n", " ")
    assert page.find("#blocks").get_attribute("data-marks") == str(len(missed))
    assert "2,366 frames" in page.text("#latency-note")
    for name in ("delivery", "lookahead", "dispatch", "compute", "guard", "bridge"):
        assert name in page.text("#latency-parts")
    assert ("SDR" in page.text()) == with_truth
    assert page.find("#scores").is_displayed() == with_truth
    if with_truth:
        assert len(page.driver.find_elements("css selector", ".dumbbell")) == 4


def test_marks_of_misses_are_red_and_there_only_where_there_are_misses(show: Show) -> None:
    red = """
    const canvas = document.getElementById("blocks");
    const { data } = canvas.getContext("2d").getImageData(0, 1, canvas.width, 1);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) count += data[at] > 150 && data[at + 1] < 90 && data[at + 2] < 90;
    return count;
    """
    assert show().run(red) == 0
    one = show(missed=[150]).run(red)
    assert one > 4
    assert show(missed=[20, 150, 290]).run(red) == pytest.approx(3 * one, abs=4)


def test_what_was_missed_is_red_on_the_time_scale_where_it_is_heard(show: Show) -> None:
    places = "return [...document.querySelectorAll('#ruler i')].map((each) => parseFloat(each.style.left) * 0.03)"
    assert show().run(places) == []
    page = show(missed=[100, 101, 102, 200])
    # Blocks of 10 ms, heard 147.9 ms after they came in.
    assert page.run(places) == pytest.approx([1.0 - 0.1479, 2.0 - 0.1479], abs=0.002)
    assert page.find("#lost-hint").is_displayed()


def test_names_stand_as_they_are_and_run_nothing(show: Show) -> None:
    names = ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "a\"b'c", "__proto__", "constructor")
    page = show(*names, title="<svg onload=alert(3)>.flac", with_truth=True)
    assert page.messages() == []
    assert page.run("return [...document.querySelectorAll('.row b')].map((each) => each.textContent)") == [
        "Mixture",
        *names,
    ]
    assert page.text("#title") == "<svg onload=alert(3)>.flac"
    assert page.run("return document.querySelectorAll('img, #title *').length") == 0


def test_the_colours_can_be_changed(show: Show) -> None:
    page = show(view={"scheme": "light"})
    before = page.run(
        "return [getComputedStyle(document.body).backgroundColor, document.querySelector('canvas').toDataURL()]"
    )
    page.find("#theme").click()
    after = page.run(
        "return [getComputedStyle(document.body).backgroundColor, document.querySelector('canvas').toDataURL()]"
    )
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_block_is_told_under_the_pointer_and_by_keys(show: Show) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    page = show(missed=[0, 1])
    ActionChains(page.driver).move_to_element(page.find("#blocks")).perform()
    page.until(lambda: "block 1" in page.text("#blocks-readout"))
    page.find("#blocks").send_keys(Keys.ARROW_LEFT * 200)
    assert page.text("#blocks-readout").startswith("0:00.00 · block 0 · ")
    assert page.text("#blocks-readout").endswith("missed")


def test_more_blocks_than_pixels_keep_the_longest_and_the_misses(show: Show) -> None:
    page = show(seconds=60.0, missed=list(range(3000, 3050)), view={"width": 390, "height": 844})
    assert page.messages() == []
    marks = int(page.find("#blocks").get_attribute("data-marks"))
    assert 0 < marks <= 50
    assert "the longest of each 2 blocks" in page.text("#blocks-note")
