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


def test_a_page_of_old_html_reads_its_site_and_its_tree_once(api: Api, make: Factory) -> None:
    def statements(count: int) -> int:
        site = make.site()
        chat = make.conversation(site)
        for number in range(count):
            make.comment(chat, markdown=f"Look at [{number}](https://example.test/{number})")
        make.sql(
            "UPDATE comments SET renderer = 0 WHERE site_id = %(site_id)s RETURNING 1",
            site_id=site.id,
        )
        api.get("/api/v1/microcosms", site=site)  # the site and its tree are held
        return api.get(chat.path, site=site).statements

    one, three, five = statements(1), statements(3), statements(5)

    # Each comment costs its links and its new HTML, and nothing of the site.
    assert five - three == three - one <= 2 * 3
