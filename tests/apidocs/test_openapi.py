"""The API document: complete, valid, true to the routing tables; and the helper that holds answers against it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from msgspec import UNSET, Struct, UnsetType

from forumapi import errors, routes
from forumapi.apidocs import named_shapes, openapi, operation_ids, tags
from forumapi.apidocs.error_codes import ERROR_CODES
from forumapi.apidocs.openapi import Schema
from forumapi.config import resource
from forumapi.errors import ApiError
from forumapi.request.context import Context
from forumapi.request.handler import ANYONE, Handler, needs
from forumapi.request.handler_results import Done, Result
from forumapi.server import worker
from forumapi.wire import documented_headers
from forumapi.wire.body import Meta
from tests import schema_check
from tests.api import Api
from tests.factories import Site
from tests.schema_check import VARY, UndocumentedError, check

DOCUMENT = schema_check.document()
HOST_TABLES = (routes.ROOT, routes.SITE)
HOSTS = ("platform", "site")
ROUTES = Path(__file__).resolve().parents[1] / "saved" / "routes.txt"
OPERATIONS = [
    operation
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict) and "operationId" in operation
]


def host_document(host: str) -> Schema:
    """The document that a kind of host serves."""
    return schema_check.host_documents()[host]


def references(part: Any) -> set[str]:
    """Every `$ref` below."""
    if isinstance(part, dict):
        found = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return found.union(*map(references, part.values()))
    if isinstance(part, list):
        return set().union(*map(references, part))
    return set()


@pytest.mark.parametrize("host", ["whole", *HOSTS])
def test_no_reference_leads_nowhere(host: str) -> None:
    document = DOCUMENT if host == "whole" else host_document(host)
    for reference_ in references(document):
        found: Any = document
        for key in reference_.removeprefix("#/").split("/"):
            found = found[key]


def test_it_is_an_openapi_document_in_json() -> None:
    document = json.loads(json.dumps(DOCUMENT))

    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


def test_names_of_components_are_names_that_openapi_allows() -> None:
    for kind in DOCUMENT["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in kind)


def test_every_method_of_every_address_is_there() -> None:
    for table, host in ((routes.ROOT, "platform"), (routes.SITE, "site")):
        declared = {
            (re.sub(r"<[^>]*>", "{}", url), method.lower())
            for url, handler in table.items()
            for method in handler.allow.split(",")
            if method not in ("OPTIONS", "HEAD")
        }
        documented = {
            (re.sub(r"{[^}]*}", "{}", path), verb)
            for path, item in host_document(host)["paths"].items()
            for verb in item
            if verb in ("get", "head", "options", "post", "put", "patch", "delete")
        }
        assert documented == declared
    assert "HEAD works wherever GET does" in DOCUMENT["info"]["description"].replace("\n", " ")


def test_operation_ids_are_unique_names_and_the_saved_ones() -> None:
    """Clients are generated from them, so a change breaks those who generate anew: `make routes` saves it."""
    made = {
        (verb.upper(), path, operation["operationId"])
        for path, item in DOCUMENT["paths"].items()
        for verb, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    }
    rows = [line.split() for line in ROUTES.read_text(encoding="utf-8").splitlines()]

    assert len(made) == len(OPERATIONS) == len({name for _, _, name in made})
    assert all(re.fullmatch("[a-z][A-Za-z0-9]+", name) for _, _, name in made)
    assert made == {(verb, openapi.template(url), name) for _, verb, _, name, url in rows}


def test_an_operation_id_follows_from_route_and_method() -> None:
    for route, name in {
        "GET /api/v1/comments/{id}/attributes/{key}": "getCommentAttribute",
        "GET /api/v1/things": "listThings",
        "POST /api/v1/things": "createThing",
        "POST /api/v1/things/{id}/undo": "undoThing",
        "PUT /api/v1/things/{id}/criteria/{key}": "updateThingCriterion",
        "GET /api/v1/site/mail/{template}": "getThisSiteMailTemplate",
        "GET /api/v1/webhooks/{webhook_id}/deliveries": "listWebhookDeliveries",
        "POST /mail/appeal": "submitMailAppealPage",
    }.items():
        verb, _, template = route.partition(" ")
        assert operation_ids.operation_id(verb, template) == name


def test_exceptions_among_operation_ids_are_needed() -> None:
    known = {
        f"{verb.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for verb in item
        if isinstance(item[verb], dict)
    }
    assert operation_ids.EXCEPTIONS.keys() <= known


def test_every_operation_says_what_it_does_and_what_it_answers() -> None:
    for operation in OPERATIONS:
        assert operation["summary"], operation["operationId"]
        assert {"400", "404", "500", "503"} <= operation["responses"].keys()
        assert any(
            status in operation["responses"]
            for status in ("101", "200", "202", "302", "307", "501")
        )


def test_every_operation_has_a_success_unless_it_only_leads_elsewhere() -> None:
    for operation in OPERATIONS:
        statuses = operation["responses"].keys()
        assert {"101", "307"} & statuses or any(one.startswith("2") for one in statuses)


def test_writes_document_the_representation_beside_the_redirect() -> None:
    paths = DOCUMENT["paths"]

    assert {"201", "302"} <= paths["/api/v1/comments"]["post"]["responses"].keys()
    assert {"200", "302", "303"} <= paths["/api/v1/comments/{id}"]["put"]["responses"].keys()


def test_every_tag_is_in_the_table_and_every_folder_has_one() -> None:
    names = [tag.name for tag in tags.TAGS]
    used = {handler.__module__ for table in HOST_TABLES for handler in table.values()}
    named = [module for tag in tags.TAGS for module in tag.modules]
    folders = [folder for tag in tags.TAGS for folder in tag.folders]

    assert [tag["name"] for tag in DOCUMENT["tags"]] == names
    assert len(set(named)) == len(named) and set(named) <= {one.rpartition(".")[2] for one in used}
    assert sorted(folders) == sorted({module.split(".")[2] for module in used})
    assert {tag for operation in OPERATIONS for tag in operation["tags"]} == set(names)


def parts(part: Any) -> Iterator[Schema]:
    """Every object of a document."""
    if isinstance(part, dict):
        yield part
        for inner in part.values():
            yield from parts(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from parts(inner)


def test_generators_can_read_every_schema() -> None:
    for schema in parts(DOCUMENT):
        assert "allOf" not in schema
        assert "not" not in schema
        assert not str(schema.get("title", "")).startswith("forumapi.")
        values = schema.get("enum", ())
        assert "type" in schema or not isinstance(values, list), schema
        assert not isinstance(values, list) or len(values) > 1
        assert not any(isinstance(value, bool) for value in values)


def test_closed_values_are_enumerations_in_bodies_and_parameters() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    types = schemas["CreateCommentBody"]["properties"]["itemType"]
    kinds = schemas["WebhookBody"]["properties"]["kinds"]["anyOf"][0]["items"]
    of_cases = DOCUMENT["paths"]["/api/v1/cases"]["get"]["parameters"]
    queried = {one["name"]: one["schema"] for one in of_cases if "name" in one}

    assert types == {"$ref": "#/components/schemas/CommentableType"}
    assert schemas["CommentableType"]["enum"] == [
        *("profile", "huddle", "conversation", "poll", "event")
    ]
    assert kinds == {"$ref": "#/components/schemas/WebhookEventKind"}
    assert queried["priority"] == {"$ref": "#/components/schemas/CasePriority"}
    assert schemas["CasePriority"]["enum"] == ["urgent", "high", "normal"]
    assert queried["source"]["enum"] == ["reports", "hold", "appeal"]


def test_a_list_of_closed_values_that_repeats_has_a_name() -> None:
    """A list that is written out twice needs a line in named_shapes.NAMES; one that is used once needs none."""
    named = {name: frozenset(values) for name, values in named_shapes.NAMES.items()}
    written_out = Counter(
        values
        for part in parts(DOCUMENT)
        if part.get("type") == "string" and (values := frozenset(map(str, part.get("enum", ()))))
    )
    uses = Counter(str(part.get("$ref", "")).rpartition("/")[2] for part in parts(DOCUMENT))
    # Generators name what is inline after its owner.
    owned = {
        f"{owner}{key[0].upper()}{key[1:]}"
        for owner, schema in DOCUMENT["components"]["schemas"].items()
        for key, inner in schema.get("properties", {}).items()
        if "enum" in inner
    }

    assert len(set(named.values())) == len(named)
    assert all(uses[name] > 1 for name in named)
    assert written_out == Counter(written_out.keys())
    assert not owned & DOCUMENT["components"]["schemas"].keys()


def test_an_object_without_a_name_of_its_own_is_written_out_once() -> None:
    components = {id(schema) for schema in DOCUMENT["components"]["schemas"].values()}
    inline = [
        {key: value for key, value in part.items() if key not in ("description", "examples")}
        for part in parts(DOCUMENT)
        if part.get("type") == "object" and id(part) not in components
    ]

    assert {"type": "object"} not in inline
    assert max(inline.count(one) for one in inline) == 1


def test_a_form_that_is_like_the_json_body_is_the_same_component() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for operation in OPERATIONS:
        content = operation.get("requestBody", {}).get("content", {})
        names = {
            media["schema"]["$ref"].rpartition("/")[2]
            for kind, media in content.items()
            if kind in (openapi.JSON, openapi.FORM) and "$ref" in media["schema"]
        }
        first, *others = [schemas[name] | {"title": ""} for name in sorted(names)] or [{}]
        assert first not in others, operation["operationId"]


def test_operations_that_take_the_same_share_a_body() -> None:
    def body(path: str) -> str:
        content = DOCUMENT["paths"][path]["put"]["requestBody"]["content"]
        return str(content[openapi.JSON]["schema"]["$ref"]).rpartition("/")[2]

    shared = {body(f"/api/v1/{kind}/{{id}}/attributes/{{key}}") for kind in ("comments", "polls")}
    assert shared == {"ValueBodyWithValue"}
    assert body("/api/v1/conversations/{id}") == "UpdateConversationBody"


def test_every_envelope_is_a_component() -> None:
    named = {
        id(schema)
        for name, schema in DOCUMENT["components"]["schemas"].items()
        if name.endswith("Envelope")
    }
    envelopes = {
        id(part)
        for part in parts(DOCUMENT)
        if {"context", "data"} <= set(part.get("properties", ()))
    }
    assert envelopes == named


def test_an_answer_that_may_be_empty_is_a_choice_of_envelopes() -> None:
    """Generators would make one more model of each envelope whose `data` may be null. They take the first that fits."""
    names = DOCUMENT["components"]["schemas"].keys()
    content = DOCUMENT["paths"]["/api/v1/comments/{id}"]["delete"]["responses"]["200"]["content"]
    options = content[openapi.JSON]["schema"]["anyOf"]

    assert [one["$ref"].rpartition("/")[2] for one in options] == [
        *("CommentEnvelope", "EmptyEnvelope")
    ]
    assert not {name for name in names if name.replace("OrNothing", "") in names - {name}}


def test_every_schema_is_used() -> None:
    prefix = "#/components/schemas/"
    used = {name.removeprefix(prefix) for name in references(DOCUMENT) if name.startswith(prefix)}

    assert used == DOCUMENT["components"]["schemas"].keys()


def test_error_codes_are_an_enumeration_with_names() -> None:
    code = DOCUMENT["components"]["schemas"]["ErrorDetail"]["properties"]["errorCode"]

    assert code["enum"] == list(range(code["maximum"] + 1))
    assert code["x-enum-varnames"][errors.RATE_LIMITED] == "RATE_LIMITED"


def test_every_error_has_a_code_that_the_document_explains() -> None:
    """An error of a class without a code, or with an unknown one, falls here."""

    def classes(kind: type[ApiError]) -> Iterator[type[ApiError]]:
        yield kind
        for below in kind.__subclasses__():
            yield from classes(below)

    known = {one.name: one for one in ERROR_CODES}
    detail = DOCUMENT["components"]["schemas"]["ErrorDetail"]
    nginx = (resource("etc") / "nginx" / "forumapi-site.conf").read_text(encoding="utf-8")
    raised = {
        (kind.own_name, kind.status)
        for kind in classes(ApiError)
        if kind.__module__.startswith("forumapi.")
    }
    refused = {(name, status) for status, name in worker._NAMES.items()}
    numbered = {(name, known[name].status) for name in errors.NAMES.values()}

    assert {(one.name, one.status) for one in ERROR_CODES} == raised | refused | numbered
    assert {one.number: one.name for one in ERROR_CODES if one.number} == errors.NAMES
    assert len(known) == len(ERROR_CODES)
    assert detail["properties"]["code"]["enum"] == [*known]
    assert "code" in detail["required"]
    assert DOCUMENT["info"]["x-error-codes"] == {
        name: f"/api/v1/docs/errors#error-{name}" for name in known
    }
    assert nginx.count('"code":') == nginx.count('"errorCode":') > 0
    assert set(re.findall('"code":"([a-z_]+)"', nginx)) <= known.keys()


def test_paths_have_their_parameters() -> None:
    for path, item in DOCUMENT["paths"].items():
        named = [parameter["name"] for parameter in item.get("parameters", ())]
        assert named == re.findall(r"{(\w+)}", path)


def test_the_switches_are_described_once() -> None:
    names = {"always200", "disableBoiler", "callback", "method"}
    headers = {"X-Always-200", "X-Disable-Boiler", "X-HTTP-Method-Override"}

    assert {switch["name"] for switch in DOCUMENT["x-switches"]} == names | headers
    assert DOCUMENT["components"]["parameters"].keys() & (names | headers) <= {"always200"}


def test_texts_for_clients_do_not_cite_the_specification() -> None:
    assert not re.search(
        r"\((platform|content|discovery) [0-9]|\([A-Z]-[0-9]{2}", json.dumps(DOCUMENT)
    )


def test_an_address_means_one_thing_on_every_host() -> None:
    class One(Handler):
        """One."""

        allow = "OPTIONS,PUT"

        @needs(ANYONE)
        def put(self, ctx: Context) -> Result:
            """Do it."""
            return Done()

    class Other(Handler):
        """Other."""

        allow = "OPTIONS,GET,HEAD"

        @needs(ANYONE)
        def get(self, ctx: Context) -> Result:
            """Show it."""
            return Done()

    with pytest.raises(ValueError, match="/api/v1/x means one thing"):
        openapi.document({"/api/v1/x": One}, {"/api/v1/x": Other})


class NoteBody(Struct):
    """A note."""

    title: str | UnsetType = UNSET
    meta: Meta | UnsetType = UNSET


class NoteHandler(Handler):
    """A note."""

    allow = "OPTIONS,POST,PUT"
    required_keys = {"POST": ("title",), "PUT": ("title", "meta.editReason")}

    @needs(ANYONE, body=NoteBody)
    def post(self, ctx: Context, sent: NoteBody) -> Result:
        """Write it."""
        return Done()

    @needs(ANYONE, body=NoteBody)
    def put(self, ctx: Context, sent: NoteBody) -> Result:
        """Change it."""
        return Done()


def test_a_body_has_the_keys_that_its_method_requires() -> None:
    document = openapi.host_document({"/api/v1/notes": NoteHandler})
    item = document["paths"]["/api/v1/notes"]

    def accepts(verb: str, value: Any, kind: str = openapi.JSON) -> bool:
        schema = item[verb]["requestBody"]["content"][kind]["schema"]
        whole = {**schema, "components": document["components"]}
        return jsonschema.Draft202012Validator(whole).is_valid(value)

    assert accepts("post", {"title": "x"})
    assert accepts("post", {"title": "x", "meta": None})
    assert not accepts("post", {})
    assert not accepts("post", {"title": None})
    assert accepts("post", {"title": "x"}, openapi.FORM)
    assert not accepts("post", {}, openapi.FORM)
    assert accepts("put", {"title": "x", "meta": {"editReason": "y"}})
    assert not accepts("put", {"title": "x", "meta": {}})
    assert not accepts("put", {"title": "x", "meta": None})
    assert openapi.FORM not in item["put"]["requestBody"]["content"]


def test_every_status_of_an_error_is_described() -> None:
    def statuses(kind: type[ApiError]) -> set[int]:
        return {kind.status}.union(*map(statuses, kind.__subclasses__()))

    shared = {*DOCUMENT["components"]["responses"], *DOCUMENT["x-anywhere"]}
    described = {int(name) for name in shared if name.isdigit()}
    assert statuses(ApiError) <= described


# ---------------------------------------------------------------- the helper


@dataclass
class Answer:
    """An answer as the test client gives it."""

    value: Any
    status: int = 200
    raw: bytes | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return json.dumps(self.value).encode() if self.raw is None else self.raw

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": documented_headers.CORS_RESPONSE,
            "Vary": VARY,
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": "1",
            **self.more,
        }


NODE = {
    "rel": "microcosm",
    "href": "/api/v1/microcosms/9",
    "title": "Workshop",
    "id": 9,
    "level": 2,
    "parentId": 6,
}
TREE = "/api/v1/microcosms/tree"


def envelope(data: Any, status: int = 200, error: Any = None, context: str = "") -> dict[str, Any]:
    return {"context": context, "status": status, "data": data, "error": error}


REFUSAL = envelope(
    {"siteId": 7, "errorCode": 9, "errorDetail": "No", "code": "no_read"}, 403, ["No"]
)


def test_a_documented_answer_passes() -> None:
    check(Answer(envelope([NODE])), "GET", TREE)
    check(Answer(envelope([NODE], context="x")), "GET", f"{TREE}?context=x", 200)
    check(Answer(REFUSAL, 403), "GET", "/api/v1/microcosms/12?limit=5")
    check(Answer([NODE]), "GET", f"{TREE}?disableBoiler")
    check(Answer(REFUSAL, 200), "GET", f"{TREE}?always200")
    check(Answer(REFUSAL, 200), "GET", TREE, headers={"x-always-200": "1"})
    script = b"f(" + Answer(envelope([NODE], context="c")).body + b', "c")'
    kind = {"Content-Type": "application/javascript", "Vary": f"{VARY}, Cookie"}
    check(Answer(None, raw=script, more=kind), "GET", f"{TREE}?callback=f&context=c")
    check(Answer(None, raw=b""), "HEAD", TREE)
    check(Answer(None, raw=b"", more={"Allow": "OPTIONS,GET"}), "OPTIONS", TREE)
    refused = envelope(
        {"siteId": 7, "errorCode": 0, "errorDetail": "No", "code": "method_not_allowed"},
        405,
        ["No"],
    )
    check(Answer(refused, 405, more={"Allow": "OPTIONS,GET"}), "DELETE", TREE)
    nowhere = envelope(
        {"siteId": 7, "errorCode": 0, "errorDetail": "No", "code": "not_found"}, 404, ["No"]
    )
    check(Answer(nowhere, 404), "GET", "/api/v1/nowhere")
    check(Answer(nowhere, 404), "OPTIONS", "/api/v1/nowhere")


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        pytest.param(Answer(envelope([{**NODE, "more": 1}])), TREE, id="a key too many"),
        pytest.param(Answer(envelope([{"rel": "microcosm"}])), TREE, id="keys missing"),
        pytest.param(Answer(envelope([{**NODE, "title": None}])), TREE, id="a null"),
        pytest.param(Answer(envelope([{**NODE, "id": "9"}])), TREE, id="another type"),
        pytest.param(
            Answer(envelope([dict(reversed(NODE.items()))])), TREE, id="keys out of order"
        ),
        pytest.param(Answer({"data": [], "error": None}), TREE, id="no envelope"),
        pytest.param(Answer(envelope([])), f"{TREE}?context=x", id="another context"),
        pytest.param(Answer(envelope([], 418), 418), TREE, id="a status nobody knows"),
        pytest.param(Answer(envelope([], 200), 201), TREE, id="two statuses"),
        pytest.param(Answer(envelope(None, 403, ["No"]), 403), TREE, id="a refusal without data"),
        pytest.param(Answer(envelope([]), more={"Vary": "*"}), TREE, id="a header"),
        pytest.param(Answer(envelope([NODE])), "/api/v1/nowhere", id="nothing is there"),
        pytest.param(Answer(None, raw=b"{"), TREE, id="no JSON"),
        pytest.param(
            Answer(None, raw=b"x", more={"Content-Type": "text/plain"}), TREE, id="another kind"
        ),
    ],
)
def test_an_answer_that_is_not_documented_fails(answer: Answer, path: str) -> None:
    with pytest.raises(UndocumentedError):
        check(answer, "GET", path)


def test_a_method_that_is_meant_by_another_is_told() -> None:
    refused = envelope(
        {"siteId": 7, "errorCode": 0, "errorDetail": "No", "code": "method_not_allowed"},
        405,
        ["No"],
    )
    answer = Answer(refused, 405, more={"Allow": "OPTIONS,GET"})

    check(answer, "POST", f"{TREE}?method=DELETE")
    check(answer, "POST", TREE, headers={"X-HTTP-Method-Override": "put"})
    check(Answer(envelope([NODE])), "POST", f"{TREE}?method=GET")


# ---------------------------------------------------------------- over the wire


def test_each_host_serves_its_own_document(api: Api, bikes: Site) -> None:
    for host, table in ((bikes.host, routes.SITE), (api.platform_domain, routes.ROOT)):
        answer = api.get("/api/v1/openapi.json", host=host)

        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json() == openapi.host_document(table)
        again = api.get("/api/v1/openapi.json", host=host)
        assert answer.headers["ETag"] == again.headers["ETag"]


def test_a_token_that_is_no_good_does_not_stand_in_the_way(api: Api, bikes: Site) -> None:
    assert api.get("/api/v1/openapi.json", site=bikes, token="worn-out").status == 200
    assert api.get("/api/v1/docs", by=bikes.banned).status == 200


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        (verb, path)
        for path, handler in routes.SITE.items()
        for verb in getattr(handler, "required_keys", {})
        if "<" not in path
    ],
)
def test_a_body_without_a_required_key_is_refused(
    api: Api, bikes: Site, verb: str, path: str
) -> None:
    for key in openapi.required_keys(routes.SITE[path], verb):
        body = {"itemType": "conversation", "itemId": 1, "markdown": "x", "title": "x"}
        body |= {"microcosmId": bikes.root_id, "description": "x"}
        body |= {"name": "x", "scopes": ["comments:read"]}
        body.pop(key.partition(".")[0], None)
        answer = api.request(verb, path, json=body, by=bikes.owner)

        assert answer.status in (400, 403, 404), key
