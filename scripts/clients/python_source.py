"""Sources of the Python client that are made from the document: documents, bodies, error codes and operations."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from forumapi.apidocs.client_operations import (
    ClientOperation,
    Parameter,
    Schema,
    camel,
    closure,
    closure_names,
    error_codes,
    is_page,
    name_of,
    operations,
    python_option,
    snake,
)

_HEAD = '"""{about} Made from the OpenAPI document: change the generator."""\n\n'
_SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def sources(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each generated module, by its name."""
    methods = operations(document)
    return {
        "documents": _documents(document, methods),
        "bodies": _bodies(document, methods),
        "errors": _errors(document),
        "operations": _operations(document, methods),
        "version": f'"""Version of the document."""\n\nVERSION = "{document["info"]["version"]}"\n',
    }


def annotation(schema: Schema, sequence: str = "list") -> str:
    """Return the type of a value."""
    if "$ref" in schema:
        return name_of(schema["$ref"])
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = {annotation(one, sequence): None for one in schema[several]}
            if "Any" in kinds:
                return "Any"
            return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(annotation({**schema, "type": one}, sequence) for one in kind)
    if kind == "array":
        return f"{sequence}[{annotation(schema.get('items', {}), sequence)}]"
    if kind == "object":
        more = schema.get("additionalProperties")
        inner = annotation(more, sequence) if isinstance(more, dict) else "Any"
        return f"{'Mapping' if sequence != 'list' else 'dict'}[str, {inner}]"
    return _SIMPLE.get(str(kind), "Any")


def nested(schema: Schema) -> Any:
    """Return the shape of a value that the client converts (`documents_base.Kind`), None for one that it leaves."""
    if "$ref" in schema:
        return name_of(schema["$ref"])
    options = [
        one for one in schema.get("anyOf", schema.get("oneOf", ())) if one != {"type": "null"}
    ]
    if len(options) == 1:
        return nested(options[0])
    if options:
        if "discriminator" in schema:
            chosen = schema["discriminator"]
            return (
                "by",
                chosen["propertyName"],
                {value: name_of(target) for value, target in chosen["mapping"].items()},
            )
        names = [name_of(one["$ref"]) for one in options if "$ref" in one]
        return ("any", names) if names else None
    if schema.get("type") == "array":
        inner = nested(schema.get("items", {}))
        return ("list", inner) if inner else None
    if isinstance(schema.get("additionalProperties"), dict):
        inner = nested(schema["additionalProperties"])
        return ("map", inner) if inner else None
    return None


def _documents(document: Mapping[str, Any], methods: Iterable[ClientOperation]) -> str:
    roots = [one.data for one in methods if one.data]
    # Live events bring documents that no answer has by itself.
    known = document["components"]["schemas"]
    roots += [
        {"$ref": f"#/components/schemas/{name}"}
        for name in known
        if name.endswith("Summary") or name == "Attendee"
    ]
    made = [
        _HEAD.format(about="Documents that the server answers with."),
        "from __future__ import annotations\n\n",
        "from collections.abc import Iterator, Mapping, Sequence\n",
        "from typing import Any, ClassVar, Literal\n\n",
        "from .documents_base import Document, Kind, Page\n",
    ]
    for name in closure(document, roots):
        made.append(_document(name, known[name], known))
    return "".join(made)


def _document(name: str, schema: Schema, known: Mapping[str, Schema]) -> str:
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    base = "Document"
    if is_page(schema):
        # Components refer to each other in any order.
        inner_kind = annotation(properties["items"]["items"])
        base = f'Page["{inner_kind}"]'
    lines = [f"\n\nclass {name}({base}):", _doc(schema.get("description", f"{name}."), 4)]
    shapes = {key: shape for key, inner in properties.items() if (shape := nested(inner))}
    if shapes:
        lines.append(f"    _nested: ClassVar[Mapping[str, Kind]] = {shapes!r}")
    lines.append(f"    _known: ClassVar[frozenset[str]] = frozenset({sorted(properties)!r})")
    lines.append(f"    _required: ClassVar[frozenset[str]] = frozenset({sorted(required)!r})")
    for key, inner in properties.items():
        if base != "Document" and key in ("items", "limit", "links"):
            continue
        kind = annotation(inner)
        if key not in required and "None" not in kind.split(" | ") and kind != "Any":
            kind += " | None"
        lines.append(f"    {key + '_' * keyword.iskeyword(key)}: {kind}")
    pages = [
        (key, known[name_of(inner["$ref"])])
        for key, inner in properties.items()
        if "$ref" in inner and is_page(known[name_of(inner["$ref"])])
    ]
    if len(pages) == 1 and set(properties) <= {pages[0][0], "meta"}:
        key, page = pages[0]
        kind = annotation(page["properties"]["items"]["items"])
        lines += [
            f"\n    def __iter__(self) -> Iterator[{kind}]:",
            f'        """Return an iterator over `{key}`, of this page and of all that follow."""',
            f"        return iter(self.{key})",
        ]
    return "\n".join(lines) + "\n"


