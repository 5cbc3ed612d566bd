"""Jinja environments of the website, one for each language, and the filters that its templates use."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from functools import lru_cache, partial
from html import unescape
from types import FunctionType
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, PackageLoader, StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame, optimizeconst
from jinja2.runtime import Context, Macro
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from markupsafe import Markup, escape

from forumapi.webclient import dates_and_numbers, languages, page_metadata, static
from forumapi.webclient.api import PREFIX

plain = page_metadata.plain

_FRAME: Final = re.compile(r'<iframe [^>]*?src="([^"]*)"[^>]*></iframe>')
_PICTURE: Final = re.compile(r"<img ([^>]*)>")
_SRC: Final = re.compile(r'(?:^|\s)src="([^"]*)"')
_SIZED: Final = re.compile(r"(?:^|\s)(?:width|height)=")
_FILE: Final = re.compile(rf"{PREFIX}/files/([0-9a-f]{{40}})(?:\.[^?]*)?")
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
    """Transformer of templates' syntax trees that translates texts into the language `code` when a template is
    compiled, so that values alone are left to be filled in.
    """

    def __init__(self, code: str) -> None:
        self._code = code

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - the name that Jinja calls
        """Return the node to stand in place of `node`. For `_('text')` or `gettext('text')` without values: its
        translation, marked as safe, so that the compiler joins it with the markup around it. With values, and for
        `ngettext('one', 'many', count)`: a filter, whose function is called without a search for it. For any other call
        the node itself.
        """
        self.generic_visit(node)
        if not isinstance(node.node, nodes.Name) or node.dyn_args or node.dyn_kwargs:
            return node
        name = node.node.name
        texts = [one.value for one in node.args if isinstance(one, nodes.Const)]
        if name in ("_", "gettext") and len(node.args) == len(texts) == 1:
            if node.kwargs:
                said = nodes.Const(str(_text(self._code, texts[0])), lineno=node.lineno)
                return _filter("filled", said, [], node)
            said = nodes.Const(str(_whole(self._code, texts[0])), lineno=node.lineno)
            return nodes.MarkSafe(said, lineno=node.lineno)
        if name == "ngettext" and len(node.args) == 3 and len(texts) >= 2:
            return _filter("counted", node.args[0], node.args[1:], node)
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - the name that Jinja calls
        """Return `node`, in which each value that the filter `plain` makes is made by `printed_plain` instead, which
        returns the text as it is printed. No template turns autoescaping off.
        """
        node = self.generic_visit(node)  # type: ignore[assignment]
        for one in node.nodes:
            _print_plain(one)
        return node


def _print_plain(node: nodes.Expr) -> None:
    """Have `printed_plain` make the value of `node`, which is going to be printed, if the filter `plain` makes it. Of
    `a or b`, only `b` is sure to be printed.
    """
    if isinstance(node, nodes.Or):
        node = node.right
    if isinstance(node, nodes.Filter) and node.name == "plain":
        node.name = "printed_plain"


def _filter(name: str, value: nodes.Expr, args: list[nodes.Expr], call: nodes.Call) -> nodes.Filter:
    """Return a node that applies the filter `name` to `value`, with `args` and the keyword arguments of `call`, which
    the filter prints.
    """
    for one in call.kwargs:
        _print_plain(one.value)
    return nodes.Filter(value, name, args, call.kwargs, None, None, lineno=call.lineno)


class _Generator(CodeGenerator):
    """Generator of templates' code in which the function `printed` prints each value where autoescaping is on, except
    that safe HTML (Markup) stays as it is without a call; a member of a dict is looked up in place, without a call too.
    """

    @optimizeconst
    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - the name that Jinja calls
        """Write the expression for `node`, an attribute of an object or a member of a dict, as `_Environment.getattr`
        returns it.
        """
        name = repr(node.attr)
        self.write(
            f"((holder[{name}] if {name} in holder else environment.absent({name})) if type(holder := "
        )
        self.visit(node.node, frame)
        self.write(f") is dict else environment.getattr(holder, {name}))")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape:
            super()._output_child_pre(node, frame, finalize)
            return
        self.write("(shown if type(shown := ")
        if finalize.src is not None:
            self.write(finalize.src)

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape:
            super()._output_child_post(node, frame, finalize)
            return
        if finalize.src is not None:
            self.write(")")
        self.write(") is Markup else environment.printed(shown))")


class _Context(Context):
    """Context of a rendering, which calls macros and functions without asking first what kind of callable they are. A
    macro's HTML is safe, since no template turns autoescaping off.
    """

    def call(self, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return what `obj`, a macro or another callable, returns for these arguments, as Jinja's own method does."""
        is_macro = type(obj) is Macro
        if not is_macro and (type(obj) is not FunctionType or hasattr(obj, "jinja_pass_arg")):
            return super().call(obj, *args, **kwargs)
        if kwargs:
            kwargs.pop("_loop_vars", None)
            kwargs.pop("_block_vars", None)
        if not is_macro:
            return obj(*args, **kwargs)
        absent = len(obj.arguments) - len(args)
        if kwargs or absent < 0 or obj.caller or obj.catch_kwargs or obj.catch_varargs:
            return obj(self.eval_ctx, *args, **kwargs)
        # The macro's code has the defaults.
        return _safe(Markup, obj._func(*args, *(missing,) * absent))


