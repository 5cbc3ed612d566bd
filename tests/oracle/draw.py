"""Random worlds and random questions about them, both from a seed."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from random import Random

from tests.oracle import limits
from tests.oracle.may import GRANTS, NEVER
from tests.oracle.world import (
    ATTENDEE,
    ATTRIBUTE,
    COMMENT,
    CONVERSATION,
    EVENT,
    HUDDLE,
    ITEMS,
    MICROCOSM,
    POLL,
    PROFILE,
    RESERVED,
    ROLE,
    SITE,
    UPDATE,
    USER,
    WATCHER,
    Asked,
    Attendee,
    Comment,
    Criterion,
    Huddle,
    Item,
    Microcosm,
    Owned,
    Profile,
    Role,
    Value,
    World,
)

GENDERS = (None, "f", "M", "Ä", "ä", "non-binary")
KEYS = ("colour", "frame", "is_member", "since")
COLOURS = ("Red", "red", "redder", "Blue", "ünder", "ÜNDER")
DAYS = tuple(datetime.date(2024, month, 1) for month in range(1, 6))
ORDER = ("eq", "ne", "neq", "lt", "le", "ge", "gt")
TEXT = ("eq", "ne", "neq", "substr", "nsubstr")
EQUAL = ("eq", "ne", "neq")

# The rows of platform 5.4's table, and the types that stand for each.
ROWS: dict[str, tuple[int, ...]] = {
    "site": (SITE,),
    "microcosm": (MICROCOSM,),
    "profile": (PROFILE,),
    "comment in an item": (COMMENT,),
    "comment on a profile": (COMMENT,),
    "comment in a huddle": (COMMENT,),
    "huddle": (HUDDLE,),
    "item": (CONVERSATION, POLL, EVENT, *RESERVED),
    "attendee": (ATTENDEE,),
    "user": (USER,),
    "update": (UPDATE,),
    "role": (ROLE,),
    "watcher": (WATCHER,),
    "others": (0, ATTRIBUTE, 18, 20, 21),
}


# Each Ids takes the next block of numbers, so that what several of them store in one database never meets.
_BLOCKS = itertools.count(3_000_000_000, 10_000_000)


@dataclass
class Ids:
    """Numbers for rows, above what sequences give out, each kind from its own counter."""

    first: int = field(default_factory=lambda: next(_BLOCKS))
    _counters: dict[str, Iterator[int]] = field(default_factory=dict)

    def next(self, table: str) -> int:
        """The next number of a table."""
        return next(self._counters.setdefault(table, itertools.count(self.first)))


def world(random: Random, ids: Ids, now: datetime.datetime, *, with_states: bool = True) -> World:
    """One site with seven people, a tree, roles of every kind, and content of every kind in every state."""

    def chance(percent: float) -> bool:
        return random.random() * 100 < percent

    people = [_profile(random, ids, now, number) for number in range(7)]
    members = [person.id for person in people]
    made = World(ids.next("sites"), members[0], chance(40), now, needs_second_factor=chance(25))
    made.profiles = {person.id: person for person in people}
    for person in people:
        person.has_second_factor = chance(50)

    def hidden(percent: float) -> dict[str, bool]:
        if not with_states:
            return {}
        return {"is_deleted": chance(percent), "is_moderated": chance(percent)}

    for number in range(random.randint(3, 7)):
        parent = random.choice(list(made.microcosms)) if number else None
        place = Microcosm(
            ids.next("microcosms"),
            parent,
            random.choice(members),
            random.choice(members),
            **hidden(8 if number else 0),
        )
        made.microcosms[place.id] = place
    places = list(made.microcosms)
    for _ in range(random.randint(2, 8)):
        role = _role(random, ids, made, places, members)
        made.roles[role.id] = role
    for number in range(9):
        item_type = ITEMS[number % 3]
        item = Item(
            item_type,
            ids.next("items"),
            random.choice(places),
            random.choice(members),
            is_open=chance(75),
            **hidden(15),
        )
        made.items[item_type, item.id] = item
    for _ in range(3):
        inside = set(random.sample(members, random.randint(1, 4)))
        huddle = Huddle(
            ids.next("items"),
            random.choice(members),
            inside,
            is_confidential=chance(50),
        )
        made.huddles[huddle.id] = huddle
    for number in range(18):
        parents: list[tuple[int, int]] = (
            list(made.items)
            if number % 3 == 0
            else [(HUDDLE, id) for id in made.huddles]
            if number % 3 == 1
            else [(PROFILE, id) for id in members]
        )
        parent_type, parent_id = random.choice(parents)
        author = random.choice(members)
        if parent_type == HUDDLE and chance(70):
            author = random.choice(sorted(made.huddles[parent_id].participants))
        state = hidden(15) if parent_type != HUDDLE else hidden(5)
        comment = Comment(ids.next("comments"), parent_type, parent_id, author, **state)
        made.comments[comment.id] = comment
    for event_id in [id for kind, id in made.items if kind == EVENT]:
        for who in random.sample(members, 2):
            attendee = Attendee(ids.next("attendees"), event_id, who, random.choice(members))
            made.attendees[attendee.id] = attendee
    for item_type, table in ((UPDATE, "updates"), (WATCHER, "watchers")):
        for who in random.sample(members, 3):
            owned = Owned(item_type, ids.next(table), who)
            made.owned[item_type, owned.id] = owned
    for person in people:
        _ignore(random, made, person)
    return made


def crowd(random: Random, ids: Ids, now: datetime.datetime, people: int, roles: int) -> World:
    """One site with many people and, on its root, many roles with criteria; nothing else."""
    persons = [_profile(random, ids, now, number) for number in range(people)]
    made = World(ids.next("sites"), persons[0].id, False, now)
    made.profiles = {person.id: person for person in persons}
    root = Microcosm(ids.next("microcosms"), None, made.owned_by, made.owned_by)
    made.microcosms[root.id] = root
    for _ in range(roles):
        role = Role(ids.next("roles"), root.id, made.owned_by, set())
        role.profiles = {person.id for person in persons if random.random() < 0.03}
        role.criteria = [criterion(random, persons) for _ in range(random.randint(1, 5))]
        made.roles[role.id] = role
    return made


def _profile(random: Random, ids: Ids, now: datetime.datetime, number: int) -> Profile:
    name = f"{random.choice(('Ana', 'ana', 'Bo', 'Émile', 'zoë'))}{number}{random.choice('aBc')}"
    # Hours away from where a day ends, so that a slow machine counts the same days.
    joined = now - datetime.timedelta(
        days=random.choice((0, 1, 4, 5, 6, 30, 400)), hours=random.randint(2, 22)
    )
    user_id = ids.next("users")
    person = Profile(
        ids.next("profiles"),
        user_id,
        name,
        f"{name}.{user_id}@{random.choice(('Example.test', 'spam.test'))}",
        random.choice(GENDERS),
        joined,
        item_count=random.choice((0, 1, 5, 10)),
        comment_count=random.choice((0, 1, 5, 10)),
        is_banned_everywhere=random.random() < 0.04,
        has_ban=random.random() < 0.06,
    )
    # By numbers of their own, so that a new scope leaves everything else as it is drawn.
    apart = copy(random)
    person.tokens += [limits.drawn(apart), limits.drawn(apart)]
    for place, key in enumerate(KEYS):
        if random.random() < 0.6:
            person.attributes[key] = _value(random)
            if (person.id + place) % 4 == 0:
                person.own_keys.add(key)
    return person


def _value(random: Random) -> Value:
    return random.choice(
        (
            random.choice(COLOURS),
            random.choice((0, 1, 5, 2.5, -3)),
            random.choice((True, False)),
            random.choice(DAYS),
        )
    )


def _role(random: Random, ids: Ids, made: World, places: list[int], members: list[int]) -> Role:
    kind = random.random()
    role = Role(
        ids.next("roles"),
        places[0] if random.random() < 0.5 else random.choice(places),
        random.choice(members),
        {grant for grant in GRANTS if random.random() < 0.5},
        is_moderator=kind < 0.25,
        is_banned=kind > 0.88,
        include_guests=random.random() < (0.35 if kind < 0.88 else 0.1),
        include_users=random.random() < (0.35 if kind < 0.88 else 0.05),
        profiles={id for id in members if random.random() < 0.2},
    )
    if random.random() < 0.4:
        people = list(made.profiles.values())
        role.criteria = [criterion(random, people) for _ in range(random.randint(1, 4))]
    return role


def criterion(random: Random, people: list[Profile]) -> Criterion:
    """A criterion that the API would take, near what somebody of `people` is."""
    near = random.choice(people)
    group = random.choice((0, 0, 0, 1, 7, -2))

    def column(name: str, predicates: tuple[str, ...], value: Value) -> Criterion:
        return Criterion(group, name, None, random.choice(predicates), value)

    def key(predicates: tuple[str, ...], value: Value) -> Criterion:
        return Criterion(group, None, random.choice(KEYS), random.choice(predicates), value)

    kind = random.randrange(12)
    if kind == 0:
        return column("id", ORDER, near.id)
    if kind == 1:
        return column("itemCount", ORDER, near.item_count + random.randint(-1, 1))
    if kind == 2:
        return column("commentCount", ORDER, near.comment_count + random.randint(-1, 1))
    if kind == 3:
        return column("created", ORDER, random.choice((0, 1, 4, 5, 6, 7, 30, 31, 400)))
    if kind == 4:
        return column("created", ORDER, near.created.date())
    if kind == 5:
        name = random.choice((near.name, near.name.lower(), near.name[1:3], near.name[-2:].upper()))
        return column("profileName", TEXT, name)
    if kind == 6:
        return column("email", TEXT, random.choice((near.email.upper(), "@SPAM", "example", "@")))
    if kind == 7:
        return column("gender", TEXT, random.choice(("F", "f", "m", "ä", "Ä", "non", "x", 5)))
    if kind == 8:
        return column("isBanned", EQUAL, random.choice((True, False)))
    value = near.attributes.get("colour", "red") if kind == 9 else _value(random)
    if isinstance(value, bool):
        return key(EQUAL, value)
    if isinstance(value, (int, float, datetime.date)):
        return key(ORDER, value)
    return key(TEXT, random.choice((value, value[:3], value.upper())))


def _ignore(random: Random, made: World, person: Profile) -> None:
    for item_type, things in (
        (MICROCOSM, [id for id in made.microcosms if id != made.root_id]),
        (PROFILE, [id for id in made.profiles if id != person.id]),
        (HUDDLE, list(made.huddles)),
    ):
        for id in things:
            if random.random() < 0.1:
                person.ignored.add((item_type, id))
    for item_type, id in made.items:
        if random.random() < 0.1:
            person.ignored.add((item_type, id))


def question(random: Random, made: World, row: str, foreign: World) -> tuple[int, Asked]:
    """(profile, what is asked) of one row of the table; `foreign` is a world whose ids are other sites'."""
    item_type = random.choice(ROWS[row])
    microcosm_id = 0
    if random.random() < 0.3:
        microcosm_id = random.choice([*made.microcosms, *list(foreign.microcosms)[:1]])
    found = _ids(made, row, item_type)
    roll = random.random()
    if roll < 0.05:
        id = NEVER
    elif roll < 0.10 and (others := _ids(foreign, row, item_type)):
        id = random.choice(others)
    elif (roll < 0.2 or not found) and row not in ("comment on a profile", "comment in a huddle"):
        id = 0
        if item_type in (0, MICROCOSM, *ITEMS, *RESERVED) and random.random() < 0.8:
            microcosm_id = random.choice(list(made.microcosms))
    else:
        id = random.choice(found)
    return _asker(random, made, row, id), Asked(item_type, id, microcosm_id)


