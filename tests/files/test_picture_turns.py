"""Turns of pictures: each person in turn, by what their pictures cost; sizes that readers want before uploads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from forumapi.errors import Unavailable
from forumapi.files.images.fair_queue import FairQueue, Turn
from forumapi.files.images.image_worker_handle import ImageWorker
from tests.factories import Factory, Site
from tests.files.pictures import png, post
from tests.fixtures import Server
from tests.services import wait_until


@pytest.fixture(scope="module")
def image_worker() -> Iterator[ImageWorker]:
    made = ImageWorker(time_limit_s=20, pixel_limit=50_000_000)
    yield made
    made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A large picture and a small one."""
    path = tmp_path_factory.mktemp("pictures")
    Image.new("RGB", (3000, 2000), "red").save(path / "large.png", compress_level=1)
    Image.new("RGB", (4, 4), "blue").save(path / "small.png")
    return path


@pytest.mark.wide
def test_many_large_pictures_of_one_keep_nobody_waiting(
    image_worker: ImageWorker, folder: Path
) -> None:
    done: list[int] = []

    def flood(number: int) -> None:
        for turn in range(4):
            image_worker.make(folder / "large.png", folder / f"{number}.{turn}", "png", who="flood")
            done.append(number)

    threads = [threading.Thread(target=flood, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    waits = []
    for is_thumbnail in (False, True):
        began = len(done)
        wait_until(lambda began=began: len(done) > began, "no picture is finished")  # type: ignore[misc]
        before = len(done)
        made = image_worker.make(
            folder / "small.png", folder / "small", "png", who="other", is_thumbnail=is_thumbnail
        )
        waits.append(len(done) - before)
        assert (made.width, made.height) == (4, 4)
    for thread in threads:
        thread.join()
    # The one that is worked on is finished; a second may come to its end while this thread wakes.
    assert max(waits) <= 2
    assert len(done) == 16


class Queue:
    """A queue on which nothing is worked at until `work`; `order` is who had their turns."""

    def __init__(self, patience_s: float = 30.0) -> None:
        self.queue = FairQueue(patience_s)
        self.order: list[str] = []
        self._threads: list[threading.Thread] = []
        self._go = threading.Event()
        self.want("holder")
        wait_until(lambda: self.order == ["holder"], "nobody has a turn")

    def want(self, who: str, cost: int = 0, *, is_thumbnail: bool = False) -> None:
        """Stand in line, behind those who do already."""
        waiting = self.queue.waiting

        def stand() -> None:
            with self.queue.turn(who, is_thumbnail=is_thumbnail) as turn:
                self.order.append(who)
                self._go.wait()
                turn.cost = cost

        thread = threading.Thread(target=stand, daemon=True)
        thread.start()
        self._threads.append(thread)
        if len(self._threads) > 1:
            wait_until(lambda: self.queue.waiting == waiting + 1, f"{who} does not wait")

    def work(self) -> list[str]:
        """Let everybody have their turn; who had them."""
        self._go.set()
        for thread in self._threads:
            thread.join()
        return self.order[1:]


class NotingQueue(FairQueue):
    """Fair queue that keeps the cost of each caller's last turn."""

    def __init__(self) -> None:
        super().__init__(patience_s=20)
        self.costs: dict[str, float] = {}

    @contextlib.contextmanager
    def turn(self, who: str, *, is_thumbnail: bool = False) -> Iterator[Turn]:
        with super().turn(who, is_thumbnail=is_thumbnail) as turn:
            yield turn
        self.costs[who] = turn.cost


class NotingWorker(ImageWorker):
    def __init__(self) -> None:
        super().__init__(time_limit_s=20, pixel_limit=50_000_000)
        self._queue = self.queue = NotingQueue()


def test_a_picture_costs_its_pixels(folder: Path) -> None:
    worker = NotingWorker()
    try:
        for name in ("large", "small"):
            worker.make(folder / f"{name}.png", folder / f"cost of {name}", "png", who=name)
    finally:
        worker.close()

    assert worker.queue.costs == {"large": 3000 * 2000, "small": 4 * 4}


def test_people_take_turns_by_what_theirs_cost() -> None:
    queue = Queue()
    for who, cost in (
        ("many", 30),
        ("many", 30),
        ("many", 30),
        ("some", 10),
        ("some", 10),
        ("some", 10),
        ("some", 10),
        ("one", 90),
    ):
        queue.want(who, cost)
    assert queue.work() == ["many", "some", "one", "some", "some", "many", "some", "many"]


def test_sizes_come_before_uploads_but_leave_them_a_turn() -> None:
    queue = Queue()
    for number in range(3):
        queue.want(f"upload {number}", 50)
    for number in range(5):
        queue.want(f"reader {number}", 50, is_thumbnail=True)
    assert queue.work() == [
        "reader 0", "reader 1", "upload 0", "reader 2", "reader 3", "upload 1", "reader 4", "upload 2",
    ]  # fmt: skip


def test_who_waits_too_long_is_told_and_takes_no_turn() -> None:
    queue = Queue(patience_s=0.05)
    with pytest.raises(Unavailable), queue.queue.turn("late"):
        raise AssertionError("it was no turn")
    assert queue.queue.waiting == 0
    assert queue.work() == []
    with queue.queue.turn("late"):
        assert queue.queue.people == 0


@pytest.mark.parametrize("raising", [True, False])
def test_nobody_is_remembered_who_waits_no_more(raising: bool) -> None:
    queue = FairQueue(10)

    for number in range(100):
        with contextlib.suppress(ZeroDivisionError), queue.turn(f"person {number}") as mine:
            mine.cost = number / (0 if raising else 1)
    assert (queue.people, queue.waiting) == (0, 0)


@pytest.mark.wide
def test_forty_pictures_of_the_largest_size_keep_no_other_member_waiting(
    server: Server, make: Factory, bikes: Site
) -> None:
    out = BytesIO()
    Image.new("L", (10_000, 5_000), 128).save(out, "PNG", compress_level=1)
    flooder, other = make.person(bikes), make.person(bikes)
    answers: list[int] = []

    def flood() -> None:
        api = server.api()
        files = [(f"{number}.png", out.getvalue(), "") for number in range(10)]
        answers.append(post(api, flooder, *files).status)
        api.close()

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    api = server.api()
    small = 0
    while not answers:
        answer = post(api, other, ("small.png", png(4, 4, seed=small), ""))
        assert answer.status == 200, answer.body
        small += 1
    api.close()
    for thread in threads:
        thread.join()
    assert small >= 5
    # Theirs wait for each other, and may have to come again.
    assert set(answers) <= {200, 503}
