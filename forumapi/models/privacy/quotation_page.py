"""Quotations of a person: replies of others with quoted lines, which stay when the person's comments are erased."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import Query
from forumapi.wire import json_fragments

PAGE = Query(
    "quotation_page.page",
    """
    SELECT c.comment_id, c.created, c.in_reply_to
      FROM comments m
      JOIN comments c ON c.site_id = m.site_id AND c.in_reply_to = m.comment_id
      LEFT JOIN items i ON i.site_id = c.site_id AND i.item_id = c.item_id
     WHERE m.site_id = %(site_id)s AND m.created_by = %(me)s
       AND c.created_by <> %(me)s AND c.comment_id < %(before)s
       AND NOT c.is_deleted AND NOT c.is_moderated AND c.markdown ~ '(^|\\n) {0,3}>'
       AND (c.on_profile_id IS NOT NULL
            OR NOT i.is_deleted AND NOT i.is_moderated AND i.microcosm_id = ANY(%(readable)s::bigint[]))
     ORDER BY c.comment_id DESC
     LIMIT %(limit)s""",
)


class Quotation(NamedTuple):
    """Comment of somebody else with quoted lines, in reply to a comment of the person. `comment_id` and `created`: of
    the quoting comment; `quoted_id`: the person's comment.
    """

    comment_id: int
    created: datetime.datetime
    quoted_id: int

    @classmethod
    def page(
        cls,
        tx: Reader,
        site_id: int,
        me: int,
        readable: Collection[int],
        before: int,
        limit: int,
    ) -> list[Quotation]:
        """Return up to `limit` quotations of the profile `me` with comment ids below `before`, newest first: on items
        of the microcosms with the ids `readable`, and on profiles, without comments that are hidden or deleted, or are
        on an item that is.
        """
        rows = tx.rows(
            PAGE, site_id=site_id, me=me, readable=list(readable), before=before, limit=limit
        )
        return [cls(*row) for row in rows]

    def document(self) -> dict[str, Any]:
        """Return the quotation as a dict for JSON."""
        href = itemtypes.href(itemtypes.COMMENT, self.comment_id)
        return {
            "commentId": self.comment_id,
            "quotes": self.quoted_id,
            "created": json_fragments.format_time(self.created),
            "meta": {"links": [{"rel": "comment", "href": href}]},
        }
