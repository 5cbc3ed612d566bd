"""Appeals against statements of reasons: made, discussed and decided. Wire: docs/api/moderation.md."""

from __future__ import annotations

from typing import Annotated, ClassVar

from forumapi import itemtypes
from forumapi.errors import NO_UPDATE, Conflict, Forbidden, Invalid, NotFound, known
from forumapi.handlers.trust import moderation_reach
from forumapi.handlers.trust.reports import BEFORE, LIMIT
from forumapi.itemtypes import ItemRef
from forumapi.models.cases import appeal
from forumapi.models.cases.appeal import GRANTED, PATH, REFUSED, Appeal
from forumapi.models.cases.case import ACTED, DISMISSED, Case
from forumapi.models.journal import audit_chain
from forumapi.models.people import profile_summary
from forumapi.models.trust import dsa_terms
from forumapi.models.trust.action import Action
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Found, Result
from forumapi.wire import body
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import trust as schemas

_MOST_TEXT = 2_000


class AppealBody(Body):
    """Text of a new appeal, or of a message in one: 1 to 2,000 characters, 400 for any other length."""

    text: str | UnsetType = UNSET


def message_text(sent: AppealBody | AppealDecisionBody) -> str:
    """Return the text of an appeal's message, without tags and unprintable characters, and HTML-escaped. Raises Invalid
    for no text, and for one of more than 2,000 characters.
    """
    return dsa_terms.required_text(body.given(sent.text, ""), "text", _MOST_TEXT)


def _locked(ctx: Context) -> tuple[Appeal, list[int]]:
    moderated = moderation_reach.find(ctx)
    me = ctx.identity.profile_id
    found = Appeal.lock(ctx.writer, ctx.site.id, ctx.args["appeal"], me, moderated)
    return known(found, "appeal"), moderated


class StatementAppealHandler(Handler):
    """Filing of the caller's appeal against the statement of reasons in the address."""

    leads_to: ClassVar = {"POST": "/api/v1/appeals/<number:appeal>"}
    needs_no_consent = ("POST",)

    def admits_banned(self, ctx: Context) -> bool:
        return True

    @needs(LOGIN, body=AppealBody, status=302)
    def post(self, ctx: Context, sent: AppealBody) -> Result:
        """Appeal within six months of the statement, later 409; a second request leads to the appeal that exists.

        404 for a statement that is not addressed to the caller. Answers 302 to the appeal.
        """
        text = message_text(sent)
        me = ctx.identity.profile_id
        id, _ = appeal.insert(ctx.writer, ctx.site.id, me, ctx.args["statement"], text)
        if not id:
            raise NotFound("There is no such statement")
        return Found(f"{PATH}/{id}")


