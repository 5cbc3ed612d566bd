"""Permits for connections are fair between sites."""

from __future__ import annotations

import threading
import time

import pytest

from forumapi.database.connection_permits import ConnectionPermits
from forumapi.errors import Unavailable


def ask(permits: ConnectionPermits, site_id: int, order: list[int]) -> threading.Thread:
    """Have a request of the site wait in a thread, which notes it in `order` once it has a permit, and keeps that."""

    def take() -> None:
        permits.take(site_id)
        order.append(site_id)

    before = permits.waiting
    thread = threading.Thread(target=take)
    thread.start()
    while permits.waiting == before and thread.is_alive():
        time.sleep(0.001)
    return thread


def test_the_next_permit_is_of_the_site_that_holds_fewest() -> None:
    permits = ConnectionPermits(4, 10.0)
    for _ in range(4):
        permits.take(1)
    order: list[int] = []
    threads = [ask(permits, site_id, order) for site_id in (1, 1, 2, 2, 3)]
    for count in range(1, 5):
        permits.give(1)
        while len(order) < count:
            time.sleep(0.001)
    # Of sites that hold as many, the one that has waited longer.
    assert order == [2, 3, 1, 2]
    permits.give(2)
    for thread in threads:
        thread.join(10)
    assert order == [2, 3, 1, 2, 1]
    for site_id in (1, 1, 2, 3):
        permits.give(site_id)
    assert not permits._held
    assert not permits._queues
    assert permits._free == 4


def test_a_site_holds_no_more_than_its_part() -> None:
    permits = ConnectionPermits(12, 10.0)
    permits.bind(90)
    for _ in range(11):
        permits.take(1)
    order: list[int] = []
    waiting = ask(permits, 1, order)
    permits.take(2)
    permits.give(2)
    assert permits.waiting == 1
    permits.bind(100)
    waiting.join(10)
    assert order == [1]


def test_who_waits_in_vain_is_refused_and_leaves_nothing_behind() -> None:
    permits = ConnectionPermits(1, 0.02)
    permits.take(1)
    with pytest.raises(Unavailable):
        permits.take(2)
    assert not permits._queues
    permits.give(1)
    permits.take(2)
