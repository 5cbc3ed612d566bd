"""What a link in a comment points at, as a browser reads it (content 11.6 and 11.8, C-52, C-53)."""

import re
from typing import NamedTuple

from forumapi.text.sanitise import usable_url

MAX_SHORTENED = 2_000
"""Characters of the longest URL that gets a short link."""

# What a URL parser takes out before it reads anything.
_IGNORED = re.compile(r"[\t\n\r]")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*(?=:)")

# With these exclusions every parser finds the same host. What fails here is nobody's own site and
# gets no short link, but is still a link if the sanitiser takes it.
_WEB = re.compile(
    r"(?P<scheme>(?i:https?):)?//(?:[^\s/?#\\@]*@)?(?P<host>[^\s/?#\\@:\[\]]+)(?::[0-9]{0,5})?"
    r"(?P<rest>(?:[/?#]\S*)?)"
)
# Nearly all web addresses: a name, then a plain top level, of which the sanitiser's URL parser
# needn't be asked.
_PLAIN_WEB = re.compile(
    r"(?P<scheme>https?)://(?P<host>(?:(?!xn--)[a-z0-9][a-z0-9\-]*\.)*(?!xn--)[a-z][a-z0-9\-]*)"
    r"(?::[0-9]{1,4})?(?P<rest>(?:[/?#]\S*)?)",
    re.I | re.A,
)
_SCHEMES = ("http", "https", "mailto")
_FILES = "/api/v1/files/"


class Target(NamedTuple):
    """Where a link leads: `href` as to be written, and how it is treated."""

    href: str
    external: bool = False
    shortened: bool = False


def target(url: str, own_hosts: frozenset[str], file_host: str | None) -> Target | None:
    """The target of a link to `url`, or None for one that must not be a link.

    `own_hosts` are the site's host names, lower case, without port. `file_host` is the one of them
    on which files keep their absolute address, None if there is none.
    """
    web = _PLAIN_WEB.fullmatch(url)
    if web is None:
        url = _IGNORED.sub("", url).strip()
        scheme = _SCHEME.match(url)
        if scheme is not None:
            if scheme[0].lower() not in _SCHEMES or not usable_url(url):
                return None
            if scheme[0].lower() == "mailto":
                return Target(url)
        elif url.replace("\\", "/")[:2] != "//":
            return Target(url)
        web = _WEB.fullmatch(url)
        if web is None:
            return Target(url, external=True)
    host = web["host"].rstrip(".").lower()
    if host in own_hosts:
        return Target(_within_site(url, host, web["rest"], file_host))
    shortened = web["scheme"] is not None and len(url) <= MAX_SHORTENED
    return Target(url, external=True, shortened=shortened)


def usable_image(url: str) -> str | None:
    """`url` as the source of an image, or None for one that must not be loaded."""
    source = target(url, frozenset(), None)
    if source is None or not source.href or source.href[:7].lower() == "mailto:":
        return None
    return source.href


def _within_site(url: str, host: str, rest: str, file_host: str | None) -> str:
    if host == file_host and rest.startswith(_FILES):
        return url
    path = rest if rest.startswith("/") else f"/{rest}"
    # "//elsewhere" as a path would be read as a host.
    return url if path[1:2] in ("/", "\\") else path
