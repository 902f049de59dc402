"""The picture of the demonstration's report in the README.

Runs ``stemstream demo`` afresh at the pace of the clock, opens its report in Chromium at 1440 pixels in the dark
colours, and writes what can be seen from its top to the end of the spectrograms.

    python benchmarks/report_picture.py [--out docs/report.png] [--light]

Needs the ``selenium`` and ``pillow`` packages, Chromium and its driver. The picture has 256 colours, to be small.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from streamer.cli import main as stemstream

_WIDTH, _HEIGHT = 1440, 900
_SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_LISTENED_S = 7.4
"""Where the time cursor stands in the picture."""


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/report.png"), help="the picture (default %(default)s)")
    parser.add_argument("--light", action="store_true", help="in the light colours")
    arguments = parser.parse_args()
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        sys.exit("Chromium or its driver is not installed: apt install chromium chromium-driver")
    with tempfile.TemporaryDirectory() as folder:
        if stemstream(["demo", "--out", folder]):
            sys.exit("the demonstration failed")
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for switch in (*_SWITCHES, f"--user-data-dir={folder}/profile"):
            options.add_argument(switch)
        with webdriver.Chrome(options=options, service=Service(driver)) as chromium:
            picture = _photograph(chromium, Path(folder) / "report.html", "light" if arguments.light else "dark")
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, kmeans=1).save(arguments.out, optimize=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


def _photograph(chromium: webdriver.Chrome, page: Path, scheme: str) -> bytes:
    metrics = {"width": _WIDTH, "height": _HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
    chromium.get(page.as_uri())
    height = chromium.execute_async_script(
        """
        const [seconds, done] = arguments;
        const seek = document.getElementById("seek");
        seek.value = seconds;
        seek.dispatchEvent(new Event("input"));
        requestAnimationFrame(() => requestAnimationFrame(
          () => done(document.getElementById("listen").getBoundingClientRect().bottom + 24)));
        """,
        _LISTENED_S,
    )
    clip = {"x": 0, "y": 0, "width": _WIDTH, "height": height, "scale": 1}
    shot = chromium.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
    )
    return base64.b64decode(shot["data"])


if __name__ == "__main__":
    main()
