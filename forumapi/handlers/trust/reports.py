"""Reports of content and people to moderators, as the reporter sees them. Wire: docs/api/moderation.md."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, SIGN_IN, Forbidden, Invalid, NotFound, known
from forumapi.itemtypes import ItemRef
from forumapi.models.access import permission_target
from forumapi.models.trust import legal_terms
from forumapi.models.trust.report import PATH, OwnReport, Report, ReportedThing
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, READ, Handler, Param, needs
from forumapi.request.response import Data, Found, Result
from forumapi.wire import body
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import trust as schemas

_MOST_TEXT = 2_000
_TYPES = frozenset(
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
    """Report as a client sends it: the object, the kind of complaint, and a text.

    `goodFaith`: required to be true for a report of illegal content.
    """

    itemType: str | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    goodFaith: bool | UnsetType = UNSET


def named(item_type: str, item_id: int, field: str = "") -> ItemRef:
    """Return the object that a body names, if reports and actions can be about its type. `field`: prefix of names in
    errors.

    Raises Invalid.
    """
    kind = itemtypes.BY_NAME.get(item_type.lower())
    if kind is None or kind.id not in _TYPES:
        raise Invalid(f"{field}itemType", "must be comment, conversation, event, poll or profile")
    if item_id <= 0:
        raise Invalid(f"{field}itemId", "must be a positive number", code=OUT_OF_RANGE)
    return ItemRef(kind.id, item_id)


class LocatedThing(Located):
    """Object that a report is about. `exists` False: there is no such object, or none that the caller may know of."""

    __slots__ = ("exists",)

    exists: bool


class ReportsHandler(Handler):
    """The caller's own reports."""

    def locate(self, ctx: Context) -> Located | None:
        """Lock the object that the body of a POST names; None for GET.

        Raises Invalid for a bad type or id, Forbidden for guests.
        """
        if not ctx.is_write:
            return None
        sent = ctx.body_as(ReportBody)
        ref = named(body.given(sent.itemType, ""), body.given(sent.itemId, 0))
        principal = ctx.identity.principal
        if ctx.identity.is_guest:
            raise Forbidden("Sign in to do this", code=SIGN_IN)
        permission_target.lock(ctx.writer, ctx.site.id, principal, *ref)
        place = permission_target.find(ctx.writer, ctx.site.id, ctx.tree, principal, *ref)
        exists = place.exists and ref.type in ctx.identity.kinds
        located = LocatedThing(
            place.target if exists else Target(ref.type, ref.id), is_hidden=place.is_hidden
        )
        located.exists = exists
        return located

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

        A second report of the same object leads to the caller's first.
        """
        if not ctx.located_as(LocatedThing).exists:
            raise NotFound("There is no such thing")
        target = ctx.target
        author_id = target.owner_ids[0]
        me = ctx.identity.profile_id
        if author_id == me:
            raise Invalid("itemId", "is your own")
        kind = body.given(sent.kind, "other")
        if kind not in legal_terms.KINDS:
            raise Invalid("kind", f"must be one of {', '.join(legal_terms.KINDS)}")
        text = legal_terms.checked_text(body.given(sent.text, ""), "text", _MOST_TEXT)
        category = legal_terms.checked_category(
            body.given(sent.category, ""), legal_terms.KINDS[kind]
        )
        if kind == legal_terms.REPORT_ILLEGAL:
            if not text:
                raise Invalid("text", "must say why this is illegal")
            if body.given(sent.goodFaith, False) is not True:
                raise Invalid("goodFaith", "must be true: the report is accurate to your knowledge")
        thing = ReportedThing(
            ItemRef(target.item_type, target.item_id), target.microcosm_id, author_id
        )
        report = Report(thing, kind, category, text)
        report.insert(ctx.writer, ctx.site.id, me)
        return Found(f"{PATH}/{report.id}")


class ReportHandler(Handler):
    """One of the caller's own reports; 404 for another's."""

    @needs(LOGIN, answer=schemas.Report)
    def get(self, ctx: Context) -> Result:
        """The report, with the outcome of the case that it led to."""
        report = OwnReport.find(
            ctx.reader, ctx.site.id, ctx.identity.profile_id, ctx.args["report"]
        )
        return Data(dumps(known(report, "report").document()))
