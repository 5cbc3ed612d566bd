"""Rows of a seeded site: everything that the running platform would have stored for a shape.

Counters, last comments, watchers and read marks are computed here from the comments themselves;
`counter_verification` computes them again in SQL.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import timedelta
from random import Random
from typing import Final, NamedTuple

from forumapi.command.seed import simulated_activity as shapes
from forumapi.command.seed.bench_landmarks import bench_tokens
from forumapi.command.seed.bulk_loader import Bar, Store, field
from forumapi.command.seed.corpus import SEED
from forumapi.command.seed.rendered_texts import Texts
from forumapi.command.seed.simulated_activity import (
    DAY,
    DELETED,
    HOUR,
    LIVE,
    MINUTE,
    MODERATED,
    SECOND,
    SITE_AGE,
    Conversation,
    Shape,
)
from forumapi.itemtypes import CONVERSATION, MICROCOSM, PROFILE
from forumapi.text import email_address, short_text_cleaning
from forumapi.text.render import RENDERER_VERSION

BENCH_WATCHERS: Final = 500
BENCH_IGNORED: Final = {PROFILE: 8, CONVERSATION: 9, MICROCOSM: 3}
BENCH_MARKS: Final = 400
IGNORES_HEAVY: Final = "bench_member_2"
_SHARED_EVERY: Final = 20  # every so many-th profile's user has a profile on the site before, too
_NULL: Final = "\\N"
_NEVER: Final = "-infinity"
_SHOW_EVERY: Final = 1_000

# Role flags: moderator banned guests users create read update delete closeOwn openOwn readOthers.
_GUESTS: Final = "f\tf\tt\tf\tf\tt\tf\tf\tf\tf\tf"
_MEMBERS: Final = "f\tf\tf\tt\tt\tt\tf\tf\tt\tf\tt"
_BANNED: Final = "f\tt\tf\tf\tf\tf\tf\tf\tf\tf\tf"
_MODERATORS: Final = "t\tf\tf\tf\tt\tt\tt\tt\tt\tt\tt"
_COMMITTEE: Final = "f\tf\tf\tf\tt\tt\tf\tf\tt\tf\tt"


COUNT_PEOPLE: Final = """
    INSERT INTO site_people (site_id, total) VALUES (%(site_id)s, %(total)s)
        ON CONFLICT (site_id) DO UPDATE SET total = EXCLUDED.total
 RETURNING total"""


class SeededUser(NamedTuple):
    """User of a seeded site: id and e-mail address."""

    id: int
    email: str


@dataclass(slots=True)
class Stored:
    """Ids that one shape's people and things have in the database, numbered on from `first_…` in the shape's order
    (comments: `comment_id` by position), and sums over the comments of each conversation, in the shape's order.

    `live`: number of live comments; `last`: position, in the shape's arrays, of the last of them, -1 for none;
    `active`: age, in microseconds before loading, of that comment; without one, of the last hidden comment, else of the
    conversation.
    """

    site_id: int
    first_profile: int
    first_microcosm: int
    first_item: int
    first_comment: int
    users: list[SeededUser] = attribute(default_factory=list)
    live: list[int] = attribute(default_factory=list)
    last: list[int] = attribute(default_factory=list)
    active: list[int] = attribute(default_factory=list)
    comment_id: array[int] = attribute(default_factory=lambda: array("q"))


class SiteWriter:
    """Writer of the rows of one seeded site, whose content is given by a `Shape`. `bar`: counts the comments;
    `neighbours`: users of the previous site, some of whom are on this one too, [] for the first.
    """

    def __init__(
        self, store: Store, texts: Texts, shape: Shape, bar: Bar, neighbours: list[SeededUser]
    ) -> None:
        self._store = store
        self._texts = texts
        self._shape = shape
        self._bar = bar
        self._now = store.now
        self._rng = Random(f"{SEED} {shape.plan.key}")
        self._neighbours = neighbours
        self._ids = Stored(
            site_id=store.take("sites", 1),
            first_profile=store.take("profiles", len(shape.names)),
            first_microcosm=store.take("microcosms", len(shape.places)),
            first_item=store.take("items", len(shape.conversations)),
            first_comment=store.take("comments", len(shape.age)),
        )
        self._first_role = store.take("roles", 5)

    def write(self) -> list[SeededUser]:
        """COPY all rows of the site; return the users of its profiles in the shape's order, those shared with the
        previous site included.
        """
        self._number()
        self._write_users()
        self._write_site()
        self._write_profiles()
        self._write_microcosms()
        self._write_roles()
        self._write_items()
        self._write_comments()
        self._write_parts()
        return self._ids.users

    def _at(self, age: int) -> str:
        return (self._now - timedelta(microseconds=age)).isoformat()

    def _profile(self, who: int) -> int:
        return self._ids.first_profile + who

    def _microcosm(self, n: int) -> int:
        return self._ids.first_microcosm + n

    def _number(self) -> None:
        """Give the comments ids in the order of time, and compute `live`, `last` and `active` of each conversation."""
        shape, ids = self._shape, self._ids
        ids.comment_id = array("q", bytes(8 * len(shape.age)))
        for rank, position in enumerate(shape.order):
            ids.comment_id[position] = ids.first_comment + rank
        for conversation in shape.conversations:
            first, end = conversation.first, conversation.first + conversation.size
            last = shape.hidden.rfind(LIVE, first, end)
            # When no comment is left, last activity stays what it was (content 7.7).
            newest = last if last >= 0 else end - 1
            ids.live.append(shape.hidden.count(LIVE, first, end))
            ids.last.append(last)
            ids.active.append(shape.age[newest] if conversation.size else conversation.age)

    def _write_users(self) -> None:
        shape, neighbours = self._shape, self._neighbours
        shared = {
            who: neighbours[who]
            for who in range(7, min(len(neighbours), len(shape.names)), _SHARED_EVERY)
        }
        following = self._store.take("users", len(shape.names) - len(shared))
        lines = []
        for who, name in enumerate(shape.names):
            user = shared.get(who)
            if user is None:
                slug = name.lower() if name.isascii() else f"profile{who}"
                user = SeededUser(following, f"{slug}@{shape.plan.key}.test")
                following += 1
                lines.append(
                    f"{user.id}\t{user.email}\t{email_address.canonical(user.email)}"
                    f"\t{email_address.same_person_key(user.email)}\tt\ten\tvalid"
                    f"\t{self._at(shape.joined[who])}\n"
                )
            self._ids.users.append(user)
        self._store.copy(
            "users",
            "user_id email canonical_email person_key email_verified language state created",
            lines,
        )

    def _write_site(self) -> None:
        plan, ids = self._shape.plan, self._ids
        owner = self._profile(self._shape.owner)
        line = (
            f"{ids.site_id}\t{field(short_text_cleaning.sentence(plan.title))}"
            f"\t{field(short_text_cleaning.block(plan.description))}\t{plan.key}\t{self._at(SITE_AGE)}"
            f"\t{owner}\t{owner}\t{ids.first_microcosm}\n"
        )
        self._store.copy(
            "sites",
            "site_id title description subdomain_key created created_by owned_by root_microcosm_id",
            [line],
        )
        self._store.copy("site_options", "site_id", [f"{ids.site_id}\n"])

    def _write_profiles(self) -> None:
        shape, ids, rng = self._shape, self._ids, self._rng
        count = len(shape.names)
        item_counts, comment_counts, newest = [0] * count, [0] * count, list(shape.joined)
        for conversation in shape.conversations:
            who = conversation.author
            item_counts[who] += conversation.hidden == LIVE
            newest[who] = min(newest[who], conversation.age)
        for who, age, hidden in zip(shape.author, shape.age, shape.hidden, strict=True):
            comment_counts[who] += hidden == LIVE
            if age < newest[who]:
                newest[who] = age
        bios = {
            who: ids.comment_id[len(shape.age) - len(shape.bios) + n]
            for n, who in enumerate(shape.bios)
        }
        roles = self._roles_of()
        profiles, counters, options, attributes = [], [], [], []
        active = online = 0
        for who, name in enumerate(shape.names):
            since = newest[who] - int(newest[who] * 0.3 * rng.random())
            if rng.random() < 0.01:
                since = min(since, int(rng.random() * 85 * MINUTE))
            active += since < 90 * DAY
            online += since < 90 * MINUTE
            user = ids.users[who]
            gender = ("f", "m", "x")[int(rng.random() * 3)] if rng.random() < 0.2 else _NULL
            member = "t" if rng.random() < 0.05 else "f"
            visible = "f" if rng.random() < 0.01 else "t"
            key = f"{ids.site_id}\t{self._profile(who)}"
            joined = self._at(shape.joined[who])
            profiles.append(
                f"{key}\t{user.id}\t{name}\t{gender}\t{visible}"
                f"\t{bios.get(who, _NULL)}\t{member}\t{joined}"
                f"\t{{{','.join(map(str, roles.get(who, ())))}}}\t{joined}\n"
            )
            counters.append(
                f"{key}\t{item_counts[who]}\t{comment_counts[who]}\t{self._at(since)}\t{name.lower()}\n"
            )
            options.append(f"{key}\n")
            if member == "t":
                attributes.append(
                    f"{ids.site_id}\t{PROFILE}\t{self._profile(who)}\tis_member\t4\tt\t{joined}\tt\n"
                )
        copy = self._store.copy
        copy(
            "profiles",
            "site_id profile_id user_id profile_name gender is_visible bio_comment_id"
            " is_member created role_ids all_read_at",
            profiles,
        )
        copy(
            "profile_counters",
            "site_id profile_id item_count comment_count last_active name_key",
            counters,
        )
        copy("profile_options", "site_id profile_id", options)
        # The trigger that counts people may have been skipped.
        self._store.value(COUNT_PEOPLE, site_id=ids.site_id, total=count)
        copy(
            "attributes",
            "site_id item_type_id item_id key value_type_id boolean_value written is_granted",
            attributes,
        )
        stats = (
            f"{ids.site_id}\t{active}\t{online}\t{count}\t{sum(item_counts)}"
            f"\t{sum(comment_counts)}\t{self._at(0)}\n"
        )
        copy(
            "site_stats",
            "site_id active_profiles online_profiles total_profiles total_conversations"
            " total_comments computed",
            [stats],
        )

    def _write_microcosms(self) -> None:
        shape, ids = self._shape, self._ids
        places = shape.places
        items, comments = [0] * len(places), [0] * len(places)
        latest: list[int | None] = [None] * len(places)
        for n, conversation in enumerate(shape.conversations):
            if conversation.hidden:
                continue
            place = conversation.place
            items[place] += 1
            comments[place] += ids.live[n]
            before = latest[place]
            if before is None or ids.active[n] <= ids.active[before]:
                latest[place] = n
        weights = [i + c for i, c in zip(items, comments, strict=True)]
        for n in range(len(places) - 1, 0, -1):  # children stand behind their parents
            weights[places[n].parent] += weights[n]
        by_weight = sorted(range(len(places)), key=lambda n: (-weights[n], n))
        sequence = {n: rank for rank, n in enumerate(by_weight, 1)}
        owner = self._profile(shape.owner)
        self._store.copy(
            "microcosms",
            "site_id microcosm_id parent_id title description sequence created created_by owned_by",
            [
                f"{ids.site_id}\t{self._microcosm(n)}"
                f"\t{_NULL if place.parent < 0 else self._microcosm(place.parent)}"
                f"\t{field(short_text_cleaning.sentence(place.title, quiet=False))}"
                f"\t{field(short_text_cleaning.block(place.description))}\t{sequence[n]}"
                f"\t{self._at(SITE_AGE - n * SECOND)}\t{owner}\t{owner}\n"
                for n, place in enumerate(places)
            ],
        )
        self._store.copy(
            "microcosm_counts",
            "site_id microcosm_id item_count comment_count last_item_id last_activity",
            [
                f"{ids.site_id}\t{self._microcosm(n)}\t{items[n]}\t{comments[n]}"
                f"\t{_NULL if item is None else ids.first_item + item}"
                f"\t{_NEVER if item is None else self._at(ids.active[item])}\n"
                for n, item in enumerate(latest)
            ],
        )

    def _roles_of(self) -> dict[int, list[int]]:
        """Return the ids of the roles that name each profile, ascending, by the profile's number in the shape; profiles
        that no role names are left out.
        """
        first, shape = self._first_role, self._shape
        found: dict[int, list[int]] = {}
        for role, members in (
            (first + 2, shape.banned),
            (first + 3, shape.moderators),
            (first + 4, shape.committee),
        ):
            for who in members:
                found.setdefault(who, []).append(role)
        return found

    def _write_roles(self) -> None:
        """Write the three default roles (platform 2.3), a role of moderators, and a committee with a microcosm of its
        own.
        """
        shape, ids, first = self._shape, self._ids, self._first_role
        private = next(n for n, place in enumerate(shape.places) if place.title == shapes.PRIVATE)
        made = f"{self._at(SITE_AGE)}\t{self._profile(shape.owner)}\n"
        self._store.copy(
            "roles",
            "site_id role_id microcosm_id title is_moderator is_banned include_guests include_users"
            " can_create can_read can_update can_delete can_close_own can_open_own can_read_others"
            " created created_by",
            [
                f"{ids.site_id}\t{first + n}\t{self._microcosm(place)}\t{title}\t{flags}\t{made}"
                for n, (title, place, flags) in enumerate(
                    (
                        ("Guests", 0, _GUESTS),
                        ("Members", 0, _MEMBERS),
                        ("Banned", 0, _BANNED),
                        ("Moderators", 0, _MODERATORS),
                        (shapes.PRIVATE, private, _COMMITTEE),
                    )
                )
            ],
        )
        self._store.copy(
            "role_profiles",
            "site_id role_id profile_id created",
            [
                f"{ids.site_id}\t{role}\t{self._profile(who)}\t{self._at(shape.joined[who])}\n"
                for who, roles in self._roles_of().items()
                for role in roles
            ],
        )

    def _write_items(self) -> None:
        ids = self._ids
        self._store.copy(
            "items",
            "site_id item_id item_type_id microcosm_id title created created_by edited edited_by"
            " edit_reason is_sticky is_open is_deleted is_moderated version comment_count last_seq"
            " last_comment_id last_comment_at last_comment_by last_activity",
            self._item_lines(),
        )
        self._store.copy(
            "item_views",
            "site_id item_id views",
            (
                f"{ids.site_id}\t{ids.first_item + n}\t{7 * c.size + int(self._rng.random() * 60)}\n"
                for n, c in enumerate(self._shape.conversations)
            ),
        )

    def _item_lines(self) -> Iterator[str]:
        shape, ids, rng = self._shape, self._ids, self._rng
        for n, conversation in enumerate(shape.conversations):
            reason = _edit_reason(conversation)
            edited = f"{_NULL}\t{_NULL}\t"
            if reason:
                editor = conversation.author if conversation.is_retitled else shape.moderators[0]
                age = int(conversation.age * rng.random())
                edited = f"{self._at(age)}\t{self._profile(editor)}\t{reason}"
            last = f"{_NULL}\t{_NULL}\t{_NULL}"
            position = ids.last[n]
            if position >= 0:
                last = (
                    f"{ids.comment_id[position]}\t{self._at(shape.age[position])}"
                    f"\t{self._profile(shape.author[position])}"
                )
            yield (
                f"{ids.site_id}\t{ids.first_item + n}\t{CONVERSATION}"
                f"\t{self._microcosm(conversation.place)}\t{field(short_text_cleaning.sentence(conversation.title))}"
                f"\t{self._at(conversation.age)}\t{self._profile(conversation.author)}\t{edited}"
                f"\t{_flag(conversation.is_sticky)}\t{_flag(conversation.is_open)}"
                f"\t{_flag(conversation.hidden == DELETED)}"
                f"\t{_flag(conversation.hidden == MODERATED)}\t{2 if reason else 1}"
                f"\t{ids.live[n]}\t{conversation.size}\t{last}\t{self._at(ids.active[n])}\n"
            )

    def _write_comments(self) -> None:
        revisions: list[str] = []
        mentions: list[str] = []
        uses: list[str] = []
        copy = self._store.copy
        copy(
            "comments",
            "site_id comment_id item_id on_profile_id seq in_reply_to created created_by edited"
            " edited_by revisions is_deleted is_moderated version renderer markdown html",
            self._comment_lines(revisions, mentions, uses),
        )
        copy(
            "comment_revisions",
            "site_id comment_id revision markdown created created_by",
            revisions,
        )
        copy("comment_mentions", "site_id comment_id profile_id", mentions)
        self._texts.write_links()
        copy("link_uses", "site_id comment_id revision link_id", uses)

    def _comment_lines(
        self, revisions: list[str], mentions: list[str], uses: list[str]
    ) -> Iterator[str]:
        shape, ids, rng, at = self._shape, self._ids, self._rng, self._at
        site_id = ids.site_id
        item_of = array("i")
        for n, conversation in enumerate(shape.conversations):
            item_of.extend([n] * conversation.size)
        first_bio = len(item_of)
        shown = 0
        for position in shape.order:
            age = shape.age[position]
            author = self._profile(shape.author[position])
            comment_id = ids.comment_id[position]
            if position < first_bio:
                n = item_of[position]
                seq = position - shape.conversations[n].first + 1
                place = f"{ids.first_item + n}\t{_NULL}\t{seq}"
            else:
                place = f"{_NULL}\t{author}\t0"
            mentioned = shape.mentions.get(position)
            if mentioned is None:
                text = self._texts.post(shape.text[position])
            else:
                whom = self._profile(mentioned)
                text = self._texts.mention(shape.names[mentioned], whom, position)
                mentions.append(f"{site_id}\t{comment_id}\t{whom}\n")
            reply = shape.reply[position]
            answered = _NULL if reply < 0 else ids.comment_id[reply]
            created = at(age)
            edits = 0 if text.links or mentioned is not None else shape.edits[position]
            edited, editor = _NULL, author
            if edits:
                later = age - min(age // 2, MINUTE + int(rng.random() * 2 * HOUR))
                edited = at(later)
                if rng.random() < 0.05:
                    editor = self._profile(shape.moderators[0])
                for revision in range(1, edits + 1):
                    when = created if revision == 1 else at((age + later) // 2)
                    older = f"{text.markdown}\\n\\n(draft {revision})"
                    revisions.append(
                        f"{site_id}\t{comment_id}\t{revision}\t{older}\t{when}\t{author}\n"
                    )
            hidden = shape.hidden[position]
            for link in text.links:
                uses.append(f"{site_id}\t{comment_id}\t1\t{link}\n")
            yield (
                f"{site_id}\t{comment_id}\t{place}\t{answered}\t{created}\t{author}\t{edited}"
                f"\t{editor}\t{1 + edits}\t{_flag(hidden == DELETED)}\t{_flag(hidden == MODERATED)}"
                f"\t{1 + edits + (hidden != LIVE)}\t{RENDERER_VERSION}\t{text.markdown}\t{text.html}\n"
            )
            shown += 1
            if shown == _SHOW_EVERY:
                self._bar.add(shown)
                shown = 0
        self._bar.add(shown)

    def _write_parts(self) -> None:
        """Write what each author has in the conversations: number of live comments, watchers, read marks, ignored
        things; and the tokens of the benchmark's members.
        """
        shape, ids, at = self._shape, self._ids, self._at
        site_id = ids.site_id
        parts = _Parts(shape)
        extra = _Extra(self._rng, shape, ids, parts)
        copy = self._store.copy
        copy(
            "item_authors",
            "site_id item_id profile_id live",
            (
                f"{site_id}\t{ids.first_item + n}\t{self._profile(who)}\t{live}\n"
                for n, who, live in zip(parts.item, parts.who, parts.live, strict=True)
                if live >= 0
            ),
        )
        follows = [
            (first, who, CONVERSATION, ids.first_item + n)
            for n, who, first in zip(parts.item, parts.who, parts.first, strict=True)
        ]
        first_bio = len(shape.age) - len(shape.bios)
        follows += [
            (shape.age[first_bio + n], who, PROFILE, self._profile(who))
            for n, who in enumerate(shape.bios)
        ]
        follows += extra.follows
        follows.sort(reverse=True)
        first_id = self._store.take("watchers", len(follows))
        copy(
            "watchers",
            "site_id watcher_id profile_id item_type_id item_id created",
            (
                f"{site_id}\t{first_id + n}\t{self._profile(who)}\t{kind}\t{item_id}\t{at(age)}\n"
                for n, (age, who, kind, item_id) in enumerate(follows)
            ),
        )
        # Who posts gets the item back at once, and has then read it up to there.
        marks = (
            (last, who, CONVERSATION, ids.first_item + n)
            for n, who, last in zip(parts.item, parts.who, parts.last, strict=True)
        )
        copy(
            "read_marks",
            "site_id profile_id item_type_id item_id read_at",
            (
                f"{site_id}\t{self._profile(who)}\t{kind}\t{item_id}\t{at(age)}\n"
                for age, who, kind, item_id in itertools.chain(marks, extra.marks)
            ),
        )
        copy(
            "ignores",
            "site_id profile_id item_type_id item_id created",
            (
                f"{site_id}\t{self._profile(who)}\t{kind}\t{item_id}\t{at(age)}\n"
                for age, who, kind, item_id in extra.ignores
            ),
        )
        self._write_tokens()

    def _write_tokens(self) -> None:
        """Write the access tokens of the benchmark's members, which anybody can compute, and which are valid on this
        site alone.
        """
        shape, ids = self._shape, self._ids
        tokens = bench_tokens()
        members = shape.bench_members
        first = self._store.take("access_tokens", len(members))
        self._store.copy(
            "access_tokens",
            "token_id token_hash token_prefix user_id site_id by_site name created expires",
            [
                f"{first + n}\t\\\\x{hashlib.sha256(tokens[shape.names[who]].encode()).hexdigest()}"
                f"\t{tokens[shape.names[who]][:8]}\t{ids.users[who].id}\t{ids.site_id}\tf\tbenchmark"
                f"\t{self._at(0)}\t{self._at(-365 * DAY)}\n"
                for n, who in enumerate(members)
            ],
        )


class _Parts:
    """Pairs of a conversation and an author in it, as one array for each column: `item`, `who`: their numbers in the
    shape; `live`: number of the author's live comments there, -1 for somebody who began the conversation and has no
    comment in it; `first`, `last`: ages, in microseconds before loading, of the author's first and last activity there:
    beginning it, or a comment, also one that is not live.
    """

    def __init__(self, shape: Shape) -> None:
        self.item, self.who, self.live = array("i"), array("i"), array("i")
        self.first, self.last = array("q"), array("q")
        for n, conversation in enumerate(shape.conversations):
            begin, end = conversation.first, conversation.first + conversation.size
            first = {conversation.author: conversation.age}
            last = dict(first)
            live: dict[int, int] = {}
            for who, age, hidden in zip(
                shape.author[begin:end], shape.age[begin:end], shape.hidden[begin:end], strict=True
            ):
                first.setdefault(who, age)
                last[who] = age
                live[who] = live.get(who, 0) + (hidden == LIVE)
            for who, age in first.items():
                self.item.append(n)
                self.who.append(who)
                self.live.append(live.get(who, -1))
                self.first.append(age)
                self.last.append(last[who])


Entry = tuple[int, int, int, int]  # age, profile, item type, item id


class _Extra:
    """Watchers, read marks and ignored things (`follows`, `marks`, `ignores`) beyond those that authors get for what
    they wrote; the benchmark's members get fixed numbers of these. Each of the three is a list of (age in microseconds,
    the profile's number in the shape, item type and id of the thing).
    """

    def __init__(self, rng: Random, shape: Shape, ids: Stored, parts: _Parts) -> None:
        self.follows: list[Entry] = []
        self.marks: list[Entry] = []
        self.ignores: list[Entry] = []
        self._rng = rng
        self._shape = shape
        self._ids = ids
        self._places = [
            n
            for n, place in enumerate(shape.places)
            if place.parent >= 0 and place.title not in (shapes.PRIVATE, shapes.DEEP)
        ]
        members = set(shape.bench_members)
        wrote: dict[int, set[int]] = {who: set() for who in members}
        for n, who in zip(parts.item, parts.who, strict=True):
            if who in members:
                wrote[who].add(n)
        for who in range(len(shape.names)):
            if who not in members and rng.random() < 0.02:
                self._follow_places(who, 2)
        for who in shape.bench_members:
            self._follow(who, wrote[who], BENCH_WATCHERS - shape.bios.count(who))
            self._read(who, wrote[who])
            self._ignore(who)

    def _sample(self, choices: Sequence[int], count: int) -> list[int]:
        return self._rng.sample(choices, min(count, len(choices)))

    def _age(self, *limits: int) -> int:
        return int(min(limits) * self._rng.random())

    def _unwritten(self, wrote: set[int]) -> list[int]:
        """Return the numbers, in the shape, of the live conversations that are not in `wrote`."""
        conversations = enumerate(self._shape.conversations)
        return [n for n, c in conversations if not c.hidden and n not in wrote]

    def _follow_places(self, who: int, count: int) -> None:
        for n in self._sample(self._places, count):
            age = self._age(self._shape.joined[who])
            self.follows.append((age, who, MICROCOSM, self._ids.first_microcosm + n))

    def _follow(self, who: int, wrote: set[int], wanted: int) -> None:
        """Add watchers for the profile with the number `who` in the shape: on five microcosms, and on conversations
        until there are `wanted` in all, those in `wrote` included (numbers of the conversations that the profile began
        or commented on, which have theirs).
        """
        self._follow_places(who, 5)
        for n in self._sample(self._unwritten(wrote), wanted - 5 - len(wrote)):
            age = self._age(self._shape.joined[who], self._shape.conversations[n].age)
            self.follows.append((age, who, CONVERSATION, self._ids.first_item + n))

    def _read(self, who: int, wrote: set[int]) -> None:
        """Add read marks for the profile with the number `who` in the shape: on 400 conversations without those in
        `wrote` (numbers of the conversations that the profile began or commented on), about half of them read to the
        end, the others to a moment between beginning and end, and on three microcosms.
        """
        for n in self._sample(self._unwritten(wrote), BENCH_MARKS):
            end = self._ids.active[n]
            way = self._shape.conversations[n].age - end if self._rng.random() < 0.5 else -end
            age = end + int(way * self._rng.random())
            self.marks.append((age, who, CONVERSATION, self._ids.first_item + n))
        for n in self._sample(self._places, 3):
            age = self._age(100 * DAY)
            self.marks.append((age, who, MICROCOSM, self._ids.first_microcosm + n))

    def _ignore(self, who: int) -> None:
        """Add ignored things for the profile with the number `who` in the shape, none of which the benchmark opens: not
        long threads, their authors, or the top level. Only the member `bench_member_2` ignores authors of a long
        thread, `heavy`, too.
        """
        shape, ids = self._shape, self._ids
        heavy = shape.heavy if shape.names[who] == IGNORES_HEAVY else []
        people = [*heavy, *self._sample(shape.ignorable, BENCH_IGNORED[PROFILE] - len(heavy))]
        parents = {place.parent for place in shape.places}
        leaves = [n for n in self._places if n not in parents and shape.places[n].parent > 0]
        quiet = [n for n, c in enumerate(shape.conversations) if not c.hidden and c.size < 25]
        for kind, first, chosen in (
            (PROFILE, ids.first_profile, people),
            (CONVERSATION, ids.first_item, self._sample(quiet, BENCH_IGNORED[CONVERSATION])),
            (MICROCOSM, ids.first_microcosm, self._sample(leaves, BENCH_IGNORED[MICROCOSM])),
        ):
            for n in chosen:
                self.ignores.append((self._age(30 * DAY), who, kind, first + n))


def _edit_reason(conversation: Conversation) -> str:
    """Return the edit reason that a conversation's latest change leaves on a running platform (content 1.10); "" for an
    unchanged one.
    """
    if conversation.hidden:
        name = "delete" if conversation.hidden == DELETED else "moderated"
        return f"Set {name} to true"
    if conversation.is_sticky:
        return "Set sticky to true"
    if not conversation.is_open:
        return "Set open to false"
    return "clearer title" if conversation.is_retitled else ""


def _flag(value: bool) -> str:
    return "t" if value else "f"
