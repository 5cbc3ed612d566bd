"""Rendering of mail about updates and of digests, when it is sent: from its context, the reader's permissions and a
template.

Statements for a batch: two for all contexts; for each site that has changed, its microcosms and templates; two more for
each site with digests, and one if its plan limits mails and what it uses was not read lately.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape, unescape
from typing import TYPE_CHECKING, Final

import msgspec
from markupsafe import Markup

from forumapi import itemtypes, templates
from forumapi.cache.lru_cache import Lru, size
from forumapi.database.connections import Database, Reader
from forumapi.mail.outbox import Dropped, Written, plain
from forumapi.models.access import platform_secret
from forumapi.models.notifications import update_types
from forumapi.models.roles import role_recomputation
from forumapi.models.texts import text_rendering
from forumapi.text.render import RENDERER_VERSION
from forumapi.updates import (
    decision_mail,
    digest,
    mail_templates,
    message_context,
    sending_decision,
    unsubscribe,
)
from forumapi.updates.mail_templates import CompiledTemplate, RenderedMail
from forumapi.updates.message_context import MessageContext

if TYPE_CHECKING:
    from forumapi.config import Config
    from forumapi.models.sites.site import Site
    from forumapi.models.sites.site_cache import SiteCache
    from forumapi.permissions.evaluator import Tree

# Bytes of the cache of compiled templates.
_CACHE_BYTES: Final = 4 * 1024 * 1024
# Measured bytes of the objects around the templates of one site.
_SITE_BYTES: Final = 6_000

# Mail programs show no frames: each becomes a link.
_FRAME: Final = re.compile(r'<iframe[^>]*?\ssrc="([^"]*)"[^>]*>\s*</iframe>')
# Relative URLs, which are made absolute.
_RELATIVE: Final = re.compile(r'(<(?:a|img)\s(?:[^>]*?\s)?(?:href|src)=")(/(?!/)[^"]*)')


class EmailWriter:
    """Renderer of queued mails, one for each process, called by the outbox. `sites`: cache of sites, for present
    titles, addresses and rights; `config()` returns the present settings; `take_mail(tx, site)` returns True if the
    plan of a site allows one more mail, and counts it. Digests ask for it here, as what they list is known only now;
    mails about updates have asked when they were queued.
    """

    def __init__(
        self,
        database: Database,
        sites: SiteCache,
        config: Callable[[], Config],
        take_mail: Callable[[Reader, Site], bool],
    ) -> None:
        self._database = database
        self._sites = sites
        self._config = config
        self._take_mail = take_mail
        self._secret = b""
        # Site id -> version, own templates, and compiled templates.
        self._templates: Lru[
            int, tuple[int, dict[int, mail_templates.SiteTemplate], dict[int, CompiledTemplate]]
        ] = Lru(
            _CACHE_BYTES,
            lambda _, kept: (
                _SITE_BYTES
                + sum(size(msgspec.structs.astuple(own.parts)) for own in kept[1].values())
            ),
        )

    def __call__(self, mail_ids: Sequence[int]) -> Mapping[int, Written | Dropped]:
        """Render the queued mails with these ids; return for each id the mail, or the reason to drop it. Raises
        Unavailable if the database can't be reached.
        """
        reader = self._database.read()
        try:
            return self._write(reader, mail_ids)
        finally:
            reader.end()

    def _write(self, tx: Reader, mail_ids: Sequence[int]) -> Mapping[int, Written | Dropped]:
        if not self._secret:
            self._secret = platform_secret.find(tx, platform_secret.MAIL)
        made: dict[int, Written | Dropped] = {id: Dropped("the reader is gone") for id in mail_ids}
        decisions = decision_mail.read(tx, mail_ids)
        for decision in decisions:
            reason = decision.objection()
            if reason:
                made[decision.mail_id] = Dropped(reason)
                continue
            site = self._sites.at(decision.site_id, decision.site_version, decision.acl_version, tx)
            made[decision.mail_id] = decision_mail.write(self._secret, site, decision)
        others = sorted(set(mail_ids) - {decision.mail_id for decision in decisions})
        by_site: dict[int, list[MessageContext]] = {}
        for context in self._contexts(tx, others) if others else ():
            by_site.setdefault(context.site_id, []).append(context)
        for site_id, found in by_site.items():
            if found[0].is_site_deleted:
                made |= {context.mail_id: Dropped("the site is gone") for context in found}
                continue
            # All contexts are of one statement, so of the same version.
            first = found[0]
            site = self._sites.at(site_id, first.site_version, first.acl_version, tx)
            made |= self._of_site(tx, site, self._sites.tree(site, tx), found)
        return made

    def _contexts(self, tx: Reader, mail_ids: Sequence[int]) -> list[MessageContext]:
        """Read the contexts of the mails with these ids, in any order; mails whose reader is gone are left out. Roles
        of readers that are due to change with time are recomputed before, in transactions of their own.
        """
        found = message_context.read(tx, mail_ids)
        due: dict[int, set[int]] = {}
        for context in found:
            if context.is_due:
                due.setdefault(context.site_id, set()).add(context.profile_id)
        if not due:
            return found
        tx.end()  # one connection at a time
        for site_id in sorted(due):
            with self._database.write() as writing:
                role_recomputation.recompute_roles(writing, site_id, sorted(due[site_id]))
        return message_context.read(tx, mail_ids)

    def _of_site(
        self, tx: Reader, site: Site, tree: Tree, found: Iterable[MessageContext]
    ) -> dict[int, Written | Dropped]:
        made: dict[int, Written | Dropped] = {}
        digests = []
        for context in found:
            reason = sending_decision.objection(context, tree)
            if reason:
                made[context.mail_id] = Dropped(reason)
            elif context.type == update_types.DIGEST:
                digests.append(context)
            else:
                made[context.mail_id] = self._update(tx, site, tree, context)
        if digests:
            for context, news in digest.read(tx, site, tree, digests):
                made[context.mail_id] = self._digest(tx, site, context, news)
        return made

    # ------------------------------------------------------------ one mail

    def _update(self, tx: Reader, site: Site, tree: Tree, context: MessageContext) -> Written:
        kind = mail_templates.KINDS[context.type]
        links = _Links(site, kind.name)
        values = {
            "actor_name": context.actor_name,
            "actor_url": links.of(f"/profiles/{context.actor_id}/"),
            "context_text": _title(context),
            "context_url": links.of(_path(context)),
        }
        if context.type == update_types.NEW_ITEM and context.item is not None:
            place = context.item[2][0]
            # A reader such as the item's author may have no right to read its microcosm.
            seen = place in tree.view(context.principal).set
            values["microcosm_title"] = tree.nodes[place].title if seen else "a forum"
        if context.type == update_types.NEW_USER:
            # Only the owner of the site sees the e-mail address (M-05).
            tells = context.is_site_owner and context.actor_email
            values["new_user"] = context.actor_name + (
                f" ({escape(context.actor_email)})" if tells else ""
            )
        html = {}
        if kind.has_body:
            html["body"] = self._body(tx, site, tree, context)
        return self._rendered(tx, site, context, values, {}, html)

    def _body(self, tx: Reader, site: Site, tree: Tree, context: MessageContext) -> str:
        """Return the HTML of the comment that a mail quotes, with links in place of frames; HTML that another version
        of the renderer made is first rendered anew and stored (C-36). `context`: the mail's; `tree`: the microcosms of
        `site`, the mail's site.
        """
        made: str = context.html or ""
        if context.renderer != RENDERER_VERSION:
            microcosm_id: int | None = 0
            if context.item is not None:
                kind, _, found = context.item
                microcosm_id = None if kind == itemtypes.HUDDLE else found[0]
            _, made = text_rendering.rerender(
                tx,
                site,
                lambda: tree,
                microcosm_id,
                context.comment_id,
                context.markdown,
                short_links=self._config().short_links,
            )
        return _FRAME.sub(r'<a href="\1">\1</a>', made)

    def _digest(
        self, tx: Reader, site: Site, context: MessageContext, news: list[digest.DigestItem]
    ) -> Written | Dropped:
        if not news and not context.unread_huddles:
            return Dropped("nothing is new")
        if not self._take_mail(tx, site):
            return Dropped("the plan of the site allows no more mails today")
        links = _Links(site, mail_templates.KINDS[update_types.DIGEST].name)
        listed = [
            {
                "title": plain(item.title),
                "place": plain(item.microcosm_title),
                "is_new": item.is_new,
                "url": links.of(itemtypes.href(item.type, item.id).removeprefix("/api/v1") + "/"),
            }
            for item in news
        ]
        huddles = {"count": context.unread_huddles, "url": links.of("/huddles/")}
        text, html = (
            {
                "items": templates.render(f"mail/digest/items.{end}", news=listed),
                "huddles": templates.render(f"mail/digest/huddles.{end}", **huddles),
            }
            for end in ("txt", "html")
        )
        since = digest.local(context.since, context.time_zone)
        return self._rendered(tx, site, context, {"since": since}, text, html)

    def _rendered(
        self,
        tx: Reader,
        site: Site,
        context: MessageContext,
        values: dict[str, str],
        words: dict[str, str],
        html: dict[str, str],
    ) -> Written:
        kind = mail_templates.KINDS[context.type]
        links = _Links(site, kind.name)
        unsubscribe_url = unsubscribe.link(
            self._secret, site, context.profile_id, unsubscribe.kind_of(context)
        )
        template = self._template(tx, site, context.type)
        filled = template.render(
            values
            | {
                "recipient_name": context.name,
                "settings_url": links.of("/updates/settings/"),
                "site_title": site.title,
                "site_url": site.page(""),
                "unsubscribe_url": unsubscribe_url,
                "updates_url": links.of("/updates/"),
            },
            words,
            html,
        )
        headers = [
            ("List-Id", f"<{site.host}>"),
            *unsubscribe.headers(unsubscribe_url).items(),
        ]
        thread = _thread(context)
        if thread:
            # The same for all mails about an item, so that mail programs group them.
            root = f"<{thread}.{site.id}@{site.platform_domain}>"
            headers += [("References", root), ("In-Reply-To", root)]
        return Written(
            context.email,
            plain(site.title),
            filled.subject,
            filled.text,
            _document(filled, site, is_own=template.is_own),
            tuple(headers),
        )

    def _template(self, tx: Reader, site: Site, number: int) -> CompiledTemplate:
        """Return the compiled template of the kind `number` (of the update type, 0: digest): the site's own, else the
        package's. A site's templates are read once for each version of the site.
        """
        kept = self._templates.get(site.id)
        if kept is None or kept[0] != site.version:
            kept = (site.version, mail_templates.own(tx, site.id), {})
            self._templates.add(site.id, kept)
        found = kept[2].get(number)
        if found is None:
            own = kept[1].get(number)
            found = kept[2][number] = CompiledTemplate(
                own.parts if own else mail_templates.packaged(number), is_own=own is not None
            )
        return found


class _Links:
    """Maker of the links in one mail. `campaign`: kind of the mail; links to pages of the site name it in their query,
    for web analytics, and links to the API, of a site without pages, do not.
    """

    def __init__(self, site: Site, campaign: str) -> None:
        self._site = site
        mark = f"?utm_source=notification&utm_medium=email&utm_campaign={campaign}"
        self._mark = mark if site.pages else ""

    def of(self, path: str) -> str:
        return self._site.page(path) + self._mark


def _title(context: MessageContext) -> str:
    """Return, HTML-escaped as stored, the title of the item that the mail is about, or the name of the new profile or
    of the profile that was commented on.
    """
    title: str = context.title
    if context.type == update_types.NEW_USER:
        title = context.actor_name
    elif context.on_profile[0] and context.type in update_types.COMMENTED:
        title = context.on_profile[1]
    return title


def _path(context: MessageContext) -> str:
    """Return the path of the page that the mail links to, below the address of the site's pages: the comment in its
    context, the new profile, or the item (discovery 4.3).
    """
    if context.type in update_types.COMMENTED:
        return f"/comments/{context.comment_id}/incontext/"
    if context.type == update_types.NEW_USER:
        return f"/profiles/{context.actor_id}/"
    return itemtypes.href(context.item_type, context.item_id).removeprefix("/api/v1") + "/"


def _thread(context: MessageContext) -> str:
    """Return a key that is the same for all mails about one item, or about the comments on one profile, so that mail
    programs group them; "" for other mails.
    """
    if context.item is not None:
        return f"{itemtypes.name_of(context.item[0])}.{context.item[1]}"
    return f"profile.{context.on_profile[0]}" if context.on_profile[0] else ""


def _document(filled: RenderedMail, site: Site, *, is_own: bool) -> str:
    """Return the HTML part of the mail `filled` as a whole HTML document, in which addresses of links and pictures that
    begin with / are made absolute, on the site. `is_own`: the part was made by a template of the site, not by the
    package's.
    """

    def whole(match: re.Match[str]) -> str:
        return match[1] + escape(site.page(unescape(match[2])))

    body = _RELATIVE.sub(whole, filled.html)
    return templates.render(
        "mail/document.html",
        site_title=Markup(site.title),
        subject=filled.subject,
        body=Markup(body),
        is_own=is_own,
    )
