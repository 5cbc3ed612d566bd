"""Transfer of a site: its offer to a new owner, who accepts or declines it. Wire: docs/api/sites.md."""

from __future__ import annotations

import secrets
from typing import ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NEEDS_OWNER, Conflict, Forbidden, Invalid, NotFound, known
from forumapi.handlers.sites.site_setting_base import lock_own
from forumapi.mail import outbox
from forumapi.models.access import second_factor_rule
from forumapi.models.people import profile_summary
from forumapi.models.roles import role_recomputation
from forumapi.models.sites.ownership_transfer import OfferParty, SiteOffer
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.updates import site_invitation_mail
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import sites as schemas

_OFFER: Final = "/api/v1/site/offer"


class OfferBody(Struct):
    """Body of POST /site/offer: the profile that is to own the site."""

    profileId: int | UnsetType = UNSET


class AcceptBody(Struct):
    """Body of PUT /site/offer. `accept` must be true, so that no stray request accepts a site."""

    accept: bool | UnsetType = UNSET


class SiteOfferHandler(Handler):
    """The offer of this site to a new owner, for its owner and the profile that it is offered to."""

    allow = "OPTIONS,HEAD,GET,POST,PUT,DELETE"
    closed_in_sandboxes = ("POST", "PUT")
    required_keys: ClassVar = {"POST": ("profileId",), "PUT": ("accept",)}
    also_answers: ClassVar = {"PUT": (409,)}

    def locate(self, ctx: Context) -> Located:
        """Locate the site; a write locks its row.

        Permission on the site says nothing about its future owner: `get`, `put` and `delete` check that the offer
        concerns the caller.
        """
        return lock_own(ctx) if ctx.is_write else Located(Target(itemtypes.SITE, ctx.site.id))

    @needs(LOGIN, answer=schemas.SiteOffer)
    def get(self, ctx: Context) -> Result:
        """The offer: to whom, by whom, until when; 404 if there is none, and for all but its two profiles."""
        offer = _known(ctx)
        people = profile_summary.summaries(
            ctx.reader, ctx.app.documents, ctx.site.id, {offer.profile_id, offer.offered_by}
        )
        return Data(
            json_fragments.dumps(
                {
                    "to": json_fragments.raw(people[offer.profile_id]),
                    "by": json_fragments.raw(people[offer.offered_by]),
                    "expires": json_fragments.format_time(offer.expires),
                }
            )
        )

    @needs(OWNER, body=OfferBody, status=302)
    def post(self, ctx: Context, sent: OfferBody) -> Result:
        """Offer the site for a week to another profile of it, in place of an earlier offer.

        The profile is notified by mail, unless the same profile holds the offer already, refuses such mail or can't get
        any. 400 for the owner's own profile, 404 for an unknown profile, 429 beyond the mails that an owner and a site
        may send within a day. Answers 302 to the offer.
        """
        profile_id = given(sent.profileId, 0)
        if profile_id <= 0:
            raise Invalid("profileId", "is required")
        if profile_id == ctx.identity.profile_id:
            raise Invalid("profileId", "owns the site already")
        person = known(OfferParty.find(ctx.writer, ctx.site.id, profile_id), "profile")
        before = SiteOffer.find(ctx.writer, ctx.site.id)
        SiteOffer.insert(ctx.writer, ctx.author, profile_id)
        is_new = before is None or before.profile_id != profile_id
        if is_new and outbox.is_possible(ctx.app.config):
            site_invitation_mail.offer(
                ctx.writer,
                ctx.app.config,
                ctx.site,
                ctx.identity.user_id,
                profile_id,
                person.email,
                ctx.front_end,
            )
            ctx.writer.after_commit(ctx.app.mail.wake)
        return Found(_OFFER)

    @needs(LOGIN, body=AcceptBody, status=302)
    def put(self, ctx: Context, sent: AcceptBody) -> Result:
        """Accept the offer: the caller owns the site from now on, and its root microcosm if the former owner owned or
        made the root.

        The former owner keeps profile and other microcosms; the former and the new owner get a mail. 400 unless
        `accept` is true, 403 for the owner who offers the site, 404 for others; 409 if the site demands a second factor
        that the caller does not have. Answers 302 to the site.
        """
        offer = _known(ctx)
        me = ctx.identity
        if offer.profile_id != me.profile_id:
            raise Forbidden(
                "Only the profile that is offered the site may accept", code=NEEDS_OWNER
            )
        if sent.accept is not True:
            raise Invalid("accept", "must be true; DELETE declines")
        if second_factor_rule.is_limited(ctx.reader, ctx.site.id, me.user_id):
            raise Conflict("This site demands a second factor of its owner: add one first")
        was = OfferParty.find(ctx.writer, ctx.site.id, offer.offered_by)
        now = OfferParty.find(ctx.writer, ctx.site.id, me.profile_id)
        assert was is not None, "profiles are not deleted"
        assert now is not None, "profiles are not deleted"
        offer.accept(ctx.writer, ctx.author)
        # No ban counts for the owner (P-26), and so for roles by that criterion.
        for party in (was, now):
            role_recomputation.mark_user(ctx.writer, party.user_id, site_id=ctx.site.id)
        title, name = outbox.plain(ctx.site.title), outbox.plain(now.name)
        _notify(ctx, was, f"{title} has a new owner", "site_given", name=name)
        _notify(ctx, now, f"{title} is yours", "site_taken")
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found("/api/v1/site")

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Withdraw the offer as the owner, or decline it as the profile it is made to; 200 also if there is none.

        For anybody else nothing changes: 200 too.
        """
        offer = SiteOffer.find(ctx.writer, ctx.site.id)
        if offer is not None and _concerns(ctx, offer):
            SiteOffer.delete(ctx.writer, ctx.site.id)
        return Done()


def _known(ctx: Context) -> SiteOffer:
    offer = SiteOffer.find(ctx.reader, ctx.site.id)
    if offer is None or not _concerns(ctx, offer):
        raise NotFound("There is no offer for you")
    return offer


def _concerns(ctx: Context, offer: SiteOffer) -> bool:
    return ctx.identity.profile_id in (offer.profile_id, offer.offered_by)


def _notify(
    ctx: Context, person: OfferParty, subject: str, template: str, **values: object
) -> None:
    if not outbox.is_possible(ctx.app.config):
        return
    outbox.queue_notice(
        ctx.writer,
        template,
        cause=f"site-offer:{secrets.token_hex(16)}",
        site_id=ctx.site.id,
        recipient=person.email,
        subject=subject,
        site_title=outbox.plain(ctx.site.title),
        url=ctx.site.page(""),
        **values,
    )
    ctx.writer.after_commit(ctx.app.mail.wake)
