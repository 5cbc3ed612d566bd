"""Settings of a site beside its document: options, legal texts, transfer to another owner. Wire: docs/api/sites.md."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import NEEDS_OWNER, Conflict, Forbidden, Invalid, NotFound, known
from forumapi.handlers.sites.sites import SiteSettingHandler, lock_own
from forumapi.mail import outbox
from forumapi.models.access import sign_in_rules
from forumapi.models.people import profile_summary
from forumapi.models.sites import legal
from forumapi.models.sites.legal import LegalText
from forumapi.models.sites.site_offer import OfferParty, SiteOffer
from forumapi.models.sites.site_options import SiteOptions
from forumapi.permissions.evaluator import Target
from forumapi.request.context import Context, Located
from forumapi.request.handler import LOGIN, OWNER, Handler, needs
from forumapi.request.response import Data, Done, Found, Result
from forumapi.updates import invitation
from forumapi.wire import json_fragments
from forumapi.wire.body import given
from forumapi.wire.schemas import sites as schemas

_OPTIONS: Final = "/api/v1/site/options"
_LEGAL: Final = "/api/v1/site/legal"
_OFFER: Final = "/api/v1/site/offer"


# ---------------------------------------------------------------- options


class SiteOptionsBody(Struct):
    """The body of PUT /site/options; what is not sent stays."""

    membersCreateMicrocosms: bool | UnsetType = UNSET
    sendEmail: bool | UnsetType = UNSET
    sendSMS: bool | UnsetType = UNSET


class SiteOptionsHandler(SiteSettingHandler):
    """Options of the site, for its owner."""

    allow = "OPTIONS,HEAD,GET,PUT"

    @needs(OWNER, answer=schemas.SiteOptions)
    def get(self, ctx: Context) -> Result:
        """Every option as it counts now."""
        options = SiteOptions.find(ctx.reader, ctx.site.id)
        return Data(
            json_fragments.dumps(
                {
                    "membersCreateMicrocosms": options.members_create_microcosms,
                    "sendEmail": options.send_email,
                    "sendSMS": options.send_sms,
                }
            )
        )

    @needs(OWNER, body=SiteOptionsBody, status=302)
    def put(self, ctx: Context, sent: SiteOptionsBody) -> Result:
        """Sets who may make microcosms, and the master switches of profiles that are made from now on."""
        SiteOptions.update(
            ctx.writer,
            ctx.author,
            members_create=given(sent.membersCreateMicrocosms, None),
            send_email=given(sent.sendEmail, None),
            send_sms=given(sent.sendSMS, None),
        )
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found(_OPTIONS)


# ---------------------------------------------------------------- legal texts


class LegalBody(Struct):
    """The body of PUT /site/legal/{document}: a text, or where it is kept."""

    html: str | UnsetType = UNSET
    link: str | UnsetType = UNSET


class SiteLegalHandler(SiteSettingHandler):
    """The templates of the site's legal documents, for its owner."""

    allow = "OPTIONS,HEAD,GET"

    @needs(OWNER, answer=schemas.LegalTemplates)
    def get(self, ctx: Context) -> Result:
        """Every document as it is written now, with the names that may stand in it."""
        shown = [_template(ctx, name) for name in legal.SITE_DOCUMENTS]
        return Data(json_fragments.dumps({"documents": shown}))


class SiteLegalDocumentHandler(SiteSettingHandler):
    """The template of one legal document, for the site's owner."""

    allow = "OPTIONS,HEAD,GET,PUT,DELETE"

    @needs(OWNER, answer=schemas.LegalTemplate)
    def get(self, ctx: Context) -> Result:
        """The document as it is written now."""
        return Data(json_fragments.dumps(_template(ctx, _document(ctx))))

    @needs(OWNER, body=LegalBody, status=302)
    def put(self, ctx: Context, sent: LegalBody) -> Result:
        """Replaces it: by `html`, without scripts, forms and frames, or by a `link` to where it is kept."""
        name = _document(ctx)
        html, link = legal.checked(given(sent.html, None), given(sent.link, None))
        LegalText.upsert(ctx.writer, ctx.author, name, html, link)
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found(f"{_LEGAL}/{name}")

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Goes back to the text that comes with the software."""
        LegalText.delete(ctx.writer, ctx.author, _document(ctx))
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Done()


def _document(ctx: Context) -> str:
    name: str = ctx.args["document"]
    if name not in legal.SITE_DOCUMENTS:
        raise NotFound("There is no such document")
    return name


def _template(ctx: Context, name: str) -> dict[str, Any]:
    text = LegalText.find(ctx.reader, ctx.site.id, name)
    return {
        "name": name,
        "own": text.is_own,
        "html": text.body,
        "link": text.link,
        "lastModified": json_fragments.format_time(text.modified),
        "names": list(legal.NAMES),
    }


# ---------------------------------------------------------------- who is to own it


class OfferBody(Struct):
    """The body of POST /site/offer."""

    profileId: int | UnsetType = UNSET


class AcceptBody(Struct):
    """The body of PUT /site/offer: nobody owns a site by a stray request."""

    accept: bool | UnsetType = UNSET


class SiteOfferHandler(Handler):
    """The offer to own this site: for its owner, and for who is to be the next."""

    allow = "OPTIONS,HEAD,GET,POST,PUT,DELETE"
    required_keys: ClassVar = {"POST": ("profileId",), "PUT": ("accept",)}
    also_answers: ClassVar = {"PUT": (409,)}

    def locate(self, ctx: Context) -> Located:
        """Locate the site, locked for a write. The new owner has no right on it yet: each method checks the offer."""
        return lock_own(ctx) if ctx.is_write else Located(Target(itemtypes.SITE, ctx.site.id))

    @needs(LOGIN, answer=schemas.SiteOffer)
    def get(self, ctx: Context) -> Result:
        """The offer. 404 for everybody whom it does not concern, and while there is none."""
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
        """Offers the site to a profile of it, in the place of any offer before, for a week.

        They get a mail, unless this very offer counts already, or they want or can get none. 429 for more mails than
        an owner and a site have within a day.
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
            invitation.offer(
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
        """Accepts. Who owned the site keeps their profile and microcosms, but the root one; both get a mail.

        409 where the site demands a second factor that the caller does not have.
        """
        offer = _known(ctx)
        me = ctx.identity
        if offer.profile_id != me.profile_id:
            raise Forbidden(
                "Only the profile that is offered the site may accept", code=NEEDS_OWNER
            )
        if sent.accept is not True:
            raise Invalid("accept", "must be true; DELETE declines")
        if sign_in_rules.is_limited(ctx.reader, ctx.site.id, me.user_id):
            raise Conflict("This site demands a second factor of its owner: add one first")
        was = OfferParty.find(ctx.writer, ctx.site.id, offer.offered_by)
        now = OfferParty.find(ctx.writer, ctx.site.id, me.profile_id)
        assert was is not None, "profiles are not deleted"
        assert now is not None, "profiles are not deleted"
        offer.accept(ctx.writer, ctx.author)
        title, name = outbox.plain(ctx.site.title), outbox.plain(now.name)
        _notify(ctx, was, f"{title} has a new owner", "site_given", name=name)
        _notify(ctx, now, f"{title} is yours", "site_taken")
        ctx.writer.after_commit(lambda: ctx.app.sites.forget(ctx.site.id))
        return Found("/api/v1/site")

    @needs(LOGIN)
    def delete(self, ctx: Context) -> Result:
        """Takes the offer back, or declines it. 200 also for who was offered nothing."""
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
