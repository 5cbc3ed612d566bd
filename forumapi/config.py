"""Settings: one TOML file, overridden by the environment, as one frozen dataclass.

Every setting has a default, a unit, one sentence, and a way in which a change takes effect: a reload applies it at
once, a reload replaces the processes, or a restart is needed. A key that is unknown, of the wrong type or out of range
is a ConfigError that names the key. An invalid reload changes nothing.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sysconfig
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints
from urllib.parse import urlsplit

import tomlkit

from forumapi.errors import ConfigError
from forumapi.observability import crash_reports, log
from forumapi.wire import known_front_ends

ENV_PREFIX: Final = "FORUMAPI_"
# Names the settings file; it is no setting itself.
ENV_FILE: Final = "FORUMAPI_CONFIG"
# In the environment of the processes that `forumapi run` starts: its own process id.
ENV_RUN: Final = "STARTED_BY_RUN"


def resource(name: str) -> Path:
    """Return the path of a file that comes with the package, by its name `docs/...`, `etc/...` or `sql/...`, in a
    checkout and in an installation.
    """
    checkout = Path(__file__).resolve().parent.parent
    # Beside an installed package stand other packages, which may well have a folder of the same name.
    if (checkout / "setup.cfg").exists():
        return checkout / name
    return Path(sysconfig.get_path("data")) / "share" / "forumapi" / name


Rule = Callable[[Any], str | None]
"""Rule on a value of the right type: returns the problem, or None."""


def _between(low: float, high: float) -> Rule:
    return lambda value: None if low <= value <= high else f"must be between {low:,} and {high:,}"


def _one_of(*choices: str) -> Rule:
    return lambda value: (
        None
        if value in choices
        else f"must be one of: {', '.join(choice or 'empty' for choice in choices)}"
    )


def _url(*schemes: str) -> Rule:
    def rule(value: str) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme in schemes and (parts.netloc or parts.query or parts.path):
            return None
        return f"must be empty or an address that begins with {' or '.join(scheme + '://' for scheme in schemes)}"

    return rule


_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):(\d{1,5})")


def _host_port(value: str) -> str | None:
    match = _HOST_PORT.fullmatch(value)
    return None if match and int(match[2]) < 65_536 else "must look like host:port"


def _listen(value: str) -> str | None:
    if value.startswith("unix:/"):
        return None
    return "must look like host:port or unix:/path" if _host_port(value) else None


def _optional_host_port(value: str) -> str | None:
    return _host_port(value) if value else None


def _riemann(value: str) -> str | None:
    kind, _, address = value.partition("://")
    if not value or (kind in ("udp", "tcp") and _host_port(address) is None):
        return None
    return "must be empty or look like udp://host:port or tcp://host:port"


def _internal_path(value: str) -> str | None:
    if not value or re.fullmatch(r"/[A-Za-z0-9_./-]*/", value):
        return None
    return "must be empty or a path that begins and ends with /"


def _box(value: str) -> str | None:
    return None if re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", value) else "must look like 800x600"


def _push_key(value: str) -> str | None:
    return (
        None
        if re.fullmatch(r"([A-Za-z0-9_-]{43}=?)?", value)
        else "must be empty or 32 bytes as base64url"
    )


def _each(rule: Callable[[str], str | None]) -> Rule:
    def all_of(values: tuple[str, ...]) -> str | None:
        for value in values:
            if wrong := rule(value):
                return f"{wrong}, unlike {value!r}"
        return None

    return all_of


def _network(value: str) -> str | None:
    try:
        ip_network(value, strict=False)
    except ValueError:
        return "must be an address or a network such as 10.0.0.0/8"
    return None


def _front_end(value: str) -> str | None:
    try:
        known_front_ends.front_end(value)
    except ValueError as error:
        return str(error)
    return None


_WEIGHT: Final = re.compile(r"([a-z0-9-]+) ([1-9][0-9]{0,2})")


def _site_weight(value: str) -> str | None:
    return None if _WEIGHT.fullmatch(value) else "must look like: bikes 3"


def site_weights(texts: tuple[str, ...]) -> dict[str, int]:
    """Return the weights of sites by key, from the values, already checked, of the setting `site_weights`, such as
    "bikes 3"; of a site named twice the last counts.
    """
    pairs = (text.split(" ") for text in texts)
    return {key: int(weight) for key, weight in pairs}


PLAN_LIMITS: Final = (
    *("members", "storage_mb", "comments_per_day", "calls_per_minute", "sockets", "mails_per_day"),
    *("invitations_per_day", "webhooks", "imports_per_day"),
)
# Most connections of a cron process at once: two for its jobs, which run in turn, and its lease on leading; two that a
# job opens beside (site_deletions.py); two each for a site's export and a personal one, with their snapshots; four for
# imports.
CRON_CONNECTIONS: Final = 12
PLAN_NAME: Final = re.compile("[a-z0-9][a-z0-9-]{0,31}")
_PLAN_LIMIT: Final = re.compile("([a-z_]+)=([0-9]{1,12})")
_PLAN_WEIGHT: Final = re.compile("weight=([1-9][0-9]{0,2})")


def _plan(value: str) -> str | None:
    name, *limits = value.split(" ")
    if not PLAN_NAME.fullmatch(name):
        return "must look like: free members=100 comments_per_day=500"
    for limit in limits:
        match = _PLAN_LIMIT.fullmatch(limit)
        is_limit = match is not None and match[1] in PLAN_LIMITS
        if not (is_limit or _PLAN_WEIGHT.fullmatch(limit)):
            known = ", ".join(PLAN_LIMITS)
            return f"must set limits by name=number, of {known}, or weight=1 to weight=999"
    return None


def plans(texts: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Return for each plan's name its limits by name (of PLAN_LIMITS), from the values, already checked, of the setting
    `plans`, such as "free members=100"; what a plan does not limit is absent. Of a plan or limit named twice the last
    counts.
    """
    split = (text.split(" ") for text in texts)
    return {
        name: {
            match[1]: int(match[2])
            for one in limits
            if (match := _PLAN_LIMIT.fullmatch(one)) and match[1] in PLAN_LIMITS
        }
        for name, *limits in split
    }


def plan_weights(texts: tuple[str, ...]) -> dict[str, int]:
    """Return the weights of plans by name, from the values, already checked, of the setting `plans`, such as "large
    weight=3"; a plan without a weight is absent. Of a plan or weight named twice the last counts.
    """
    split = (text.split(" ") for text in texts)
    found = {
        name: [int(match[1]) for one in limits if (match := _PLAN_WEIGHT.fullmatch(one))]
        for name, *limits in split
    }
    return {name: weights[-1] for name, weights in found.items() if weights}


