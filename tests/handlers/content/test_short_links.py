"""Short links: made once for each URL, followed from every host (platform 6.3, P-54, content 11.6)."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence

import pytest

from forumapi import itemtypes
from forumapi.database.connections import Transaction
from forumapi.errors import Invalid
from forumapi.models.texts import short_link
from forumapi.text.sanitise import escape_attribute
from tests.factories import Person, Site, Thing
from tests.handlers.platform import Platform, eventually, platform
from tests.text.test_short_link_code import encode

__all__ = ["platform"]

BASE = "https://forum.example/out/"


def shorten(platform: Platform, *urls: str) -> list[str]:
    """The codes of these URLs."""
    with platform.app.database.write() as tx:
        found = short_link.shorten(tx, urls, BASE)
    return [found[url].url.removeprefix(BASE) for url in urls]


def hits(platform: Platform, code: str) -> int:
    """Return how often the link was used, as far as it is written."""
    platform.app.activity.flush()
    rows = platform.sql(
        "SELECT h.hits FROM link_hits h JOIN links l USING (link_id) WHERE l.code = %(code)s",
        code=code,
    )
    return int(rows[0][0]) if rows else 0


@pytest.mark.wide
def test_a_short_link_leads_to_its_address_from_both_hosts(platform: Platform) -> None:
    site = platform.make.site()
    url = f"https://example.org/{site.key}?a=b&c=d#e"
    (code,) = shorten(platform, url)

    for answer in (
        platform.api.get(f"/out/{code}"),
        platform.api.get(f"/api/v1/out/{code}", site=site),
    ):
        assert (answer.status, answer.location) == (307, url)
        assert answer.json() == {"context": "", "status": 307, "data": None, "error": None}
        assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
        assert "ETag" not in answer.headers


def test_it_is_routed_where_the_platform_says(platform: Platform) -> None:
    site = platform.make.site()
    (code,) = shorten(platform, f"https://example.org/{site.key}")

    assert platform.api.get(f"/api/v1/out/{code}").status == 404
    assert platform.api.get(f"/out/{code}", site=site).status == 404
    assert platform.api.request("OPTIONS", f"/out/{code}").headers["Allow"] == "OPTIONS,GET,HEAD"
    assert platform.api.post(f"/out/{code}").status == 405


def test_no_token_is_looked_at(platform: Platform) -> None:
    site = platform.make.site()
    (code,) = shorten(platform, f"https://example.org/{site.key}")

    for headers in ({"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
        assert platform.api.get(f"/out/{code}", headers=headers).status == 307
    path = f"/api/v1/out/{code}"
    assert platform.api.get(f"{path}?access_token=nonsense", site=site).status == 307
    assert platform.api.get(path, by=site.banned).status == 307


def test_each_use_is_counted_but_a_look_at_the_headers_is_not(platform: Platform) -> None:
    site = platform.make.site()
    (code,) = shorten(platform, f"https://example.org/{site.key}")

    for _ in range(3):
        platform.api.get(f"/out/{code}")
    platform.api.get(f"/api/v1/out/{code}", site=site)
    assert platform.api.request("HEAD", f"/out/{code}").status == 307
    assert eventually(lambda: hits(platform, code) == 4)


@pytest.mark.parametrize(
    "code", ["zzzzzz", "a", "0l", "aO0", "a-b", "abcdefghijkmnpq", "%C3%A9a", "aa"]
)
def test_an_unknown_code_is_404(platform: Platform, code: str) -> None:
    site = platform.make.site()

    assert platform.api.get(f"/out/{code}").status == 404
    assert platform.api.get(f"/api/v1/out/{code}", site=site).status == 404


def test_the_first_character_is_part_of_the_code(platform: Platform) -> None:
    site = platform.make.site()
    (code,) = shorten(platform, f"https://example.org/{site.key}")
    other = "b" if code[0] != "b" else "c"

    assert platform.api.get(f"/out/{other}{code[1:]}").status == 404


@pytest.mark.parametrize(
    ("stem", "refused"),
    [
        ("https://{}.bad.example/x", True),
        ("https://bad.example/{}", True),
        ("https://BAD.example.:443/{}", True),
        ("https://user@bad.example/{}", True),
        ("https://bad.example@good.example/{}", False),
        ("https://notbad.example/{}", False),
        ("https://good.example/bad.example/{}", False),
    ],
)
def test_blocked_domains_are_refused_with_what_is_below_them(
    platform: Platform, stem: str, refused: bool
) -> None:
    site = platform.make.site()
    configured = Platform(platform.database_url, blocked_link_domains=("bad.example",))
    stored = f"{site.key}.example"
    platform.sql("INSERT INTO blocked_link_domains (domain) VALUES (%(d)s) RETURNING 1", d=stored)
    (first,) = shorten(platform, stem.format(site.key))
    (second,) = shorten(
        platform, re.sub("bad.example", stored, stem.format(site.key), flags=re.IGNORECASE)
    )

    expected = 403 if refused else 307
    assert configured.api.get(f"/out/{first}").status == expected
    assert platform.api.get(f"/out/{first}").status == 307
    assert platform.api.get(f"/out/{second}").status == expected
    assert hits(platform, second) == (0 if refused else 1)
    configured.application.stop()


def test_an_address_in_any_script_leads_there_in_ascii(platform: Platform) -> None:
    site = platform.make.site()
    (code,) = shorten(platform, f"https://bücher.example/größe/{site.key}")

    answer = platform.api.get(f"/out/{code}")
    assert answer.location == f"https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe/{site.key}"


def test_a_url_has_one_code_however_often_it_is_shortened(platform: Platform) -> None:
    site = platform.make.site()
    one, two = f"https://example.org/{site.key}/1", f"https://example.org/{site.key}/2"

    first = shorten(platform, one)
    assert shorten(platform, one, two, one)[::2] == first * 2
    assert shorten(platform, two, one)[1] == first[0]


def test_known_urls_take_no_numbers(platform: Platform) -> None:
    site = platform.make.site()
    urls = [f"https://example.org/{site.key}/{n}" for n in range(3)]

    def last() -> int:
        (row,) = platform.sql("SELECT last_value FROM links_link_id_seq")
        return int(row[0])

    shorten(platform, *urls)
    before = last()
    for _ in range(5):
        shorten(platform, *urls)
    assert last() == before


@pytest.mark.parametrize(
    "url",
    [
        "mailto:ana@example.org",
        "ftp://example.org/x",
        "javascript:alert(1)",
        "/relative",
        "//example.org/x",
        "https:///nohost",
        "https://example.org/\\@evil.example",
        "https://example.org/a b",
        "https://example.org/\r\nX: y",
        "https://example.org:port/",
        "https://[::1",
        "https://example.org/" + "x" * 2000,
    ],
)
def test_other_addresses_stay_as_they_are(platform: Platform, url: str) -> None:
    with platform.app.database.write() as tx:
        assert short_link.shorten(tx, [url], BASE) == {}


def test_urls_shortened_at_once_get_one_code_and_nobody_waits_in_a_circle(
    platform: Platform,
) -> None:
    site = platform.make.site()
    urls = [f"https://example.org/{site.key}/{n}" for n in range(40)]
    found: list[dict[str, short_link.ShortLink]] = []
    start = threading.Barrier(4)

    def run(mine: Sequence[str]) -> None:
        start.wait()
        for part in range(0, len(mine), 10):
            with platform.app.database.write() as tx:
                found.append(short_link.shorten(tx, mine[part : part + 10], BASE))

    threads = [
        threading.Thread(target=run, args=(urls if turn % 2 else urls[::-1],)) for turn in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 16
    merged: dict[str, set[str]] = {}
    for one in found:
        for url, short in one.items():
            merged.setdefault(url, set()).add(short.url)
    assert {len(codes) for codes in merged.values()} == {1}
    assert len(merged) == 40


def test_uses_are_noted_once_for_each_revision(platform: Platform) -> None:
    site = platform.make.site()
    comment = platform.make.comment(platform.make.conversation(site), markdown="Nothing here")
    tx: Transaction
    with platform.app.database.write() as tx:
        shortened = short_link.shorten(
            tx, [f"https://example.org/{site.key}/{n}" for n in range(2)], BASE
        )
        ids = [one.id for one in shortened.values()]
        for _ in range(2):
            short_link.record_uses(tx, site.id, comment.id, 7, ids)
        short_link.record_uses(tx, site.id, comment.id, 8, [])

    rows = platform.sql(
        "SELECT revision, link_id FROM link_uses WHERE site_id = %(s)s AND comment_id = %(c)s ORDER BY link_id",
        s=site.id,
        c=comment.id,
    )
    assert rows == [(7, id) for id in sorted(ids)]


# ---------------------------------------------------------------- where nothing leads


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "0",
        "10.0.0.8", "10.8", "172.16.0.1", "192.168.1.1", "192.168.257", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "[::1]", "[::ffff:10.0.0.1]", "[fe80::1]", "[fd00::1]", "[::]",
        "localhost", "LOCALHOST", "a.localhost", "router", "printer.local", "git.internal", "nas.lan",
        "gate.home.arpa", "localhost.", "1.2.3.4.5", "1.2.3.256", "0x1ffffffff", "08.1.1.1", "%31%32%37.0.0.1",
        "１２７.0.0.1",
    ],
)  # fmt: skip
def test_what_is_not_on_the_open_internet_is_refused(platform: Platform, host: str) -> None:
    codes = shorten_all(platform, f"http://{host}:8080/a")
    for code in codes:
        assert platform.api.get(f"/out/{code}").status in (403, 404)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "134744072", "[2606:4700::1111]", "example.org", "1.example.org", "a-1.co"]
)
def test_what_is_leads_on(platform: Platform, host: str) -> None:
    (code,) = shorten(platform, f"http://{host}/{platform.make.site().key}")
    assert platform.api.get(f"/out/{code}").status == 307


def shorten_all(platform: Platform, *urls: str) -> list[str]:
    """The codes of those of these URLs that are shortened at all."""
    with platform.app.database.write() as tx:
        found = short_link.shorten(tx, urls, BASE)
    return [short.url.removeprefix(BASE) for short in found.values()]


def test_a_url_is_no_domain_to_block() -> None:
    for text in ("http://bad.example", "HTTPS://bad.example/path"):
        with pytest.raises(Invalid):
            short_link.checked_domain(text)
    assert short_link.checked_domain("Bad.example:80/path") == "bad.example"


def test_a_blocked_domain_covers_what_is_below_it_and_no_more(platform: Platform) -> None:
    key = platform.make.site().key
    urls = [
        f"http://{host}/{key}"
        for host in (f"{key}.example", f"a.b.{key}.example", f"x{key}.example")
    ]
    codes = shorten(platform, *urls)
    with platform.app.database.write() as tx:
        assert short_link.block(tx, [f"{key}.example"]) == 1
        assert short_link.block(tx, [f"{key}.example"]) == 0
    assert [platform.api.get(f"/out/{code}").status for code in codes] == [403, 403, 307]
    with platform.app.database.write() as tx:
        assert f"{key}.example" in [one.domain for one in short_link.list_blocked(tx)]
        assert short_link.unblock(tx, [f"{key}.example"]) == 1
    assert [platform.api.get(f"/out/{code}").status for code in codes] == [307, 307, 307]


def test_lists_of_domains_are_read_as_they_come() -> None:
    lines = """# a list
