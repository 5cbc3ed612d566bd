"""Criteria of a role, and dry runs of them: who would join and leave the role. Wire: docs/api/roles.md."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from msgspec import Struct

from forumapi.errors import NEEDS_OWNER, WRONG_TYPE, Forbidden, Invalid, NotFound, known
from forumapi.handlers.people import roles
from forumapi.models.roles import criterion_preview
from forumapi.models.roles.criterion import COLUMNS, PREDICATES, Criterion
from forumapi.models.roles.role import Role
from forumapi.models.roles.role_members_page import MemberChange
from forumapi.permissions import evaluator
from forumapi.request.context import Context, Located
from forumapi.request.handler import MODERATE, Handler, Param, needs
from forumapi.request.handler_results import Data, Done, Found, Page, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.body import UNSET, Body, UnsetType, given
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import roles as schemas

# People shown on either side of a dry run.
PREVIEWED: Final = 25
_DRY_RUN: Final = Param(
    "dryRun",
    bool,
    "Nothing is written; the answer, 200, says who would join the role and leave it.",
)


class CriterionBody(Body):
    """Criterion as a client sends it (platform 5.3): a profile meets it if the profile's own value compares as
    `predicate` says with `value`.

    That own value is a column of the profile (`profileColumn`) or, with "" or no column, one of its attributes
    (`attrKey`). `orGroup`: number of the criterion's group; a profile that meets all criteria of one group is in the
    role.
    """

    orGroup: int | UnsetType = UNSET
    profileColumn: Annotated[str, closed(COLUMNS)] | UnsetType = UNSET
    attrKey: str | UnsetType = UNSET
    predicate: Annotated[str, closed(PREDICATES)] | UnsetType = UNSET
    value: Any = UNSET


class CriterionName(roles.NamedBody):
    """Criterion named by its id, in a list of criteria to remove."""


def _made(ctx: Context, sent: CriterionBody, now: Criterion | None = None) -> Criterion:
    """Make a criterion of the body, without storing it; a key that is absent keeps the value that it has in `now`.

    `now` None: a new criterion. Raises Invalid for a bad or missing value; and Forbidden for a criterion on e-mail
    addresses unless the caller is the site's owner, since the role's members would disclose the addresses.
    """
    column = given(sent.profileColumn, now.column if now else "")
    key = given(sent.attrKey, now.key if now else "")
    predicate = given(sent.predicate, now.predicate if now else "")
    value = sent.value
    if value is UNSET or value is None:
        if now is None:
            raise Invalid("value", "is required", code=WRONG_TYPE)
        value = json_fragments.loads(now.value)
    made = Criterion.make(
        given(sent.orGroup, now.or_group if now else 0), column, key, predicate, value
    )
    if made.column == "email" and not ctx.can & evaluator.SITE_OWNER:
        raise Forbidden(
            "Only the owner of this site may ask for e-mail addresses", code=NEEDS_OWNER
        )
    return made


def _dry_run(ctx: Context, new: Criterion, replaced: int) -> Result:
    """Answer with who would join the role in the address and who would leave it if `new` were stored, without storing
    it: of each the number and the first PREVIEWED profiles.

    `selfGranted` in the answer: those who would join by a value that they can set themselves. `replaced`: id of the
    criterion that `new` would replace, 0 for none. Raises Invalid for a request with an idempotency key, NotFound for a
    missing role.
    """
    if "HTTP_IDEMPOTENCY_KEY" in ctx.environ:
        raise Invalid("Idempotency-Key", "is not accepted with dryRun, which writes nothing")
    found = roles.find(ctx)
    sides = criterion_preview.preview(
        ctx.reader,
        ctx.site.id,
        found.id,
        new,
        replaced=replaced,
        everyone=found.flags["includeUsers"],
        limit=PREVIEWED,
    )
    shown = roles.summaries(
        ctx, sides.joins.versions | sides.leaves.versions | sides.self_granted.versions
    )
    joins, leaves, self_granted = (_side(side, shown) for side in sides)
    return Data(b'{"joins":%b,"leaves":%b,"selfGranted":%b}' % (joins, leaves, self_granted))


def _side(moved: MemberChange, shown: dict[int, bytes]) -> bytes:
    entries = b",".join(shown[id] for id in moved.versions if id in shown)
    return paging.preview(b"[%b]" % entries, moved.total, PREVIEWED, roles.PEOPLE_PATH)


class CriteriaHandler(Handler):
    """The criteria of a role, for moderators of its microcosm. A profile that meets all criteria of at least one
    `orGroup` is in the role.
    """

    required_keys: ClassVar = {"POST": ("predicate", "value")}
    also_succeeds: ClassVar[dict[str, type[Struct]]] = {"POST": schemas.DryRun}
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"POST": (502,), "DELETE": (502,)}

    def locate(self, ctx: Context) -> Located:
        return roles.locate(ctx)

    @needs(MODERATE, answer=schemas.Criteria, paged=True)
    def get(self, ctx: Context) -> Result:
        """The role's criteria, sorted by `orGroup`, then by column and key."""
        at = ctx.paging
        found = Criterion.page(ctx.reader, ctx.site.id, roles.find(ctx).id, at)
        paging.check(found.total, at)

        def build() -> bytes:
            entries = json_fragments.dumps([one.document() for one in found.criteria])
            page = ctx.page(entries, found.total)
            return b'{"criteria":%b,"meta":{}}' % page

        stamp = (found.total, [tuple(one) for one in found.criteria], ctx.path, ctx.query_string)
        return Page(0, stamp, build)

    @needs(MODERATE, body=CriterionBody, status=302, params=(_DRY_RUN,))
    def post(self, ctx: Context, sent: CriterionBody) -> Result:
        """Add a criterion to the role, whose members are then recomputed.

        400 if the role has as many criteria as the platform allows, 403 for a criterion on e-mail addresses from
        anybody but the site's owner. Answers 302 to the criterion. With `dryRun` nothing is stored: the answer, 200,
        says who would join the role and leave it; 400 if the request has an idempotency key. 502 if the criterion is
        stored, but rights that profiles lose by it could not be taken away at once.
        """
        new = _made(ctx, sent)
        if ctx.flag("dryRun"):
            return _dry_run(ctx, new, 0)
        role = roles.lock(ctx)
        most = ctx.app.config.max_criteria_per_role
        id = new.insert(ctx.writer, ctx.site.id, role.id, most)
        _recompute(ctx, role)
        return Found(f"{roles.prefix(ctx)}/{role.id}/criteria/{id}")

    @needs(MODERATE, body=list[CriterionName])
    def delete(self, ctx: Context, sent: list[CriterionName]) -> Result:
        """Remove the criteria with the sent ids from the role, whose members are then recomputed; an empty list removes
        all criteria. Other ids are ignored.

        502 if the criteria are removed, but rights that profiles lose by that could not be taken away at once.
        """
        ids = roles.ids(sent)
        role = roles.lock(ctx)
        Criterion.delete(ctx.writer, ctx.site.id, role.id, ids or None)
        _recompute(ctx, role)
        return Done()


