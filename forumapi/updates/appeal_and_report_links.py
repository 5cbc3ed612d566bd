"""Links in mails about decisions, for people who cannot sign in: signed for a site and one statement, or one report.

A link of a statement opens the appeal against that statement, also for somebody who is banned, and nothing else. It
ends with the time for appeals, and with the account: the profile must still belong to the user to whom the mail was
sent. A link of a report shows the report to the guest who made it, as long as the guest's address is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from forumapi.database.connections import Reader
from forumapi.database.query import Query

if TYPE_CHECKING:
    from forumapi.models.sites.site import Site

APPEAL_PATH: Final = "/mail/appeal"
REPORT_PATH: Final = "/mail/report"

_SIGNATURE: Final = r"\.([A-Za-z0-9_-]{22})"
_APPEAL: Final = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]{1,18})" + _SIGNATURE)
_REPORT: Final = re.compile(r"([0-9]{1,18})" + _SIGNATURE)

IS_STILL = Query(
    "appeal_and_report_links.is_still",
    """
    SELECT true
      FROM profiles p
     WHERE p.site_id = %(site_id)s AND p.profile_id = %(profile_id)s AND p.user_id = %(user_id)s""",
)


class AppealLink(NamedTuple):
    """Content of a link to the appeal against one statement of reasons: ids of the statement, of the profile whom the
    statement concerns, and of the user to whom that profile belonged when the mail was sent.
    """

    statement_id: int
    profile_id: int
    user_id: int

    def url(self, secret: bytes, site: Site) -> str:
        """Return the link's URL, at the address of the site's API. `secret`: the platform's for mail."""
        return f"{site.origin}{APPEAL_PATH}?code={self.code(secret, site.id)}"

    def code(self, secret: bytes, site_id: int) -> str:
        """Return the code in the link: the three ids in clear, then their signature for this site. `secret`: the
        platform's for mail.
        """
        text = ".".join(map(str, self))
        return f"{text}.{_sign(secret, 'appeal', site_id, text)}"

    def is_still(self, tx: Reader, site_id: int) -> bool:
        """Return True if the profile still belongs to the user to whom the mail was sent."""
        found = tx.row(IS_STILL, site_id=site_id, profile_id=self.profile_id, user_id=self.user_id)
        return found is not None


def read_appeal(secret: bytes, site_id: int, given: str) -> AppealLink | None:
    """Verify `given` as the code of a link to an appeal on this site; return the link's content, None for any other
    text. `secret`: the platform's for mail. Neither the account nor the time for appeals is checked.
    """
    match = _APPEAL.fullmatch(given)
    if match is None or not _is_signed(secret, "appeal", site_id, given):
        return None
    return AppealLink(int(match[1]), int(match[2]), int(match[3]))


def report_url(secret: bytes, site: Site, report_id: int) -> str:
    """Return the URL, at the address of the site's API, at which a guest sees the report that they made. `secret`: the
    platform's for mail.
    """
    code = f"{report_id}.{_sign(secret, 'report', site.id, str(report_id))}"
    return f"{site.origin}{REPORT_PATH}?code={code}"


def read_report(secret: bytes, site_id: int, given: str) -> int:
    """Verify `given` as the code of a link to a report on this site; return the report's id, 0 for any other text.
    `secret`: the platform's for mail.
    """
    match = _REPORT.fullmatch(given)
    return int(match[1]) if match and _is_signed(secret, "report", site_id, given) else 0


def _is_signed(secret: bytes, purpose: str, site_id: int, given: str) -> bool:
    text, _, signature = given.rpartition(".")
    return hmac.compare_digest(signature, _sign(secret, purpose, site_id, text))


def _sign(secret: bytes, purpose: str, site_id: int, text: str) -> str:
    made = hmac.new(secret, f"{purpose}:{site_id}:{text}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made[:16]).decode().rstrip("=")
