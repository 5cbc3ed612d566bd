"""Writes mail about updates when it is sent: facts, permission, words. A batch costs few statements, however large.

For a batch: one statement for all facts; for each site in it that has changed, its microcosms and templates; two more a
site for digests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape, unescape
from typing import TYPE_CHECKING, Final

import msgspec

from forumapi import itemtypes
from forumapi.cache.eviction import Lru, size
from forumapi.database.connections import Database, Reader
from forumapi.mail.outbox import Dropped, Written, plain
from forumapi.models.access import platform_secret
from forumapi.models.content import text
from forumapi.models.notices import update
from forumapi.models.people import membership
from forumapi.text.render import RENDERER_VERSION
from forumapi.updates import (
    digest,
    mail_context,
    mail_templates,
    unsubscribe,
)
from forumapi.updates.mail_context import Fact
from forumapi.updates.mail_templates import Filled, Form

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site
    from forumapi.models.sites.site_directory import SiteDirectory
    from forumapi.permissions.evaluator import Tree

# Templates of this many sites are kept ready.
_FORMS_BYTES: Final = 4 * 1024 * 1024
# Bytes of the objects around the forms of one site, measured.
_FORMS: Final = 6_000

# Mail programs do not show frames; what is in one is a link then.
_FRAME: Final = re.compile(r'<iframe[^>]*?\ssrc="([^"]*)"[^>]*>\s*</iframe>')
# Addresses on the site itself, in what is shown outside of it.
_RELATIVE: Final = re.compile(r'(<(?:a|img)\s(?:[^>]*?\s)?(?:href|src)=")(/(?!/)[^"]*)')


class EmailWriter:
    """Writes mails that name what they are about. `sites` gives titles, addresses and permissions of now."""

    def __init__(
        self, database: Database, sites: SiteDirectory, config: Callable[[], Config]
    ) -> None:
        self._database = database
        self._sites = sites
        self._config = config
        self._secret = b""
        # Site id -> the version that its templates are of, and those that were asked for.
        self._forms: Lru[int, tuple[int, dict[int, mail_templates.Own], dict[int, Form]]] = Lru(
            _FORMS_BYTES,
            lambda _, kept: (
                _FORMS + sum(size(msgspec.structs.astuple(own.parts)) for own in kept[1].values())
            ),
        )

    def __call__(self, mail_ids: Sequence[int]) -> Mapping[int, Written | Dropped]:
        """Every mail, written, or why it is to be dropped. Raises Unavailable."""
        reader = self._database.read()
        try:
            return self._write(reader, mail_ids)
        finally:
            reader.end()

    def _write(self, tx: Reader, mail_ids: Sequence[int]) -> Mapping[int, Written | Dropped]:
        if not self._secret:
            self._secret = platform_secret.find(tx, platform_secret.MAIL)
        made: dict[int, Written | Dropped] = {id: Dropped("there is no reader") for id in mail_ids}
        by_site: dict[int, list[Fact]] = {}
        for fact in self._facts(tx, mail_ids):
            by_site.setdefault(fact.site_id, []).append(fact)
        for site_id, found in by_site.items():
            if found[0].is_site_deleted:
                made |= {fact.mail_id: Dropped("the site is gone") for fact in found}
                continue
            # All of one statement, so all of the same version.
            first = found[0]
            site = self._sites.at(site_id, first.site_version, first.acl_version, tx)
            made |= self._of_site(tx, site, self._sites.tree(site, tx), found)
        return made

    def _facts(self, tx: Reader, mail_ids: Sequence[int]) -> list[Fact]:
        """Facts of readers whose roles time has changed are read again once their roles are worked out."""
        found = mail_context.read(tx, mail_ids)
        due: dict[int, set[int]] = {}
        for fact in found:
            if fact.is_due:
                due.setdefault(fact.site_id, set()).add(fact.profile_id)
        if not due:
            return found
        tx.end()  # one connection at a time
        for site_id in sorted(due):
            with self._database.write() as writing:
                membership.settle_roles(writing, site_id, sorted(due[site_id]))
        return mail_context.read(tx, mail_ids)

    def _of_site(
        self, tx: Reader, site: Site, tree: Tree, found: Iterable[Fact]
    ) -> dict[int, Written | Dropped]:
        made: dict[int, Written | Dropped] = {}
        digests = []
        for fact in found:
            reason = mail_context.objection(fact, tree)
            if reason:
                made[fact.mail_id] = Dropped(reason)
            elif fact.type == mail_context.DIGEST:
                digests.append(fact)
            else:
                made[fact.mail_id] = self._update(tx, site, tree, fact)
        if digests:
            for fact, news in digest.read(tx, site, tree, digests):
                made[fact.mail_id] = self._digest(tx, site, fact, news)
        return made

    # ------------------------------------------------------------ one mail

    def _update(self, tx: Reader, site: Site, tree: Tree, fact: Fact) -> Written:
        kind = mail_templates.KINDS[fact.type]
        address = _Address(site, kind.name)
        values = {
            "actor_name": fact.actor_name,
            "actor_url": address.of(f"/profiles/{fact.actor_id}/"),
            "context_text": _context(fact),
            "context_url": address.of(_path(fact)),
        }
        if fact.type == update.NEW_ITEM and fact.item is not None:
            place = fact.item[2][0]
            # Who may read the item by being its author or the like may not see where it stands.
            seen = place in tree.view(fact.principal).set
            values["microcosm_title"] = tree.nodes[place].title if seen else "a forum"
        if fact.type == update.NEW_USER:
            # The address is for the owner of the site alone (M-05).
            tells = fact.is_site_owner and fact.actor_email
            values["new_user"] = fact.actor_name + (
                f" ({escape(fact.actor_email)})" if tells else ""
            )
        html = {}
        if kind.has_body:
            html["body"] = self._body(tx, site, tree, fact)
        return self._letter(tx, site, fact, values, {}, html)

    def _body(self, tx: Reader, site: Site, tree: Tree, fact: Fact) -> str:
        """The comment's HTML, made anew where an older pipeline made it (C-36)."""
        made: str = fact.html or ""
        if fact.renderer != RENDERER_VERSION:
            microcosm_id: int | None = 0
            if fact.item is not None:
                kind, _, found = fact.item
                microcosm_id = None if kind == itemtypes.HUDDLE else found[0]
            _, made = text.rerender(
                tx,
                site,
                lambda: tree,
                microcosm_id,
                fact.comment_id,
                fact.markdown,
                short_links=self._config().short_links,
            )
        return _FRAME.sub(r'<a href="\1">\1</a>', made)

    def _digest(
        self, tx: Reader, site: Site, fact: Fact, news: list[digest.News]
    ) -> Written | Dropped:
        if not news and not fact.unread_huddles:
            return Dropped("nothing is new")
        address = _Address(site, mail_templates.KINDS[mail_context.DIGEST].name)
        words = html_words = ""
        if fact.unread_huddles:
            many = fact.unread_huddles
            line = f"{many} private message{' is' if many == 1 else 's are'} unread."
            words = f"{line}\n{address.of('/huddles/')}\n\n"
            html_words = f'<p><a href="{escape(address.of("/huddles/"))}">{line}</a></p>\n'
        lines, items = [], []
        for one in news:
            link = address.of(itemtypes.href(one.type, one.id).removeprefix("/api/v1") + "/")
            title, place = plain(one.title), plain(one.microcosm_title)
            state = "new" if one.is_new else "new comments"
            lines.append(f"- {title} ({state}, in {place})\n  {link}")
            items.append(
                f'<li><a href="{escape(link)}">{escape(title)}</a> ({state}, in {escape(place)})</li>'
            )
        since = digest.local(fact.since or fact.created, fact.time_zone)
        return self._letter(
            tx,
            site,
            fact,
            {"since": since},
            {"items": "\n".join(lines) or "No conversations.", "huddles": words},
            {
                "items": f"<ul>\n{chr(10).join(items)}\n</ul>" if items else "",
                "huddles": html_words,
            },
        )

    def _letter(
        self,
        tx: Reader,
        site: Site,
        fact: Fact,
        values: dict[str, str],
        words: dict[str, str],
        html: dict[str, str],
    ) -> Written:
        kind = mail_templates.KINDS[fact.type]
        address = _Address(site, kind.name)
        way_out = unsubscribe.link(self._secret, site, fact.profile_id, unsubscribe.of(fact))
        filled = self._form(tx, site, fact.type).fill(
            values
            | {
                "recipient_name": fact.name,
                "settings_url": address.of("/updates/settings/"),
                "site_title": site.title,
                "site_url": site.page(""),
                "unsubscribe_url": way_out,
                "updates_url": address.of("/updates/"),
            },
            words,
            html,
        )
        headers = [
            ("List-Id", f"<{site.host}>"),
            *unsubscribe.headers(way_out).items(),
        ]
        thread = _thread(fact)
        if thread:
            # The same for all mails about an item, so that programs show them together.
            root = f"<{thread}.{site.id}@{site.platform_domain}>"
            headers += [("References", root), ("In-Reply-To", root)]
        return Written(
            fact.email,
            plain(site.title),
            filled.subject,
            filled.text,
            _page(filled, site),
            tuple(headers),
        )

    def _form(self, tx: Reader, site: Site, number: int) -> Form:
        """The site's own template, else the package's. Read once a version of the site."""
        kept = self._forms.get(site.id)
        if kept is None or kept[0] != site.version:
            kept = (site.version, mail_templates.own(tx, site.id), {})
            self._forms.add(site.id, kept)
        found = kept[2].get(number)
        if found is None:
            own = kept[1].get(number)
            found = kept[2][number] = Form(own.parts if own else mail_templates.packaged(number))
        return found


