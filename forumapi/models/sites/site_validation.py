"""Checks of the settings of a site that its owner sends: title, look, addresses (platform 2.3). Pure: no database, no
HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from html import unescape
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from msgspec import UNSET, Struct, UnsetType

from forumapi.errors import Invalid
from forumapi.text import short_text_cleaning
from forumapi.wire.body import given

MAX_TITLE: Final = 50
MAX_KEY: Final = 50
MAX_DOMAIN: Final = 253
MAX_URL: Final = 2000
MAX_ANALYTICS: Final = 15
MAX_AUTH0: Final = 100

BACKGROUND_COLOR: Final = "#FFFFFF"
LINK_COLOR: Final = "#4082C3"
POSITIONS: Final = frozenset(("tile", "cover", "tall", "wide", "left", "center", "right"))

# The CSS colour names in their gray spelling.
COLOR_NAMES: Final = frozenset(
    """
    aliceblue antiquewhite aqua aquamarine azure beige bisque black blanchedalmond blue blueviolet brown burlywood
    cadetblue chartreuse chocolate coral cornflowerblue cornsilk crimson cyan darkblue darkcyan darkgoldenrod darkgray
    darkgreen darkkhaki darkmagenta darkolivegreen darkorange darkorchid darkred darksalmon darkseagreen darkslateblue
    darkslategray darkturquoise darkviolet deeppink deepskyblue dimgray dodgerblue firebrick floralwhite forestgreen
    fuchsia gainsboro ghostwhite gold goldenrod gray green greenyellow honeydew hotpink indianred indigo ivory khaki
    lavender lavenderblush lawngreen lemonchiffon lightblue lightcoral lightcyan lightgoldenrodyellow lightgray
    lightgreen lightpink lightsalmon lightseagreen lightskyblue lightslategray lightsteelblue lightyellow lime
    limegreen linen magenta maroon mediumaquamarine mediumblue mediumorchid mediumpurple mediumseagreen
    mediumslateblue mediumspringgreen mediumturquoise mediumvioletred midnightblue mintcream mistyrose moccasin
    navajowhite navy oldlace olive olivedrab orange orangered orchid palegoldenrod palegreen paleturquoise
    palevioletred papayawhip peachpuff peru pink plum powderblue purple red rosybrown royalblue saddlebrown salmon
    sandybrown seagreen seashell sienna silver skyblue slateblue slategray snow springgreen steelblue tan teal thistle
    tomato turquoise violet wheat white whitesmoke yellow yellowgreen
    """.split()  # noqa: SIM905 - a block of words reads better than 140 quoted ones
)

_KEY: Final = re.compile(r"[a-z0-9]{1,50}")
_HEX_COLOR: Final = re.compile(r"#(?:[0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_ANALYTICS: Final = re.compile(r"(?:UA|G)-[A-Za-z0-9-]+")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
# Characters that end an attribute, a style's url() or a line; percent-encoded they do no harm.
_UNSAFE_IN_URL: Final = re.compile(r"""[\s"'<>\\()`{}]""")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class SiteFlags(Struct):
    """Member `meta.flags` of a site in a request's body: the flags that clients may set."""

    deleted: bool | UnsetType = UNSET


class SiteMeta(Struct):
    """Member `meta` of a site in a request's body: the members that clients may set."""

    flags: SiteFlags | UnsetType = UNSET


class SiteBody(Struct, kw_only=True):
    """Settings of a site as a client sends them; "" clears a setting that may be absent (P-16). `subdomainKey` counts
    for a new site alone.
    """

    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    subdomainKey: str | UnsetType = UNSET
    domain: str | UnsetType = UNSET
    forceSSL: bool | UnsetType = UNSET
    themeId: int | UnsetType = UNSET
    logoUrl: str | UnsetType = UNSET
    faviconUrl: str | UnsetType = UNSET
    backgroundColor: str | UnsetType = UNSET
    backgroundUrl: str | UnsetType = UNSET
    backgroundPosition: str | UnsetType = UNSET
    linkColor: str | UnsetType = UNSET
    gaWebPropertyId: str | UnsetType = UNSET
    auth0Domain: str | UnsetType = UNSET
    auth0ClientId: str | UnsetType = UNSET
    auth0ClientSecret: str | UnsetType = UNSET
    webUrl: str | UnsetType = UNSET
    namesModerators: bool | UnsetType = UNSET
    meta: SiteMeta | UnsetType = UNSET


