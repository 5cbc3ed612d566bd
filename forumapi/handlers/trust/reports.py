"""Reports of content and people to moderators, as the reporter sees them. Wire: docs/api/moderation.md."""

from __future__ import annotations

from secrets import token_hex
from typing import Annotated, NamedTuple

from forumapi import itemtypes
from forumapi.errors import (
    NO_CREATE,
    OUT_OF_RANGE,
    SIGN_IN,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotImplementedHere,
    known,
)
from forumapi.handlers.sites.site_setting_base import lock_own
from forumapi.itemtypes import ItemRef
from forumapi.mail import outbox
from forumapi.models.access import permission_target, rate_counters
from forumapi.models.access.rate_counters import DAY_S, Limit
from forumapi.models.cases import site_report_kinds, unconfirmed_guest_report
from forumapi.models.cases.report import PATH, OwnReport, Report, ReportedThing
from forumapi.models.cases.unconfirmed_guest_report import GuestRequest
from forumapi.models.notifications.mail_suppression import Suppression
from forumapi.models.people import user
from forumapi.models.trust import dsa_terms
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import ANYONE, LOGIN, OWNER, READ, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.text import email_address
from forumapi.updates import appeal_and_report_links
from forumapi.wire import body
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed, closed_types
from forumapi.wire.schemas import trust as schemas

_MOST_TEXT = 2_000
_MOST_NAME = 100
# Requests of guests, before anything is confirmed.
_BY_NETWORK = Limit("guest-report-ip", 20, DAY_S)
_BY_ADDRESS = Limit("guest-report-address", 5, DAY_S)
REPORTABLE = frozenset(
    (
        itemtypes.COMMENT,
        itemtypes.CONVERSATION,
        itemtypes.EVENT,
        itemtypes.POLL,
        itemtypes.PROFILE,
    )
)
BEFORE = Param("before", int, "Where the page before ended, as its link `next` says.")
LIMIT = Param("limit", int, "Entries of a page: a multiple of 5 up to 250, 25 by default.")


