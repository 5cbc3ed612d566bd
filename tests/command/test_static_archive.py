"""Archives of a site's public part: what guests read, under the old addresses, with links that work from a disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from forumapi.command import cli
from tests.factories import Site, Thing
from tests.porting.everything import CANARY, everything
from tests.stage import Stage, staged
from tests.webclient.page_checks import invalid

LINKS = re.compile(r'(?:href|src)="([^"]*)"')


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(database_url, tmp_path_factory.mktemp("archive")) as made:
        yield made


@pytest.fixture(scope="module")
def site(stage: Stage) -> Site:
    site = everything(stage.make, stage.config.files_folder)
    ((rides,),) = stage.sql(
        "SELECT microcosm_id FROM microcosms WHERE site_id = %(s)s AND title = 'Rides &amp; more'",
        s=site.id,
    )
    ((committee,),) = stage.sql(
        "SELECT microcosm_id FROM microcosms WHERE site_id = %(s)s AND title = 'Committee'",
        s=site.id,
    )
    secret = stage.post(
        "/conversations", {"microcosmId": committee, "title": f"{CANARY} secret"}, by=site.owner
    )
    hidden = secret.location.rpartition("/")[2]
    thread = stage.post("/conversations", {"microcosmId": rides, "title": "Long"}, by=site.member)
    id = int(thread.location.rpartition("/")[2])
    text = (
        f"[hidden](/conversations/{hidden}/) [me](/profiles/{site.member.id}) [here](/conversations/{id}/)"
        f" [nobody](/profiles/999999999/)"
        f" [place](https://{site.host}/microcosms/{rides}/) [out](https://example.org/a?b=1&c=2) @owner"
    )
    body = {"itemType": "conversation", "itemId": id, "markdown": text}
    assert stage.post("/comments", body, by=site.member).status == 302
    stage.make.comments(Thing(site, 6, id), 118)
    # What is left of somebody who was erased: a profile that the list of people lacks.
    gone = stage.make.person(site)
    stage.sql(
        "UPDATE profiles SET profile_name = 'deleted' WHERE profile_id = %(id)s RETURNING 1",
        id=gone.id,
    )
    stage.make.comment(Thing(site, 6, id), by=gone)
    return site


@pytest.fixture(scope="module")
def archive(stage: Stage, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "archive"
    patch = pytest.MonkeyPatch()
    with patch.context() as set:
        set.setenv("FORUMAPI_DATABASE_URL", stage.url)
        set.setenv("FORUMAPI_DATA_DIR", stage.config.data_dir)
        set.setenv("FORUMAPI_PLATFORM_DOMAIN", stage.config.platform_domain)
        set.setenv("FORUMAPI_ENVIRONMENT", "development")
        assert cli.main(["export", site.key, str(folder), "--static"]) == 0
    return folder


def pages(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*.html"))
    }


@pytest.mark.wide
def test_guests_find_what_they_could_read(archive: Path, stage: Stage, site: Site) -> None:
    found = pages(archive)
    whole = "\n".join(found.values())
    for words in (
        "First <strong>words</strong>",
        "Hello &lt;world&gt; &amp; all",
        "See you there",
        "Red: 2",
        "About me",
        "This weekend",
    ):
        assert words in whole, words
    ((id,),) = stage.sql(
        "SELECT item_id FROM items WHERE site_id = %(s)s AND title = 'Long'", s=site.id
    )
    assert {f"conversations/{id}/index.html", f"conversations/{id}/page-2/index.html"} <= set(found)
    assert len(re.findall("<article", found[f"conversations/{id}/index.html"])) == 100
    assert len(re.findall("<article", found[f"conversations/{id}/page-2/index.html"])) == 20


@pytest.mark.wide
def test_guests_find_nothing_else(archive: Path) -> None:
    for path, html in pages(archive).items():
        assert CANARY not in html, path
        for words in (
            "Deleted words",
            "Words that wait",
            "In a deleted thread",
            "Committee",
            "@site",
        ):
            assert words not in html, (path, words)


def test_all_links_lead_to_pages_and_files_of_the_archive(archive: Path) -> None:
    seen = 0
    for path, html in pages(archive).items():
        for link in LINKS.findall(html):
            if link.startswith(("https://example.org/", "#")):
                continue
            assert not link.startswith(("/", "http:", "https:")), (path, link)
            target = (archive / path).parent / link
            assert target.is_file(), (path, link)
            seen += 1
    assert seen > 100


def test_links_of_texts_lead_to_where_they_led(archive: Path, site: Site) -> None:
    whole = "\n".join(pages(archive).values())
    assert "<a>hidden</a>" in whole.replace(' rel="nofollow ugc"', "") or ">hidden<" in whole
    assert re.search(r'<a[^>]*href="https://example.org/a\?b=1&amp;c=2"', whole)
    assert "/out/" not in whole
    assert re.search(rf'href="(?:\.\./)+profiles/{site.member.id}/index.html"', whole)
    assert not re.search(r"<a[^>]*href[^>]*>(?:hidden|nobody)", whole)
    assert re.search(r"<header>deleted, <time", whole)


def test_files_of_comments_come_along(archive: Path, site: Site) -> None:
    texts = {path.read_text() for path in (archive / "files").glob("*.txt")}
    assert f"A report of {site.key}" in texts
    assert not any(CANARY in text for text in texts)


@pytest.mark.wide
def test_the_pages_are_valid(archive: Path, tmp_path: Path) -> None:
    found = pages(archive)
    chosen = [
        path
        for kind in (
            "index.html",
            "microcosms/",
            "conversations/",
            "events/",
            "polls/",
            "profiles/",
        )
        for path in [one for one in found if one.startswith(kind)][:3]
    ]
    assert not invalid({path.replace("/", "-"): found[path] for path in chosen}, tmp_path)
