"""Addresses of other forum software, as data: one TOML file a product, named after it.

A file holds, all of it optional:

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
    target = "conversation" # microcosm, conversation, comment, profile, huddle, attachment or update
    [[path]]                # where no key is there, the first pattern found in the path decides
    pattern = 'thread(?P<id>\\d+)\\.html$'
    target = "conversation"

A pattern may also name `page` and `search`. Further keys of both kinds of rule: `id`, a pattern for the whole old id
(digits by default); `action`; `go`, as `[goto]` gives it; and `is_list` for a target that is the list of its kind.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

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
_RULE_KEYS: Final = {"key", "pattern", "target", "id", "action", "go", "is_list"}
# No id is longer (imported_items), and no community has that many pages.
_MAX_ID: Final = 64
_MAX_OFFSET: Final = 10**9


class RulesError(ConfigError):
    """Error in a rule set; the message names file and place."""


class Rule(NamedTuple):
    """Rule that maps an old URL to its target."""

    key: str
    pattern: re.Pattern[str] | None
    target: int
    id: re.Pattern[str]
    action: str
    go: str
    is_list: bool


class Old(NamedTuple):
    """Target of an old URL: an object by its old id; "" as id: the list of its type."""

    item_type: int
    old_id: str
    offset: int = 0
    action: str = ""
    go: str = ""
    search: str = ""


class RuleSet(NamedTuple):
    """Rules of one product."""

    queries: tuple[Rule, ...]
    paths: tuple[Rule, ...]
    sizes: Mapping[int, int]
    page_key: str
    start_key: str
    goto_key: str
    goto: Mapping[str, str]

    def read(self, url: str) -> Old | None:
        """Find the target of a URL by its path and query; None if no rule matches."""
        try:
            parts = urlsplit(url)
            query = dict(reversed(parse_qsl(parts.query, max_num_fields=100)))
        except ValueError:
            return None
        for rule in self.queries:
            if rule.key in query:
                return self._named(rule, query[rule.key], query, "", "")
        for rule in self.paths:
            assert rule.pattern is not None
            found = rule.pattern.search(parts.path)
            if found is not None:
                named = found.groupdict(default="")
                page, search = named.get("page", ""), named.get("search", "")
                return self._named(rule, named.get("id", ""), query, page, search)
        return None

    def _named(
        self, rule: Rule, text: str, query: Mapping[str, str], page: str, search: str
    ) -> Old | None:
        if rule.is_list:
            return Old(rule.target, "", action=rule.action, search=search)
        if not rule.id.fullmatch(text) or len(text) > _MAX_ID:
            return None
        old_id = text.lstrip("0") or "0" if text.isdigit() else text
        go = self.goto.get(query.get(self.goto_key, ""), "") or rule.go
        offset = 0
        if rule.key or "page" in (rule.pattern.groupindex if rule.pattern else {}):
            offset = self._offset(rule.target, query, page)
        return Old(rule.target, old_id, offset, rule.action, go, search)

    def _offset(self, target: int, query: Mapping[str, str], page: str) -> int:
        start = _number(query.get(self.start_key, ""))
        if start:
            return start
        number = _number(page or query.get(self.page_key, ""))
        return min((number - 1) * self.sizes.get(target, 0), _MAX_OFFSET) if number > 1 else 0


def _number(text: str) -> int:
    """Parse a small number, 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def parse(text: str, name: str) -> RuleSet:
    """Parse a rule set from TOML. Raises RulesError."""
    try:
        data = tomllib.loads(text)
        page, goto = data.get("page", {}), dict(data.get("goto", {}))
        goto_key = str(goto.pop("key", ""))
        if not set(goto.values()) <= set(GOING):
            raise RulesError(f"{name}: [goto] leads to one of {', '.join(GOING)}")
        return RuleSet(
            tuple(_rule(one, f"{name}: query {n}", "key") for n, one in _each(data, "query")),
            tuple(_rule(one, f"{name}: path {n}", "pattern") for n, one in _each(data, "path")),
            {itemtypes.BY_NAME[key].id: int(size) for key, size in data.get("pages", {}).items()},
            str(page.get("key", "")),
            str(page.get("start", "")),
            goto_key,
            goto,
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
        id = re.compile(data.get("id", r"[0-9]+"), re.ASCII)
    except re.error as error:
        raise RulesError(f"{where}: {error}") from None
    return Rule(
        str(data.get("key", "")),
        pattern,
        itemtypes.BY_NAME[data["target"]].id,
        id,
        data.get("action", ""),
        data.get("go", ""),
        bool(data.get("is_list", False)),
    )


def load(folder: str = "") -> dict[str, RuleSet]:
    """Return rules by product: the packaged ones, and those of files `<product>.toml` in a folder, which replace them.

    Raises RulesError, also for a folder that can't be read.
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
