"""Reports of unexpected exceptions: with the whole stack and a fingerprint, without secrets.

The fingerprint is made of the kinds of exceptions and of the modules and functions that they passed, without line
numbers, messages and values. So the same fault has the same fingerprint after the lines around it moved, and whichever
id it concerns.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import time
import traceback
from types import TracebackType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_PACKAGE: Final = "forumapi"

# ---------------------------------------------------------------- what is never told

# Limit of scrubbing: patterns cost some microseconds a character, and a message can repeat a whole request body.
_MOST_CHARACTERS: Final = 2_500
_SECRETS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # Values of database rows are personal data.
    (re.compile(r"(Failing row contains ).*", re.DOTALL), r"\1[row]"),
    (re.compile(r"(Key \([^)]*\)=)\(.*?(?:\)( already| is )|$)", re.DOTALL), r"\1[row]\2"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,}"), r"\1 [secret]"),
    (re.compile(r"(?i)\b((?:set-)?cookie['\"]?\s*[:=]\s*).*"), r"\1[secret]"),
    # user:password@ of an address
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@'\"]+@"), r"\1[secret]@"),
    # name=value, "name": "value", with a name of a secret; signed links have several
    (
        re.compile(
            r"(?i)\b((?:[a-z0-9]{1,30}[-_]){0,5}"
            r"(?:passw(?:or)?d|secret|token|code|signature|sig|credential|api[-_]?key|assertion|ticket|otp)"
            r"['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,;)}\]]+"
        ),
        r"\1[secret]",
    ),
    # A long word of letters and digits is random, so it may be a secret.
    (re.compile(r"\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}"), "[secret]"),
    (
        re.compile(
            r"\b(?=[a-z0-9_-]{0,99}[A-Z])(?=[A-Z0-9_-]{0,99}[a-z])(?=[A-Za-z_-]{0,99}\d)[A-Za-z0-9_-]{24,}(?:\.[A-Za-z0-9_-]{8,})*"
        ),
        "[secret]",
    ),
)
# An e-mail address in the widest sense, also within an address of the web: its first character, its domain.
_EMAIL: Final = re.compile(
    r"""([^\s@<>()\[\],:;=/])[^\s@<>()\[\],:;=/]{0,200}?(?:@|%40)(\w[\w-]{0,62}(?:\.\w[\w-]{0,62})*)"""
)


def without_secrets(text: str) -> str:
    """Replace everything in a text that looks like a token, code, cookie, password or signature by "[secret]", and
    values of database rows in error messages by "[row]".

    A text of more than 2,500 characters (_MOST_CHARACTERS) is first cut after the last whole word within them, since
    half a secret would not be recognised.
    """
    if len(text) > _MOST_CHARACTERS:
        text = text[:_MOST_CHARACTERS].rpartition(" ")[0] + " …"
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def for_the_log(text: str) -> str:
    """Remove secrets from a text, and shorten each e-mail address to its first character and the domain:
    `a…@example.org`.
    """
    return _EMAIL.sub(r"\1…@\2", without_secrets(text))


def scrubbed(text: str) -> str:
    """Remove secrets from a text, and replace each e-mail address by "[email]"; for crash reports."""
    return _EMAIL.sub("[email]", without_secrets(text))


# ---------------------------------------------------------------- what is told


class StackFrame(NamedTuple):
    """Frame of a stack that an exception passed. `line`: number of the line; `source`: its text, "" if unknown."""

    module: str
    function: str
    file: str
    line: int
    source: str

    @property
    def is_ours(self) -> bool:
        """Return True for a frame of forumapi's own code."""
        return self.module.partition(".")[0] == _PACKAGE


class ChainedException(NamedTuple):
    """One exception of a chain: its class and the class's module, its scrubbed message, and its frames, outermost
    first; of more than 200 frames the first and last 100.
    """

    kind: str
    module: str
    message: str
    frames: tuple[StackFrame, ...]


