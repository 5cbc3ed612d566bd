"""Holding of what was just written, by the site's rules and checks, before anybody else can read it."""

from __future__ import annotations

from forumapi.itemtypes import ItemRef
from forumapi.models.rules import engine
from forumapi.request.context import Context


def hold(ctx: Context, ref: ItemRef, kind: str) -> None:
    """Let the site's rules hide the comment or item that the request has just stored, in its transaction.

    `kind`: CREATED or REPLACED of journal.py. Nothing happens, and no statement is run, on a site without rules that
    hide things.
    """
    engine.act_at_writing(ctx.writer, ctx.site, ctx.tree, ref, kind)
