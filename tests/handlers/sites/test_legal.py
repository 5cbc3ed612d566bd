"""Legal documents: the package's texts, and a site's own (platform 6.1, P-52)."""

from __future__ import annotations

import re

import pytest

from tests.factories import Site
from tests.handlers.platform import Platform, eventually, platform

__all__ = ["platform"]

DOCUMENTS = ("cookies", "privacy", "terms")


def put(platform: Platform, site_id: int, name: str, body: str, link: str | None = None) -> None:
    """A site's own text, as an operator enters it."""
    platform.sql(
        """
        INSERT INTO site_templates (site_id, name, body, link) VALUES (%(id)s, %(name)s, %(body)s, %(link)s)
            ON CONFLICT (site_id, name) DO UPDATE SET body = EXCLUDED.body, link = EXCLUDED.link, modified = now()
        RETURNING 1""",
        id=site_id,
        name=name,
        body=body,
        link=link,
    )


def html(platform: Platform, site: Site, name: str) -> str:
    """A document of a site as a guest reads it; "" for one that is kept elsewhere."""
    return str(platform.api.get(f"/api/v1/legal/{name}", site=site).data.get("html", ""))


def test_a_site_lists_its_documents(platform: Platform) -> None:
    site = platform.make.site()

    assert platform.api.get("/api/v1/legal", site=site).data == {
        "links": [{"rel": name, "href": f"/api/v1/legal/{name}"} for name in DOCUMENTS]
    }
    for name in DOCUMENTS:
        assert platform.api.get(f"/api/v1/legal/{name}", site=site).status == 200


def test_the_root_host_has_the_terms_of_service(platform: Platform) -> None:
    assert platform.api.get("/api/v1/legal").data == {
        "links": [{"rel": "service", "href": "/api/v1/legal/service"}]
    }
    assert "Terms of service" in platform.api.get("/api/v1/legal/service").data["html"]


def test_each_host_has_its_own_documents_only(platform: Platform) -> None:
    site = platform.make.site()

    assert platform.api.get("/api/v1/legal/service", site=site).status == 404
    assert platform.api.get("/api/v1/legal/imprint", site=site).status == 404
    for name in DOCUMENTS:
        assert platform.api.get(f"/api/v1/legal/{name}").status == 404


def test_anyone_may_read_and_a_warm_document_costs_nothing(platform: Platform) -> None:
    site = platform.make.site()
    path = "/api/v1/legal/privacy"
    first = platform.api.get(path, site=site)

    assert list(first.data) == ["html", "lastModified"]
    again = platform.api.get(path, site=site)
    assert again.statements == 0
    unchanged = platform.api.get(path, site=site, headers={"If-None-Match": again.headers["ETag"]})
    assert unchanged.status == 304
    for person in (site.member, site.newcomer):
        assert platform.api.get(path, by=person).body == first.body
    assert platform.api.request("HEAD", path, site=site).status == 200
    assert platform.api.request("OPTIONS", path, site=site).headers["Allow"] == "OPTIONS,GET,HEAD"
    assert platform.api.put(path, {}, by=site.owner).status == 405


@pytest.mark.parametrize("name", DOCUMENTS)
def test_values_are_filled_in_and_escaped(platform: Platform, name: str) -> None:
    own = Platform(
        platform.database_url,
        operator_name="Forums & <Co>",
        operator_email="office@example.org",
        operator_address="1 High St\n<b>",
    )
    site = own.make.site(title="R&D <club>")
    text = html(own, site, name)

    assert "R&amp;D" in text
    assert f"https://{site.host}" in text
    assert "office@example.org" in text
    assert site.owner.email not in text
    assert "<Co>" not in text
    assert not re.search(r"\$\w", text)
    if name == "privacy":
        assert "Forums &amp; &lt;Co&gt;" in text
        assert "1 High St\n&lt;b&gt;" in text
        assert f"https://{site.host}/api/v1/legal/cookies" in text
    own.application.stop()


def test_texts_read_well_where_nothing_is_configured(platform: Platform) -> None:
    site = platform.make.site()

    for name in DOCUMENTS:
        text = html(platform, site, name)
        assert "mailto:" not in text
        assert not re.search(r"\$\w|\(\)|, ,", text)


def test_a_site_says_it_in_its_own_words(platform: Platform) -> None:
    site, other = platform.make.site(title="A & B"), platform.make.site()
    before = html(platform, other, "terms")
    html(platform, site, "terms")
    put(
        platform,
        site.id,
        "legal.terms",
        "<p>$site_title at $site_url: $$5, $unknown ${site_title}x</p>",
    )

    wanted = f"<p>A &amp; B at https://{site.host}: $5, $unknown A &amp; Bx</p>"
    assert eventually(lambda: html(platform, site, "terms") == wanted)
    assert html(platform, other, "terms") == before
    assert "Privacy" in html(platform, site, "privacy")
    modified = platform.api.get("/api/v1/legal/terms", site=site).data["lastModified"]
    assert modified > "2026"

    platform.sql("DELETE FROM site_templates WHERE site_id = %(id)s RETURNING 1", id=site.id)
    assert eventually(lambda: html(platform, site, "terms").startswith("<h1>"))


def test_what_the_names_stand_for_is_no_script_either(platform: Platform) -> None:
    site = platform.make.site(title="javascript:alert(1)")
    put(platform, site.id, "legal.terms", '<a href="$site_title" title="$contact">Terms</a>')

    assert eventually(lambda: "Terms" in html(platform, site, "terms"))
    assert "javascript:" not in html(platform, site, "terms")
    put(platform, site.id, "legal.cookies", '<a href="$site_url">Home</a>')
    assert eventually(lambda: f'href="https://{site.host}' in html(platform, site, "cookies"))


def test_a_text_of_a_site_is_never_run(platform: Platform) -> None:
    site = platform.make.site(title="{{ 999 * 999 }}")
    put(platform, site.id, "legal.terms", "<p>$site_title {% for x in y %} {# gone #}</p>")

    wanted = "<p>{{ 999 * 999 }} {% for x in y %} {# gone #}</p>"
    assert eventually(lambda: html(platform, site, "terms") == wanted)
    assert "{{ 999 * 999 }}" in html(platform, site, "privacy")


def test_a_document_may_be_kept_elsewhere(platform: Platform) -> None:
    site = platform.make.site()
    put(platform, site.id, "legal.cookies", "", "https://club.example/cookies")

    def data() -> dict[str, str]:
        found: dict[str, str] = platform.api.get("/api/v1/legal/cookies", site=site).data
        return found

    assert eventually(lambda: "link" in data())
    assert list(data()) == ["link", "lastModified"]
    assert data()["link"] == "https://club.example/cookies"


def test_a_changed_title_is_shown(platform: Platform) -> None:
    site = platform.make.site()
    platform.api.put("/api/v1/site", {"title": "Renamed"}, by=site.owner)

    answer = platform.api.get("/api/v1/legal/terms", by=site.member)
    assert "Renamed" in answer.data["html"]
