"""Functions shared by handlers of credentials (keys, sessions, clients, grants, webhooks, second factors): their list
as an answer, their changes in the audit.
"""

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
    """Answer with a page of `total` things: `items` as a JSON array under the key `name`.

    Raises Invalid beyond the last page.
    """
    paging.check(total, ctx.paging)
    return Data(ctx.listed(name, items, total, path))


def note(ctx: Context, kind: str, id: int, tx: Transaction | None = None) -> None:
    """Record in the audit and the event log that the caller made, changed or ended the credential `id` of type `kind`.

    `tx`: the transaction of the change; None: the request's own.
    """
    journal.record(tx or ctx.writer, ctx.author, kind, itemtypes.AUTH, id)
