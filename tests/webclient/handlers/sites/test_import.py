"""Import of a forum on the site's pages: uploaded, planned, loaded, compared, removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from urllib3 import encode_multipart_formdata

from forumapi.config import Config, Settings
from forumapi.cron.site_imports import ImportThread
from tests.factories import Factory, Site
from tests.fixtures import Server, running
from tests.porting import boards
from tests.webclient.hand import Hand
from tests.webclient.process import FRONT_ENDS, website_of
from tests.webclient.step import step
from tests.webclient.visitor import Visitor

PAGE, LEFTOVERS = "/admin/import/", "/admin/import/leftovers/"
PHPBB = Path(boards.__file__).parent / "boards" / "phpbb.sql"


@pytest.fixture
def site(make: Factory) -> Site:
    """A site of the test's own."""
    return make.site()


def work(database_url: str, website: Server) -> None:
    """Do what the cron process does once it looks."""
    config = Config(environment="embedded", data_dir=str(website.log.parent))
    thread = ImportThread(database_url, Settings(config))
    thread.poll()
    thread.stop()


@step("owner moves a forum in, from the dump to what was left out")
def test_the_owner_moves_a_forum_in(
    hand: Hand, make: Factory, site: Site, database_url: str, website: Server
) -> None:
    hand.sign_in(site, site.owner)
    hand.go(site, "/admin/")
    hand.press("Import of a forum", within="main")
    hand.find("#file").send_keys(str(PHPBB))
    hand.press("Upload")

    hand.see("It has not begun yet.")
    work(database_url, website)
    hand.press("Look again")
    hand.see("Never comes")
    hand.press_through("Load it")
    hand.see("It has not begun yet.")
    work(database_url, website)
    hand.press("Look again")
    hand.see("Done.")
    hand.press("Let old addresses lead here")
    hand.see("Let old addresses lead nowhere")
    ((left,),) = make.sql(
        "SELECT count(*)::int FROM import_leftouts WHERE site_id = %(id)s", id=site.id
    )
    hand.press(f"{left} things were left out")
    hand.see("What was left out")


def test_nobody_else_sees_the_pages(visitor: Visitor, site: Site) -> None:
    member = visitor.of(site, site.member)
    owner = visitor.of(site, site.owner)
    for page in (PAGE, LEFTOVERS):
        assert member.get(page).status == 403
    assert owner.get(PAGE).status == 200
    assert "At most 104 MB can be sent at a time" in owner.get(PAGE).text
    assert owner.get(LEFTOVERS).status == 404


# ---------------------------------------------------------------- large dumps

LARGE = 60_000_000
# Most that the processes may grow by while a dump passes through: kB, a quarter of its size.
GROWTH = 15_000


@pytest.fixture
def apart(database_url: str, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """An API and, as a process of its own, the website that asks it over HTTP."""
    with (
        running(database_url, tmp_path / "api", front_ends=FRONT_ENDS) as api,
        website_of(api, tmp_path / "website", workers="1") as alone,
    ):
        yield api, alone


def form_of(visitor: Visitor, size: int) -> tuple[bytes, dict[str, str]]:
    """A form with a dump of so many bytes, and the headers with which a browser sends it."""
    dump = PHPBB.read_bytes().ljust(size, b"\n")
    fields: dict[str, Any] = {"do": "upload", "product": "phpbb", "file": ("board.sql", dump)}
    body, kind = encode_multipart_formdata(fields)
    return body, {"Content-Type": kind, "Origin": f"http://{visitor.host}"}


def processes(server: Server) -> list[int]:
    """The web process and its children."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


def peak(pid: int) -> int:
    """Most memory that a process had since it was told to count anew, kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def check_that_a_large_dump_passes_through(
    site: Site, visitor: Visitor, servers: tuple[Server, ...]
) -> None:
    owner = visitor.of(site, site.owner)
    body, headers = form_of(owner, LARGE)
    assert owner.get(PAGE).status == 200
    pids = [pid for server in servers for pid in processes(server)]
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = {pid: peak(pid) for pid in pids}

    sent = owner.request("POST", PAGE, body, headers)

    assert (sent.status, sent.location) == (303, PAGE), sent.text
    assert "It has not begun yet." in owner.get(PAGE).text
    assert max(peak(pid) - before[pid] for pid in pids) < GROWTH


def test_a_large_dump_is_not_held_in_memory(
    make: Factory, site: Site, visitor: Visitor, website: Server
) -> None:
    check_that_a_large_dump_passes_through(site, visitor, (website,))
    assert make.sql("SELECT bytes FROM site_imports WHERE site_id = %(id)s", id=site.id) == [
        (LARGE,)
    ]


@pytest.mark.wide
def test_a_website_apart_does_not_hold_a_large_dump_either(
    make: Factory, site: Site, apart: tuple[Server, Server]
) -> None:
    check_that_a_large_dump_passes_through(site, Visitor(apart[1].address), apart)
    assert make.sql("SELECT bytes FROM site_imports WHERE site_id = %(id)s", id=site.id) == [
        (LARGE,)
    ]


def test_an_upload_that_is_cut_off_leaves_nothing(
    site: Site, visitor: Visitor, website: Server
) -> None:
    owner = visitor.of(site, site.owner)
    body, headers = form_of(owner, 2_000_000)
    before = stored(website)

    assert owner.send_half(PAGE, body, headers["Content-Type"]) == 400

    assert stored(website) == before
    assert "It has not begun yet." not in owner.get(PAGE).text


def stored(server: Server) -> set[Path]:
    """The files of a web process but for its log."""
    return {path for path in server.log.parent.rglob("*") if path.is_file()} - {server.log}
