"""Mail about decisions of moderators: statements of reasons, receipts and outcomes of reports, decisions on appeals.

Triggers (`sql/functions/decision_mail.sql`) queue these mails as rows that name only the statement, report or appeal;
the texts are rendered when the mails are sent. Statements and decisions on appeals are sent to everybody whom they
concern, banned or not: the law wants it. No mail names who reported or who decided.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from html import unescape
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi import itemtypes
from forumapi.database.connections import Reader
from forumapi.database.query import PLATFORM, Query
from forumapi.mail import outbox
from forumapi.mail.outbox import Written, plain
from forumapi.models.cases.appeal import GRANTED
from forumapi.models.cases.case import ACTED
from forumapi.models.notifications import mail_suppression
from forumapi.models.notifications.update_types import (
    APPEAL_DECIDED,
    DECISIONS,
    REPORT_DECIDED,
    REPORT_RECEIVED,
    STATEMENT,
)
from forumapi.models.trust import decision_words, statement_of_reasons
from forumapi.updates import appeal_and_report_links
from forumapi.updates.appeal_and_report_links import AppealLink

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

CONTEXTS = Query(
    "decision_mail.find",
    f"""
    SELECT m.mail_id, m.site_id, m.update_type_id, m.item_id, s.version, s.acl_version, s.is_deleted,
           coalesce(p.profile_id, 0), coalesce(p.user_id, 0), coalesce(p.profile_name, r.guest_name, ''),
           coalesce(u.email, r.guest_email, ''),
           EXISTS (SELECT FROM mail_suppressions x
                    WHERE x.address_hash = {mail_suppression.hashed("coalesce(u.person_key, r.guest_key)")}),
           coalesce(o.send_email, so.send_email, po.send_email),
           t.created, t.revoked IS NOT NULL, coalesce(a.kind, ''), coalesce(a.ground, ''), coalesce(a.rule, ''),
           coalesce(a.reason, ''), a.ends,
           (SELECT count(*) FROM action_changes x
             WHERE x.site_id = t.site_id AND x.action_id = t.action_id AND x.author_id = t.profile_id
               AND x.statement_id = t.statement_id),
           coalesce(r.item_type_id, 0::smallint), coalesce(r.item_id, 0), coalesce(k.outcome, ''), k.due,
           coalesce(q.state, ''), coalesce(q.statement_id, 0),
           EXISTS (SELECT FROM statements w
                    WHERE w.site_id = q.site_id AND w.statement_id = q.statement_id AND w.revoked IS NOT NULL)
      FROM mail_outbox m
      JOIN sites s ON s.site_id = m.site_id
      LEFT JOIN site_options so ON so.site_id = m.site_id
     CROSS JOIN platform_options po
      LEFT JOIN profiles p ON p.site_id = m.site_id AND p.profile_id = m.profile_id
      LEFT JOIN users u ON u.user_id = p.user_id
      LEFT JOIN profile_options o ON o.site_id = m.site_id AND o.profile_id = m.profile_id
      LEFT JOIN statements t ON m.update_type_id = {STATEMENT} AND t.site_id = m.site_id
                            AND t.statement_id = m.item_id AND t.profile_id = m.profile_id
      LEFT JOIN actions a ON a.site_id = t.site_id AND a.action_id = t.action_id
      LEFT JOIN reports r ON m.update_type_id IN ({REPORT_RECEIVED}, {REPORT_DECIDED}) AND r.site_id = m.site_id
                         AND r.report_id = m.item_id AND r.reporter_id IS NOT DISTINCT FROM m.profile_id
      LEFT JOIN cases k ON k.site_id = r.site_id AND k.case_id = r.case_id
      LEFT JOIN appeals q ON m.update_type_id = {APPEAL_DECIDED} AND q.site_id = m.site_id
                         AND q.appeal_id = m.item_id AND q.profile_id = m.profile_id
     WHERE m.mail_id = ANY(%(ids)s) AND m.update_type_id IN {tuple(DECISIONS)}""",
    scope=PLATFORM,
)


class DecisionContext(NamedTuple):
    """Context of one mail about a decision, as stored when it was read: the mail's reader (from `profile_id` to
    `wants_any`), and the statement, report or appeal that the mail is about.

    `type`: one of update_types.DECISIONS; `id`: of the statement, report or appeal. Fields that the type does not have,
    or whose row is gone, are 0, "" or None. `profile_id` 0: the reader is a guest, who made the report, or a profile
    that is gone. `site_version` and `acl_version`: versions of the site and of its access lists at that time. `name`:
    the reader's, HTML-escaped; `is_off`: mail to the address came back; `wants_any`: the reader has not turned mail
    off.

    Of a statement: `created`, `is_revoked`, `kind` to `ends` of its action, and `things`, the number of the reader's
    things that the action concerns. Of a report: the reported thing (`item_type`, `item_id`), `outcome` and `due` of
    its case. Of an appeal: `appeal_state`, the statement appealed against (`statement_id`), and `is_taken_back`, True
    if its decision was undone.
    """

    mail_id: int
    site_id: int
    type: int
    id: int
    site_version: int
    acl_version: int
    is_site_deleted: bool
    profile_id: int
    user_id: int
    name: str
    email: str
    is_off: bool
    wants_any: bool
    created: datetime.datetime | None
    is_revoked: bool
    kind: str
    ground: str
    rule: str
    reason: str
    ends: datetime.datetime | None
    things: int
    item_type: int
    item_id: int
    outcome: str
    due: datetime.datetime | None
    appeal_state: str
    statement_id: int
    is_taken_back: bool

    @property
    def is_report(self) -> bool:
        """Return True if the mail is for the person who made a report, about that report."""
        return self.type in (REPORT_RECEIVED, REPORT_DECIDED)

    def objection(self) -> str:
        """Return in words, for the log, why the mail must not be sent; "" if it may be sent."""
        if self.is_site_deleted:
            return "the site is gone"
        if not self.email:
            return "the reader is gone"
        if self.is_off:
            return "the address is off: mail to it came back"
        if self.is_report and not self.wants_any:
            return "the reader wants no mail"
        if self.is_revoked:
            return "the decision was taken back"
        return "" if self.created or self.item_id or self.appeal_state else "the decision is gone"


def read(tx: Reader, mail_ids: Sequence[int]) -> list[DecisionContext]:
    """Read the contexts of the queued mails with these ids, in any order; mails that are not about decisions are left
    out.
    """
    return [DecisionContext(*row) for row in tx.rows(CONTEXTS, ids=list(mail_ids))]


def write(secret: bytes, site: Site, context: DecisionContext) -> Written:
    """Render the mail of a context whose `objection` is "". `site`: that of the context; `secret`: the platform's for
    mail, which signs the links.
    """
    template, subject, values = _WRITERS[context.type](secret, site, context)
    title = plain(site.title)
    text, html = outbox.notice(
        f"decisions/{template}", subject, name=plain(context.name), site_title=title, **values
    )
    return Written(
        context.email,
        title,
        plain(f"{subject} - {title}"),
        text,
        html,
        (("List-Id", f"<{site.host}>"), ("Auto-Submitted", "auto-generated")),
    )


_Rendered = tuple[str, str, dict[str, object]]


def _statement(secret: bytes, site: Site, context: DecisionContext) -> _Rendered:
    assert context.created is not None
    until = decision_words.months_later(context.created, statement_of_reasons.APPEAL_MONTHS)
    link = AppealLink(context.id, context.profile_id, context.user_id)
    values: dict[str, object] = {
        "done": decision_words.done(context.kind, context.things),
        "reason": unescape(context.reason),
        "ground": decision_words.ground(context.ground),
        "rule": unescape(context.rule),
        "ends": decision_words.date(context.ends) if context.ends else "",
        "url": site.page(f"/statements/{context.id}/"),
        "appeal_url": link.url(secret, site),
        "until": decision_words.date(until),
    }
    return "statement", "A decision of the moderators", values


def _report_received(secret: bytes, site: Site, context: DecisionContext) -> _Rendered:
    return "report_received", "We have your report", _about_report(secret, site, context)


def _report_decided(secret: bytes, site: Site, context: DecisionContext) -> _Rendered:
    values = _about_report(secret, site, context) | {"is_acted": context.outcome == ACTED}
    return "report_decided", "The moderators have decided about your report", values


def _about_report(secret: bytes, site: Site, context: DecisionContext) -> dict[str, object]:
    assert context.due is not None
    thing = itemtypes.href(context.item_type, context.item_id).removeprefix("/api/v1")
    is_guest = not context.profile_id
    own = site.page(f"/reports/{context.id}/")
    return {
        "kind": itemtypes.name_of(context.item_type),
        "thing_url": site.page(f"{thing}/"),
        "url": appeal_and_report_links.report_url(secret, site, context.id) if is_guest else own,
        "due": decision_words.date(context.due),
        "settings_url": "" if is_guest else site.page("/updates/settings/"),
    }


def _appeal_decided(secret: bytes, site: Site, context: DecisionContext) -> _Rendered:
    link = AppealLink(context.statement_id, context.profile_id, context.user_id)
    values: dict[str, object] = {
        "is_granted": context.appeal_state == GRANTED,
        "is_taken_back": context.appeal_state == GRANTED and context.is_taken_back,
        "url": site.page(f"/appeals/{context.id}/"),
        "appeal_url": link.url(secret, site),
    }
    return "appeal_decided", "The moderators have decided about your appeal", values


_WRITERS: Final = {
    STATEMENT: _statement,
    REPORT_RECEIVED: _report_received,
    REPORT_DECIDED: _report_decided,
    APPEAL_DECIDED: _appeal_decided,
}
