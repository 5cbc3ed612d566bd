"""Crawler of the website: every page that somebody may open, and every form on them, by discovery."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from selectolax.lexbor import LexborNode
from werkzeug.exceptions import HTTPException

import forumapi.webclient
from forumapi.webclient import paths_left_to_api
from forumapi.webclient.routes import MAP, ROUTES
from tests.factories import Factory, Person, Site, Thing
from tests.webclient.visitor import Page, Visitor

TEMPLATES: Final = Path(forumapi.webclient.__file__).parent / "templates"
# Pages of one route that are looked at: the rest are like them.
PAGES_OF_A_ROUTE: Final = 4


def route_of(path: str, method: str = "GET") -> str:
    """The route that a path belongs to, "" for none."""
    try:
        rule, _ = MAP.bind("localhost", path_info=urlsplit(path).path).match(
            method="GET", return_rule=True
        )
    except HTTPException:
        return ""
    view = ROUTES[rule.rule]
    return rule.rule if method == "GET" or method in view.methods() else ""


def filled(path: str, ids: Mapping[str, int | str]) -> str:
    """An address of a table with its places filled by name, or with the first of the words that are possible."""

    def place(found: re.Match[str]) -> str:
        kind, _, name = found[1].rpartition(":")
        first = kind.removeprefix("any(").partition(",")[0].rstrip(")")
        return first if kind.startswith("any(") else str(ids.get(name, 1))

    return re.sub(r"<([^>]+)>", place, path)


class Form(NamedTuple):
    """Form as a page shows it: the page's path, where it goes, its fields as they stand, and one button of it."""

    page: str
    action: str
    fields: tuple[tuple[str, str], ...]
    button: tuple[str, str]

    @property
    def kind(self) -> tuple[str, ...]:
        """Mark that tells forms apart: the route, the names of fields and the button."""
        names = sorted({name for name, _ in self.fields})
        return (route_of(self.action, "POST"), *names, *self.button)


@dataclass
class Town:
    """Site with something of everything on it, and ids for the places in addresses."""

    site: Site
    ids: dict[str, int | str] = field(default_factory=dict)
    things: list[Thing] = field(default_factory=list)

    def starts(self) -> list[str]:
        """Paths to begin at: every route, filled with each thing of its kind."""
        found = [filled(path, self.ids) for path in ROUTES]
        found += [f"{thing.path.removeprefix('/api/v1')}/" for thing in self.things]
        return list(dict.fromkeys(found))


def build(make: Factory) -> Town:
    """Build a site."""
    site = make.site()
    microcosm = make.microcosm(site, "A place of its own")
    conversation = make.conversation(site, microcosm=microcosm)
    comments = make.comments(conversation, 3)
    comments.append(make.comment(conversation, by=site.owner, reply_to=comments[0]))
    event = make.event(site, microcosm=microcosm)
    poll = make.poll(site, microcosm=microcosm)
    make.sql(
        """INSERT INTO site_usage (site_id, hour, guest_reads, member_reads, writes, refused, mails)
           SELECT %(site)s, date_trunc('hour', now()) - n * interval '1 day', 50 * n, 20, 3, n, 1
             FROM generate_series(1, 9) n""",
        site=site.id,
    )
    mine = [make.conversation(site, by=site.member), make.event(site, by=site.member)]
    mine.append(make.poll(site, by=site.member))
    huddle = make.huddle(site.member, site.owner, site.moderator)
    make.comment(huddle)
    make.comment(event)
    make.attend(event, site.member)
    report, case = make.report(make.conversation(site), by=site.member)
    action, statement = make.action(make.conversation(site))
    _, appealed = make.action(make.conversation(site))
    ids: dict[str, int | str] = {
        "item": conversation.id,
        "conversation": conversation.id,
        "event": event.id,
        "poll": poll.id,
        "huddle": huddle.id,
        "microcosm": microcosm.id,
        "comment": comments[0].id,
        "profile": site.member.id,
        "report": report,
        "case": case,
        "action": action,
        "statement": statement,
        "appeal": make.appeal(appealed, site.member),
        "kinds": "conversations",
        "name": "x",
        "key": "x",
    }
    return Town(site, ids, [microcosm, conversation, event, poll, huddle, *mine, comments[-1]])


@dataclass
class Crawl:
    """Pages by path, and forms, that one person has found."""

    person: Person | None
    pages: dict[str, Page] = field(default_factory=dict)
    forms: dict[tuple[str, ...], Form] = field(default_factory=dict)


