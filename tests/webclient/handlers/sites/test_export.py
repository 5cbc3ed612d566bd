"""Export of a site on its pages: begun, watched, downloaded."""

from __future__ import annotations

import io
import zipfile
from types import SimpleNamespace
from typing import Any

import pytest

from forumapi.config import Config, Settings
from forumapi.cron.site_exports import ExportThread
from forumapi.models.access.totp import Totp
from forumapi.webclient.handlers.sites.export import ExportArchiveView
from forumapi.webclient.visit import Refused
from tests.api import Api
from tests.factories import Factory, Site
from tests.fixtures import Server
from tests.webclient.hand import Hand
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

PAGE, ARCHIVE = "/admin/export/", "/admin/export/archive/"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def work(database_url: str, website: Server) -> None:
    """Do what the cron process does once it looks."""
    config = Config(environment="embedded", data_dir=str(website.log.parent))
    thread = ExportThread(database_url, Settings(config))
    thread.poll()
    thread.stop()


@step("owner exports the site and downloads the archive")
def test_the_owner_exports(hand: Hand, site: Site, database_url: str, website: Server) -> None:
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("Export of everything", within="main")

    hand.press("Begin an export")

    hand.see("The export has not begun yet.")
    work(database_url, website)
    hand.press("Look again")
    hand.see("The export is done.")
    assert (hand.find("main a[download]").get_attribute("href") or "").endswith(ARCHIVE)
    hand.press("Delete the export")
    hand.gone("Download the archive")


@pytest.mark.wide
def test_the_archive_comes_whole_and_is_resumed(
    visitor: Visitor, site: Site, database_url: str, website: Server, api: Api
) -> None:
    owner = visitor.of(site, site.owner)
    assert api.post("/api/v1/site/export", {}, token=site.owner.token, host=site.host).status == 302
    assert owner.get(ARCHIVE).status == 404
    work(database_url, website)

    whole = owner.get(ARCHIVE)

    assert (whole.status, whole.headers["content-type"]) == (200, "application/zip")
    assert whole.headers["cache-control"] == "private, no-store"
    with zipfile.ZipFile(io.BytesIO(whole.body)) as opened:
        assert opened.testzip() is None
    size = len(whole.body)
    rest = owner.get(ARCHIVE, Range="bytes=50-", **{"If-Range": whole.headers["etag"]})
    assert (rest.status, rest.body) == (206, whole.body[50:])
    assert rest.headers["content-range"] == f"bytes 50-{size - 1}/{size}"
    assert owner.get(ARCHIVE, Range=f"bytes={size}-").status == 416
    for person in (site.member, site.moderator):
        for page in (PAGE, ARCHIVE):
            assert visitor.of(site, person).get(page).status == 403
    assert visitor.of(site).get(ARCHIVE).status in (302, 303)


def test_an_archive_that_is_replaced_before_its_first_piece_is_gone() -> None:
    found = {"archive": "x", "size": 9, "sha256": "old", "created": "2026-01-01"}
    whole = SimpleNamespace(status=200, body=b"other one")
    api = SimpleNamespace(find=lambda _: found, call=lambda *_, **__: whole)
    site = {"meta": {"permissions": {"siteOwner": True}}}
    visit: Any = SimpleNamespace(fresh_member=dict, site=site, environ={}, api=api)

    with pytest.raises(Refused) as refused:
        ExportArchiveView().get(visit)

    assert refused.value.status == 404


@pytest.mark.wide
def test_an_owner_with_a_second_factor_gives_its_code(
    visitor: Visitor, site: Site, make: Factory
) -> None:
    owner = visitor.of(site, site.owner)
    with make.database.write() as tx:
        Totp.insert(tx, site.owner.user_id)
        codes = Totp.confirm(tx, site.owner.user_id)
    form = owner.get(PAGE)
    proof = form.value("main [name=proof]")
    assert 'name="secondFactor"' in form.text

    refused = owner.post(PAGE, {"proof": proof, "do": "begin", "secondFactor": "000000"})

    assert refused.status == 400
    assert "secondFactor" in refused.text
    code = codes[0]
    assert owner.post(PAGE, {"proof": proof, "do": "begin", "secondFactor": code}).status == 303
    assert "The export has not begun yet." in owner.get(PAGE).text


def test_an_older_session_signs_in_again(visitor: Visitor, site: Site, make: Factory) -> None:
    owner = visitor.of(site, site.owner)
    form = owner.get(PAGE)
    proof = form.value("main [name=proof]")
    make.sql(
        "UPDATE access_tokens SET created = created - interval '11 minutes' WHERE user_id = %(id)s RETURNING 1",
        id=site.owner.user_id,
    )
    answer = owner.post(PAGE, {"proof": proof, "do": "begin"})
    assert answer.status == 401
    assert "Sign in" in answer.main
    assert make.sql("SELECT 1 FROM site_exports WHERE site_id = %(id)s", id=site.id) == []


@pytest.mark.wide
def test_a_site_that_will_be_deleted_says_so_and_its_owner_still_exports_it(
    site: Site, website: Server, api: Api
) -> None:
    assert api.post("/api/v1/site/deletion", {}, by=site.owner).status == 302
    guest, owner = Visitor(website.address, site.host), Visitor(website.address, site.host)

    closed = guest.get("/")
    signed_in = owner.post(
        "/login/", {"step": "development", "email": site.owner.email, "next": PAGE}
    )
    shown = owner.get(PAGE)

    assert closed.status == 403
    assert "This site is closed" in closed.text
    assert "will be deleted on" in closed.text
    assert signed_in.status in (302, 303)
    assert shown.status == 200
    assert owner.post(PAGE, {"do": "begin"}).status in (302, 303)
    assert "The export has not begun yet" in owner.get(PAGE).text
