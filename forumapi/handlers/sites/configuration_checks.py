"""Checks of a site owner's configuration (domain, pictures, analytics), and their results. Wire: docs/api/sites.md."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urljoin

from forumapi.cache.lru_cache import Lru, plainly
from forumapi.errors import Invalid
from forumapi.handlers.sites.sites import check_owner, find_named
from forumapi.models.sites import site_domain
from forumapi.models.sites.site import Site
from forumapi.models.sites.site_domain import SiteDomain
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.request.context import Context
from forumapi.request.handler import LOGIN, Handler, needs
from forumapi.request.handler_results import Data, Result
from forumapi.wire import json_fragments
from forumapi.wire.json_fragments import dumps
from forumapi.wire.schemas import sites as schemas

CACHE_S: Final = 60.0
KEPT_BYTES: Final = 2 * 1024 * 1024

Health = dict[str, Any]


def _health(is_set: bool, valid: bool = False, error: str = "", value: Any = None) -> Health:
    return {"set": is_set, "valid": valid, "error": error, "value": value}


def check_domain(site: Site, domains: Sequence[SiteDomain], outbound: Outbound) -> Health:
    """Check by DNS, asked through `outbound`, that the last of `domains`, the site's custom domains, is the site's own:
    of two domains, the last is the one that is not proven yet.

    The result is a dict for JSON: `set` (there is such a domain), `valid` (it was proven, and DNS proves it still),
    `error` ("" if valid or not set) and `value` (domain, its state, and the DNS records that prove it).
    """
    if not domains:
        return _health(False)
    last = domains[-1]
    value = {
        "domain": last.domain,
        "state": last.state,
        "since": json_fragments.format_time(last.since),
        "cname": site.host,
        "txtName": site_domain.record_name(last.domain),
        "txt": site_domain.record_value(site.host),
    }
    proof = site_domain.check_dns(outbound, last.domain, site.host)
    if last.state == site_domain.PROVEN and proof.is_there:
        return _health(True, True, value=value)
    if proof.is_there:
        return _health(True, error=last.found or "Seen; it is yours within a minute", value=value)
    how = site_domain.how_to_prove(last.domain, site.host)
    said = f"{proof.found}. {how}" if proof.found else how
    return _health(True, error=said, value=value)


def check_picture(url: str, site: Site, outbound: Outbound) -> Health:
    """Check that a HEAD request to the address `url`, sent by `outbound`, is answered with a status below 400. A
    relative `url` is resolved on the site's host; for "" no request is sent.

    The result is a dict for JSON: `set` (`url` is not ""), `valid`, `error` ("" if valid or not set) and `value` (the
    address).
    """
    if not url:
        return _health(False)
    try:
        status = outbound.head(urljoin(f"https://{site.host}/", url))
    except OutboundError as error:
        return _health(True, error=str(error), value=url)
    if status < 400:
        return _health(True, True, value=url)
    return _health(True, error=f"It answers with status {status}", value=url)


def check_analytics(site: Site) -> Health:
    """Check that the site's analytics id begins with UA- or G-; no request is sent. The result is a dict for JSON:
    `set` (the site has an id), `valid`, `error` ("" if valid or not set) and `value` (the id).
    """
    name = site.ga_web_property_id
    if not name:
        return _health(False)
    if name.startswith(("UA-", "G-")):
        return _health(True, True, value=name)
    return _health(True, error="It must begin with UA- or G-", value=name)


def examine(site: Site, domains: Sequence[SiteDomain], outbound: Outbound) -> dict[str, Health]:
    """Run all checks of a site, the slow ones in parallel, and return their results by the key in the answer, such as
    `domainHealth`. `domains`: the site's custom domains, of which the last is checked.

    Takes at most half a second more than the time limit of one request of `outbound`; a check that has not ended by
    then has the error "No answer in time".
    """
    slow: dict[str, Callable[[], Health]] = {
        "domainHealth": lambda: check_domain(site, domains, outbound),
        "backgroundUrlHealth": lambda: check_picture(site.background_url, site, outbound),
        "logoUrlHealth": lambda: check_picture(site.logo_url, site, outbound),
    }
    found: dict[str, Health] = {}

    def run(name: str, check: Callable[[], Health]) -> None:
        found[name] = check()

    threads = [
        threading.Thread(target=run, args=one, name="site-status", daemon=True)
        for one in slow.items()
    ]
    for thread in threads:
        thread.start()
    # Resolving a name has no deadline of its own: a check that takes longer is left behind.
    until = time.monotonic() + outbound.timeout_s + 0.5
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    result = {name: found.get(name) or _health(True, error="No answer in time") for name in slow}
    result["analyticsIDHealth"] = check_analytics(site)
    return result


class Examiner:
    """Cache of the results of `examine` by site, each for CACHE_S seconds or until the site or its domains change.

    A site is examined by one thread at a time. `outbound`: by which the checks ask DNS and other servers.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        # Each is shared by the sites with the same remainder, so that no lock is made for a request.
        self._locks = tuple(threading.Lock() for _ in range(64))
        self._found: Lru[int, tuple[object, float, dict[str, Health]]] = Lru(KEPT_BYTES, plainly)

    def examine(self, site: Site, domains: Sequence[SiteDomain]) -> dict[str, Health]:
        """Return the results of a site's checks, at most CACHE_S seconds old, by the key in the answer; waits while
        another thread examines this site, or another site that shares its lock. `domains`: the site's custom domains,
        of which the last is checked.
        """
        with self._locks[site.id % len(self._locks)]:
            known, seen = self._found.get(site.id), (site.version, *domains)
            if known is not None and known[0] == seen and time.monotonic() < known[1]:
                return known[2]
            result = examine(site, domains, self._outbound)
            self._found.add(site.id, (seen, time.monotonic() + CACHE_S, result))
            return result


class StatusHandler(Handler):
    """Results of the checks of a site's configuration, for its owner, on the platform's host."""

    allow = "OPTIONS,HEAD,GET"

    def __init__(self) -> None:
        self._examiner: Examiner | None = None

    @needs(LOGIN, answer=schemas.SiteStatus)
    def get(self, ctx: Context) -> Result:
        """The result for each of domain, background, logo and analytics id of the site; up to a minute old.

        403 unless the caller's user owns the site; 404 for an unknown site and, for all but its owner, for one that is
        deleted, suspended or in its export window; 400 for the root site, which has no status.
        """
        found = find_named(ctx)
        check_owner(ctx, found.id, found.owner_user_id)
        if found.is_root:
            raise Invalid("", "The root site has no status")
        if self._examiner is None:
            self._examiner = Examiner(Outbound(nameservers=ctx.app.config.dns_servers))
        domains = SiteDomain.of_site(ctx.reader, found.id)
        # The checks may take seconds: the connection is free for others meanwhile.
        ctx.reader.end()
        health = self._examiner.examine(found, domains)
        return Data(dumps({"site": json_fragments.raw(found.render()), **health}))
