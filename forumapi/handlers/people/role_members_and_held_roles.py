"""Members of a role at this moment, by name or by criteria, and the roles that a profile is in, each with the reason;
roles.py names members. Wire: docs/api/roles.md.
"""

from __future__ import annotations

from typing import Any

from forumapi import itemtypes
from forumapi.errors import known
from forumapi.handlers.people import roles
from forumapi.models.people import profile_page
from forumapi.models.roles import role_members_page, role_page
from forumapi.models.roles.role_members_page import Reason
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import MODERATE, UPDATE, Handler, Param, needs
from forumapi.request.handler_results import Page, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.schemas import roles as schemas


class RoleMembersHandler(Handler):
    """The members of a role: those named in it, those who meet its criteria, or all profiles. Guests are not listed.
    For moderators of the role's microcosm.
    """

    def locate(self, ctx: Context) -> Located:
        return roles.locate(ctx)

    @needs(
        MODERATE,
        answer=schemas.RoleMembers,
        paged=True,
        params=(
            Param("explain", bool, "Adds `reasons`: why each profile of the page is in the role."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The role's members at this moment, sorted by profile id; with `explain` also why each of them is in it."""
        explains = ctx.flag("explain")
        at, site_id = ctx.paging, ctx.site.id
        found = roles.find(ctx)
        everyone = found.flags["includeUsers"]
        listed = role_members_page.page(ctx.reader, site_id, found.id, at, everyone=everyone)
        paging.check(listed.total, at)
        why: dict[int, Reason] = {}
        if explains:
            why = role_members_page.reasons(ctx.reader, site_id, found.id, list(listed.versions))
        shows_email = bool(ctx.can & evaluator.SITE_OWNER)

        def build() -> bytes:
            page = ctx.page(roles.people(ctx, listed.versions), listed.total, roles.PEOPLE_PATH)
            if not explains:
                return b'{"profiles":%b,"meta":{}}' % page
            reasons = [
                _reason(id, why[id], everyone=everyone, shows_email=shows_email)
                for id in listed.versions
                if id in why
            ]
            return b'{"profiles":%b,"meta":{},"reasons":%b}' % (page, json_fragments.dumps(reasons))

        stamp = (
            listed.total,
            list(listed.versions.items()),
            [(id, one.is_explicit, str(one.met)) for id, one in why.items()],
            everyone,
            shows_email,
            ctx.path,
            ctx.query_string,
        )
        return Page(0, stamp, build)


class HeldRolesHandler(Handler):
    """The roles that a profile is in, for the profile itself and the site's owner."""

    def locate(self, ctx: Context) -> Located:
        id = ctx.args["item"].id
        return Located(Target(itemtypes.PROFILE, id, owner_ids=(id,)))

    @needs(UPDATE, answer=schemas.HeldRoles, paged=True)
    def get(self, ctx: Context) -> Result:
        """The profile's roles in microcosms that the caller may read, each with why the profile is in it: roles of
        moderators first, those of banned people last, otherwise by title.

        404 if there is no such profile.
        """
        profile, site_id, tree, at = ctx.args["item"].id, ctx.site.id, ctx.tree, ctx.paging
        held = {
            one.id: one
            for one in role_members_page.held(ctx.reader, site_id, profile)
            if _may_read(ctx, one.microcosm_id)
        }
        if not held:
            known(
                profile_page.find(ctx.reader, site_id, profile, ctx.identity.profile_id), "profile"
            )
        paging.check(len(held), at)
        found = role_page.page(ctx.reader, site_id, list(held), at, shows=False)
        shows_email = bool(ctx.can & evaluator.SITE_OWNER)

        def build() -> bytes:
            wanted: dict[int, int] = {}
            for one in found:
                wanted |= one.role.people
            fetched = roles.summaries(ctx, wanted)
            entries = []
            for one in found:
                why = held[one.role.id]
                reason = _reason(
                    profile, why.reason, everyone=why.everyone, shows_email=shows_email
                )
                title = tree.nodes[one.role.microcosm_id].title
                entries.append(
                    role_page.document(
                        one.role, site_id, title, fetched, reason=json_fragments.dumps(reason)
                    )
                )
            page = ctx.page(b"[%b]" % b",".join(entries), len(held), roles.SITE_ROLES)
            return b'{"roles":%b,"meta":{}}' % page

        stamp = (
            [(one.role.id, one.role.version, list(one.role.people.items())) for one in found],
            [tree.nodes[one.role.microcosm_id].version for one in found],
            [str(one) for one in held.values()],
            shows_email,
            ctx.path,
            ctx.query_string,
        )
        return Page(0, stamp, build)


def _may_read(ctx: Context, microcosm_id: int) -> bool:
    node = ctx.tree.nodes.get(microcosm_id)
    if node is None:
        return False
    target = Target(itemtypes.MICROCOSM, node.id, node.id, (node.owned_by, node.created_by))
    return bool(evaluator.effective(ctx.identity.principal, target, ctx.tree) & evaluator.READ)


def _reason(id: int, reason: Reason, *, everyone: bool, shows_email: bool) -> dict[str, Any]:
    """Return why the profile `id` is in a role, as a dict for JSON. `reason`: tells whether the role names the profile,
    and which of the role's criteria the profile meets.

    `everyone`: all profiles are in that role. `shows_email`: the caller is the site's owner; False hides the profile's
    value of a criterion on e-mail addresses.
    """
    met = []
    for one in reason.met:
        hidden = one.criterion.column == "email" and not shows_email
        actual = json_fragments.raw(b"null" if hidden else one.actual.encode())
        met.append(one.criterion.document() | {"actual": actual})
    return {
        "profileId": id,
        "explicit": reason.is_explicit,
        "everyone": everyone,
        "criteria": met,
    }