class Crash(NamedTuple):
    """Exception with those that led to it: `links`, the first cause first and the exception itself last; and their
    common fingerprint.
    """

    fingerprint: str
    links: tuple[ChainedException, ...]

    @property
    def text(self) -> str:
        """Return the whole chain as text, in the form of Python's traceback."""
        parts = []
        for link in self.links:
            parts.append("Traceback (most recent call last):\n")
            for frame in link.frames:
                parts.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}\n')
                if frame.source:
                    parts.append(f"    {frame.source}\n")
            name = link.kind if link.module == "builtins" else f"{link.module}.{link.kind}"
            parts.append(f"{name}: {link.message}\n" if link.message else f"{name}\n")
            parts.append("\nand then:\n\n")
        return "".join(parts[:-1]).rstrip()


# Further frames of the same recursion are left out.
_MOST_FRAMES: Final = 200
_MOST_LINKS: Final = 20


def describe(error: BaseException) -> Crash:
    """Return the report of an exception and of those that led to it: causes, contexts, and members of groups until the
    report has 20 exceptions (_MOST_LINKS). Secrets and e-mail addresses are removed from messages.
    """
    links: list[ChainedException] = []
    seen: set[int] = set()
    _follow(error, links, seen)
    return Crash(_fingerprint(links), tuple(links))


def _follow(error: BaseException, links: list[ChainedException], seen: set[int]) -> None:
    if id(error) in seen or len(seen) >= _MOST_LINKS:
        return
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        _follow(before, links, seen)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            _follow(part, links, seen)
    kind = type(error)
    try:
        message = scrubbed(str(error))
    except Exception as worse:  # noqa: BLE001 - an exception that can't be shown is one more fault, not two
        message = f"(its message can't be shown: {type(worse).__name__})"
    links.append(
        ChainedException(kind.__qualname__, kind.__module__, message, _frames(error.__traceback__))
    )


def _frames(trace: TracebackType | None) -> tuple[StackFrame, ...]:
    found: list[StackFrame] = []
    for frame, number in traceback.walk_tb(trace):
        code = frame.f_code
        name = str(frame.f_globals.get("__name__", ""))
        found.append(StackFrame(name, code.co_qualname, code.co_filename, number, ""))
    if len(found) > _MOST_FRAMES:
        half = _MOST_FRAMES // 2
        found = found[:half] + found[-half:]
    return tuple(
        one._replace(source=linecache.getline(one.file, one.line).strip()) for one in found
    )


def _fingerprint(links: list[ChainedException]) -> str:
    parts: list[str] = []
    for link in links:
        parts.append(f"{link.module}.{link.kind}")
        ours = [frame for frame in link.frames if frame.is_ours]
        for frame in ours or link.frames:
            place = f"{frame.module}:{frame.function}"
            if parts[-1] != place:
                # A recursion has one fingerprint at any depth.
                parts.append(place)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class Gate:
    """Rate limit of one sender of reports: within `every_s` seconds at most one report of each fingerprint, and at most
    `most` reports of all fingerprints.
    """

    def __init__(self, every_s: float = 60.0, most: int = 30) -> None:
        self._every_s = every_s
        self._most = most
        self._seen: dict[str, tuple[float, int]] = {}
        self._began = float("-inf")
        self._passed = 0

    def admit(self, fingerprint: str) -> int | None:
        """Return None if a crash with this fingerprint must not be reported now. Else count the crash as reported, and
        return how many with its fingerprint were refused since the last report. While 1,000 fingerprints are
        remembered, refused crashes are not counted.
        """
        now = time.monotonic()
        if now - self._began > self._every_s:
            self._began, self._passed = now, 0
            self._seen = {
                one: (at, held)
                for one, (at, held) in self._seen.items()
                if held or now - at < self._every_s
            }
        at, held = self._seen.get(fingerprint, (float("-inf"), 0))
        if now - at < self._every_s or self._passed >= self._most:
            if len(self._seen) < 1_000:
                self._seen[fingerprint] = (at, held + 1)
            return None
        self._passed += 1
        self._seen[fingerprint] = (now, 0)
        return held


# ---------------------------------------------------------------- where it is sent


def dsn_problem(value: str) -> str | None:
    """Return in words what is wrong with a Sentry DSN, `https://key@host/project`; None if it is valid, or empty."""
    if not value:
        return None
    parts = urlsplit(value)
    has_project = parts.path.rpartition("/")[2].isdigit()
    if parts.scheme in ("http", "https") and parts.hostname and parts.username and has_project:
        return None
    return "must be empty or look like https://key@host/project number"
