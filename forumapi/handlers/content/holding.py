"""Holding of what was just written, by the site's rules and checks, before anybody else can read it."""

from __future__ import annotations

from forumapi.checks import check_at_writing
from forumapi.checks.check_at_writing import JustWritten
from forumapi.itemtypes import ItemRef
from forumapi.models.rules import engine
from forumapi.permissions import evaluator
from forumapi.request.context import Context


def is_possible(ctx: Context, item_type: int, kind: str) -> bool:
    """Return True if `hold` may hide a thing of this type that the caller creates or changes (`kind`: CREATED or
    REPLACED of journal.py), and so has to be called then. No statement is run.
    """
    if engine.hides_at_writing(ctx.site, item_type, kind):
        return True
    return bool(ctx.site.first_checks) and not ctx.can & evaluator.MODERATOR


def hold(ctx: Context, ref: ItemRef, kind: str, author_id: int, text: str) -> None:
    """Let the site's rules and local checks hide the comment or item `ref`, which the request has just stored, in its
    transaction. The thing must not be in a huddle.

    `kind`: CREATED or REPLACED of journal.py; `author_id`: id of the profile that is the thing's author; `text`: a
    comment's Markdown or an item's title, as stored. What a caller who moderates there writes is not checked, but rules
    act on it too. Nothing happens, and no statement is run, on a site without rules that hide things and without checks
    before things are shown; elsewhere all rules and checks cost one statement, unless one of them hides the thing.
    """
    written = JustWritten(ref, kind, author_id, text)
    is_checked = not ctx.can & evaluator.MODERATOR
    check_at_writing.hold(ctx.writer, ctx.site, ctx.tree, written, is_checked=is_checked)
