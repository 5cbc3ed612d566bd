"""Look-ups on the platform's host: the API's host of a custom domain; whether a subdomain is taken. Wire:
docs/api/sites.md.
"""

from __future__ import annotations

import re
from typing import Final

from forumapi.errors import NotFound
from forumapi.models.sites import subdomain_availability
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import RawResponse, Result
from forumapi.wire.schemas import sites as schemas

_HOST: Final = re.compile(r"[0-9a-zA-Z.-]+")
_KEY: Final = re.compile(r"[0-9a-zA-Z]+")


class HostHandler(Handler):
    """The API's host of the site that has a custom domain."""

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, media_type="text/plain")
    def get(self, ctx: Context) -> Result:
        """The API's host of the site with this domain, as bare text and in the header X-Microcosm-Host.

        404 for a text that is no domain, and for a domain that no site has, or whose site is deleted, suspended or in
        its export window.
        """
        name = ctx.args["host"]
        if not _HOST.fullmatch(name):
            raise NotFound("There is nothing at this address")
        host = ctx.app.sites.host_of(name, ctx.reader)
        return RawResponse(host.encode(), "text/plain", (("X-Microcosm-Host", host),))


class ReservedHandler(Handler):
    """Availability of a subdomain for a new site."""

    allow = "OPTIONS,HEAD,GET"

    @needs(ANYONE, answer=schemas.Reserved, media_type="application/json")
    def get(self, ctx: Context) -> Result:
        """`reserved`: true if the platform reserves the subdomain, a site has it, also a suspended one, or a site that
        had it was deleted for good less than 30 days ago; without the envelope.

        404 for a text that can't be a subdomain.
        """
        key = ctx.args["subdomain"]
        if not _KEY.fullmatch(key):
            raise NotFound("There is nothing at this address")
        is_taken = subdomain_availability.is_taken(ctx.reader, key)
        # A subdomain that is free now may be taken in a moment.
        return RawResponse(
            b'{"reserved":true}' if is_taken else b'{"reserved":false}',
            "application/json",
            (("Cache-Control", "no-cache, max-age=0"),),
        )