evil.example
0.0.0.0 Worse.Example www.worse.example # twice
127.0.0.1 localhost
*.not-one
bücher.example

evil.example.
"""
    assert short_link.domains_in(lines.splitlines()) == [
        "evil.example",
        "worse.example",
        "www.worse.example",
        "xn--bcher-kva.example",
    ]


# ---------------------------------------------------------------- lists


def test_the_owner_of_a_site_sees_what_its_live_comments_link_to(platform: Platform) -> None:
    make = platform.make
    site, other = make.site(), make.site()
    chat = make.conversation(site)
    url = f"http://{site.key}.example/page"
    first, second = (make.comment(chat, markdown=f"See {url} {n}") for n in (1, 2))
    gone = make.comment(chat, markdown=f"See http://gone.{site.key}.example/ and {url}")
    huddle = make.huddle(site.member, site.newcomer)
    make.comment(huddle, by=site.member, markdown=f"See http://secret.{site.key}.example/")
    make.comment(make.conversation(other), markdown=f"See {url}")
    hidden = make.conversation(site)
    make.comment(hidden, markdown=f"See http://hidden.{site.key}.example/")
    for path in (gone.path, hidden.path):
        assert platform.api.request("DELETE", path, site=site, by=site.owner).status == 200

    shown = platform.api.get("/api/v1/links", site=site, by=site.owner).data["links"]["items"]

    assert [(one["url"], one["uses"], one["meta"]["links"][0]["href"]) for one in shown] == [
        (url, 2, f"/api/v1/comments/{second.id}"),
        (url, 2, f"/api/v1/comments/{first.id}"),
    ]
    code = shown[0]["short"].rpartition("/")[2]
    assert platform.api.get(f"/out/{code}").location == url
    assert "hits" not in shown[0]
    for by in (None, site.member, site.moderator, other.owner):
        answer = platform.api.get(
            "/api/v1/links", site=site, by=by if by is not other.owner else None
        )
        assert answer.status == 403


def test_an_edit_takes_a_link_off_the_list(platform: Platform) -> None:
    site = platform.make.site()
    said = platform.make.comment(
        platform.make.conversation(site), markdown=f"http://{site.key}.example/old"
    )
    body = {"markdown": f"http://{site.key}.example/new", "meta": {"editReason": "moved"}}
    assert platform.api.put(said.path, body, site=site, by=site.member).status == 302
    shown = platform.api.get("/api/v1/links", site=site, by=site.owner).data["links"]["items"]
    assert [one["url"] for one in shown] == [f"http://{site.key}.example/new"]


def test_a_list_is_read_on_by_key_and_filtered_by_host(platform: Platform) -> None:
    make = platform.make
    site = make.site()
    chat = make.conversation(site)
    for number in range(4):
        make.comment(
            chat,
            markdown=f"http://a.{site.key}.example/{number} http://b{site.key}.example/{number}",
        )
    seen, path = [], "/api/v1/links?limit=5"
    for _ in range(3):
        page = platform.api.get(path, site=site, by=site.owner).data["links"]
        seen += [one["url"] for one in page["items"]]
        onwards = [one["href"] for one in page["links"] if one["rel"] == "next"]
        if not onwards:
            break
        path = onwards[0]
    assert len(seen) == len(set(seen)) == 8
    for host, count in ((f"a.{site.key}.example", 4), (f"{site.key}.example", 4), ("example", 8)):
        page = platform.api.get(f"/api/v1/links?host={host}", site=site, by=site.owner).data
        assert len(page["links"]["items"]) == count, host
    for query in ("before=x", "limit=7", "host=.."):
        assert platform.api.get(f"/api/v1/links?{query}", site=site, by=site.owner).status == 400


def test_those_who_run_the_platform_see_all_links_with_hits(
    platform: Platform, platform_database: str
) -> None:
    site = platform.make.site()
    keeper = platform.make.person(Site(1, "root", platform.domain, 0), f"keeper{site.key}")
    runs = Platform(platform_database, admin_user_ids=(keeper.user_id,))
    url = f"http://{site.key}.example/page"
    said = platform.make.comment(platform.make.conversation(site), markdown=f"See {url}")
    (code,) = shorten(platform, url)
    platform.api.get(f"/out/{code}")
    assert hits(platform, code) == 1

    path = f"/api/v1/metrics/links?host={site.key}.example"
    (shown,) = runs.api.get(path, by=keeper).data["links"]["items"]
    assert (shown["url"], shown["hits"], shown["uses"], shown["blocked"]) == (url, 1, 1, False)
    with platform.app.database.write() as tx:
        short_link.block(tx, [f"{site.key}.example"])
    assert runs.api.get(path, by=keeper).data["links"]["items"][0]["blocked"] is True
    assert runs.api.get("/api/v1/metrics/links").status == 403
    assert platform.api.get("/api/v1/metrics/links", by=keeper).status == 403
    assert said.id
    runs.app.database.close()


# ---------------------------------------------------------------- what is private


def private_place(platform: Platform, site: Site) -> Thing:
    """A microcosm that members read, and guests don't."""
    place = platform.make.microcosm(site)
    rights = ("read", "create")
    platform.make.role(site, place.id, "Members", users=True, rights=rights)
    return place


