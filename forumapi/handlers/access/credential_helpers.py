"""Functions shared by handlers of credentials (keys, sessions, clients, grants, webhooks, second factors): their list
as an answer, their changes in the audit.
"""

from __future__ import annotations

from typing import TypeVar

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.models.journal import journal
from forumapi.request.context import Context
from forumapi.request.handler_results import Data
from forumapi.wire import paging

T = TypeVar("T")


def listed(ctx: Context, name: str, items: bytes, total: int, path: str) -> Data:
    """Answer with a page of a list: `items`, the page's entries as a JSON array, under the key `name`; `total` counts
    the whole list.

    `path`: address of the list. Raises Invalid for an offset beyond the last page.
    """
    paging.check(total, ctx.paging)
    return Data(ctx.listed(name, items, total, path))


def note(ctx: Context, kind: str, id: int, tx: Transaction | None = None) -> None:
    """Record in the audit and the event log that the caller created, changed or ended the credential with the id `id`,
    whatever kind of credential it is.

    `kind`: a verb of the journal, such as `journal.CREATED`. `tx`: the transaction of the change; None: the request's
    own.
    """
    journal.record(tx or ctx.writer, ctx.author, kind, itemtypes.AUTH, id)
