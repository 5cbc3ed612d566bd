"""Reports. Wire: docs/api/moderation.md."""

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
    """A report as a client sends it."""

    itemType: str | UnsetType = UNSET
    itemId: int | UnsetType = UNSET
    kind: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    goodFaith: bool | UnsetType = UNSET


def named(item_type: str, item_id: int, field: str = "") -> ItemRef:
    """Return the thing that a body names by type and id. Raises Invalid, whose field is below `field`."""
    kind = itemtypes.BY_NAME.get(item_type.lower())
    if kind is None or kind.id not in _TYPES:
        raise Invalid(f"{field}itemType", "must be comment, conversation, event, poll or profile")
    if item_id <= 0:
        raise Invalid(f"{field}itemId", "must be a positive number", code=OUT_OF_RANGE)
    return ItemRef(kind.id, item_id)


class LocatedThing(Located):
    """Thing that a body names; `exists` False: for the caller there is no such thing."""

    __slots__ = ("exists",)

    exists: bool


class ReportsHandler(Handler):
    """Reports by the caller."""

    def locate(self, ctx: Context) -> Located | None:
        """Lock and find the thing that the body names, as far as it exists for the caller. Raises Invalid."""
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
        """The caller's own reports with their outcome, newest first."""
        ctx.check_paging()
        limit = ctx.paging.limit
        found = OwnReport.page(
            ctx.reader, ctx.site.id, ctx.identity.profile_id, ctx.number("before"), limit
        )
        before = found[limit - 1].id if len(found) > limit else 0
        return Data(ctx.keyset_listed("reports", [one.document() for one in found[:limit]], before))

    @needs(READ, body=ReportBody, status=302)
    def post(self, ctx: Context, sent: ReportBody) -> Result:
        """Report a thing that the caller may read. A second report of the same leads to the first one."""
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
    """One report by the caller."""

    @needs(LOGIN, answer=schemas.Report)
    def get(self, ctx: Context) -> Result:
        """The report with the outcome of its case: the receipt."""
        report = OwnReport.find(
            ctx.reader, ctx.site.id, ctx.identity.profile_id, ctx.args["report"]
        )
        return Data(dumps(known(report, "report").document()))
