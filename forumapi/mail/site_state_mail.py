"""Changes of a site's state, with a mail to its owner if its deletion begins, is cancelled or becomes an operator's."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from forumapi.database.connections import Transaction
from forumapi.errors import NO_SITE, Forbidden, NotFound
from forumapi.mail import outbox
from forumapi.models.journal.journal import Author
from forumapi.models.sites.site import ROOT_ID
from forumapi.models.sites.site_state import HeldSite, SiteLifeCycle

if TYPE_CHECKING:
    from forumapi.config import Config


def change(
    tx: Transaction, config: Config, author: Author, state: str, *, is_operators: bool = True
) -> SiteLifeCycle:
    """Set the state of the author's site to `state`, one of `site_state.STATES`, and return its new state. If its
    export window begins, is cancelled or becomes an operator's by that, queue a mail to the owner, where mail is set up
    and the owner has an address. `is_operators`: an operator wants it, else the owner.

    Raises NotFound for an unknown site, Forbidden for the platform's own site and for an owner if an operator began the
    export window, Conflict once that is over and the site is being deleted.
    """
    if author.site_id == ROOT_ID:
        raise Forbidden("The platform's own site stays as it is")
    site = HeldSite.lock(tx, author.site_id)
    if site is None:
        raise NotFound("There is no such site", code=NO_SITE)
    before = SiteLifeCycle.find(tx, site.site_id)
    now = site.set_state(tx, author, state, is_operators=is_operators)
    is_news = (now.is_ending, now.is_operators) != (before.is_ending, before.is_operators)
    if not is_news or not site.owner_email or not outbox.is_possible(config):
        return now
    name = outbox.plain(site.title)
    about: dict[str, Any] = {
        "cause": f"site-deletion:{site.site_id}:{secrets.token_hex(8)}",
        "site_id": site.site_id,
        "recipient": site.owner_email,
        "site_title": name,
        "host": f"{site.key}.{config.platform_domain}",
    }
    if now.due is not None:
        outbox.queue_notice(
            tx,
            "site_deletion",
            subject=f"{name} will be deleted on {now.due:%-d %B}",
            due=f"{now.due:%-d %B %Y, %H:%M} UTC",
            is_operators=is_operators,
            ip=author.ip,
            **about,
        )
    else:
        outbox.queue_notice(
            tx,
            "site_kept",
            subject=f"{name} will not be deleted",
            state=now.state,
            **about,
        )
    return now