def names_domain_alone(body: SiteBody) -> bool:
    """Return True if `domain` is the only setting in the body."""
    sent = {name for name in body.__struct_fields__ if getattr(body, name) is not UNSET}
    return sent == {"domain"}


class SiteSettings(NamedTuple):
    """Settings of a site that its owner chooses, as stored: title and description HTML-escaped; `names_moderators`:
    readers are told who moderates a microcosm. A setting that is None has no value.
    """

    title: str = ""
    description: str = ""
    domain: str | None = None
    force_ssl: bool = False
    theme_id: int = 1
    logo_url: str | None = None
    favicon_url: str | None = None
    background_url: str | None = None
    background_color: str = BACKGROUND_COLOR
    background_position: str = "cover"
    link_color: str = LINK_COLOR
    ga_web_property_id: str | None = None
    auth0_domain: str | None = None
    auth0_client_id: str | None = None
    auth0_client_secret: str | None = None
    web_url: str | None = None
    names_moderators: bool = False


def deleted(body: SiteBody, stored: bool) -> bool:
    """Return True if the site is deleted once `body` is applied: by the flag in `body`, or by `stored`, the present
    flag, if `body` has none.
    """
    meta = given(body.meta, SiteMeta())
    return given(given(meta.flags, SiteFlags()).deleted, stored)


def merged(
    body: SiteBody, stored: SiteSettings, platform_domain: str, web_hosts: Collection[str] = ()
) -> SiteSettings:
    """Return `stored` with the settings that `body` has in their place, checked. `stored`: the site's present settings,
    SiteSettings() for a new site; `platform_domain`: the platform's domain, at or below which no custom domain may be,
    "" to allow any; `web_hosts`: hosts on which the site's pages may be, empty for any.

    Raises Invalid, which names the field, for a bad setting, for a site without title or description, and, if a secret
    is stored, for another `auth0Domain`, not "", without a secret beside it. An address, colour, id or secret that
    equals the stored one is not checked again.
    """

    def optional(
        sent: str | UnsetType, kept: str | None, check: Callable[[str], str]
    ) -> str | None:
        # A value that is sent back unchanged passes, also where it was stored under other rules.
        if isinstance(sent, UnsetType) or sent == kept:
            return kept
        return check(sent) if sent else None

    def url(field: str) -> Callable[[str], str]:
        return lambda sent: check_url(field, sent)

    settings = SiteSettings(
        title=stored.title if isinstance(body.title, UnsetType) else check_title(body.title),
        description=stored.description
        if isinstance(body.description, UnsetType)
        else check_description(body.description),
        domain=optional(body.domain, stored.domain, lambda d: check_domain(d, platform_domain)),
        force_ssl=given(body.forceSSL, stored.force_ssl),
        theme_id=given(body.themeId, stored.theme_id),
        names_moderators=given(body.namesModerators, stored.names_moderators),
        logo_url=optional(body.logoUrl, stored.logo_url, url("logoUrl")),
        favicon_url=optional(body.faviconUrl, stored.favicon_url, url("faviconUrl")),
        background_url=optional(body.backgroundUrl, stored.background_url, url("backgroundUrl")),
        background_color=optional(
            body.backgroundColor,
            stored.background_color,
            lambda color: check_color("backgroundColor", color),
        )
        or BACKGROUND_COLOR,
        background_position=stored.background_position
        if isinstance(body.backgroundPosition, UnsetType)
        else position(body.backgroundPosition),
        link_color=optional(
            body.linkColor, stored.link_color, lambda color: check_color("linkColor", color)
        )
        or LINK_COLOR,
        ga_web_property_id=optional(
            body.gaWebPropertyId, stored.ga_web_property_id, check_analytics
        ),
        auth0_domain=optional(body.auth0Domain, stored.auth0_domain, check_auth0_domain),
        auth0_client_id=optional(
            body.auth0ClientId,
            stored.auth0_client_id,
            lambda text: check_word("auth0ClientId", text),
        ),
        auth0_client_secret=optional(
            body.auth0ClientSecret,
            stored.auth0_client_secret,
            lambda text: check_word("auth0ClientSecret", text),
        ),
        web_url=optional(body.webUrl, stored.web_url, lambda text: check_web_url(text, web_hosts)),
    )
    # A secret is never shown; an owner could else have it sent to a server of their own.
    is_kept = isinstance(body.auth0ClientSecret, UnsetType) and stored.auth0_client_secret
    if is_kept and settings.auth0_domain and settings.auth0_domain != stored.auth0_domain:
        raise Invalid("auth0ClientSecret", "must be sent again with another auth0Domain")
    # A new site has neither, and must be given both.
    if not settings.title:
        raise Invalid("title", "must not be blank")
    if not settings.description:
        raise Invalid("description", "must not be blank")
    return settings


