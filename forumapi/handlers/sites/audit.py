"""Audit: the entries of a site for its owner, and those that concern the caller. Wire: docs/api/audit.md."""

from __future__ import annotations

from typing import Final

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.itemtypes import ItemRef
from forumapi.models.journal import audit_page
from forumapi.models.journal.audit_page import EntryFilter, ListedEntry
from forumapi.models.people import profile_summary
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, OWNER, Handler, Param, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire.schemas import audit as schemas

_LIMIT: Final = Param("limit", int, "Entries on a page: 5 to 250, a multiple of 5.")
_BEFORE: Final = Param("before", int, "Where to go on, as the link `next` says it.")


def _before_next(found: list[ListedEntry], limit: int) -> int:
    """Return the value of `before` in the link `next`: the id of the page's last entry; 0 on the last page.

    `found`: the entries of the page, and one more if there is a further page; `limit`: number of entries on a full
    page.
    """
    return found[limit - 1].id if len(found) > limit else 0


class AuditHandler(SiteSettingHandler):
    """The site's audit: who changed what, for its owner."""

    @needs(
        OWNER,
        answer=schemas.AuditEntries,
        params=(
            _LIMIT,
            _BEFORE,
            Param("actor", int, "Only what this profile did."),
            Param("subject", int, "Only what was done to this profile or its things."),
            Param(
                "itemType",
                str,
                "With `itemId`: only what was done to this thing.",
                tuple(itemtypes.BY_NAME),
            ),
            Param("itemId", int, "With `itemType`: only what was done to this thing."),
            Param("since", str, "Only from this time on, RFC 3339 with its offset."),
            Param("until", str, "Only before this time, RFC 3339 with its offset."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The entries that fit the query, newest first; none about huddles, or about how people sign in.

        `actor`: only what this profile did; `subject`: only what was done to this profile or its objects; `itemType`
        with `itemId`: only what was done to this object, 400 for one of the two alone; `since` (inclusive), `until`
        (exclusive): times.
        """
        ctx.check_paging()
        limit = ctx.paging.limit
        found = audit_page.of_site(
            ctx.reader,
            ctx.site.id,
            _filter(ctx),
            ctx.number("before") or audit_page.NEWEST,
            limit + 1,
        )
        ids = {id for one in found[:limit] for id in (one.actor_id, one.subject_id)} - {0}
        people = profile_summary.summaries(ctx.reader, ctx.app.documents, ctx.site.id, sorted(ids))
        items = [one.document(people) for one in found[:limit]]
        return Data(ctx.keyset_listed("entries", items, _before_next(found, limit)))


class OwnAuditHandler(Handler):
    """The audit's entries that concern the caller."""

    @needs(LOGIN, answer=schemas.OwnAuditEntries, params=(_LIMIT, _BEFORE))
    def get(self, ctx: Context) -> Result:
        """Changes by the caller, and changes by others to the caller's profile or objects, newest first.

        Others are not named; what they did in huddles, and reports and notes about the caller, are left out.
        """
        ctx.check_paging()
        limit, me = ctx.paging.limit, ctx.identity.profile_id
        before = ctx.number("before") or audit_page.NEWEST
        found = audit_page.of_person(ctx.reader, ctx.site.id, me, before, limit + 1)
        items = [one.own_document(me) for one in found[:limit]]
        return Data(ctx.keyset_listed("entries", items, _before_next(found, limit)))


def _filter(ctx: Context) -> EntryFilter:
    """Return the filter that the query asks for: by profiles (`actor`, `subject`), by one object and by time. Raises
    Invalid for an unknown type, one of `itemType` and `itemId` alone, and a bad number or time.
    """
    name, item_id = ctx.query.get("itemType", ""), ctx.number("itemId")
    item = ItemRef(0, 0)
    if name:
        type = itemtypes.BY_NAME.get(name.lower())
        if type is None:
            raise Invalid("itemType", "is no type of things", code=OUT_OF_RANGE)
        if not item_id:
            raise Invalid("itemId", "is required with itemType")
        item = ItemRef(type.id, item_id)
    elif item_id:
        raise Invalid("itemType", "is required with itemId")
    since, until = ctx.instant("since"), ctx.instant("until")
    return EntryFilter(ctx.number("actor"), ctx.number("subject"), item, since, until)
