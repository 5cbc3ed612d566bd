"""Comparison of timed answers with those of the same addresses outside the benchmark.

They are compared byte for byte. A body that differs is compared again as JSON, without the members that reading itself
changes, such as views.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

MOVING = frozenset({"unread", "totalViews", "lastActive", "timeTakenInMs"})
"""Keys whose values move because pages are read: read marks, views, a reader's last activity; and how long it took."""


def meaning(body: bytes) -> Any:
    """Parse a body as JSON and return it without the members MOVING. Raises ValueError for other content."""
    return _still(json.loads(body))


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _still(inner) for key, inner in value.items() if key not in MOVING}
    if isinstance(value, list):
        return [_still(inner) for inner in value]
    return value


def unlike(expected: Sequence[bytes | None], answers: Sequence[tuple[int, bytes]]) -> list[str]:
    """Return a sentence for each of the answers, (number of its request, body), that differs from the expected body; []
    if none does.

    Request -1, from a driver that can't tell which it was, is compared with every expected body.
    """
    meanings = [None if body is None else meaning(body) for body in expected]
    wrong = []
    for request, body in answers:
        try:
            given = meaning(body)
        except ValueError:
            wrong.append(f"request {request}: not JSON: {body[:80]!r}")
            continue
        if request >= 0:
            if given != meanings[request]:
                where = difference(meanings[request], given)
                wrong.append(f"request {request}: {where}")
        elif given not in meanings:
            wrong.append(f"an answer of no address: {body[:80]!r}")
    return wrong


def difference(left: Any, right: Any, path: str = "") -> str:
    """Return the path of the first place where two JSON values differ, with both values there."""
    if isinstance(left, dict) and isinstance(right, dict) and left.keys() == right.keys():
        for key in left:
            if left[key] != right[key]:
                return difference(left[key], right[key], f"{path}/{key}")
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            if one != other:
                return difference(one, other, f"{path}/{number}")
    return f"{path or '/'}: {str(left)[:60]} became {str(right)[:60]}"
