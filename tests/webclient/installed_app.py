"""Site whose pages a browser may install, and the wait until its service worker is there."""

from __future__ import annotations

import time

from tests.factories import Factory, Site
from tests.webclient.hand import WAIT_S, Hand


def near(make: Factory) -> Site:
    """A site on a name that browsers count as secure."""
    site = make.site()
    make.domain(site, f"{site.key}.localhost")
    site.host = f"{site.key}.localhost"
    return site


def installed(hand: Hand) -> None:
    """Wait until the service worker serves the page. A page that is loaded again lets it try again."""
    serves = "return Boolean(navigator.serviceWorker.controller)"
    for _ in range(5):
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if hand.driver.execute_script(serves):
                return
            time.sleep(0.1)
        hand.driver.refresh()
    raise AssertionError("no service worker comes")
