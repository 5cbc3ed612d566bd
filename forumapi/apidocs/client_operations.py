"""Operations of the OpenAPI document as methods of a client, for each language alike.

The first part of an address is the group, the rest of the operation id the method: `getConversation` is
`conversations.get`, `listConversationAttributes` is `conversations.listAttributes`. Pages outside /api/v1 are the
group `pages`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

Schema = dict[str, Any]
Place = Literal["path", "query", "header"]
Sends = Literal["", "json", "form", "files"]
Gives = Literal["data", "bare", "bytes", "text", "location", "stream"]

VERBS: Final = ("get", "post", "put", "patch", "delete")
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_ENVELOPE: Final = {"context", "status", "data", "error"}
# Query parameters that may be given several times, which the document does not say.
REPEATED: Final = frozenset(("topic",))
# The group of a first part that is no good name.
GROUPS: Final = {"site": "thisSite", "openapi.json": "openApi", "asyncapi.json": "asyncApi"}


class Parameter(NamedTuple):
    """Parameter of an operation. `name`: on the wire; `place`: "path", "query" or "header"; `schema`: of its value;
    `description`: "" for none.
    """

    name: str
    place: Place
    schema: Schema
    description: str

    @property
    def is_repeated(self) -> bool:
        """Return True if the parameter may be given several times, once for each value of a list."""
        return self.place == "query" and self.name in REPEATED

    @property
    def option(self) -> str:
        """Return the name under which a client takes the parameter as an option: of a header in camel case, `If-Match`
        is `ifMatch`; of a query parameter as on the wire.
        """
        first, *others = self.name.split("-")
        if not others:
            return self.name if self.place != "header" else self.name.lower()
        return first.lower() + "".join(other.capitalize() for other in others)


class ClientOperation(NamedTuple):
    """Operation as the method `method` of a client's group `group`. `id`: its operation id; `verb`: HTTP method in
    upper case; `sends`: form of what is sent, "" for nothing, and `body`: schema of that, None for files and nothing;
    `gives`: form of the answer (`data` of the envelope, bare JSON, bytes, text, address of a redirect, stream of
    events), and `data`: schema of the JSON in it, None for none.
    """

    id: str
    group: str
    method: str
    verb: str
    path: str
    parameters: tuple[Parameter, ...]
    sends: Sends
    body: Schema | None
    gives: Gives
    data: Schema | None
    summary: str
    description: str

    @property
    def path_parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters of the path, in the order in which the address has them."""
        return tuple(one for one in self.parameters if one.place == "path")

    @property
    def options(self) -> tuple[Parameter, ...]:
        """Return the parameters that are not in the path, but in the query or a header."""
        return tuple(one for one in self.parameters if one.place != "path")


def operations(document: Mapping[str, Any]) -> list[ClientOperation]:
    """Return all operations of an OpenAPI document, sorted by group and method; where two would be the same method, the
    one without parameters in its path is named with `All` at the end, such as `deleteAll`. Raises ValueError if two are
    the same method of a group even so.
    """
    found = [
        _operation(document, path, verb, item)
        for path, item in document["paths"].items()
        for verb in VERBS
        if verb in item
    ]
    paths = {(one.group, one.method): one.path for one in found if one.path_parameters}
    # `deleteSession` is `sessions.delete`, `deleteSessions` is then `sessions.deleteAll`.
    found = [
        one._replace(method=f"{one.method}All")
        if paths.get((one.group, one.method), one.path) != one.path and not one.path_parameters
        else one
        for one in found
    ]
    taken: dict[tuple[str, str], str] = {}
    for one in found:
        other = taken.setdefault((one.group, one.method), one.id)
        if other != one.id:
            raise ValueError(f"{one.id} and {other} are both {one.group}.{one.method}")
    return sorted(found, key=lambda one: (one.group, one.method))


def resolve(document: Mapping[str, Any], part: Schema) -> Schema:
    """Return the component of the document that `part` refers to by `$ref`; a `part` without `$ref` as it is."""
    reference = part.get("$ref")
    if reference is None:
        return part
    found: Any = document
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return dict(found)


def enveloped(document: Mapping[str, Any], schema: Schema) -> Schema | None:
    """Return the schema of `data` within an envelope, or within a choice of envelopes; None for a schema of something
    else. `schema`: of the body of an answer, or a reference to it.
    """
    whole = resolve(document, schema)
    if "anyOf" in whole:
        options = [enveloped(document, option) for option in whole["anyOf"]]
        found = [option for option in options if option is not None]
        return {"anyOf": found} if len(found) == len(options) else None
    properties: Schema = whole.get("properties", {})
    return properties["data"] if set(properties) == _ENVELOPE else None


def name_of(reference: str) -> str:
    """Return the name of the component that a reference, such as `#/components/schemas/Link`, refers to: `Link`."""
    return reference.rpartition("/")[2]


