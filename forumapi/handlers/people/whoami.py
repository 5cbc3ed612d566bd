"""Profile of the caller. Wire: docs/api/profiles.md."""

from __future__ import annotations

from forumapi import itemtypes
from forumapi.handlers.people import profiles
from forumapi.models.access.identity import WHOAMI, IdentityQuery
from forumapi.models.people.profile_page import ProfileDetail
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.response import Result
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

    @needs(LOGIN, answer=schemas.Profile)
    def get(self, ctx: Context) -> Result:
        """The caller's profile with e-mail address, membership and unread huddles; also for the banned."""
        return profiles.show(ctx, ProfileDetail.of(ctx.identity.more))
