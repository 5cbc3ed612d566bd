"""docs/api says what is so: every address, every field, every code, and JSON that is what it is called."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import sys
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forumapi import routes
from forumapi.apidocs.error_codes import ERROR_CODES
from forumapi.config import PLAN_LIMITS, Config
from forumapi.wire import schemas
from forumapi.wire.schemas.updates_mail_webhooks import UpdateTypeName
from tests import schema_check
from tests.schema_check import faults, nonconformities

FOLDER = Path(__file__).parents[1] / "docs" / "api"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
README = PAGES["README.md"]
EXAMPLES = [
    (name, text)
    for content in PAGES.values()
    for name, text in re.findall(r"^```json *(\S*)\n(.*?)^```", content, re.MULTILINE | re.DOTALL)
]
DOCUMENT = schema_check.document()
# Classes that others begin with are no objects, unless an answer holds them.
OBJECTS = {
    name: struct
    for module in pkgutil.walk_packages(schemas.__path__, f"{schemas.__name__}.")
    for name, struct in vars(importlib.import_module(module.name)).items()
    if inspect.isclass(struct)
    and issubclass(struct, msgspec.Struct)
    and struct.__module__ == module.name
    and msgspec.structs.fields(struct)
    and (name in DOCUMENT["components"]["schemas"] or not struct.__subclasses__())
}


def test_every_page_is_in_the_index() -> None:
    listed = re.findall(r"^\| \[\w+\.md\]\((\w+\.md)\)", README, re.MULTILINE)

    assert sorted([*listed, "README.md"]) == list(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w.]*\.md)?(?:#([\w-]+))?\)", PAGES[page]):
        content = PAGES[target or page]
        headings = re.findall(r"^#+ (.*)$", content, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in headings}
        assert not anchor or anchor in slugs


def test_every_address_has_its_place() -> None:
    for path in DOCUMENT["paths"]:
        assert any(f"`{path}`" in content for content in PAGES.values()), path


def test_caches_of_the_ledger_are_in_the_code() -> None:
    text = (FOLDER.parent / "architecture.md").read_text()
    table = text.partition("## In-process caches")[2].partition("\n## ")[0]
    names = re.findall(r"^\| [^|]*?`(?:(\w+)\.)(\w+)(?:\.(\w+))?`", table, re.M)
    code = {path.stem: path.read_text() for path in (FOLDER.parents[1] / "forumapi").rglob("*.py")}
    absent = [
        f"{module}.{name}"
        for module, name, _ in names
        if (module == "App" and f"self.{name} = " not in code["app"])
        or (module != "App" and f"\nclass {name}" not in code.get(module, ""))
    ]

    assert len(names) > 8
    assert absent == []


def test_every_handler_module_names_its_page() -> None:
    modules = {
        handler.__module__ for table in (routes.ROOT, routes.SITE) for handler in table.values()
    }
    for module in modules:
        text = sys.modules[module].__doc__ or ""
        named = re.findall(r"Wire:\s+docs/api/([\w.]+\.md)", text)
        assert named, module
        assert set(named) <= set(PAGES), module


def test_every_error_code_is_explained() -> None:
    row = r'^\| <a id="(\w+)"></a>`(\w+)` \| (\d*) \| (\d{3}) \| (.+) \| (.+) \|$'
    explained = re.findall(row, PAGES["errors.md"], re.MULTILINE)

    assert [tuple(cells[1:]) for cells in explained] == [
        (one.name, str(one.number or ""), str(one.status), one.meaning, one.remedy)
        for one in ERROR_CODES
    ]
    assert all(anchor == name for anchor, name, *_ in explained)


def test_every_status_is_explained() -> None:
    shared = {*DOCUMENT["components"]["responses"], *DOCUMENT["x-anywhere"]}
    known = {int(name) for name in shared if name.isdigit()}
    explained = {int(status) for status in re.findall(r"^\| (\d{3}) \|", README, re.MULTILINE)}

    assert explained == known - {304}


def test_settings_that_are_named_exist() -> None:
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", "".join(PAGES.values())))
    parameters = {"access_token", "comment_id", "is_member", "xms_edov"}
    # What the OAuth protocol and the tools of agents call things; settings stand in brackets there.
    page = PAGES["oauth.md"] + PAGES["agents.md"] + "error_description error_uri"
    protocol = set(re.findall(r"[a-z]+(?:_[a-z]+)+", page)) - set(re.findall(r"\(`(\w+)`\)", page))

    updates = set(typing.get_args(UpdateTypeName))
    codes = {one.name for one in ERROR_CODES}

    assert named - parameters - protocol - updates - codes - set(PLAN_LIMITS) <= set(
        Config.__dataclass_fields__
    )


def test_the_json_is_what_it_is_called() -> None:
    for name, text in EXAMPLES:
        value = json.loads(text)

        if name:
            component = "PageOfCommentSummary" if name == "Paged" else name
            assert nonconformities(component, value) == [], text


# ---------------------------------------------------------------- absent, null or zero


def presence() -> dict[str, dict[str, Any]]:
    """The table: object -> key -> "absent", "null", "always", or the zero it has, as JSON text."""
    found: dict[str, dict[str, Any]] = {}
    table = README[README.index("## Absent, null or zero") :]
    for row in re.findall(r"^\| (\w+) \|(.*)\|$", table, re.MULTILINE):
        name, cells = row[0], row[1].split("|")
        if name == "Object":
            continue
        keys = found.setdefault(name, {})
        for column, cell in zip(("absent", "null", "zero", "always"), cells, strict=True):
            for entry in filter(None, map(str.strip, cell.split(","))):
                key, *zero = re.findall(r"`([^`]*)`", entry)
                assert key not in keys, f"{name}.{key} stands twice"
                keys[key] = zero[0] if column == "zero" else column
    return found


def wire_keys(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Key on the wire -> "absent", "null", or "always", which a key with a zero is too."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    keys = {field.encode_name: _presence(field) for field in info.fields}
    return {info.tag_field: "always", **keys} if info.tag_field else keys


def _presence(field: msgspec.inspect.Field) -> str:
    kind = field.type
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    null = any(isinstance(one, msgspec.inspect.NoneType | msgspec.inspect.AnyType) for one in kinds)
    return "absent" if not field.required else "null" if null else "always"


PRESENCE = presence()


def test_the_table_has_every_object_and_no_other() -> None:
    assert sorted(PRESENCE) == sorted(OBJECTS)


def test_the_table_has_every_key_and_no_other() -> None:
    for name, type_ in OBJECTS.items():
        assert sorted(PRESENCE[name]) == sorted(wire_keys(type_)), name


def test_the_table_says_what_the_types_say() -> None:
    for name, type_ in OBJECTS.items():
        for key, presence_ in wire_keys(type_).items():
            said = PRESENCE[name][key]
            assert (said if said in ("absent", "null") else "always") == presence_, f"{name}.{key}"


def test_a_zero_is_a_value_of_the_type() -> None:
    for name, key, zero in [
        (name, key, said)
        for name, keys in PRESENCE.items()
        for key, said in keys.items()
        if said not in ("absent", "null", "always")
    ]:
        component = "PageOfCommentSummary" if name == "Paged" else name
        schema = DOCUMENT["components"]["schemas"][component]["properties"][key]

        assert list(faults(schema, json.loads(zero))) == [], f"{name}.{key}"
