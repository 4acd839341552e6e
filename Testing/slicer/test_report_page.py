"""The button that opens the page of a result in the browser."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from panel_driver import choose_balls, get, register, wait_for


@pytest.fixture
def pair(panel):
    return choose_balls(panel)


@pytest.mark.parametrize(("opens", "said"), [(True, "Opened the report"), (False, "No browser could be opened")])
def test_the_report_is_opened_in_the_browser(panel, pair, monkeypatch, opens, said):
    import qt

    asked = []
    browser = SimpleNamespace(openUrl=lambda url: asked.append(url.toLocalFile()) or opens)
    monkeypatch.setattr(qt, "QDesktopServices", browser)
    assert not get(panel.ui.openReportButton, "enabled")
    register(panel)
    panel.ui.openReportButton.click()
    wait_for(lambda: not panel.runPanel.busy)
    assert get(panel.ui.statusLabel).startswith(said)
    (path,) = asked
    assert "<h1><span>Moving</span>" in Path(path).read_text(encoding="utf-8")
