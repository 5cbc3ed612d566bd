"""Known crawlers by the product token of their User-Agent, and the test whether a User-Agent is a browser's."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple


class Crawler(NamedTuple):
    """Crawler of a search engine or of a collector of training data. `name`: its product token, also in robots.txt;
    `hosts`: domains of the host names that its addresses have, none for a crawler without such names; `trains`: what it
    fetches trains language models.
    """

    name: str
    hosts: tuple[str, ...] = ()
    trains: bool = False


CRAWLERS: Final = (
    Crawler("Googlebot", ("googlebot.com", "google.com", "googleusercontent.com")),
    Crawler("Bingbot", ("search.msn.com",)),
    Crawler("Applebot", ("applebot.apple.com",)),
    Crawler("YandexBot", ("yandex.ru", "yandex.net", "yandex.com")),
    Crawler("Baiduspider", ("baidu.com", "baidu.jp")),
    Crawler("SeznamBot", ("seznam.cz",)),
    Crawler("Qwantbot", ("qwant.com",)),
    Crawler("MojeekBot", ("mojeek.com",)),
    Crawler("PetalBot", ("petalsearch.com", "aspiegel.com")),
    Crawler("Amazonbot", ("crawl.amazonbot.amazon",), trains=True),
    Crawler("CCBot", ("crawl.commoncrawl.org",), trains=True),
    Crawler("GPTBot", trains=True),
    Crawler("ClaudeBot", trains=True),
    Crawler("Google-Extended", trains=True),
    Crawler("Applebot-Extended", trains=True),
    Crawler("meta-externalagent", trains=True),
    Crawler("Bytespider", trains=True),
    Crawler("PerplexityBot", trains=True),
    Crawler("cohere-ai", trains=True),
    Crawler("Diffbot", trains=True),
)
BY_NAME: Final = {one.name: one for one in CRAWLERS}
# A longer name goes before one that it begins with.
_CLAIM: Final = re.compile(
    "|".join(re.escape(name) for name in sorted(BY_NAME, key=len, reverse=True)), re.IGNORECASE
)
_BY_LOWER: Final = {name.lower(): one for name, one in BY_NAME.items()}
_ENGINE: Final = re.compile(r"Mozilla/5\.0 \(.*(?:Gecko/|AppleWebKit/|Trident/)")
_PROGRAM: Final = re.compile(
    r"bot\b|bot/|crawl|spider|scrap|fetch|http-client|python|curl|wget|headless|\+https?:",
    re.IGNORECASE,
)


# Characters of a User-Agent that are read, and kept in the caches: more than a known crawler or browser sends.
_MOST: Final = 512


def claimed(user_agent: str) -> Crawler | None:
    """Return the known crawler that a User-Agent claims to be: the first that it names, anywhere in its first 512
    characters and in any letter case; None if it names none. The claim is not verified.
    """
    return _claimed(user_agent[:_MOST])


def is_browser(user_agent: str) -> bool:
    """Return True if a User-Agent is that of a browser, so far as its first 512 characters say."""
    return _is_browser(user_agent[:_MOST])


@lru_cache(2048)
def _claimed(user_agent: str) -> Crawler | None:
    found = _CLAIM.search(user_agent)
    return _BY_LOWER[found[0].lower()] if found else None


@lru_cache(2048)
def _is_browser(user_agent: str) -> bool:
    return bool(_ENGINE.match(user_agent)) and not _PROGRAM.search(user_agent)
