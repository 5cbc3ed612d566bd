"""Users: adding them to a site by e-mail address, singly or in batches, reading one, and erasing one's own account.
Wire: docs/api/users.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr
from typing import ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import (
    NO_UPDATE,
    OUT_OF_RANGE,
    Forbidden,
    Invalid,
    InvalidRows,
    NotImplementedHere,
)
from forumapi.handlers.people import erasures, profiles
from forumapi.mail import outbox
from forumapi.models.access import permission_target
from forumapi.models.people import bulk_users, user
from forumapi.models.people.bulk_users import MemberRow
from forumapi.models.usage.site_plan import INVITATIONS, MEMBERS
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.csv_upload import CsvBody
from forumapi.request.handler import ANYONE, OWNER, READ, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.text import email_address
from forumapi.updates import site_invitation_mail
from forumapi.wire import json_fragments
from forumapi.wire.schemas import people as schemas

# Users of one POST, whose profiles all come back; rows of one batch (P-28).
MOST_USERS: Final = 250
MOST_ROWS: Final = 10_000

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_NO_ADDRESS: Final = "must be an e-mail address"
_NO_FLAG: Final = "must be true or false"


class UserBody(Struct):
    """User to add to the site, by e-mail address."""

    email: str | UnsetType = UNSET


class MemberBody(Struct):
    """Entry of a batch: a user to add to the site. `isMember`: true sets the flag `member` of the user's profile, false
    takes it away.
    """

    email: str | UnsetType = UNSET
    isMember: bool | UnsetType = UNSET


class UsersHandler(Handler):
    """Adding of users to the site by their e-mail addresses, for its owner."""

    closed_in_sandboxes = ("POST",)

    @needs(OWNER, body=list[UserBody], answer=list[schemas.Profile])
    def post(self, ctx: Context, sent: list[UserBody]) -> Result:
        """Add up to 250 users, each with a profile on this site; the data are their profiles, in the order sent, each
        person once.

        A user or profile that exists already stays as it is. 400, and nobody is added, for none or more than 250
        entries, and for wrong addresses, which are all named; 403, and nobody is added, beyond the members of the
        site's plan.
        """
        if not 1 <= len(sent) <= MOST_USERS:
            raise Invalid("body", f"must name 1 to {MOST_USERS} users", code=OUT_OF_RANGE)
        addresses = [one.email if isinstance(one.email, str) else "" for one in sent]
        wrong = [
            (number, "email", _NO_ADDRESS)
            for number, address in enumerate(addresses, 1)
            if not email_address.valid(address.strip())
        ]
        if wrong:
            raise InvalidRows(wrong, len(sent))
        # First what the site has, which the new ones are then added to.
        ctx.app.plans.check(ctx.writer, ctx.site, MEMBERS, 0)
        people = bulk_users.find_or_create(
            ctx.writer, ctx.site, (one.strip() for one in addresses), ctx.author, is_import=False
        )
        new = sum(one.is_new_profile for one in people.values())
        ctx.app.plans.take(ctx.writer, ctx.site, MEMBERS, new)
        ids = [one.profile_id for one in people.values()]
        return Data(b"[%b]" % b",".join(profiles.shown(ctx, ids)))


class UserHandler(Handler):
    """One user, for that user, and for the owner of a site on which the user has a profile; others get 403, and so does
    everybody for a user without a profile here.

    The id in the address: if it is the id of the caller's own user, it means the caller, whatever profile has that id
    too; any other is the id of a profile on this site, and means its user. DELETE accepts the id of the caller's user
    alone.
    """

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"
    needs_no_consent = ("DELETE",)
    also_answers: ClassVar = {"PUT": (501,), "DELETE": (409,)}

    def admits_banned(self, ctx: Context) -> bool:
        """Return True for a write if the id in the address is that of the caller's user: banned people too may have
        their account erased.
        """
        return ctx.is_write and bool(ctx.args["item"].id == ctx.identity.user_id)

    def locate(self, ctx: Context) -> Located:
        """Find the user that the address names, as described in this class, without a lock; a missing one, or one
        without a profile on this site, is located as a target on which nobody has a right.
        """
        found = permission_target.find(
            ctx.reader,
            ctx.site.id,
            ctx.tree,
            ctx.identity.principal,
            itemtypes.USER,
            ctx.args["item"].id,
        )
        return Located(found.target)

    @needs(READ, answer=schemas.User)
    def get(self, ctx: Context) -> Result:
        """The user; a caller who is that user gets all keys, and the e-mail address as entered.

        The site's owner gets of other users only the id, gender and creation time of the profile on this site, and the
        address in the form that tells people apart (lower case, at Gmail without dots); the rest is null or left out.
        """
        tx, me = ctx.reader, ctx.identity
        if ctx.can & evaluator.OWNER:
            shown = user.find(tx, me.user_id)
        else:
            shown = user.find_here(tx, ctx.site.id, ctx.args["item"].id)
        return Data(json_fragments.dumps(shown))

    @needs(READ)
    def put(self, ctx: Context) -> Result:
        """Not implemented: 501 for the user, 403 for all others, the site's owner too."""
        _only_oneself(ctx)
        raise NotImplementedHere("Users can't be changed")

    @needs(ANYONE, answer=schemas.Erasure, params=erasures.WORDS)
    def delete(self, ctx: Context) -> Result:
        """Request that the caller's account be erased with all profiles in 30 days; until then the request can be
        withdrawn.

        With `words=remove` what the profiles have written is erased too, except on sites that keep it. The request
        needs a sign-in within the last ten minutes, else 403 with code 26. 403 unless the id in the address is that of
        the caller's user; 409 for the owner of a site. The answer is the request.
        """
        return erasures.request_account(ctx)


