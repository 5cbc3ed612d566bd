"""Reference pages of one host's OpenAPI document: a page a tag, and those of errors, of objects and of all calls."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from forumapi import templates
from forumapi.apidocs import client_operations
from forumapi.apidocs.client_operations import (
    Schema,
    closure,
    closure_names,
    enveloped,
    name_of,
    resolve,
)
from forumapi.apidocs.error_codes import ERROR_CODES
from forumapi.apidocs.openapi import recorded
from forumapi.apidocs.reference import schema_words
from forumapi.apidocs.reference.call_examples import CallExamples, call_examples, json_text
from forumapi.apidocs.reference.compressed_file import CompressedFile
from forumapi.apidocs.reference.guide import GUIDE
from forumapi.apidocs.reference.schema_words import inline, prose
from forumapi.apidocs.reference.search_index import SearchIndex
from forumapi.apidocs.reference.tag_openapi import AUTHORIZE, tag_openapi
from forumapi.wire.json_fragments import dumps

HOME: Final = "/api/v1/docs"
BASICS: Final = "basics"
ERRORS: Final = "errors"
OBJECTS: Final = "objects"
_VERBS: Final = client_operations.VERBS
# Parameters described once, on the page of what all calls have in common.
_EVERYWHERE: Final = tuple(
    f"#/components/parameters/{name}" for name in ("context", "X-Request-Id")
)
STYLE: Final = templates.source("reference/reference.css")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class FieldRow(NamedTuple):
    """Field of an object, or parameter of an operation. `place`: of a parameter, such as `query`; "" for a field.
    `kind`: its type in words; `is_required`: always there, or has to be sent.
    """

    name: str
    place: str
    kind: Markup
    is_required: bool
    meaning: Markup


class ObjectEntry(NamedTuple):
    """Object of the document: its name and description, and its fields; for one without fields [] and its type in
    words, `kind`, which is "" for others.
    """

    name: str
    description: Markup
    fields: list[FieldRow]
    kind: Markup


class SentBody(NamedTuple):
    """Body of an operation. `kind`: its type in words; `required`: names of the required fields; `entry`: its object,
    where the operation alone sends it; None where `kind` links to it.
    """

    kind: Markup
    media_types: list[str]
    required: list[str]
    entry: ObjectEntry | None


class AnswerRow(NamedTuple):
    """Answer with a status below 400: the status, the type of its data in words, and its meaning."""

    status: str
    data: Markup
    meaning: Markup


class OperationEntry(NamedTuple):
    """Operation as a page shows it. `verb`: method in lower case; `hosts`: words for the hosts that have it, [] if all
    of the document's have; `scope`: "" for none; `answers`: those below status 400; `refusals`: the statuses from 400
    on that it may answer with; `examples`: None if no call was recorded; `answered`: data of the recorded answer as
    JSON, "" for none.
    """

    id: str
    verb: str
    path: str
    summary: str
    description: Markup
    hosts: list[str]
    scope: str
    parameters: list[FieldRow]
    body: SentBody | None
    answers: list[AnswerRow]
    refusals: list[str]
    examples: CallExamples | None
    answered: str

    @property
    def short(self) -> str:
        """Return the address below /api/v1, such as `/comments`; outside of that the whole address."""
        return self.path.removeprefix("/api/v1") or self.path


class TagEntry(NamedTuple):
    """Tag with its operations. `slug`: last part of the address of its page."""

    slug: str
    name: str
    description: str
    operations: list[OperationEntry]

    @property
    def old(self) -> str:
        """Return the anchor that the tag had on the single page that was there before, for old links."""
        return f"about-{self.slug}"


class ReferencePages:
    """All reference pages of one host's document; the document itself is not kept.

    `page`: HTML of each page, compressed, by the last part of its address; "" is the index. `parts`, `names`: by the
    last part of the address of each tag's page, the OpenAPI document (JSON, compressed) of the tag's operations alone,
    for the page to try them on, and the tag's name. `published`: the JSON of the search, compressed. `has_oauth`: the
    host is an OAuth provider.
    """

    def __init__(self, document: Schema) -> None:
        made = _PageMaker(document)
        self.page = {slug: CompressedFile.of(html) for slug, html in made.pages()}
        self.names = {tag.slug: tag.name for tag in made.tags}
        self.has_oauth = AUTHORIZE in document["paths"]
        self.parts = {
            slug: CompressedFile.of(dumps(tag_openapi(document, name)))
            for slug, name in self.names.items()
        }
        entries = made.published()
        self.search = SearchIndex(entries)
        self.published = CompressedFile.of(dumps(entries))
        self._index = made.index_values()

    def found(self, query: str) -> bytes:
        """Return the index page, as HTML, with the entries that a search for `query` finds."""
        hits = self.search.find(query)
        return _rendered("index", **self._index, query=query, hits=hits)


def slug_of(name: str) -> str:
    """Return the last part of the address of a tag's page, such as `signing-in`."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def _rendered(template: str, **values: Any) -> bytes:
    whole = {"query": "", "hits": [], **values}
    text = templates.render(f"reference/{template}.html", style=Markup(STYLE), home=HOME, **whole)
    return text.encode()


