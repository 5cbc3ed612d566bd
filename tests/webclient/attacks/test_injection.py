"""Texts that people write, made of a public list of script injections, in every place that a page prints them.

Chromium shows the pages without their policy (CSP), so that whatever became markup would run.
"""

from __future__ import annotations

import html
import os
import random
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
from selenium.webdriver import Chrome

from forumapi.webclient.routes import ROUTES
from tests.factories import Factory, Person, Site
from tests.fixtures import Server
from tests.text.test_hostile import payloads
from tests.webclient.crawl import filled
from tests.webclient.hand import SCRIPT, Hand
from tests.webclient.visitor import Visitor

# Payloads of a site: `make test` shows a fifth of the pages of one site of so many, drawn by its number,
# `make test-wide` all pages of one. All of them, by hand: FORUMAPI_PAYLOADS=50 make test-wide
# T=tests/webclient/attacks/test_injection.py takes more than an hour.
SHARE: Final = 90
SHARES: Final = 50
PLAYED: Final = int(os.environ.get("FORUMAPI_PAYLOADS", "1"))
# Two sites' payloads are typed into forms in so many parts, of which `make test` plays one.
PARTS: Final = 9

# Runs before anything of the page. A call of one of these is a hole, whoever made it.
TRAP: Final = """
window.__fired = [];
for (const name of ['alert', 'confirm', 'prompt', 'print', 'eval', 'open'])
    window[name] = (...given) => { window.__fired.push(name + ': ' + given.join(' ').slice(0, 100)); };
"""
# What no text may become. Each line of the answer is one such node.
LOOK: Final = """
const found = [...window.__fired];
if (document.contentType !== 'text/html') return found;
const say = (node) => found.push(node.outerHTML.slice(0, 200));
const mine = (address) => {
    try { return new URL(address, location.href).origin === location.origin; } catch { return false; }
};
const ours = (address) => mine(address) && new URL(address).pathname.startsWith('/static/');
const never = 'iframe, frame, object, embed, applet, base, style, svg, math, template, noscript, video, audio, '
    + 'link:not(head link), meta:not(head meta), meta[http-equiv], marquee, xmp, plaintext, portal, set, animate';
for (const node of document.querySelectorAll('script'))
    if (node.type !== 'application/ld+json' && !(node.src && ours(node.src))) say(node);
for (const node of document.querySelectorAll(never)) say(node);
for (const node of document.querySelectorAll('form, [formaction]'))
    if (!mine(node.getAttribute('formaction') || node.getAttribute('action') || '/')) say(node);
const banned = ['style', 'srcdoc', 'ping', 'background', 'is'];
const addresses = ['href', 'src', 'action', 'formaction', 'data', 'poster', 'srcset', 'xlink:href'];
for (const node of document.querySelectorAll('*'))
    for (const { name, value } of node.attributes) {
        if (/^on/i.test(name) || banned.includes(name)) say(node);
        if (addresses.includes(name)
            && /^[\\s\\x00-\\x20]*(javascript|vbscript|data|blob|file):/i.test(value)) say(node);
        if (node.tagName === 'IMG' && name === 'src' && !mine(value)) say(node);
    }
return [...new Set(found)];
"""


def share(number: int) -> list[str]:
    """The payloads of one site: a part of the list in a shuffled order that is always the same."""
    every = [one for one in payloads() if len(one) < 2_000]
    random.Random(14).shuffle(every)
    return every[number::SHARES]


def stored(text: str, most: int) -> str:
    """A plain text as the API keeps it: without control characters, escaped."""
    kept = "".join(one for one in text if one.isprintable()).strip()[:most] or "x"
    return html.escape(kept)


@pytest.fixture
def bare(browser: Chrome, website: Server) -> Iterator[Hand]:
    """A browser that runs whatever a page holds, and remembers that it did."""
    browser.execute_cdp_cmd("Page.enable", {})
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": TRAP})
    made = Hand(browser, website.address[1], SCRIPT)
    yield made
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
    made.leave()


