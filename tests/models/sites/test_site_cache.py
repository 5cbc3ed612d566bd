"""Cache of sites: sites that a process holds, by name."""

from __future__ import annotations

import pytest

from forumapi.errors import NotFound
from forumapi.models.sites.site import ROOT_ID, ROOT_KEY
from forumapi.models.sites.site_cache import SiteCache
from tests.factories import Factory


def test_an_evicted_site_takes_its_own_names_along(make: Factory) -> None:
    gone, kept = make.site(), make.site()
    directory = SiteCache(make.database, make.platform_domain)
    reader = make.database.read()
    try:
        for site in (gone, kept):
            directory.by_host(site.host, reader)
        directory.forget(gone.id)

        assert directory.cached(gone.host) is None
        held = directory.cached(kept.host)
        assert held is not None and held.id == kept.id
    finally:
        reader.end()


def test_the_platforms_own_site_is_at_the_platforms_domain_alone(make: Factory) -> None:
    directory = SiteCache(make.database, make.platform_domain)
    reader = make.database.read()
    try:
        assert directory.by_host(make.platform_domain, reader).id == ROOT_ID
        for key in (ROOT_KEY, "a-b", "a.b"):
            with pytest.raises(NotFound):
                directory.by_host(f"{key}.{make.platform_domain}", reader)
    finally:
        reader.end()
