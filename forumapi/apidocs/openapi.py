"""OpenAPI 3.1 document of the API, made of the routing tables.

Addresses, rights, bodies, answers, parameters and statuses follow from the routing tables and the methods' declarations
(`HandlerOperation`), texts from docstrings.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from werkzeug.routing import BaseConverter
from werkzeug.routing.converters import DEFAULT_CONVERTERS

from forumapi import __version__, errors, itemtypes
from forumapi.apidocs.error_codes import ERROR_CODES
from forumapi.apidocs.named_shapes import name_shapes
from forumapi.apidocs.operation_ids import operation_id
from forumapi.apidocs.tags import BY_FOLDER, BY_MODULE, TAGS
from forumapi.request.handler import ANYONE, ANYTHING, Handler, HandlerOperation, Need, Param
from forumapi.request.routing import CONVERTERS, NumberConverter
from forumapi.wire import documented_headers, scopes
from forumapi.wire.paging import DEFAULT_LIMIT, MAX_LIMIT, STEP
from forumapi.wire.schemas.access import OAuthError
from forumapi.wire.schemas.parts import ErrorDetail
from forumapi.wire.schemas.watchers_and_ignored import TAG_AFTER

Routes = Mapping[str, type[Handler]]
Schema = dict[str, Any]

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"
BYTES: Final = "application/octet-stream"
FORM: Final = "application/x-www-form-urlencoded"
_REF: Final = "#/components/schemas/{name}"
_PART: Final = re.compile(r"<(?:(?P<kind>\w+)(?:\([^)]*\))?:)?(?P<name>\w+)>")
# Citations in docstrings (docs/spec, docs/decisions) are for readers of this code, not for clients.
_SECTION: Final = re.compile(
    r"\s*\((?:(?:platform|content|discovery|decision) [0-9]|architecture, |[A-Z]-[0-9])[^)]*\)"
)
_BIGINT: Final = 2**63 - 1

_RIGHTS: Final[dict[Need, str]] = {
    Need.ANYONE: "anyone",
    Need.LOGIN: "anyone who is signed in",
    Need.READ: "whoever may `read` it",
    Need.CREATE: "whoever may `create` there",
    Need.UPDATE: "whoever may `update` it",
    Need.DELETE: "whoever may `delete` it",
    Need.REMOVE: "whoever may `update` or `delete` it",
    Need.MODERATE: "whoever moderates it",
    Need.OWNER: "the owner of the site",
}

_INTRODUCTION: Final = """\
A hosted, multi-tenant forum platform. Every JSON answer is an envelope: `context` (an echo of the query parameter of
that name), `status`, `data`, and `error` (null, or a list of texts). A refusal carries in `data` a detail object with
a stable `code`, which `/api/v1/docs/errors` explains.

**Signing in.** Send `Authorization: Bearer <token>`; without a token the caller is a guest.

**Writing.** A body is JSON, or a form where the operation lists one. Keys match without regard to case, unknown keys
are ignored, `null` means not sent. POST and PUT of one resource answer 302 with its address in `Location`; a PUT that
a page sends as such is answered 303, since browsers repeat it on 302. `Prefer: return=representation` brings the
document at once, in place of the redirect or of `null`; `return=minimal` brings 204. `Idempotency-Key` makes a
repeated write happen once; `If-Match` makes a write depend on the version that was read.

**Reading.** `ETag` and `If-None-Match` save the transfer of what the client holds. HEAD works wherever GET does and
answers with the same status and headers, without a body; OPTIONS works everywhere and answers 200 with `Allow` and
without a body. Neither is listed at the addresses. A method that an address does not list is answered with 405 and
`Allow`.

