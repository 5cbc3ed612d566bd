"""HTML that another pipeline stored is rendered again before anybody sees it (C-36)."""

from __future__ import annotations

from tests.api import Api
from tests.factories import Factory, Site


def test_foreign_html_is_never_served(api: Api, make: Factory, bikes: Site) -> None:
    chat = make.conversation(bikes)
    comment = make.comment(chat, markdown="Hello **you**")
    make.sql(
        "UPDATE comments SET html = '<script>x</script>', renderer = 0"
        " WHERE site_id = %(site_id)s AND comment_id = %(id)s",
        site_id=bikes.id,
        id=comment.id,
    )

    shown = api.get(comment.path, site=bikes).data["html"]
    listed = api.get(chat.path, site=bikes).data["comments"]["items"][0]["html"]

    assert "script" not in shown + listed
    assert "<strong>you</strong>" in shown
    assert shown == listed
    stored = make.sql(
        "SELECT html, renderer > 0 FROM comments WHERE site_id = %(site_id)s AND comment_id = %(id)s",
        site_id=bikes.id,
        id=comment.id,
    )
    assert stored == [(shown, True)]
