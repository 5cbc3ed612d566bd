"""Mail about updates, sent to a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.mail import postbox
from tests.mail.postbox import Postbox, Receiver


@pytest.fixture(scope="session")
def _box(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postbox]:
    receiver = Receiver()
    with (
        services.database(postgres_url, "mail") as url,
        postbox.listening(receiver) as smtp_url,
    ):
        box = Postbox(url, tmp_path_factory.mktemp("mail"), smtp_url, receiver)
        yield box
        box.stage.close()


@pytest.fixture
def box(_box: Postbox) -> Postbox:
    """An application with an empty outbox and a mail server that refuses nothing."""
    _box.stage.sql("DELETE FROM mail_outbox")
    _box.stage.sql("DELETE FROM mail_suppressions")
    _box.receiver.mails.clear()
    _box.receiver.envelopes.clear()
    _box.receiver.connections.clear()
    _box.receiver.refused.clear()
    return _box
