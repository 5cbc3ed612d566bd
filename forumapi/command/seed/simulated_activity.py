"""Shape of a seeded site: who writes what, where and when, as numbers, computed without a database.

It follows figures of real forums: activity of people and microcosms follows Zipf's law; most conversations are short
and a few very long; people who wrote in a conversation write there again. Everything comes from one random generator,
so that the same plan gives the same site. Times are ages: microseconds before the moment of loading.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from forumapi.command.seed import phrases
from forumapi.command.seed.corpus import SEED, Corpus

SizeName = Literal["S", "M", "L"]

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
SITE_AGE: Final = 760 * DAY
OLDEST_CONVERSATION: Final = 735 * DAY

BENCH_KEY: Final = "bench"
BENCH_MEMBERS: Final = tuple(f"bench_member_{n}" for n in range(1, 17))
HEAVY: Final = ("heavy_1", "heavy_2", "heavy_3")
LONGEST: Final = "The longest thread"
HIDDEN: Final = "A long thread with hidden comments"
IGNORED: Final = "A long thread with heavy authors"
DEEP: Final = "The deep archive"
PRIVATE: Final = "Committee"

# What `hidden` of a comment means.
LIVE, DELETED, MODERATED = 0, 1, 2

_AGAIN: Final = 0.55  # chance that a comment is by somebody who wrote in the conversation before
_WRITERS: Final = 0.65  # share of profiles that ever write
_MENTIONED: Final = 30  # the busiest so many are who gets mentioned


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a data set: total numbers of sites, profiles, conversations and comments over all sites. The site `bench`
    (BENCH_KEY) has half of all things, and alone the long threads and the deep microcosm.

    Numbers of that site alone: `longest`: comments of its longest thread; `long`: comments of each of its two other
    long threads; `deep`: conversations of the microcosm DEEP; `microcosms`: microcosms, the root included; `top`:
    microcosms directly below the root.
    """

    sites: int
    profiles: int
    conversations: int
    comments: int
    longest: int
    long: int
    deep: int
    microcosms: int
    top: int


SIZES: Final[dict[SizeName, Size]] = {
    "S": Size(3, 500, 2_500, 12_000, 300, 300, 400, 40, 20),
    "M": Size(20, 20_000, 40_000, 500_000, 10_000, 10_000, 10_000, 200, 20),
    "L": Size(300, 275_000, 400_000, 4_000_000, 70_000, 10_000, 10_000, 200, 20),
}


