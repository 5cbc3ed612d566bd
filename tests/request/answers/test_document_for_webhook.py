"""Documents for webhooks, of addresses that have one and of some that have none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forumapi.errors import NotFound
from forumapi.models.access.identity import GUEST
from forumapi.request.answers.document_for_webhook import render_as
from tests.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An embedded platform with one site."""
    with staged(database_url, tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.mark.parametrize("path", ["/api/v1/live/tickets", "/api/v1/nothing"])
def test_an_address_without_a_document_is_not_found(stage: Stage, path: str) -> None:
    reader = stage.app.database.read()
    snapshot = stage.app.sites.by_id(stage.site.id, reader)
    reader.end()
    assert snapshot is not None

    with pytest.raises(NotFound):
        render_as(stage.app, snapshot, GUEST, path)
