"""The page as text: one file, which cannot fetch anything and cannot be broken by names."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from streamer.report import report_page
from tests.streamer.report.reports import contents

EVIL = "</script><script>alert(1)</script><!-- <b> \"quoted\" & 'single' {{script}} \u2028 \udcff ファイル"


class Elements(HTMLParser):
    """Collects the elements of a page, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script":
            self.scripts.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(contents(("vocals", EVIL), title=EVIL, model=EVIL))


def test_names_stay_what_they_are(page: str) -> None:
    embedded = next(text for text in Elements(page).scripts if text.startswith("{"))
    values = json.loads(embedded)
    assert (values["title"], values["model"], values["signals"][2]["name"]) == (EVIL, EVIL, EVIL)


def test_names_are_nothing_but_text(page: str) -> None:
    plain = report_page(contents(("vocals", "other")))
    assert [tag for tag, _ in Elements(page).found] == [tag for tag, _ in Elements(plain).found]
    assert page.count("</script") == plain.count("</script")
    page.encode("utf-8")


def test_nothing_leads_out_of_the_page(page: str) -> None:
    assert {tag for tag, _ in Elements(page).found} & {"img", "iframe", "object", "a", "audio", "form"} == set()
    for tag, attributes in Elements(page).found:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
    assert not re.search(r"\b(?:import|fetch|XMLHttpRequest|WebSocket|@import|url)\b\s*\(?['\"(]", page)


def test_the_policy_lets_only_the_pages_own_script_and_style_in(page: str) -> None:
    policy = next(str(a["content"]) for _, a in Elements(page).found if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_who_allows_no_scripts_is_told(page: str) -> None:
    assert "<noscript>" in page


def test_every_slot_is_filled(page: str) -> None:
    assert "{{" not in report_page(contents(("one",)))
