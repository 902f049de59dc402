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


def test_the_figures_are_those_of_the_session(show: Show) -> None:
    page = show(missed=list(range(30)))
    figures = [each.text.splitlines() for each in page.driver.find_elements("css selector", ".figure")]
    assert figures == [
        ["Latency", "147.9 ms", "the same from the first block to the last"],
        ["Blocks missed", "30 of 300", "no final result was there in time"],
        ["Coverage", "90.00 %", "of the sound was really separated"],
        ["Model, p99", "4.00 ms", "34 % of the 11.6 ms between two windows"],
    ]
    assert "half within 2.00 ms, 99 % within 4.00 ms, the longest 7.00 ms" in page.text("#gauges")
    assert "mixture\n10.00 % · 4,800 frames" in page.text("#coverage-parts")


def test_scores_are_told_and_placed_in_db(browser: Browser, tmp_path: Path) -> None:
    made = contents(("vocals", "drums", "bass"))
    scores = [("vocals", 6.64, -3.0), ("drums", -2.0, -12.0), ("bass", None, None)]
    made["scores"] = [
        {"stem": stem, "sdr_db": sdr, "mixture_sdr_db": mixture, "sdr_gain_db": sdr and sdr - (mixture or 0)}
        | {"si_sdr_db": sdr, "si_sdr_gain_db": sdr and "-Infinity"}
        for stem, sdr, mixture in scores
    ]
    (tmp_path / "page.html").write_text(report_page(made), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    rows = browser.run(
        "return [...document.querySelectorAll('.score')].slice(1).map((row) => "
        "[...row.children].filter((each) => each.className !== 'dumbbell').map((each) => each.textContent))"
    )
    assert rows == [
        ["vocals", "6.6", "+9.6", "\N{MINUS SIGN}∞"],
        ["drums", "\N{MINUS SIGN}2.0", "+10.0", "\N{MINUS SIGN}∞"],
        ["bass", *3 * ["\N{EN DASH}"]],
    ]
    dots = browser.run(
        "return [...document.querySelectorAll('.from, .to')].map((dot) => parseFloat(dot.style.left) * 25 / 100 - 15)"
    )
    assert dots == pytest.approx([-3.0, 6.64, -12.0, -2.0])


def test_a_latency_without_time_for_the_model_says_so(browser: Browser, tmp_path: Path) -> None:
    made = contents(is_realtime=False)
    for part in made["latency"]["parts"]:
        if part["name"] == "compute":
            part["frames"] = part["ms"] = 0
    (tmp_path / "page.html").write_text(report_page(made), encoding="utf-8")
    browser.open(tmp_path / "page.html")
    assert "with no time for the model, as blocks waited for it" in browser.text(".figure")


def test_one_block_is_no_plural_and_nothing_was_not_separated(show: Show) -> None:
    page = show(seconds=1 / 16_000)
    assert page.text("#blocks-readout") == "None of 1 block missed"
    page = show(seconds=0.0)
    assert "Coverage\n\N{EN DASH}\n" in page.text("#figures")
    assert page.text("#coverage-note") == "nothing"


def test_a_share_is_rounded_down_and_not_by_what_floating_point_leaves(browser: Browser, tmp_path: Path) -> None:
    made = contents()
    for share, told in ((0.57, "57.00"), (0.99999, "99.99"), (1 - 1e-9, "99.99"), (1.0, "100.00")):
        made["coverage"] = share
        (tmp_path / "page.html").write_text(report_page(made), encoding="utf-8")
        browser.open(tmp_path / "page.html")
        assert browser.text("#coverage-note") == f"{told} % separated"


def test_each_spectrogram_shows_its_own_sound_at_its_pitch(show: Show) -> None:
    page = show("one", "two", "three")
    brightest = page.run(
        """
        return [...document.querySelectorAll(".picture canvas")].slice(1).map((canvas) => {
          const { data } = canvas.getContext("2d").getImageData(canvas.width / 2, 0, 1, canvas.height);
          const far = (y) => Math.abs(data[4 * y] - data[0]) + Math.abs(data[4 * y + 1] - data[1]);
          const rows = [...Array(canvas.height).keys()].sort((a, b) => far(b) - far(a));
          return 1 - (rows[0] + 0.5) / canvas.height;
        });
        """
    )
    marks = page.run(
        "return [...document.querySelector('.scale').children]"
        ".map((each) => [each.textContent, parseFloat(each.style.bottom) / 100])"
    )
    (low, at_100), (high, at_1000) = marks
    assert (low, high) == ("100", "1k")
    hertz = [100 * 10 ** ((height - at_100) / (at_1000 - at_100)) for height in brightest]
    assert hertz == pytest.approx([220, 440, 660], rel=0.06)


def test_the_first_stems_have_colours_of_their_own(show: Show) -> None:
    page = show("vocals", "drums", "bass", "other", "Guitar", "piano", view={"scheme": "light"})
    hues = page.run("return [...document.querySelectorAll('.row')].map((row) => row.style.getPropertyValue('--hue'))")
    assert hues == ["#4b4f52", "#bf430d", "#1766ab", "#08795a", "#96407f", "#836500", "#5b4bc4"]


def test_parts_of_a_bar_are_as_long_as_their_amounts(show: Show) -> None:
    page = show(missed=list(range(30)))
    widths = "return [...arguments[0].children].map((part) => part.getBoundingClientRect().width)"
    for bar, amounts in (("#latency-bar", (186, 557, 159, 1400, 64)), ("#coverage-bar", (270, 30))):
        drawn = page.run(widths, page.find(bar))
        assert [each / sum(drawn) for each in drawn] == pytest.approx(
            [each / sum(amounts) for each in amounts], abs=2e-3
        )
    assert page.text("#latency-bar").splitlines()[:2] == ["delivery", "11.6 ms"]


@pytest.mark.parametrize(("slow", "deadline_at", "longest_at"), [(0.5, 10 / 12.5, 7.5 / 12.5), (0.8, 10 / 15, 12 / 15)])
def test_bars_and_the_deadline_stand_at_their_times(
    show: Show, slow: float, deadline_at: float, longest_at: float
) -> None:
    page = show(slow=slow, view={"scheme": "light"})
    shares = """
    const canvas = document.getElementById("blocks");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const hex = getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim();
    const wanted = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return [...Array(canvas.height).keys()].map((y) => {
      let count = 0;
      for (let x = 0; x < canvas.width; x++) {
        const at = 4 * (y * canvas.width + x);
        count += wanted.every((value, index) => Math.abs(data[at + index] - value) < 12);
      }
      return count / canvas.width;
    });
    """
    text, within, over = (page.run(shares, f"--{name}") for name in ("text", "bar", "over"))
    height = len(text)

    def row(share: float) -> float:
        return height - 20 - share * (height - 40)

    lines = [y for y, share in enumerate(text) if share > 0.4]
    assert lines == pytest.approx([row(deadline_at)], abs=1)
    shown = [y for y in range(height) if within[y] + over[y] > 0.01]
    assert shown[0] == pytest.approx(row(longest_at), abs=2)
    assert (max(over) > 0.01) == (slow > 0.7)
