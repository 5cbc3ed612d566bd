"""Whose token a request came with, for what belongs to a person and not to a site: passkeys and second factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forumapi.database.connections import Query, Reader, Transaction
from forumapi.errors import Forbidden
from forumapi.models.access import access_token

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

FIND = Query(
    "bearer.find",
    """
    SELECT t.user_id, u.email, t.site_id IS NULL AND t.scopes IS NULL
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE t.token_id = %(token_id)s""",
)

# With the user's row locked: two changes of one person's credentials come one after the other.
LOCK = Query(
    "bearer.lock",
    """
    SELECT t.user_id, u.email, t.site_id IS NULL AND t.scopes IS NULL
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE t.token_id = %(token_id)s
       FOR NO KEY UPDATE OF u""",
)

# A session, key or grant that was made without the second factor is worth nothing once there is one.
END_OTHERS = Query(
    "bearer.end_others",
    "DELETE FROM access_tokens t WHERE t.user_id = %(user_id)s AND t.token_id <> %(token_id)s",
)


class Bearer(NamedTuple):
    """The person whose token it is."""

    user_id: int
    email: str


def find(tx: Reader, identity: Identity) -> Bearer:
    """The bearer, to be shown what is theirs. Raises Forbidden for a token that is not good everywhere."""
    return _whole(tx.row(FIND, token_id=identity.token_id))


def lock(tx: Transaction, identity: Identity) -> Bearer:
    """The bearer, locked for a change of what is theirs. Raises Forbidden for a token that is not good everywhere."""
    return _whole(tx.row(LOCK, token_id=identity.token_id))


def end_others(tx: Transaction, user_id: int, token_id: int) -> int:
    """End every token of a user but one, those of other people's clients too; how many there were."""
    ended = tx.run(END_OTHERS, user_id=user_id, token_id=token_id)
    access_token.end_grants(tx, user_id)
    return ended


def _whole(row: tuple[int, str, bool] | None) -> Bearer:
    if row is None or not row[2]:
        # What a site's owner set up can sign in as anybody there: it must not get at what counts everywhere.
        raise Forbidden("This token is good on one site, or for some things, only; sign in again")
    return Bearer(row[0], row[1])