@dataclass(frozen=True, slots=True)
class SitePlan:
    """Plan of one site: how many profiles, microcosms, conversations and comments it has. `number`: seed by which its
    random generator differs from those of other sites; `key`: subdomain; `top`: number of microcosms directly below the
    root; `bench`: the whole data set's size for the site of the benchmarks, None for any other.
    """

    number: int
    key: str
    title: str
    description: str
    profiles: int
    conversations: int
    comments: int
    microcosms: int
    top: int
    bench: Size | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Microcosm of a site to be seeded: title and description without markup; `parent`: position of its parent in the
    list of the site's microcosms, -1 for the root, which has none.
    """

    title: str
    description: str
    parent: int


@dataclass(slots=True)
class Conversation:
    """Conversation of a site to be seeded. `age`: microseconds since its creation; `place`, `author`: positions of its
    microcosm and author in the Shape; `first`: position of its first comment in the arrays of the Shape; `size`: number
    of its comments; `text`: the corpus's post that it begins with, which the next posts follow.

    `hidden`: LIVE (0), DELETED (1) or MODERATED (2). `pool`: numbers of the profiles that alone write in it, () for
    everybody.
    """

    title: str
    age: int
    place: int
    author: int
    size: int
    text: int
    hidden: int = LIVE
    is_sticky: bool = False
    is_open: bool = True
    is_retitled: bool = False
    pool: Sequence[int] = ()
    first: int = 0


@dataclass(slots=True)
class Shape:
    """Content of one site to be seeded, from which rows are written. People, microcosms, conversations and comments are
    numbered from 0.

    Profiles are in the order of joining, conversations in that of creation. The arrays from `age` to `edits` have an
    entry for each comment: those of the first conversation, the second, …, then those on profiles. `age`: microseconds
    since it was written; `reply`: position of the comment that it answers, -1 for none; `text`: number of its post in
    the corpus; `edits`: how often it was edited. `order`: positions of the comments by time, oldest first; `mentions`:
    mentioned profile by position of the comment; `bios`: the profiles that the last comments are on, one each.
    `joined`: microseconds since each profile joined.

    `owner`, and `moderators` to `ignorable`: numbers of the profiles with that part. `heavy` write much in one long
    thread; `ignorable` write a lot, but not in the long threads.
    """

    plan: SitePlan
    places: list[Place]
    names: list[str]
    joined: list[int]
    conversations: list[Conversation]
    owner: int
    moderators: list[int]
    banned: list[int]
    committee: list[int]
    bench_members: list[int] = field(default_factory=list)
    heavy: list[int] = field(default_factory=list)
    ignorable: list[int] = field(default_factory=list)
    age: array[int] = field(default_factory=lambda: array("q"))
    author: array[int] = field(default_factory=lambda: array("i"))
    reply: array[int] = field(
        default_factory=lambda: array("i")
    )  # position of the comment answered, or -1
    text: array[int] = field(default_factory=lambda: array("i"))  # corpus post
    hidden: bytearray = field(default_factory=bytearray)
    edits: bytearray = field(default_factory=bytearray)
    mentions: dict[int, int] = field(default_factory=dict)
    order: array[int] = field(default_factory=lambda: array("i"))
    bios: list[int] = field(default_factory=list)


def plan(size: Size) -> list[SitePlan]:
    """Return the plans of all sites of a size, the largest first; their numbers of profiles, conversations and comments
    add up to the size's.
    """
    others = size.sites - 1
    weights = [(n + 3) ** -0.8 for n in range(others)]
    profiles = apportion(size.profiles - size.profiles // 2, weights, 12)
    conversations = apportion(size.conversations - size.conversations // 2, weights, 10)
    comments = apportion(size.comments - size.comments // 2, weights, 40)
    plans = [
        SitePlan(
            number=0,
            key=BENCH_KEY,
            title="Bench",
            description="Half of everything, to measure on.",
            profiles=size.profiles // 2,
            conversations=size.conversations // 2,
            comments=size.comments // 2,
            microcosms=size.microcosms,
            top=size.top,
            bench=size,
        )
    ]
    for n in range(others):
        word = phrases.SITE_WORDS[n % len(phrases.SITE_WORDS)]
        lap = n // len(phrases.SITE_WORDS)
        key = f"{word}{lap + 1}" if lap else word
        top = max(3, min(12, conversations[n] // 60))
        plans.append(
            SitePlan(
                number=n + 1,
                key=key,
                title=f"{word.title()} Club {lap + 1}" if lap else f"{word.title()} Club",
                description=f"Talk, help & news for friends of the {word}.",
                profiles=profiles[n],
                conversations=conversations[n],
                comments=comments[n],
                microcosms=1 + top + max(2, min(40, conversations[n] // 40)),
                top=top,
            )
        )
    return plans


def apportion(total: int, weights: Sequence[float], least: int = 0) -> list[int]:
    """Divide `total` into whole numbers, one for each weight in the order of the weights: `least` and a share,
    proportional to the weight, of what is left; their sum is `total`.

    Raises ValueError if `total` is too small for that.
    """
    spare = total - least * len(weights)
    if spare < 0:
        raise ValueError(f"{total} cannot be {len(weights)} parts of {least} or more")
    whole = sum(weights)
    exact = [spare * w / whole for w in weights]
    parts = [int(x) for x in exact]
    by_rest = sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))
    for n in by_rest[: spare - sum(parts)]:
        parts[n] += 1
    return [least + part for part in parts]


def site(plan: SitePlan, corpus: Corpus) -> Shape:
    """Return the shape of one site; the same plan and corpus give the same shape."""
    rng = Random(SEED + plan.number)
    places = _places(plan)
    ranks = _Ranks(plan)
    conversations = _conversations(plan, places, ranks, corpus, rng)
    shape = Shape(
        plan=plan,
        places=places,
        names=_names(plan, ranks, rng),
        joined=[],
        conversations=conversations,
        owner=ranks.owner,
        moderators=ranks.moderators,
        banned=ranks.banned,
        committee=[ranks.owner, *ranks.moderators],
        bench_members=ranks.bench_members,
        heavy=ranks.heavy,
        ignorable=ranks.ignorable,
    )
    write(shape, corpus, rng, writers(ranks.active, rng))
    return shape


def write(shape: Shape, corpus: Corpus, rng: Random, draw: Iterator[int]) -> None:
    """Fill the shape's conversations with comments, posts of `corpus`, add biographies, and order all by time. `rng`:
    for all that is drawn but authors; `draw` yields without end the numbers of profiles that write.

    Before the call, a profile's number is its rank by activity; after it, its place in the order of joining.
    """
    _fill(shape, corpus, rng, draw)
    _write_bios(shape, corpus, rng)
    _join(shape, rng)
    shape.order = array("i", sorted(range(len(shape.age)), key=shape.age.__getitem__, reverse=True))


def writers(active: int, rng: Random) -> Iterator[int]:
    """Yield without end ranks by activity, from 0 to `active` - 1, of the profiles that write one comment after the
    other, drawn from `rng`: the first of 10,000 people writes 1 % of all comments.
    """
    cumulated = list(itertools.accumulate((rank + 10) ** -0.9 for rank in range(active)))
    while True:
        yield from rng.choices(range(active), cum_weights=cumulated, k=1_000)


class _Ranks:
    """Ranks by activity, 0 for the busiest, of the profiles with a special part (as in `Shape`) on the site with this
    plan. The lists from `heavy` on are empty for a plan without `bench`.

    `active`: number of profiles that ever write, those of the ranks below it; `long_pool`: ranks from which the authors
    of the benchmarks' long threads are drawn.
    """

    def __init__(self, plan: SitePlan) -> None:
        self.active = max(6, int(plan.profiles * _WRITERS))
        self.owner = 0
        self.moderators = [1, 2]
        self.banned = [self.active // 2, self.active // 2 + 1]
        self.heavy: list[int] = []
        self.bench_members: list[int] = []
        self.ignorable: list[int] = []
        self.long_pool: list[int] = []
        if plan.bench is None:
            return
        self.heavy = [10, 11, 12]
        # Busy enough to write now and then, not so busy that they write in 500 conversations.
        expected = 100
        whole = sum((rank + 10) ** -0.9 for rank in range(self.active))
        quiet = int((expected * whole / plan.comments) ** (-1 / 0.9)) - 10
        start = min(max(20, quiet), self.active - 2 * len(BENCH_MEMBERS) - 2)
        self.bench_members = [start + 2 * n for n in range(len(BENCH_MEMBERS))]
        special = {self.owner, *self.moderators, *self.banned, *self.heavy, *self.bench_members}
        plain = [rank for rank in range(self.active) if rank not in special]
        self.ignorable = plain[10:100:5]
        apart = set(self.ignorable)
        self.long_pool = [rank for rank in plain[:600] if rank not in apart]


def _places(plan: SitePlan) -> list[Place]:
    """Return the microcosms of the site with this plan, parents before children: the root, the top level, the levels
    below.
    """
    places = [Place("Forums", plan.description, -1)]
    places += [
        Place(topic, f"Everything about {topic.lower()}.", 0)
        for topic in phrases.TOPICS[: plan.top]
    ]
    below = plan.microcosms - len(places)
    places.append(Place(PRIVATE, "For those who run the place.", 1))
    if plan.bench is not None:
        places.append(Place(DEEP, "Nothing is ever thrown away.", 2))
    third = ("indoors", "outdoors", "local")
    names = [
        (top, f"{places[top].title}: {sub}")
        for sub in phrases.SUBTOPICS
        for top in range(1, plan.top + 1)
    ]
    second = names[: max(1, below * 2 // 3 - 2)]
    where = {}
    for top, title in second:
        where[title] = len(places)
        places.append(Place(title, f"{title}.", top))
    for kind, (_, title) in itertools.product(third, second):
        if len(places) >= plan.microcosms:
            break
        places.append(Place(f"{title}, {kind}", f"{title}, {kind}.", where[title]))
    return places[: plan.microcosms]


def _names(plan: SitePlan, ranks: _Ranks, rng: Random) -> list[str]:
    """Return the profiles' names by rank of activity, that of rank 0 at index 0, fixed ones for special people, others
    drawn from `rng`: 2 to 25 characters, different in any letter case.
    """
    given = {
        ranks.owner: "owner",
        ranks.moderators[0]: "moderator",
        ranks.moderators[1]: "moderator_2",
    }
    given |= dict(zip(ranks.heavy, HEAVY, strict=False))
    given |= dict(zip(ranks.bench_members, BENCH_MEMBERS, strict=False))
    return names(plan.profiles, given, rng)


def names(count: int, given: dict[int, str], rng: Random) -> list[str]:
    """Return `count` names, drawn from `rng`, that of rank 0 at index 0: 2 to 25 characters, different in any letter
    case. `given`: fixed names by rank.
    """
    taken = {name.lower() for name in given.values()}
    found: list[str] = []
    for rank in range(count):
        name = given.get(rank) or _name(rng)
        while rank not in given and name.lower() in taken:
            name = f"{name[:18].rstrip('0123456789')}{int(rng.random() * 10**6)}"
        taken.add(name.lower())
        found.append(name)
    return found


def _name(rng: Random) -> str:
    first = phrases.FIRST[int(rng.random() * len(phrases.FIRST))]
    second = phrases.SECOND[int(rng.random() * len(phrases.SECOND))]
    style = rng.random()
    if style < 0.45:
        return f"{first}_{second}"
    if style < 0.70:
        return f"{first.title()}{second.title()}"
    if style < 0.95:
        return f"{second}{int(rng.random() * 1000)}"
    return f"{phrases.FOREIGN[int(rng.random() * len(phrases.FOREIGN))]}{int(rng.random() * 1000)}"


def sizes(conversations: int, comments: int) -> list[int]:
    """Return the number of comments of each of `conversations` conversations, largest first, `comments` in all: a few
    long conversations, many short ones and, if there are more comments than conversations, one in 100 without comments.
    """
    empty = conversations // 100 if comments > conversations else 0
    filled = conversations - empty
    flat = max(1, min(20, filled // 100))  # keeps the longest of many within bounds
    weights = [(n + flat) ** -1.2 for n in range(filled)]
    return apportion(comments, weights, min(1, comments // filled)) + [0] * empty


def _conversations(
    plan: SitePlan, places: list[Place], ranks: _Ranks, corpus: Corpus, rng: Random
) -> list[Conversation]:
    """Return the conversations of the site with this `plan`, in the order of creation, without comments so far: those
    of the benchmarks, if the plan has any, and others, whose microcosm in `places`, author (a rank by activity), first
    post in `corpus` and state are drawn from `rng`.
    """
    found: list[Conversation] = []
    bench = plan.bench
    if bench is not None:
        top = 3
        for title, size, pool in (
            (LONGEST, bench.longest, ranks.long_pool),
            (HIDDEN, bench.long, ranks.long_pool),
            (IGNORED, bench.long, ranks.long_pool),
        ):
            age = OLDEST_CONVERSATION - len(found) * DAY
            found.append(
                Conversation(title, age, top, pool[0], size, corpus.threads[0].first, pool=pool)
            )
    committee = (ranks.owner, *ranks.moderators)
    private = next(n for n, place in enumerate(places) if place.title == PRIVATE)
    kept = min(4, plan.conversations // 10)
    rest = sizes(
        plan.conversations - len(found),
        plan.comments - _bios(plan) - sum(c.size for c in found),
    )
    deep = next((n for n, place in enumerate(places) if place.title == DEEP), None)
    open_places = [n for n in range(1, len(places)) if n not in (private, deep)]
    place_sums = list(itertools.accumulate((n + 2) ** -0.8 for n in range(len(open_places))))
    draw = writers(ranks.active, rng)
    starts = [t.first for t in corpus.threads]
    threads = {t.first: t for t in corpus.threads}
    in_deep = 0
    for rank, size in enumerate(rest):
        start = starts[int(rng.random() * len(starts))]
        youth = rng.random() ** 1.1
        if size > 200:
            youth = 0.3 + 0.7 * youth
        conversation = Conversation(
            title=corpus.title(threads[start], start),
            age=int(youth * (OLDEST_CONVERSATION - HOUR)) + HOUR,
            place=rng.choices(open_places, cum_weights=place_sums)[0],
            author=next(draw),
            size=size,
            text=start,
        )
        fate = rng.random()
        if rank >= len(rest) - kept:
            conversation.place = private
            conversation.pool = committee
            conversation.author = committee[rank % len(committee)]
        elif bench is not None and in_deep < bench.deep and rank >= len(rest) // 4:
            conversation.place = deep or 0
            in_deep += 1
        elif size <= 5 and fate < 0.02:
            conversation.hidden = DELETED if fate < 0.014 else MODERATED
        elif fate < 0.023:
            conversation.is_sticky = True
        elif fate < 0.05:
            conversation.is_open = False
        elif fate < 0.08:
            conversation.is_retitled = True
        found.append(conversation)
    found.sort(key=lambda c: -c.age)
    return found


def _bios(plan: SitePlan) -> int:
    return plan.profiles // 20


def _fill(shape: Shape, corpus: Corpus, rng: Random, draw: Iterator[int]) -> None:
    """Write the comments of all conversations, posts of `corpus`, into the shape's arrays. `rng`: for all that is drawn
    but authors; `draw` yields without end the numbers of profiles that write, for conversations without a `pool`.
    """
    random = rng.random
    posts = len(corpus.posts)
    quoting = corpus.quoting
    heavy = set(shape.heavy)
    author, reply, text, hidden, edits = (
        shape.author,
        shape.reply,
        shape.text,
        shape.hidden,
        shape.edits,
    )
    for conversation in shape.conversations:
        size = conversation.size
        first = conversation.first = len(author)
        shape.age.extend(_ages(conversation.age, size, rng))
        away, given = _marked(conversation, shape, rng)
        pool = conversation.pool
        wrote: list[int] = []
        before = -1
        for n in range(size):
            if n == 0:
                who = conversation.author
            elif n in given:
                who = given[n]
            else:
                who = wrote[int(random() * n)] if random() < _AGAIN else before
                if who == before or (given and who in heavy):
                    who = pool[int(random() ** 2 * len(pool))] if pool else next(draw)
            post = (conversation.text + n) % posts
            back = -1
            if n:
                if quoting[post]:
                    back = first + n - 1
                elif random() < 0.3:
                    back = first + n - 1 - int(random() ** 3 * min(n, 20))
                if not quoting[post] and random() < 0.015 and not quoting[(post + 1) % posts]:
                    shape.mentions[first + n] = int(random() ** 2 * _MENTIONED)
            chance = random()
            wrote.append(who)
            before = who
            author.append(who)
            reply.append(back)
            text.append(post)
            edits.append(0 if chance > 0.03 else 1 if chance > 0.006 else 2)
            hidden.append(away.get(n, LIVE))


def _marked(
    conversation: Conversation, shape: Shape, rng: Random
) -> tuple[dict[int, int], dict[int, int]]:
    """Draw the conversation's hidden comments, and those by authors in `shape.heavy`; return two dicts by position
    within the conversation: DELETED or MODERATED of each hidden comment, and the author's rank of each by a heavy
    author. All comments of a hidden conversation are hidden.
    """
    size = conversation.size
    bench = shape.plan.bench is not None
    if conversation.hidden:
        return dict.fromkeys(range(size), conversation.hidden), {}
    if bench and conversation.title == HIDDEN:
        chosen = rng.sample(range(1, size), size // 20)
        return {n: DELETED if n % 3 else MODERATED for n in chosen}, {}
    if bench and conversation.title == IGNORED:
        chosen = rng.sample(range(1, size), size * 3 // 10)
        return {}, {n: shape.heavy[k % len(shape.heavy)] for k, n in enumerate(chosen)}
    if bench and conversation.title == LONGEST:
        return {}, {}
    return {
        n: DELETED if rng.random() < 0.7 else MODERATED
        for n in range(1, size)
        if rng.random() < 0.01
    }, {}


def _ages(start: int, size: int, rng: Random) -> Iterator[int]:
    """Yield the ages, in microseconds before loading, of a conversation's `size` comments, oldest first: the first
    comment soon after the conversation, whose age is `start`, most others soon after the first, some late.
    """
    if not size:
        return
    opening = start - SECOND * 5 - int(rng.random() * 20 * SECOND)
    days = rng.lognormvariate(0.3 + 0.9 * len(str(size)), 1.2)
    life = min(opening - 2 * MINUTE, int(days * DAY)) if size < 5_000 else opening - 2 * MINUTE
    random = rng.random
    bend = 1.0 if size >= 5_000 else 1.8
    later = sorted((opening - int(life * random() ** bend) for _ in range(size - 1)), reverse=True)
    before = opening + 1
    for age in itertools.chain((opening,), later):
        before = age if age < before else before - 1_000  # no two at one moment
        yield before


def _write_bios(shape: Shape, corpus: Corpus, rng: Random) -> None:
    """Write the biographies of one profile in 20, each a comment of the profile on itself with a post of `corpus`, into
    the shape's arrays, behind the comments of all conversations.
    """
    count = min(_bios(shape.plan), len(shape.names))
    shape.bios = sorted(rng.sample(range(len(shape.names)), count))
    for who in shape.bios:
        shape.age.append(MINUTE + int(rng.random() * 600 * DAY))
        shape.author.append(who)
        shape.reply.append(-1)
        shape.text.append(corpus.threads[int(rng.random() * len(corpus.threads))].first)
        shape.edits.append(0)
        shape.hidden.append(LIVE)


def _join(shape: Shape, rng: Random) -> None:
    """Give each profile a time of joining before its first comment, the owner's first of all; renumber the profiles in
    that order, everywhere in the shape, and empty the conversations' `pool`. Mentions of profiles that join later are
    dropped.
    """
    count = len(shape.names)
    since = [0] * count
    for who, age in zip(shape.author, shape.age, strict=True):
        if age > since[who]:
            since[who] = age
    for conversation in shape.conversations:
        since[conversation.author] = max(since[conversation.author], conversation.age)
    oldest = SITE_AGE - HOUR
    for who in range(count):
        if since[who]:
            joined = since[who] + MINUTE + int(rng.random() ** 3 * 90 * DAY)
        else:
            joined = MINUTE + int(rng.random() * oldest)
        since[who] = min(joined, oldest)
    since[shape.owner] = SITE_AGE
    for who in shape.moderators:
        since[who] = oldest
    by_age = sorted(range(count), key=lambda who: (-since[who], who))
    number = [0] * count
    for new, old in enumerate(by_age):
        number[old] = new
    shape.names = [shape.names[old] for old in by_age]
    shape.joined = [since[old] for old in by_age]
    shape.author = array("i", [number[who] for who in shape.author])
    for conversation in shape.conversations:
        conversation.author = number[conversation.author]
        conversation.pool = ()
    shape.owner = number[shape.owner]
    for group in (
        shape.moderators,
        shape.banned,
        shape.committee,
        shape.bench_members,
        shape.heavy,
        shape.ignorable,
        shape.bios,
    ):
        group[:] = [number[who] for who in group]
    shape.mentions = {
        position: number[who]
        for position, who in shape.mentions.items()
        if who < count and shape.joined[number[who]] > shape.age[position]
    }
