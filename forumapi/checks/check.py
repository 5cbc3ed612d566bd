"""Interface of checks: what is checked, and a verdict. A check knows the text and its author, not the request that
wrote it.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

PASS: Final = "pass"
HOLD: Final = "hold"
# The check gave no usable answer in time; the site's setting decides.
FAILED: Final = "failed"

# Seconds for one check.
TIMEOUT_S: Final = 2.0
MOST_REASON: Final = 200


class CheckedText(NamedTuple):
    """Markdown of a comment, or title of an item, not HTML-escaped, and facts about the author at this moment.

    `role_ids`: the author's roles; `ip` "": not known; `created`: when the thing was made, in UTC. `kind`: "reply" for
    a comment, else "forum-post". `domains`: the host of each link in the text, in lower case, as often as it is linked.
    `live_count`: number of the author's other comments and items on the site that are neither deleted nor hidden,
    counted up to 101 comments and 101 items; `recent_count`: number of comments and items that the author wrote on the
    site in the last hour, deleted and hidden ones too; neither counts huddles and comments in them. `sites_with_text`:
    number of other sites where the same text was written within a day.
    """

    site_id: int
    site_url: str
    author_id: int
    author_name: str
    author_email: str
    role_ids: tuple[int, ...]
    ip: str
    text: str
    kind: str
    created: datetime.datetime
    domains: tuple[str, ...]
    live_count: int
    recent_count: int
    sites_with_text: int


class CheckVerdict(NamedTuple):
    """Verdict of one check on one text. `word`: PASS, HOLD or FAILED (the check gave no verdict); `reason`: for
    moderators, "" for PASS.
    """

    word: str
    reason: str = ""


PASSED: Final = CheckVerdict(PASS)


class TextCheck(ABC):
    """Base class of checks of one text at a time. `name`: of the check, stored with each of its verdicts;
    `asks_service`: `judge` sends a request over the network.
    """

    name: ClassVar[str] = ""
    asks_service: ClassVar[bool] = False

    @abstractmethod
    def judge(self, text: CheckedText) -> CheckVerdict:
        """Return the verdict on a text, within TIMEOUT_S seconds. Raises OutboundError where a service gives no usable
        answer.
        """
