r"""Addresses of other forum software, as data: one TOML file for each product, named after the product.

A file holds, all of it optional:

    separators = ";"        # characters that part the keys of a query, beside "&"
    [pages]                 # entries on an old page, by target; `page = n` leads to entry (n - 1) * size
    conversation = 50
    [page]
    key = "page"            # the query key that holds the page's number, from 1
    start = "start"         # or one that holds the number of entries before it
    [goto]                  # a query key, and what its values do: "newcomment" or "lastcomment"
    key = "goto"
    newpost = "newcomment"
    [[query]]               # the first key that is there decides
    key = "t"
    path = 'viewtopic\.php$'  # on these pages alone
    target = "conversation" # microcosm, conversation, comment, profile, huddle, attachment or update
    [[address]]             # where no key is there, the first pattern found in path and query, parted by "?", decides
    pattern = 'showthread\.php\?(?P<id>\d+)-'
    target = "conversation"
    [[path]]                # else the first pattern found in the path decides
    pattern = 'thread(?P<id>\d+)\.html$'
    target = "conversation"

A pattern may also name `page` (from 1), `start` (entries before), `number` (of the entry, from 1) and `search`. Further
keys of all kinds of rule: `when`, patterns by query key that whole values must match ("" where the key is missing);
`id`, a pattern for the whole old id (digits by default); `prefix`, which is put before the old id; `is_folded`, for ids
without case; `action`; `go`, as `[goto]` gives it; and `is_list` for a target that is the list of its kind. An `id`
that names parts, such as `(?P<id>\d+)\.(?P<start>\d+)`, lets the next rule have its turn where it does not match; where
it does, the next rule says what counts if the first thing was not imported. Addresses may be HTML-escaped.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from forumapi import itemtypes
from forumapi.errors import ConfigError

TARGETS: Final = (
    "microcosm",
    "conversation",
    "comment",
    "profile",
    "huddle",
    "attachment",
    "update",
)
GOING: Final = ("newcomment", "lastcomment")
ACTIONS: Final = ("incontext", "search", "online")
_PRODUCT: Final = re.compile(r"[a-z0-9]{1,32}")
_RULE_KEYS: Final = {
    *("key", "pattern", "path", "when", "target", "id", "prefix", "is_folded", "action", "go"),
    *("is_list", "search"),
}
# No id is longer (imported_items), and no community has that many pages.
_MAX_ID: Final = 64
_MAX_OFFSET: Final = 10**9


class RulesError(ConfigError):
    """Error in a file of rules; its message names the file and the place."""


class Rule(NamedTuple):
    """Rule that finds the target of an old URL: by a query key (`key`), or, if that is "", by a `pattern` in its path,
    or in path and query. `path`: pattern to be found in the path, `when`: patterns of whole query values by key; both
    limit the rule to some URLs. `target`: id of an item type.

    `id`: pattern for the whole old id; `prefix`: text to put before it; `is_folded`: letter case of ids does not count.
    `action`, `go`: as in Old. `is_list`: the target is the list of its type; `search`: query key with words to search
    for.
    """

    key: str
    pattern: re.Pattern[str] | None
    path: re.Pattern[str] | None
    when: tuple[tuple[str, re.Pattern[str]], ...]
    target: int
    id: re.Pattern[str]
    prefix: str
    is_folded: bool
    action: str
    go: str
    is_list: bool
    # Query key with the words to search for.
    search: str

    def is_for(self, path: str, query: Mapping[str, str]) -> bool:
        """Return True if an old URL with this path and query is one of those to which `path` and `when` limit the rule;
        its `key` or `pattern` is not looked at.
        """
        if self.path is not None and self.path.search(path) is None:
            return False
        return all(pattern.fullmatch(query.get(key, "")) for key, pattern in self.when)


class Old(NamedTuple):
    """Target of an old URL: an object, by type and by its id in the old forum; with the id "" the list of that type.

    `offset`: entries of the object before the page that the URL names. `action`: one of ACTIONS, the special view that
    the URL asks for, "" for the plain one; `go`: one of GOING, the comment in a conversation to go to, "" for none;
    `search`: words to search for, "" for none.
    """

    item_type: int
    old_id: str
    offset: int = 0
    action: str = ""
    go: str = ""
    search: str = ""


class RuleSet(NamedTuple):
    """Rules for the URLs of one product: its file, parsed. `queries`, `addresses`, `paths`: rules by query key, by path
    and query, by path, tried in this order. `sizes`: entries on an old page, by id of the target's type; `page_key`,
    `start_key`: query keys with a page's number and with the number of entries before it; `goto`: one of GOING by value
    of the query key `goto_key`; a key that is "" is not used. `separators`: characters beside `&` between the parts of
    a query.
    """

    queries: tuple[Rule, ...]
    addresses: tuple[Rule, ...]
    paths: tuple[Rule, ...]
    sizes: Mapping[int, int]
    page_key: str
    start_key: str
    goto_key: str
    goto: Mapping[str, str]
    separators: str

    def read(self, url: str) -> Old | None:
        """Return the target of an old URL that `read_all` yields first, found by the URL's path and query, on any host;
        None if no rule finds one, or the URL is malformed.
        """
        return next(self.read_all(url), None)

    def read_all(self, url: str) -> Iterator[Old]:
        """Yield the targets of an old URL, best first; a later one is for the case that the object before it was not
        imported. Nothing is yielded if no rule finds one, or the URL is malformed.
        """
        try:
            parts = urlsplit(url.replace("&amp;", "&"))
            written = parts.query
            for separator in self.separators:
                written = written.replace(separator, "&")
            pairs = parse_qsl(written, keep_blank_values=True, max_num_fields=100)
            query = dict(reversed(pairs))
            path = unquote(parts.path)
        except ValueError:
            return
        for rule in self.queries:
            if rule.key in query and rule.is_for(path, query):
                yield from self._found(rule, query[rule.key], query, {})
                if "id" not in rule.id.groupindex:
                    return
        address = f"{path}?{unquote(parts.query)}"
        for rule in (*self.addresses, *self.paths):
            assert rule.pattern is not None
            found = rule.pattern.search(path if rule in self.paths else address)
            if found is not None and rule.is_for(path, query):
                named = found.groupdict(default="")
                yield from self._found(rule, named.get("id", ""), query, named)
                return

    def _found(
        self, rule: Rule, text: str, query: Mapping[str, str], named: Mapping[str, str]
    ) -> Iterator[Old]:
        search = query.get(rule.search, "") if rule.search else named.get("search", "")
        if rule.is_list:
            yield Old(rule.target, "", action=rule.action, search=search)
            return
        matched = rule.id.fullmatch(text)
        if matched is None:
            return
        named = {**named, **matched.groupdict(default="")}
        text = named.get("id", text) if "id" in rule.id.groupindex else text
        old_id = text.lstrip("0") or "0" if text.isdigit() and text.isascii() else text
        old_id = rule.prefix + (old_id.casefold() if rule.is_folded else old_id)
        if len(old_id) > _MAX_ID:
            return
        go = self.goto.get(query.get(self.goto_key, ""), "") or rule.go
        offset = 0
        if rule.key or named.keys() & {"page", "start", "number"} or not rule.pattern:
            offset = self._offset(rule.target, query, named)
        yield Old(rule.target, old_id, offset, rule.action, go, search)

    def _offset(self, target: int, query: Mapping[str, str], named: Mapping[str, str]) -> int:
        start = _number(named.get("start", "") or query.get(self.start_key, ""))
        if start:
            return start
        if number := _number(named.get("number", "")):
            return number - 1
        number = _number(named.get("page", "") or query.get(self.page_key, ""))
        return min((number - 1) * self.sizes.get(target, 0), _MAX_OFFSET) if number > 1 else 0


def _number(text: str) -> int:
    """Return a text of one to eight ASCII digits as a number; 0 for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def parse(text: str, name: str) -> RuleSet:
    """Parse `text`, the TOML of one product's rules. `name`: the file's, for errors. Raises RulesError if the TOML or
    a rule is malformed.
    """
    try:
        data = tomllib.loads(text)
        page, goto = data.get("page", {}), dict(data.get("goto", {}))
        goto_key = str(goto.pop("key", ""))
        if not set(goto.values()) <= set(GOING):
            raise RulesError(f"{name}: [goto] leads to one of {', '.join(GOING)}")
        return RuleSet(
            tuple(_rule(one, f"{name}: query {n}", "key") for n, one in _each(data, "query")),
            tuple(
                _rule(one, f"{name}: address {n}", "pattern") for n, one in _each(data, "address")
            ),
            tuple(_rule(one, f"{name}: path {n}", "pattern") for n, one in _each(data, "path")),
            {itemtypes.BY_NAME[key].id: int(size) for key, size in data.get("pages", {}).items()},
            str(page.get("key", "")),
            str(page.get("start", "")),
            goto_key,
            goto,
            str(data.get("separators", "")),
        )
    except (tomllib.TOMLDecodeError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise RulesError(f"{name}: {error}") from None


def _each(data: Mapping[str, Any], kind: str) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(data.get(kind, []), 1))


