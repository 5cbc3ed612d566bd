"""Cases, which reports lead to: their queue, lease, notes, and decision without an action. Wire:
docs/api/moderation.md.
"""

from __future__ import annotations

from typing import Annotated, Final

from forumapi import itemtypes
from forumapi.checks import check_queue
from forumapi.errors import OUT_OF_RANGE, Invalid, known
from forumapi.handlers.trust import moderation_reach
from forumapi.handlers.trust.reports import LIMIT, REPORTABLE
from forumapi.itemtypes import ItemRef
from forumapi.models.cases import case_page
from forumapi.models.cases.case import DISMISSED, PATH, Case
from forumapi.models.cases.case_page import PRIORITIES, SOURCES, CaseFilters, QueueCursor, ShownCase
from forumapi.models.journal import audit_chain
from forumapi.models.people import profile_summary
from forumapi.models.trust import dsa_terms
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import body, paging
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed, type_names
from forumapi.wire.schemas import trust as schemas

_MOST_NOTE: Final = 2_000


def locked(ctx: Context, id: int) -> Case:
    """Lock the case `id` until the transaction ends.

    Raises Forbidden for callers who moderate nothing, NotFound for a case that does not exist or that the caller may
    not decide.
    """
    moderated = moderation_reach.required(ctx)
    identity = ctx.identity
    case = Case.lock(
        ctx.writer, ctx.site.id, id, identity.profile_id, moderated, sorted(identity.kinds)
    )
    return known(case, "case")


def found(ctx: Context, id: int, moderated: list[int]) -> ShownCase:
    """Read the case `id`, without a lock. `moderated`: what the caller moderates, as `moderation_reach.find` returns
    it.

    Raises NotFound for a case that does not exist or that the caller may not decide: it is about something outside of
    `moderated`, of the caller's own, or of a type that the token may not read.
    """
    identity = ctx.identity
    return known(
        case_page.find(ctx.reader, ctx.site.id, id, identity.profile_id, moderated, identity.kinds),
        "case",
    )


