"""Page that mail to guests who reported something links to: it confirms a report. Wire: docs/api/moderation.md."""

from __future__ import annotations

from html import unescape

from forumapi import itemtypes
from forumapi.handlers.trust.reports import found_thing
from forumapi.itemtypes import ItemRef
from forumapi.models.access import platform_secret
from forumapi.models.cases import report
from forumapi.models.cases.case import ACTED
from forumapi.models.cases.report import Guest, OwnReport, Report, ReportedThing
from forumapi.models.cases.unconfirmed_guest_report import GuestRequest
from forumapi.permissions.evaluator import READ as MAY_READ
from forumapi.permissions.evaluator import effective
from forumapi.request.answers import html_answers
from forumapi.request.answers.html_answers import MailedLinkHandler
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Param, needs
from forumapi.request.handler_results import Result
from forumapi.updates import appeal_and_report_links
from forumapi.wire import html_pages
from forumapi.wire.body import UNSET, Body, UnsetType, given

_CODE = (Param("code", str, "What the mail's link carries."),)
_FORGET = "forget"


class GuestStepBody(Body):
    """Form of the page of a guest's report. `step`: `forget` deletes the guest's name and address, and an unconfirmed
    report with them; any other `step` confirms an unconfirmed report.
    """

    step: str | UnsetType = UNSET


class MailedReportHandler(MailedLinkHandler):
    """Page of a mail's link: the report of a guest, to be confirmed by the guest, or with its outcome. The code in the
    link stands for a token.
    """

    @needs(ANYONE, media_type=html_pages.TYPE, params=_CODE)
    def get(self, ctx: Context) -> Result:
        """HTML page with the report and a button; changes nothing, since programs that scan mail follow links too.

        400 for a code that is wrong, used or too old.
        """
        code, site_id = ctx.query.get("code", ""), ctx.site.id
        made = _made(ctx, code)
        if made is not None:
            return _page(ctx, made.item_type, made.item_id, made.text, made)
        asked = GuestRequest.find(ctx.reader, site_id, code)
        if asked is None:
            return _broken(ctx)
        return _page(ctx, asked.item_type, asked.item_id, asked.text, None)

    @needs(ANYONE, body=GuestStepBody, media_type=html_pages.TYPE, params=_CODE)
    def post(self, ctx: Context, sent: GuestStepBody) -> Result:
        """Confirm the report, so that moderators see it from now on; a report that is confirmed already is only shown
        again. With `forget`, delete the guest's name and address instead, and with them a report that is not confirmed.
        If guests may not see the object any more, nothing is reported, and the page says so.

        The answer is an HTML page. 400 for a code that is wrong, used or too old; 429, and the code stays good, if the
        guest has made too many reports in a day, or guests together too many on this object, or on the site in a day.
        """
        code, site_id, tx = ctx.query.get("code", ""), ctx.site.id, ctx.writer
        made = _made(ctx, code)
        if made is not None:
            if given(sent.step, "") != _FORGET:
                return _page(ctx, made.item_type, made.item_id, made.text, made)
            report.forget_guest(tx, site_id, made.id)
            text = "Your name and address are gone. The report stays with the moderators."
            return html_answers.message(ctx, "Forgotten", text)
        asked = GuestRequest.take(tx, site_id, code)
        if asked is None:
            return _broken(ctx)
        if given(sent.step, "") == _FORGET:
            text = "Your name and address are gone. Nothing was reported."
            return html_answers.message(ctx, "Forgotten", text)
        ref = ItemRef(asked.item_type, asked.item_id)
        found = found_thing(ctx, ref)
        target = found.target
        may_read = effective(ctx.identity.principal, target, ctx.tree) & MAY_READ
        if not found.exists or found.is_hidden or not may_read:
            text = "What you reported is not to be seen any more, so there is nothing to report."
            return html_answers.message(ctx, "It is gone", text)
        thing = ReportedThing(ref, target.microcosm_id, target.owner_ids[0])
        guest = Guest(asked.email, asked.name, asked.key)
        confirmed = Report(thing, asked.kind, asked.category, asked.text, guest=guest)
        confirmed.insert(tx, site_id, 0)
        if not confirmed.id:
            text = (
                "You had reported this before you were forgotten. The moderators still have that."
            )
            return html_answers.message(ctx, "It is known", text)
        text = "The moderators have your report. You get a mail about what they decide."
        return html_answers.message(ctx, "Thank you", text)


def _made(ctx: Context, code: str) -> OwnReport | None:
    secret = platform_secret.find(ctx.reader, platform_secret.MAIL)
    id = appeal_and_report_links.read_report(secret, ctx.site.id, code)
    return OwnReport.of_guest(ctx.reader, ctx.site.id, id) if id else None


def _page(ctx: Context, item_type: int, item_id: int, text: str, made: OwnReport | None) -> Result:
    path = itemtypes.href(item_type, item_id).removeprefix("/api/v1")
    return html_answers.page(
        ctx,
        "report",
        kind=itemtypes.name_of(item_type),
        thing_url=ctx.site.page(f"{path}/"),
        text=unescape(text),
        is_made=made is not None,
        is_decided=made is not None and made.decided is not None,
        is_acted=made is not None and made.outcome == ACTED,
    )


def _broken(ctx: Context) -> Result:
    text = "The address of this page is not whole, was used, or its day is over."
    return html_answers.message(ctx, "Nothing has changed", text, status=400)
