"""Sends the request of a recording again, with the ids, hosts and tokens of a scene."""

from __future__ import annotations

import ast
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .compare import Answer
from .deviations import ROOT_HOST, SITE_HOST
from .recording import Recording, Request, take_apart
from .world import Scene

NEVER = frozenset({"9999999", "99999999", "99999999999999999999999"})
"""Ids in the recordings that belong to nothing."""

_ID = re.compile(r"(?P<kind>[a-z]+)/(?P<id>\d+)(?=/|$)")
_FORM_KEYS = {"ItemID": "itemId", "ItemType": "itemType"}


class UnknownIdError(Exception):
    """The situation does not say which id of ours stands for a recorded one."""


def play(scene: Scene, recording: Recording) -> Answer:
    """Return what the engine answers to the recorded request in this scene. Raises UnknownIdError."""
    request = recording.request
    target, body = rewritten(scene, request)
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in ("host", "authorization")
    }
    authorization = request.headers.get("authorization")
    token = None
    if authorization is not None:
        token = _tokens(scene).get(authorization.removeprefix("Bearer "))
        if token is None:
            headers["authorization"] = authorization
    answer = scene.world.api.request(
        request.method,
        target,
        host=_host(scene, request.host),
        token=token,
        headers=headers,
        body=_sent(request, body) if body else None,
    )
    received = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(
        answer.status,
        received,
        take_apart(received.get("content-type"), answer.body.decode()),
        len(answer.body),
        method=request.method,
    )


def _sent(request: Request, body: str) -> bytes:
    """The body's bytes; a form with files was recorded as Python writes bytes."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        data: bytes = ast.literal_eval(body)
        return data
    return body.encode()


def rewritten(scene: Scene, request: Request) -> tuple[str, str]:
    """Target and body of the recorded request, as to be sent in a scene. Raises UnknownIdError."""
    path, mark, query = _texts(scene, request.target).partition("?")
    path = _ID.sub(
        lambda found: f"{found['kind']}/{_id(scene, found['kind'], found['id'], request.method)}",
        path,
    )
    query = re.sub(
        r"\b(microcosm|conversation|comment)(Id|_id)=(\d+)",
        lambda found: (
            f"{found[1]}{found[2]}={_id(scene, found[1] + 's', found[3], request.method)}"
        ),
        query,
    )
    return path + mark + query, _body(scene, request)


def _body(scene: Scene, request: Request) -> str:
    text = _texts(scene, request.body)
    media = request.headers.get("content-type", "").partition(";")[0]
    if media == "application/x-www-form-urlencoded":
        pairs = dict(parse_qsl(text))
        known = _ids_in(
            scene, request, {_FORM_KEYS.get(key, key): value for key, value in pairs.items()}
        )
        return urlencode({key: known[_FORM_KEYS.get(key, key)] for key in pairs})
    try:
        document = json.loads(text)
    except ValueError:
        return text
    if "/huddles" in request.target:
        return json.dumps(_people_in(scene, request, document))
    if isinstance(document, list):
        return json.dumps([_ids_in(scene, request, one) for one in document])
    return json.dumps(_ids_in(scene, request, document)) if isinstance(document, dict) else text


def _people_in(scene: Scene, request: Request, document: Any) -> Any:
    """`document` with the ids of people replaced wherever it names one as `{"id": ...}`."""
    if isinstance(document, list):
        return [_people_in(scene, request, inner) for inner in document]
    if not isinstance(document, dict):
        return document
    return {
        key: _id(scene, "profiles", str(value), request.method)
        if key == "id"
        else _people_in(scene, request, value)
        for key, value in document.items()
    }


def _ids_in(scene: Scene, request: Request, document: dict[str, Any]) -> dict[str, Any]:
    """`document` with the ids that its keys are known to hold replaced."""
    kinds = {"microcosmId": "microcosms", "profileId": "profiles"}
    if document.get("itemType") in (
        "conversation",
        "event",
        "huddle",
        "microcosm",
        "poll",
        "profile",
    ):
        kinds["itemId"] = f"{document['itemType']}s"
    if request.target.startswith("/api/v1/profiles/"):
        kinds["id"] = "profiles"
    return {
        key: _id(scene, kinds[key], str(value), request.method)
        if key in kinds and str(value).isdigit()
        else value
        for key, value in document.items()
    }


def _id(scene: Scene, kind: str, recorded: str, method: str) -> int:
    known = scene.ids.get(f"{kind}/{recorded}")
    if known is None and method != "OPTIONS" and recorded not in NEVER:
        raise UnknownIdError(f"{kind}/{recorded}")
    return int(recorded) if known is None else known


def _texts(scene: Scene, text: str) -> str:
    if not scene.texts:
        return text
    longest_first = sorted(scene.texts, key=len, reverse=True)
    return re.sub(
        "|".join(map(re.escape, longest_first)), lambda found: scene.texts[found[0]], text
    )


def _tokens(scene: Scene) -> dict[str, str]:
    return {
        "member1token": scene.member1.token,
        "member2token": scene.member2.token,
        "member2othertoken": scene.second_token,
        "letmein": scene.world.root_owner.token,
    }


def _host(scene: Scene, recorded: str) -> str:
    if recorded == SITE_HOST:
        return scene.world.host
    return recorded.replace(ROOT_HOST, scene.world.domain)
