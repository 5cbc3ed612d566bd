"""Profile of the caller. Wire: docs/api/profiles.md."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.handlers.people import profiles
from forumapi.models.access.identity import WHOAMI, IdentityQuery
from forumapi.models.people.profile_page import ProfileDetail
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.response import Page, Result
from forumapi.wire.schemas import people as schemas


class WhoamiHandler(Handler):
    """Profile of the caller, read by the statement that identifies the caller."""

    identity = IdentityQuery(WHOAMI)

    def admits_banned(self, ctx: Context) -> bool:
        """Return True: a banned caller may see their own profile."""
        return True

    def locate(self, ctx: Context) -> Located:
        me = ctx.identity.profile_id
        return Located(Target(itemtypes.PROFILE, me, owner_ids=(me,) if me else ()))

    @needs(
        LOGIN,
        answer=schemas.WhoAmI,
        params=(
            Param("site", bool, "With this host's site, as `GET /site` shows it to the caller."),
        ),
    )
    def get(self, ctx: Context) -> Result:
        """The caller's profile with e-mail address, membership and unread huddles; also for the banned."""
        shown = profiles.show(ctx, ProfileDetail.of(ctx.identity.more))
        return self._with_site(ctx, shown) if ctx.flag("site") else shown

    @staticmethod
    def _with_site(ctx: Context, shown: Page) -> Page:
        """Add the site to the profile, so that a client's every page needs one call for both."""
        site = ctx.site
        target = Target(itemtypes.SITE, site.id)
        can = evaluator.effective(
            ctx.identity.principal,
            target,
            ctx.tree,
            members_create_microcosms=not site.only_admins_create,
        )

        def build() -> bytes:
            return b'%b,"site":%b}' % (shown.build()[:-1], site.render(evaluator.as_json(can)))

        return Page(shown.version, (shown.stamp, site.id, site.version, site.stats, can), build)
