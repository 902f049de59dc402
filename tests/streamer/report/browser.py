"""A Chromium of this machine's own, without a window, for tests that open a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WAIT_S = 20
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Gains and starts are kept where a test can read them; the page itself has no door for that.
_KEEP_SOUND = """
window.gains = [];
window.starts = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (at, offset) {
  window.starts.push([at, offset]);
  return start.call(this, at, offset);
};
const createGain = AudioContext.prototype.createGain;
AudioContext.prototype.createGain = function () {
  const gain = createGain.call(this);
  window.gains.push(gain.gain);
  return gain;
};
"""


def chromium_and_driver() -> tuple[str, str]:
    """Find both, or skip."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium or its driver is not installed: apt install chromium chromium-driver")
    return browser, driver


class Browser:
    """A page at a time, in a window of any size."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        binary, driver = chromium_and_driver()
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for switch in (*_SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_script_timeout(WAIT_S)
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _KEEP_SOUND})

    def open(self, page: Path, *, width: int = 1440, height: int = 900, scheme: str = "light") -> None:
        """Open a file and wait until it is drawn."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.messages()
        self.requests()
        self.driver.get(page.as_uri())
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript; its last word must be a ``return``."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str = "body") -> str:
        """What can be read there, hidden parts left out."""
        return str(self.find(selector).text)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds, and give what it gave."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, WAIT_S, poll_frequency=0.02).until(lambda _: condition())

    def messages(self) -> list[str]:
        """What the console was told since the last call, warnings and refusals included."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def close(self) -> None:
        self.driver.quit()