class CasesHandler(Handler):
    """Queue of the cases that the caller may decide: those about things in microcosms that the caller moderates, but
    not about the caller's own.
    """

    @needs(
        LOGIN,
        answer=schemas.Cases,
        params=(
            LIMIT,
            Param("after", str, "Where the page before ended, as its link `next` says."),
            Param(
                "state",
                str,
                "`open`, which is meant without it, or `decided`.",
                ("open", "decided"),
            ),
            Param("priority", str, "`urgent`, `high` or `normal`.", PRIORITIES),
            Param(
                "itemType", str, "Cases about things of this type alone.", type_names(REPORTABLE)
            ),
            Param("microcosmId", int, "Cases about things in this microcosm alone."),
            Param("mine", bool, "Cases that the caller has taken."),
            Param("assigned", bool, "Cases that are assigned to the caller."),
            Param("overdue", bool, "Cases whose due time has passed."),
            Param("source", str, "`reports`, `hold` or `appeal`: what the case has.", SOURCES),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The open cases, the most urgent first, of these the oldest; or with `state=decided` the decided cases, newest
        case first, where a page that is short or empty may have a link `next` too.

        Only cases that fit `priority`, `itemType`, `microcosmId` and `source` (reports, hold or appeal); `mine`: only
        cases whose lease the caller has; `assigned`: only cases assigned to the caller; `overdue`: only cases whose due
        time has passed. 403 for callers who moderate nothing.
        """
        moderated = moderation_reach.required(ctx)
        query = ctx.query
        filters = CaseFilters(
            case_page.is_decided(query.get("state", "")),
            _priority(query.get("priority", "")),
            _item_type(query.get("itemType", "")),
            ctx.number("microcosmId"),
            bool(ctx.flag("mine")),
            bool(ctx.flag("assigned")),
            bool(ctx.flag("overdue")),
            _source(query.get("source", "")),
        )
        after = QueueCursor.read(query.get("after", ""))
        limit = paging.parse(query.get("limit", ""), "").limit
        identity = ctx.identity
        shown, onwards = case_page.queue(
            ctx.reader,
            ctx.site.id,
            identity.profile_id,
            moderated,
            identity.kinds,
            filters,
            after,
            limit,
        )
        people = profile_summary.summaries(
            ctx.reader,
            ctx.app.documents,
            ctx.site.id,
            {id for one in shown for id in one.people},
        )
        links = [{"rel": "self", "href": paging.href(ctx.path, ctx.pairs)}]
        if onwards is not None:
            following = paging.href(ctx.path, ctx.pairs, after=onwards.text)
            links.append({"rel": "next", "href": following})
        items = [one.document(people) | {"meta": {"links": one.links()}} for one in shown]
        page = {"limit": limit, "links": links, "type": PATH, "items": items}
        return Data(dumps({"cases": page, "meta": {"links": links[:1]}}))


def _priority(text: str) -> int | None:
    if not text:
        return None
    if text not in PRIORITIES:
        raise Invalid("priority", f"must be one of {', '.join(PRIORITIES)}", code=OUT_OF_RANGE)
    return PRIORITIES.index(text)


def _source(text: str) -> str:
    if text and text not in SOURCES:
        raise Invalid("source", f"must be one of {', '.join(SOURCES)}", code=OUT_OF_RANGE)
    return text


def _item_type(text: str) -> int:
    if not text:
        return 0
    kind = itemtypes.BY_NAME.get(text.lower())
    if kind is None or kind.id not in REPORTABLE:
        raise Invalid("itemType", "must be comment, conversation, event, poll or profile")
    return kind.id


class CaseHandler(Handler):
    """One case; 404 for one that the caller may not decide, 403 for callers who moderate nothing."""

    @needs(LOGIN, answer=schemas.Case)
    def get(self, ctx: Context) -> Result:
        """The case with its reports and notes, oldest first, up to 500 of each, and the ids of the actions on it; and,
        if a rule or check holds the object of the case, with the last verdicts of checks on that object.
        """
        moderated = moderation_reach.required(ctx)
        tx, site_id = ctx.reader, ctx.site.id
        shown = found(ctx, ctx.args["case"], moderated)
        parts = case_page.parts(tx, site_id, shown.id)
        people = profile_summary.summaries(
            tx, ctx.app.documents, site_id, shown.people | parts.people
        )
        checks = (
            check_queue.verdicts(tx, site_id, shown.item_type, shown.item_id)
            if shown.is_held
            else []
        )
        data = shown.document(people) | parts.documents(people, checks)
        return Data(dumps(data | {"meta": {"links": shown.links()}}))


class CaseLeaseHandler(Handler):
    """Taking and giving back of the lease of a case, by which one moderator at a time works on the case; 404 for a case
    that the caller may not decide, 403 for callers who moderate nothing.
    """

    @needs(LOGIN)
    def put(self, ctx: Context) -> Result:
        """Take the lease for 15 minutes from now, or prolong it; 409 if another moderator has it or the case is
        decided.

        Answers 200 with `data` null.
        """
        locked(ctx, ctx.args["case"]).take(ctx.writer, ctx.site.id, ctx.identity.profile_id)
        return Done()

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Give the lease back; 200 also if the caller does not have it."""
        locked(ctx, ctx.args["case"]).release(ctx.writer, ctx.site.id, ctx.identity.profile_id)
        return Done()


class AssignmentBody(Body):
    """Assignment of a case as a client sends it: the profile that is to decide the case."""

    profileId: int | UnsetType = UNSET


class CaseAssignmentHandler(Handler):
    """Assignment of a case to one moderator, until the case is decided; 404 for a case that the caller may not decide,
    403 for callers who moderate nothing.
    """

    @needs(LOGIN, body=AssignmentBody)
    def put(self, ctx: Context, sent: AssignmentBody) -> Result:
        """Assign the case to a profile that may decide it, else 400; others may still take its lease. 409 once the case
        is decided.

        Answers 200 with `data` null.
        """
        case = locked(ctx, ctx.args["case"])
        to = body.given(sent.profileId, 0)
        moderated = moderation_reach.of_profile(ctx, to) if to > 0 else []
        if not case.is_for(to, moderated):
            raise Invalid("profileId", "must be somebody who may decide this case")
        case.assign(ctx.writer, ctx.site.id, to)
        return Done()

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Assign the case to nobody; 200 also if it is not assigned, 409 once it is decided."""
        locked(ctx, ctx.args["case"]).assign(ctx.writer, ctx.site.id, 0)
        return Done()


class NoteBody(Body):
    """Text of a note on a case."""

    text: str | UnsetType = UNSET


class CaseNotesHandler(Handler):
    """Writing of notes on a case, which moderators alone read; 404 for a case that the caller may not decide, 403 for
    callers who moderate nothing.
    """

    @needs(LOGIN, body=NoteBody, status=302)
    def post(self, ctx: Context, sent: NoteBody) -> Result:
        """Add a note of 1 to 2,000 characters, 400 for any other length; to a decided case too. Answers 302 to the
        case.
        """
        case = locked(ctx, ctx.args["case"])
        note = dsa_terms.required_text(body.given(sent.text, ""), "text", _MOST_NOTE)
        case.add_note(ctx.writer, ctx.site.id, ctx.identity.profile_id, note)
        return Found(f"{PATH}/{case.id}")


class DecisionBody(Body):
    """Decision on a case without an action: `outcome`, always `dismissed`, and perhaps a note for other moderators."""

    outcome: Annotated[str, closed((DISMISSED,))] | UnsetType = UNSET
    note: str | UnsetType = UNSET


class CaseDecisionHandler(Handler):
    """Decision on a case without an action; 404 for a case that the caller may not decide, 403 for callers who moderate
    nothing.
    """

    @needs(LOGIN, body=DecisionBody, status=302)
    def post(self, ctx: Context, sent: DecisionBody) -> Result:
        """Dismiss the case: the object that it is about stays as it is.

        409 if it is decided already, another moderator has its lease, or it is about an appeal. Answers 302 to the
        case.
        """
        case = locked(ctx, ctx.args["case"])
        if body.given(sent.outcome, "") != DISMISSED:
            raise Invalid("outcome", "must be dismissed: an action decides a case otherwise")
        note = dsa_terms.checked_text(body.given(sent.note, ""), "note", _MOST_NOTE)
        me = ctx.identity.profile_id
        case.decide(ctx.writer, ctx.site.id, me, DISMISSED)
        # The author of the thing isn't its subject: they would learn that somebody reported them.
        audit_chain.record(
            ctx.writer,
            ctx.author,
            "U",
            ItemRef(case.item_type, case.item_id),
            detail={"verb": "dismiss", "case": case.id},
        )
        if note:
            case.add_note(ctx.writer, ctx.site.id, me, note)
        return Found(f"{PATH}/{case.id}")
