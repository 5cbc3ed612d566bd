"""Recorder of exchanges for the OpenAPI document's examples: the smallest successful one of each operation.

RECORD_EXAMPLES=<folder> makes the tests' HTTP client write them there, one file an operation and process, scrubbed of
all that differs from run to run; `REFRESH_EXAMPLES=<folder> pytest tests/apidocs/test_examples.py` makes the data file
of the package of them.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from forumapi.apidocs import openapi
from tests import schema_check

FOLDER: Final = os.environ.get("RECORD_EXAMPLES", "")
# Entries of each list that are kept.
_ENTRIES: Final = 1
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_DAY: Final = re.compile(r"\b20\d\d-\d\d-\d\d\b")
_ID_KEY: Final = re.compile(r"(?:^id|Id|Ids|_id|By|As)$")
_ID_IN_TEXT: Final = re.compile(r"(?<=/)\d+(?=[/?#\"]|$)|(?<=[iI]d=)\d+|(?<=\bactor=)\d+")
_PORT: Final = re.compile(r"(?<=\bforum\.example):\d+")
# Names of sites that tests make up.
_SITE: Final = re.compile(r"\b(?:site\d+x\w*|wire\d+)\b")
# Texts in which chance has a part: tokens, hashes, names of sites and people that tests make up.
_SECRET: Final = re.compile(
    r"[A-Za-z0-9_-]{24,}\.[A-Za-z0-9_.-]{24,}|(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{20,}|\b[0-9a-f]{8,}\b"
)
_SECRET_IN_QUERY: Final = re.compile(r"(?<=[?&])((?:\w+_)?(?:code|token|ticket|csrf)=)[^&\s\"]+")
# Members that hold secrets, whatever their form.
_NAME: Final = re.compile("[a-z]+(?:_[a-z]+)*")
_SECRET_KEY: Final = re.compile(
    "secret|token(?!_type|_endpoint)|recoveryCodes|^code$|_code$|verifier|assertion|csrf|password",
    re.IGNORECASE,
)
_HEX: Final = re.compile("[0-9a-f]+")
_NUMBERED: Final = re.compile(r"\b([A-Z][a-z]+ (?:number )?|profile-)\d+\b")
_ADDRESS: Final = re.compile(r"[\w.+-]+@[\w.-]+")
_SWITCHES: Final = ("always200", "disableBoiler", "callback", "method=", "access_token")
_best: dict[str, tuple[int, ...]] = {}


class Scrubber:
    """Replacement of ids, times, hosts, tokens and addresses of one exchange by fixed ones, each by the same."""

    def __init__(self, host: str) -> None:
        self._ids: dict[int, int] = {}
        host = host.partition(":")[0]
        self._site = host.partition(".")[0] if host.count(".") > 1 else ""
        self._domain = host.removeprefix(f"{self._site}.") if self._site else host

    def scrubbed(self, value: Any, key: str = "") -> Any:
        """Return a copy of a JSON value without what differs from run to run; lists have one entry at most."""
        if isinstance(value, dict):
            return {self.text(name): self.scrubbed(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.scrubbed(one, key) for one in value[:_ENTRIES]]
        if isinstance(value, str):
            # The `code` of an error is a name, which stays as it is.
            is_name = key == "code" and _NAME.fullmatch(value)
            if _SECRET_KEY.search(key) and not is_name:
                return "x" * 16
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool) and _ID_KEY.search(key):
            return self._id(value)
        return value

    def text(self, text: str) -> str:
        """Return a text without what differs from run to run."""
        if _TIME.fullmatch(text):
            return "2026-03-01T18:22:07Z"
        text = _TIME.sub("2026-03-01T18:22:07Z", text)
        text = _DAY.sub("2026-03-01", text)
        if self._site:
            text = text.replace(self._site, "bikes")
        text = text.replace(self._domain, "forum.example")
        text = _SECRET_IN_QUERY.sub(r"\g<1>xxxxxxxxxxxxxxxx", text)
        text = re.sub(r"\b(?:127\.0\.0\.1|localhost)\b", "forum.example", text)
        text = _SITE.sub("bikes", _PORT.sub("", text))
        text = _ADDRESS.sub("ada@example.com", text)
        text = _NUMBERED.sub(r"\g<1>1", text)
        text = _SECRET.sub(_blank, text)
        return _ID_IN_TEXT.sub(lambda found: str(self._id(int(found[0]))), text)

    def _id(self, id: int) -> int:
        return id if id <= 0 else self._ids.setdefault(id, len(self._ids) + 1)


def record(
    method: str, path: str, headers: Mapping[str, str], body: bytes | None, answer: Any
) -> None:
    """Keep an exchange if it is a success, which 304 is not, and smaller than what is kept of its operation."""
    if (
        not 200 <= answer.status < 400
        or answer.status == 304
        or any(switch in path for switch in _SWITCHES)
    ):
        return
    if any(name.lower().startswith(("x-http", "x-always", "x-disable")) for name in headers):
        return
    place = path.partition("?")[0]
    template = schema_check._template(place)
    if template is None:
        return
    operation = schema_check.document()["paths"][template].get(method.lower())
    if operation is None or str(answer.status) not in operation["responses"]:
        return
    name = operation["operationId"]
    kind = headers.get("Content-Type", "")
    sent = _json(body, kind)
    form = dict(parse_qsl((body or b"").decode())) if kind.startswith(openapi.FORM) else None
    got = _json(answer.body, dict(answer.headers).get("content-type", ""))
    if body and sent is None and form is None and not kind.startswith("multipart/"):
        return
    if faults(name, {"body": sent, "form": form, "status": answer.status}):
        return
    size = len(body or b"") + len(answer.body) + len(path)
    # JSON shows more than a form does.
    score = (_poverty(got), int(form is not None), size)
    if score >= _best.get(name, (9,)):
        return
    _best[name] = score
    scrubber = Scrubber(headers["Host"])
    made = {
        "score": score,
        "request": f"{method} {scrubber.text(unquote(path))}",
        **({} if sent is None else {"body": scrubber.scrubbed(sent)}),
        **({} if form is None else {"form": scrubber.scrubbed(form)}),
        "status": answer.status,
        **({} if got is None else {"answer": scrubber.scrubbed(got)}),
    }
    folder = Path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.{os.getpid()}"
    file.write_text(json.dumps(made), encoding="utf-8")
    file.rename(file.with_suffix(f"{file.suffix}.json"))


def _blank(found: re.Match[str]) -> str:
    return ("0" if _HEX.fullmatch(found[0]) else "x") * len(found[0])


def _json(body: bytes | None, kind: str) -> Any:
    if not body or "json" not in kind or len(body) > 20_000:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _poverty(answer: Any) -> int:
    """Return how little an answer shows: 0 of things, 1 of an empty list, 2 of no data, 3 of no JSON."""
    if not isinstance(answer, dict):
        return 3 if answer is None else 0
    data = answer.get("data", answer)
    if data is None:
        return 2
    return 1 if '"items":[]' in json.dumps(data, separators=(",", ":")) or data == [] else 0


@functools.cache
def _operations() -> dict[str, Any]:
    return {
        operation["operationId"]: operation
        for item in schema_check.document()["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    }


def faults(name: str, example: Mapping[str, Any]) -> list[str]:
    """Return what keeps an example's `body` or `form`, and `answer`, from being what the operation `name` takes and
    answers.
    """
    found: list[str] = []
    operation = _operations()[name]
    content = operation.get("requestBody", {}).get("content", {})
    for key, kind in (("body", openapi.JSON), ("form", openapi.FORM)):
        if example.get(key) is None:
            continue
        if kind not in content:
            return [f"the operation takes no {kind}"]
        said = schema_check.faults(content[kind]["schema"], example[key])
        # The order of what is sent does not count.
        found += [fault for fault in said if "the keys are" not in fault]
    if "answer" in example:
        response = schema_check._resolved(operation["responses"][str(example["status"])])
        schema = response.get("content", {}).get(openapi.JSON, {}).get("schema")
        if schema is None:
            return [*found, f"{example['status']} has no JSON"]
        found += schema_check.faults(schema, example["answer"])
    return found


def collected(folder: Path) -> dict[str, Any]:
    """Return the best of all recordings in a folder, by operation id, without its score."""
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.json")):
        one = json.loads(file.read_text(encoding="utf-8") or "{}")
        name = file.name.partition(".")[0]
        # A document within the document would bring references of its own.
        if not one or "$ref" in json.dumps(one) or faults(name, one):
            continue
        if name not in found or one["score"] < found[name]["score"]:
            found[name] = one
    for one in found.values():
        del one["score"]
    return dict(sorted(found.items()))