class _PageMaker:
    """Maker of the pages of one document."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        self.schemas: dict[str, Schema] = document["components"]["schemas"]
        self._clients = {one.id: one for one in client_operations.operations(document)}
        self._listed = {
            tag["name"]: list(_operations(document, tag["name"])) for tag in document["tags"]
        }
        self._uses = _uses(document)
        self.homes = self._found_homes()
        self.tags = [
            TagEntry(
                slug_of(tag["name"]),
                tag["name"],
                tag["description"],
                [self._operation(*one) for one in self._listed[tag["name"]]],
            )
            for tag in document["tags"]
        ]

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """Yield (last part of the address, HTML) of every page; "" is that of the index."""
        yield "", _rendered("index", **self.index_values())
        inlined = {
            operation.body.entry.name
            for tag in self.tags
            for operation in tag.operations
            if operation.body and operation.body.entry
        }
        for place, tag in enumerate(self.tags):
            objects = [
                self._object(name, tag.slug)
                for name, home in self.homes.items()
                if home == tag.slug and name not in inlined
            ]
            near = self.tags[place - 1 : place] + self.tags[place + 1 : place + 2]
            yield tag.slug, _rendered("resource", tag=tag, objects=objects, near=near)
        shared = [
            self._object(name, OBJECTS) for name, home in self.homes.items() if home == OBJECTS
        ]
        yield OBJECTS, _rendered("objects", objects=shared)
        yield ERRORS, _rendered("errors", statuses=self._statuses())
        document = self.document
        everywhere = [{"$ref": reference} for reference in _EVERYWHERE]
        yield (
            BASICS,
            _rendered(
                "basics",
                introduction=prose(document["info"]["description"]),
                switches=self._parameters([*everywhere, *document["x-switches"]], BASICS),
            ),
        )

    def index_values(self) -> dict[str, Any]:
        """Return the variables of the template of the index."""
        info = self.document["info"]
        by_id = {one.id: (one, tag.slug) for tag in self.tags for one in tag.operations}
        steps = [
            (step.title, inline(step.text), [by_id[id] for id in step.operations if id in by_id])
            for step in GUIDE
        ]
        # A platform's own host has neither comments nor conversations.
        is_whole = all(id in by_id for step in GUIDE for id in step.operations)
        return {
            "version": info["version"],
            "tags": [
                (
                    tag.slug,
                    tag.old,
                    tag.name,
                    tag.description,
                    [(o.id, o.verb, o.short) for o in tag.operations],
                )
                for tag in self.tags
            ],
            "steps": steps if is_whole else [],
        }

    def published(self) -> dict[str, list[list[Any]]]:
        """Return the entries of the search, in the form that SearchIndex describes."""
        return {
            "operations": [
                [
                    one.id,
                    f"{one.verb.upper()} {one.short}",
                    one.summary,
                    tag.slug,
                    " ".join(row.name for row in one.parameters),
                ]
                for tag in self.tags
                for one in tag.operations
            ],
            "objects": [
                [name, home, " ".join(self.schemas[name].get("properties", ()))]
                for name, home in self.homes.items()
            ],
            "errors": [[one.name, one.number, one.status, one.meaning] for one in ERROR_CODES],
        }

    def _found_homes(self) -> dict[str, str]:
        """Return the page (last part of its address) of each object that pages show, by the object's name, in the
        document's order: for what errors answer with the page of shared objects; else that of the first tag that sends
        or answers with it, else that of the only tag that uses it within others, else again the page of shared objects.
        """
        direct: dict[str, str] = {}
        within: dict[str, set[str]] = {}
        for tag, listed in self._listed.items():
            slug = slug_of(tag)
            roots = [root for _, _, _, operation in listed for root in self._roots(operation)]
            for name in closure_names(roots):
                direct.setdefault(name, slug)
            for name in closure(self.document, roots):
                within.setdefault(name, set()).add(slug)
        refused = closure(self.document, [{"$ref": "#/components/schemas/ErrorDetail"}])
        return {
            name: OBJECTS
            if name in refused
            else direct.get(name)
            or (next(iter(within[name])) if len(within[name]) == 1 else OBJECTS)
            for name in self.schemas
            if name in within or name in refused
        }

    def _roots(self, operation: Schema) -> Iterator[Schema]:
        """Yield the schemas of an operation's parameters, its body and the data of its answers below status 400."""
        for parameter in operation["parameters"]:
            yield resolve(self.document, parameter)["schema"]
        for media in _first(operation.get("requestBody", {}).get("content", {})):
            yield media["schema"]
        for status, response in operation["responses"].items():
            if status < "400":
                for _, schema in self._data(response):
                    yield schema

    def _data(self, response: Schema) -> Iterator[tuple[str, Schema]]:
        """Yield media type and schema of what an answer holds; for an answer with the envelope "" and the schema of its
        `data`. An answer with several media types yields the first alone, one without a body nothing.
        """
        for media_type, media in resolve(self.document, response).get("content", {}).items():
            data = enveloped(self.document, media["schema"])
            yield (media_type, media["schema"]) if data is None else ("", data)
            return

    def _operation(self, verb: str, path: str, item: Schema, operation: Schema) -> OperationEntry:
        id = operation["operationId"]
        page = slug_of(operation["tags"][0])
        own = [one for one in operation["parameters"] if one.get("$ref") not in _EVERYWHERE]
        responses = operation["responses"]
        example = recorded().get(id)
        return OperationEntry(
            id,
            verb,
            path,
            operation["summary"],
            prose(operation["description"]),
            [server["description"] for server in item.get("servers", ())],
            operation.get("x-scope", ""),
            self._parameters([*item.get("parameters", ()), *own], page),
            self._body(operation, page),
            [
                self._answer(status, response, page)
                for status, response in responses.items()
                if status < "400"
            ],
            [status for status in responses if status >= "400"],
            None
            if example is None
            else call_examples(self._clients[id], example, is_open=operation["x-need"] == "anyone"),
            _shortened(example),
        )

    def _answer(self, status: str, response: Schema, page: str) -> AnswerRow:
        data = Markup("no body")
        for media_type, schema in self._data(response):
            data = self._kind(schema, page)
            if media_type:
                data += Markup(", <code>{}</code>").format(media_type)
        meaning = resolve(self.document, response)["description"]
        return AnswerRow(status, data, inline(meaning))

    def _body(self, operation: Schema, page: str) -> SentBody | None:
        content = operation.get("requestBody", {}).get("content", {})
        for media in _first(content):
            schema = media["schema"]
            name = name_of(schema.get("$ref", ""))
            is_own = self._uses[name] == 1 and self.homes.get(name) == page
            return SentBody(
                self._kind(schema, page),
                list(content),
                list(_required(self.document, schema)),
                self._object(name, page) if is_own else None,
            )
        return None

    def _object(self, name: str, page: str) -> ObjectEntry:
        schema = self.schemas[name]
        required = schema.get("required", ())
        return ObjectEntry(
            name,
            prose(schema.get("description", "")),
            [
                FieldRow(
                    key,
                    "",
                    self._kind(inner, page),
                    key in required,
                    inline(inner.get("description", "")),
                )
                for key, inner in schema.get("properties", {}).items()
            ],
            Markup("") if "properties" in schema else self._kind(schema, page),
        )

    def _parameters(self, parameters: Iterable[Schema], page: str) -> list[FieldRow]:
        found = (resolve(self.document, one) for one in parameters)
        return [
            FieldRow(
                one["name"],
                one["in"],
                self._kind(one["schema"], page),
                one.get("required", False),
                inline(one.get("description", "")),
            )
            for one in found
        ]

    def _kind(self, schema: Schema, page: str) -> Markup:
        def address(name: str) -> str:
            home = self.homes.get(name, OBJECTS)
            return f"#object-{name}" if home == page else f"{HOME}/{home}#object-{name}"

        return schema_words.kind(schema, address)

    def _statuses(self) -> list[tuple[str, Markup, list[Any]]]:
        """Return (status, meaning, codes) of each status of a refusal, in ascending order; each code as (name, number,
        meaning, remedy), the latter two as HTML.
        """
        shared = {**self.document["components"]["responses"], **self.document["x-anywhere"]}
        meanings = {
            name: inline(response["description"])
            for name, response in shared.items()
            if name.isdigit() and name >= "400"
        }
        codes: dict[str, list[Any]] = {}
        for one in ERROR_CODES:
            row = (one.name, one.number, inline(one.meaning), inline(one.remedy))
            codes.setdefault(str(one.status), []).append(row)
        return [
            (status, meanings.get(status, Markup("")), codes.get(status, []))
            for status in sorted({*meanings, *codes})
        ]


