"""Cache of sites: sites that a process holds, by name."""

from __future__ import annotations

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
