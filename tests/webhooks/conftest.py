"""A receiver, a site of one's own, and a hand on the clock of what waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from forumapi.models.notifications import live_event_queries
from forumapi.realtime.cursor import Cursors
from tests.api import Api
from tests.factories import Factory, Site
from tests.webhooks.receiver import PATIENCE_S, Receiver, receiving

PATH = "/api/v1/webhooks"
T = TypeVar("T")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 204."""
    with receiving() as server:
        yield server


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of one's own."""
    return make.site()


class Hooks:
    """Webhooks of a site, registered by its owner."""

    def __init__(self, api: Api, make: Factory, site: Site) -> None:
        self.api = api
        self.make = make
        self.site = site

    def add(self, url: str, **more: Any) -> Any:
        """Register one; its document with the secret."""
        answer = self.api.post(PATH, {"url": url, **more}, by=self.site.owner)
        assert answer.status == 200, answer.body
        return answer.data

    def state(self, hook: Any) -> Any:
        """The webhook as it stands."""
        return self.api.get(f"{PATH}/{hook['id']}", by=self.site.owner).data

    def deliveries(self, hook: Any, state: str) -> Any:
        """Its deliveries in a state."""
        path = f"{PATH}/{hook['id']}/deliveries?state={state}"
        return self.api.get(path, by=self.site.owner).data["deliveries"]["items"]

    def time_passes(self, hook: Any) -> None:
        """Return what waits or pauses for a while is due now."""
        self.make.sql(
            """
            WITH due AS (
                UPDATE webhook_deliveries SET not_before = now() WHERE webhook_id = %(id)s AND state = 'queued')
            UPDATE webhooks SET parked_until = NULL WHERE webhook_id = %(id)s RETURNING 1""",
            id=hook["id"],
        )

    def hours_pass(self, hook: Any, hours: int) -> None:
        """Return what waits has done so for some hours more, and failures began as long ago."""
        self.make.sql(
            """
            WITH aged AS (
                UPDATE webhook_deliveries SET queued = queued - make_interval(hours => %(hours)s::int)
                 WHERE webhook_id = %(id)s)
            UPDATE webhooks SET failing_since = failing_since - make_interval(hours => %(hours)s::int)
             WHERE webhook_id = %(id)s RETURNING 1""",
            id=hook["id"],
            hours=hours,
        )
        self.time_passes(hook)

    def cursor(self, number: int) -> str:
        """The cursor of an event by its number."""
        with self.make.database.write() as tx:
            return Cursors(live_event_queries.cursor_key(tx)).make(self.site.id, number)

    def numbered(self) -> None:
        """Until everything that was written has its number."""
        until(
            lambda: self.make.sql(
                """
                SELECT 1 FROM event_log e
                 WHERE e.site_id = %(site)s
                   AND NOT EXISTS (SELECT 1 FROM event_sequence s
                                    WHERE s.site_id = e.site_id AND s.event_id = e.event_id)""",
                site=self.site.id,
            ),
            lambda rows: not rows,
        )

    def write(self, chat: Any, text: str, by: Any = None) -> int:
        """Write a comment over the API; its id."""
        answer = self.api.post(
            "/api/v1/comments",
            {"itemType": "conversation", "itemId": chat.id, "markdown": text},
            by=by or self.site.member,
        )
        assert answer.status == 302, answer.body
        return int(answer.location.rpartition("/")[2].partition("?")[0])


def until(look: Callable[[], T], is_so: Callable[[T], object], *, seconds: float = PATIENCE_S) -> T:
    """Return what `look` finds once `is_so`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if is_so(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


@pytest.fixture
def hooks(api: Api, make: Factory, site: Site) -> Hooks:
    """The webhooks of that site."""
    return Hooks(api, make, site)
