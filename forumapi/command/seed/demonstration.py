"""Demonstration sites, `bikes` and `trains`: small, with the same people on each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from random import Random
from typing import Final

from forumapi.command import admin
from forumapi.command.seed import demonstration_items
from forumapi.command.seed import simulated_activity as shapes
from forumapi.command.seed.bulk_loader import Bar, Progress
from forumapi.command.seed.corpus import SEED, Corpus
from forumapi.command.seed.demonstration_items import DemoComment, DemoItems
from forumapi.command.seed.rendered_texts import Texts
from forumapi.command.seed.simulated_activity import (
    DAY,
    HOUR,
    PRIVATE,
    Conversation,
    Place,
    Shape,
    SitePlan,
)
from forumapi.command.seed.site_rows import SiteWriter
from forumapi.command.seed.sized_data_set import filling
from forumapi.config import Config
from forumapi.cron import maintenance_jobs
from forumapi.database.connections import Database
from forumapi.models.sites.site_cache import SiteCache

ROOT_OWNER: Final = "owner@bikes.test"
CAST: Final = ("owner", "moderator", "member", "banned", "newcomer")

_PROFILES: Final = 40
_WRITERS: Final = 32
_CONVERSATIONS: Final = 60
_COMMENTS: Final = 900


@dataclass(frozen=True, slots=True)
class _Demo:
    title: str
    description: str
    words: tuple[str, ...]  # what its conversations are about, lower case
    places: tuple[Place, ...]
    items: DemoItems


_DEMOS: Final = {
    "bikes": _Demo(
        "Bikes",
        "Riding, mending & talking about bicycles.",
        (" bike", " biking", "bicycl", "cycling", "cyclist"),
        (
            Place("Forums", "Riding, mending & talking about bicycles.", -1),
            Place("Workshop", "Whatever needs a spanner.", 0),
            Place("Rides", "Where to, when, and who comes along.", 0),
            Place("Buying and selling", "Wanted, for sale, free to a good home.", 0),
            Place("Lounge", "Everything else.", 0),
            Place("Wheels & tyres", "Lacing, truing, sealant.", 1),
            Place("Gears and brakes", "Indexing, bleeding, squealing.", 1),
            Place("Lights & electrics", "Dynamos, batteries, cables.", 1),
            Place("This weekend", "Short notice, all welcome.", 2),
            Place("Long distance", "Two hundred kilometres and more.", 2),
            Place(PRIVATE, "For those who run the place.", 4),
            Place("Brevets", "Cards, controls, time limits.", 9),
        ),
        DemoItems(
            place="This weekend",
            event="Along the canal and back",
            meeting="The old bridge",
            event_lines=(
                DemoComment(
                    "moderator", "Sixty flat kilometres, one stop. **Nobody is left behind.**"
                ),
                DemoComment("member", "If it stays dry I am in. Bring lights, the tunnel is dark."),
                DemoComment("owner", "I have a spare tube for everybody who forgets theirs."),
            ),
            poll="The stop on our ride",
            question="Where do we stop?",
            choices=("The mill with the cake", "The ferry with the view", "The pub with the chips"),
            poll_lines=(
                DemoComment("member", "All three are open. The ferry takes cash only."),
                DemoComment("moderator", "Cake, obviously."),
            ),
            talk="Before the ride",
            talk_lines=(
                DemoComment(
                    "owner", "Who takes the back of the group? Only the three of us read this."
                ),
                DemoComment("moderator", "I do, and I have the pump."),
                DemoComment("member", "Then I lead, slowly."),
            ),
        ),
    ),
    "trains": _Demo(
        "Trains",
        "Journeys, lines & models of every gauge.",
        (
            " trains ",
            "railway",
            "subway",
            "train ride",
            "by train",
            "travel",
            "journey",
            "road trip",
        ),
        (
            Place("Forums", "Journeys, lines & models of every gauge.", -1),
            Place("Journeys", "Where we went and what we saw.", 0),
            Place("Lines & stations", "What runs where.", 0),
            Place("Modelling", "Railways that fit into a room.", 0),
            Place("Lounge", "Everything else.", 0),
            Place("Night trains", "Bunks, breakfasts, borders.", 1),
            Place("Mountain railways", "Racks, loops and funiculars.", 1),
            Place("Timetables", "Connections made and missed.", 2),
            Place("Layouts & scenery", "Plaster, flock and patience.", 3),
            Place("Digital control", "Decoders, boosters, software.", 3),
            Place(PRIVATE, "For those who run the place.", 4),
            Place("Sleeper reviews", "Every berth we have slept in.", 5),
        ),
        DemoItems(
            place="Journeys",
            event="A day on the rack railway",
            meeting="The clock in the main hall",
            event_lines=(
                DemoComment("moderator", "First train up, last train down. **Sit on the left.**"),
                DemoComment("member", "I come if I get the day off. Is the summit still closed?"),
                DemoComment(
                    "owner", "Open since Monday. I bring the timetable of 1934 to compare."
                ),
            ),
            poll="How we come home",
            question="Which way back?",
            choices=("Over the pass", "Through the tunnel", "By the lake, and late"),
            poll_lines=(
                DemoComment("member", "The lake line has a dining car, for now."),
                DemoComment("moderator", "The pass, as long as it is light."),
            ),
            talk="Group ticket",
            talk_lines=(
                DemoComment(
                    "owner", "Who buys the ticket for all? Only the three of us read this."
                ),
                DemoComment("moderator", "I do, on the day before."),
                DemoComment("member", "Then I collect the money."),
            ),
        ),
    ),
}


def demo(database_url: str, config: Config, progress: Progress) -> None:
    """Create the sites `bikes` and `trains` in a migrated database, within a few seconds.

    The people of CAST (owner, moderator, member, banned, newcomer) are on each site, with addresses such as
    `owner@bikes.test`; the newcomer has written nothing. Each site has an event with answers, a poll with votes, and
    huddles in which all of CAST but the banned are (`demonstration_items.write`). The user `owner@bikes.test` owns the
    platform's own site too.

    Each line for `progress` replaces the previous one. Raises SeedError if one of the sites exists already, or the
    package of the texts is missing.
    """
    progress("reading the corpus")
    corpus = Corpus.read(about=tuple(itertools.chain(*(demo.words for demo in _DEMOS.values()))))
    with filling(database_url, list(_DEMOS), progress, build_last=False) as store:
        texts = Texts(store, corpus, config.short_links)
        bar = Bar(progress, "comments", _COMMENTS * len(_DEMOS))
        for number, (key, scene) in enumerate(_DEMOS.items()):
            shape = _shape(1_000 + number, key, scene, corpus)
            SiteWriter(store, texts, shape, bar, []).write()
    database = Database(database_url, size=1)
    try:
        sites = SiteCache(database, config.platform_domain)
        with database.write() as tx:
            for key, scene in _DEMOS.items():
                site = sites.by_id(admin.site_id(tx, key), tx)
                assert site is not None, "it was stored just now"
                demonstration_items.write(tx, site, scene.items, short_links=config.short_links)
            admin.set_owner(tx, "root", ROOT_OWNER)
            maintenance_jobs.site_statistics(tx, config)
    finally:
        database.close()


def _shape(number: int, key: str, scene: _Demo, corpus: Corpus) -> Shape:
    rng = Random(SEED + number)
    plan = SitePlan(
        number=number,
        key=key,
        title=scene.title,
        description=scene.description,
        profiles=_PROFILES,
        conversations=_CONVERSATIONS,
        comments=_COMMENTS,
        microcosms=len(scene.places),
        top=sum(place.parent == 0 for place in scene.places),
    )
    owner, moderator, member, banned = range(4)
    newcomer = _PROFILES - 1
    given = dict(zip((owner, moderator, member, banned, newcomer), CAST, strict=True))
    shape = Shape(
        plan=plan,
        places=list(scene.places),
        names=shapes.names(_PROFILES, given, rng),
        joined=[],
        conversations=_conversations(scene, corpus, rng),
        owner=owner,
        moderators=[moderator],
        banned=[banned],
        committee=[owner, moderator],
    )
    shapes.write(shape, corpus, rng, shapes.writers(_WRITERS, rng))
    return shape


def _conversations(scene: _Demo, corpus: Corpus, rng: Random) -> list[Conversation]:
    """Return 60 conversations (_CONVERSATIONS), made of the corpus's chats with most posts that hold words of the
    site's subject (`scene.words`), in the order of creation, without comments so far. `rng`: for all that is drawn.
    """
    private = next(n for n, place in enumerate(scene.places) if place.title == PRIVATE)
    public = [n for n in range(1, len(scene.places)) if n != private]
    starts = [
        (thread, corpus.first_about(thread, scene.words))
        for thread in corpus.about(scene.words)[:_CONVERSATIONS]
    ]
    starts.sort(key=lambda pair: pair[1] - pair[0].end)
    lengths = shapes.sizes(_CONVERSATIONS, _COMMENTS - _PROFILES // 20)
    found = []
    for rank, ((thread, first), size) in enumerate(zip(starts, lengths, strict=True)):
        inside = rank in (20, 40)
        pool = (0, 1) if inside else ()
        found.append(
            Conversation(
                title=corpus.title(thread, first, scene.words),
                age=HOUR + int(rng.random() ** 2 * 500 * DAY) + (100 * DAY if size > 50 else 0),
                place=private if inside else public[int(rng.random() ** 1.5 * len(public))],
                author=0 if inside else int(rng.random() ** 2 * _WRITERS),
                size=size,
                text=first,
                is_sticky=rank == 5,
                is_open=rank != 7,
                pool=pool,
            )
        )
    found.sort(key=lambda conversation: -conversation.age)
    return found