def _only_oneself(ctx: Context) -> None:
    if not ctx.can & evaluator.OWNER:
        raise Forbidden("Only the user may do this", code=NO_UPDATE)


# ---------------------------------------------------------------- the batch


class UsersBatchHandler(Handler):
    """Adding of many users with the flag `member` of their profiles, as JSON or CSV: all entries of a batch or none
    (P-28). For the site's owner.
    """

    closed_in_sandboxes = ("POST",)
    also_reads: ClassVar = {"POST": ("text/csv",)}
    also_answers: ClassVar = {"POST": (501,)}

    def receive(self, ctx: Context) -> bool:
        """Parse a CSV body while it arrives, without a database connection, set `ctx.body` to its checked entries and
        `ctx.raw_body` to its digest, and return True; False for a body of another type, which is not read.

        Raises InvalidRows for wrong entries, Invalid for too many or a malformed body, TooLarge beyond
        `import_body_limit`.
        """
        kind = ctx.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if kind != "text/csv":
            return False
        sent = CsvBody(ctx.environ, ctx.app.config.import_body_limit)
        ctx.body = _checked(_csv_entries(sent))
        ctx.raw_body = sent.digest
        return True

    @needs(
        OWNER,
        body=list[MemberBody],
        answer=schemas.BatchReport | None,
        params=(
            Param("report", bool, "Answer with what became of each row."),
            Param("invite", bool, "Send a mail to everybody who gets a profile by this."),
        ),
    )
    def post(self, ctx: Context, sent: list[MemberBody] | list[MemberRow]) -> Result:
        """Add up to 10,000 users and set the flag `member` of their profiles; the same batch again changes nothing.

        As JSON `[{"email": ..., "isMember": ...}]`, as CSV lines of address and flag. Of several entries for one person
        the last counts. If an entry is wrong, nothing is changed, and `data.rows` of the answer names field and rule of
        each wrong entry. With `report` the data tell what became of each entry. With `invite` new profiles are invited
        by mail, up to a daily limit of the owner and the site: 429 for more than are left today, 400 for more than a
        day allows, 501 where no mail is sent. People who refused invitations, or were invited to this site before, get
        none. 403 beyond the members of the site's plan.
        """
        rows = [one for one in sent if isinstance(one, MemberRow)]
        if not rows:
            rows = _checked(_json_entries(one for one in sent if isinstance(one, MemberBody)))
        if not rows:
            raise Invalid("body", "must have at least one row", code=OUT_OF_RANGE)
        invites, reports = bool(ctx.flag("invite")), bool(ctx.flag("report"))
        if invites and not outbox.is_possible(ctx.app.config):
            raise NotImplementedHere("Sending mail is not configured here")
        plans = ctx.app.plans
        plans.check(ctx.writer, ctx.site, MEMBERS, 0)
        report = bulk_users.enrol(ctx.writer, ctx.site, rows, ctx.author)
        plans.take(ctx.writer, ctx.site, MEMBERS, len(report.new))
        invited = report.new if invites else []
        if invited:
            plans.take(ctx.writer, ctx.site, INVITATIONS, len(invited))
            site_invitation_mail.send(
                ctx.writer,
                ctx.app.config,
                ctx.site,
                ctx.identity.user_id,
                invited,
                ctx.front_end,
            )
            ctx.writer.after_commit(ctx.app.mail.wake)
        return Data(json_fragments.dumps(_document(report, len(invited)))) if reports else Done()