class _Environment(Environment):
    """Jinja environment for the language `code`, in which `a.b` and `a['b']` of a dict are its values alone, never its
    methods. As `a.b` an absent key is false and prints nothing; as `a['b']` it raises, as other unknown names do.
    """

    code_generator_class = _Generator
    context_class = _Context

    def __init__(self, code: str, **options: Any) -> None:
        super().__init__(**options)
        self._code = code
        self.printed = printed
        self.absent = _nothing

    def _generate(self, source: nodes.Template, *args: Any, **options: Any) -> str:
        return super()._generate(_Translator(self._code).visit(source), *args, **options)

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return the globals of a template as a dict, the environment's own one if `d`, further globals, is None or
        empty. Jinja's ChainMap is slow to go through, which each import, include and rendering does.
        """
        return {**self.globals, **d} if d else self.globals

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict:
            value = obj.get(attribute, _ABSENT)
            return _nothing(attribute) if value is _ABSENT else value
        try:
            return getattr(obj, attribute)
        except AttributeError:
            return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        # Without this an absent "update" would be the method of that name, which counts as true.
        if type(obj) is dict:
            value = obj.get(argument, _ABSENT)
            return self.undefined(obj=obj, name=argument) if value is _ABSENT else value
        return super().getitem(obj, argument)


_ABSENT: Final = object()
# `_safe(Markup, text)` is `Markup(text)` for a str, without the calls that any other value needs.
_safe: Final = str.__new__


@lru_cache(1024)
def _nothing(name: str) -> ChainableUndefined:
    return ChainableUndefined(name=name)


# CSS pixels that a picture below a comment is high at most; style sheets have the same.
_MOST_HIGH: Final = 384
# Characters of a text whose escaped form is kept: names, addresses and times stand on a page dozens of times.
_KEPT: Final = 100


def printed(value: Any) -> str:
    """Return the text that a template prints for a value, escaped as `markupsafe.escape` does it, but faster for safe
    HTML (Markup), which stays as it is, numbers and short texts.
    """
    kind = type(value)
    if kind is str:
        return _escaped(value) if len(value) <= _KEPT else escape(value)
    if kind is Markup:
        safe: str = value
        return safe
    return str(value) if kind is int else escape(value)


@lru_cache(8192)
def _escaped(text: str) -> Markup:
    return escape(text)


def printed_plain(value: Any) -> Any:
    """Return the text that a template prints for a plain text of the API: `printed` of `plain`, which is kept for short
    texts.
    """
    if type(value) is str and len(value) <= _KEPT:
        return _escaped_plain(value)
    return printed(plain(value))


@lru_cache(8192)
def _escaped_plain(text: str) -> Markup:
    return escape(plain(text))


@lru_cache
def environment(code: str) -> Environment:
    """Return the Jinja environment of the language `code`, with the website's filters and globals, the same one at each
    call; templates are compiled at first use and kept.
    """
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
    made.globals["gettext"] = made.globals["_"] = partial(_translated, code)
    language = languages.language(code)
    made.globals["ngettext"] = made.filters["counted"] = partial(_translated_plural, code)
    made.filters["filled"] = _filled
    made.globals["language"] = language
    made.globals["file"] = static.address
    made.globals["posting"] = page_metadata.posting
    made.filters["text"] = page_metadata.text_of
    made.filters["picture"] = page_metadata.picture_of
    made.filters["xml"] = page_metadata.xml
    made.filters["plain"] = plain
    made.filters["printed_plain"] = printed_plain
    made.filters["content"] = content
    made.filters["size"] = size
    made.filters["marked"] = marked
    made.filters["marked_in"] = marked_in
    made.filters["page"] = _page
    made.filters["when"] = partial(_when, code)
    made.filters["date"] = partial(dates_and_numbers.dated, code)
    made.filters["clock"] = partial(_clock, code)
    made.filters["device"] = device
    made.filters["count"] = partial(dates_and_numbers.number, code)
    made.filters["figure"] = figure
    return made


@lru_cache(4096)
def _text(code: str, text: str) -> Markup:
    return Markup(languages.language(code).gettext(text))


@lru_cache(4096)
def _whole(code: str, text: str) -> Markup:
    return _text(code, text) % {}


def _translated(code: str, text: str, /, **values: Any) -> Markup:
    """Return the translation of an English text into the language `code`, with `values` filled in for `%(name)s`;
    values that are no Markup are escaped.
    """
    return _filled(_text(code, text), **values) if values else _whole(code, text)


def _filled(text: str, /, **values: Any) -> Markup:
    """Return `text` with `values` filled in for `%(name)s`, as `text % values` does it, but faster: numbers stay as
    they are, for `%(name)d`, and anything else is printed.
    """
    for name, value in values.items():
        if type(value) is not Markup and not isinstance(value, int | float):
            values[name] = printed(value)
    return _safe(Markup, str.__mod__(text, values))


@lru_cache(4096)
def _plural(code: str, one: str, many: str, count: Any) -> Markup:
    return Markup(languages.language(code).ngettext(one, many, count))


@lru_cache(4096, typed=True)
def _whole_plural(code: str, one: str, many: str, count: Any, number: Any) -> Markup:
    return _plural(code, one, many, count) % {"num": number}


def _translated_plural(
    code: str, one: str, many: str, count: Any, /, num: Any = None, **values: Any
) -> Markup:
    """Return the plural form for `count` of a text's translation into the language `code` (`one` and `many`: the
    English forms), with `values` filled in for `%(name)s`, and `num` for `%(num)s`, or `count` if `num` is None; values
    that are no Markup are escaped.
    """
    if num is None:
        num = count
    if values:
        return _filled(_plural(code, one, many, count), num=num, **values)
    return _whole_plural(code, one, many, count, num)


def device(user_agent: str) -> str:
    """Return the names of the browser and the system in a User-Agent header, such as "Firefox, Linux"; one name alone
    if the other is unknown, "" if both are.
    """
    known = (
        next((name for mark, name in names if mark in user_agent), "")
        for names in (_BROWSERS, _SYSTEMS)
    )
    return ", ".join(name for name in known if name)


def content(html: Any, files: Any = ()) -> Markup:
    """Mark HTML that the API has sanitised as safe for a template. Embedded frames become links, and so do pictures
    whose source is anything but a path of this host, even a whole URL on it; pictures without a source are removed.
    None is "". `files`: attachments as the API shows them, whose pictures get their width and height in the text, so
    that it does not jump when they come.

    So no third party learns who reads a page. Code blocks can be reached by the keyboard.
    """
    text = str(html or "")
    if "<iframe" in text:
        text = _FRAME.sub(_link_frame, text)
    if "<pre>" in text:
        # It scrolls, and so has to be reached by the keyboard.
        text = text.replace("<pre>", '<pre tabindex="0">')
    if "<img" in text:
        sizes = {
            one["fileHash"]: f' width="{one["width"]}" height="{one["height"]}"'
            for one in files or ()
            if "width" in one
        }
        text = _PICTURE.sub(lambda found: _link_picture(found, sizes), text)
    return Markup(text)


def size(file: Any) -> Markup:
    """Return the attributes width and height, with a space before each, for an attached picture as the API shows it: in
    CSS pixels, made smaller in proportion to _MOST_HIGH (384) of height at most; "" if the API does not know the size.
    """
    if "width" not in file:
        return Markup("")
    width, height = file["width"], file["height"]
    if height > _MOST_HIGH:
        width, height = max(1, round(width * _MOST_HIGH / height)), _MOST_HIGH
    return Markup(f' width="{width:d}" height="{height:d}"')


def figure(stats: Any, name: str) -> Any:
    """Return the value of the figure `name` among the API's `stats`, each with `metric` and `value`; 0 if they lack it,
    also without any.
    """
    return next((one["value"] for one in stats or () if one["metric"] == name), 0)


def marked(text: Any) -> Markup:
    """Return a highlighted text of the API's search, which is escaped HTML with <b> around what was found, with <mark>
    in place of <b>.
    """
    return Markup(str(text or "").replace("<b>", "<mark>").replace("</b>", "</mark>"))


def marked_in(title: Any, highlight: Any) -> Markup | None:
    """Return a title, given HTML-escaped as the API shows it, in which the words that a search found stand in <mark>.
    `highlight`: the search's highlighted text, a part of the title with <b> around the words; None is returned if it is
    empty or no part of the title.
    """
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


def _link_picture(found: re.Match[str], sizes: Mapping[str, str]) -> str:
    """Return the HTML to stand in place of a picture's element: for a source that is no path of this host a link to it,
    without a source "", else the picture, loaded lazily, with the size that `sizes` has for its file, unless the
    element has a size. `sizes`: attributes width and height by the hash of a file.
    """
    source = _SRC.search(found[1])
    if source is None:
        return ""
    address = source[1]
    if address.startswith("/") and not address.startswith(("//", "/\\")):
        file = None if _SIZED.search(found[1]) else _FILE.fullmatch(address)
        return f'<img loading="lazy"{sizes.get(file[1], "") if file else ""} {found[1]}>'
    alt = _ALT.search(found[1])
    label = (alt[1] if alt else "") or address
    return f'<a class="elsewhere" href="{address}" {_ELSEWHERE}>{label}</a>'


def page_address(href: Any) -> str:
    """Return the website's address for one of the API: `/events/8/?offset=25` for `/api/v1/events/8?offset=25`; the
    front page, `/`, for the API's root and for the list of microcosms.
    """
    path, mark, query = str(href).partition("?")
    path = path.removeprefix(PREFIX)
    if path in ("", "/microcosms"):
        path = "/"
    elif not path.endswith("/"):
        path += "/"
    return f"{path}{mark}{query}"


@lru_cache(4096)
def _page(href: str) -> str:
    return page_address(href)


def _clock(code: str, text: str) -> Markup:
    """Return the HTML of a day and time in UTC, which says so; static/times.js writes it in the reader's own zone."""
    said = _escaped(dates_and_numbers.dated(code, text))
    return _safe(Markup, f'<time datetime="{_escaped(text)}" data-clock>{said}</time>')


def _when(code: str, text: str, now: datetime) -> Markup:
    said = _escaped(dates_and_numbers.ago(code, text, now))
    return _safe(Markup, f'<time datetime="{_escaped(text)}" data-ago>{said}</time>')