def _bodies(document: Mapping[str, Any], methods: Iterable[ClientOperation]) -> str:
    known = document["components"]["schemas"]
    made = [
        _HEAD.format(about="Bodies of requests, with the names of the wire."),
        "from __future__ import annotations\n\n",
        "from collections.abc import Mapping, Sequence\n",
        "from typing import Any, Literal, NotRequired, TypedDict\n",
    ]
    for name in closure(document, [one.body for one in methods if one.body]):
        schema = known[name]
        required = set(schema.get("required", ()))
        members = {}
        for key, inner in schema.get("properties", {}).items():
            kind = annotation(inner, "Sequence")
            members[key] = kind if key in required else f"NotRequired[{kind}]"
        if any(keyword.iskeyword(key) for key in members):
            made.append(f"\n\n{name} = TypedDict(\n    {name!r},\n    {members!r},\n)\n")
            continue
        lines = [f"\n\nclass {name}(TypedDict):", _doc(schema.get("description", f"{name}."), 4)]
        lines += [f"    {key}: {kind}" for key, kind in members.items()]
        made.append("\n".join(lines) + "\n")
    return "".join(made)


def _errors(document: Mapping[str, Any]) -> str:
    codes = error_codes(document)
    classes = {camel(name): code for name, code in codes.items()}
    made = [
        _HEAD.format(about="Errors by status and by stable code."),
        "from __future__ import annotations\n\n",
        "from .errors_base import (\n",
        *(f"    {name},\n" for name in sorted((*_BASES, "class_of_status"))),
        ")\n",
    ]
    for name, code in classes.items():
        made.append(f'\n\nclass {name}Error(ApiError):\n    """Refusal with code {code}."""\n')
    listed = ", ".join(f"{code}: {name}Error" for name, code in classes.items())
    made.append(f"\n\nBY_CODE: dict[int, type[ApiError]] = {{{listed}}}\n")
    made.append("_made: dict[tuple[int, int], type[ApiError]] = {}\n")
    made.append(
        textwrap.dedent('''

        def error_class(status: int, code: int) -> type[ApiError]:
            """Return the class of a refusal: a subclass of that of its status and of that of its code."""
            of_status = class_of_status(status)
            if code not in BY_CODE:
                return of_status
            if (status, code) not in _made:
                _made[status, code] = type(BY_CODE[code].__name__, (BY_CODE[code], of_status), {})
            return _made[status, code]


        ''')
    )
    names = sorted([*_BASES, *(f"{name}Error" for name in classes)])
    made.append(f"__all__ = {names!r}\n")
    return "".join(made)


_BASES = (
    "ApiError",
    "BadAnswer",
    "BadGateway",
    "BadRequest",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "ForumError",
    "KeyReused",
    "MethodNotAllowed",
    "NotFound",
    "NotOffered",
    "NotShown",
    "OAuthRefused",
    "PreconditionFailed",
    "RangeNotSatisfiable",
    "ServerError",
    "TimedOut",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UpgradeRequired",
)


def _operations(document: Mapping[str, Any], methods: list[ClientOperation]) -> str:
    groups: dict[str, list[ClientOperation]] = {}
    for one in methods:
        groups.setdefault(one.group, []).append(one)
    answered = closure_names(one.data for one in methods)
    sent = closure_names(one.body for one in methods)
    made = [
        _HEAD.format(about="Operations of the API, a class a group."),
        "from __future__ import annotations\n\n",
        "from collections.abc import Mapping, Sequence\n",
        "from functools import cached_property\n",
        "from typing import Any, Literal\n\n",
        "from .client_base import ClientBase, Method\n",
        f"from .bodies import {', '.join(sent)}\n",
        f"from .documents import {', '.join(answered)}\n",
        "from .live import LiveStream\n",
        "from .upload import Progress, Upload\n",
    ]
    for group, members in groups.items():
        made.append(f"\n\nclass {_group_class(group)}:\n")
        made.append(f'    """Operations of the group `{snake(group)}`."""\n\n')
        made.append("    def __init__(self, client: ClientBase) -> None:\n")
        made.append("        self._client = client\n")
        made += [_method(one) for one in members]
    made.append("\n\nclass Client(ClientBase):\n")
    made.append(
        '    """Client of one host, with a group of operations for each first part of an address."""\n'
    )
    for group in groups:
        name = _group_class(group)
        made.append(
            f"\n    @cached_property\n    def {snake(group)}(self) -> {name}:\n"
            f'        """Operations of the group `{snake(group)}`."""\n        return {name}(self)\n'
        )
    return "".join(made)


