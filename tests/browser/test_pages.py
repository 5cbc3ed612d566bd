"""The look of every page: nothing to scroll sideways on a small phone, and nothing too small to hit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from selenium.webdriver import Chrome

from forumapi.templates import ENVIRONMENT
from forumapi.wire import html_pages

pytestmark = pytest.mark.slow

PAGES = sorted(
    name
    for path in ENVIRONMENT.list_templates(["html"])
    if path.startswith("pages/") and (name := Path(path).stem) not in ("base", "form")
)
NARROWEST = 320
# Long words and addresses, as people have them.
VALUES: dict[str, Any] = {
    "action": "/oauth/authorize?client_id=1",
    "asks_huddles": True,
    "client_host": f"{'long.name.' * 4}example.org",
    "client_name": Markup("Reader &amp; Companion for Everything That Is New"),
    "csrf": "0123456789abcdef",
    "date": "30 November 2026",
    "done": "The moderators have hidden 63 of your comments",
    "email": f"{'very.long.name.' * 4}@mail.example.org",
    "flow": "flow",
    "for_agents": True,
    "ground": "It breaks a rule of this site:",
    "heading": "This page is too old",
    "host": "forum.example:8080",
    "is_acted": False,
    "is_decided": False,
    "is_made": False,
    "is_revoked": True,
    "kind": "conversation",
    "messages": [{"is_mine": True, "text": "w" * 60}],
    "notice": "This code is wrong, used or expired; ask for another",
    "profile_name": Markup("W" * 25),
    "reason": "Insults, " * 20,
    "rule": "Be kind",
    "publishes": True,
    "purpose": "A program asks to act for you here. Sign in to see what it asks for.",
    "scheme": "https",
    "scopes": ["Read comments", "Start, change and delete conversations"],
    "shown": "comments:read conversations:write",
    "shown_code": "1234 5678",
    "state": "open",
    "thing_url": "https://forum.example/conversations/1/",
    "until": "30 May 2027",
    "text": "Your browser has to keep a cookie for it. Go back to where you came from and begin again.",
    "user_code": "BCDF-GHJK",
    "what": "one of the conversations you follow",
    "where": f"Either way you are sent back to https://{'client-' * 10}.example.",
}

_FAULTS = """
const found = [];
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) found.push("scrolls sideways");
for (const one of document.querySelectorAll("body *")) {
  const box = one.getBoundingClientRect();
  if (box.right > width + 1 || box.left < -1) found.push(`beyond the edge: ${one.tagName}`);
  if (one.matches("a, button, select, input:not([type=hidden])") && (box.height < 24 || box.width < 24))
    found.push(`too small: ${one.textContent}`);
  if (one.matches(".button") && box.height < 44) found.push(`too small to be the main thing: ${one.textContent}`);
}
if (document.querySelectorAll(".button:not(.other)").length > 1) found.push("two primary actions");
return found;
"""


def show(browser: Chrome, folder: Path, name: str, width: int) -> None:
    """Show a page as it is on a screen of this width."""
    page = folder / f"{name}.html"
    page.write_bytes(html_pages.page(name, Markup("Bikes &amp; Co"), **VALUES))
    metrics = {"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())


@pytest.mark.wide
@pytest.mark.sliced(3)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_smallest_phone(browser: Chrome, tmp_path: Path, name: str) -> None:
    try:
        show(browser, tmp_path, name, NARROWEST)
        assert browser.execute_script(_FAULTS) == []
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