def crawl(address: tuple[str, int], town: Town, person: Person | None) -> Crawl:
    """Open every page that links lead to, as a guest or as somebody who signed in."""
    visitor = Visitor(address).of(town.site, person)
    made = Crawl(person)
    waiting = town.starts()
    seen: set[str] = set()
    opened: dict[str, int] = {}
    while waiting:
        path = waiting.pop(0)
        route = route_of(path)
        if (
            path in seen
            or not route
            or opened.get(route, 0) >= PAGES_OF_A_ROUTE + (len(seen) < 200) * 4
        ):
            continue
        seen.add(path)
        opened[route] = opened.get(route, 0) + 1
        page = made.pages[path] = visitor.get(path)
        if page.location:
            waiting.append(urljoin(path, page.location))
        if not page.headers.get("content-type", "").startswith("text/html"):
            continue
        for link in page.tree.css("a[href]"):
            href = urljoin(path, link.attributes["href"] or "")
            plain = href.partition("#")[0]
            if plain.startswith("/") and paths_left_to_api.is_page(plain.partition("?")[0]):
                waiting.append(plain)
        for form in forms_of(path, page):
            made.forms.setdefault(form.kind, form)
    return made


def forms_of(path: str, page: Page) -> Iterator[Form]:
    """Forms of a page that are sent by POST, one for each button."""
    for node in page.tree.css("form"):
        if (node.attributes.get("method") or "get").lower() != "post":
            continue
        action = urljoin(path, node.attributes.get("action") or path)
        fields = tuple(_fields(node))
        buttons = [one for one in node.css("button") if one.attributes.get("type") != "button"]
        if node.id:
            # Buttons elsewhere on the page belong to it too.
            buttons += page.tree.css(f'button[form="{node.id}"]')
        if not buttons:
            yield Form(path, action, fields, ("", ""))
        for one in buttons:
            name, value = one.attributes.get("name") or "", one.attributes.get("value") or ""
            # A button may say itself where it goes.
            yield Form(
                path,
                urljoin(path, one.attributes.get("formaction") or action),
                fields,
                (name, value),
            )


def _fields(form: LexborNode) -> Iterator[tuple[str, str]]:
    for node in form.css("input[name], textarea[name], select[name]"):
        attributes = node.attributes
        name = str(attributes["name"])
        if node.tag == "textarea":
            yield name, node.text() or "Some words"
        elif node.tag == "select":
            chosen = node.css_first("option[selected]") or node.css_first("option")
            yield name, str(chosen.attributes.get("value") or "") if chosen else ""
        elif attributes.get("type") in ("checkbox", "radio"):
            if "checked" in attributes:
                yield name, str(attributes.get("value") or "on")
        elif attributes.get("type") != "file":
            yield name, str(attributes.get("value") or "")


# ---------------------------------------------------------------- templates

_TAG: Final = re.compile(r"<form\b(.*?)>", re.S)
_MACRO: Final = re.compile(r"{%-?\s*macro (\w+)\(.*?%}(.*?){%-?\s*endmacro", re.S)


class TemplateForm(NamedTuple):
    """Form as a template writes it."""

    template: str
    action: str
    body: str

    @property
    def has_proof(self) -> bool:
        """Return True if its text, or a macro of the template that it calls, writes the proof."""
        text = (TEMPLATES / self.template).read_text()
        proving = [name for name, body in _MACRO.findall(text) if "forms.proof(" in body]
        return "proof(" in self.body or any(f"{name}(" in self.body for name in proving)

    @property
    def example(self) -> str:
        """An address that it may go to; "" where the template leaves that to a variable, or to its own page."""
        action = re.sub(r"{{\s*kind\s*}}", "conversation", self.action)
        action = re.sub(r"{{\s*things\s*}}", "comments", action)
        action = re.sub(r"{{\s*do\s*}}", "hide", action)
        action = re.sub(r"(?<=^/legal/){{\s*name\s*}}", "terms", action)
        action = re.sub(r"{{\s*one.placeType\s*}}", "conversation", action)
        action = re.sub(r"{%.*?%}", "", action)
        action = re.sub(r"(?<=.){{.*?}}", "1", action)
        return "" if "{{" in action else action


def template_forms() -> list[TemplateForm]:
    """Every form of every template that is sent by POST."""
    found = []
    for path in sorted(TEMPLATES.glob("*.html")):
        text = path.read_text()
        for tag in _TAG.finditer(text):
            if 'method="post"' not in tag[1]:
                continue
            action = re.search(r'action="(.*?)"', tag[1], re.S)
            body = text[tag.end() : text.find("</form", tag.end())]
            found.append(TemplateForm(path.name, action[1] if action else "", body))
    return found
