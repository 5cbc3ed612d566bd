"""Reference pages: complete, light, without a dead link, and served with strict policies."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from forumapi.apidocs import openapi
from forumapi.apidocs.error_codes import ERROR_CODES
from forumapi.apidocs.reference.guide import GUIDE
from forumapi.apidocs.reference.reference_pages import ReferencePages, slug_of
from tests import schema_check
from tests.api import Api
from tests.apidocs.test_openapi import NoteHandler
from tests.factories import Site
from tests.webclient import page_checks

HOSTS = ("platform", "site")
OWN = ("basics", "errors", "objects")
# Bytes of a page, compressed; the former single page had 94,000.
HEAVIEST = 24_000
HOME = "/api/v1/docs"


@cache
def pages(host: str) -> ReferencePages:
    """The pages of a kind of host."""
    return ReferencePages(schema_check.host_documents()[host])


class Outline(HTMLParser):
    """Tags, ids, targets and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.stack: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "action"):
                self.targets.add(value or "")
        if tag not in ("meta", "br", "input"):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


@cache
def outlines(host: str) -> dict[str, Outline]:
    """The outline of each page by the last part of its address."""
    return {slug: Outline(page.text()) for slug, page in pages(host).page.items()}


@pytest.mark.wide
@pytest.mark.parametrize("host", HOSTS)
def test_pages_are_light_html_with_nothing_from_elsewhere(host: str) -> None:
    for slug, page in outlines(host).items():
        assert not page.stack, slug
        assert not page.tags & {"iframe", "object", "img", "link"}
        assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
        assert all(target.startswith(("#", "/api/v1/")) for target in page.targets), slug
        assert len(page.ids) == len(set(page.ids)), slug
        assert len(pages(host).page[slug].data) < HEAVIEST, slug


@pytest.mark.parametrize("host", HOSTS)
def test_every_link_leads_somewhere(host: str) -> None:
    known = outlines(host)
    there = {f"{HOME}/{slug}" for slug in known if slug} | {HOME, "/api/v1/openapi.json"}
    there |= {f"{HOME}/{slug}/try" for slug in pages(host).parts} | {f"{HOME}/scripts/search.js"}
    for slug, page in known.items():
        for target in page.targets:
            address, _, anchor = target.partition("#")
            address = address or f"{HOME}/{slug}".rstrip("/")
            assert address in there, target
            if anchor and not address.endswith("/try"):
                assert anchor in known[address.removeprefix(HOME).strip("/")].ids, target


@pytest.mark.parametrize("host", HOSTS)
def test_every_operation_object_and_error_is_on_its_page(host: str) -> None:
    document = schema_check.host_documents()[host]
    known = outlines(host)
    tags = {slug_of(tag["name"]) for tag in document["tags"]}
    everything = {id for page in known.values() for id in page.ids}

    assert known.keys() == {"", *OWN} | tags
    assert not tags & {"", *OWN, "signed-in", "scripts", "search.json"}
    for item in document["paths"].values():
        for verb in openapi._VERBS:
            if operation := item.get(verb.lower()):
                id = operation["operationId"]
                assert id in known[slug_of(operation["tags"][0])].ids
                # The former single page had this anchor too.
                assert id in known[""].ids
    assert all(f"error-{one.name}" in known["errors"].ids for one in ERROR_CODES)
    shown = {
        name
        for name in document["components"]["schemas"]
        if not name.endswith(("Envelope", "Form")) and name not in ("OAuthError", "JsonRpcError")
    }
    assert {f"object-{name}" for name in shown} <= everything
    assert {"switches", "errors", "objects", "about-files"} <= set(known[""].ids)


def test_the_guide_names_operations_of_a_site() -> None:
    ids = set(outlines("site")[""].ids)
    index = pages("site").page[""].text()

    assert {id for step in GUIDE for id in step.operations} <= ids
    assert all(f"<h3>{step.title}</h3>" in index for step in GUIDE)


def test_a_body_shows_its_required_keys() -> None:
    document = openapi.host_document({"/api/v1/notes": NoteHandler})
    found = ReferencePages(document).page
    page = next(
        page.text() for slug, page in found.items() if 'id="updateNotes"' in page.text() and slug
    )

    assert "<code>title</code>, <code>meta.editReason</code>" in page


def test_each_document_to_try_is_whole() -> None:
    made = pages("site")
    for slug in made.parts:
        document = json.loads(made.parts[slug].content())
        for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', made.parts[slug].text())):
            found = document
            for key in reference.split("/"):
                found = found[key]
    ids = re.findall('"operationId":"(\\w+)"', "".join(one.text() for one in made.parts.values()))
    assert len(ids) == len(set(ids)) == len(json.loads(made.published.content())["operations"])


