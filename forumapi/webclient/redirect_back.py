"""Redirect, after a form, to the page that the form was on."""

from __future__ import annotations

from forumapi.webclient.visit import Answer, Visit


def back_to(visit: Visit, things: str, item: int) -> Answer:
    """Redirect to the page that the form's field `back` names; without that field, or if that is no path of this host,
    to the page of the thing with the id `item`, or to the member's list of watchers if the thing is a site or `item` is
    0. After a form about a comment, the address ends with the comment's anchor, except in the list of bookmarks.

    `things`: plural of the thing's type, such as `conversations`.
    """
    address = visit.back(f"/{things}/{item}/" if things != "sites" and item else "/watchers/")
    is_in_thread = things == "comments" and not address.startswith("/bookmarks/")
    anchor = f"#comment{item}" if is_in_thread else ""
    return visit.redirect(f"{address.partition('#')[0]}{anchor}")