def told(platform: Platform, thing: Thing, *, by: Person) -> str:
    """The HTML of a comment, as its author sees it."""
    return str(platform.api.get(thing.path, by=by).data["html"])


def written(platform: Platform, item: str, id: int, markdown: str, *, by: Person) -> Thing:
    """A comment that the API made."""
    body = {"itemType": item, "itemId": id, "markdown": markdown}
    answer = platform.api.post("/api/v1/comments", body, by=by)
    assert answer.status == 302
    return Thing(by.site, itemtypes.COMMENT, int(answer.location.rpartition("/")[2]))


def test_a_code_tells_of_no_other_and_has_64_random_bits(platform: Platform) -> None:
    key = platform.make.site().key
    codes = [shorten(platform, f"https://example.org/{key}/{n}")[0] for n in range(50)]

    assert all(re.fullmatch("[2-9a-zA-Z]{12,}", code) for code in codes)
    assert not {"l", "o", "I", "O", "1", "0"} & set("".join(codes))
    for place in range(12):
        assert len({code[place] for code in codes}) > 15, "a digit that is the same in many codes"


@pytest.mark.wide
def test_links_are_not_shortened_where_guests_do_not_read(platform: Platform) -> None:
    make = platform.make
    site = make.site()
    url = f"https://{site.key}.example/secret?token=a&b=c"
    huddle = make.huddle(site.member, site.newcomer)
    chat = make.conversation(site, microcosm=private_place(platform, site))
    public = make.conversation(site)
    for kind, on in (("huddle", huddle), ("conversation", chat)):
        for said in (
            written(platform, kind, on.id, f"See {url}", by=site.member),
            written(platform, kind, on.id, "Soon", by=site.member),
        ):
            body = {"markdown": f"Now {url}", "meta": {"editReason": "moved"}}
            assert platform.api.put(said.path, body, by=site.member).status == 302
            html = told(platform, said, by=site.member)
            assert f'href="{escape_attribute(url)}" rel="nofollow noopener" target="_blank"' in html
    assert not platform.sql("SELECT 1 FROM links WHERE url = %(url)s", url=url)

    assert "/out/" in told(
        platform,
        written(platform, "conversation", public.id, f"See {url}", by=site.member),
        by=site.member,
    )
    assert "/out/" in told(
        platform,
        written(platform, "profile", site.member.id, f"My {url}", by=site.member),
        by=site.member,
    )


