"""Details of audit entries: the few keys of a moderator's action that the audit keeps beside author, change and time.

Texts and the operator's account are in the row of `audit_log`, which is erased one day; the chain holds a salted hash
of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

# Keys and their types. `verb`: hide, ban, lift …; `reason`: shown to those concerned; `ground`, `note`: for the site's
# staff; `action`, `case`: ids; `automated`: a rule decided, the one with the id
# `byRule` in its version `ruleVersion`; `subject`: profile concerned, where that is not the thing's author; `operator`:
# account of the machine from which a command was run.
KEYS: Final[dict[str, type]] = {
    "verb": str,
    "reason": str,
    "ground": str,
    "note": str,
    "action": int,
    "case": int,
    "automated": bool,
    "byRule": int,
    "ruleVersion": int,
    "subject": int,
    "operator": str,
}


def encode(detail: Mapping[str, Any] | None, operator: str = "") -> str | None:
    """Encode details, and the account of the `operator` ("": none), as JSON, without keys whose value is None, "", 0 or
    False; None if nothing is left. Raises TypeError for a key not in KEYS, or a value of another type than KEYS has.
    """
    found = {key: value for key, value in (detail or {}).items() if value not in (None, "", 0)}
    for key, value in found.items():
        if type(value) is not KEYS.get(key):
            raise TypeError(f"the audit keeps no {key} of type {type(value).__name__}")
    if operator:
        found["operator"] = operator
    return json.dumps(found, ensure_ascii=False) if found else None
