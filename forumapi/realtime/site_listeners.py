"""Listeners of one site in a process, and the position up to which they have received everything."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from forumapi.realtime.delivery_permissions import Caller
from forumapi.realtime.live_clients import LiveClient
from forumapi.realtime.subscription_index import Index

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site
    from forumapi.permissions.evaluator import Tree


class SiteListeners:
    """Listeners of one site in this process. `tree`: by which rights are decided now; `position`: number of the last
    event that all live listeners have received; `index`: subscriptions of the live listeners; `clients`: all, live or
    catching up; `callers`: by id of their token, 0 for guests; `lock`: guards the listeners and the position.
    """

    def __init__(self, site: Site, tree: Tree, position: int) -> None:
        self.site = site
        self.tree = tree
        self.position = position
        # What the subscriptions of all live listeners were checked by; no tree while that is to be done again.
        self.checked_tree: Tree | None = tree
        self.checked_position = position
        self.index = Index()
        self.clients: set[LiveClient] = set()
        self.callers: dict[int, Caller] = {}
        self.lock = threading.RLock()
        self.left = 0.0  # when the last client went
