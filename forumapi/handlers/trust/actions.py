"""Actions of moderators on content and people: dry run, execution, undo, list. Wire: docs/api/moderation.md."""

from __future__ import annotations

import datetime
from typing import Annotated, Final

from forumapi import itemtypes
from forumapi.errors import NO_UPDATE, OUT_OF_RANGE, Conflict, Forbidden, Invalid, NotFound, known
from forumapi.handlers.content.item_base import check_place
from forumapi.handlers.trust import cases, moderation_reach
from forumapi.handlers.trust.reports import BEFORE, LIMIT, REPORTABLE, named
from forumapi.itemtypes import ItemRef
from forumapi.models.cases import action_page
from forumapi.models.cases.action_page import ShownAction
from forumapi.models.cases.case import ACTED
from forumapi.models.people import ban, profile_summary
from forumapi.models.texts import text_rendering
from forumapi.models.trust import dsa_terms, merge_and_split_kinds, sanction, targets
from forumapi.models.trust.action import (
    IN_REQUEST,
    MOST,
    NOTHING,
    PLANNED,
    RUNNING,
    UNDOING,
    Action,
    ActionGrounds,
    ActionQuery,
)
from forumapi.models.trust.action_kinds import KINDS, ActionKind
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Data, Result
from forumapi.text import rfc3339
from forumapi.wire import body
from forumapi.wire.body import UNSET, Body, UnsetType
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed, closed_types, type_names
from forumapi.wire.schemas import trust as schemas

_MOST_TEXT: Final = 2_000
_MOST_RULE: Final = 500
# Kinds that move comments: they take targets alone.
_COMBINING: Final = frozenset(("merge", "split"))
_EVER: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class TargetBody(Body):
    """Target of an action, by type and id."""

    itemType: Annotated[str, closed_types(REPORTABLE)] | UnsetType = UNSET
    itemId: int | UnsetType = UNSET


class TargetQueryBody(Body):
    """Query for the targets of an action: all that the profile `createdBy` wrote since the time `since` (RFC 3339), in
    the microcosm `microcosmId` and below it.

    Without `since` from the beginning, without `microcosmId` in all that the caller moderates.
    """

    createdBy: int | UnsetType = UNSET
    since: str | UnsetType = UNSET
    microcosmId: int | UnsetType = UNSET


class ActionBody(Body):
    """Action as a moderator sends it: the `ticket` of a dry run alone; or else `kind`, either `targets` or `query`,
    which finds the targets, and the reasons.

    `caseId`: the case that the action decides; `microcosmId`: the microcosm to move to, of the conversation that a
    split makes, or in which people are restricted; `into`: the item to merge into; `title`: title of the conversation
    that a split makes; `ends`: end of a silence or ban, RFC 3339; absent: no end. `ground`: `terms`, as when absent, or
    `illegal`; `category`: of the Digital Services Act. `rule` and `reason` are shown to the authors, `note` to
    moderators alone.
    """

    ticket: str | UnsetType = UNSET
    kind: Annotated[str, closed(KINDS)] | UnsetType = UNSET
    targets: list[TargetBody] | UnsetType = UNSET
    query: TargetQueryBody | UnsetType = UNSET
    caseId: int | UnsetType = UNSET
    microcosmId: int | UnsetType = UNSET
    into: TargetBody | UnsetType = UNSET
    title: str | UnsetType = UNSET
    ground: Annotated[str, closed(dsa_terms.GROUNDS)] | UnsetType = UNSET
    category: Annotated[str, closed(dsa_terms.CATEGORIES)] | UnsetType = UNSET
    rule: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    ends: str | UnsetType = UNSET
    dryRun: bool | UnsetType = UNSET


def _document(ctx: Context, found: ShownAction, moderated: list[int]) -> bytes:
    people = profile_summary.summaries(
        ctx.reader, ctx.app.documents, ctx.site.id, sorted(found.people)
    )
    data = found.document(people)
    meta = data.pop("meta")
    changes = action_page.changes(ctx.reader, ctx.site.id, found.id, moderated)
    return dumps(data | changes | {"meta": meta})