**Switches.** Every operation that answers with the envelope also takes the parameters listed under `x-switches`. They
change the form of the answer, or the method that is meant, so they are described once: the answers of the operations
are those without them. What any address may answer, also one that is not listed, stands under `x-anywhere`."""

_DESCRIPTIONS: Final[dict[int, str]] = {
    202: "Accepted: a notification, which has no answer.",
    301: "The same address is meant without double slashes, or the site has moved to another platform: at `Location`;"
    " only of reads.",
    303: "A page goes on at `Location`.",
    304: "The client holds the current answer.",
    400: "Something sent breaks a rule; the text names the field and the rule (codes 1 to 4, 17 to 19, 21 to 23).",
    401: "The token is malformed, unknown or expired (codes 6 and 7), or a sign-in was refused.",
    403: "Not permitted, guests and banned callers included, or no such content item (codes 5, 8 to 13).",
    404: "No such site, address or resource here (codes 14 and 15).",
    405: "The method that the request means, after override, is not supported here.",
    409: "A copy of this request, with the same Idempotency-Key, is still under way; or a draft has another version.",
    410: "The site has moved to another platform; only of writes.",
    412: "If-Match named another version than the current one.",
    413: "The body or the upload is too large.",
    416: "The range lies beyond the end of the file.",
    422: "The Idempotency-Key was used before with another body.",
    426: "This address speaks WebSocket, of version 13.",
    429: "Over the rate limit (code 16).",
    500: "Our fault.",
    501: "Known, but not implemented or not configured.",
    502: "A provider behind us failed; or the answer to a write was lost, which may have been done: send it again with"
    " the same Idempotency-Key.",
    503: "The database or another service behind us is away or overloaded (code 24: the search); nothing was written.",
}

_PARAMETERS: Final[dict[str, Schema]] = {
    "context": {
        "name": "context",
        "in": "query",
        "description": "A text that comes back as `context` of the envelope.",
        "schema": {"type": "string"},
    },
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "Entries on a page.",
        "schema": {
            "type": "integer",
            "minimum": STEP,
            "maximum": MAX_LIMIT,
            "multipleOf": STEP,
            "default": DEFAULT_LIMIT,
        },
    },
    "offset": {
        "name": "offset",
        "in": "query",
        "description": "Entries before the page: a multiple of `limit`, not beyond the last page.",
        "schema": {"type": "integer", "minimum": 0, "default": 0},
    },
    "always200": {
        "name": "always200",
        "in": "query",
        "allowEmptyValue": True,
        "description": "Given with or without a value: the status line is 200 whatever `status` says.",
        "schema": {"type": "string"},
    },
    "disableBoiler": {
        "name": "disableBoiler",
        "in": "query",
        "allowEmptyValue": True,
        "description": "Given with or without a value: the body is only what `data` would hold.",
        "schema": {"type": "string"},
    },
    "callback": {
        "name": "callback",
        "in": "query",
        "description": "JSONP: the body is a call of this function, application/javascript. Without credentials only.",
        "schema": {"type": "string", "pattern": "^[A-Za-z_$][A-Za-z0-9_$.]{0,99}$"},
    },
    "method": {
        "name": "method",
        "in": "query",
        "description": "On POST: the method that is meant. Wins over the header.",
        "schema": {"type": "string", "examples": ["PUT"]},
    },
    **{
        name: {"name": name, "in": "header", **described}
        for name, described in documented_headers.REQUEST.items()
    },
}
# Statuses that every address may answer with, also one that the document does not have.
ANYWHERE: Final = (301, 400, 404, 410, 429, 500, 503)
SWITCHES: Final = (
    "always200",
    "X-Always-200",
    "disableBoiler",
    "X-Disable-Boiler",
    "callback",
    "method",
    "X-HTTP-Method-Override",
)

_FILES: Final = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {
                "files": {
                    "type": "array",
                    "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                    "maxItems": 10,
                    "description": "Any part that has a name and a file name is a file; others are skipped.",
                }
            },
        }
    }
}

_KINDS: Final[dict[type, str]] = {bool: "boolean", str: "string", int: "integer"}
_JSON_RPC_ERROR: Final = {
    "type": "object",
    "description": "An error of JSON-RPC 2.0.",
    "required": ["error"],
    "properties": {
        "jsonrpc": {"type": "string"},
        "id": {"type": ["string", "integer", "null"]},
        "error": {"type": "object"},
    },
}
_BINARY: Final = {"type": "string", "format": "binary"}
_NULL: Final = {"type": "null"}
# Headers of a stored file.
_STORED: Final = ("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag")
_RATE_HEADERS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_VERBS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


# Descriptions of redirects that follow no write.
_MOVED: Final = {
    202: "Begun; `Location` shows how far it is.",
    301: "It was merged; `Location` is the same of what has its comments now.",
    307: "Go on.",
}


class Endpoint(NamedTuple):
    """Address of a routing table (`url`, with `<name>`) with its handler. In the document the address is `template`
    (with `{name}`), and `parameters` describe its variable parts in order.
    """

    url: str
    template: str
    parameters: list[Schema]
    handler: type[Handler]


# ---------------------------------------------------------------- the two documents


def document(root: Routes, site: Routes) -> Schema:
    """Return one OpenAPI document for the platform's host and the sites' hosts, from their routing tables, `root` and
    `site`.

    Raises ValueError for an address that is in both, but not with the same operations.
    """
    platform = {
        "url": "https://{platform}",
        "description": "The platform host",
        "variables": {"platform": {"default": "forum.example"}},
    }
    tenant = {
        "url": "https://{site}.{platform}",
        "description": "A site",
        "variables": {"site": {"default": "bikes"}, "platform": {"default": "forum.example"}},
    }
    made = _document({**root, **site}, [platform, tenant])
    for url in {*root, *site}:
        if url in root and url in site:
            if root[url].operations != site[url].operations:
                raise ValueError(f"{url} means one thing on the platform host, another on a site")
            continue
        made["paths"][template(url)]["servers"] = [platform if url in root else tenant]
    return made


def host_document(routes: Routes) -> Schema:
    """Return the OpenAPI document of one host alone, from the host's routing table `routes`."""
    return _document(routes, [{"url": "/", "description": "This host"}])


def _document(routes: Routes, servers: list[Schema]) -> Schema:
    endpoints = [_place(url, routes[url]) for url in sorted(routes)]
    schemas = _Schemas([endpoint.handler for endpoint in endpoints])
    # Envelopes and bodies become components while the operations are made.
    paths = {endpoint.template: _path(endpoint, schemas, routes) for endpoint in endpoints}
    shared = _responses(schemas)
    anywhere = {str(status): shared[str(status)] for status in ANYWHERE}
    named = _references(paths, "responses")
    responses = {name: shared[name] for name in shared if name in named}
    switches = [_PARAMETERS[name] for name in SWITCHES]
    taken = _references(paths, "parameters")
    described = schemas.used_by(paths, responses, anywhere)
    (paths, described, responses, anywhere), shapes = name_shapes(
        [paths, described, responses, anywhere]
    )
    if same := shapes.keys() & described.keys():
        raise ValueError(f"two components have the name {min(same)}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "forumapi",
            "version": __version__,
            "summary": "A hosted, multi-tenant forum platform",
            "description": _INTRODUCTION,
            "contact": {"name": "The operator of this host"},
            "x-error-codes": {
                one.name: f"/api/v1/docs/errors#error-{one.name}" for one in ERROR_CODES
            },
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": servers,
        "security": [{}, {"bearer": []}, {"access_token": []}],
        "tags": _tags(endpoints),
        "paths": paths,
        "components": {
            "schemas": dict(sorted({**described, **shapes}.items())),
            "parameters": {name: one for name, one in _PARAMETERS.items() if name in taken},
            "headers": documented_headers.RESPONSE,
            "responses": responses,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token"},
                "access_token": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "access_token",
                    "description": "The same token, where a header can't be sent. The header wins.",
                },
            },
        },
        "x-switches": switches,
        "x-anywhere": anywhere,
    }


