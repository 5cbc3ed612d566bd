"""Page of the trending items of a site."""

from __future__ import annotations

from forumapi.webclient.view import View
from forumapi.webclient.visit import Answer, Visit


class TrendingPageView(View):
    """Page of the site's trending items, those with the highest scores of recent activity."""

    def get(self, visit: Visit) -> Answer:
        """Show the trending items that the visitor may read, 25 at most, the highest score first."""
        found = visit.api.get("/trending")
        return visit.page("trending.html", list=found["items"])
