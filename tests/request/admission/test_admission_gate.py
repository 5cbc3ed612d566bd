"""The gate lets requests through, has them wait in turns, and refuses those of the site that asks too much."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from forumapi.config import Config
from forumapi.errors import SiteBusy, TooMany, Unavailable
from forumapi.request.admission.admission_gate import SHARED_S, Admission, AdmissionGate
from forumapi.request.admission.deficit_round_robin import SiteQueue
from forumapi.request.admission.plan_limits import PlanLimits
from tests.request.admission.test_deficit_round_robin import jain


def gate(at_once: float = 1, **settings: object) -> AdmissionGate:
    """A gate as sites share it: in a process of threads they never do."""
    made = AdmissionGate()
    given = {"address_limit": 0, "queue": 100, "wait_s": 10, "weights": {}} | settings
    made.apply(**given)  # type: ignore[arg-type]
    made._share(at_once, 0)
    made._changed = time.monotonic()
    return made


@contextmanager
def waiting(
    at: AdmissionGate, *requests: tuple[str, dict[str, object]]
) -> Iterator[list[tuple[str, Admission | Exception]]]:
    """Have requests wait in this order, each in a thread; yields what became of them, in the order in which it did."""
    results: list[tuple[str, Admission | Exception]] = []

    def ask(name: str, given: dict[str, object]) -> None:
        number = ord(name[0])
        try:
            place: Admission | Exception = at.enter(number, name[0], 1.0, **given)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - shown by the test
            place = error
        results.append((name, place))
        if isinstance(place, Admission):
            place.end()

    threads: list[threading.Thread] = []
    for name, given in requests:
        before = at._queue.count
        threads.append(threading.Thread(target=ask, args=(name, given)))
        threads[-1].start()
        until(lambda: at._queue.count > before or not threads[-1].is_alive())  # noqa: B023
    yield results
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_sites_and_members_have_their_turns() -> None:
    at = gate(weights={"b": 3})
    place = at.enter(ord("a"), "a", 1.0)
    asked: list[tuple[str, dict[str, object]]] = [
        ("a1", {}),
        ("a2", {}),
        ("a3", {}),
        ("a4", {"is_member": True}),
        ("b1", {}),
        ("b2", {}),
    ]
    with waiting(at, *asked) as results:
        assert not results
        place.end()
    assert [name for name, _ in results][:4] in (["a4", "b1", "a1", "b2"], ["a4", "b1", "b2", "a1"])
    assert all(isinstance(result, Admission) for _, result in results)
    at.enter(1, "c", 1.0).end()
    assert not at._queue.sites
    assert not at._queue.running


def test_backlogged_sites_get_shares_by_the_weights_of_their_plans() -> None:
    begun: list[tuple[SiteQueue, Admission]] = []

    class Watched(AdmissionGate):
        """Gate that notes each request that begins."""

        def _begin(self, site: SiteQueue, address: str) -> Admission:
            place = super()._begin(site, address)
            begun.append((site, place))
            return place

    draw = random.Random(18)
    plans = PlanLimits(*[None] * 5)  # type: ignore[arg-type]
    plans.apply(Config(plans=("free", "club weight=2", "city members=9 weight=5")))
    named = {site: draw.choice(("", "free", "free", "club", "city")) for site in range(1, 301)}
    weights = {
        site: plans.weight(SimpleNamespace(is_root=False, is_sandbox=False, plan=plan))  # type: ignore[arg-type]
        for site, plan in named.items()
    }
    prices = {site: draw.choice((0.2, 0.5, 1.0, 10.0)) for site in named}
    paid = dict.fromkeys(named, 0.0)
    # The settings name one of them.
    weights[7], own = 9, {"site7": 9}
    at = Watched()
    at.apply(address_limit=0, queue=10_000, wait_s=10, weights=own)
    at._share(1, 0)

    def ask(id: int) -> None:
        plan = SimpleNamespace(is_root=False, is_sandbox=False, plan=named[id])
        weight = plans.weight(plan)  # type: ignore[arg-type]
        at._push(at._queue.site(id), f"site{id}", weight, prices[id], "", False, None)

    # Zipf: the first site has three hundred times as many connections as the last. Each asks again when it is served.
    asked = [site for site in named for _ in range(max(1, 300 // site))]
    draw.shuffle(asked)
    for id in asked:
        ask(id)
    at._pump()
    for _ in range(8_000):
        ((site, place),) = begun
        begun.clear()
        paid[site.id] += prices[site.id]
        ask(site.id)
        place.end()

    assert jain([paid[site] / weight for site, weight in weights.items()]) >= 0.95
    # Without their weights the sites would have had equal parts.
    assert jain(list(paid.values())) < 0.8


def test_a_full_queue_refuses_the_site_that_filled_it_alone() -> None:
    at = gate(queue=2)
    place = at.enter(ord("a"), "a", 1.0)
    with waiting(at, ("a1", {}), ("a2", {})):
        with pytest.raises(SiteBusy) as refused:
            at.enter(ord("a"), "a", 1.0)
        with waiting(at, ("b1", {}), ("a3", {"is_member": True})) as others:
            place.end()
    assert ("Retry-After", "5") in refused.value.headers
    assert all(isinstance(result, Admission) for _, result in others)


def test_who_waits_too_long_is_refused_and_leaves_nothing_behind() -> None:
    at = gate(wait_s=0.02)
    place = at.enter(ord("a"), "a", 1.0)
    with pytest.raises(SiteBusy):
        at.enter(ord("b"), "b", 60_000.0)
    place.end()
    at.enter(1, "c", 1.0).end()
    assert not at._queue.sites


def test_an_address_at_its_limit_waits_and_others_do_not() -> None:
    at = gate(at_once=4, address_limit=1, wait_s=10)
    with at.enter(1, "a", 1.0, address="x"):
        with at.enter(1, "a", 1.0, address="y"), at.enter(1, "a", 1.0), at.enter(2, "b", 1.0):
            pass
        at._wait_s = 0.02
        with pytest.raises(TooMany) as refused:
            at.enter(1, "a", 1.0, address="x")
    assert ("Retry-After", "1") in refused.value.headers
    at.enter(1, "a", 1.0, address="x").end()
    assert not at._queue.sites


def test_one_address_does_not_fill_the_queue_of_its_site() -> None:
    at = gate(at_once=2, address_limit=1, queue=10)
    places = [at.enter(ord("a"), "a", 1.0, address="x"), at.enter(ord("b"), "b", 1.0)]
    crowd: list[tuple[str, dict[str, object]]] = [("ax", {"address": "x"})] * 12
    with waiting(at, *crowd, ("ay", {"address": "y"})) as results:
        refused = [result for _, result in results]
        for place in places:
            place.end()
    assert [type(result) for result in refused] == [TooMany] * 10
    assert sorted(name for name, result in results if isinstance(result, Admission)) == [
        "ax",
        "ax",
        "ay",
    ]
    assert not at._queue.running


def test_clients_that_hang_up_free_their_places_and_cost_nobody_a_turn() -> None:
    at = gate(queue=2)
    gone = threading.Event()
    place = at.enter(ord("a"), "a", 1.0)
    with waiting(at, ("a1", {"is_gone": gone.is_set}), ("a2", {"is_gone": gone.is_set})) as results:
        gone.set()
        with ThreadPoolExecutor(1) as pool:
            last = pool.submit(at.enter, ord("a"), "a", 1.0)
            until(lambda: len(results) == 2)
            place.end()
            last.result(10).end()
    assert [type(result).__base__ for _, result in results] == [Unavailable, Unavailable]
    assert not at._queue.running


def test_a_place_ends_once_with_whatever_is_raised_in_it() -> None:
    at = gate()
    for _ in range(3):
        with pytest.raises(KeyError), at.enter(1, "a", 1.0) as place:
            place.end()
            raise KeyError
    assert not at._queue.running
    assert not at._queue.sites


def test_settings_change_while_requests_wait() -> None:
    at = gate(at_once=4, address_limit=1)
    place = at.enter(1, "a", 1.0, address="x")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(at.enter, 1, "a", 1.0, address="x")
        until(lambda: at._queue.count == 1)
        at.apply(address_limit=2, queue=10, wait_s=10, weights={})
        second.result(10).end()
    place.end()
    assert not at._queue.running


def test_a_site_that_is_alone_for_long_has_its_requests_begin_at_once() -> None:
    at = gate()
    with at.enter(1, "a", 1.0), ThreadPoolExecutor(1) as pool:
        second = pool.submit(at.enter, 1, "a", 1.0)
        until(lambda: at._queue.count == 1)
        at.sample_gauges()
        assert at._queue.count == 1
        at._changed -= SHARED_S
        at.sample_gauges()
        with second.result(10):
            at.enter(1, "a", 1.0).end()
    assert not at._queue.running


def test_requests_begun_alone_count_once_sites_share_and_let_the_next_begin() -> None:
    at = gate(at_once=math.inf, address_limit=1)
    places = [at.enter(1, "a", 1.0), at.enter(1, "a", 1.0), at.enter(1, "a", 1.0, address="x")]
    at._share(1, 1)
    with waiting(at, ("b1", {}), ("a1", {})) as results:
        for place in places[:2]:
            place.end()
            assert not results
        places[2].end()
    assert [name for name, _ in results] == ["b1", "a1"]
    assert not at._queue.running


# In a worker whose loop is never idle, while a request of a site that shares it hangs.
BUSY_LOOP = """
from gevent import monkey
monkey.patch_all()
import gevent
from forumapi.request.admission.admission_gate import AdmissionGate

at = AdmissionGate()
at.apply(address_limit=0, queue=100, wait_s=10, weights={})
answered = []

def ask(site):
    with at.enter(site, str(site), 1.0):
        answered.append(site)

def spin():
    while True:
        gevent.sleep(0)

spinning = [gevent.spawn(spin) for _ in range(2)]
hanging = at.enter(1, "1", 1.0)
asked = [gevent.spawn(ask, 1 + number % 2) for number in range(40)]
gevent.joinall(asked, timeout=5)
print(len(answered), at._queue.count, at._queue.running)
"""


def test_requests_begin_in_a_loop_that_is_never_idle() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY_LOOP], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["40", "0", "1"]
