"""Targets of links and images in comments: allowed or not, of this site or another, parsed as browsers parse them
(content 11.6 and 11.8, C-52, C-53).
"""

import re
from typing import NamedTuple

from forumapi.text.sanitise import usable_url

MAX_SHORTENED = 2_000
"""Characters of the longest URL that gets a short link."""

# Characters that a URL parser removes first.
_IGNORED = re.compile(r"[\t\n\r]")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*(?=:)")

# With these exclusions every parser finds the same host. Other addresses are treated as foreign and get no short link,
# but stay links if the sanitiser accepts them.
_WEB = re.compile(
    r"(?P<scheme>(?i:https?):)?//(?:[^\s/?#\\@]*@)?(?P<host>[^\s/?#\\@:\[\]]+)(?::[0-9]{0,5})?"
    r"(?P<rest>(?:[/?#]\S*)?)"
)
# Fast path of nearly all web addresses: a name and a plain top level, valid to the sanitiser's URL parser.
_PLAIN_WEB = re.compile(
    r"(?P<scheme>https?)://(?P<host>(?:(?!xn--)[a-z0-9][a-z0-9\-]*\.)*(?!xn--)[a-z][a-z0-9\-]*)"
    r"(?::[0-9]{1,4})?(?P<rest>(?:[/?#]\S*)?)",
    re.I | re.A,
)
_SCHEMES = ("http", "https", "mailto")
_FILES = "/api/v1/files/"


class LinkTarget(NamedTuple):
    """Target of a link. `href`: address to write, not HTML-escaped; `external`: True if it is on a host that is not one
    of the site's, or a URL whose host parsers may disagree on; `shortened`: it is to be replaced by a short link.
    """

    href: str
    external: bool = False
    shortened: bool = False


def target(url: str, own_hosts: frozenset[str], file_host: str | None) -> LinkTarget | None:
    """Return the target of a link to `url`, as an author wrote it but with entities decoded; None if the sanitiser
    would remove the link.

    A URL on one of the site's hosts becomes a path, unless that would begin with two slashes; relative addresses stay
    as they are. `own_hosts`: the site's host names, in lower case, without port; `file_host`: the one of `own_hosts` on
    which addresses of files stay absolute, None for no such host.
    """
    web = _PLAIN_WEB.fullmatch(url)
    if web is None:
        url = _IGNORED.sub("", url).strip()
        scheme = _SCHEME.match(url)
        if scheme is not None:
            if scheme[0].lower() not in _SCHEMES or not usable_url(url):
                return None
            if scheme[0].lower() == "mailto":
                return LinkTarget(url)
        elif url.replace("\\", "/")[:2] != "//":
            return LinkTarget(url)
        web = _WEB.fullmatch(url)
        if web is None:
            return LinkTarget(url, external=True)
    host = web["host"].rstrip(".").lower()
    if host in own_hosts:
        return LinkTarget(_within_site(url, host, web["rest"], file_host))
    shortened = web["scheme"] is not None and len(url) <= MAX_SHORTENED
    return LinkTarget(url, external=True, shortened=shortened)


def usable_image(url: str) -> str | None:
    """Return the address from which pages load an image with the source `url`, as an author wrote it but with entities
    decoded; None if the image must be left out. Unlike a link's, a URL on the site's own host stays absolute; a
    relative address stays relative.
    """
    source = target(url, frozenset(), None)
    if source is None or not source.href or source.href[:7].lower() == "mailto:":
        return None
    return source.href


def _within_site(url: str, host: str, rest: str, file_host: str | None) -> str:
    if host == file_host and rest.startswith(_FILES):
        return url
    path = rest if rest.startswith("/") else f"/{rest}"
    # A path "//other" would be parsed as a host.
    return url if path[1:2] in ("/", "\\") else path
