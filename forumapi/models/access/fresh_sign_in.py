"""Proof that the caller has signed in within the last ten minutes, for what an older session alone must not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import PLATFORM, Query
from forumapi.errors import SIGN_IN_AGAIN, Forbidden

if TYPE_CHECKING:
    from forumapi.models.access.identity import Identity

MINUTES: Final = 10

# A key or grant can be new without a sign-in, and a site's own provider lets its owner sign in as anybody.
FIND = Query(
    "fresh_sign_in.find",
    """
    SELECT t.user_id, u.email,
           t.kind = 'session' AND t.site_id IS NULL AND t.scopes IS NULL AND t.by_site IS NOT TRUE,
           t.created > now() - make_interval(mins => %(minutes)s::int),
           EXISTS (SELECT FROM one_time_secrets o WHERE o.user_id = t.user_id AND o.confirmed IS NOT NULL)
      FROM access_tokens t
      JOIN users u ON u.user_id = t.user_id
     WHERE t.token_id = %(token_id)s""",
    scope=PLATFORM,
)


class FreshSignIn(NamedTuple):
    """Session of the caller, made by a sign-in that the platform vouches for, good on all sites and not limited by
    scopes. `is_fresh`: the sign-in was within the last MINUTES minutes; `has_factor`: the user has a confirmed second
    factor.
    """

    user_id: int
    email: str
    is_fresh: bool
    has_factor: bool

    @classmethod
    def find(cls, tx: Reader, identity: Identity) -> FreshSignIn:
        """Return the caller's session, fresh or not. Raises Forbidden for a guest, and if the caller's token is no
        session, is limited to a site or scopes, or comes from a site's own provider.
        """
        row = tx.row(FIND, token_id=identity.token_id, minutes=MINUTES)
        if row is None or not row[2]:
            raise Forbidden(
                "This needs a session of a sign-in on the platform, without limits",
                code=SIGN_IN_AGAIN,
            )
        user_id, email, _, is_fresh, has_factor = row
        return cls(user_id, email, is_fresh, has_factor)

    def check(self) -> None:
        """Raise Forbidden unless the session is fresh."""
        if not self.is_fresh:
            raise Forbidden(
                f"This needs a sign-in within the last {MINUTES} minutes: sign in again",
                code=SIGN_IN_AGAIN,
            )
