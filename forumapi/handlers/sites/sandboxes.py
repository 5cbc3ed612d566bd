"""Sandboxes: sites for trying the API, made by anybody on the platform's host. Wire: docs/api/sandboxes.md."""

from __future__ import annotations

from typing import Final

from forumapi.errors import NotFound
from forumapi.models.access import rate_counters
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.sites import sandbox, sandbox_content
from forumapi.models.sites.sandbox import NewSandbox
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire import json_fragments
from forumapi.wire.client_address import network
from forumapi.wire.schemas import sites as schemas

PER_ADDRESS: Final = Limit("sandbox", 3, DAY_S)


class SandboxesHandler(Handler):
    """The making of sandboxes, which are listed nowhere."""

    takes_idempotency_key = False
    shows_above = False

    def locate(self, ctx: Context) -> None:
        """Return None, since the request is about no object. Raises NotFound where the platform has no sandboxes."""
        if not ctx.app.config.max_sandboxes:
            raise NotFound("There is nothing at this address")

    @needs(ANYONE, answer=schemas.Sandbox)
    def post(self, ctx: Context) -> Result:
        """Make a sandbox: a site with some content, and four people with an access token each; the answer has the
        site's address and the tokens. The site is deleted 24 hours later.

        404 where the platform has no sandboxes; 429 after as many from one client address within a day as the
        installation allows; 503 while as many sandboxes exist as it allows.
        """
        app, config = ctx.app, ctx.app.config
        sandbox.check_room(ctx.reader, config.max_sandboxes)
        # A peer on a Unix socket has no address; what was counted stays counted if what follows fails.
        ctx.end_writer()
        if ctx.ip:
            most = config.sandboxes_per_client_address
            rule = f"An address may make {most} sandboxes a day"
            with app.database.write() as tx:
                rate_counters.take(tx, PER_ADDRESS._replace(most=most), network(ctx.ip), rule)
        with app.database.write() as tx:
            new = NewSandbox.insert(tx, platform_domain=app.sites.domain, ip=ctx.ip)
            site = app.sites.by_id(new.site_id, tx)
            assert site is not None, "it was stored just now"
            sandbox_content.fill(tx, site, new, short_links=config.short_links)
            ends = new.admit(tx, config.max_sandboxes)
        people = {
            role: {"id": one.id, "profileName": one.name, "accessToken": one.token}
            for role, one in new.people.items()
        }
        shown = {
            "siteId": site.id,
            "siteURL": site.origin,
            "ends": json_fragments.format_time(ends),
            "people": people,
        }
        return Data(json_fragments.dumps(shown))
