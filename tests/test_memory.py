"""What a web process keeps is bounded by the bytes that it really takes, whatever it is asked for."""

from __future__ import annotations

import datetime
import gc
import os
import tracemalloc
import weakref
from collections.abc import Callable

from forumapi import permissions
from forumapi.cache import Memory
from forumapi.models.comment import Stub
from forumapi.models.kept import Kept, Pages
from forumapi.models.site import SiteDirectory
from forumapi.permissions import Node, Role, Tree, View, Who
from tests.factories import Factory

LIMIT = 1_000_000
ROLES = 10


def taken(fill: Callable[[], object]) -> int:
    """Bytes that are held after `fill`, as Python's allocator counts them; what it returns is held."""
    gc.collect()
    tracemalloc.start()
    try:
        held = fill()
        gc.collect()
        found = tracemalloc.get_traced_memory()[0]
        assert held is not None
        return found
    finally:
        tracemalloc.stop()


def test_documents_of_any_form_take_what_the_setting_allows() -> None:
    for parts, size in ((1, 100), (9, 20), (23, 60), (1, 5_000)):

        def fill(parts: int = parts, size: int = size) -> Memory:
            memory = Memory(LIMIT)
            for number in range(3 * LIMIT // (parts * (size + 50))):
                fragment = tuple(os.urandom(size) for _ in range(parts))
                memory.add((10**9, "comment/1", 10**9 + number, 10**9 + number), fragment)
            return memory

        assert LIMIT * 0.7 < taken(fill) < LIMIT * 1.1, f"{parts} parts of {size} bytes"


def test_kept_pages_take_what_is_allowed_however_long_they_are() -> None:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def page(number: int, comments: int) -> tuple[object, ...]:
        ids = range(10**9 + 1000 * number, 10**9 + 1000 * number + comments)
        stubs = [Stub(id, id + 1, id + 2, id + 3, 0, 0, False, 0, 0, f"{id}", None) for id in ids]
        times = [start + datetime.timedelta(microseconds=id) for id in ids]
        return (number, "A title of some length", frozenset(ids), stubs, times)

    for comments in (0, 25, 250):

        def fill(comments: int = comments) -> Pages:
            pages = Pages(LIMIT)
            for number in range(3 * LIMIT // (400 + 700 * comments)):
                key = ("item", 1, 6, 10**9 + number, 0, comments, ())
                pages.keep(key, Kept(f"{number}:{number}:", page(number, comments)))
            assert pages.bytes <= LIMIT
            return pages

        assert LIMIT * 0.7 < taken(fill) < LIMIT * 1.1, f"{comments} comments"


def test_renderings_for_many_viewers_are_bounded_together() -> None:
    most = permissions.memo.LIMIT

    def fill() -> list[View]:
        views = [View(tuple(range(number, number + 20))) for number in range(30)]
        for number in range(6_000):
            row = (10**9 + number, str(number) * 10, 10**9 - number)
            made = (row, (), os.urandom(4_000))
            views[number % 30].keep(("item", number, True, None), made)
        return views

    assert taken(fill) < most * 1.1


def test_what_was_rendered_last_is_found_again() -> None:
    view = View((1, 2))
    for number in range(3_000):
        view.keep(number, b"%d" % number + b"x" * 10_000)
        assert view.cache[number].startswith(b"%d" % number)

    assert len(view.cache) < 3_000


def test_a_rendering_that_is_made_anew_takes_no_more_room() -> None:
    view, other = View((1, 2)), View((1, 2))
    other.keep("once", b"kept")
    for number in range(10_000):
        view.keep("again", b"%d" % number + b"x" * 10_000)

    assert other.cache == {"once": b"kept"}


def test_sets_of_roles_without_end_are_bounded_and_answered_right() -> None:
    nodes = [
        Node(id, id > 1, f"M{id}", "", (6,), 1, False, True, False, False, 1, 1, 1)
        for id in range(1, 301)
    ]
    roles = [
        Role(10 + n, 2 + n, False, False, False, False, permissions.READ) for n in range(ROLES)
    ]

    def fill() -> Tree:
        tree = Tree(1, nodes, roles)
        for mask in range(700):
            mine = tuple(10 + n for n in range(ROLES) if mask & 1 << n)
            view = tree.view(Who(10**6 + mask, mine))
            assert view.set == {2 + n for n in range(ROLES) if mask & 1 << n}
        return tree

    assert taken(fill) < permissions.memo.LIMIT * 1.1


def test_of_many_sites_some_are_held_and_all_are_answered(make: Factory) -> None:
    sites = [make.site() for _ in range(5)]
    directory = SiteDirectory(make.database, make.platform_domain, most=2)
    trees = weakref.WeakSet[Tree]()
    reader = make.database.read()
    try:
        for made in sites * 3:
            found = directory.by_host(made.host, reader)
            trees.add(directory.tree(found, reader))

            assert directory.current(made.id, reader) is directory.by_host(made.host, reader)
            assert (found.id, found.tree.root_id if found.tree else 0) == (made.id, made.root_id)
            assert directory.held <= 2
            directory.poll()
    finally:
        reader.end()
    del found
    gc.collect()

    assert len(trees) <= 2
