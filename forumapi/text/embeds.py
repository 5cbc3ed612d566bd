"""Players and maps (embeds) that are shown below links to known providers (content 11.10, C-49, C-55).

A rule matches whole addresses, and makes the frame's address from captured numbers and names, so that no other part of
an author's URL reaches the page.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from forumapi.text.sanitise import escape_attribute


class Embed(NamedTuple):
    """Frame of a player or map: its address `src`, its size in pixels (or "100%"), and flags: it may fill the screen
    (`fullscreen`), it may scroll (`scrolling`).
    """

    src: str
    width: str
    height: str
    fullscreen: bool = False
    scrolling: bool = True

    def html(self) -> str:
        """Render the `iframe` element."""
        scrolling = "" if self.scrolling else ' scrolling="no"'
        fullscreen = " allowfullscreen" if self.fullscreen else ""
        return (
            f'<iframe width="{self.width}" height="{self.height}" src="{escape_attribute(self.src)}"'
            f' frameborder="0"{scrolling}{fullscreen} loading="lazy"'
            ' referrerpolicy="strict-origin-when-cross-origin"></iframe>'
        )


class _Rule(NamedTuple):
    """Rule for one form of a provider's links. `hosts` and `address` are regular expressions, without regard to case,
    for the whole host and for the whole path with query and fragment.

    `src`: the frame's address, with `{group}` for the named groups of `hosts` and `address`. `width` and `height`: of
    the frame, in pixels, or "100%"; `fullscreen` and `scrolling`: as in Embed. Rules are tried from the lowest
    `sequence`, then in their order in RULES.
    """

    sequence: int
    hosts: str
    address: str
    src: str
    width: int | str
    height: int
    fullscreen: bool = False
    scrolling: bool = True


_NUMBER = r"(?P<n>[0-9]{1,20})"
_VIDEO = r"(?P<id>[A-Za-z0-9_-]{11})"
_PARAMETER = r"[A-Za-z0-9_.~%=+:,/-]*"
_BEFORE = rf"(?:{_PARAMETER}&)*"
_AFTER = rf"(?:&{_PARAMETER})*(?:#{_PARAMETER})?"
_QUERY = rf"(?:\?{_PARAMETER}{_AFTER}|#{_PARAMETER})?"

_YOUTUBE = r"(?:(?:www|m)\.)?youtube\.[a-z]{2,3}(?:\.[a-z]{2})?"
_YOUTUBE_SRC = "https://www.youtube-nocookie.com/embed/{id}"
_PLAYLIST_SRC = "https://www.youtube-nocookie.com/embed/videoseries?list={id}"
_PLAYLIST = rf"/[A-Za-z0-9_./-]*\?{_BEFORE}list=(?P<id>[A-Za-z0-9_-]{{2,64}}){_AFTER}"
_VIMEO = r"(?:www\.|player\.)?vimeo\.[a-z]{2,3}(?:\.[a-z]{2})?"
_STRAVA = r"(?P<host>(?:app|www)\.strava\.com)"
_GARMIN = r"connect\.garmin\.com"
_RWGPS = r"(?:www\.)?ridewithgps\.com"
_CALENDAR = re.compile(r"(?:www|calendar)\.google\.com", re.I)
_CALENDAR_ADDRESS = re.compile(r"/calendar/embed/?\?(?P<query>[^\s#\"'<>\\]+)", re.I)
_CALENDAR_PARAMETERS = ("src", "ctz", "mode")
_MAX_PARAMETERS = 10

RULES = (
    _Rule(50, rf"{_YOUTUBE}|youtu\.be", _PLAYLIST, _PLAYLIST_SRC, 560, 315, fullscreen=True),
    _Rule(99, r"youtu\.be", rf"/{_VIDEO}/?{_QUERY}", _YOUTUBE_SRC, 560, 315, fullscreen=True),
    _Rule(
        *(99, _YOUTUBE, rf"/watch/?\?{_BEFORE}v={_VIDEO}{_AFTER}", _YOUTUBE_SRC, 560, 315),
        fullscreen=True,
    ),
    _Rule(
        *(99, _YOUTUBE, rf"/(?:embed|v|shorts|live)/{_VIDEO}/?{_QUERY}", _YOUTUBE_SRC, 560, 315),
        fullscreen=True,
    ),
    _Rule(
        *(99, _VIMEO, rf"/(?:video/|groups/[\w-]+/videos/)?{_NUMBER}/?{_QUERY}"),
        *("https://player.vimeo.com/video/{n}", 500, 281),
        fullscreen=True,
    ),
    _Rule(
        *(99, _STRAVA, rf"/segments/(?:[\w%-]+-)?{_NUMBER}/?"),
        *("https://www.strava.com/segments/{n}/embed", 460, 360),
        scrolling=False,
    ),
    _Rule(
        *(99, _STRAVA, rf"/activities/{_NUMBER}/embed/(?P<key>[0-9a-f]{{1,64}})/?"),
        *("https://{host}/activities/{n}/embed/{key}", 590, 404),
        scrolling=False,
    ),
    _Rule(
        *(99, _GARMIN, rf"/course/{_NUMBER}/?"),
        *("https://connect.garmin.com/course/embed/{n}", 560, 600),
        scrolling=False,
    ),
    _Rule(
        *(99, _GARMIN, rf"/modern/activity/{_NUMBER}/?"),
        *("https://connect.garmin.com/activity/embed/{n}", 465, 548),
        scrolling=False,
    ),
    _Rule(
        *(99, _RWGPS, rf"/routes/{_NUMBER}/?"),
        *("https://ridewithgps.com/routes/{n}/embed", "100%", 650),
        scrolling=False,
    ),
    _Rule(
        *(99, _RWGPS, rf"/trips/{_NUMBER}/?"),
        *("https://ridewithgps.com/trips/{n}/embed", "100%", 500),
        scrolling=False,
    ),
    _Rule(
        *(99, r"www\.plotaroute\.com", rf"/(?:route|map)/{_NUMBER}/?"),
        *("https://www.plotaroute.com/embedmap/{n}?units=km", "100%", 650),
        fullscreen=True,
        scrolling=False,
    ),
    _Rule(
        *(99, r"www\.bikemap\.net", rf"/(?:en/)?route/{_NUMBER}(?:-[\w-]*)?/?"),
        "https://www.bikemap.net/en/route/{n}/widget/"
        "?width=640&extended=1&distance_markers=1&height=480&unit=metric",
        *(640, 628),
        scrolling=False,
    ),
)
"""The providers of C-55, but for Google Calendar, whose frame is made of its parameters."""

_URL = re.compile(r"https?://(?P<host>[a-z0-9.-]+)(?P<address>/\S*)", re.I)
_FLAGS = re.I | re.A
_COMPILED = [
    (re.compile(rule.hosts, _FLAGS), re.compile(rule.address, _FLAGS), rule)
    for rule in sorted(RULES, key=lambda rule: rule.sequence)
]
_ANY_HOST = re.compile(
    "|".join([_CALENDAR.pattern, *(re.sub(r"\?P<\w+>", "?:", rule.hosts) for rule in RULES)]),
    _FLAGS,
)


def find(url: str) -> Embed | None:
    """Return the frame to show below a link to `url`; None if `url` is neither of a form in RULES nor the address of a
    Google Calendar to embed, with a parameter `src`.
    """
    parts = _URL.fullmatch(url)
    if parts is None or not _ANY_HOST.fullmatch(parts["host"]):
        return None
    for hosts, address, rule in _COMPILED:
        host = hosts.fullmatch(parts["host"])
        found = address.fullmatch(parts["address"]) if host else None
        if host and found:
            src = rule.src.format(**host.groupdict(), **found.groupdict())
            size = (str(rule.width), str(rule.height))
            return Embed(src, *size, fullscreen=rule.fullscreen, scrolling=rule.scrolling)
    return _calendar(parts["host"].lower(), parts["address"])


def _calendar(host: str, address: str) -> Embed | None:
    found = _CALENDAR_ADDRESS.fullmatch(address) if _CALENDAR.fullmatch(host) else None
    if found is None:
        return None
    written = parse_qsl(found["query"])
    kept = [(name, value) for name, value in written if name in _CALENDAR_PARAMETERS]
    if not any(name == "src" for name, _ in kept):
        return None
    query = urlencode(kept[:_MAX_PARAMETERS])
    return Embed(f"https://{host}/calendar/embed?{query}", "100%", "600")