# ---------------------------------------------------------------- addresses


def template(url: str) -> str:
    """Return the document's form of an address of a routing table: `/comments/{id}` for `/comments/<comment:id>`."""
    return _place(url, Handler).template


def _place(url: str, handler: type[Handler]) -> Endpoint:
    parameters: list[Schema] = []

    def named(part: re.Match[str]) -> str:
        name = "id" if part["name"] == "item" else part["name"]
        parameters.append(_path_parameter(name, part["kind"] or "default"))
        return f"{{{name}}}"

    return Endpoint(url, _PART.sub(named, url), parameters, handler)


def _path_parameter(name: str, kind: str) -> Schema:
    converter: type[BaseConverter] = {**DEFAULT_CONVERTERS, **CONVERTERS}[kind]
    schema: Schema = {"type": "string", "pattern": f"^{converter.regex}$"}
    if converter.regex == NumberConverter.regex:
        schema = {"type": "integer", "format": "int64", "minimum": 0, "maximum": _BIGINT}
    made = {"name": name, "in": "path", "required": True, "schema": schema}
    if kind in itemtypes.BY_NAME:
        made["description"] = f"The id of a {kind.replace('_', ' ')}."
    return made


def _module(handler: type[Handler]) -> str:
    return handler.__module__.rpartition(".")[2]


def _tag(handler: type[Handler]) -> str:
    """Return the name of the tag of the handler's module, else of the module's folder; for a module outside of these
    folders the module's own name.
    """
    folder, _, module = handler.__module__.rpartition(".")
    tag = BY_MODULE.get(module) or BY_FOLDER.get(folder.removeprefix("forumapi.handlers."))
    return tag.name if tag else module


def _tags(endpoints: Iterable[Endpoint]) -> list[Schema]:
    used = {_tag(endpoint.handler) for endpoint in endpoints}
    known = [tag for tag in TAGS if tag.name in used]
    others = sorted(used - {tag.name for tag in known})
    return [
        *({"name": tag.name, "description": tag.description} for tag in known),
        *({"name": name, "description": ""} for name in others),
    ]


def _path(endpoint: Endpoint, schemas: _Schemas, routes: Routes) -> Schema:
    summary, description = _texts(endpoint.handler.__doc__)
    made: Schema = {"summary": summary}
    if description:
        made["description"] = description
    if endpoint.parameters:
        made["parameters"] = endpoint.parameters
    for verb in _VERBS:
        operation = endpoint.handler.operations.get(verb)
        if operation is not None:
            made[verb.lower()] = _operation(endpoint, verb, operation, schemas, routes)
    return made


# ---------------------------------------------------------------- operations


def _operation(
    endpoint: Endpoint, verb: str, operation: HandlerOperation, schemas: _Schemas, routes: Routes
) -> Schema:
    name = _operation_name(endpoint, verb)
    function = getattr(endpoint.handler, verb.lower())
    summary, description = _texts(function.__doc__ or endpoint.handler.__doc__)
    who = f"For {_RIGHTS[operation.need]}."
    made: Schema = {
        "tags": [_tag(endpoint.handler)],
        "operationId": operation_id(verb, endpoint.template),
        "summary": summary,
        "description": f"{description}\n\n{who}" if description else who,
        "parameters": [
            *(_query(param) for param in operation.params),
            *(_parameter(name) for name in _shared(endpoint, verb, operation)),
        ],
        "x-need": operation.need.name.lower(),
    }
    if scope := scopes.of(endpoint.url, verb):
        made["x-scope"] = scope
    if operation.body is not None:
        keys = required_keys(endpoint.handler, verb)
        content = schemas.body(name, operation.body, keys)
        for media_type in endpoint.handler.also_reads.get(verb, ()):
            content[media_type] = {"schema": {"type": "string"}}
        made["requestBody"] = {"required": True, "content": content}
    elif endpoint.handler.receives_files and verb == "POST":
        made["requestBody"] = {"required": True, "content": _form(endpoint.handler)}
    made["responses"] = {
        **_passed(name, operation, schemas),
        **_merged(name, endpoint, verb, operation, schemas),
        **_written(endpoint, verb, operation, schemas, routes),
        **{
            str(status): _response(
                status,
                endpoint.handler if verb == "POST" or endpoint.handler.error_form else Handler,
            )
            for status in _statuses(endpoint, verb, operation)
        },
    }
    if (example := recorded().get(made["operationId"])) is not None:
        _exemplify(made, example)
    return made


def _form(handler: type[Handler]) -> Schema:
    """Return the `content`, by media type, of a body of files, with the fields that the handler takes beside the
    files.
    """
    if not handler.form_fields:
        return _FILES
    properties: Schema = {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "The part that has a name and a file name is the file.",
        }
    }
    for name, description in handler.form_fields.items():
        if name.endswith("[]"):
            kind: Schema = {"type": "array", "items": {"type": "string"}}
        else:
            kind = {"type": "string"}
        properties[name.removesuffix("[]")] = {**kind, "description": description}
    return {
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": properties}
        }
    }


