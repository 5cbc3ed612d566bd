"""Bans of profiles and of e-mail domains from a site, by its owner. Wire: docs/api/bans.md."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from forumapi import itemtypes
from forumapi.errors import OUT_OF_RANGE, Invalid, NotFound, known
from forumapi.models.journal import journal
from forumapi.models.people import ban, profile_summary
from forumapi.models.people.ban import Ban
from forumapi.request.context import Context
from forumapi.request.handler import OWNER, Handler, needs
from forumapi.request.handler_results import Data, Done, Found, Result
from forumapi.wire import json_fragments, paging
from forumapi.wire.schemas import people as schemas

PATH = "/api/v1/bans"


class BanBody(Struct):
    """Body of a ban: either `profileId`, or `domain` for all e-mail addresses of that domain and its subdomains.

    `reason` is shown to the banned; `note` to the owner alone. `expires`: end of the ban, RFC 3339, in the future;
    without it the ban has no end.
    """

    profileId: int | UnsetType = UNSET
    domain: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    expires: str | UnsetType = UNSET


def _documents(ctx: Context, bans: list[Ban]) -> list[bytes]:
    ids = sorted({id for one in bans for id in one.people})
    people = profile_summary.summaries(ctx.reader, ctx.app.documents, ctx.site.id, ids)
    return [json_fragments.dumps(one.document(people)) for one in bans]


class BansHandler(Handler):
    """The site's bans, for its owner."""

    allow = "OPTIONS,POST,HEAD,GET"

    @needs(OWNER, answer=schemas.Bans, paged=True)
    def get(self, ctx: Context) -> Result:
        """The site's bans that have not expired, newest first; without bans from the whole platform."""
        total, bans = Ban.page(ctx.reader, ctx.site.id, ctx.paging)
        paging.check(total, ctx.paging)
        items = b"[%b]" % b",".join(_documents(ctx, bans))
        return Data(ctx.listed("bans", items, total, PATH))

    @needs(OWNER, body=BanBody, status=302)
    def post(self, ctx: Context, sent: BanBody) -> Result:
        """Ban a profile or an e-mail domain from the next request on; an earlier ban of the same profile or domain is
        replaced.

        400 for neither or both, for what is no domain, for a bad `expires`, for a text that is too long, and for the
        owner's own profile; 404 for a profile that does not exist. Answers 302 to the ban.
        """
        tx, site_id = ctx.writer, ctx.site.id
        expires = ban.checked_expiry(sent.expires) if isinstance(sent.expires, str) else None
        reason = _text(sent.reason, "reason", ban.MAX_REASON)
        note = _text(sent.note, "note", ban.MAX_NOTE)
        user_id, domain = _subject(ctx, sent)
        affected = ban.affected(tx, site_id, user_id=user_id, domain=domain)
        if user_id:
            Ban.delete_of_user(tx, user_id, site_id=site_id)
        id = Ban.insert(
            tx,
            user_id,
            domain=domain,
            site_id=site_id,
            expires=expires,
            display_reason=reason,
            admin_reason=note,
            created_by=ctx.identity.profile_id,
        )
        _record(ctx, affected, {"verb": "ban", "reason": reason, "note": note})
        return Found(f"{PATH}/{id}")


class BanHandler(Handler):
    """One of the site's bans, for its owner; GET answers 404 for an id of no ban of this site."""

    allow = "OPTIONS,HEAD,GET,DELETE"

    @needs(OWNER, answer=schemas.Ban)
    def get(self, ctx: Context) -> Result:
        """The ban, also an expired one, with whom it bans, its reason, its note and its end."""
        found = known(Ban.find(ctx.reader, ctx.site.id, ctx.args["id"]), "ban")
        return Data(_documents(ctx, [found])[0])

    @needs(OWNER)
    def delete(self, ctx: Context) -> Result:
        """Lift the ban with the id in the address, from the next request on; 200 also if there is none."""
        deleted = Ban.delete(ctx.writer, ctx.site.id, ctx.args["id"])
        if deleted is not None:
            user_id, domain = deleted
            affected = ban.affected(ctx.writer, ctx.site.id, user_id=user_id, domain=domain)
            _record(ctx, affected, {"verb": "lift"})
        return Done()


def _text(sent: str | UnsetType, field: str, most: int) -> str:
    return ban.checked_text(sent, field, most) if isinstance(sent, str) else ""


def _subject(ctx: Context, sent: BanBody) -> tuple[int, str]:
    """Return whom the body bans: (user id, "") for a profile, (0, domain) for an e-mail domain.

    Raises Invalid for neither or both, for what is no domain, for an id below 1 and for the owner's own profile;
    NotFound for an unknown profile.
    """
    if isinstance(sent.domain, str) and isinstance(sent.profileId, int):
        raise Invalid("profileId", "and domain can't both be given")
    if isinstance(sent.domain, str):
        return 0, ban.checked_domain(sent.domain)
    if not isinstance(sent.profileId, int):
        raise Invalid("profileId", "or domain is required")
    if sent.profileId < 1:
        raise Invalid("profileId", "must be the id of a profile", code=OUT_OF_RANGE)
    if sent.profileId == ctx.identity.profile_id:
        raise Invalid("profileId", "is the owner of this site, who can't be banned from it")
    user_id = ban.user_of(ctx.reader, ctx.site.id, sent.profileId)
    if not user_id:
        raise NotFound("There is no such profile")
    return user_id, ""


def _record(ctx: Context, profile_ids: list[int], detail: dict[str, str]) -> None:
    """Record in the audit and in the event log, for each of these profiles, that the profile's ban began or ended.
    `detail`: what the audit says of it, with keys of audit_detail_encoding.py: `verb`, `ban` or `lift`, and for a ban
    `reason` and `note`.
    """
    journal.record_many(
        ctx.writer,
        ctx.author,
        journal.PATCHED,
        itemtypes.PROFILE,
        profile_ids,
        versions=[None] * len(profile_ids),
        detail=detail,
    )
