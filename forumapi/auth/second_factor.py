"""Second step of a sign-in, for users with a second factor: a code of their authenticator app, or a recovery code.

`POST /auth` with the first method is refused with a flow's secret; `POST /auth` with `method` "second-factor", `flow`
and `code` then returns the token. A flow has five tries, a user ten an hour.
"""

from __future__ import annotations

from typing import Final

from forumapi.auth import sign_in_flow
from forumapi.auth.backends import Attempt, Backend, Verified
from forumapi.database.connections import Transaction
from forumapi.errors import Unauthorized
from forumapi.models.access.totp import Totp, count_try

_REFUSED: Final = "This code is wrong, used or expired"
_STALE: Final = "This sign-in is unknown, used or expired; start again"


class SecondFactorBackend(Backend):
    """Sign-in method for the second step, after another method has proven the e-mail address; not offered by itself."""

    name = "second-factor"
    is_listed = False

    def verify(self, attempt: Attempt) -> Verified:
        """Use up the code and the flow; return what the first method proved, with `has_second_factor` True. A wrong
        code leaves the flow, of whose tries it uses up one. Raises Unauthorized for a wrong code, and for a flow that
        is unknown, too old or was tried five times; TooMany after too many tries of the user or from the client
        address.
        """
        given, site_id = attempt.sign_in, attempt.site.id
        flow = given.flow if isinstance(given.flow, str) else ""
        code = given.code if isinstance(given.code, str) else ""
        sign_in_flow.count(attempt, sign_in_flow.STEPS_PER_CLIENT_ADDRESS)
        with attempt.write() as tx:
            kept = sign_in_flow.attempt(tx, self.name, site_id, flow)
        if kept is None:
            raise Unauthorized(_STALE)
        with attempt.write() as tx:
            count_try(tx, kept["userId"], on_site=0 if kept["isPlatforms"] else site_id)
        with attempt.write() as tx:
            if not Totp.use_code(tx, kept["userId"], code):
                raise Unauthorized(_REFUSED)
            if sign_in_flow.take(tx, self.name, site_id, flow) is None:
                raise Unauthorized(_STALE)
        return Verified(
            kept["email"], kept["clientId"], kept["isPlatforms"], has_second_factor=True
        )


def begin(tx: Transaction, site_id: int, user_id: int, verified: Verified) -> str:
    """Store for ten minutes what the first method has proven (`verified`), until the user's code comes; return the
    flow's secret. `user_id`: the user with the proven address, whose second factor is asked for.
    """
    kept = {
        "userId": user_id,
        "email": verified.email,
        "clientId": verified.client_id,
        "isPlatforms": verified.is_platforms,
    }
    return sign_in_flow.begin(tx, SecondFactorBackend.name, site_id, kept)