def check_title(text: str) -> str:
    """Return `text` as a site's title: without tags, line breaks and unprintable characters, and HTML-escaped. Raises
    Invalid if nothing is left, or more than MAX_TITLE characters, counted before the escaping.
    """
    title = short_text_cleaning.sentence(text, quiet=False)
    if not title:
        raise Invalid("title", "must not be blank")
    if short_text_cleaning.length(title) > MAX_TITLE:
        raise Invalid("title", f"may have at most {MAX_TITLE} characters")
    return title


def check_description(text: str) -> str:
    """Return `text` as a site's description: without tags and unprintable characters, in small letters if it is all in
    capitals, and HTML-escaped. Raises Invalid if nothing is left.
    """
    description = short_text_cleaning.block(text)
    if not description:
        raise Invalid("description", "must not be blank")
    return description


def check_key(text: str) -> str:
    """Return `text` as a subdomain key: in lower case, without white space and tags (P-15). Raises Invalid unless it
    consists of 1 to MAX_KEY letters a to z and digits.
    """
    key = short_text_cleaning.word(text).lower()
    if not key:
        raise Invalid("subdomainKey", "must not be blank")
    if not _KEY.fullmatch(key):
        raise Invalid("subdomainKey", f"must be 1 to {MAX_KEY} letters a to z and digits")
    return key


def host_name(text: str) -> str:
    """Return `text` as a host name of two labels or more, in lower case and ASCII; "" for anything else.

    An IP address is no host name.
    """
    name = text.strip().removesuffix(".")
    try:
        name = name.lower() if name.isascii() else name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""
    if len(name) > MAX_DOMAIN or not _HOST_NAME.fullmatch(name):
        return ""
    if name.rpartition(".")[2].isdigit():
        return ""
    return name


def check_domain(text: str, platform_domain: str) -> str:
    """Return `text`, a custom domain, in lower case and ASCII (P-16).

    Raises Invalid for what is no host name, and for `platform_domain`, the platform's own domain, and all below that.
    """
    name = host_name(text)
    if not name:
        raise Invalid("domain", "must be a host name such as www.example.org")
    if name == platform_domain or name.endswith("." + platform_domain):
        raise Invalid("domain", "must be outside the platform's own domain")
    return name