def test_search_finds_operations_fields_objects_and_errors() -> None:
    def first(query: str) -> str:
        return pages("site").search.find(query)[0].address

    assert first("POST comments") == f"{HOME}/comments#createComment"
    assert first("createcomment") == f"{HOME}/comments#createComment"
    assert first("no_read") == f"{HOME}/errors#error-no_read"
    assert first("webhookbody") == f"{HOME}/webhooks#object-WebhookBody"
    assert first("editReason").partition("#object-")[2]
    assert pages("site").search.find("zzzz comment") == []
    assert pages("site").search.find("  ") == []
    assert len(pages("site").search.find("e")) == 40


@pytest.mark.wide
def test_pages_are_valid_html(tmp_path: Path) -> None:
    made = pages("site").page
    shown = {f"{slug or 'index'}.html": made[slug].text() for slug in ("", "errors", "comments")}
    assert page_checks.invalid(shown, tmp_path) == []


# ---------------------------------------------------------------- over the wire


@pytest.mark.wide
def test_each_host_serves_its_pages(api: Api, bikes: Site) -> None:
    for path, status in {
        HOME: 200,
        f"{HOME}/sites": 200,
        f"{HOME}/errors": 200,
        f"{HOME}/signed-in": 200,
        f"{HOME}/sites/try": 200,
        f"{HOME}/errors/try": 404,
        f"{HOME}/nothing": 404,
        f"{HOME}/scripts/nothing.js": 404,
    }.items():
        page = api.get(path, site=bikes)
        other = api.get(path, host=api.platform_domain)
        assert (page.status, other.status) == (status, status), path
        if status == 200:
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            assert page.body.startswith(b"<!doctype html>")
    assert api.get(f"{HOME}/comments", site=bikes).status == 200
    assert api.get(f"{HOME}/comments", host=api.platform_domain).status == 404
    assert api.get(f"{HOME}/comments", by=bikes.banned).status == 200


def test_pages_are_compressed_and_not_sent_twice(
    api: Api, bikes: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = (HOME, f"{HOME}/comments", f"{HOME}/search.json", f"{HOME}/scripts/try.js")
    answers = {path: api.get(path, site=bikes) for path in paths}
    # The schema check reads no compressed JSON.
    monkeypatch.setattr(api, "checks_schema", False)
    for path, plain in answers.items():
        small = api.get(path, site=bikes, headers={"Accept-Encoding": "gzip"})

        assert "Content-Encoding" not in plain.headers
        assert small.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(small.body) == plain.body
        assert small.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
        assert small.headers["ETag"] != plain.headers["ETag"]
        known = {"If-None-Match": small.headers["ETag"], "Accept-Encoding": "gzip"}
        assert api.get(path, site=bikes, headers=known).status == 304


def test_the_form_of_the_search_needs_no_script(api: Api, bikes: Site) -> None:
    found = api.get(f"{HOME}?q=no_read", site=bikes).body.decode()
    nothing = api.get(f"{HOME}?q=%3Cscript%3Ezz", site=bikes).body.decode()
    long = api.get(f"{HOME}?q={'w' * 5000}", site=bikes)

    assert f'<a href="{HOME}/errors#error-no_read">' in found
    assert "Nothing found" in nothing
    assert "&lt;script&gt;zz" in nothing
    assert "<script>zz" not in nothing
    assert long.status == 200


def test_policies_are_strict(api: Api, bikes: Site) -> None:
    page = api.get(HOME, site=bikes)
    policy = page.headers["Content-Security-Policy"]
    style = page.body.partition(b"<style>")[2].partition(b"</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    tried = api.get(f"{HOME}/comments/try", site=bikes).headers["Content-Security-Policy"]

    assert f"style-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy and "script-src 'self';" in tried
    assert "http" not in policy + tried
    assert "'unsafe-inline'" in tried and "unsafe-eval" not in tried


def test_the_viewer_is_the_one_that_was_read() -> None:
    """The wheel's files are those of npm's swagger-ui-dist 5.31.0, byte by byte."""
    from forumapi.apidocs.reference import try_pages

    hashes = {
        name: hashlib.sha256(try_pages._swagger(name).encode()).hexdigest()[:16]
        for name in ("swagger-ui-bundle.js", "swagger-ui.css", "oauth2-redirect.js")
    }
    assert hashes == {
        "swagger-ui-bundle.js": "93b7b0862a80e278",
        "swagger-ui.css": "9e576f8322132c76",
        "oauth2-redirect.js": "a5c8a34e09e49737",
    }