def _rule(data: dict[str, Any], where: str, needed: str) -> Rule:
    unknown = set(data) - _RULE_KEYS
    if unknown or needed not in data or data.get("target") not in TARGETS:
        raise RulesError(f"{where} needs {needed} and target, and knows {sorted(_RULE_KEYS)}")
    if data.get("action", "") not in ("", *ACTIONS) or data.get("go", "") not in ("", *GOING):
        raise RulesError(f"{where}: action is one of {ACTIONS}, go one of {GOING}")
    try:
        pattern = re.compile(data["pattern"], re.ASCII) if needed == "pattern" else None
        path = re.compile(data["path"], re.ASCII) if "path" in data else None
        # Names of people have letters of any script; digits are told by [0-9].
        id = re.compile(data.get("id", r"[0-9]+"))
        when = tuple((key, re.compile(value)) for key, value in data.get("when", {}).items())
    except re.error as error:
        raise RulesError(f"{where}: {error}") from None
    return Rule(
        str(data.get("key", "")),
        pattern,
        path,
        when,
        itemtypes.BY_NAME[data["target"]].id,
        id,
        str(data.get("prefix", "")),
        bool(data.get("is_folded", False)),
        data.get("action", ""),
        data.get("go", ""),
        bool(data.get("is_list", False)),
        str(data.get("search", "")),
    )


def load(folder: str = "") -> dict[str, RuleSet]:
    """Return the rules by product: those of this package, and of the files `<product>.toml` in `folder`, each of which
    takes the place of the package's rules for its product.

    `folder` "": none. Raises RulesError for a file that is malformed, or whose product has another name than 1 to 32
    characters a to z and 0 to 9, and for a folder that can't be read.
    """
    own = resources.files(__name__)
    texts = {
        one.name: one.read_text(encoding="utf-8")
        for one in own.iterdir()
        if one.name.endswith(".toml")
    }
    if folder:
        try:
            texts |= {
                path.name: path.read_text(encoding="utf-8")
                for path in Path(folder).iterdir()
                if path.suffix == ".toml"
            }
        except (OSError, UnicodeDecodeError) as error:
            raise RulesError(f"{folder}: {error}") from None
    found = {}
    for name, text in texts.items():
        product = name.removesuffix(".toml")
        if not _PRODUCT.fullmatch(product):
            raise RulesError(f"{name} is not named after a product: a to z and digits")
        found[product] = parse(text, name)
    return found