def write(make: Factory, number: int) -> tuple[Site, list[str]]:
    """A site on which everything that people write is of the list, and the paths of its pages."""
    words = share(number)
    draw = random.Random(number)

    def word(most: int = 150) -> str:
        return stored(draw.choice(words), most)

    site = make.site(title=word(50), description=word(300))
    people = [make.person(site, f"{index}{word(20)}"[:25]) for index in range(12)]
    everybody = [*people, site.member]
    places = [make.microcosm(site, word(50)) for _ in range(4)]
    make.sql(
        "UPDATE microcosms SET description = %(text)s WHERE site_id = %(site)s",
        text=word(300),
        site=site.id,
    )
    paths = ["/"]
    threads = []
    for index in range(0, len(words), 25):
        place = places[index % len(places)]
        thread = make.conversation(
            site, title=stored(words[index], 150), microcosm=place, by=draw.choice(people)
        )
        for text in words[index : index + 25]:
            wrapped = draw.choice(
                ("{}", "a {} b", "[a]({})", "![{}](/a.png)", "> {}", "`{}`", "[quote=a]{}[/quote]")
            )
            markdown = wrapped.replace("{}", text.replace("\x00", ""))
            make.comment(thread, markdown=markdown, by=draw.choice(everybody))
        threads.append(thread)
    for text in words:
        make.conversation(
            site, title=stored(text, 150), microcosm=draw.choice(places), by=draw.choice(people)
        )
    event = make.event(site, title=word(), microcosm=places[0])
    make.sql("UPDATE events SET place = %(text)s WHERE item_id = %(id)s", text=word(), id=event.id)
    poll = make.poll(site, title=word(), choices=(word(), word(), word()), microcosm=places[0])
    make.comment(event, markdown=draw.choice(words).replace("\x00", ""))
    huddle = make.huddle(site.member, people[0], title=word())
    make.comment(people[0], markdown=draw.choice(words).replace("\x00", ""), by=people[0])
    report, case = make.report(threads[0], by=site.member)
    action, statement = make.action(make.conversation(site, title=word()))
    appeal = make.appeal(statement, site.member)
    make.sql(
        """WITH a AS (UPDATE reports SET text = %(text)s WHERE site_id = %(site)s),
                b AS (UPDATE actions SET reason = %(text)s, note = %(text)s, rule = %(text)s WHERE site_id = %(site)s),
                c AS (UPDATE appeal_messages SET text = %(text)s WHERE site_id = %(site)s)
           INSERT INTO case_notes (site_id, case_id, text, created_by)
           VALUES (%(site)s, %(case)s, %(text)s, %(by)s)""",
        text=word(300),
        site=site.id,
        case=case,
        by=site.owner.id,
    )
    paths += [f"/microcosms/{one.id}/" for one in places]
    paths += [f"/conversations/{one.id}/" for one in threads]
    paths += [f"/profiles/{one.id}/" for one in people[:3]]
    paths += [f"/events/{event.id}/", f"/polls/{poll.id}/", f"/huddles/{huddle.id}/"]
    ids: dict[str, int | str] = {
        "item": threads[0].id,
        "event": event.id,
        "poll": poll.id,
        "huddle": huddle.id,
        "microcosm": places[0].id,
        "profile": people[0].id,
        "report": report,
        "case": case,
        "action": action,
        "statement": statement,
        "appeal": appeal,
    }
    paths += [filled(path, ids) for path, view in ROUTES.items() if "GET" in view.methods()]
    paths += [f"/search/?q={quote(text)}" for text in words[:8]]
    paths += [f"/login/?next={quote(text)}" for text in words[8:12]]
    paths += [f"/profiles/?q={quote(text)}" for text in words[12:14]]
    paths += [f"/conversations/{threads[0].id}/?reply={quote(text)}" for text in words[14:18]]
    paths += [f"/{quote(text, safe='')}/" for text in words[18:22]]
    return site, [one for one in dict.fromkeys(paths) if "\x00" not in one and "logout" not in one]