def test_what_is_not_shortened_is_embedded_all_the_same(platform: Platform) -> None:
    site = platform.make.site()
    huddle = platform.make.huddle(site.member, site.newcomer)
    url = "https://www.youtube.com/watch?v=aqz-KE-bpKQ"
    html = told(
        platform, written(platform, "huddle", huddle.id, url, by=site.member), by=site.member
    )
    assert f'<a href="{url}" embed="true"' in html
    assert "<iframe" in html


def as_before(platform: Platform, url: str, *comments: Thing) -> str:
    """The consecutive code that an earlier release gave `url`, which stands in these comments as it left them."""
    platform.sql(
        "DELETE FROM link_uses WHERE link_id IN (SELECT link_id FROM links WHERE url = %(url)s) RETURNING 1",
        url=url,
    )
    platform.sql("DELETE FROM links WHERE url = %(url)s RETURNING 1", url=url)
    ((id,),) = platform.sql(
        "INSERT INTO links (url_hash, url, host, lead) VALUES (%(hash)s, %(url)s, 'x.example', 'k') RETURNING link_id",
        hash=hashlib.sha256(url.encode()).digest(),
        url=url,
    )
    code = encode(int(id), "k")
    for said in comments:
        platform.sql(
            "UPDATE comments SET renderer = 1, version = version + 1, html = %(html)s"
            " WHERE site_id = %(site)s AND comment_id = %(id)s RETURNING 1",
            html=f'<p><a href="http://localhost/out/{code}">{url}</a></p>',
            site=said.site.id,
            id=said.id,
        )
        platform.sql(
            "INSERT INTO link_uses (site_id, comment_id, revision, link_id)"
            " VALUES (%(site)s, %(comment)s, 1, %(link)s) RETURNING 1",
            site=said.site.id,
            comment=said.id,
            link=id,
        )
    return code