@functools.cache
def recorded() -> dict[str, Schema]:
    """Return the recorded exchanges by operation id, from examples.json. An exchange has `request` (method and address)
    and `status`; `body`, as sent, if that is JSON; `form`, the fields of a body that was sent as a form; and `answer`,
    if that is JSON.
    """
    file = Path(__file__).with_name("examples.json")
    found: dict[str, Schema] = json.loads(file.read_bytes())
    return found


def _exemplify(operation: Schema, example: Schema) -> None:
    """Add the recorded exchange `example`, a value of `recorded`, to an operation of the document, in place: the
    request as `x-example-request`, what was sent and answered as examples of the request's body and of the response.
    """
    operation["x-example-request"] = example["request"]
    if "body" in example:
        operation["requestBody"]["content"][JSON]["example"] = example["body"]
    if "form" in example:
        operation["requestBody"]["content"][FORM]["example"] = example["form"]
    if "answer" in example:
        operation["responses"][str(example["status"])]["content"][JSON]["example"] = example[
            "answer"
        ]


def _operation_name(endpoint: Endpoint, verb: str) -> str:
    """Return the id of the operation `verb` (upper case) at an address, with a capital at its beginning: the start of
    names of components that belong to the operation.
    """
    id = operation_id(verb, endpoint.template)
    return id[0].upper() + id[1:]


def _passed(name: str, operation: HandlerOperation, schemas: _Schemas) -> Schema:
    """Return the responses of success by status; for a stored file also a part (206), unchanged (304) and elsewhere
    (307); for a redirect with 307 also the 200 that the query parameter `always200` asks for. `name`: the operation's,
    with which names of components begin; `schemas`: the document's, to which the envelopes are added.
    """
    made: Schema = {str(operation.status): _success(name, operation, schemas)}
    if operation.status == 307:
        said = "With `always200`: the same redirect, for clients that can't read one."
        made = {"200": {**made["307"], "description": said}, **made}
    if operation.media_type == ANYTHING:
        part = {
            **_success(name, operation, schemas),
            "description": "The range that was asked for.",
        }
        elsewhere = _success(name, operation._replace(status=307, media_type=""), schemas)
        made |= {"206": part, "304": _response(304), "307": elsewhere}
    return made


def _merged(
    name: str, endpoint: Endpoint, verb: str, operation: HandlerOperation, schemas: _Schemas
) -> Schema:
    """Return the redirect, by its status (301), that answers a read of a conversation, or of something below it, once
    the conversation was merged into another item; {} for other operations. `name`: the operation's, with which names of
    components begin; `verb`: its method in upper case; `schemas`: the document's, to which the envelope is added.
    """
    if verb != "GET" or "<conversation:item>" not in endpoint.url or not _locates(endpoint.handler):
        return {}
    there = operation._replace(status=301, answer=None, media_type="")
    return {"301": _success(name, there, schemas)}


def _shared(endpoint: Endpoint, verb: str, operation: HandlerOperation) -> list[str]:
    """Return the names of the shared parameters (components of the document) that the operation takes, in the order in
    which they are listed. `verb`: its method in upper case.
    """
    names = ["limit", "offset"] if operation.paged else []
    if not operation.media_type:
        names.append("context")
    if operation.status == 307:
        names.append("always200")
    if verb == "GET" and _is_tagged(endpoint, operation):
        names.append("If-None-Match")
    if verb != "GET":
        if endpoint.handler.takes_idempotency_key:
            names.append("Idempotency-Key")
        if _locates(endpoint.handler):
            names.append("If-Match")
        if takes_preference(operation):
            names.append("Prefer")
    if operation.media_type == ANYTHING:
        names += ["If-None-Match", "If-Range", "Range"]
    names += endpoint.handler.also_takes
    names.append("X-Request-Id")
    return names


def _is_tagged(endpoint: Endpoint, operation: HandlerOperation) -> bool:
    return not operation.media_type or endpoint.handler.tags_bare_answers


def _locates(handler: type[Handler]) -> bool:
    return handler.locate is not Handler.locate


def _statuses(endpoint: Endpoint, verb: str, operation: HandlerOperation) -> list[int]:
    """Return the statuses that the operation, as it is declared, may answer with other than success, in ascending
    order. `verb`: its method in upper case.
    """
    found = {400, 404, 429, 500, 503}
    if verb == "GET" and _is_tagged(endpoint, operation):
        found.add(304)
    if verb != "GET":
        # Every body is read, and refused when too large, even if the operation ignores it.
        found |= {413, 409, 422, 502}
        if _locates(endpoint.handler):
            found.add(412)
    if not endpoint.handler.ignores_token or operation.need is not ANYONE:
        found |= {401, 403}
    elif verb not in endpoint.handler.serves_held_sites:
        # On a site that is held back.
        found.add(403)
    if verb == "POST":
        found.add(405)
    if verb == "PATCH":
        found.add(501)
    found |= set(operation_errors(endpoint.handler, verb))
    return sorted(found - {operation.status})


def operation_errors(handler: type[Handler], verb: str) -> tuple[int, ...]:
    """Return the further statuses of the method `verb` (upper case) that its class declares in `also_answers`, in that
    order; () if the class declares none.
    """
    also: Mapping[str, tuple[int, ...]] = getattr(handler, "also_answers", {})
    return also.get(verb, ())


def other_answers(handler: type[Handler]) -> Mapping[str, Any]:
    """Return the types of a second kind of 200 answer, by method (upper case), that a class declares in
    `also_succeeds`; {} if the class declares none.
    """
    also: Mapping[str, Any] = getattr(handler, "also_succeeds", {})
    return also


