"""Entity tags of documents, and the conditions If-None-Match and If-Match on them (RFC 9110, 13)."""

from __future__ import annotations

import hashlib
import marshal
from typing import Any, Final

from forumapi.errors import PreconditionFailed
from forumapi.wire.json_envelope import EnvelopeSwitches

# Raise it when the bytes of an answer change though nothing that `stamp` covers does.
SHAPE: Final = 1


def etag(version: int, stamp: Any, switches: EnvelopeSwitches, path: str, query: str) -> str:
    """Return the entity tag of a document, `"<version>-<hash>"`; the hash covers all that the answer's bytes depend on,
    except the caller's own user id, which a member's answer shows: for a member the caller of this function appends the
    profile's id. `version`: the document's own; `stamp`: plain data that differs whenever the document's JSON would;
    `switches`, `path`, `query`: of the request.
    """
    covered = marshal.dumps((SHAPE, stamp, switches.key, path, query), 2)
    return f'"{version}-{hashlib.blake2b(covered, digest_size=12).hexdigest()}"'


def none_match(header: str, tag: str) -> bool:
    """Return True if a header If-None-Match names `tag`, strong or weak, or is `*`: the client has the document. False
    for "", no header.
    """
    return bool(header) and (
        header.strip() == "*"
        or any(one.strip().removeprefix("W/") == tag for one in header.split(","))
    )


def matches_version(header: str, version: int) -> bool:
    """Return True if a header If-Match names a tag with this version, or is `*` (docs/architecture.md, Bytes). False
    for "", so that the caller must ask only if the header was sent.
    """
    if header.strip() == "*":
        return True
    wanted = f'"{version}-'
    return any(one.strip().removeprefix("W/").startswith(wanted) for one in header.split(","))


def check_match(header: str, version: int) -> None:
    """Raise PreconditionFailed unless a header If-Match names a tag with this version, or is `*`. To be called only if
    the header was sent, since "" is refused.
    """
    if not matches_version(header, version):
        raise PreconditionFailed("If-Match: this has changed since you read it")