class ReportBody(Body):
    """Report as a client sends it: the object, the kind of report, and a text of up to 2,000 characters.

    `kind`: one of the site's kinds, `other` when absent; `category`: of the Digital Services Act, by default that of
    the kind. A report of the kind `illegal` requires a `text`, and `goodFaith` to be true. `shownIds`: ids of comments
    to show to moderators, at most 10, in the huddle of the comment that is reported.
    """

    itemType: Annotated[str, closed_types(REPORTABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    category: Annotated[str, closed(dsa_terms.CATEGORIES)] | UnsetType = UNSET
    text: str | UnsetType = UNSET
    goodFaith: bool | UnsetType = UNSET
    shownIds: list[int] | UnsetType = UNSET


class GuestReportBody(ReportBody):
    """Report by a guest, with the guest's name and e-mail address. `goodFaith` is always required to be true."""

    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET


class ReportKindBody(Body):
    """Kind of reports, in the list that the site's owner sends. `category`: category of reports of this kind that name
    none.
    """

    kind: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    category: Annotated[str, closed(dsa_terms.CATEGORIES)] | UnsetType = UNSET


def named(item_type: str, item_id: int, field: str = "") -> ItemRef:
    """Return the object that a body names by the name of its type and its id; it is not looked up. `field`: prefix of
    names in errors, such as `targets[0].`.

    Raises Invalid for a type that reports and actions can't be about, and for an id below 1.
    """
    kind = itemtypes.BY_NAME.get(item_type.lower())
    if kind is None or kind.id not in REPORTABLE:
        raise Invalid(f"{field}itemType", "must be comment, conversation, event, poll or profile")
    if item_id <= 0:
        raise Invalid(f"{field}itemId", "must be a positive number", code=OUT_OF_RANGE)
    return ItemRef(kind.id, item_id)


class LocatedThing(Located):
    """Object that a report is about. `exists` False: there is no such object, or none whose existence the caller may
    learn.
    """

    __slots__ = ("exists",)

    exists: bool


def found_thing(ctx: Context, ref: ItemRef) -> LocatedThing:
    """Lock the object `ref`, of a type that can be reported, and return it as it exists for the caller.

    `exists` is False for an object that is missing, or of a type that the caller's token may not read.
    """
    principal = ctx.identity.principal
    permission_target.lock(ctx.writer, ctx.site.id, principal, *ref)
    place = permission_target.find(ctx.writer, ctx.site.id, ctx.tree, principal, *ref)
    exists = place.exists and ref.type in ctx.identity.kinds
    located = LocatedThing(
        place.target if exists else Target(ref.type, ref.id), is_hidden=place.is_hidden
    )
    located.exists = exists
    return located


class _Words(NamedTuple):
    kind: str
    category: str
    text: str


def _checked_words(ctx: Context, sent: ReportBody, *, is_guest: bool) -> _Words:
    """Return the kind, category and text of a report, checked. Raises Invalid for a bad one of these, for a report of
    illegal content without text, and without good faith where it is required: for illegal content, and with `is_guest`
    always.
    """
    name = body.given(sent.kind, "other")
    kinds = {kind.name: kind for kind in site_report_kinds.find(ctx.reader, ctx.site.id)}
    if name not in kinds:
        raise Invalid("kind", f"must be one of {', '.join(kinds)}")
    text = dsa_terms.checked_text(body.given(sent.text, ""), "text", _MOST_TEXT)
    category = dsa_terms.checked_category(body.given(sent.category, ""), kinds[name].category)
    is_illegal = name == dsa_terms.REPORT_ILLEGAL
    if is_illegal and not text:
        raise Invalid("text", "must say why this is illegal")
    if (is_illegal or is_guest) and body.given(sent.goodFaith, False) is not True:
        raise Invalid("goodFaith", "must be true: the report is accurate to your knowledge")
    return _Words(name, category, text)


class ReportsHandler(Handler):
    """The caller's own reports: their list, and making one."""

    needs_no_consent = ("POST",)

    def locate(self, ctx: Context) -> Located | None:
        """Lock the object that the body of a POST names; None for GET.

        Raises Invalid for a bad type or id, Forbidden for guests.
        """
        if not ctx.is_write:
            return None
        sent = ctx.body_as(ReportBody)
        ref = named(body.given(sent.itemType, ""), body.given(sent.itemId, 0))
        if ctx.identity.is_guest:
            raise Forbidden("Sign in to do this, or report as a guest", code=SIGN_IN)
        return found_thing(ctx, ref)

    @needs(LOGIN, answer=schemas.Reports, params=(LIMIT, BEFORE))
    def get(self, ctx: Context) -> Result:
        """The caller's reports with their outcomes, newest first."""
        ctx.check_paging()
        limit = ctx.paging.limit
        found = OwnReport.page(
            ctx.reader, ctx.site.id, ctx.identity.profile_id, ctx.number("before"), limit
        )
        before = found[limit - 1].id if len(found) > limit else 0
        return Data(ctx.keyset_listed("reports", [one.document() for one in found[:limit]], before))

    @needs(READ, body=ReportBody, status=302)
    def post(self, ctx: Context, sent: ReportBody) -> Result:
        """Report an object that the caller may read, and that is not the caller's own.

        A second report of the same object leads to the caller's first, or is 409 if the first names nobody any more,
        since its reporter's data was erased. 403 for an object that the caller may not read; also for one that never
        existed, but 404 if a profile was named or the caller is the site's owner; 404 for a hidden object, 400 for the
        caller's own. 429 beyond the 100 reports that one profile may make in a day. Answers 302 to the report.
        """
        if not ctx.located_as(LocatedThing).exists:
            raise NotFound("There is no such thing")
        target = ctx.target
        author_id = target.owner_ids[0]
        me = ctx.identity.profile_id
        if author_id == me:
            raise Invalid("itemId", "is your own")
        words = _checked_words(ctx, sent, is_guest=False)
        thing = ReportedThing(
            ItemRef(target.item_type, target.item_id), target.microcosm_id, author_id
        )
        shown = tuple(dict.fromkeys(body.given(sent.shownIds, [])))
        report = Report(thing, *words, shown_ids=shown)
        report.check_shown(ctx.writer, ctx.site.id, me)
        report.insert(ctx.writer, ctx.site.id, me)
        if not report.id:
            raise Conflict("You have reported this before you had your data erased")
        return Found(f"{PATH}/{report.id}")


class ReportHandler(Handler):
    """One of the caller's own reports; 404 for another person's."""

    @needs(LOGIN, answer=schemas.Report)
    def get(self, ctx: Context) -> Result:
        """The report, with the outcome of the case that it led to."""
        report = OwnReport.find(
            ctx.reader, ctx.site.id, ctx.identity.profile_id, ctx.args["report"]
        )
        return Data(dumps(known(report, "report").document()))


class GuestReportsHandler(Handler):
    """Sending of reports by guests; a report is made once the guest's e-mail address is confirmed."""

    closed_in_sandboxes = ("POST",)

    def locate(self, ctx: Context) -> Located:
        """Lock the object that the body names, as it exists for guests.

        Raises Invalid for a bad type or id, Forbidden for callers who are signed in.
        """
        sent = ctx.body_as(GuestReportBody)
        ref = named(body.given(sent.itemType, ""), body.given(sent.itemId, 0))
        if not ctx.identity.is_guest:
            raise Forbidden("You are signed in: report as yourself", code=NO_CREATE)
        return found_thing(ctx, ref)

    @needs(READ, body=GuestReportBody)
    def post(self, ctx: Context, sent: GuestReportBody) -> Result:
        """Mail a link to the guest's address; the report is made once the guest confirms on the link's page, within a
        day.

        403 for callers who are signed in, and for an object that guests may not read, 404 for a hidden one; 501 where
        no mail is sent; 400 for a report of something illegal without a name, except about child abuse; 429 beyond 5
        reports of one address or 20 of one network in a day. An address from which mail bounced gets none; the answer
        is the same. Answers 200 with `data` null.
        """
        if not ctx.located_as(LocatedThing).exists:
            raise NotFound("There is no such thing")
        if not outbox.is_possible(ctx.app.config):
            raise NotImplementedHere("No mail is sent here: sign in to report this")
        words = _checked_words(ctx, sent, is_guest=True)
        address = user.checked_email(body.given(sent.email, ""))
        name = dsa_terms.checked_text(body.given(sent.name, ""), "name", _MOST_NAME)
        if "\n" in name:
            raise Invalid("name", "must be one line")
        # The law asks for a name but where children are abused.
        if (
            words.kind == dsa_terms.REPORT_ILLEGAL
            and not name
            and words.category != dsa_terms.CHILD_SAFETY
        ):
            raise Invalid("name", "may not be empty for a report of something illegal")
        if body.given(sent.shownIds, []):
            raise Invalid("shownIds", "is for comments in huddles")
        tx, site, ref = ctx.writer, ctx.site, ctx.target
        key = email_address.same_person_key(address)
        rate_counters.take_client_address(tx, _BY_NETWORK, ctx.ip)
        rate_counters.take(tx, _BY_ADDRESS, key)
        asked = GuestRequest(key, address, name, ref.item_type, ref.item_id, *words)
        secret = asked.insert(tx, site.id)
        if Suppression.find(tx, key) is None:
            title = outbox.plain(site.title)
            thing = itemtypes.href(ref.item_type, ref.item_id).removeprefix("/api/v1")
            outbox.queue_notice(
                tx,
                "decisions/guest_request",
                cause=f"{unconfirmed_guest_report.KIND}:{token_hex(16)}",
                site_id=site.id,
                recipient=address,
                subject=f"Confirm your report - {title}",
                site_title=title,
                thing_url=site.page(f"{thing}/"),
                kind=itemtypes.name_of(ref.item_type),
                hours=unconfirmed_guest_report.HOURS,
                url=f"{site.origin}{appeal_and_report_links.REPORT_PATH}?code={secret}",
            )
        return Done()


class ReportKindsHandler(Handler):
    """The kinds of reports that the site offers."""

    @needs(ANYONE, answer=list[schemas.ReportKind])
    def get(self, ctx: Context) -> Result:
        """The kinds, in the order that the site's owner chose; the platform's kinds if the owner has set none."""
        kinds = site_report_kinds.find(ctx.reader, ctx.site.id)
        return Data(dumps([kind.document for kind in kinds]))

    @needs(OWNER, body=list[ReportKindBody])
    def put(self, ctx: Context, sent: list[ReportKindBody]) -> Result:
        """Replace the site's kinds, at most 30, among which `illegal` must be.

        400 for more than 30, without `illegal`, for a kind that is named twice, and for a bad kind, title or category.
        Answers 200 with `data` null.
        """
        given = [
            {
                "kind": body.given(one.kind, ""),
                "title": body.given(one.title, ""),
                "category": body.given(one.category, ""),
            }
            for one in sent
        ]
        checked = site_report_kinds.checked(given)
        lock_own(ctx)
        site_report_kinds.put(ctx.writer, ctx.author, checked)
        return Done()

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Delete the site's own kinds, so that the platform's apply again; 200 also if there are none."""
        lock_own(ctx)
        site_report_kinds.delete(ctx.writer, ctx.author)
        return Done()
