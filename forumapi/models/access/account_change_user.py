"""Users of access tokens that are limited neither to a site nor to scopes: only with such a token can an account's
passkeys, second factors and e-mail address be changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forumapi.database.connections import Reader, Transaction
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import Forbidden
from forumapi.models.access import access_token

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

FIND = Query(
    "account_change_user.find",
    """
    SELECT t.user_id, u.email, t.site_id IS NULL AND t.scopes IS NULL
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE t.token_id = %(token_id)s""",
    scope=PLATFORM,
)

# Locks the user's row, so that two changes of one user's credentials are made in turn.
LOCK = Query(
    "account_change_user.lock",
    """
    SELECT t.user_id, u.email, t.site_id IS NULL AND t.scopes IS NULL
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE t.token_id = %(token_id)s
       FOR NO KEY UPDATE OF u""",
    scope=PLATFORM,
)

# Sessions, keys and grants from before a second factor were made without it, and end with its confirmation.
END_OTHER_TOKENS = Query(
    "account_change_user.end_other_tokens",
    "DELETE FROM access_tokens t WHERE t.user_id = %(user_id)s AND t.token_id <> %(token_id)s",
    scope=PLATFORM,
)


class AccountChangeUser(NamedTuple):
    """User behind an access token that is limited neither to a site nor to scopes, and so may change the account."""

    user_id: int
    email: str

    @classmethod
    def find(cls, tx: Reader, identity: Identity) -> AccountChangeUser:
        """Return the user of the caller's token. Raises Forbidden for a guest, and for a token limited to a site or to
        scopes.
        """
        return cls._checked(tx.row(FIND, token_id=identity.token_id))

    @classmethod
    def lock(cls, tx: Transaction, identity: Identity) -> AccountChangeUser:
        """Lock the row of the user of the caller's token and return the user. Raises Forbidden for a guest, and for a
        token limited to a site or to scopes.
        """
        return cls._checked(tx.row(LOCK, token_id=identity.token_id))

    @classmethod
    def _checked(cls, row: tuple[int, str, bool] | None) -> AccountChangeUser:
        if row is None or not row[2]:
            # A site's owner can sign in as anybody there by a provider of their own, and must not reach the account.
            raise Forbidden("This token is limited to one site or to some scopes; sign in again")
        return cls(row[0], row[1])

    def end_other_tokens(self, tx: Transaction, token_id: int) -> int:
        """Delete all grants of the user to clients, all authorization and device codes of the user that no client has
        redeemed yet, and every token of the user except the one with the id `token_id`; return the number of deleted
        tokens.
        """
        ended = tx.run(END_OTHER_TOKENS, user_id=self.user_id, token_id=token_id)
        access_token.end_grants(tx, self.user_id)
        return ended
