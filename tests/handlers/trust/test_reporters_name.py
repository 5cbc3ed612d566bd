"""Names of reporters stay with the moderators: the author finds them in nothing that reaches them."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from forumapi.config import Config
from forumapi.cron import personal_exports
from tests.api import Api
from tests.factories import Factory
from tests.fixtures import Server
from tests.realtime.listener import Listener
from tests.updates.test_mail_flow import wait

NAME = "Quixotereporter"
WORDS = "Told by a neighbour of his"


@pytest.fixture
def config(database_url: str, server: Server) -> Config:
    """Settings with the store of the web process."""
    return Config(database_url=database_url, data_dir=str(server.log.parent))


@pytest.mark.slow
def test_the_reporters_name_and_words_reach_the_author_by_no_channel(
    api: Api, make: Factory, server: Server, config: Config
) -> None:
    site = make.site()
    author, reporter = make.person(site), make.person(site, NAME)
    chat = make.conversation(site, by=site.owner)
    said = make.comment(chat, by=author)
    listener = Listener(server.address, site, author)
    listener.follow("updates", f"conversation/{chat.id}")

    sent = {"itemType": "comment", "itemId": said.id, "kind": "abuse", "text": WORDS}
    assert api.post("/api/v1/reports", sent, by=reporter).status == 302
    (case,) = api.get("/api/v1/cases", by=site.moderator).data["cases"]["items"]
    whole = api.get(f"/api/v1/cases/{case['id']}", by=site.moderator).body.decode()
    assert NAME in whole and WORDS in whole, "the moderators do know"
    acted = {
        "kind": "hide",
        "reason": "Rude",
        "caseId": case["id"],
        "targets": [{"itemType": "comment", "itemId": said.id}],
    }
    assert api.post("/api/v1/actions", acted, by=site.moderator).status == 200

    (mail,) = wait(server, author, 1)
    seen = {"mail": mail.as_string()}
    (statement,) = api.get("/api/v1/statements", by=author).data["statements"]["items"]
    appealed = api.post(f"/api/v1/statements/{statement['id']}/appeal", {"text": "No"}, by=author)
    for path in (
        f"/api/v1/statements/{statement['id']}",
        "/api/v1/statements",
        "/api/v1/updates",
        "/api/v1/audit/me",
        "/api/v1/reports",
        "/api/v1/appeals",
        appealed.location,
        said.path,
        f"/api/v1/cases/{case['id']}",
        "/api/v1/cases",
    ):
        seen[path] = api.get(path, by=author).body.decode()
    assert api.post(f"{author.path}/export", by=author).status == 200
    while personal_exports.work_off(config):
        pass
    archive = zipfile.ZipFile(io.BytesIO(api.get(f"{author.path}/export/file", by=author).body))
    seen["export"] = "".join(
        archive.read(name).decode()
        for name in archive.namelist()
        if name.startswith(("data/", "read/"))
    )
    heard = [*listener.seen]
    listener.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            heard.append(listener.read())
    seen["live"] = json.dumps(heard)
    assert heard, "the author hears that the comment changed"

    for channel, text in seen.items():
        assert NAME not in text and WORDS not in text, channel
