"""Page of the trending items of a site."""

from __future__ import annotations

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class TrendingPageView(View):
    """Page of the hottest items."""

    def get(self, visit: Visit) -> Answer:
        """Show it."""
        found = visit.api.get("/trending")
        return visit.page("trending.html", list=found["items"])