def _ids(made: World, row: str, item_type: int) -> list[int]:
    if row.startswith("comment"):
        parents = {"comment on a profile": (PROFILE,), "comment in a huddle": (HUDDLE,)}
        wanted = parents.get(row, ITEMS)
        return [c.id for c in made.comments.values() if c.parent_type in wanted]
    if item_type in ITEMS:
        return [id for kind, id in made.items if kind == item_type]
    if item_type == USER:
        return [profile.user_id for profile in made.profiles.values()]
    if item_type in (UPDATE, WATCHER):
        return [id for kind, id in made.owned if kind == item_type]
    by_type: dict[int, list[int]] = {
        SITE: [made.site_id],
        MICROCOSM: list(made.microcosms),
        PROFILE: list(made.profiles),
        HUDDLE: list(made.huddles),
        ATTENDEE: list(made.attendees),
        ROLE: list(made.roles),
    }
    return by_type.get(item_type, [])


def _asker(random: Random, made: World, row: str, id: int) -> int:
    """The site's owner and whom the thing belongs to more often than chance would have it."""
    roll = random.random()
    if roll < 0.18:
        return made.owned_by
    if roll < 0.50:
        owner = _owner(random, made, row, id)
        if owner:
            return owner
    return random.choice([0, *made.profiles])


def _owner(random: Random, made: World, row: str, id: int) -> int:
    if row.startswith("comment") and id in made.comments:
        return made.comments[id].author
    if row == "huddle" and id in made.huddles and made.huddles[id].participants:
        return random.choice(sorted(made.huddles[id].participants))
    if row == "profile" and id in made.profiles:
        return id
    if row == "attendee" and id in made.attendees:
        attendee = made.attendees[id]
        return random.choice((attendee.profile_id, attendee.added_by))
    if row == "user":
        return next((p.id for p in made.profiles.values() if p.user_id == id), 0)
    if row in ("update", "watcher"):
        return next((o.profile_id for o in made.owned.values() if o.id == id), 0)
    if row == "item":
        return next((item.author for item in made.items.values() if item.id == id), 0)
    if row == "microcosm" and id in made.microcosms:
        return made.microcosms[id].owned_by
    return 0