def takes_preference(operation: HandlerOperation) -> bool:
    """Return True if the operation, which must be a write, is one on which the header Prefer has an effect: one whose
    answer has the envelope. That it is a write is not checked.
    """
    return not operation.media_type


def _written(
    endpoint: Endpoint, verb: str, operation: HandlerOperation, schemas: _Schemas, routes: Routes
) -> dict[str, Schema]:
    """Return further responses by status, to be added to the usual ones of success or to replace those of the same
    status. For a write: 303 beside the 302 of a PUT, for pages in a browser, and the responses that the header Prefer
    asks for. For any method, if the class declares a second type of 200 answer: a 200 with either type.

    `verb`: the method in upper case; `schemas`: the document's, to which the envelopes are added; `routes`: table of
    the host, to find the document written.
    """
    name = _operation_name(endpoint, verb)
    made: dict[str, Schema] = {}
    own = [] if operation.status != 200 else [operation.answer]
    if (other := other_answers(endpoint.handler).get(verb)) is not None:
        own.append(other)
    if verb != "GET" and takes_preference(operation):
        if operation.status == 302 and verb == "PUT":
            made["303"] = _success(name, operation._replace(status=303), schemas)
        if (shown := _shown(endpoint, verb, operation, routes)) is not None:
            status, document = shown
            if status == 201:
                made["201"] = _success(
                    name, operation._replace(status=201, answer=document), schemas
                )
            else:
                own.append(document)
        names = ("Location", "Preference-Applied", "X-Request-Id", *_RATE_HEADERS)
        made["204"] = {"description": "Done, with nothing to say.", "headers": _headers(*names)}
    if own and own != [operation.answer]:
        kinds = {repr(kind): kind for kind in own}.values()
        data = [schemas.answer(kind) if kind is not None else _NULL for kind in kinds]
        one = _success(name, operation._replace(status=200, answer=own[-1]), schemas)
        # A choice of envelopes, which other operations have too, rather than one more envelope of either. Readers that
        # take the first that fits meet the empty one last.
        data.sort(key=lambda inner: inner == _NULL)
        options = [schemas.envelope(name, 200, inner, _NULL) for inner in data]
        one["content"] = {JSON: {"schema": options[0] if len(options) == 1 else {"anyOf": options}}}
        made["200"] = one
    return made


def _shown(
    endpoint: Endpoint, verb: str, operation: HandlerOperation, routes: Routes
) -> tuple[int, Any] | None:
    """Return (status, type) of the document that a write answers with if Prefer asks for it: 201 for a new resource,
    else 200; None if there is no such document. The type is None for an answer without data. `verb`: method of the
    write in upper case; `routes`: table of the host, to find the document.

    By the same rules as request/answers/preferred_answer.py.
    """
    if operation.status == 302:
        url = endpoint.handler.leads_to.get(verb, "")
        if not url and verb == "POST":
            below = re.compile(re.escape(endpoint.url) + r"/<[^/]+>")
            for other in routes:
                if below.fullmatch(other) and "GET" in routes[other].operations:
                    return 201, routes[other].operations["GET"].answer
    elif operation.status == 200 and operation.answer is None:
        url = ""
    else:
        return None
    above = endpoint.url.rpartition("/")[0] if endpoint.handler.shows_above else ""
    for other in (url, endpoint.url, above):
        if other in routes and "GET" in routes[other].operations:
            return 200, routes[other].operations["GET"].answer
    return None


def required_keys(handler: type[Handler], verb: str) -> tuple[str, ...]:
    """Return the required keys of the body of the method `verb` (upper case), which its class declares in
    `required_keys`, in that order; () if the class declares none. `meta.x` is `x` within `meta`.
    """
    keys: Mapping[str, tuple[str, ...]] = getattr(handler, "required_keys", {})
    return keys.get(verb, ())


def _success(name: str, operation: HandlerOperation, schemas: _Schemas) -> Schema:
    if operation.status == 101:
        return {"description": "The connection speaks WebSocket from here on."}
    if operation.media_type:
        schema = schemas.answer(operation.answer) if operation.answer else {"type": "string"}
        return {
            "description": "The answer, without the envelope.",
            "headers": _headers(*_STORED, "X-Request-Id", *_RATE_HEADERS)
            if operation.media_type == ANYTHING
            else _headers("X-Request-Id", *_RATE_HEADERS),
            "content": {
                # A type that generators know comes first.
                **({BYTES: {"schema": _BINARY}} if operation.media_type == ANYTHING else {}),
                operation.media_type: {"schema": schema},
            },
        }
    data = schemas.answer(operation.answer) if operation.answer is not None else {"type": "null"}
    moved = operation.status in (202, 301, 302, 303, 307)
    if moved:
        description = _MOVED.get(operation.status, "Done; `Location` is the resource.")
    else:
        description = "Done." if operation.answer is None else "The answer."
    names = (
        ("Location",) if moved else ("ETag", "Live-Cursor") if operation.answer is not None else ()
    )
    return {
        "description": description,
        "headers": _headers(*names, "X-Request-Id", *_RATE_HEADERS),
        "content": {JSON: {"schema": schemas.envelope(name, operation.status, data, _NULL)}},
    }


def _query(param: Param) -> Schema:
    kinds = {bool: "boolean", int: "integer", float: "number"}
    schema: Schema = {"type": kinds.get(param.type, "string")}
    if len(param.values) == 1:
        schema["const"] = param.values[0]
    elif param.values:
        schema["enum"] = [*param.values]
    return {
        "name": param.name,
        "in": "query",
        "description": param.description,
        "schema": schema,
    }