class _Address:
    """Addresses on a site, each saying which mail led to it."""

    def __init__(self, site: Site, campaign: str) -> None:
        self._site = site
        mark = f"?utm_source=notification&utm_medium=email&utm_campaign={campaign}"
        self._mark = mark if site.pages else ""

    def of(self, path: str) -> str:
        return self._site.page(path) + self._mark


def _context(fact: Fact) -> str:
    """The title of what it is about, as stored."""
    title: str = fact.title
    if fact.type == update.NEW_USER:
        title = fact.actor_name
    elif fact.on_profile[0] and fact.type in mail_context.COMMENTED:
        title = fact.on_profile[1]
    return title


def _path(fact: Fact) -> str:
    """Where the mail leads (discovery 4.3)."""
    if fact.type in mail_context.COMMENTED:
        return f"/comments/{fact.comment_id}/incontext/"
    if fact.type == update.NEW_USER:
        return f"/profiles/{fact.actor_id}/"
    return itemtypes.href(fact.item_type, fact.item_id).removeprefix("/api/v1") + "/"


def _thread(fact: Fact) -> str:
    """What mails about the same item have in common; "" for those about none."""
    if fact.item is not None:
        return f"{itemtypes.name_of(fact.item[0])}.{fact.item[1]}"
    return f"profile.{fact.on_profile[0]}" if fact.on_profile[0] else ""


def _page(filled: Filled, site: Site) -> str:
    """A minimal document around the HTML part; addresses on the site are whole."""

    def whole(match: re.Match[str]) -> str:
        return match[1] + escape(site.page(unescape(match[2])))

    body = _RELATIVE.sub(whole, filled.html)
    return (
        '<!doctype html>\n<html>\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(filled.subject)}</title>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
