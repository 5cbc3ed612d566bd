"""Checks by services on the network: Stop Forum Spam, and whatever speaks Akismet's protocol. Off by default."""

from __future__ import annotations

import json
from typing import ClassVar, Final
from urllib.parse import quote, urlencode

from forumapi.checks.check import HOLD, PASSED, CheckedText, CheckVerdict, TextCheck
from forumapi.outbound.safe_http_client import Outbound, OutboundError

STOP_FORUM_SPAM_URL: Final = "https://api.stopforumspam.org/api"
# {key}: the site's.
AKISMET_URL: Final = "https://{key}.rest.akismet.com/1.1/comment-check"
_MOST_BYTES: Final = 65_536
# Confidence, in per cent, from which an answer of Stop Forum Spam holds.
_SURE: Final = 50.0


class StopForumSpamCheck(TextCheck):
    """Check that sends the author's e-mail address and, if known, client address to Stop Forum Spam, and holds the text
    if the service has a confidence of _SURE per cent or more that one of the two is a spammer's. The text itself is not
    sent. `url`: of the service, "" for the public one.
    """

    name: ClassVar[str] = "stopForumSpam"
    asks_service: ClassVar[bool] = True

    def __init__(self, outbound: Outbound, url: str = "") -> None:
        self._outbound = outbound
        self._url = url or STOP_FORUM_SPAM_URL

    def judge(self, text: CheckedText) -> CheckVerdict:
        asked = {"f": "json", "email": text.author_email, "ip": text.ip}
        query = urlencode({name: value for name, value in asked.items() if name == "f" or value})
        answer = self._outbound.fetch(f"{self._url}?{query}", max_bytes=_MOST_BYTES)
        said = _object(answer.body)
        if answer.status != 200 or said.get("success") != 1:
            raise OutboundError("Stop Forum Spam gave no answer")
        for name in ("email", "ip"):
            about = said.get(name)
            sure = about.get("confidence") if isinstance(about, dict) else None
            if isinstance(sure, int | float) and sure >= _SURE:
                return CheckVerdict(HOLD, f"Stop Forum Spam knows the {name} ({sure:.0f} %)")
        return PASSED


class AkismetCheck(TextCheck):
    """Check that sends the text, with the author's name, e-mail address and client address and the site's address, to a
    service with Akismet's protocol, and holds the text if the service calls it spam. `key`: of the site's account at
    the service; `url`: address of the service, in which `{key}` is replaced by the key, "" for Akismet's own.
    """

    name: ClassVar[str] = "akismet"
    asks_service: ClassVar[bool] = True

    def __init__(self, outbound: Outbound, key: str, url: str = "") -> None:
        self._outbound = outbound
        self._url = (url or AKISMET_URL).replace("{key}", quote(key, safe=""))
        self._key = key

    def judge(self, text: CheckedText) -> CheckVerdict:
        form = {
            "api_key": self._key,
            "blog": text.site_url,
            "user_ip": text.ip,
            "comment_type": text.kind,
            "comment_author": text.author_name,
            "comment_author_email": text.author_email,
            "comment_content": text.text,
            "comment_date_gmt": text.created.isoformat(),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._outbound.fetch(
            self._url, body=urlencode(form).encode(), headers=headers, max_bytes=_MOST_BYTES
        )
        word = answer.body.strip()
        if answer.status != 200 or word not in (b"true", b"false"):
            raise OutboundError("the service gave no usable answer")
        return CheckVerdict(HOLD, "the service calls it spam") if word == b"true" else PASSED


def _object(data: bytes) -> dict[str, object]:
    try:
        said = json.loads(data)
    except ValueError:
        raise OutboundError("the service gave no usable answer") from None
    return said if isinstance(said, dict) else {}