class AppealsHandler(Handler):
    """Appeals of the caller, or those of others that the caller sees as a moderator."""

    def admits_banned(self, ctx: Context) -> bool:
        return True

    @needs(
        LOGIN,
        answer=schemas.Appeals,
        params=(
            LIMIT,
            BEFORE,
            Param("toDecide", bool, "Open appeals that the caller may see as a moderator instead."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The caller's own appeals, newest first; with `toDecide` open appeals of others, oldest first, against actions
        whose targets are all in microcosms that the caller moderates.

        403 with `toDecide` for callers who moderate nothing.
        """
        to_decide = bool(ctx.flag("toDecide"))
        moderated = moderation_reach.required(ctx) if to_decide else []
        ctx.check_paging()
        limit, before = ctx.paging.limit, ctx.number("before")
        tx, site_id, me = ctx.reader, ctx.site.id, ctx.identity.profile_id
        if to_decide:
            found = Appeal.waiting(tx, site_id, me, moderated, before, limit)
        else:
            found = Appeal.own(tx, site_id, me, before, limit)
        shown = found[:limit]
        ids = {one.profile_id for one in shown}
        people = profile_summary.summaries(tx, ctx.app.documents, site_id, ids)
        documents = [one.document(people, is_own=not to_decide, messages=None) for one in shown]
        onwards = shown[-1].id if len(found) > limit else 0
        return Data(ctx.keyset_listed("appeals", documents, onwards))


class AppealHandler(Handler):
    """One appeal, for the profile that made it and for those who moderate all microcosms of the targets of the action;
    404 for others.
    """

    def admits_banned(self, ctx: Context) -> bool:
        return True

    @needs(LOGIN, answer=schemas.Appeal)
    def get(self, ctx: Context) -> Result:
        """The appeal with its messages, oldest first.

        The profile that made it sees which messages are a moderator's, but no names.
        """
        tx, site_id, me = ctx.reader, ctx.site.id, ctx.identity.profile_id
        moderated = moderation_reach.find(ctx)
        found = known(Appeal.find(tx, site_id, ctx.args["appeal"], me, moderated), "appeal")
        messages = found.messages(tx, site_id)
        is_own = found.profile_id == me
        ids = {found.profile_id, found.decided_by, *(one.author_id for one in messages)} - {0}
        people = {} if is_own else profile_summary.summaries(tx, ctx.app.documents, site_id, ids)
        return Data(dumps(found.document(people, is_own=is_own, messages=messages)))


class AppealMessagesHandler(Handler):
    """Writing of messages in an appeal."""

    needs_no_consent = ("POST",)

    def admits_banned(self, ctx: Context) -> bool:
        return True

    @needs(LOGIN, body=AppealBody, status=302)
    def post(self, ctx: Context, sent: AppealBody) -> Result:
        """Add a message to the appeal; 409 once it is decided, 429 if it has 100 messages, 404 for an appeal that the
        caller may not see.

        Answers 302 to the appeal.
        """
        found, _ = _locked(ctx)
        text = message_text(sent)
        found.add_message(ctx.writer, ctx.site.id, ctx.identity.profile_id, text)
        return Found(f"{PATH}/{found.id}")


class AppealDecisionBody(Body):
    """Decision on an appeal: its outcome, `granted` or `refused`, and a text of 1 to 2,000 characters for the profile
    that made the appeal.
    """

    outcome: Annotated[str, closed((GRANTED, REFUSED))] | UnsetType = UNSET
    text: str | UnsetType = UNSET


class AppealDecisionHandler(Handler):
    """Decision on an appeal, by a moderator."""

    @needs(LOGIN, body=AppealDecisionBody, status=302)
    def post(self, ctx: Context, sent: AppealDecisionBody) -> Result:
        """Grant the appeal, which undoes the action on the content of the profile that made the appeal, as far as the
        earlier state is still stored (30 days), or refuse the appeal.

        An action `redact` is not undone: the granted appeal is only recorded. The text becomes a message of the appeal.
        403 for callers who moderate nothing, for the profile that appeals, and for the moderator who took the action if
        another may decide; 404 for an appeal that the caller may not see; 409 once the appeal is decided, and for a
        grant while the action is under way, or if the action is no longer the caller's to moderate; 429 if the appeal
        has 100 messages. Answers 302 to the appeal.
        """
        moderation_reach.required(ctx)
        found, moderated = _locked(ctx)
        tx, site_id, me = ctx.writer, ctx.site.id, ctx.identity.profile_id
        if found.profile_id == me:
            raise Forbidden("Nobody decides their own appeal", code=NO_UPDATE)
        outcome = body.given(sent.outcome, "")
        if outcome not in (GRANTED, REFUSED):
            raise Invalid("outcome", f"must be {GRANTED} or {REFUSED}")
        text = message_text(sent)
        if found.actor_id == me and found.others_decide(tx, site_id, ctx.tree, ctx.site.owned_by):
            raise Forbidden("Another moderator decides this appeal", code=NO_UPDATE)
        found.add_message(tx, site_id, me, text)
        if outcome == GRANTED:
            acted = Action.lock(tx, site_id, found.action_id, me, moderated)
            if acted is None:
                raise Conflict("What this is about is not yours to moderate any more")
            acted.undo_for(tx, ctx.author, moderated, found.profile_id)
        found.decide(tx, site_id, me, outcome)
        case = Case.lock_of_appeal(tx, site_id, found.id)
        if case is not None:
            case.decide(tx, site_id, me, ACTED if outcome == GRANTED else DISMISSED, by_appeal=True)
        verb = "grant appeal" if outcome == GRANTED else "refuse appeal"
        audit_chain.record(
            tx,
            ctx.author,
            "U",
            ItemRef(itemtypes.PROFILE, found.profile_id),
            subject_id=found.profile_id,
            detail={"verb": verb, "action": found.action_id, "case": case.id if case else 0},
        )
        return Found(f"{PATH}/{found.id}")
