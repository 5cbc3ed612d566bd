"""The headless Chromium of the browser tests."""

from __future__ import annotations

from tests.browser.conftest import browser, chromium

__all__ = ["browser", "chromium"]