def _operations(document: Schema, tag: str) -> Iterator[tuple[str, str, Schema, Schema]]:
    """Yield (method in lower case, address, path item, operation) of each operation with this tag, in the document's
    order.
    """
    for path, item in document["paths"].items():
        for verb in _VERBS:
            if verb in item and tag in item[verb]["tags"]:
                yield verb, path, item, item[verb]


def _first(content: Mapping[str, Schema]) -> Iterator[Schema]:
    """Yield the description of the first media type of `content`, a body's, whose schema has all fields of the other
    ones' schemas; nothing for {}.
    """
    yield from list(content.values())[:1]


def _uses(document: Schema) -> Counter[str]:
    """Return how often paths and components of the document refer to each component, by the component's name."""
    found: Counter[str] = Counter()
    left: list[Any] = [document["paths"], document["components"]]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                found[name_of(part["$ref"])] += 1
            left += part.values()
        elif isinstance(part, list):
            left += part
    return found


def _required(document: Schema, schema: Schema) -> Iterator[str]:
    """Yield the names of the required fields of a schema, in its order; for an object that has required fields itself,
    their paths, such as `meta.text`, in place of its own name.
    """
    whole = resolve(document, schema)
    for key in whole.get("required", ()):
        below = [f"{key}.{name}" for name in _required(document, whole["properties"][key])]
        yield from below or [key]


def _shortened(example: Schema | None) -> str:
    """Return the data of the answer in a recorded exchange, an answer without envelope whole, as JSON text shortened by
    `json_text`; "" where there is none.
    """
    answer = (example or {}).get("answer")
    if answer is None:
        return ""
    data = answer.get("data") if isinstance(answer, dict) and "data" in answer else answer
    return "" if data is None else json_text(data)
