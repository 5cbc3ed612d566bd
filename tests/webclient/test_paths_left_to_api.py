"""Addresses on one host: which are the API's, which the website's; nginx knows the same."""

from __future__ import annotations

import re

import pytest

from forumapi import routes
from forumapi.webclient import paths_left_to_api
from forumapi.webclient.routes import ROUTES
from tests.nginx.stage import ETC

SITE = (ETC / "forumapi-site.conf").read_text()


def test_nginx_sends_exactly_these_paths_to_the_api() -> None:
    (pattern,) = re.findall(r"location ~ \^/\(\?:([^)]*)\)\(\?:/\|\$\) \{", SITE)
    named = [f"/{path}" for path in pattern.replace("\\", "").split("|")]

    assert tuple(named) == paths_left_to_api.API_PATHS


def test_each_other_place_of_nginx_is_the_api_s_or_its_own() -> None:
    """The website has one place, `/`: a longer one would have to come before the API's pattern by `^~` or `=`."""
    others = re.findall(r"^location (\S+) (\S+) \{", SITE, re.M)
    plain = re.findall(r"^location (/\S*) \{", SITE, re.M)

    assert plain == ["/"]
    for how, path in others:
        if how != "~":
            assert how in ("^~", "="), path
            assert path == "/_files/" or not paths_left_to_api.is_page(path), path
    blocks = re.findall(r"^location (.*?) \{\n(.*?)^\}", SITE, re.M | re.S)
    to_website = [name for name, text in blocks if "http://forumapi_website;" in text]
    assert to_website == ["/"]


def test_no_address_of_the_api_is_a_page() -> None:
    for path in [*routes.ROOT, *routes.SITE]:
        # The front page alone is both: the API's where there is no website.
        assert path == "/" or not paths_left_to_api.is_page(path), path


def test_no_page_is_an_address_of_the_api() -> None:
    for path in list(ROUTES):
        assert paths_left_to_api.is_page(path), path


@pytest.mark.parametrize(
    "path",
    [
        "/apiary/",
        "/livery/",
        "/outing/",
        "/oauth2/",
        "/authors/",
        "/mail/",
        "/.well-knownish",
        "//api/",
    ],
)
def test_what_only_begins_like_one_is_a_page(path: str) -> None:
    assert paths_left_to_api.is_page(path)
