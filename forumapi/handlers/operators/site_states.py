"""States of sites in their life cycle: set by the platform's operators, and the deletion that an owner asks for.
Wire: docs/api/sites.md.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import NEEDS_OWNER, Forbidden, Invalid, NotFound, known
from forumapi.handlers.operators.platform_growth import check_admin
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.handlers.sites.sites import is_users
from forumapi.mail import site_state_mail
from forumapi.models.access.fresh_sign_in import FreshSignIn
from forumapi.models.access.totp import Totp, count_try
from forumapi.models.journal.journal import Author
from forumapi.models.sites.site_state import EXPORT_WINDOW, SiteLifeCycle
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import sites as schemas

_DELETION: Final = "/api/v1/site/deletion"


class DeletionBody(Struct):
    """Body of POST /site/deletion. `secondFactor`: a code of the app or a recovery code, for owners with a second
    factor.
    """

    secondFactor: str | UnsetType = UNSET


class StateBody(Struct):
    """Body of PUT /sites/{id}/state. `secondFactor`: for `export-window`, a code of the app or a recovery code, of
    operators with a second factor.
    """

    state: Literal["active", "read-only", "suspended", "export-window"]
    secondFactor: str | UnsetType = UNSET


class SiteDeletionHandler(SiteSettingHandler):
    """The deletion of this host's site that was asked for and has not begun, for the site's owner."""

    serves_held_sites = ("GET", "POST", "DELETE")
    takes_idempotency_key = False

    @needs(OWNER, answer=schemas.SiteState)
    def get(self, ctx: Context) -> Result:
        """The site's state, with the time at which the deletion begins; 404 while nobody asked for a deletion."""
        found = SiteLifeCycle.find(ctx.reader, ctx.site.id)
        if not found.is_ending:
            raise NotFound("Nobody asked for the deletion of this site")
        return Data(json_fragments.dumps(found.document()))

    @needs(OWNER, body=DeletionBody, status=302)
    def post(self, ctx: Context, sent: DeletionBody) -> Result:
        """Close the site, and delete it with all that it holds in 30 days. Until then its owner can export the site and
        withdraw the deletion.

        The request needs a sign-in within the last ten minutes, else 403 with code 26, and a code of the second factor
        of owners who have one, else 400. The owner gets a mail now, a week before the deletion, and after it. Answers
        302 to the deletion.
        """
        author = ctx.author
        _check_proof(ctx, given(sent.secondFactor, ""))
        _set(ctx, author, EXPORT_WINDOW, is_operators=False)
        return Found(_DELETION)

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Withdraw the deletion: the site gets the state that it had before; 200 also if nobody asked for one. 403 for
        a deletion that an operator of the platform asked for, 409 once it has begun.
        """
        now = SiteLifeCycle.find(ctx.writer, ctx.site.id)
        if now.is_ending:
            author = ctx.author
            ctx.end_writer()
            _set(ctx, author, now.before, is_operators=False)
        return Done()


class SiteStateHandler(Handler):
    """The state of the site that the address names, on the platform's host."""

    takes_idempotency_key = False
    also_answers: ClassVar = {"PUT": (409,)}

    @needs(LOGIN, answer=schemas.SiteState)
    def get(self, ctx: Context) -> Result:
        """The site's state; 403 for all but the site's owner and the platform's operators, 404, for operators, if there
        never was such a site or all of it is deleted.
        """
        site = ctx.app.sites.by_id(ctx.args["item"].id, ctx.reader)
        if not _is_operator(ctx) and not (site and is_users(ctx, site.owner_user_id)):
            raise Forbidden(
                "Only the owner of the site and operators may see this", code=NEEDS_OWNER
            )
        known(site, "site")
        return Data(
            json_fragments.dumps(SiteLifeCycle.find(ctx.reader, ctx.args["item"].id).document())
        )

    @needs(LOGIN, body=StateBody, status=302)
    def put(self, ctx: Context, sent: StateBody) -> Result:
        """Set the site's state, whatever its owner has set; 403 for all but the platform's operators.

        `read-only`: nothing is written; `suspended`: nobody gets in but its owner, who may export it; `export-window`:
        the same for 30 days, then the site is deleted; `active` ends each of these. `export-window` needs a sign-in
        within the last ten minutes, else 403 with code 26, and the second factor of operators who have one, else 400.
        409 once the site's deletion has begun. Answers 302 to the state.
        """
        check_admin(ctx)
        site_id = ctx.args["item"].id
        author = Author(site_id, 0, ctx.ip, f"user {ctx.identity.user_id}")
        if sent.state == EXPORT_WINDOW:
            _check_proof(ctx, given(sent.secondFactor, ""))
        else:
            ctx.end_writer()
        _set(ctx, author, sent.state, is_operators=True)
        return Found(f"/api/v1/sites/{site_id}/state")


def _is_operator(ctx: Context) -> bool:
    return ctx.identity.user_id in ctx.app.config.admin_user_ids


def _check_proof(ctx: Context, code: str) -> None:
    """Check that the caller has signed in within the last ten minutes and, with a second factor, has sent its `code`,
    which is used up. The request's transaction is ended and each try of a code committed, so that a wrong one counts
    too. Raises Forbidden for an older sign-in, Invalid for a missing or wrong code, TooMany after too many tries.
    """
    session = FreshSignIn.find(ctx.reader, ctx.identity)
    session.check()
    database = ctx.app.database
    ctx.end_writer()
    if session.has_factor:
        with database.write() as tx:
            count_try(tx, session.user_id)
        with database.write() as tx:
            if not Totp.use_code(tx, session.user_id, code):
                raise Invalid("secondFactor", "is required, and is wrong, used or expired")


def _set(ctx: Context, author: Author, state: str, *, is_operators: bool) -> None:
    """Give the author's site a state, in a transaction of its own, and read the site anew in this process; where its
    export window begins or is cancelled, a mail to the owner is queued. `is_operators`: an operator of the platform
    makes the change, not the owner.

    Raises NotFound for an unknown site, Forbidden for the platform's own and for an owner who ends what an operator
    began, Conflict once the site's deletion has begun.
    """
    with ctx.app.database.write() as tx:
        site_state_mail.change(tx, ctx.app.config, author, state, is_operators=is_operators)
        tx.after_commit(ctx.app.mail.wake)
    ctx.app.sites.forget(author.site_id)
