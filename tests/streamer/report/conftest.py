"""One browser for all tests that need one, and reports to open in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from streamer.report import report_page
from tests.streamer.report.browser import Browser
from tests.streamer.report.reports import contents


class Show(Protocol):
    def __call__(self, *names: str, view: dict[str, Any] | None = None, **options: Any) -> Browser: ...


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as environment:
        # Selenium looks for drivers on the network, and counts its users, unless it is told not to.
        environment.setenv("SE_OFFLINE", "true")
        environment.setenv("SE_AVOID_STATS", "true")
        opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Show:
    """Write a report and open it: see ``contents``."""

    def write(*names: str, view: dict[str, Any] | None = None, **options: Any) -> Browser:
        page = tmp_path / "report.html"
        made = contents(names or ("vocals", "drums", "bass", "other"), **options)
        page.write_text(report_page(made), encoding="utf-8")
        browser.open(page, **(view or {}))
        return browser

    return write
