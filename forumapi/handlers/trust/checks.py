"""Checks of what people write on this site, as its owner sets them. Wire: docs/api/moderation.md."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, UnsetType

from forumapi.checks import check_settings
from forumapi.checks.check import HOLD, PASS
from forumapi.checks.check_settings import CheckSettings, RoleRate
from forumapi.errors import Invalid
from forumapi.handlers.sites.site_setting_base import SiteSettingHandler
from forumapi.models.sites import legal
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, needs
from forumapi.request.handler_results import Data, Done, Result
from forumapi.wire.body import Body, given
from forumapi.wire.json_fragments import dumps
from forumapi.wire.openapi_enums import closed
from forumapi.wire.schemas import trust as schemas

_SERVICES: Final = "Stop Forum Spam (stopforumspam.com)", "Akismet (akismet.com)"


class RoleRateBody(Body):
    """Limit of a role, as a client sends it: the number of things (`perHour`) that each person in the role may write in
    an hour, 0 for any number.
    """

    roleId: int | UnsetType = UNSET
    perHour: int | UnsetType = UNSET


class ChecksBody(Body):
    """The checks of a site, as a client sends them: a check that is not sent is off, but `akismetKey` stays if it is
    not sent.

    `firstPosts`: a text is held while its author has fewer other things that are neither deleted nor hidden;
    `maxLinks`: a text with more links is held, null turns that off; `domains`: a text with a link to one of these or a
    subdomain is held; `perHour`: a text is held if its author wrote more things within an hour, this one included;
    `rates`: other numbers for people in a role, of several roles the highest; `sameText`: a text that was written on so
    many other sites within a day is held. `onFailure`: what becomes of a text that a service could not judge, `hold`
    or, as when absent, `pass`; `beforeShown`: local checks judge before others see a text.
    """

    firstPosts: int | UnsetType = UNSET
    maxLinks: int | UnsetType | None = UNSET
    domains: list[str] | UnsetType = UNSET
    perHour: int | UnsetType = UNSET
    rates: list[RoleRateBody] | UnsetType = UNSET
    sameText: int | UnsetType = UNSET
    stopForumSpam: bool | UnsetType = UNSET
    akismetKey: str | UnsetType = UNSET
    onFailure: Annotated[str, closed((HOLD, PASS))] | UnsetType = UNSET
    beforeShown: bool | UnsetType = UNSET


class ChecksHandler(SiteSettingHandler):
    """The checks of this site, for its owner."""

    # Some are services.
    closed_in_sandboxes = ("PUT",)

    @needs(OWNER, answer=schemas.Checks)
    def get(self, ctx: Context) -> Result:
        """All checks, as PUT takes them: 0, null, false or an empty list for one that is off.

        Akismet's key is not shown: `akismetKey` is true if there is one.
        """
        found = check_settings.find(ctx.reader, ctx.site.id) or CheckSettings()
        return Data(dumps(found.document))

    @needs(OWNER, body=ChecksBody)
    def put(self, ctx: Context, sent: ChecksBody) -> Result:
        """Replace the checks, for all that is written from now on: a check that is not sent is off.

        Akismet's key stays if no key is sent; "" deletes it. 400 for a value that no check takes, and for a role that
        the site does not have. Answers 200 with `data` null.
        """
        before = check_settings.find(ctx.writer, ctx.site.id) or CheckSettings()
        chosen = CheckSettings(
            firstPosts=given(sent.firstPosts, 0),
            maxLinks=given(sent.maxLinks, None),
            domains=given(sent.domains, []),
            perHour=given(sent.perHour, 0),
            rates=[
                RoleRate(roleId=given(one.roleId, 0), perHour=given(one.perHour, 0))
                for one in given(sent.rates, [])
            ],
            sameText=given(sent.sameText, 0),
            stopForumSpam=given(sent.stopForumSpam, False),
            akismetKey=given(sent.akismetKey, before.akismetKey),
            onFailure=given(sent.onFailure, "pass"),
            beforeShown=given(sent.beforeShown, False),
        )
        chosen.check()
        for number, rate in enumerate(chosen.rates):
            if not any(
                role.role_id == rate.roleId for held in ctx.tree.roles.values() for role in held
            ):
                raise Invalid(f"rates[{number}].roleId", "is no role of this site")
        check_settings.put(ctx.writer, ctx.author, chosen)
        used = (chosen.stopForumSpam, bool(chosen.akismetKey))
        names = [name for name, is_used in zip(_SERVICES, used, strict=True) if is_used]
        _name_services(ctx, names)
        return Done()

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Turn all checks off, and delete the key of the spam service Akismet; 200 also if no check is on."""
        check_settings.delete(ctx.writer, ctx.author)
        _name_services(ctx, [])
        return Done()


def _name_services(ctx: Context, names: list[str]) -> None:
    legal.name_services(ctx.writer, ctx.site.id, names)
    # The privacy text is shown with the site's snapshot: this process reads it again at once, the others soon.
    ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