def test_an_old_code_of_what_guests_do_not_read_leads_nowhere(platform: Platform) -> None:
    make = platform.make
    site = make.site()
    huddle = make.huddle(site.member, site.newcomer)
    hidden = make.conversation(site)
    for number, on in enumerate(
        (huddle, make.conversation(site, microcosm=private_place(platform, site)), hidden)
    ):
        url = f"https://{site.key}.example/{number}"
        said = make.comment(on, by=site.member, markdown=f"See {url}")
        code = as_before(platform, url, said)
        if on is hidden:
            assert platform.api.get(f"/out/{code}").location == url
            assert platform.api.delete(hidden.path, by=site.owner).status == 200
        for answer in (
            platform.api.get(f"/out/{code}"),
            platform.api.get(f"/api/v1/out/{code}", by=site.member),
        ):
            assert answer.status == 404
            assert answer.json()["error"] == platform.api.get("/out/kzzzzz").json()["error"]
        if on is not hidden:
            html = told(platform, said, by=site.member)
            assert f'href="{url}"' in html
            assert "/out/" not in html


def test_an_old_code_of_what_guests_read_leads_on_until_they_do_not(platform: Platform) -> None:
    make = platform.make
    site = make.site()
    url = f"https://{site.key}.example/"
    place = make.microcosm(site)
    huddle = make.huddle(site.member, site.newcomer)
    public = make.comment(make.conversation(site, microcosm=place), markdown=f"See {url}")
    code = as_before(
        platform, url, make.comment(huddle, by=site.member, markdown=f"See {url}"), public
    )
    for _ in range(2):
        assert platform.api.get(f"/out/{code}").location == url
        html = told(platform, public, by=site.member)
        assert f"/out/{code}" not in html
    (new,) = re.findall("/out/([2-9a-zA-Z]+)", html)
    assert platform.api.get(f"/out/{new}").location == url

    make.role(site, place.id, "Members", users=True, rights=("read",))
    assert platform.api.get(f"/out/{code}").status == 404
    assert platform.api.get(f"/out/{new}").location == url


