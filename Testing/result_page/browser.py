"""A real browser without a window; what it logs and asks for is kept."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def browser(width: int = 1280, height: int = 1000, dark: bool = False, javascript: bool = True) -> Iterator:
    """A selenium driver of chromium; the test is skipped where that is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs a browser: install chromium and chromium-driver, as .ci/run does")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install '.[test]'")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not javascript:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        if width < 600:  # windows are not made that narrow
            size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
            opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        yield opened
    finally:
        opened.quit()


def open_page(driver, path: Path) -> None:
    """Open a file and wait until its program has drawn everything."""
    driver.get(path.as_uri())
    until(driver, "return document.body.dataset.ready === 'yes'")


def until(driver, condition: str) -> None:
    """Wait until a piece of JavaScript says true."""
    end = time.monotonic() + 120
    while not driver.execute_script(condition):
        assert time.monotonic() < end, f"{condition}: {driver.get_log('browser')}"
        time.sleep(0.05)


def requests(driver) -> list[str]:
    """The addresses that were asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
