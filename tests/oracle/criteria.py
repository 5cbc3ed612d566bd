"""Account of who a criterion describes: platform 5.3, written down a second time, one profile at a time."""

from __future__ import annotations

import datetime

from tests.oracle.world import Criterion, Profile, Value, World

ORDER = ("eq", "ne", "lt", "le", "ge", "gt")
TEXT = ("eq", "ne", "substr", "nsubstr")
EQUAL = ("eq", "ne")


def matches(world: World, criteria: list[Criterion], profile: Profile) -> bool:
    """Within one group all must hold; one group is enough. No criteria describe nobody."""
    groups: dict[int, list[bool]] = {}
    for criterion in criteria:
        groups.setdefault(criterion.or_group, []).append(holds(world, criterion, profile))
    return any(all(results) for results in groups.values())


def holds(world: World, criterion: Criterion, profile: Profile) -> bool:
    """One criterion; what cannot be evaluated is false (P-40, P-41)."""
    predicate = "ne" if criterion.predicate == "neq" else criterion.predicate
    if criterion.column is not None:
        return _column(world, criterion.column, predicate, criterion.value, profile)
    # P-34: what somebody says of themselves is as if it were not there.
    is_own = criterion.key in profile.own_keys
    held = None if is_own else profile.attributes.get(criterion.key or "")
    return _attribute(held, predicate, criterion.value)


def _column(world: World, column: str, predicate: str, value: Value, profile: Profile) -> bool:
    if column in ("id", "itemCount", "commentCount"):
        number = {
            "id": profile.id,
            "itemCount": profile.item_count,
            "commentCount": profile.comment_count,
        }[column]
        return _is_whole(value) and predicate in ORDER and _compare(number, predicate, value)
    if column == "created":
        if isinstance(value, datetime.date):
            return predicate in ORDER and _compare(profile.created.date(), predicate, value)
        days = (world.now - profile.created).days
        return _is_whole(value) and predicate in ORDER and _compare(days, predicate, value)
    if column in ("profileName", "email", "gender"):
        held = {"profileName": profile.name, "email": profile.email, "gender": profile.gender}
        if isinstance(value, bool) or predicate not in TEXT:
            return False
        return _text((held[column] or "").lower(), predicate, _written(value).lower())
    if column == "isBanned":
        if not isinstance(value, bool) or predicate not in EQUAL:
            return False
        is_owner = profile.id == world.owned_by
        return _compare(
            not is_owner and (profile.is_banned_everywhere or profile.has_ban), predicate, value
        )
    return False


def _attribute(held: Value | None, predicate: str, value: Value) -> bool:
    """`ne` and `nsubstr` are true negations: an attribute that is absent, or of another type, is not equal."""
    known: tuple[str, ...]
    if isinstance(value, bool):
        same_type = isinstance(held, bool)
        known = EQUAL
    elif isinstance(value, (int, float)):
        same_type = isinstance(held, (int, float)) and not isinstance(held, bool)
        known = ORDER
    elif isinstance(value, datetime.date):
        same_type = isinstance(held, datetime.date)
        known = ORDER
    else:
        same_type = isinstance(held, str)
        known = TEXT
    if predicate not in known:
        return False
    if not same_type or held is None:
        return predicate in ("ne", "nsubstr")
    if isinstance(value, str):
        if predicate in EQUAL:
            return _compare(held, predicate, value)
        return _text(str(held).lower(), predicate, value.lower())
    return _compare(held, predicate, value)


def _compare(held: object, predicate: str, value: object) -> bool:
    a, b = held, value
    if predicate == "eq":
        return a == b
    if predicate == "ne":
        return a != b
    if predicate == "lt":
        return a < b  # type: ignore[operator, no-any-return]
    if predicate == "le":
        return a <= b  # type: ignore[operator, no-any-return]
    if predicate == "ge":
        return a >= b  # type: ignore[operator, no-any-return]
    return a > b  # type: ignore[operator, no-any-return]


def _text(held: str, predicate: str, value: str) -> bool:
    if predicate == "eq":
        return held == value
    if predicate == "ne":
        return held != value
    return (value in held) == (predicate == "substr")


def _is_whole(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _written(value: Value) -> str:
    """A number is used as its text, a date as it is written."""
    return value.isoformat() if isinstance(value, datetime.date) else str(value)