_LABEL: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _domain(value: str) -> str | None:
    return None if _DOMAIN.fullmatch(value) else "must be a host name in lower case, without port"


def _out_url(value: str) -> str | None:
    if not value or (value.startswith(("http://", "https://")) and value.endswith("/out/")):
        return None
    return "must be empty or an http(s) address that ends in /out/"


def _email(value: str) -> str | None:
    return (
        None
        if not value or re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", value)
        else "must be empty or an e-mail address"
    )


def _setting(
    default: Any,
    unit: str,
    text: str,
    *,
    reload: bool = False,
    restart: bool = False,
    rule: Rule | None = None,
    secret: bool = False,
) -> Any:
    """Declare a setting: return its field of the class Config. With `reload` a running process applies a new value;
    with `restart` the machine's processes must be stopped and started for it; with neither a reload replaces the
    processes.

    `unit`: that of its value, or kind of value, "" for none, and `text`: sentence about the setting, both for
    etc/forumapi.toml; `rule`: returns in words what is wrong with a value, None for nothing; `secret`: the value is
    never shown.
    """
    metadata = {
        "unit": unit,
        "text": text,
        "reload": reload,
        "restart": restart,
        "rule": rule,
        "secret": secret,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of one process. `path`: the file that they were read from. etc/forumapi.toml documents each."""

    path: Path = field(default=Path(), metadata={"internal": True})

    # ---- the platform
    environment: str = _setting(
        "",
        "name",
        "prod (mail to everyone, figures are sampled) or development; empty: embedded under `forumapi run`, else prod.",
        restart=True,
        rule=_one_of("", "embedded", "development", "prod"),
    )
    platform_domain: str = _setting(
        "localhost",
        "host name",
        "The domain whose subdomains are the sites; the domain itself is the root site.",
        rule=_domain,
    )
    public_scheme: str = _setting(
        "",
        "http, https",
        "Scheme of the links we build; empty: http when embedded, else https.",
        rule=_one_of("", "http", "https"),
    )
    public_port: int = _setting(
        -1,
        "port",
        "Port of the links we build; 0: the scheme's own; -1: the listening one when embedded, else the scheme's.",
        rule=_between(-1, 65_535),
    )
    short_link_url: str = _setting(
        "",
        "URL",
        "Where shortened links point, ending in /out/; empty: /out/ on the platform domain.",
        rule=_out_url,
    )
    admin_user_ids: tuple[int, ...] = _setting(
        (),
        "user ids",
        "Users who may read the platform's figures and approve new sites.",
        reload=True,
    )
    operator_name: str = _setting(
        "", "text", "Who runs the platform, for the legal texts.", reload=True
    )
    operator_email: str = _setting(
        "", "e-mail address", "How to reach them.", reload=True, rule=_email
    )
    operator_address: str = _setting("", "text", "Their postal address.", reload=True)
    new_site_email: str = _setting(
        "", "e-mail address", "Who is told of a new site; empty: nobody.", reload=True, rule=_email
    )
    reserved_profile_names: tuple[str, ...] = _setting(
        ("admin", "administrator", "moderator", "root", "system", "deleted"),
        "names",
        "Profile names that nobody may take.",
        reload=True,
    )
    blocked_link_domains: tuple[str, ...] = _setting(
        (),
        "host names",
        "Links to these hosts, and to hosts below them, are refused.",
        reload=True,
        rule=_each(_domain),
    )
    link_misses_per_address: int = _setting(
        100,
        "links",
        "Unknown short links that a client address may ask for within ten minutes, then it follows none; 0: no limit.",
        reload=True,
        rule=_between(0, 10_000_000),
    )
    dns_servers: tuple[str, ...] = _setting(
        (),
        "host:port",
        "Name servers that proofs of custom domains are looked up at; none: those of the machine.",
        rule=_each(_host_port),
    )
    old_sites_folder: str = _setting(
        "",
        "folder",
        "Rules for old addresses of more forum software, one <product>.toml each; empty: those that come along.",
    )

    # ---- the web process
    listen: str = _setting(
        "127.0.0.1:8080",
        "host:port",
        "Where the web workers listen, or unix:/path.",
        restart=True,
        rule=_listen,
    )
    admin_listen: str = _setting(
        "",
        "host:port",
        "Where the workers tell operators their state and figures, for a network of their own; empty: nowhere.",
        restart=True,
        rule=_optional_host_port,
    )
    workers: int = _setting(0, "processes", "Web workers; 0: one per core.", rule=_between(0, 256))
    worker_connections: int = _setting(
        2_000,
        "connections",
        "Open connections per worker, sockets included.",
        rule=_between(10, 100_000),
    )
    connections_per_address: int = _setting(
        250,
        "connections",
        "Open connections per worker of one client address that is neither trusted proxy nor front end, listeners "
        "apart; more are 429. Schools and mobile networks share addresses; 0: no limit.",
        reload=True,
        rule=_between(0, 100_000),
    )
    data_dir: str = _setting(
        "./var",
        "folder",
        "Embedded database, files, mailbox and logs; relative to the working folder.",
        restart=True,
    )
    webclient: bool = _setting(
        True,
        "",
        "Each site's host shows the website beside the API; false: the API alone, as beside `forumapi webclient`.",
    )
    webclient_secret: str = _setting(
        "",
        "text",
        "Seals the website's session cookies; the same on all machines. Several, separated by spaces: the first seals,"
        " each opens. Empty: a file in data_dir.",
        secret=True,
    )
    webclient_listen: str = _setting(
        "127.0.0.1:8081",
        "host:port",
        "Where `forumapi webclient` listens, the website as a process of its own, or unix:/path.",
        restart=True,
        rule=_listen,
    )
    webclient_api_url: str = _setting(
        "",
        "URL",
        "Where that process finds the API, such as http://10.0.0.5:8080; empty: at `listen`.",
        rule=_url("http", "https"),
    )
    webclient_front_end_secret: str = _setting(
        "",
        "text",
        "Secret by which the API knows that process among its front_ends; empty: it is known by its address.",
        secret=True,
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "addresses",
        "Proxies whose X-Forwarded-For is believed.",
        reload=True,
        rule=_each(_network),
    )
    front_ends: tuple[str, ...] = _setting(
        (),
        "names",
        "Programs whose X-Forumapi-Visitor is believed: 'web 192.0.2.10 bikes trains', 'app sha256:<hash> *'; by "
        "address, network or the SHA-256 of their X-Forumapi-Front-End, for sites by key or all.",
        reload=True,
        rule=_each(_front_end),
    )
    request_body_limit: int = _setting(
        1_048_576,
        "bytes",
        "Largest JSON or form body; larger is 413.",
        reload=True,
        rule=_between(1_024, 104_857_600),
    )
    import_body_limit: int = _setting(
        4_194_304,
        "bytes",
        "Largest CSV body of a batch of members; larger is 413.",
        reload=True,
        rule=_between(1_024, 104_857_600),
    )
    import_file_limit: int = _setting(
        1_073_741_824,
        "bytes",
        "Largest dump of a forum that an owner uploads, and 20 times as much decompressed; 0: owners import nothing.",
        reload=True,
        rule=_between(0, 2**36),
    )
    header_limit: int = _setting(
        8_190,
        "bytes",
        "Longest request line and longest header; longer is 414 or 431.",
        rule=_between(1_024, 65_536),
    )
    header_count_limit: int = _setting(
        100, "headers", "Most headers of a request; more is 431.", rule=_between(10, 1_000)
    )
    request_timeout_s: int = _setting(
        30,
        "seconds",
        "A request that takes longer, reading its body included, is 503; 502 where its commit has begun.",
        reload=True,
        rule=_between(1, 600),
    )
    header_timeout_s: int = _setting(
        10,
        "seconds",
        "How long a header may take from its first byte; then 408.",
        reload=True,
        rule=_between(1, 600),
    )
    keepalive_s: int = _setting(
        75,
        "seconds",
        "How long an idle connection stays; keep it above the proxy's own.",
        rule=_between(1, 600),
    )
    graceful_stop_s: int = _setting(
        20, "seconds", "How long a stopping worker may finish its requests.", rule=_between(1, 600)
    )
    release_trial_s: int = _setting(
        30,
        "seconds",
        "How long a new web process must have served beside the old one before it takes over.",
        reload=True,
        rule=_between(0, 600),
    )
    drain_s: int = _setting(
        0,
        "seconds",
        "How long a stopping worker still takes connections while it says that it is not ready.",
        rule=_between(0, 120),
    )
    guest_cache_seconds: int = _setting(
        300,
        "seconds",
        "max-age of what guests read; a proxy may show it that long after a microcosm was made private.",
        reload=True,
        rule=_between(0, 86_400),
    )

    # ---- pushing events
    realtime_connections: int = _setting(
        1_500,
        "connections",
        "Listeners per worker; more are 503. Keep it below worker_connections.",
        reload=True,
        rule=_between(0, 100_000),
    )
    realtime_connections_per_caller: int = _setting(
        100,
        "connections",
        "Listeners per worker of one user, or of guests at one address (IPv6: /64); more are 429.",
        reload=True,
        rule=_between(1, 100_000),
    )
    realtime_subscriptions: int = _setting(
        100,
        "topics",
        "What one listener may follow at once.",
        reload=True,
        rule=_between(1, 10_000),
    )
    realtime_message_bytes: int = _setting(
        65_536,
        "bytes",
        "Largest message of a listener; a larger one ends the connection.",
        reload=True,
        rule=_between(1_024, 1_048_576),
    )
    realtime_messages_per_minute: int = _setting(
        300,
        "messages",
        "What a listener may send; whoever sends more is dropped.",
        reload=True,
        rule=_between(10, 100_000),
    )
    realtime_queue_bytes: int = _setting(
        262_144,
        "bytes",
        "What may wait for a listener; a slower one is dropped with its cursor.",
        reload=True,
        rule=_between(4_096, 67_108_864),
    )
    realtime_heartbeat_s: int = _setting(
        25,
        "seconds",
        "How often a listener gets a heartbeat, and has to have given a sign of life.",
        reload=True,
        rule=_between(1, 600),
    )
    realtime_replay_events: int = _setting(
        10_000,
        "events",
        "How far back a listener is brought up to date; beyond that it is told of a gap.",
        reload=True,
        rule=_between(100, 1_000_000),
    )
    realtime_origins: tuple[str, ...] = _setting(
        (),
        "host names",
        "Pages on these hosts may open WebSockets, beside those of the site and of the platform.",
        reload=True,
        rule=_each(_domain),
    )

    # ---- PostgreSQL
    database_url: str = _setting(
        "",
        "libpq URL",
        "PostgreSQL 15 to 18; empty: an embedded one in the data folder.",
        rule=_url("postgresql", "postgres"),
        secret=True,
    )
    database_direct_url: str = _setting(
        "",
        "libpq URL",
        "The same database without a pooler, for LISTEN, locks and migrations; empty: the same address.",
        rule=_url("postgresql", "postgres"),
        secret=True,
    )
    database_replica_url: str = _setting(
        "",
        "libpq URL",
        "A standby that repeats this database, for reads, without a pooler; empty: none.",
        rule=_url("postgresql", "postgres"),
        secret=True,
    )
    database_prepare: bool = _setting(
        True, "", "Prepare statements; false behind a transaction pooler."
    )
    database_connections: int = _setting(
        12, "connections", "PostgreSQL connections per worker.", rule=_between(1, 200)
    )
    database_wait_ms: int = _setting(
        1_000,
        "milliseconds",
        "How long a request waits for a connection before it is 503.",
        rule=_between(1, 60_000),
    )
    statement_timeout_ms: int = _setting(
        10_000,
        "milliseconds",
        "A statement that runs longer is cancelled. Set by migrate.",
        rule=_between(100, 3_600_000),
    )
    search_time_limit_ms: int = _setting(
        2_000,
        "milliseconds",
        "A search that takes longer answers with what it has found until then.",
        reload=True,
        rule=_between(0, 60_000),
    )
    lock_timeout_ms: int = _setting(
        5_000,
        "milliseconds",
        "A statement that waits longer for a lock fails. Set by migrate.",
        rule=_between(100, 3_600_000),
    )
    idle_transaction_timeout_ms: int = _setting(
        15_000,
        "milliseconds",
        "A transaction idle for longer is ended. Set by migrate.",
        rule=_between(100, 3_600_000),
    )

    # ---- caches
    memcached: tuple[str, ...] = _setting(
        (),
        "host:port",
        "memcached servers; none: each worker's own memory alone.",
        rule=_each(_host_port),
    )
    memory_cache_mb: int = _setting(
        24,
        "MiB",
        "Memory of each worker for documents; as much again for finished answers, a third as much for pages.",
        rule=_between(1, 4_096),
    )
    cache_prefix: str = _setting(
        "forumapi",
        "text",
        "First part of each memcached key, for installations that share a server.",
    )
    site_poll_ms: int = _setting(
        300,
        "milliseconds",
        "How often a worker asks which sites changed, for what guests get from memory.",
        rule=_between(50, 900),
    )

    # ---- limits
    rate_limit_token_per_minute: int = _setting(
        1_200,
        "requests",
        "Requests per minute and token, approximate; 0: no limit.",
        reload=True,
        rule=_between(0, 10_000_000),
    )
    rate_limit_address_per_minute: int = _setting(
        1_200,
        "requests",
        "Requests per minute and guest address, approximate; 0: no limit.",
        reload=True,
        rule=_between(0, 10_000_000),
    )
    guest_concurrency_per_address: int = _setting(
        2,
        "requests",
        "Reads of one guest address that a worker is busy with at a time, others wait; 0: no limit.",
        reload=True,
        rule=_between(0, 10_000),
    )
    database_percent_per_site: int = _setting(
        90,
        "percent",
        "Part of a worker's database_connections that requests of one site hold at most, rounded up.",
        reload=True,
        rule=_between(1, 100),
    )
    queue_per_site: int = _setting(
        500,
        "requests",
        "Requests of one site that wait in a busy worker, of members and of guests so many each; more are 503. Of one "
        "guest address with a limit a fifth of them wait, more are 429.",
        reload=True,
        rule=_between(1, 100_000),
    )
    queue_wait_s: int = _setting(
        10,
        "seconds",
        "How long a request waits for the turn of its site in a busy worker; then 503.",
        reload=True,
        rule=_between(1, 600),
    )
    site_weights: tuple[str, ...] = _setting(
        (),
        "names",
        "Share of each site in a busy worker, as 'bikes 3': three times that of a site of weight 1. A site that is not "
        "named has the weight of its plan, else 1.",
        reload=True,
        rule=_each(_site_weight),
    )
    crawl_budget_per_minute: int = _setting(
        6_000,
        "requests",
        "Requests per minute and site of all guests' programs that are no browser or verified crawler, from whatever "
        "addresses, approximate; of browsers, of pages far back in a list; 0: no limit.",
        reload=True,
        rule=_between(0, 10_000_000),
    )
    plans: tuple[str, ...] = _setting(
        (),
        "plans",
        "Plans of sites, as 'free members=100 comments_per_day=500'; 0: none; what is not named has no limit. Also "
        "storage_mb, calls_per_minute, sockets, mails_per_day, invitations_per_day, webhooks, imports_per_day, and "
        "weight (1 to 999) as in site_weights.",
        reload=True,
        rule=_each(_plan),
    )
    default_plan: str = _setting(
        "",
        "name",
        "Plan of sites without one, and of those whose plan is not among `plans`; empty: no limits.",
        reload=True,
        rule=lambda value: (
            None if not value or PLAN_NAME.fullmatch(value) else "must be the name of a plan"
        ),
    )
    billing_url: str = _setting(
        "",
        "URL",
        "Where the usage of each site and hour is sent as a signed event; empty: nowhere.",
        reload=True,
        rule=_url("http", "https"),
    )
    billing_secret: str = _setting(
        "",
        "text",
        "Signs those events, as Standard Webhooks has it: whsec_ and at least 24 bytes as base64.",
        reload=True,
        secret=True,
    )
    comment_rate_per_minute: int = _setting(
        60,
        "comments",
        "Comments per minute and profile, moderators excepted; 0: no limit.",
        reload=True,
        rule=_between(0, 100_000),
    )
    duplicate_window_s: int = _setting(
        300,
        "seconds",
        "The same text by the same author within this time is taken for a repetition.",
        reload=True,
        rule=_between(0, 86_400),
    )
    idempotency_hours: int = _setting(
        24,
        "hours",
        "How long an Idempotency-Key is remembered.",
        reload=True,
        rule=_between(1, 720),
    )
    token_days: int = _setting(
        365, "days", "Life of an access token.", reload=True, rule=_between(1, 3_650)
    )
    oauth_access_minutes: int = _setting(
        60,
        "minutes",
        "Life of an access token that is given to a client of a site.",
        reload=True,
        rule=_between(1, 1_440),
    )
    oauth_refresh_days: int = _setting(
        30,
        "days",
        "Life of a refresh token, counted from its own making.",
        reload=True,
        rule=_between(1, 365),
    )
    sign_in_code_minutes: int = _setting(
        15,
        "minutes",
        "Life of a sign-in code sent by e-mail.",
        reload=True,
        rule=_between(1, 1_440),
    )
    sign_in_codes_per_email: int = _setting(
        5,
        "codes",
        "Sign-in codes sent to one e-mail address within an hour, by all nodes; beyond it 429.",
        reload=True,
        rule=_between(1, 100_000),
    )
    sign_in_codes_per_client_address: int = _setting(
        30,
        "codes",
        "Sign-in codes that one client address (IPv6: /64) may ask for within an hour.",
        reload=True,
        rule=_between(1, 100_000),
    )
    sign_in_tries_per_email: int = _setting(
        20,
        "tries",
        "Codes tried for one e-mail address within an hour.",
        reload=True,
        rule=_between(1, 100_000),
    )
    sign_in_tries_per_client_address: int = _setting(
        60,
        "tries",
        "Codes, and assertions, that one client address (IPv6: /64) may try within an hour.",
        reload=True,
        rule=_between(1, 100_000),
    )
    sign_ups_per_client_address: int = _setting(
        100,
        "users",
        "New users that sign in from one client address (IPv6: /64) within an hour.",
        reload=True,
        rule=_between(1, 100_000),
    )
    sign_ins_per_front_end: int = _setting(
        3_000,
        "steps",
        "Steps of signing in, codes asked for among them, of all visitors of one front end within an hour.",
        reload=True,
        rule=_between(1, 10_000_000),
    )
    invitations_per_front_end: int = _setting(
        5_000,
        "mails",
        "Invitations, and offers of sites, through one front end within a day.",
        reload=True,
        rule=_between(1, 10_000_000),
    )
    invitations_per_owner: int = _setting(
        1_000,
        "mails",
        "Invitations that one owner may have sent within a day, from all their sites; beyond it 429.",
        reload=True,
        rule=_between(0, 1_000_000),
    )
    invitations_per_site: int = _setting(
        500,
        "mails",
        "Invitations from one site within a day; raise it for the days on which a large community moves in.",
        reload=True,
        rule=_between(0, 1_000_000),
    )
    invitations_per_email: int = _setting(
        3,
        "mails",
        "Invitations and offers of sites that one e-mail address gets within 30 days; further ones are left out.",
        reload=True,
        rule=_between(0, 1_000),
    )
    audit_address_days: int = _setting(
        30,
        "days",
        "How long the audit keeps client addresses as they are; after that they are keyed hashes.",
        reload=True,
        rule=_between(1, 36_500),
    )
    audit_retention_days: int = _setting(
        90,
        "days",
        "How long the audit keeps who changed what from where.",
        reload=True,
        rule=_between(1, 36_500),
    )
    audit_key: str = _setting(
        "",
        "text",
        "Signs the audit; the same on all machines, and nowhere in the database. Several, separated by spaces: the"
        " first signs, each verifies. Empty: a file in data_dir.",
        reload=True,
        secret=True,
    )
    max_sites_per_user: int = _setting(
        100,
        "sites",
        "Sites that a user may own before making another, deleted ones too; 0: no limit.",
        reload=True,
        rule=_between(0, 1_000_000),
    )
    max_sandboxes: int = _setting(
        0,
        "sites",
        "Sandboxes that exist at a time, on which strangers try the API for a day; 0: there are none.",
        reload=True,
        rule=_between(0, 100_000),
    )
    sandboxes_per_client_address: int = _setting(
        3,
        "sites",
        "Sandboxes that one client address (IPv6: /64) may make within a day.",
        reload=True,
        rule=_between(1, 100_000),
    )
    max_criteria_per_role: int = _setting(
        100, "criteria", "Criteria that a role may have.", reload=True, rule=_between(1, 10_000)
    )
    attribute_grace_hours: int = _setting(
        0,
        "hours",
        "Hours for which members who qualify only by attributes that they set themselves keep their role after the"
        " upgrade.",
        reload=True,
        rule=_between(0, 720),
    )
    max_attributes_per_thing: int = _setting(
        1_000,
        "attributes",
        "Attributes that a site, microcosm, item, comment or profile may have.",
        reload=True,
        rule=_between(1, 100_000),
    )

    # ---- mail
    smtp_url: str = _setting(
        "",
        "URL",
        "smtp://user:password@host:587 or smtps://...; empty: the mailbox folder when embedded, else no mail.",
        reload=True,
        rule=_url("smtp", "smtps"),
        secret=True,
    )
    mail_from: str = _setting(
        "",
        "e-mail address",
        "Sender of mail; empty: noreply@ the platform domain.",
        reload=True,
        rule=_email,
    )
    mail_notify_from: str = _setting(
        "",
        "e-mail address",
        "Sender of mail about updates; empty: notify@ the domain of the other sender.",
        reload=True,
        rule=_email,
    )
    mail_bounce_to: str = _setting(
        "",
        "e-mail address",
        "Where mail servers report what can't be delivered, for `forumapi mail bounce`; empty: the sender.",
        reload=True,
        rule=_email,
    )
    mail_allow_list: tuple[str, ...] = _setting(
        (), "addresses or @domains", "Outside prod, mail goes to these only.", reload=True
    )
    mailbox: str = _setting(
        "mailbox", "folder", "Where the embedded mode puts its mail; relative to the data folder."
    )

    # ---- files
    files_path: str = _setting(
        "files", "folder", "Uploads, where no S3 bucket is set; relative to the data folder."
    )
    s3_bucket: str = _setting("", "name", "Bucket for uploads; empty: files_path.")
    s3_endpoint: str = _setting(
        "", "URL", "S3 service; empty: Amazon's.", rule=_url("http", "https")
    )
    s3_region: str = _setting("eu-west-1", "name", "S3 region.")
    aws_access_key_id: str = _setting(
        "", "text", "S3 key; empty: what boto3 finds by itself.", secret=True
    )
    aws_secret_access_key: str = _setting("", "text", "S3 secret.", secret=True)
    s3_timeout_s: int = _setting(
        10,
        "seconds",
        "How long S3 may be silent before a try counts as failed.",
        rule=_between(1, 300),
    )
    s3_redirect_s: int = _setting(
        0,
        "seconds",
        "Downloads are sent to a signed address of S3, good for so long; 0: we send the bytes.",
        rule=_between(0, 604_800),
    )
    file_accel_prefix: str = _setting(
        "",
        "path",
        "Where nginx has files_path as an internal location, ending in /; empty: we send the bytes.",
        rule=_internal_path,
    )
    file_access: str = _setting(
        "readers",
        "",
        "Who may download what hangs on hidden or private comments alone: their readers, or anyone who has the hash.",
        reload=True,
        rule=_one_of("readers", "anyone"),
    )
    file_size_limit: int = _setting(
        31_457_280, "bytes", "Largest file.", reload=True, rule=_between(1, 2**31)
    )
    upload_body_limit: int = _setting(
        104_857_600,
        "bytes",
        "Largest upload of several files, in place of request_body_limit.",
        reload=True,
        rule=_between(1, 2**34),
    )
    upload_timeout_s: int = _setting(
        300,
        "seconds",
        "An upload that takes longer is 503, in place of request_timeout_s.",
        reload=True,
        rule=_between(1, 3600),
    )
    file_quota_site_mb: int = _setting(
        10_240,
        "MB",
        "What a site may store in all; 0: no limit.",
        reload=True,
        rule=_between(0, 2**30),
    )
    file_quota_profile_mb: int = _setting(
        1_024, "MB", "What a profile may store; 0: no limit.", reload=True, rule=_between(0, 2**30)
    )
    file_orphan_days: int = _setting(
        30,
        "days",
        "A file that nothing refers to is deleted so long after its upload; 0: never.",
        reload=True,
        rule=_between(0, 36_500),
    )
    picture_pixel_limit: int = _setting(
        50_000_000, "pixels", "Largest picture.", rule=_between(1, 200_000_000)
    )
    picture_timeout_s: int = _setting(
        20, "seconds", "A picture that takes longer to decode is refused.", rule=_between(1, 300)
    )
    thumbnail_sizes: tuple[str, ...] = _setting(
        ("100x100", "800x800"),
        "width x height",
        "Boxes in which pictures are had beside the original.",
        rule=_each(_box),
    )

    # ---- other services
    assertion_verifier_url: str = _setting(
        "",
        "URL",
        "Verifies the assertions of POST /auth; empty: that sign-in is 501.",
        reload=True,
        rule=_url("http", "https"),
    )
    private_providers: bool = _setting(
        False,
        "",
        "Let identity providers be on private addresses and without TLS; always so when embedded.",
        reload=True,
    )
    private_webhooks: bool = _setting(
        False,
        "",
        "Let webhooks be on private addresses and without TLS; always so when embedded.",
        reload=True,
    )
    webhook_concurrency: int = _setting(
        32,
        "deliveries",
        "Webhooks that are served at once; a quarter of them at most for one site.",
        rule=_between(1, 1_000),
    )
    webhook_timeout_s: int = _setting(
        10,
        "seconds",
        "How long the receiver of a webhook may take to answer.",
        rule=_between(1, 60),
    )
    webhook_retry_hours: int = _setting(
        24,
        "hours",
        "How long a delivery is tried again before it is a dead letter.",
        reload=True,
        rule=_between(1, 168),
    )
    webhook_failing_days: int = _setting(
        5,
        "days",
        "A webhook that has failed for this long without a success is disabled.",
        reload=True,
        rule=_between(1, 365),
    )
    push_private_key: str = _setting(
        "",
        "text",
        "VAPID key of web push, 32 bytes as base64url; empty: one in the database. Another ends all subscriptions.",
        secret=True,
        rule=_push_key,
    )
    private_push: bool = _setting(
        False,
        "",
        "Let push services be on private addresses and without TLS: members type their addresses.",
        reload=True,
    )
    event_reminder_minutes: int = _setting(
        1440,
        "minutes",
        "How long before an event its reminder is recorded.",
        reload=True,
        rule=_between(1, 43_200),
    )
    geocode_provider: str = _setting(
        "",
        "name",
        "nominatim or gazetteer; empty: the first with a geocode_url, the second when embedded.",
        reload=True,
        rule=_one_of("", "nominatim", "gazetteer"),
    )
    geocode_url: str = _setting(
        "",
        "URL",
        "Search of a geocoder that speaks as Nominatim does.",
        reload=True,
        rule=_url("http", "https"),
    )
    geocode_key: str = _setting("", "text", "Key of the geocoder.", reload=True, secret=True)
    gravatar_url: str = _setting(
        "https://www.gravatar.com/avatar/",
        "URL",
        "Where pictures are fetched for sites that want it, ending in /, by the SHA-256 of an e-mail address; "
        "empty: nowhere.",
        reload=True,
        rule=_url("http", "https"),
    )
    spam_check: bool = _setting(
        False, "", "Ask stopforumspam.com about the client address of each new user.", reload=True
    )
    spam_check_url: str = _setting(
        "",
        "URL",
        "The service to ask instead, with the same protocol; empty: stopforumspam.com.",
        reload=True,
        rule=_url("http", "https"),
    )
    akismet_url: str = _setting(
        "",
        "URL",
        "The service that sites with a key of Akismet's ask instead, with the same protocol; empty: akismet.com.",
        reload=True,
        rule=_url("http", "https"),
    )

    # ---- logs
    log_level: str = _setting(
        "info",
        "level",
        "Least serious line that is logged.",
        reload=True,
        rule=_one_of("debug", "info", "warning", "error"),
    )
    log_format: str = _setting(
        "text", "", "Log lines as text or as json.", reload=True, rule=_one_of("text", "json")
    )
    log_target: str = _setting(
        "stderr",
        "",
        "stderr, stdout, a file (opened again at SIGUSR1), or syslog: udp://host:514, tcp://host:601, unix:///dev/log.",
        reload=True,
        rule=log.target_problem,
    )
    access_log: bool = _setting(True, "", "One line for each request.", reload=True)
    access_log_format: str = _setting(
        "",
        "",
        "That line as {time} {method} {route} {status} {ms} {site} {profile} {request}...; empty: as log_format says.",
        reload=True,
        rule=log.format_problem,
    )
    sentry_dsn: str = _setting(
        "",
        "URL",
        "Where crashes are sent, as Sentry gives it: https://key@host/project; empty: to the log alone.",
        reload=True,
        rule=crash_reports.dsn_problem,
        secret=True,
    )

    # ---- figures
    metrics_address: str = _setting(
        "",
        "host:port",
        "StatsD server (UDP) for counters, gauges and timings; empty: none.",
        reload=True,
        rule=_optional_host_port,
    )
    riemann_url: str = _setting(
        "",
        "URL",
        "Riemann server for the same: udp://host:5555 or tcp://host:5555; empty: none.",
        reload=True,
        rule=_riemann,
    )
    metrics_prefix: str = _setting(
        "forumapi", "text", "First part of each name that these two get.", reload=True
    )
    metrics_interval_s: int = _setting(
        10,
        "seconds",
        "How often figures are sent to them.",
        reload=True,
        rule=_between(1, 300),
    )
    trace_url: str = _setting(
        "",
        "URL",
        "OpenTelemetry collector (OTLP over HTTP) for traces, such as http://host:4318/v1/traces; empty: none.",
        rule=_url("http", "https"),
    )
    trace_percent: int = _setting(
        10,
        "percent",
        "Share of requests that are traced, beside those whose client asks for it.",
        rule=_between(0, 100),
    )
    server_timing_header: bool = _setting(
        False,
        "",
        "Say statements and cache round trips of each request in Server-Timing.",
        reload=True,
    )

    # ---- backups
    backup_status_file: str = _setting(
        "backup/last.json",
        "file",
        "What a backup leaves when it has ended well; relative to the data folder; empty: nobody looks.",
        reload=True,
    )
    erasure_journal: str = _setting(
        "erasures.jsonl",
        "file",
        "Which people were erased, by number, for `backup restore`; relative to the data folder. Copy it elsewhere.",
        reload=True,
    )
    backup_max_age_hours: int = _setting(
        26,
        "hours",
        "doctor finds a backup fresh for so long.",
        reload=True,
        rule=_between(1, 8_784),
    )

    @property
    def mode(self) -> str:
        """Return "embedded", "development" or "prod"; "prod" if `environment` is not set."""
        return self.environment or "prod"

    @property
    def is_embedded(self) -> bool:
        """Return True in the embedded mode, where everything is local: development sign-in, mail into a folder."""
        return self.mode == "embedded"

    @property
    def beside_run(self) -> Config:
        """Return the settings for a command of the command line: these, but if neither `environment` nor `database_url`
        is set, with the embedded mode, so that the command works on what `forumapi run` has started.
        """
        if self.environment or self.database_url:
            return self
        return dataclasses.replace(self, environment="embedded")

    @property
    def missing(self) -> list[str]:
        """Return the names of required settings that are not set, or set to their default; [] if there are none, and
        always outside production.
        """
        return [] if self.mode != "prod" else [one for one in REQUIRED if _is_default(self, one)]

    @property
    def data_path(self) -> Path:
        """Return the absolute path of the data folder."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def out_of_service_path(self) -> Path:
        """Return the path of the file that takes this machine out of service: while it exists, the web process reports
        not ready, and still answers requests.
        """
        return self.data_path / "out-of-service"

    @property
    def mailbox_path(self) -> Path:
        """Return the absolute path of the folder into which the embedded mode writes mails."""
        return self.data_path / self.mailbox

    @property
    def files_folder(self) -> Path:
        """Return the absolute path of the folder of uploads, which is used where no S3 bucket is set."""
        return self.data_path / self.files_path

    @property
    def backup_status_path(self) -> Path | None:
        """Return the absolute path of the status file of backups; None if it is not configured."""
        return self.data_path / self.backup_status_file if self.backup_status_file else None

    @property
    def erasure_journal_path(self) -> Path:
        """Return the absolute path of the journal of erasures."""
        return self.data_path / self.erasure_journal

    @property
    def direct_url(self) -> str:
        """Return the URL of the database without a pooler: that of the setting `database_direct_url` or, if that is
        empty, `database_url`.
        """
        return self.database_direct_url or self.database_url

    @property
    def worker_count(self) -> int:
        """Return the number of web workers: the setting `workers` or, if that is 0, one for each core that this process
        may use.
        """
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def connections(self) -> int:
        """Return the number of database connections that PostgreSQL must allow for one machine.

        A worker has `database_connections` for requests, and three more: to number events, to be notified of them, and
        to keep the lease on numbering. All workers count twice, since new and old ones overlap in a replacement. The
        cron process counts CRON_CONNECTIONS.
        """
        return 2 * self.worker_count * (self.database_connections + 3) + CRON_CONNECTIONS

    @property
    def scheme(self) -> str:
        """Return the scheme of links to sites: `public_scheme` or, if that is empty, http in the embedded mode, else
        https.
        """
        return self.public_scheme or ("http" if self.is_embedded else "https")

    @property
    def has_website(self) -> bool:
        """Return True if the website shows the sites: beside the API, or as the front end that is named `website`."""
        return self.webclient or any(text.split()[:1] == ["website"] for text in self.front_ends)

    @property
    def port_suffix(self) -> str:
        """Return the port in links to sites as `:8080`: the setting `public_port` or, if that is -1, in the embedded
        mode the port of `listen`. "" if that is the usual port of the scheme, 0, or -1 outside of the embedded mode.
        """
        port = self.public_port
        if port < 0:
            listens_on = self.listen.rpartition(":")[2]
            port = int(listens_on) if self.is_embedded and listens_on.isdigit() else 0
        return f":{port}" if port and port != (443 if self.scheme == "https" else 80) else ""

    @property
    def short_links(self) -> str:
        """Return the URL to which a short link's code is appended; it ends in /out/."""
        return (
            self.short_link_url or f"{self.scheme}://{self.platform_domain}{self.port_suffix}/out/"
        )

    @property
    def sender(self) -> str:
        """Return the From address of mail that is not about updates (codes, invitations, notices): `mail_from` or, if
        that is empty, noreply@ the platform's domain.
        """
        return self.mail_from or f"noreply@{self.platform_domain}"

    @property
    def notify_sender(self) -> str:
        """Return the From address of mail about updates: `mail_notify_from` or, if that is empty, notify@ the domain of
        `sender`.
        """
        return self.mail_notify_from or f"notify@{self.sender.rpartition('@')[2]}"


SETTINGS: Final = {
    one.name: one for one in dataclasses.fields(Config) if not one.metadata.get("internal")
}
# What has no default that would do for others than the machine itself.
REQUIRED: Final = ("platform_domain", "database_url")
# Names of the release before, which this one takes too.
RENAMED: Final = {
    "guest_reads_at_once": "guest_concurrency_per_address",
    "sites_per_user": "max_sites_per_user",
    "criteria_per_role": "max_criteria_per_role",
    "attributes_per_thing": "max_attributes_per_thing",
    "sign_in_codes_per_address": "sign_in_codes_per_email",
    "sign_in_codes_per_caller": "sign_in_codes_per_client_address",
    "sign_in_tries_per_address": "sign_in_tries_per_email",
    "sign_in_tries_per_caller": "sign_in_tries_per_client_address",
    "sign_ups_per_caller": "sign_ups_per_client_address",
    "invitations_per_address": "invitations_per_email",
    "webhook_slots": "webhook_concurrency",
    "private_listen": "admin_listen",
    "debug_counts": "server_timing_header",
    "live_connections": "realtime_connections",
    "live_connections_per_caller": "realtime_connections_per_caller",
    "live_subscriptions": "realtime_subscriptions",
    "live_message_bytes": "realtime_message_bytes",
    "live_messages_per_minute": "realtime_messages_per_minute",
    "live_queue_bytes": "realtime_queue_bytes",
    "live_heartbeat_s": "realtime_heartbeat_s",
    "live_replay_events": "realtime_replay_events",
    "live_origins": "realtime_origins",
}
_TYPES: Final[dict[str, Any]] = {
    name: hint for name, hint in get_type_hints(Config).items() if name in SETTINGS
}


def _is_default(config: Config, name: str) -> bool:
    return bool(getattr(config, name) == SETTINGS[name].default)


def url_of(listen: str) -> str:
    """Return the URL by which programs on this machine reach the server at the setting `listen`; "" for a Unix socket.
    For all interfaces it is that of 127.0.0.1.
    """
    if listen.startswith("unix:"):
        return ""
    host, _, port = listen.rpartition(":")
    return f"http://{host if host not in ('', '0.0.0.0', '[::]') else '127.0.0.1'}:{port}"


def embedded_environ() -> dict[str, str]:
    """Return the environment variables to add for child processes of `forumapi run`: the embedded mode, and the id of
    this process, their parent.
    """
    return {f"{ENV_PREFIX}ENVIRONMENT": "embedded", ENV_RUN: str(os.getpid())}


def is_started_by_run() -> bool:
    """Return True if the parent of this process is the `forumapi run` that started it."""
    return os.environ.get(ENV_RUN) == str(os.getppid())


def _kind(name: str) -> str:
    return {
        bool: "true or false",
        int: "a whole number",
        str: "a text",
        tuple[str, ...]: "a list of texts",
        tuple[int, ...]: "a list of whole numbers",
    }[_TYPES[name]]


def _typed(name: str, value: object) -> Any:
    """Return `value` with the type of the setting `name`; nothing is converted but a list into a tuple. Raises
    ConfigError for another type.
    """
    wanted = _TYPES[name]
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted is int and isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if wanted is str and isinstance(value, str):
        return str(value)
    if wanted in (tuple[str, ...], tuple[int, ...]) and isinstance(value, (list, tuple)):
        element = str if wanted == tuple[str, ...] else int
        if all(isinstance(one, element) and not isinstance(one, bool) for one in value):
            return tuple(element(one) for one in value)
    raise ConfigError(f"{name} must be {_kind(name)}")


def _checked(name: str, value: object) -> Any:
    typed = _typed(name, value)
    rule: Rule | None = SETTINGS[name].metadata["rule"]
    if rule is not None and (wrong := rule(typed)):
        raise ConfigError(f"{name} {wrong}")
    return typed


def parse(name: str, text: str) -> Any:
    """Convert the text of the setting `name`, from the environment or the command line, into its value. Raises
    ConfigError for an unknown name, and for a text that is no value of the setting's type or that its rule refuses.

    Commas separate the values of a list; true and false may be written as yes, no, on, off, 1, 0.
    """
    known(name)
    wanted = _TYPES[name]
    value: object = text
    if wanted is bool:
        value = {"true": True, "yes": True, "on": True, "1": True}.get(text.lower(), text)
        value = {"false": False, "no": False, "off": False, "0": False}.get(text.lower(), value)
    elif wanted is int and re.fullmatch(r"-?\d{1,18}", text):
        value = int(text)
    elif wanted in (tuple[str, ...], tuple[int, ...]):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        is_numbers = wanted == tuple[int, ...] and all(part.isdigit() for part in parts)
        value = [int(part) for part in parts] if is_numbers else parts
    return _checked(name, value)


def known(name: str) -> None:
    """Raise ConfigError, which suggests the most similar name, if there is no setting `name`; an old name is none."""
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no setting {name}{hint}")


def default_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the settings file: the environment variable FORUMAPI_CONFIG, else etc/forumapi.toml of the
    package.
    """
    named = environ.get(ENV_FILE)
    return Path(named) if named else resource("etc/forumapi.toml")


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Load the settings file at `path` (None: the file that FORUMAPI_CONFIG in `environ` names, else
    `etc/forumapi.toml` of the package), overridden by the variables FORUMAPI_* in `environ`. Raises ConfigError, also
    if there is no such file.
    """
    path = path or default_path(environ)
    values: dict[str, Any] = {}
    _, written = _read(path)
    for key, value in written.items():
        try:
            name = _current_name(key, key, written, str(path))
            values[name] = _checked(name, value)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    given = {
        key.removeprefix(ENV_PREFIX).lower(): key
        for key in environ
        if key.startswith(ENV_PREFIX) and key != ENV_FILE
    }
    for name, key in given.items():
        try:
            current = _current_name(name, key, given, "the environment")
            values[current] = parse(current, environ[key])
        except ConfigError as error:
            raise ConfigError(f"{key} in the environment: {error}") from None
    return Config(path=path, **values)


def _current_name(name: str, key: str, given: Mapping[str, object], where: str) -> str:
    """Return the present name of the setting `name`, which may be an old one; log a warning about an old one. Raises
    ConfigError for an unknown name, and if both the old and the present name are among the keys of `given`, all names
    in the same file or environment.

    `key`: the name as written, `where`: its file or "the environment", both for the warning.
    """
    current = RENAMED.get(name, name)
    known(current)
    if current != name:
        if current in given:
            raise ConfigError(f"{name} is the old name of {current}, which is set too")
        log.logger.warning("%s: %s is the old name of the setting %s", where, key, current)
    return current


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Read a settings file: its text, and its values as written. Raises ConfigError if there is none, or it can't be
    read or is not TOML in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # tomlkit, which keeps comments for whoever writes the file anew, takes ten times as long as tomllib.
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text in UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: a value is nested too deep") from None
    except tomllib.TOMLDecodeError as error:
        last = f"at line {text.count(chr(10)) + 1}, at the end"
        raise ConfigError(f"{path}: {str(error).replace('at end of document', last)}") from None


def note(name: str) -> str:
    """Return the comment that stands above the setting `name` in etc/forumapi.toml: purpose, unit, and when a change
    takes effect.
    """
    about = SETTINGS[name].metadata
    unit = f" Unit: {about['unit']}." if about["unit"] else ""
    return f"{about['text']}{unit} {_EFFECTS[effect(name)]}"


_EFFECTS: Final = {
    "reload": "Reload applies it.",
    "replace": "Reload replaces the processes.",
    "restart": "Needs a restart.",
}


def effect(name: str) -> str:
    """Return how a change of the setting `name` takes effect: "reload" (at once, at a reload), "replace" (at a reload,
    by new processes) or "restart".
    """
    about = SETTINGS[name].metadata
    return "reload" if about["reload"] else "restart" if about["restart"] else "replace"


def shown(name: str, value: object) -> str:
    """Format the value of the setting `name` as TOML; a secret that is set is "(set)"."""
    if SETTINGS[name].metadata["secret"] and value:
        return '"(set)"'
    return tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()


class Changes(NamedTuple):
    """Names of changed settings, in three lists by how they take effect: at a reload at once, at a reload by new
    processes, at a restart.
    """

    applied: list[str]
    replaced: list[str]
    needs_restart: list[str]


def diff(old: Config, new: Config) -> Changes:
    """Return the names of the settings whose values differ between `old` and `new`, each list in the order of the
    settings file.
    """
    changed = [name for name in SETTINGS if getattr(old, name) != getattr(new, name)]
    return Changes(*([name for name in changed if effect(name) == wanted] for wanted in _EFFECTS))


def set_value(path: Path, name: str, text: str) -> Config:
    """Write one setting into the file at `path`, whose other lines stay as they are; return the settings in the file,
    without the environment. `name`: present or old name of the setting; the present one is written, and a line with an
    old name of the setting removed. `text`: the value as `parse` reads it.

    Raises ConfigError, and leaves the file unchanged, if there is no such setting, the value or the file is invalid, or
    the file can't be written.
    """
    text_before = _read(path)[0]
    try:
        document = tomlkit.parse(text_before)
    except tomlkit.exceptions.TOMLKitError as error:
        raise ConfigError(f"{path}: {error}") from None
    if (current := RENAMED.get(name, name)) != name:
        log.logger.warning("%s is the old name of the setting %s", name, current)
    for before, after in RENAMED.items():
        if after == current and before in document:
            del document[before]
    value = parse(current, text)
    document[current] = list(value) if isinstance(value, tuple) else value
    written = tomlkit.dumps(document)
    try:
        # The new file is complete before it takes the old one's name, so that a crash leaves one of the two.
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as handle:
            handle.write(written)
        fresh = Path(handle.name)
        try:
            settings = load(fresh, {})
            old, new = path.stat(), fresh.stat()
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                # Owner and group are kept: root writes, the user of the processes reads by the group.
                os.chown(fresh, old.st_uid, old.st_gid)
            fresh.chmod(old.st_mode & 0o777)
            fresh.replace(path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error}") from None
    return dataclasses.replace(settings, path=path)


class Settings:
    """Holder of a running process's settings (`current`), into which `reload` takes new values from the file.
    `environ`: environment, whose variables FORUMAPI_* override the file.
    """

    def __init__(self, current: Config, environ: Mapping[str, str] = os.environ) -> None:
        self.current = current
        self._environ = environ

    def reload(self, *, replaces: bool = False) -> Changes:
        """Read the file and the environment again, put new values into `current`, and return the names of all that
        changed.

        Settings that need new processes change in `current` only with `replaces`, by which the caller says that it
        starts them; those that need a restart never do. Raises ConfigError, and changes nothing, if the file or the
        environment is invalid.
        """
        new = load(self.current.path, self._environ)
        changes = diff(self.current, new)
        names = changes.applied + (changes.replaced if replaces else [])
        self.current = dataclasses.replace(
            self.current, **{name: getattr(new, name) for name in names}
        )
        return changes
