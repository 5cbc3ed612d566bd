"""Requests to erase the caller's profile or account, and their withdrawal. Wire: docs/api/persons.md."""

from __future__ import annotations

import secrets
from typing import Final

from forumapi import itemtypes
from forumapi.errors import NO_DELETE, SIGN_IN, Forbidden, NotFound
from forumapi.mail import outbox
from forumapi.models.access.account_change_user import AccountChangeUser
from forumapi.models.access.fresh_sign_in import FreshSignIn
from forumapi.models.journal import journal
from forumapi.models.privacy import erasure_request
from forumapi.models.privacy.erasure_request import ErasureRequest
from forumapi.models.privacy.quotation_page import Quotation
from forumapi.permissions.evaluator import GUEST_CALLER
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import people as schemas

WORDS: Final = (
    Param(
        "words",
        str,
        "keep (default): what was written stays, without its author; or remove.",
        erasure_request.WORDS,
    ),
)


def request(ctx: Context) -> Result:
    """Request the erasure of the profile in the address after 30 days; answer with the request. Queues a mail about it
    to the person.

    The query's `words`: `keep`, the default, what the profile wrote stays, without its author; `remove`, what it wrote
    is erased too. A pending request gets the new choice and a new time. Raises Forbidden unless the profile is the
    caller's, and without a sign-in on the platform within the last ten minutes; Conflict for the site's owner; Invalid
    for another value of `words`, and for `remove` on a site whose owner lets the words of erased people stay.
    """
    check_own(ctx)
    words = erasure_request.checked_words(ctx.query.get("words", ""))
    person = _fresh(ctx)
    ErasureRequest.insert(ctx.writer, ctx.site.id, ctx.identity.profile_id, words)
    _notify(ctx, person, f"Your profile on {outbox.plain(ctx.site.title)} is going to be erased")
    return _show_profile(ctx)


def request_account(ctx: Context) -> Result:
    """Request the erasure of the user in the address, with all profiles, after 30 days; answer with the request. Queues
    a mail about it to the person.

    The query's `words`: `keep`, the default, what the profiles wrote stays, without its author; `remove`, what they
    wrote is erased too. A pending request gets the new choice and a new time. Raises Forbidden unless the user is the
    caller, and without a sign-in on the platform within the last ten minutes; Conflict for the owner of a site; Invalid
    for another value of `words`.
    """
    _check_own_account(ctx)
    words = erasure_request.checked_words(ctx.query.get("words", ""))
    person = _fresh(ctx)
    ErasureRequest.insert_account(ctx.writer, person.user_id, words)
    _notify(ctx, person, "Your account is going to be erased on all sites")
    return _show_account(ctx)


def _fresh(ctx: Context) -> FreshSignIn:
    person = FreshSignIn.find(ctx.writer, ctx.identity)
    person.check()
    return person


def check_own(ctx: Context) -> None:
    """Check that the profile in the address is the caller's. Raises Forbidden for guests and for any other id, whether
    or not it exists.
    """
    if ctx.identity.is_guest:
        raise Forbidden("Sign in to do this", code=SIGN_IN)
    if ctx.args["item"].id != ctx.identity.profile_id:
        raise Forbidden("Only the profile itself may do this", code=NO_DELETE)


def _notify(ctx: Context, person: FreshSignIn, text: str) -> None:
    """Record a request of erasure in the audit, and, if mail is configured, queue a mail to the person concerned, since
    somebody else may have made the request with the person's session. `text`: what is going to be erased, as plain
    text: the mail's subject, which its body repeats.
    """
    journal.record(ctx.writer, ctx.author, journal.PATCHED, itemtypes.AUTH, ctx.identity.profile_id)
    if not outbox.is_possible(ctx.app.config):
        return
    outbox.queue_notice(
        ctx.writer,
        "erasure",
        cause=f"erasure:{secrets.token_hex(16)}",
        site_id=ctx.site.id,
        recipient=person.email,
        subject=text,
        what=text,
        days=erasure_request.DAYS,
        site_title=outbox.plain(ctx.site.title),
    )
    ctx.writer.after_commit(ctx.app.mail.wake)


def _show_profile(ctx: Context) -> Result:
    me = ctx.identity.profile_id
    tx = ctx.writer if ctx.is_write else ctx.reader
    found = ErasureRequest.find(tx, ctx.site.id, me)
    return _shown(found, f"{itemtypes.href(itemtypes.PROFILE, me)}/erasure")