def check_web_url(text: str, hosts: Collection[str] = ()) -> str:
    """Return `text`, the address of a site's pages, without a trailing slash.

    Raises Invalid unless it is https on one of `hosts` (empty: on any), with nothing but a path, which is ASCII without
    spaces, quotes and brackets, and has at most MAX_URL characters in all.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = (parts.hostname or "").rstrip(".")
    if hosts and host not in hosts:
        raise Invalid("webUrl", f"must begin with https:// and {' or '.join(hosts)}")
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc or port is not None)
    if parts.scheme != "https" or not host_name(host) or not is_plain:
        raise Invalid(
            "webUrl", "must be https://, a host name and perhaps a path, and nothing else"
        )
    if _UNSAFE_IN_URL.search(parts.path) or not parts.path.isascii() or len(text) > MAX_URL:
        raise Invalid("webUrl", f"must have a path of plain characters, {MAX_URL} in all at most")
    return f"https://{host}{parts.path.rstrip('/')}"


def check_color(field: str, text: str) -> str:
    """Return `text`, a colour, without spaces around it. Raises Invalid, which names `field`, unless the text as a
    whole is # with 3 or 6 hex digits, or a CSS colour name (P-17).
    """
    color = text.strip()
    if not _HEX_COLOR.fullmatch(color) and color.lower() not in COLOR_NAMES:
        raise Invalid(field, "must be a colour: # with 3 or 6 hex digits, or a CSS colour name")
    return color


def position(text: str) -> str:
    """Return `text`, the name of a background position, in lower case, without spaces around it; `tile` for an unknown
    name.
    """
    name = text.strip().lower()
    return name if name in POSITIONS else "tile"


def check_url(field: str, text: str) -> str:
    """Return `text` without the spaces around it: a relative path, "" too, or an http(s) URL, that is safe inside an
    HTML attribute and a style sheet (P-17).

    Raises Invalid, which names `field`, for any other text, and for one over MAX_URL characters.
    """
    url = text.strip()
    if len(url) > MAX_URL:
        raise Invalid(field, f"may have at most {MAX_URL} characters")
    if _UNSAFE_IN_URL.search(url) or not url.isprintable():
        raise Invalid(field, "may not hold spaces, quotes or brackets; percent-encode them")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise Invalid(field, "must be a relative path or an http(s) address") from None
    if _SCHEME.match(url):
        is_good = parts.scheme in ("http", "https") and bool(host)
    else:
        is_good = not url.startswith("//")
    if not is_good:
        raise Invalid(field, "must be a relative path or an http(s) address")
    return url


def check_analytics(text: str) -> str:
    """Return `text`, the id of a property at Google Analytics, without spaces around it. Raises Invalid unless it
    begins with UA- or G-, goes on with letters, digits and hyphens alone, and has at most MAX_ANALYTICS characters.
    """
    name = text.strip()
    if len(name) > MAX_ANALYTICS or not _ANALYTICS.fullmatch(name):
        raise Invalid(
            "gaWebPropertyId",
            f"must begin with UA- or G- and have at most {MAX_ANALYTICS} characters",
        )
    return name


def check_auth0_domain(text: str) -> str:
    """Return `text` as the host name of a tenant at Auth0, which requests are sent to: in lower case and ASCII. Raises
    Invalid if it is no host name of at most MAX_AUTH0 characters.
    """
    name = host_name(text)
    if not name or len(name) > MAX_AUTH0:
        raise Invalid("auth0Domain", f"must be a host name of at most {MAX_AUTH0} characters")
    return name


def check_word(field: str, text: str) -> str:
    """Return `text`, an id or secret of an identity provider, without spaces around it. Raises Invalid, which names
    `field`, for a text of over MAX_AUTH0 characters, an empty one, and one with other characters than letters, digits
    and . _ ~ + / = @ : -
    """
    word = text.strip()
    if len(word) > MAX_AUTH0 or not re.fullmatch(r"[A-Za-z0-9._~+/=@:-]+", word):
        raise Invalid(
            field,
            f"may have at most {MAX_AUTH0} letters, digits and . _ ~ + / = @ : -",
        )
    return word


def check_href(field: str, text: str) -> str:
    """Return `text`, the target of a menu entry, HTML-escaped: a relative address, or one with http, https or mailto
    (P-20).

    Raises Invalid, which names `field`, for any other text, for a blank one, and for one over MAX_URL characters,
    counted after the escaping.
    """
    href = short_text_cleaning.sentence(text, quiet=False)
    if not href:
        raise Invalid(field, "must not be blank")
    if len(href) > MAX_URL:
        raise Invalid(field, f"may have at most {MAX_URL} characters")
    plain = unescape(href)
    if re.search(r"""[\s"'<>\\`]""", plain):
        raise Invalid(field, "may not hold spaces, quotes or brackets; percent-encode them")
    try:
        parts = urlsplit(plain)
        host = parts.hostname
    except ValueError:
        raise Invalid(field, "is not a link") from None
    scheme = _SCHEME.match(plain)
    if scheme and parts.scheme not in ("http", "https", "mailto"):
        raise Invalid(field, "must be relative, or begin with http:, https: or mailto:")
    if parts.scheme in ("http", "https") and not host:
        raise Invalid(field, "is not a link")
    return href
