"""Entry points of the API on a site's host: `/`, `/api` and `/api/v1`, each with links to what is below it. Wire:
docs/api/sites.md.
"""

from __future__ import annotations

from typing import Final

from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas


def _index(**links: str) -> Data:
    return Data(dumps({"links": [{"rel": rel, "href": href} for rel, href in links.items()]}))


_TOP: Final = _index(api="/api")
_API: Final = _index(v1="/api/v1")
_V1: Final = _index(
    auth="/api/v1/auth",
    comment="/api/v1/comments",
    conversation="/api/v1/conversations",
    event="/api/v1/events",
    microcosm="/api/v1/microcosms",
    poll="/api/v1/polls",
    profile="/api/v1/profiles",
    site="/api/v1/site",
    update="/api/v1/updates",
    watcher="/api/v1/watchers",
    whoami="/api/v1/whoami",
)


class TopHandler(Handler):
    """Entry point `/` of a site's host."""

    serves_held_sites = ("GET",)

    @needs(ANYONE, answer=schemas.Index)
    def get(self, ctx: Context) -> Result:
        """A link to the API."""
        return _TOP


class ApiHandler(Handler):
    """Entry point `/api` of a site's host."""

    @needs(ANYONE, answer=schemas.Index)
    def get(self, ctx: Context) -> Result:
        """A link to each version of the API."""
        return _API


class V1Handler(Handler):
    """Entry point `/api/v1` of a site's host: the index of the API."""

    @needs(ANYONE, answer=schemas.Index)
    def get(self, ctx: Context) -> Result:
        """Links to the collections of the API, such as microcosms and profiles."""
        return _V1
