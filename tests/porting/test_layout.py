"""Documents of the neutral layout as JSON, and streams of a reader."""

from __future__ import annotations

import datetime
import inspect

import msgspec
import pytest

from forumapi.porting import layout
from forumapi.porting.layout import (
    BaseReader,
    ForumReader,
    PortedComment,
    PortedForum,
    PortedVersion,
)


def test_a_document_is_the_same_after_json() -> None:
    comment = PortedComment(
        id="345",
        on_id="12",
        date_created=datetime.datetime(2038, 1, 19, 3, 14, 8, tzinfo=datetime.UTC),
        versions=(PortedVersion(text="Hé"),),
    )
    sent = msgspec.json.encode(comment)

    assert b'"dateCreated":"2038-01-19T03:14:08Z"' in sent
    assert msgspec.json.decode(sent, type=PortedComment) == comment


def test_a_forum_without_groups_of_its_own_is_not_one_with_none() -> None:
    closed = PortedForum(id="1", name="Closed", usergroups=(), usergroups_only=True)

    assert msgspec.json.decode(msgspec.json.encode(closed), type=PortedForum).usergroups == ()
    assert msgspec.json.decode(b'{"id": "1", "name": "Open"}', type=PortedForum).usergroups is None


@pytest.mark.parametrize("name", layout.STREAMS)
def test_each_stream_has_a_type_and_a_method(name: str) -> None:
    assert issubclass(layout.DOCUMENTS[name], layout.PortedDocument)
    assert list(getattr(BaseReader(), name)()) == []
    assert name in inspect.getsource(ForumReader)


def test_a_reader_of_nothing_is_a_reader() -> None:
    assert isinstance(BaseReader(), ForumReader)
    assert set(layout.DOCUMENTS) == set(layout.STREAMS)