def _show_account(ctx: Context) -> Result:
    me = ctx.identity.user_id
    tx = ctx.writer if ctx.is_write else ctx.reader
    found = ErasureRequest.find_account(tx, me)
    return _shown(found, f"{itemtypes.href(itemtypes.USER, me)}/erasure")


def _shown(found: ErasureRequest | None, href: str) -> Result:
    if found is None:
        raise NotFound("No erasure is waiting")
    return Data(dumps(found.document(href)))


class ProfileErasureHandler(Handler):
    """The pending request to erase the profile in the address, to be read or withdrawn; 403 unless the profile is the
    caller's.
    """

    needs_no_consent = ("DELETE",)

    def admits_banned(self, ctx: Context) -> bool:
        """Return True for every request: callers who are banned too may have their data erased."""
        return True

    @needs(ANYONE, answer=schemas.Erasure)
    def get(self, ctx: Context) -> Result:
        """The pending request to erase the caller's profile, with the time when it is carried out; 404 if none is
        pending.
        """
        check_own(ctx)
        return _show_profile(ctx)

    @needs(ANYONE)
    def delete(self, ctx: Context) -> Result:
        """Withdraw the request, so that the caller's profile stays; 404 if none is pending, or its
        execution has begun.
        """
        check_own(ctx)
        if not ErasureRequest.delete(ctx.writer, ctx.site.id, ctx.identity.profile_id):
            raise NotFound("No erasure is waiting")
        journal.record(
            ctx.writer, ctx.author, journal.PATCHED, itemtypes.AUTH, ctx.identity.profile_id
        )
        return Done()


class AccountErasureHandler(Handler):
    """The pending request to erase the account of the user in the address, to be read or withdrawn; 403 unless the user
    is the caller, with a token that is limited neither to a site nor to scopes.
    """

    needs_no_consent = ("DELETE",)

    def admits_banned(self, ctx: Context) -> bool:
        """Return True for every request: callers who are banned too may have their data erased."""
        return True

    @needs(ANYONE, answer=schemas.Erasure)
    def get(self, ctx: Context) -> Result:
        """The pending request to erase the caller's account, with the time when it is carried out; 404 if none is
        pending.
        """
        _check_own_account(ctx)
        return _show_account(ctx)

    @needs(ANYONE)
    def delete(self, ctx: Context) -> Result:
        """Withdraw the request, so that the caller's account stays; 404 if none is pending, or its
        execution has begun.
        """
        _check_own_account(ctx)
        if not ErasureRequest.delete_account(ctx.writer, ctx.identity.user_id):
            raise NotFound("No erasure is waiting")
        journal.record(
            ctx.writer, ctx.author, journal.PATCHED, itemtypes.AUTH, ctx.identity.profile_id
        )
        return Done()


def _check_own_account(ctx: Context) -> None:
    if ctx.identity.is_guest:
        raise Forbidden("Sign in to do this", code=SIGN_IN)
    if ctx.args["item"].id != ctx.identity.user_id:
        raise Forbidden("Only the user may do this", code=NO_DELETE)
    AccountChangeUser.find(ctx.reader, ctx.identity)


_NEWEST: Final = 2**62


class QuotationsHandler(Handler):
    """Comments by others that quote the caller, and that an erasure of the caller does not change; 403 unless the
    profile in the address is the caller's.
    """

    def admits_banned(self, ctx: Context) -> bool:
        """Return True for every request: callers who are banned too may have their data erased, and learn here what
        stays.
        """
        return True

    @needs(ANYONE, answer=schemas.Quotations, params=(Param("before", int, "Older than this id."),))
    def get(self, ctx: Context) -> Result:
        """Replies by others, with quoted lines, to comments of the caller's, newest first: their ids and times, not
        their texts; only those that the caller may read, and for banned callers only those that guests may read.
        """
        check_own(ctx)
        limit = ctx.paging.limit
        principal = ctx.identity.principal
        viewer = GUEST_CALLER if principal.is_site_banned else principal
        found = Quotation.page(
            ctx.reader,
            ctx.site.id,
            ctx.identity.profile_id,
            ctx.tree.view(viewer).ids,
            ctx.number("before") or _NEWEST,
            limit + 1,
        )
        items = [one.document() for one in found[:limit]]
        before = found[limit - 1].comment_id if len(found) > limit else 0
        return Data(ctx.keyset_listed("quotations", items, before))