def _shown(ctx: Context, id: int, moderated: list[int]) -> ShownAction:
    me = ctx.identity.profile_id
    return known(ShownAction.find(ctx.reader, ctx.site.id, id, me, moderated), "action")


class ActionsHandler(Handler):
    """Actions of moderators, in the microcosms that the caller moderates."""

    @needs(
        LOGIN,
        answer=schemas.Actions,
        params=(
            LIMIT,
            BEFORE,
            Param(
                "itemType",
                str,
                "With `itemId`: actions that changed this thing alone.",
                type_names(REPORTABLE),
            ),
            Param("itemId", int, "Of that type."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The actions, newest first, whose targets are all in microcosms that the caller moderates.

        With `itemType` and `itemId` only actions that changed this object. Actions of others on the caller's own
        content are left out; 403 for callers who moderate nothing.
        """
        moderated = moderation_reach.required(ctx)
        ctx.check_paging()
        limit = ctx.paging.limit
        me, site_id = ctx.identity.profile_id, ctx.site.id
        before = ctx.number("before")
        item_type = ctx.query.get("itemType", "")
        if item_type or ctx.query.get("itemId", ""):
            ref = named(item_type, ctx.number("itemId"))
            found = ShownAction.concerning(ctx.reader, site_id, me, moderated, ref, before, limit)
        else:
            found = ShownAction.page(ctx.reader, site_id, me, moderated, before, limit)
        shown = found[:limit]
        people = profile_summary.summaries(
            ctx.reader, ctx.app.documents, site_id, {id for one in shown for id in one.people}
        )
        onwards = shown[-1].id if len(found) > limit else 0
        documents = [one.document(people) for one in shown]
        return Data(ctx.keyset_listed("actions", documents, onwards))

    @needs(LOGIN, body=ActionBody, answer=schemas.Action)
    def post(self, ctx: Context, sent: ActionBody) -> Result:
        """Carry an action out; with `dryRun` only list its targets, with a `ticket`: sent within 15 minutes by the same
        caller, the ticket carries out exactly that action.

        The answer is the action; up to 250 targets are changed before the answer, more, or a merge of many comments, in
        the background. Carrying the action out also decides the case `caseId`: 409 if it is decided already, is about
        an appeal, or another moderator has its lease. For a ticket 409 if it is used or too old, 404 if it is another
        caller's or a target is where the caller no longer moderates. 403 for callers who moderate nothing, and for
        targets that the caller does not moderate.
        """
        moderated = moderation_reach.required(ctx)
        if isinstance(sent.ticket, str):
            action = _ticketed(ctx, sent.ticket, moderated)
        else:
            action = _planned(ctx, sent, moderated)
        if body.given(sent.dryRun, False):
            return Data(_document(ctx, _shown(ctx, action.id, moderated), moderated))
        action.start(ctx.writer, ctx.author, moderated)
        if action.case_id:
            # After the things, which are locked before their cases.
            case = cases.locked(ctx, action.case_id)
            case.decide(ctx.writer, ctx.site.id, ctx.identity.profile_id, ACTED)
        if action.state == RUNNING:
            ctx.writer.after_commit(ctx.app.actions.wake)
        return Data(_document(ctx, _shown(ctx, action.id, moderated), moderated))


def _ticketed(ctx: Context, ticket: str, moderated: list[int]) -> Action:
    """Lock the action that an earlier dry run of the caller stored, and return it. `moderated`: what the caller
    moderates now, as `moderation_reach.find` returns it.

    Raises Invalid for a text that is no ticket; NotFound for another person's ticket, or if a target is where the
    caller no longer moderates; Conflict for a ticket that is used or too old; Forbidden for an action that only the
    site's owner may take, if the caller is the owner no more.
    """
    if not ticket.isascii() or not ticket.isdigit() or len(ticket) > 18:
        raise Invalid("ticket", "must be taken from the answer to a dry run")
    me = ctx.identity.profile_id
    action = Action.lock(ctx.writer, ctx.site.id, int(ticket), me, moderated)
    if action is None or action.actor_id != me:
        raise NotFound("There is no such ticket")
    if action.state != PLANNED:
        raise Conflict("This ticket was used already")
    if action.is_ticket_over:
        raise Conflict("This ticket is too old: make the dry run again")
    if action.does.final:
        _check_owner(ctx, action.does)
    return action


def _planned(ctx: Context, sent: ActionBody, moderated: list[int]) -> Action:
    """Store the action that the body describes, with its targets, in the state PLANNED; return it. No target is changed
    yet. `moderated`: what the caller moderates, as `moderation_reach.find` returns it.

    Raises Invalid for a bad body or unfit targets, Forbidden for targets or a microcosm that the caller does not
    moderate and for a kind that only the site's owner may take, NotFound for a missing case or microcosm.
    """
    kind = KINDS.get(body.given(sent.kind, ""))
    if kind is None:
        raise Invalid("kind", f"must be one of {', '.join(KINDS)}")
    grounds = _grounds(sent)
    if kind.final:
        _check_final(ctx, sent, kind, grounds)
    into, place_id = _into(ctx, sent, kind, moderated)
    place_id = place_id or _place(ctx, sent, kind, moderated)
    case_id = 0
    if isinstance(sent.caseId, int):
        case_id = cases.found(ctx, sent.caseId, moderated).id
    action = Action.insert(
        ctx.writer,
        ctx.author,
        kind.name,
        grounds,
        case_id=case_id,
        place_id=place_id,
        ends=_ends(sent, kind),
        into=into,
        title=_title(sent, kind),
    )
    if isinstance(sent.query, TargetQueryBody):
        if itemtypes.PROFILE in kind.takes or kind.name in _COMBINING:
            raise Invalid("query", f"can't be given for {kind.name}: it takes targets")
        if not isinstance(sent.targets, UnsetType):
            raise Invalid("query", "and targets can't both be given")
        action.plan_query(ctx.writer, ctx.site.id, _query(ctx, sent.query, moderated))
        if action.total > MOST:
            raise Invalid("query", f"finds more than {MOST} things", code=OUT_OF_RANGE)
        if not action.total:
            raise Invalid("query", "finds nothing that this would change")
        return action
    refs = _refs(sent, kind)
    if itemtypes.PROFILE in kind.takes:
        _check_people(ctx, refs, place_id)
    if not action.plan(ctx.writer, ctx.site.id, refs, moderated):
        raise Forbidden("targets: one of these is nothing that you may moderate", code=NO_UPDATE)
    if kind.name == "merge":
        _check_sources(ctx, refs, into, moderated)
    if kind.name == "split":
        _check_comments(ctx, refs, moderated)
        check_place(ctx, place_id, itemtypes.CONVERSATION)
    if kind.name == "move":
        for item_type in {ref.type for ref in refs}:
            check_place(ctx, place_id, item_type)
    return action


def _check_final(ctx: Context, sent: ActionBody, kind: ActionKind, grounds: ActionGrounds) -> None:
    """Check an action of a kind that can't be undone; `grounds`: the reasons that the body gives. Raises Forbidden
    unless the caller is the site's owner; Invalid unless the ground is illegal content, and for targets given by a
    query unless this is a dry run, so that somebody sees the list of targets before.
    """
    _check_owner(ctx, kind)
    if grounds.ground != dsa_terms.ILLEGAL:
        raise Invalid("ground", f"must be {dsa_terms.ILLEGAL} for {kind.name}")
    if isinstance(sent.query, TargetQueryBody) and not body.given(sent.dryRun, False):
        rule = f"must be true for {kind.name} with query: the ticket carries it out"
        raise Invalid("dryRun", rule)


def _check_owner(ctx: Context, kind: ActionKind) -> None:
    """Raise Forbidden unless the caller is the owner of the site, who alone takes actions of the final kind `kind`."""
    if not ctx.identity.principal.is_site_owner:
        raise Forbidden(f"kind: only the owner of the site may {kind.name}", code=NO_UPDATE)


def _into(
    ctx: Context, sent: ActionBody, kind: ActionKind, moderated: list[int]
) -> tuple[ItemRef, int]:
    """Return the item that the targets are merged into, and the id of its microcosm; (NOTHING, 0) for actions of other
    kinds. `moderated`: what the caller moderates, as `moderation_reach.find` returns it.

    Raises Invalid for a merge without `into`, or into something that nothing can be merged into, and for `into` in an
    action of another kind; Forbidden for an item that is missing or that the caller does not moderate.
    """
    if kind.name != "merge":
        if not isinstance(sent.into, UnsetType):
            raise Invalid("into", f"can't be given for {kind.name}")
        return NOTHING, 0
    if isinstance(sent.into, UnsetType):
        raise Invalid("into", "is required: what to merge into")
    ref = named(body.given(sent.into.itemType, ""), body.given(sent.into.itemId, 0), "into.")
    if ref.type not in targets.ITEMS:
        raise Invalid("into.itemType", "must be conversation, event or poll")
    state = merge_and_split_kinds.states(ctx.writer, ctx.site.id, [ref.id], moderated).get(ref)
    if state is None:
        raise Forbidden("into: this is nothing that you may moderate", code=NO_UPDATE)
    if why := merge_and_split_kinds.unfit_target(*state[1:5]):
        raise Invalid("into", why)
    return ref, state[0]


def _title(sent: ActionBody, kind: ActionKind) -> str:
    """Return the title of the conversation that a split makes, as it is stored; "" for other kinds. Raises Invalid for
    a bad or missing title, and for a title of an action of another kind.
    """
    if kind.name == "split":
        given = None if isinstance(sent.title, UnsetType) else sent.title
        return text_rendering.title(given, "title", 150)
    if not isinstance(sent.title, UnsetType):
        raise Invalid("title", f"can't be given for {kind.name}")
    return ""


def _check_comments(ctx: Context, refs: list[ItemRef], moderated: list[int]) -> None:
    """Check that the comments `refs` can be split off. `moderated`: what the caller moderates, as
    `moderation_reach.find` returns it.

    Raises Invalid for a comment that is deleted, hidden or in no microcosm of `moderated`, for comments that are not
    all on one item, for all comments of that item, and for an item with more than MOST_COMMENTS comments.
    """
    ids = [ref.id for ref in refs]
    states = merge_and_split_kinds.comment_states(ctx.writer, ctx.site.id, ids, moderated)
    source = 0
    for index, id in enumerate(ids):
        state = states.get(id)
        if state is None or state[0] != (source or state[0]):
            raise Invalid(f"targets[{index}]", merge_and_split_kinds.ELSEWHERE_NOW)
        source, is_deleted, is_hidden, total = state
        if is_deleted or is_hidden:
            why = merge_and_split_kinds.DELETED if is_deleted else merge_and_split_kinds.HIDDEN
            raise Invalid(f"targets[{index}]", why)
    if len(set(ids)) >= total:
        raise Invalid("targets", "must leave a comment: move the conversation instead")
    if total > merge_and_split_kinds.MOST_COMMENTS:
        why = f"what these are on has more than {merge_and_split_kinds.MOST_COMMENTS} comments"
        raise Invalid("targets", why, code=OUT_OF_RANGE)


def _check_sources(ctx: Context, refs: list[ItemRef], into: ItemRef, moderated: list[int]) -> None:
    """Check that the conversations `refs`, which the caller moderates, can be merged into the item `into`. `moderated`:
    what the caller moderates, as `moderation_reach.find` returns it.

    Raises Invalid for a conversation that is deleted, hidden or merged already, for `into` itself, and if all, `into`
    included, have more than MOST_COMMENTS comments together.
    """
    ids = {into.id, *(ref.id for ref in refs)}
    states = merge_and_split_kinds.states(ctx.writer, ctx.site.id, ids, moderated)
    for index, ref in enumerate(refs):
        why = merge_and_split_kinds.unfit_source(*states[ref][2:5])
        if ref == into:
            why = merge_and_split_kinds.ITSELF
        if why:
            raise Invalid(f"targets[{index}]", why)
    if sum(state[-1] for state in states.values()) > merge_and_split_kinds.MOST_COMMENTS:
        raise Invalid("targets", merge_and_split_kinds.TOO_MANY, code=OUT_OF_RANGE)


def _refs(sent: ActionBody, kind: ActionKind) -> list[ItemRef]:
    if isinstance(sent.targets, UnsetType) or not sent.targets:
        raise Invalid("targets", "or query is required")
    if len(sent.targets) > IN_REQUEST:
        raise Invalid("targets", f"may be at most {IN_REQUEST}; use query", code=OUT_OF_RANGE)
    refs = []
    for index, one in enumerate(sent.targets):
        field = f"targets[{index}]."
        ref = named(body.given(one.itemType, ""), body.given(one.itemId, 0), field)
        if ref.type not in kind.takes:
            takes = ", ".join(itemtypes.name_of(id) for id in sorted(kind.takes))
            raise Invalid(f"{field}itemType", f"{kind.name} takes {takes}")
        refs.append(ref)
    return refs


def _query(ctx: Context, sent: TargetQueryBody, moderated: list[int]) -> ActionQuery:
    by = body.given(sent.createdBy, 0)
    if by <= 0:
        raise Invalid("query.createdBy", "must be the id of a profile", code=OUT_OF_RANGE)
    since = _EVER
    if isinstance(sent.since, str):
        at = rfc3339.instant(sent.since)
        if at is None:
            raise Invalid("query.since", "must be a time such as 2027-01-31T18:00:00Z")
        since = at
    within = moderated
    if isinstance(sent.microcosmId, int):
        node = ctx.tree.nodes.get(sent.microcosmId)
        if node is None or node.id not in moderated:
            raise Forbidden(
                "query.microcosmId: this is nothing that you may moderate", code=NO_UPDATE
            )
        within = sorted(set(node.subtree) & set(moderated))
    return ActionQuery(by, since, within)


def _place(ctx: Context, sent: ActionBody, kind: ActionKind, moderated: list[int]) -> int:
    """Return the id of the microcosm to move to, of a split's new conversation, or in which people are restricted; 0
    for actions of other kinds. `moderated`: what the caller moderates, as `moderation_reach.find` returns it.

    Raises Invalid if the body lacks the microcosm, Forbidden if the caller does not moderate it.
    """
    if itemtypes.PROFILE in kind.takes:
        return _place_of_people(ctx, sent, kind, moderated)
    if kind.name not in ("move", "split"):
        return 0
    place_id = body.given(sent.microcosmId, 0)
    if place_id <= 0:
        where = "to move to" if kind.name == "move" else "of the new conversation"
        raise Invalid("microcosmId", f"must be the microcosm {where}", code=OUT_OF_RANGE)
    if place_id not in moderated:
        raise Forbidden("microcosmId: this is nothing that you may moderate", code=NO_UPDATE)
    return place_id


def _place_of_people(ctx: Context, sent: ActionBody, kind: ActionKind, moderated: list[int]) -> int:
    """Return the id of the microcosm in which an action restricts people. Without one in the body it is the whole site:
    OUTSIDE, which its owner alone moderates, or for `silence` the root's id. `moderated`: what the caller moderates, as
    `moderation_reach.find` returns it.

    Raises Forbidden if the caller does not moderate the microcosm in the body; Invalid if the body has none and the
    caller does not moderate the whole site.
    """
    place_id = body.given(sent.microcosmId, moderation_reach.OUTSIDE)
    if place_id == moderation_reach.OUTSIDE and kind.name == "silence":
        # Silence is within microcosms: of the whole site in its root.
        place_id = ctx.tree.root_id
    if place_id not in moderated:
        if isinstance(sent.microcosmId, UnsetType):
            raise Invalid("microcosmId", "is required: the microcosm that this is about")
        raise Forbidden("microcosmId: this is nothing that you may moderate", code=NO_UPDATE)
    return place_id


def _ends(sent: ActionBody, kind: ActionKind) -> datetime.datetime | None:
    if not isinstance(sent.ends, str):
        return None
    if kind.name not in ("silence", "ban"):
        raise Invalid("ends", f"can't be given for {kind.name}")
    return ban.checked_expiry(sent.ends, "ends")


def _check_people(ctx: Context, refs: list[ItemRef], place_id: int) -> None:
    """Check that an action may be taken on the profiles `refs` in the microcosm `place_id`; OUTSIDE: on the whole site.

    Raises Invalid if the caller's own profile is among them; Forbidden, unless the caller is the site's owner, if the
    site's owner or a moderator of that microcosm is among them.
    """
    ids = [ref.id for ref in refs]
    if ctx.identity.profile_id in ids:
        raise Invalid("targets", "may not be yourself")
    if ctx.identity.principal.is_site_owner:
        return
    if sanction.protected(ctx.writer, ctx.site.id, ctx.tree, ids, place_id):
        raise Forbidden("targets: nobody does this to the owner or to moderators", code=NO_UPDATE)


def _grounds(sent: ActionBody) -> ActionGrounds:
    ground = body.given(sent.ground, dsa_terms.TERMS)
    if ground not in dsa_terms.GROUNDS:
        raise Invalid("ground", f"must be one of {', '.join(dsa_terms.GROUNDS)}")
    otherwise = dsa_terms.VIOLATION if ground == dsa_terms.TERMS else dsa_terms.UNCATEGORISED
    category = dsa_terms.checked_category(body.given(sent.category, ""), otherwise)
    rule = dsa_terms.checked_text(body.given(sent.rule, ""), "rule", _MOST_RULE)
    reason = dsa_terms.checked_text(body.given(sent.reason, ""), "reason", _MOST_TEXT)
    if not reason:
        raise Invalid("reason", "is required: what the authors are told")
    if ground == dsa_terms.ILLEGAL and not rule:
        raise Invalid("rule", "must name the law")
    note = dsa_terms.checked_text(body.given(sent.note, ""), "note", _MOST_TEXT)
    return ActionGrounds(ground, category, rule, reason, note)


class ActionHandler(Handler):
    """One action of a moderator, or a dry run of the caller; 404 for one that the caller may not see, 403 for callers
    who moderate nothing.
    """

    @needs(LOGIN, answer=schemas.Action)
    def get(self, ctx: Context) -> Result:
        """The action with its progress and its targets, up to 250: first the targets that the action could not change,
        then the others.
        """
        moderated = moderation_reach.required(ctx)
        return Data(_document(ctx, _shown(ctx, ctx.args["action"], moderated), moderated))


class ActionUndoHandler(Handler):
    """Undo of an action of a moderator."""

    @needs(LOGIN, answer=schemas.Action)
    def post(self, ctx: Context) -> Result:
        """Undo the action, within 30 days: each target gets back what the action changed, in the background if there
        are more than 250 or a merge moved many comments. The answer is the action.

        A target that was changed since is left as it is and listed as a conflict. A second undo tries the conflicts
        again; 409 if there are none, after the 30 days, and for an action that is final or under way; 404 for one that
        the caller may not see, 403 for callers who moderate nothing.
        """
        moderated = moderation_reach.required(ctx)
        me = ctx.identity.profile_id
        found = Action.lock(ctx.writer, ctx.site.id, ctx.args["action"], me, moderated)
        if found is None or found.state == PLANNED:
            raise NotFound("There is no such action")
        found.undo(ctx.writer, ctx.author, moderated)
        if found.state == UNDOING:
            ctx.writer.after_commit(ctx.app.actions.wake)
        return Data(_document(ctx, _shown(ctx, found.id, moderated), moderated))
