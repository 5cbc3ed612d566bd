"""The caller's own profile, and on request the site with it. Wire: docs/api/profiles.md."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.handlers.people import profiles
from forumapi.models.access.identity import WHOAMI, IdentityQuery
from forumapi.models.people.profile_page import ProfileDetail
from forumapi.permissions import evaluator
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, Handler, Param, needs
from forumapi.request.handler_results import Page, Result
from forumapi.wire.schemas import people as schemas


class WhoamiHandler(Handler):
    """The caller's own profile, which the statement that identifies the caller reads as well."""

    serves_held_sites = ("GET",)

    identity = IdentityQuery(WHOAMI)

    def admits_banned(self, ctx: Context) -> bool:
        """Return True: banned callers may read their own profile too."""
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
        """The caller's profile, with e-mail address, number of unread huddles and, if the site's owner has set it, the
        flag `member`. With `site` the site too.
        """
        shown = profiles.show(ctx, ProfileDetail.of(ctx.identity.more))
        return self._with_site(ctx, shown) if ctx.flag("site") else shown

    @staticmethod
    def _with_site(ctx: Context, shown: Page) -> Page:
        """Return the page `shown` with the site added under the key `site`, which saves a client a second call."""
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
