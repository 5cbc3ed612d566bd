"""The list of ways to sign in, and what a site's owner and the operator set up."""

from __future__ import annotations

import json

import pytest

from tests.stage import Stage

SECRETIVE = {"clientId": "an id", "clientSecret": "hush"}


def test_the_list_is_for_everybody_and_tells_no_settings(stage: Stage) -> None:
    site = stage.make.site()
    stage.put(
        "/site/auth/openid",
        {"settings": {"issuer": "https://id.test", "title": "Club login", **SECRETIVE}},
        by=site.owner,
    )
    shown = stage.get("/auth/methods", site=site)
    assert shown.status == 200
    assert shown.data["methods"] == [
        {"method": "development", "title": "Development", "kind": "development"},
        {"method": "email-code", "title": "E-mail", "kind": "code"},
        {"method": "openid", "title": "Club login", "kind": "redirect"},
        {"method": "passkey", "title": "Passkey", "kind": "passkey"},
    ]
    assert b"id.test" not in shown.body


def test_only_the_owner_sees_and_changes_what_is_set_up(stage: Stage) -> None:
    site = stage.make.site()
    for name, by in site.cast().items():
        for path in ("/site/auth", "/site/auth/google"):
            status = 200 if name == "owner" else 403
            assert stage.get(path, by=by, site=site).status == status, (name, path)
        if name != "owner":
            sent = {"settings": SECRETIVE}
            assert stage.put("/site/auth/google", sent, by=by, site=site).status == 403
            assert stage.request("DELETE", "/site/auth/google", by=by, site=site).status == 403
            assert stage.put("/site/auth", {"secondFactor": True}, by=by, site=site).status == 403
    assert stage.sql("SELECT 1 FROM site_auth_backends WHERE site_id = %(s)s", s=site.id) == []


def test_settings_that_are_not_sent_stay_and_empty_ones_go(stage: Stage) -> None:
    owner = stage.make.site().owner
    stage.put(
        "/site/auth/openid", {"settings": {"issuer": "https://a.test", **SECRETIVE}}, by=owner
    )
    stage.put("/site/auth/openid", {"settings": {"clientId": "another"}}, by=owner)
    shown = stage.get("/site/auth/openid", by=owner).data
    assert shown["settings"] == {"issuer": "https://a.test", "clientId": "another"}
    assert (shown["secrets"], shown["ready"], shown["enabled"]) == (["clientSecret"], True, True)
    stage.put("/site/auth/openid", {"settings": {"clientSecret": ""}}, by=owner)
    shown = stage.get("/site/auth/openid", by=owner).data
    assert (shown["secrets"], shown["ready"]) == ([], False)


@pytest.mark.parametrize(
    ("method", "name", "first", "second"),
    [
        ("openid", "issuer", "https://a.test", "https://b.test"),
        ("auth0", "domain", "a.test", "b.test"),
        ("github", "url", "", "https://b.test"),
        ("microsoft", "authority", "", "https://b.test"),
    ],
)
def test_a_secret_goes_nowhere_else_than_where_it_was_given_for(
    stage: Stage, method: str, name: str, first: str, second: str
) -> None:
    owner = stage.make.site().owner
    path = f"/site/auth/{method}"
    assert stage.put(path, {"settings": {name: first, **SECRETIVE}}, by=owner).status == 302

    refused = stage.put(path, {"settings": {name: second}}, by=owner)
    assert (refused.status, refused.error.partition(":")[0]) == (400, "settings.clientSecret")
    assert stage.get(path, by=owner).data["settings"].get(name, "") == first
    sent = {name: second, "clientSecret": "another"}
    assert stage.put(path, {"settings": sent}, by=owner).status == 302
    assert stage.put(path, {"settings": {name: second}}, by=owner).status == 302
    assert stage.put(path, {"settings": {name: first, "clientSecret": ""}}, by=owner).status == 302


def test_the_secret_of_auth0_goes_nowhere_else_either(stage: Stage) -> None:
    owner = stage.make.site().owner
    sent = {"auth0Domain": "a.auth0.com", "auth0ClientId": "id", "auth0ClientSecret": "secret"}
    assert stage.put("/site", sent, by=owner).status == 302

    refused = stage.put("/site", {"auth0Domain": "b.auth0.com"}, by=owner)
    assert (refused.status, refused.error.partition(":")[0]) == (400, "auth0ClientSecret")
    assert stage.put("/site", {"auth0Domain": "a.auth0.com"}, by=owner).status == 302
    assert stage.put("/site", {"auth0Domain": ""}, by=owner).status == 302
    assert stage.put("/site", {"auth0Domain": "b.auth0.com"}, by=owner).status == 400
    sent["auth0Domain"] = "b.auth0.com"
    assert stage.put("/site", sent, by=owner).status == 302


def test_a_method_that_there_is_not_is_404(stage: Stage) -> None:
    owner = stage.site.owner
    for path in ("/site/auth/pigeon", "/site/auth/second-factor"):
        for method in ("GET", "PUT", "DELETE"):
            body: dict[str, str] | None = {} if method == "PUT" else None
            assert stage.request(method, path, body, by=owner).status == 404


def test_a_change_is_in_the_audit(stage: Stage) -> None:
    site = stage.make.site()
    stage.put("/site/auth/google", {"settings": SECRETIVE}, by=site.owner)
    rows = stage.sql(
        "SELECT action, item_type_id, a::text FROM audit_log a WHERE site_id = %(s)s AND profile_id = %(p)s",
        s=site.id,
        p=site.owner.id,
    )
    assert rows[-1][:2] == ("R", 1)
    assert "hush" not in json.dumps([row[2] for row in rows])


def test_the_owner_sees_every_method_and_its_fields(stage: Stage) -> None:
    shown = stage.get("/site/auth", by=stage.make.site().owner).data
    assert shown["secondFactor"] is False
    by_name = {one["method"]: one for one in shown["methods"]}
    assert {"assertion", "auth0", "email-code", "github", "google", "microsoft", "openid"} <= set(
        by_name
    )
    fields = {one["name"]: one for one in by_name["openid"]["fields"]}
    assert fields["clientSecret"]["kind"] == "secret"
    assert fields["issuer"] == {
        "name": "issuer",
        "kind": "url",
        "required": True,
        "description": "The provider's issuer address, exactly.",
    }