# (row, address, flag or None where it is no flag)
_Entry = tuple[int, str, bool | None]


def _json_entries(sent: Iterable[MemberBody]) -> Iterable[_Entry]:
    for number, one in enumerate(sent, 1):
        address = one.email if isinstance(one.email, str) else ""
        yield number, address.strip(), one.isMember if isinstance(one.isMember, bool) else None


def _csv_entries(sent: CsvBody) -> Iterable[_Entry]:
    """Yield (line, address, `member`) of each record of a CSV body; `member` is None for a text that is no boolean.
    `line`: number of the record's last line.

    Of `Name <address>` the address is taken; further fields are not looked at. A record with an empty address or flag
    is skipped (platform 4.1). Raises InvalidRows for a record of fewer than two fields.
    """
    for line, fields in sent.records():
        if len(fields) < 2:
            raise InvalidRows([(line, "body", "must have an address and a flag")], line)
        address, flag = fields[0].strip(), fields[1].strip()
        if not address or not flag:
            continue
        if "<" in address:
            address = parseaddr(address)[1]
        yield line, address, True if flag in _TRUE else False if flag in _FALSE else None


def _checked(entries: Iterable[_Entry]) -> list[MemberRow]:
    """Return the entries (row of JSON or line of CSV, address, flag `member`) of a batch in its order, checked; an
    address that the batch has twice is returned twice. Raises InvalidRows, which names every wrong entry, and Invalid
    for too many.
    """
    rows: list[MemberRow] = []
    wrong: list[tuple[int, str, str]] = []
    count = 0
    for number, address, flag in entries:
        count += 1
        if count > MOST_ROWS:
            raise Invalid("body", f"may have at most {MOST_ROWS} rows", code=OUT_OF_RANGE)
        if not email_address.valid(address):
            wrong.append((number, "email", _NO_ADDRESS))
        if flag is None:
            wrong.append((number, "isMember", _NO_FLAG))
        else:
            rows.append(MemberRow(number, address, flag))
    if wrong:
        raise InvalidRows(wrong, count)
    return rows


def _document(report: bulk_users.BatchReport, invited: int) -> dict[str, object]:
    outcomes = [outcome for _, _, outcome in report.rows]
    return {
        "profiles": len(report.new),
        "granted": outcomes.count("granted"),
        "revoked": outcomes.count("revoked"),
        "unchanged": outcomes.count("unchanged"),
        "folded": outcomes.count("folded"),
        "invited": invited,
        "rows": [
            {"row": row, "profileId": profile_id, "outcome": outcome}
            for row, profile_id, outcome in report.rows
        ],
    }