def test_an_old_code_of_a_deleted_site_leads_nowhere(platform: Platform) -> None:
    site = platform.make.site()
    url = f"https://{site.key}.example/"
    said = platform.make.comment(platform.make.conversation(site), markdown=f"See {url}")
    code = as_before(platform, url, said)
    assert platform.api.get(f"/out/{code}").location == url

    platform.sql(
        "UPDATE sites SET is_deleted = true WHERE site_id = %(id)s RETURNING 1", id=site.id
    )
    assert platform.api.get(f"/out/{code}").status == 404


def test_a_link_of_today_has_no_old_code(platform: Platform) -> None:
    site = platform.make.site()
    url = f"https://{site.key}.example/"
    said = platform.make.comment(platform.make.conversation(site), markdown=f"See {url}")
    ((id, lead),) = platform.sql("SELECT link_id, lead FROM links WHERE url = %(url)s", url=url)
    assert platform.api.get(f"/out/{encode(id, lead)}").status == 404
    assert platform.api.get(said.path, by=site.member).status == 200


def test_who_tries_codes_is_counted_by_address(platform: Platform) -> None:
    site = platform.make.site()
    (code,) = shorten(platform, f"https://example.org/{site.key}")
    asked = Platform(
        platform.database_url, link_misses_per_address=5, trusted_proxies=("127.0.0.1",)
    )
    first, other = f"2001:db8:{site.id:x}::1", f"2001:db8:{site.id:x}:1::1"

    def status(path: str, ip: str) -> int:
        return asked.api.get(path, headers={"X-Forwarded-For": ip}).status

    for number in range(5):
        assert status(f"/out/{code}", first) == 307
        assert status(f"/out/kzzzz{number + 2}", first) == 404
    answer = asked.api.get("/out/kzzzzz", headers={"X-Forwarded-For": first})
    assert (answer.status, 0 < int(answer.headers["Retry-After"]) <= 600) == (429, True)
    assert status(f"/out/{code}", first) == 429
    assert status(f"/out/{code}", other) == 307
    asked.app.database.close()
