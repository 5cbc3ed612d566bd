"""Texts of seeded comments, each rendered once by the platform's pipeline and reused as finished fields for COPY."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from forumapi.command.seed import phrases
from forumapi.command.seed.bulk_loader import Store, field
from forumapi.command.seed.corpus import SEED, Corpus
from forumapi.text import render, short_link_code

KNOWN_LINKS: Final = (
    "SELECT url, link_id, code FROM links WHERE host = ANY(%(hosts)s) AND code IS NOT NULL"
)


class Rendered(NamedTuple):
    """Text of a comment: Markdown and HTML, both escaped as fields for COPY, and the ids of its links."""

    markdown: str
    html: str
    links: tuple[int, ...]


class Texts:
    """Renderer of the corpus's texts, each at its first use. An address in a text gets the short link that the database
    has for it, else a new one, which `write_links` stores.

    `jump`: address of a short link without its code.
    """

    def __init__(self, store: Store, corpus: Corpus, jump: str) -> None:
        self._store = store
        self._corpus = corpus
        self._jump = jump
        self._posts: dict[int, Rendered] = {}
        self._mentions: dict[tuple[int, int], Rendered] = {}
        # Read now, since no query can run while a COPY does.
        hosts = sorted({_host(url) for url in phrases.LINKS})
        self._links = {
            url: (link_id, code) for url, link_id, code in store.rows(KNOWN_LINKS, hosts=hosts)
        }
        self._new_links: list[str] = []

    def post(self, number: int) -> Rendered:
        """Return the rendered post `number` of the corpus."""
        found = self._posts.get(number)
        if found is None:
            found = self._posts[number] = self._render(self._corpus.text(number), {})
        return found

    def mention(self, name: str, profile_id: int, number: int) -> Rendered:
        """Return a rendered sentence that mentions the profile of this name and id; `number`, any integer, chooses the
        sentence.
        """
        phrase = number % len(phrases.MENTIONS)
        found = self._mentions.get((profile_id, phrase))
        if found is None:
            source = phrases.MENTIONS[phrase].format(name=name)
            found = self._render(source, {name.lower(): profile_id})
            self._mentions[profile_id, phrase] = found
        return found

    def write_links(self) -> None:
        """COPY the links that are new since the previous call into the table `links`."""
        self._store.copy(
            "links", "link_id url_hash url host code has_old_code lead", self._new_links
        )
        self._new_links.clear()

    def _render(self, source: str, people: dict[str, int]) -> Rendered:
        # No text links to a site of ours, so own hosts do not matter and sites can share the HTML.
        draft = render.prepare(source, own_hosts=frozenset(), file_host=None, jump=self._jump)
        short = {url: self._jump + self._link(url)[1] for url in draft.urls}
        content = render.finish(draft, mentions=people, short_links=short)
        links = tuple(self._links[url][0] for url in content.urls)
        return Rendered(field(source), field(content.html), links)

    def _link(self, url: str) -> tuple[int, str]:
        """Return id and code of the short link to `url`; if there is none yet, make one, which `write_links` stores."""
        found = self._links.get(url)
        if found is None:
            link_id = self._store.take("links", 1)
            code = short_link_code.draw(Random(f"{SEED} {url}"))
            digest = hashlib.sha256(url.encode()).hexdigest()
            self._new_links.append(
                f"{link_id}\t\\\\x{digest}\t{field(url)}\t{field(_host(url))}\t{code}\tf\t{code[0]}\n"
            )
            found = self._links[url] = (link_id, code)
        return found


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
