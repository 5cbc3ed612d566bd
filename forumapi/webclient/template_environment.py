"""Jinja environments of the website, one for each language, and the filters that its templates use."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from html import unescape
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, PackageLoader, StrictUndefined, nodes
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from forumapi.webclient import languages, page_metadata, static
from forumapi.webclient.api import PREFIX

plain = page_metadata.plain

_FRAME: Final = re.compile(r'<iframe [^>]*?src="([^"]*)"[^>]*></iframe>')
_PICTURE: Final = re.compile(r"<img ([^>]*)>")
_SRC: Final = re.compile(r'(?:^|\s)src="([^"]*)"')
_ELSEWHERE: Final = 'rel="nofollow noopener noreferrer" target="_blank"'
# Marks of programs and systems, the telling ones first: each also names those that it descends from.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_ALT: Final = re.compile(r'(?:^|\s)alt="([^"]*)"')


class _Translator(NodeTransformer):
    """Translation of texts without values at the compilation of a template: each language has templates of its own."""

    def __init__(self, code: str) -> None:
        self._code = code

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - the name that Jinja calls
        """Replace `_('text')` by its translation, which the compiler joins with the markup around it."""
        node = self.generic_visit(node)  # type: ignore[assignment]
        is_text = isinstance(node.node, nodes.Name) and node.node.name in ("_", "gettext")
        if not is_text or node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) != 1:
            return node
        text = node.args[0]
        if not isinstance(text, nodes.Const):
            return node
        said = nodes.Const(str(_whole(self._code, text.value)), lineno=node.lineno)
        return nodes.MarkSafe(said, lineno=node.lineno)


class _Environment(Environment):
    """Environment in which `a.b` of a JSON object is its member; an absent one counts as false, and prints nothing."""

    def __init__(self, code: str, **options: Any) -> None:
        super().__init__(**options)
        self._code = code

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        return super()._generate(_Translator(self._code).visit(source), *args, **options)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:
            value = obj.get(attribute, _ABSENT)
            return ChainableUndefined(name=attribute) if value is _ABSENT else value
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        # Without this an absent "update" would be the method of that name, which counts as true.
        if type(obj) is dict:
            value = obj.get(argument, _ABSENT)
            return self.undefined(obj=obj, name=argument) if value is _ABSENT else value
        return super().getitem(obj, argument)


_ABSENT: Final = object()


@lru_cache
def environment(code: str) -> Environment:
    """Return the templates of a language, compiled when they are first used."""
    made = _Environment(
        code,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        loader=PackageLoader("forumapi.webclient", "templates"),
        extensions=["jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
    )
    found = languages.functions(code)
    made.install_gettext_callables(  # type: ignore[attr-defined]
        found["gettext"],
        found["ngettext"],
        newstyle=True,
        pgettext=found["pgettext"],
        npgettext=found["npgettext"],
    )
    # A text without values, of which a thread has hundreds, is translated and marked once.
    made.globals["gettext"] = made.globals["_"] = lambda text, **values: _translated(
        code, text, values
    )
    language = languages.language(code)
    made.globals["language"] = language
    made.globals["file"] = static.address
    made.globals["posting"] = page_metadata.posting
    made.filters["text"] = page_metadata.text_of
    made.filters["picture"] = page_metadata.picture_of
    made.filters["xml"] = page_metadata.xml
    made.filters["plain"] = plain
    made.filters["content"] = content
    made.filters["marked"] = marked
    made.filters["marked_in"] = marked_in
    made.filters["page"] = page_address
    made.filters["when"] = lambda text, now: _when(code, text, now)
    made.filters["date"] = lambda text, form="minute": languages.dated(code, text, form)
    made.filters["device"] = device
    made.filters["count"] = lambda value: languages.number(code, value)
    return made


@lru_cache(4096)
def _text(code: str, text: str) -> Markup:
    return Markup(languages.language(code).gettext(text))


@lru_cache(4096)
def _whole(code: str, text: str) -> Markup:
    return _text(code, text) % {}


def _translated(code: str, text: str, values: dict[str, Any]) -> Markup:
    """Translate a text, with values in it that are escaped unless they are Markup."""
    return _text(code, text) % values if values else _whole(code, text)


def device(user_agent: str) -> str:
    """Name the browser and the system of a User-Agent header, such as "Firefox, Linux"; "" when neither is known."""
    known = (
        next((name for mark, name in names if mark in user_agent), "")
        for names in (_BROWSERS, _SYSTEMS)
    )
    return ", ".join(name for name in known if name)


def content(html: Any) -> Markup:
    """Mark what the API has rendered and sanitised as HTML; what would be fetched from elsewhere becomes a link.

    Embeds and pictures of other hosts are links until somebody follows them: no third party learns who reads.
    """
    text = str(html or "")
    if "<iframe" in text:
        text = _FRAME.sub(_link_frame, text)
    if "<pre>" in text:
        # It scrolls, and so has to be reached by the keyboard.
        text = text.replace("<pre>", '<pre tabindex="0">')
    if "<img" in text:
        text = _PICTURE.sub(_link_picture, text)
    return Markup(text)


def marked(text: Any) -> Markup:
    """Mark what a search has found in a text: the API escapes it, and puts the words found into <b>."""
    return Markup(str(text or "").replace("<b>", "<mark>").replace("</b>", "</mark>"))


def marked_in(title: Any, highlight: Any) -> Markup | None:
    """Mark what a search has found within a title; None where it has found something else than the title."""
    text = str(highlight or "")
    bare = plain(text.replace("<b>", "").replace("</b>", ""))
    if not bare:
        return None
    before, found, after = str(plain(title)).partition(bare)
    if not found:
        return None
    return escape(before) + marked(text) + escape(after)


def _link_frame(found: re.Match[str]) -> str:
    source = found[1]
    host = escape(unescape(source).partition("://")[2].partition("/")[0])
    return f'<span class="elsewhere"><a href="{source}" {_ELSEWHERE}>▶ {host}</a></span>'


def _link_picture(found: re.Match[str]) -> str:
    source = _SRC.search(found[1])
    if source is None:
        return ""
    address = source[1]
    if address.startswith("/") and not address.startswith(("//", "/\\")):
        return f'<img loading="lazy" {found[1]}>'
    alt = _ALT.search(found[1])
    label = (alt[1] if alt else "") or address
    return f'<a class="elsewhere" href="{address}" {_ELSEWHERE}>{label}</a>'


def page_address(href: Any) -> str:
    """Return the page of an address of the API: of `/api/v1/events/8?offset=25` it is `/events/8/?offset=25`."""
    path, mark, query = str(href).partition("?")
    path = path.removeprefix(PREFIX)
    if path in ("", "/microcosms"):
        path = "/"
    elif not path.endswith("/"):
        path += "/"
    return f"{path}{mark}{query}"


def _when(code: str, text: str, now: datetime) -> Markup:
    said = escape(languages.ago(code, text, now))
    return Markup(f'<time datetime="{escape(text)}" data-ago>{said}</time>')