def holes(hand: Hand, site: Site, path: str) -> list[Any]:
    """Nodes and calls that texts became on a page."""
    hand.go(site, path)
    found: list[Any] = hand.driver.execute_script(LOOK)
    return found


@pytest.mark.parametrize(
    ("number", "every"),
    [(0, 36), *(pytest.param(number, 1, marks=pytest.mark.wide) for number in range(PLAYED))],
)
def test_no_text_becomes_markup(number: int, every: int, bare: Hand, make: Factory) -> None:
    site, paths = write(make, number)
    paths = paths[::every]
    wrong: dict[str, list[Any]] = {}
    for person in (None, site.member, site.owner):
        bare.driver.delete_all_cookies()
        if person is not None:
            _sign_in(bare, site, person)
        # A page shows members what it shows guests, and more; owners mostly the same.
        for path in paths if person is site.member else paths[::4]:
            if found := holes(bare, site, path):
                wrong[path] = found

    assert not wrong


def _sign_in(hand: Hand, site: Site, person: Person) -> None:
    visitor = Visitor(("127.0.0.1", hand._port)).of(site, person)
    hand.go(site, "/static/none/")
    hand.driver.add_cookie({"name": "session", "value": visitor.cookies["session"], "path": "/"})


@pytest.mark.wide
def test_what_is_looked_for_would_be_found(bare: Hand, bikes: Site) -> None:
    bare.go(bikes, "/")
    bare.driver.execute_script(
        "document.querySelector('main').innerHTML ="
        " '<img src=x onerror=alert(1)><a href=\"javascript:1\">a</a><b style=x></b>'"
    )
    for _ in range(50):
        found = bare.driver.execute_script(LOOK)
        if any(one.startswith("alert") for one in found):
            break

    assert len(found) >= 4


# ---------------------------------------------------------------- what a form gives back


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.wide) for part in range(1, PARTS))]
)
def test_what_was_typed_comes_back_as_text(
    part: int, website: Server, bikes: Site, make: Factory
) -> None:
    """A preview, a refusal and a sign-in give back what was typed, and nothing of it is markup."""
    member = _member(website, bikes)
    item = _thread(make, bikes)
    for text in (share(0) + share(1))[part::PARTS]:
        _comes_back(text, website, bikes, member, item)


def _comes_back(text: str, website: Server, bikes: Site, member: Visitor, item: str) -> None:
    fields = {
        "itemType": "conversation",
        "itemId": item,
        "inReplyTo": text,
        "markdown": f"{text}\n</textarea><script>alert(1)</script>",
        "key": text,
        "do": "preview",
    }
    guest = Visitor(website.address, bikes.host)
    pages = [
        member.post("/comments/create/", fields),
        member.post("/comments/create/", {**fields, "inReplyTo": "0", "key": "k" * 20}),
        guest.post("/login/", {"step": text, "email": text, "next": text, "flow": text}),
        guest.post("/login/", {"step": "factor", "email": text, "pending.x": text, "flow": text}),
        guest.post("/comments/create/", {**fields, text or "x": text}),
    ]

    for page in pages:
        assert page.status < 500, text
        tree = page.tree
        scripts = tree.css("script:not([type='application/ld+json'])")
        assert all((one.attributes.get("src") or "").startswith("/static/") for one in scripts)
        assert not tree.css("iframe, object, embed, base, style, svg, math, meta[http-equiv]")
        for node in tree.css("*"):
            assert not [
                name for name in node.attributes if name.startswith("on") or name == "style"
            ]
        for node in tree.css("[href], [src], [action]"):
            for name in ("href", "src", "action"):
                value = (node.attributes.get(name) or "").strip().lower()
                assert not value.startswith(("javascript:", "data:", "vbscript:")), value


_kept: dict[str, Any] = {}


def _member(website: Server, site: Site) -> Visitor:
    if "member" not in _kept:
        _kept["member"] = Visitor(website.address).of(site, site.member)
    found: Visitor = _kept["member"]
    return found


def _thread(make: Factory, site: Site) -> str:
    if "thread" not in _kept:
        _kept["thread"] = str(make.conversation(site).id)
    return str(_kept["thread"])
