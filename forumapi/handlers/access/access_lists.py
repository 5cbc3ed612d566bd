"""Functions shared by handlers of credentials: keys, sessions, clients, grants, webhooks, second factors."""

from __future__ import annotations

from typing import TypeVar

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.response import Data
from forumapi.wire import paging

T = TypeVar("T")


def listed(ctx: Context, name: str, items: bytes, total: int, path: str) -> Data:
    """A page of `total` things, `items` as a JSON array, under their `name`. Raises Invalid beyond the last page."""
    paging.check(total, ctx.paging)
    return Data(ctx.listed(name, items, total, path))


def note(ctx: Context, kind: str, id: int, tx: Transaction | None = None) -> None:
    """Note in the audit and the event log that the caller made, changed or ended something that gives access.

    `tx`: the transaction of the change, where it is not the request's.
    """
    journal.record(tx or ctx.writer, ctx.author, kind, itemtypes.AUTH, id)