# ---------------------------------------------------------------- shared parts


def _parameter(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _response(status: int, handler: type[Handler] = Handler) -> Schema:
    if status in _FORMED.get(handler.error_form, ()):
        return {"$ref": f"#/components/responses/{handler.error_form}{status}"}
    kind = "Bare" if getattr(handler, "errors_without_data", False) and status != 304 else ""
    return {"$ref": f"#/components/responses/{kind}{status}"}


# Statuses of errors with a form of their own, by `Handler.error_form`.
_FORMED: Final[dict[str, tuple[int, ...]]] = {
    "JsonRpc": (400, 404, 500),
    "OAuth": (400, 401, 403, 429, 501),
    "Page": (400, 401, 403, 429, 501),
}


def _formed(status: int, usual: Schema, message: Schema) -> Iterable[tuple[str, Schema]]:
    """Yield (component's name, response) of each form that errors with the status `status` have besides the `usual`
    response: of JSON-RPC, of the OAuth protocol, and as an HTML page; nothing for a status that _FORMED lists for no
    form. `message`: schema of an error of JSON-RPC.
    """
    enveloped = usual["content"][JSON]["schema"]
    refusal = {"$ref": _REF.format(name="OAuthError")}
    page = {HTML: {"schema": {"type": "string"}}}
    forms = {
        "JsonRpc": {JSON: {"schema": {"anyOf": [enveloped, message]}}},
        "OAuth": {JSON: {"schema": {"anyOf": [enveloped, refusal]}}},
        "Page": {**usual["content"], **page},
    }
    for form, content in forms.items():
        if status in _FORMED[form]:
            yield f"{form}{status}", {**usual, "content": content}


def _responses(schemas: _Schemas) -> Schema:
    """Return the responses of errors that all operations share, as components by name: the status, such as `404`. Each
    but 202, 303 and 304 also comes in a form whose `data` may be null (`Bare404`), for classes with
    `errors_without_data` (platform 1.6), and those of _FORMED in the forms of `_formed` too. The envelopes in them are
    added to `schemas`.
    """
    detail = {"$ref": _REF.format(name="ErrorDetail")}
    message = schemas.add("JsonRpcError", _JSON_RPC_ERROR)
    made: Schema = {}
    for status, description in _DESCRIPTIONS.items():
        if status == 202:
            made["202"] = {"description": description, "headers": _headers("X-Request-Id")}
            continue
        if status == 304:
            made["304"] = {"description": description, "headers": _headers("ETag")}
            continue
        if status == 303:
            page = {HTML: {"schema": {"type": "string"}}}
            made["303"] = {
                "description": description,
                "headers": _headers("Location"),
                "content": page,
            }
            continue
        names = ["X-Request-Id", *_RATE_HEADERS]
        if status in (409, 429, 503):
            names.append("Retry-After")
        if status in (401, 403):
            names.append("WWW-Authenticate")
        if status == 405:
            names.append("Allow")
        texts: Schema = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        for kind, data in (("", detail), ("Bare", {"anyOf": [detail, {"type": "null"}]})):
            made[f"{kind}{status}"] = {
                "description": description,
                "headers": _headers(*names),
                "content": {
                    JSON: {"schema": schemas.envelope(f"{kind}Error", status, data, texts)}
                },
            }
        made |= _formed(status, made[str(status)], message)
    return made


def _texts(text: str | None) -> tuple[str, str]:
    """Split a docstring, without citations of the wire contract such as (content 1.2), into its first paragraph in one
    line without full stop, and the rest; both are "" for None.
    """
    first, _, rest = _SECTION.sub("", cleandoc(text or "")).partition("\n\n")
    return " ".join(first.split()).removesuffix("."), rest.strip()


# ---------------------------------------------------------------- schemas


class _Schemas:
    """JSON Schemas of all types of bodies and answers of the handlers, one instance a document: as `components` by
    name, and references to them.
    """

    def __init__(self, handlers: Sequence[type[Handler]]) -> None:
        """Make the schemas of all types that handlers declare. `handlers`: class of each address, as often as it has
        addresses.
        """
        sent_by = Counter(
            (repr(operation.body), required_keys(one, verb))
            for one in handlers
            for verb, operation in one.operations.items()
        )
        # Types with required keys that are sent to several operations alike.
        self._shared = {kind for kind, times in sent_by.items() if times > 1}
        # Sorted, since components with the same name are numbered in this order; folders of handlers don't count.
        classes = sorted(set(handlers), key=lambda one: (_module(one), one.__qualname__))
        operations = [operation for one in classes for operation in one.operations.values()]
        answers = {repr(o.answer): o.answer for o in operations if o.answer is not None}
        for one in classes:
            answers |= {repr(other): other for other in other_answers(one).values()}
        bodies = {repr(o.body): o.body for o in operations if o.body is not None}
        answers["error"] = ErrorDetail
        answers["refusal"] = OAuthError
        self._answers, answered = _made(answers)
        self._bodies, sent = _made(bodies)
        sent = {name: _lenient(schema) for name, schema in sent.items()}
        names = _names(answered, "")
        inputs = _names(sent, "Input", taken=set(names.values()))
        self._answers = _renamed(self._answers, names)
        self._bodies = _renamed(self._bodies, inputs)
        made = {names[old]: _renamed(schema, names) for old, schema in answered.items()}
        made |= {inputs[old]: _renamed(schema, inputs) for old, schema in sent.items()}
        self._answers, self._bodies = _plain(self._answers), _plain(self._bodies)
        # A generic type's own title spells out the modules of its members.
        self.components: Schema = {
            name: _plain(schema) | {"title": name} for name, schema in made.items()
        }
        detail = self.components["ErrorDetail"]["properties"]
        detail["errorCode"] |= _error_codes()
        detail["code"]["enum"] = [one.name for one in ERROR_CODES]

    def answer(self, kind: Any) -> Schema:
        """Return the schema of the type of answer `kind`, one of the handlers', which refers to components."""
        found: Schema = self._answers[repr(kind)]
        return found

    def envelope(self, name: str, status: int, data: Schema, error: Schema) -> Schema:
        """Add a component for the envelope of an answer with the HTTP status `status`, and return a reference to it;
        operations whose answers are alike share one. `data`, `error`: schemas of these keys of the envelope; `error` is
        _NULL for a success.

        The envelope is named after the components in `data`, or after `name` (of the operation, or `Error`) where
        `data` has none.
        """
        moved = status in (302, 303, 307) or (status == 301 and error == _NULL)
        if error == _NULL and (moved or data == _NULL):
            name = "" if data == _NULL else _spoken(data) or name
            name += "Redirect" if moved else "Empty"
        elif error == _NULL:
            name = _spoken(data) or name
        least, most = (300, 399) if moved else (200, 299) if error == _NULL else (300, 599)
        return self.add(
            f"{name}Envelope",
            {
                "type": "object",
                "required": ["context", "status", "data", "error"],
                "properties": {
                    "context": {"type": "string"},
                    "status": {"type": "integer", "minimum": least, "maximum": most},
                    "data": data,
                    "error": error,
                },
            },
        )

    def body(self, name: str, kind: Any, keys: tuple[str, ...] = ()) -> Schema:
        """Return the `content`, by media type, of a body of the type `kind`: JSON; and, for a struct, a form of its
        keys with plain values (text, number, boolean), if there are any and all required keys are among them.
        Components that the content refers to are added.

        With required `keys`, the body is a component of its own, since they are the operation's and not the type's. The
        component is named after the operation `name`; after the type and its keys, such as `CodeBodyWithCode`, if
        several operations take it.
        """
        schema: Schema = self._bodies[repr(kind)]
        owner = _spoken(schema)
        if keys:
            is_shared = (repr(kind), keys) in self._shared
            owner = _with_keys(owner, keys) if is_shared else f"{name}Body"
            schema = self._requiring(owner, schema, keys)
            owner = owner if is_shared else name
        made = {JSON: {"schema": schema}}
        form = self._form(kind)
        if form is not None and not set(keys) - set(form["properties"]):
            whole = {**form, "required": list(keys)} if keys else form
            # They differ where a key may be null, which a form can't say.
            is_same = {**self._resolved(schema), "title": ""} == {**whole, "title": ""}
            made[FORM] = {"schema": schema if is_same else self.add(f"{owner}Form", whole)}
        return made

    def used_by(self, *roots: Schema) -> Schema:
        """Return the components, by name and sorted, that the parts `roots` of the document refer to, directly or
        through other components.
        """
        found: set[str] = set()
        left = _references(roots)
        while left:
            found |= left
            left = _references([self.components[name] for name in left]) - found
        return {name: self.components[name] for name in sorted(found)}

    def add(self, name: str, schema: Schema) -> Schema:
        """Add a component and return a reference to it; adding an equal one again changes nothing. Raises
        ValueError if the name is another component's.
        """
        whole = {**schema, "title": name}
        if self.components.setdefault(name, whole) != whole:
            raise ValueError(f"two components have the name {name}")
        return {"$ref": _REF.format(name=name)}

    def _requiring(self, name: str, schema: Schema, keys: tuple[str, ...]) -> Schema:
        """Return a reference to a copy of an object's schema, by which `keys` are required and not null; `meta.x` is
        `x` within `meta`. The copy is added as the component `name`; so is a copy of each object within it that has
        required keys, as a component named after that object's type and keys.
        """
        inner: dict[str, list[str]] = {}
        for key in keys:
            first, _, below = key.partition(".")
            inner.setdefault(first, []).extend([below] if below else [])
        whole = self._resolved(schema)
        properties = dict(whole["properties"])
        for key, rest in inner.items():
            value = _not_null(properties[key])
            if rest:
                value = self._requiring(_with_keys(_spoken(value), rest), value, tuple(rest))
            properties[key] = value
        required = list(dict.fromkeys((*whole.get("required", ()), *inner)))
        return self.add(name, {**whole, "required": required, "properties": properties})

    def _resolved(self, schema: Schema) -> Schema:
        found: Schema = schema
        if "$ref" in schema:
            found = self.components[schema["$ref"].rpartition("/")[2]]
        return found

    def _form(self, kind: Any) -> Schema | None:
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return None
        whole = self._resolved(self._bodies[repr(kind)])
        flat = {
            key: _not_null(schema)
            for key, schema in whole.get("properties", {}).items()
            if _not_null(schema).get("type") in ("string", "integer", "number", "boolean")
        }
        if not flat or set(whole.get("required", ())) - set(flat):
            return None
        return {**whole, "properties": flat}


def _references(part: Any, kind: str = "schemas") -> set[str]:
    """Return the names of the components that a part of the document refers to, of one kind alone. `kind`: key of the
    document's `components`, such as "parameters".
    """
    return set(re.findall(rf'"\$ref": "#/components/{kind}/([^"]+)"', json.dumps(part)))


def _spoken(schema: Schema) -> str:
    """Return a name for a schema that is a reference to a component, null, true or false, or a list or choice of such
    schemas: `Link`, `Nothing`, `Boolean`, `ListOfLink`, `AccessTokenOrNothing`; "" for any other schema.
    """
    if "$ref" in schema:
        name: str = schema["$ref"].rpartition("/")[2]
        return name
    if schema == _NULL:
        return "Nothing"
    if schema == {"type": "boolean"}:
        return "Boolean"
    if schema.get("type") == "array":
        inner = _spoken(schema.get("items", {}))
        return inner and f"ListOf{inner}"
    options = [_spoken(option) for option in schema.get("anyOf", ())]
    options.sort(key=lambda name: name == "Nothing")
    return "Or".join(options) if all(options) else ""


def _with_keys(name: str, keys: Iterable[str]) -> str:
    """Return the name of the component that is like the component `name`, but in which `keys` are required, such as
    `CodeBodyWithCode`.
    """
    words = (part[0].upper() + part[1:] for key in keys for part in key.split("."))
    return f"{name}With{'And'.join(words)}"


def _plain(schema: Any) -> Any:
    """Copy a schema in the form that generators read: a value that is always the same is a `const`, and an enumeration
    of texts, of integers or of booleans names that type.
    """
    if isinstance(schema, list):
        return [_plain(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _plain(value) for key, value in schema.items()}
    values = made.get("enum")
    if isinstance(values, list) and values and "type" not in made:
        kinds = {type(value) for value in values}
        if len(kinds) == 1 and (kind := _KINDS.get(kinds.pop())):
            made["type"] = kind
            if kind == "boolean" or len(values) == 1:
                del made["enum"]
            if len(values) == 1:
                made["const"] = values[0]
    return made


def _error_codes() -> Schema:
    """Return the schema of errors' stable numbers: an enumeration with their names, 0 for an error without a number
    included.
    """
    named = {0: "none", **dict(sorted(errors.NAMES.items()))}
    return {"enum": list(named), "x-enum-varnames": [name.upper() for name in named.values()]}


def _made(kinds: Mapping[str, Any]) -> tuple[Schema, Schema]:
    """Return the schemas of types, by the same keys as in `kinds`, and the components that these schemas refer to, by
    name. `kinds`: types by any keys.
    """
    schemas, components = msgspec.json.schema_components(list(kinds.values()), ref_template=_REF)
    for name, (tag, predecessor) in TAG_AFTER.items():
        if name in components:
            _move_behind(components[name]["properties"], tag, predecessor)
    return dict(zip(kinds, schemas, strict=True)), components


def _move_behind(properties: dict[str, Any], name: str, predecessor: str) -> None:
    """Move the property `name` to the position after the property `predecessor`, in place. Both must be there."""
    moved = properties.pop(name)
    for key, value in [*properties.items()]:
        properties[key] = properties.pop(key, value)
        if key == predecessor:
            properties[name] = moved


def _names(components: Iterable[str], suffix: str, taken: Iterable[str] = ()) -> dict[str, str]:
    """Return readable names that OpenAPI allows, by present name of component: for `Paged_X_` it is `PageOfX`.

    A name that would be equal to another, or is in `taken`, gets `suffix`, and if that is not enough a number.
    """
    found: dict[str, str] = {}
    used = set(taken)
    for name in components:
        nice = name
        if name.startswith("Paged_"):
            inner = name.removeprefix("Paged_").removesuffix("_")
            kinds = [kind.rpartition(".")[2] for kind in inner.split("___")]
            same = takewhile(lambda letters: len(set(letters)) == 1, zip(*kinds, strict=False))
            shared = "".join(letters[0] for letters in same)
            nice = "PageOf" + ("Items" if "Entry" in inner else shared)
        nice = re.sub(r"[^A-Za-z0-9]", "", nice.rpartition(".")[2] or nice)
        if nice in used:
            nice += suffix
        count = 2
        while nice in used:
            nice = f"{nice.rstrip('0123456789')}{count}"
            count += 1
        used.add(nice)
        found[name] = nice
    return found


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Copy a schema, with references and titles changed to new names, and citations of the wire contract, such as
    (content 1.2), removed from descriptions. `names`: new name by present name, for all components to which the schema
    refers.
    """
    if isinstance(schema, list):
        return [_renamed(inner, names) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    prefix = _REF.format(name="")
    made: Schema = {}
    for key, value in schema.items():
        if key == "$ref" and isinstance(value, str):
            made[key] = prefix + names[value.removeprefix(prefix)]
        elif key == "mapping":
            made[key] = {
                tag: prefix + names[target.removeprefix(prefix)] for tag, target in value.items()
            }
        elif key == "title" and isinstance(value, str):
            made[key] = names.get(value, re.sub(r"[^A-Za-z0-9]", "", value))
        elif key == "description" and isinstance(value, str):
            made[key] = _SECTION.sub("", value)
        else:
            made[key] = _renamed(value, names)
    return made


def _lenient(schema: Schema) -> Schema:
    """Return the schema of a body in which null is allowed for every key that is not required, where null means absent
    (platform 1.2).
    """
    required = set(schema.get("required", ()))
    properties = {
        key: {"anyOf": [inner, _NULL]} if inner and key not in required else inner
        for key, inner in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties} if properties else schema


def _not_null(schema: Schema) -> Schema:
    options = schema.get("anyOf")
    if not options:
        return schema
    rest: list[Schema] = [option for option in options if option != {"type": "null"}]
    return rest[0] if len(rest) == 1 else schema
