"""Crawlers: a site refuses those that it names, unknown programs share a budget, and nobody's reading is touched."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from forumapi.errors import CrawlBudget
from forumapi.outbound.safe_http_client import Outbound
from forumapi.request.admission.crawl_budget import CrawlGate, verify
from forumapi.wire import known_crawlers
from tests.api import Response
from tests.factories import Site
from tests.handlers.platform import Platform, eventually
from tests.outbound.nameserver import nameserver

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
GPT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2; +https://openai.com/gptbot"
LIST = "/api/v1/microcosms"
BUDGET = 20


@pytest.fixture(scope="module")
def crawled(platform_database: str) -> Iterator[Platform]:
    with nameserver() as names:
        made = Platform(
            platform_database,
            crawl_budget_per_minute=BUDGET,
            workers=1,
            trusted_proxies=("127.0.0.1",),
            dns_servers=(names.address,),
        )
        names.records["1.2.0.192.in-addr.arpa", "PTR"] = ["crawl-1.googlebot.com."]
        names.records["crawl-1.googlebot.com", "A"] = ["192.0.2.1"]
        names.records["2.2.0.192.in-addr.arpa", "PTR"] = ["crawl-1.googlebot.com."]
        names.records["3.2.0.192.in-addr.arpa", "PTR"] = ["googlebot.com.evil.example."]
        names.records["googlebot.com.evil.example", "A"] = ["192.0.2.3"]
        made.application.start()
        yield made
        made.application.stop()


def asked(crawled: Platform, site: Site, agent: str, ip: str = "", path: str = LIST) -> Response:
    headers = {"User-Agent": agent, **({"X-Forwarded-For": ip} if ip else {})}
    return crawled.api.get(path, site=site, headers=headers)


def code_of(answer: Response) -> str:
    return str(answer.json()["data"]["code"])


@pytest.mark.wide
def test_unknown_programs_share_a_budget_over_all_addresses(crawled: Platform) -> None:
    site, other = crawled.make.site(), crawled.make.site()
    answers = [
        asked(crawled, site, "python-requests/2.32", f"198.51.100.{n}") for n in range(BUDGET + 5)
    ]
    # One more a budget's share of a minute: the machine may be slow.
    assert {one.status for one in answers[:BUDGET]} == {200}
    refused = next(one for one in answers if one.status == 429)
    assert code_of(refused) == "crawl_budget" and 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.statements == 0
    # Browsers, members and other sites go on.
    for n in range(BUDGET + 5):
        assert asked(crawled, site, FIREFOX, f"198.51.100.{n}").status == 200
    assert asked(crawled, other, "python-requests/2.32").status == 200
    member = {"by": site.member, "headers": {"User-Agent": "python-requests/2.32"}}
    assert crawled.api.get(LIST, **member).status == 200


def test_far_pages_have_a_budget_of_their_own(crawled: Platform) -> None:
    site = crawled.make.site()
    far = f"{LIST}?offset=1000"
    answers = [
        asked(crawled, site, FIREFOX, f"198.51.100.{n}", far).status for n in range(BUDGET + 5)
    ]
    assert 429 not in answers[:BUDGET] and 429 in answers[BUDGET:]
    assert asked(crawled, site, FIREFOX).status == 200
    assert asked(crawled, site, "curl/8").status == 200


def test_a_refused_crawler_gets_nothing_but_the_policy(crawled: Platform) -> None:
    site, api = crawled.make.site(), crawled.api
    address = "/api/v1/site/crawling"
    none = {"refused": [], "trainAi": "", "perMinute": 0}
    assert api.get(address, site=site).data == none
    sent = {"refused": ["GPTBot", "CCBot", "GPTBot"], "trainAi": "n"}
    assert api.put(address, sent, by=site.owner).status == 302
    expected = {"refused": ["GPTBot", "CCBot"], "trainAi": "n", "perMinute": 0}
    assert api.get(address, by=site.owner).data == expected
    asked(crawled, site, GPT)  # reads the site anew
    refused = asked(crawled, site, GPT)
    assert (refused.status, code_of(refused), refused.statements) == (403, "crawler_refused", 0)
    assert asked(crawled, site, GPT, path=address).data == expected
    assert asked(crawled, crawled.make.site(), GPT).status == 200
    assert api.put(address, {"perMinute": 3}, by=site.owner).status == 302
    api.get(LIST, by=site.owner)
    answers = [asked(crawled, site, "curl/8").status for _ in range(5)]
    assert answers[:3] == [200] * 3 and 429 in answers[3:]
    for person in (site.member, site.moderator):
        assert api.put(address, sent, by=person).status == 403
    for bad, field in (
        ({"refused": ["Firefox"]}, "refused"),
        ({"trainAi": "maybe"}, "trainAi"),
        ({"perMinute": -1}, "perMinute"),
    ):
        answer = api.put(address, bad, by=site.owner)
        assert answer.status == 400 and field in answer.error


@pytest.mark.wide
def test_a_crawler_is_verified_by_both_look_ups_and_nobody_waits(crawled: Platform) -> None:
    site, gate = crawled.make.site(), crawled.app.crawl
    for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
        assert asked(crawled, site, GOOGLE, ip).status == 200
    assert eventually(lambda: len(gate._known) == 4, 10.0)
    known = {ip: result for (ip, _), (result, _) in gate._known.items()}
    assert known == {f"192.0.2.{n}": n == 1 for n in (1, 2, 3, 4)}
    for _ in range(BUDGET + 5):
        assert asked(crawled, site, GOOGLE, "192.0.2.1").status == 200
    answers = [asked(crawled, site, GOOGLE, "192.0.2.2").status for _ in range(BUDGET + 5)]
    assert answers[-1] == 429
    assert asked(crawled, site, GOOGLE, "192.0.2.1").status == 200


def test_no_answer_of_dns_is_tried_again_soon() -> None:
    with nameserver() as names:
        names.failing.add("1.2.0.192.in-addr.arpa")
        outbound = Outbound(nameservers=(names.address,), timeout_s=0.5)
        result = verify(outbound, "192.0.2.1", known_crawlers.BY_NAME["Googlebot"])
    assert result == (False, 60.0)
    assert not verify(outbound, "", known_crawlers.BY_NAME["Googlebot"])[0]


def test_claims_and_their_look_ups_are_bounded(crawled: Platform) -> None:
    gate = CrawlGate(lambda: Outbound(timeout_s=0.1))
    gate.apply(crawled.config)
    site = crawled.app.sites.by_id(crawled.make.site().id, crawled.app.database.read())
    assert site is not None
    started = time.perf_counter()
    refused = 0
    for n in range(1_000):
        try:
            gate.take(site, f"198.18.{n // 250}.{n % 250}", GOOGLE, "", is_front_end=False)
        except CrawlBudget:
            refused += 1
    assert refused == 1_000 - BUDGET
    assert len(gate._waiting) == gate.MOST_WAITING
    assert time.perf_counter() - started < 1.0, "a refusal takes less than a millisecond"


@pytest.mark.parametrize(
    ("agent", "crawler", "is_browser"),
    [
        (FIREFOX, "", True),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
                " Version/18.0 Mobile/15E148 Safari/604.1"
            ),
            "",
            True,
        ),
        (GOOGLE, "Googlebot", False),
        (GPT, "GPTBot", False),
        ("Applebot-Extended/1", "Applebot-Extended", False),
        ("", "", False),
        ("curl/8.5.0", "", False),
        (f"{'x' * 503}Googlebot", "Googlebot", False),
        (f"{'x' * 504}Googlebot", "", False),
        ("Mozilla/5.0 (compatible; SomeBot/1.0; +https://some.example)", "", False),
    ],
)
def test_the_class_of_an_agent(agent: str, crawler: str, is_browser: bool) -> None:
    found = known_crawlers.claimed(agent)
    assert (found.name if found else "") == crawler
    assert known_crawlers.is_browser(agent) == is_browser