def _recompute(ctx: Context, role: Role) -> None:
    # Criteria leave no address in the audit (platform 7.1).
    roles.take_away_rights(ctx, role.recompute(ctx.writer, ctx.author, audit=False))


class CriterionHandler(Handler):
    """One criterion of a role, for moderators of the role's microcosm; 404 if the role has no such criterion."""

    also_succeeds: ClassVar[dict[str, type[Struct]]] = {"PUT": schemas.DryRun}
    also_answers: ClassVar[dict[str, tuple[int, ...]]] = {"PUT": (502,), "DELETE": (502,)}

    def locate(self, ctx: Context) -> Located:
        return roles.locate(ctx)

    @needs(MODERATE, answer=schemas.Criterion)
    def get(self, ctx: Context) -> Result:
        """The criterion with the id in the address."""
        return Data(json_fragments.dumps(_found(ctx, roles.find(ctx).id).document()))

    @needs(MODERATE, body=CriterionBody, status=302, params=(_DRY_RUN,))
    def put(self, ctx: Context, sent: CriterionBody) -> Result:
        """Change the criterion; keys that are not sent stay as they are. The role's members are then recomputed.

        Answers 302 to the criterion. With `dryRun` nothing is stored: the answer, 200, says who would join the role and
        leave it; 400 if the request has an idempotency key. 502 if the change is stored, but rights that profiles lose
        by it could not be taken away at once.
        """
        if ctx.flag("dryRun"):
            now = _found(ctx, roles.find(ctx).id)
            return _dry_run(ctx, _made(ctx, sent, now), now.id)
        role = roles.lock(ctx)
        criterion = _found(ctx, role.id)
        criterion.update(ctx.writer, ctx.site.id, role.id, _made(ctx, sent, criterion))
        _recompute(ctx, role)
        return Found(f"{roles.prefix(ctx)}/{role.id}/criteria/{criterion.id}")

    @needs(MODERATE)
    def delete(self, ctx: Context) -> Result:
        """Remove the criterion from the role, whose members are then recomputed.

        404 if the role has no such criterion. 502 if the criterion is removed, but rights that profiles lose by that
        could not be taken away at once.
        """
        role = roles.lock(ctx)
        if not Criterion.delete(ctx.writer, ctx.site.id, role.id, [ctx.args["criterion"]]):
            raise NotFound("There is no such criterion")
        _recompute(ctx, role)
        return Done()


def _found(ctx: Context, id: int) -> Criterion:
    return known(Criterion.find(ctx.reader, ctx.site.id, id, ctx.args["criterion"]), "criterion")