def with_shapes_in_place(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the document in which each list of closed values, and each object of any keys, stands in place
    of the references to it, without title and description; the components themselves stay.
    """
    kept = ("type", "enum", "additionalProperties")
    shapes = {
        f"#/components/schemas/{name}": {key: one[key] for key in kept if key in one}
        for name, one in document["components"]["schemas"].items()
        if "properties" not in one
    }

    def copied(part: Any) -> Any:
        if isinstance(part, list):
            return [copied(inner) for inner in part]
        if not isinstance(part, dict):
            return part
        made = {key: copied(inner) for key, inner in part.items()}
        found = shapes.get(made["$ref"]) if isinstance(made.get("$ref"), str) else None
        if found is not None:
            del made["$ref"]
            made |= found
        return made

    whole: dict[str, Any] = copied(document)
    return whole


def is_page(schema: Schema) -> bool:
    """Return True for the schema of a page of a list, an object with `items`, `links` and `limit`; False for a
    reference to such a schema.
    """
    return {"items", "links", "limit"} <= set(schema.get("properties", ()))


def closure(document: Mapping[str, Any], roots: list[Schema]) -> list[str]:
    """Return the names of the components, all of them schemas, that `roots` refer to, directly or not, sorted."""
    schemas = document["components"]["schemas"]
    found: set[str] = set()
    left = {name for root in roots for name in _references(root)}
    while left:
        found |= left
        left = {name for known in left for name in _references(schemas[known])} - found
    return sorted(found)


def error_codes(document: Mapping[str, Any]) -> dict[str, int]:
    """Return the stable numbers of errors that the document lists, by their names in capitals, without 0, which stands
    for none.
    """
    schema = document["components"]["schemas"]["ErrorDetail"]["properties"]["errorCode"]
    schema = resolve(document, schema)
    named = zip(schema["x-enum-varnames"], schema["enum"], strict=True)
    return {name: code for name, code in named if code}


def camel(name: str) -> str:
    """Return a name in capitals as a name of a class: `NO_READ` is `NoRead`."""
    return "".join(word.capitalize() for word in name.split("_"))


def closure_names(schemas: Iterable[Schema | None]) -> list[str]:
    """Return the names, sorted, of the components that the schemas refer to directly; a None among them counts for
    none.
    """
    return sorted(
        {
            name
            for schema in schemas
            if schema
            for name in re.findall(r"#/components/schemas/(\w+)", repr(schema))
        }
    )


def snake(name: str) -> str:
    """Return a name as Python has it, in snake case and no keyword: `getICalendar` is `get_i_calendar`."""
    made = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|-", "_", name).lower()
    return made + "_" * keyword.iskeyword(made)


def python_option(parameter: Parameter) -> str:
    """Return the name of a parameter as an argument in Python: as on the wire, headers in snake case, with `_` behind a
    keyword, `self` and `body`.
    """
    name = snake(parameter.name) if parameter.place == "header" else parameter.name
    return name + "_" * (keyword.iskeyword(name) or name in ("self", "body"))


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield name_of(part["$ref"])
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _operation(document: Mapping[str, Any], path: str, verb: str, item: Schema) -> ClientOperation:
    described = item[verb]
    group, method = _names(path, described["operationId"])
    parameters = [
        Parameter(one["name"], one["in"], one["schema"], one.get("description", ""))
        for one in (
            resolve(document, one)
            for one in (*item.get("parameters", ()), *described.get("parameters", ()))
        )
    ]
    # In the order of the address.
    order = {name: place for place, name in enumerate(re.findall(r"{(\w+)}", path))}
    parameters.sort(key=lambda one: order.get(one.name, -1) if one.place == "path" else len(order))
    gives, data = _given(document, described)
    sends, body = _sent(described, gives)
    return ClientOperation(
        described["operationId"],
        group,
        method,
        verb.upper(),
        path,
        tuple(parameters),
        sends,
        body,
        gives,
        data,
        described["summary"],
        described["description"],
    )


def _names(path: str, id: str) -> tuple[str, str]:
    """Return the group and the method for the operation with this id at the address `path`; outside of /api/v1 "pages"
    and the id.
    """
    below, _, rest = path.partition("/api/v1/")
    if below or not rest:
        return "pages", id
    part = rest.partition("/")[0]
    first, *others = re.findall("[A-Za-z0-9]+", part)
    group = GROUPS.get(part, first + "".join(other.capitalize() for other in others))
    if id.lower() == group.lower():
        return group, "get"
    verb, noun = re.match("([a-z]+)(.*)", id).groups()  # type: ignore[union-attr]
    for known in (group, _singular(group)):
        left = noun[len(known) :]
        if noun.lower().startswith(known.lower()) and not left[:1].islower():
            return group, verb + left
    return group, id


def _singular(name: str) -> str:
    return name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")


def _sent(described: Schema, gives: Gives) -> tuple[Sends, Schema | None]:
    content = described.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        return "files", None
    # The endpoints of the OAuth protocol and the pages are made for forms.
    if _FORM in content and (gives not in ("data", "location") or _JSON not in content):
        return "form", content[_FORM]["schema"]
    if _JSON in content:
        return "json", content[_JSON]["schema"]
    return "", None


def _given(document: Mapping[str, Any], described: Schema) -> tuple[Gives, Schema | None]:
    """Return the form of an answer of success (Gives), and the schema of the JSON that it holds, None for none.
    `described`: the operation as the document describes it.
    """
    responses = described["responses"]
    for status in ("200", "201"):
        content = responses.get(status, {}).get("content", {})
        if _JSON in content:
            schema = content[_JSON]["schema"]
            data = enveloped(document, schema)
            if data is None:
                return "bare", schema
            return "data", None if data == {"type": "null"} else data
        if content:
            kind = next(iter(content))
            if kind == "text/event-stream":
                return "stream", None
            return ("text" if kind.startswith("text/") else "bytes"), None
    # Redirects of reads lead to a place, which may be outside.
    is_read = described["operationId"] and "307" in responses
    return ("location" if is_read else "data"), None