def _group_class(group: str) -> str:
    return group[0].upper() + group[1:] + "Group"


def is_left_out(parameter: Parameter) -> bool:
    """Return True for what the client sends by itself: tags of what it holds, and where to resume from."""
    return parameter.name == "If-None-Match"


def _method(operation: ClientOperation) -> str:
    options = [one for one in operation.options if not is_left_out(one)]
    parts = ["self"]
    parts += [
        f"{python_option(one)}: {annotation(one.schema)}" for one in operation.path_parameters
    ]
    if operation.body is not None:
        parts.append(f"body: {annotation(operation.body, 'Sequence')}")
    elif operation.sends == "files":
        parts.append("body: Sequence[Upload]")
    more = []
    for one in options:
        kind = annotation(one.schema)
        kind = f"{kind} | Sequence[{kind}]" if one.is_repeated else kind
        more.append(f"{python_option(one)}: {kind} | None = None")
    if operation.sends == "files":
        more.append("progress: Progress | None = None")
    if more:
        parts += ["*", *more]
    query = ", ".join(
        f"{one.name!r}: {python_option(one)}" for one in options if one.place == "query"
    )
    headers = ", ".join(
        f"{one.name!r}: {python_option(one)}" for one in options if one.place == "header"
    )
    path = "".join(f"{python_option(one)}, " for one in operation.path_parameters)
    gives = _returned(operation)
    lines = [
        f"\n    def {snake(operation.method)}(",
        *(f"        {part}," for part in parts),
        f"    ) -> {gives}:",
        _doc(f"{operation.summary.rstrip('.')}.\n\n{operation.description}", 8),
    ]
    if operation.gives == "stream":
        lines.append(
            f"        return self._client.stream({operation.path!r}, {{{query}}}, {{{headers}}})"
        )
        return "\n".join(lines) + "\n"
    names = {one.name for one in operation.options}
    shape = nested(operation.data) if operation.data else None
    declared = (
        f"Method({operation.verb!r}, {operation.path!r}, sends={operation.sends!r}, gives={operation.gives!r}, "
        f"kind={shape!r}, has_data={operation.data is not None}, takes_key={'Idempotency-Key' in names}, "
        f"prefers={'Prefer' in names and operation.verb != 'DELETE'})"
    )
    sent = ", body" if operation.sends else ""
    sent += ", progress" if operation.sends == "files" else ""
    call = f"self._client.call({declared}, ({path}), {{{query}}}, {{{headers}}}{sent})"
    lines += (
        [f"        {call}"]
        if gives == "None"
        else [f"        made: {gives} = {call}", "        return made"]
    )
    return "\n".join(lines) + "\n"


def _returned(operation: ClientOperation) -> str:
    simple = {"location": "str", "text": "str", "bytes": "bytes", "stream": "LiveStream"}
    if operation.gives in simple:
        return simple[operation.gives]
    if operation.data is None:
        return "None"
    return annotation(operation.data, "Sequence")


def _doc(text: str, indent: int) -> str:
    """Return a docstring with its quotes, indented."""
    space = " " * indent
    text = " ".join(text.split("\n\n", maxsplit=1)[0].split()) + "".join(
        f"\n\n{part.strip()}" for part in text.split("\n\n")[1:]
    )
    text = text.replace("\\", "\\\\").replace('"""', "'''").removesuffix('"')
    paragraphs = text.split("\n\n")
    wrapped = ("\n\n" + space).join(
        textwrap.fill(part, 100 - indent, subsequent_indent=space) for part in paragraphs
    )
    closing = f"\n{space}" if len(paragraphs) > 1 or "\n" in wrapped else ""
    return f'{space}"""{wrapped}{closing}"""'
