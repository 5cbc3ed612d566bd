"""An application on a database of its own, as tests/updates has one for mail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import services
from tests.mail import postbox
from tests.mail.postbox import Postbox, Receiver


@pytest.fixture(scope="session")
def _checks_box(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postbox]:
    receiver = Receiver()
    with (
        services.database(postgres_url, "checks") as url,
        postbox.listening(receiver) as smtp_url,
    ):
        box = Postbox(url, tmp_path_factory.mktemp("checks"), smtp_url, receiver)
        yield box
        box.stage.close()


@pytest.fixture
def box(_checks_box: Postbox) -> Postbox:
    """The application, shared by these tests."""
    return _checks_box
