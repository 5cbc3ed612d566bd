"""Usage as signed events for a biller: one a site and hour, in order, with an id that stays, counted once."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from forumapi.config import Config
from forumapi.cron import usage_billing
from forumapi.database.connections import Database
from forumapi.errors import ConfigError
from tests.factories import Factory, Site
from tests.webhooks.receiver import Message, Receiver, receiving

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()


class Biller:
    """Biller that counts what it is sent: the writes of each site, each event once by its id."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.seen: set[str] = set()
        self.writes: dict[int, int] = {}
        self.repeated = 0
        self.fails_after = 0
        receiver.answer = self.answer

    def answer(self, message: Message) -> int:
        if self.fails_after and len(self.receiver.messages) >= self.fails_after:
            return 503
        assert message.is_signed_with(SECRET)
        data = message.data
        assert message.id == data["id"] and data["type"] == "usage"
        if message.id in self.seen:
            self.repeated += 1
        else:
            self.seen.add(message.id)
            site = data["siteId"]
            self.writes[site] = self.writes.get(site, 0) + data["usage"]["writes"]
        return 204


@pytest.fixture
def biller() -> Iterator[Biller]:
    with receiving() as server:
        yield Biller(server)


@pytest.fixture
def database(make: Factory) -> Database:
    return make.database


@pytest.fixture
def config(database_url: str, biller: Biller) -> Config:
    return Config(
        environment="embedded",
        database_url=database_url,
        billing_url=biller.receiver.url(),
        billing_secret=SECRET,
    )


def used(make: Factory, site: Site, hours_ago: int, writes: int) -> None:
    make.sql(
        """INSERT INTO site_usage (site_id, hour, writes)
           VALUES (%(site)s, date_trunc('hour', now()) - make_interval(hours => %(hours)s::int), %(writes)s)
               ON CONFLICT (site_id, hour) DO UPDATE SET writes = EXCLUDED.writes""",
        site=site.id,
        hours=hours_ago,
        writes=writes,
    )


def begin(make: Factory, hours_ago: int) -> None:
    """Let the hours after that one be due."""
    make.sql("DELETE FROM usage_billing")
    make.sql(
        """INSERT INTO usage_billing (hour, last_site)
           VALUES (date_trunc('hour', now()) - make_interval(hours => %(hours)s::int), 9223372036854775807)""",
        hours=hours_ago,
    )


def run(database: Database, config: Config) -> str:
    with database.write() as tx:
        return usage_billing.usage_events(tx, config)


def test_each_hour_is_billed_once_whatever_is_repeated(
    database: Database, make: Factory, config: Config, biller: Biller
) -> None:
    first, second = make.site(), make.site()
    for hours_ago, writes in ((5, 7), (4, 11), (3, 13)):
        used(make, first, hours_ago, writes)
    used(make, second, 4, 100)
    used(make, second, 0, 999)  # this hour is not over
    begin(make, 6)
    # The process dies after the biller has counted: the cursor is as it was.
    with pytest.raises(KeyboardInterrupt), database.write() as tx:
        usage_billing.usage_events(tx, config)
        raise KeyboardInterrupt
    assert (biller.writes[first.id], biller.writes[second.id]) == (31, 100)
    run(database, config)
    assert biller.repeated == len(biller.seen)
    assert (biller.writes[first.id], biller.writes[second.id]) == (31, 100)
    count = len(biller.receiver.messages)
    assert run(database, config) == "0 sent"
    assert len(biller.receiver.messages) == count
    sinces = [message.data["since"] for message in biller.receiver.messages[: count // 2]]
    assert sinces == sorted(sinces)


def test_what_the_biller_does_not_take_is_sent_again_from_there(
    database: Database, make: Factory, config: Config, biller: Biller
) -> None:
    site = make.site()
    for hours_ago in (5, 4, 3):
        used(make, site, hours_ago, 1)
    begin(make, 6)
    biller.fails_after = 2
    assert "answered 503" in run(database, config)
    biller.fails_after = 0
    run(database, config)
    assert biller.writes[site.id] == 3 and biller.repeated == 0


def test_the_first_run_bills_nothing_of_before(
    database: Database, make: Factory, config: Config, biller: Biller
) -> None:
    used(make, make.site(), 2, 5)
    make.sql("DELETE FROM usage_billing")
    assert run(database, config) == "0 sent" and not biller.receiver.messages


def test_without_a_biller_nothing_is_sent_and_a_bad_secret_is_named(database: Database) -> None:
    assert run(database, Config(environment="embedded")) == "no biller"
    for secret in ("", "short", "whsec_c2hvcnQ=", "whsec_?", "whsec_ü"):
        wrong = Config(
            environment="embedded", billing_url="http://127.0.0.1:9/", billing_secret=secret
        )
        with pytest.raises(ConfigError, match="billing_secret"):
            run(database, wrong)
