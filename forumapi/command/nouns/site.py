"""Command `site`: list, create, move and delete sites, set their owners, options, plans and legal texts, and print
transparency reports and usage.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from forumapi.command.nouns import site_life_cycle, site_move
from forumapi.command.nouns.common import (
    OK,
    CommandError,
    Commands,
    as_json,
    operator,
    print_rows,
    reading,
    writing,
)
from forumapi.config import Config

if TYPE_CHECKING:
    from forumapi.models.trust.transparency import TransparencyReport
    from forumapi.models.usage.site_usage import SiteUsage


def add(commands: Commands) -> None:
    """Define the command `site` with its subcommands."""
    sites = commands.group("site", "sites")
    create = sites.add("create", _create, "make a site")
    create.add_argument("key", help="its subdomain: lower case letters and digits")
    create.add_argument("--title", required=True)
    create.add_argument("--description", default="")
    create.add_argument(
        "--owner", required=True, metavar="EMAIL", help="made a user if there is none"
    )
    as_json(sites.add("list", _list, "all sites"))
    owner = sites.add("owner", _owner, "say who owns a site; the platform's own is `root`")
    owner.add_argument("key", help="its subdomain")
    owner.add_argument(
        "--email", required=True, help="the new owner, who gets a profile there if there is none"
    )

    pages = sites.add("web-url", _web_url, "say where a site's pages are, on any host")
    pages.add_argument("key", help="its subdomain")
    pages.add_argument("url", help="https://…; empty for nowhere")
    options = sites.add(
        "options", _options, "show the options of a site, after setting those given"
    )
    options.add_argument("key", help="its subdomain")
    for name, text in (
        ("--members-create-microcosms", "else its owner alone makes microcosms"),
        ("--members-make-bots", "else its owner alone makes bots"),
        ("--send-email", "mail to profiles that are made from now on, unless they turn it off"),
        ("--send-sms", "likewise"),
        (
            "--second-factor",
            "demand one of those who moderate; `no` lets in again who is locked out",
        ),
    ):
        options.add_argument(name, choices=("yes", "no"), help=text)
    options.add_argument(
        "--agents", choices=("off", "read", "draft", "write"), help="what agents may do at most"
    )
    as_json(options)
    law = sites.add("legal", _legal, "show a legal document's template, or replace it")
    law.add_argument("key", help="subdomain of the site; the platform's own is `root`")
    law.add_argument("document", help="cookies, privacy or terms; of the platform: service")
    how = law.add_mutually_exclusive_group()
    how.add_argument("--file", type=Path, metavar="FILE", help="the new text, as HTML with $names")
    how.add_argument("--link", metavar="URL", help="it is kept there instead")
    how.add_argument("--reset", action="store_true", help="back to the text of the software")
    law.add_argument(
        "--consent",
        choices=("ask", "correction", "none"),
        default="",
        help="with a new text: members agree to it before they write, or need not do so again, or at all",
    )
    report = sites.add(
        "transparency",
        _transparency,
        "counts of notices, decisions and appeals in a period, as JSON or CSV",
    )
    report.add_argument("key", help="its subdomain")
    report.add_argument("--since", default="", help="RFC 3339; a year before its end when left out")
    report.add_argument("--until", default="", help="RFC 3339; now when left out")
    report.add_argument("--csv", action="store_true")
    usage = sites.add(
        "usage", _usage, "requests, bytes, time, mails and pushes of a site, as JSON or CSV"
    )
    usage.add_argument("key", help="its subdomain")
    usage.add_argument("--since", default="", help="RFC 3339; 31 days before its end when left out")
    usage.add_argument("--until", default="", help="RFC 3339; now when left out")
    usage.add_argument(
        "--period", choices=("hour", "day", "month"), default="day", help="what a row sums up"
    )
    usage.add_argument("--csv", action="store_true")
    plan = sites.add("plan", _plan, "show the plan of a site with its limits, after setting it")
    plan.add_argument("key", help="its subdomain")
    plan.add_argument("name", nargs="?", help="of the setting `plans`; empty for the default one")
    site_life_cycle.add(sites)
    site_move.add(sites)


def _create(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with writing(current) as tx:
        text = args.description or args.title
        site_id = admin.create_site(tx, current.beside_run, args.key, args.title, text, args.owner)
    print(f"site {site_id}: {args.key}.{current.platform_domain}")
    return OK


def _list(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with reading(current) as tx:
        sites = admin.list_sites(tx)
    print_rows(args, [found._asdict() for found in sites])
    return OK


def _owner(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with writing(current) as tx:
        profile_id = admin.set_owner(tx, args.key, args.email, operator())
    print(f"{args.key} is owned by profile {profile_id}")
    return OK


def _web_url(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin

    with writing(current) as tx:
        admin.lock_site(tx, args.key).set_web_url(tx, args.url, operator())
    print(f"mails and feeds of {args.key} lead to {args.url or 'its API'}")
    return OK


def _options(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.access import second_factor_rule
    from forumapi.models.journal.journal import Author
    from forumapi.models.sites.site_options import SiteOptions

    def wanted(value: str | None) -> bool | None:
        return None if value is None else value == "yes"

    given = (
        wanted(args.members_create_microcosms),
        wanted(args.send_email),
        wanted(args.send_sms),
        args.agents,
        wanted(args.members_make_bots),
    )
    with writing(current) as tx:
        author = Author(admin.site_id(tx, args.key), 0, "", operator())
        if given != (None, None, None, None, None):
            create, email, sms, level, bots = given
            SiteOptions.update(
                *(tx, author),
                members_create=create,
                send_email=email,
                send_sms=sms,
                agents=level,
                members_make_bots=bots,
            )
        if args.second_factor is not None:
            second_factor_rule.set_second_factor(tx, author, args.second_factor == "yes")
        shown = SiteOptions.find(tx, author.site_id)._asdict()
        shown["second_factor"] = second_factor_rule.needs_second_factor(tx, author.site_id)
    print_rows(args, [shown])
    return OK


def _legal(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.journal.journal import Author
    from forumapi.models.sites import legal
    from forumapi.models.sites.legal import LegalText

    documents = legal.ROOT_DOCUMENTS if args.key == "root" else legal.SITE_DOCUMENTS
    if args.document not in documents:
        raise CommandError(f"the documents of {args.key} are: {', '.join(documents)}")
    if args.consent and not (args.file or args.link):
        raise CommandError("--consent needs a new text: --file or --link")
    with writing(current) as tx:
        author = Author(admin.site_id(tx, args.key), 0, "", operator())
        if args.reset:
            LegalText.delete(tx, author, args.document)
        elif args.file or args.link:
            try:
                html = args.file.read_text(encoding="utf-8") if args.file else None
            except (OSError, UnicodeError) as error:
                raise CommandError(f"{args.file} can't be read: {error}") from None
            html, link = legal.checked(html, args.link)
            LegalText.upsert(tx, author, args.document, html, link, args.consent)
        text = LegalText.find(tx, author.site_id, args.document)
    print(text.link or text.body)
    return OK


def _transparency(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.trust.transparency import TransparencyReport

    since, until = _period(args, datetime.timedelta(days=365))
    with reading(current) as tx:
        report = TransparencyReport.find(tx, admin.site_id(tx, args.key), since, until)
    _print_report(args, report)
    return OK


def _usage(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.models.usage.site_usage import SiteUsage

    since, until = _period(args, datetime.timedelta(days=31))
    with reading(current) as tx:
        site_id = admin.site_id(tx, args.key)
        _print_report(args, SiteUsage.find(tx, site_id, args.period, since, until))
    return OK


def _plan(args: argparse.Namespace, current: Config) -> int:
    from forumapi.command import admin
    from forumapi.config import plans
    from forumapi.models.journal.journal import Author
    from forumapi.models.usage import site_plan

    known = plans(current.plans)
    if args.name and args.name not in known:
        raise CommandError(f"the plans of this platform are: {', '.join(known) or 'none'}")
    if args.name is not None:
        with writing(current) as tx:
            site_id = admin.lock_site(tx, args.key).site_id
            site_plan.set_plan(tx, Author(site_id, 0, "", operator()), args.name)
    with reading(current) as tx:
        site_id = admin.site_id(tx, args.key)
        name, used = site_plan.find(tx, site_id), site_plan.used(tx, site_id)
    if name not in known:
        name = current.default_plan
    print(json.dumps(site_plan.document(name, known.get(name, {}), used), indent=1))
    return OK


def _period(
    args: argparse.Namespace, default: datetime.timedelta
) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the times of `--since` and `--until`, in this order; without `--until` the present time, without `--since`
    the time `default` before the end. Raises CommandError for a text that is no RFC 3339 time with an offset, and for a
    beginning that is not before the end.
    """
    from forumapi.text import rfc3339

    times = []
    for name in ("until", "since"):
        text = getattr(args, name)
        found = rfc3339.instant(text) if text else None
        if text and found is None:
            raise CommandError(
                f"--{name} must be a time with its offset, such as 2026-01-01T00:00:00Z"
            )
        times.append(found)
    until = times[0] or datetime.datetime.now(datetime.UTC)
    try:
        since = times[1] or until - default
    except OverflowError:
        raise CommandError("--since must be given with so early an --until") from None
    if since >= until:
        raise CommandError("--since must be before --until")
    return since, until


def _print_report(args: argparse.Namespace, report: TransparencyReport | SiteUsage) -> None:
    if args.csv:
        sys.stdout.write(report.csv())
    else:
        print(json.dumps(report.document(), indent=1))
