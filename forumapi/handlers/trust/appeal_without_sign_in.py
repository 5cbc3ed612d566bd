"""Page that mail about a statement of reasons links to, to appeal without signing in. Wire: docs/api/moderation.md."""

from __future__ import annotations

import datetime
from html import unescape
from typing import Any, NamedTuple

from forumapi.errors import Conflict, Invalid, TooMany
from forumapi.handlers.trust.appeals import AppealBody, message_text
from forumapi.models.access import platform_secret
from forumapi.models.cases import appeal
from forumapi.models.cases.appeal import Appeal
from forumapi.models.trust import decision_words, statement_of_reasons
from forumapi.models.trust.statement_of_reasons import Statement
from forumapi.request.answers import html_answers
from forumapi.request.answers.html_answers import MailedLinkHandler
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Param, needs
from forumapi.request.handler_results import Result
from forumapi.updates import appeal_and_report_links
from forumapi.wire import html_pages

_CODE = (Param("code", str, "What the mail's link carries; signed."),)


class _Linked(NamedTuple):
    """Statement of reasons that the code of a mail's link names, and the appeal against it, None if there is none.
    `me`: id of the profile that the statement is addressed to.
    """

    me: int
    statement: Statement
    appeal: Appeal | None

    @property
    def until(self) -> datetime.datetime:
        return decision_words.months_later(
            self.statement.created, statement_of_reasons.APPEAL_MONTHS
        )


class MailedAppealHandler(MailedLinkHandler):
    """Page of a mail's link: the appeal against one statement of reasons, by the person to whom the mail was sent. The
    code in the link stands for a token.
    """

    @needs(ANYONE, media_type=html_pages.TYPE, params=_CODE)
    def get(self, ctx: Context) -> Result:
        """HTML page with the reasons, the appeal if there is one, and a form; changes nothing.

        400 for a code that is wrong, or older than the six months for appeals.
        """
        found = _linked(ctx)
        return _broken(ctx) if found is None else _page(ctx, found)

    @needs(ANYONE, body=AppealBody, media_type=html_pages.TYPE, params=_CODE)
    def post(self, ctx: Context, sent: AppealBody) -> Result:
        """Appeal or, if there is an appeal, add a message to it; needs no token. The answer is an HTML page.

        400, as a page, for a bad code or text, and for an appeal that is decided or has 100 messages.
        """
        found = _linked(ctx)
        if found is None:
            return _broken(ctx)
        tx, site_id, me = ctx.writer, ctx.site.id, found.me
        try:
            text = message_text(sent)
            # Another request may have made the appeal meanwhile.
            id, is_new = appeal.insert(tx, site_id, me, found.statement.id, text)
            if not is_new:
                locked = Appeal.lock(tx, site_id, id, me, ())
                if locked is None:
                    return _broken(ctx)
                locked.add_message(tx, site_id, me, text)
        except Invalid as error:
            rule = error.message.removeprefix(f"{error.field}: ")
            return _page(ctx, found, notice=f"Your text {rule}.", status=400)
        except (Conflict, TooMany) as error:
            return _page(ctx, found, notice=error.message, status=400)
        said = "The moderators have your message. This link shows what they answer, and mail says what they decide."
        return html_answers.message(ctx, "Sent", said)


def _linked(ctx: Context) -> _Linked | None:
    tx, site_id = ctx.reader, ctx.site.id
    secret = platform_secret.find(tx, platform_secret.MAIL)
    link = appeal_and_report_links.read_appeal(secret, site_id, ctx.query.get("code", ""))
    if link is None or not link.is_still(tx, site_id):
        return None
    found = Statement.find(tx, site_id, link.profile_id, link.statement_id)
    if found is None:
        return None
    filed = Appeal.of_statement(tx, site_id, link.profile_id, found.id)
    linked = _Linked(link.profile_id, found, filed)
    return linked if linked.until > datetime.datetime.now(datetime.UTC) else None


def _page(ctx: Context, found: _Linked, *, notice: str = "", status: int = 200) -> Result:
    stated, filed = found.statement, found.appeal
    messages: list[dict[str, Any]] = []
    if filed is not None:
        messages = [
            {"text": unescape(one.text), "is_mine": one.author_id == found.me}
            for one in filed.messages(ctx.reader, ctx.site.id)
        ]
    return html_answers.page(
        ctx,
        "appeal",
        status=status,
        notice=notice,
        done=decision_words.done(stated.kind, stated.things_total),
        date=decision_words.date(stated.created),
        reason=unescape(stated.reason),
        ground=decision_words.ground(stated.ground),
        rule=unescape(stated.rule),
        is_revoked=stated.revoked is not None,
        until=decision_words.date(found.until),
        state=filed.state if filed else "",
        messages=messages,
    )


def _broken(ctx: Context) -> Result:
    text = (
        "The address of this page is not whole, or its time is over. Open it from the mail again."
    )
    return html_answers.message(ctx, "Nothing has changed", text, status=400)
