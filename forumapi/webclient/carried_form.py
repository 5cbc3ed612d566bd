"""Forms that wait for another page, such as the sign-in: their fields travel through it as hidden fields `pending.…`,
and stand at the end in a form that the visitor sends again.
"""

from __future__ import annotations

from typing import Final

from forumapi.webclient.visit import Answer, Visit

# Field that names a file which came with such a form: no page can hold its bytes.
LOST: Final = "lost-file"
_OWN_FIELDS: Final = ("proof", "key")
_PREFIX: Final = "pending."


def begun(visit: Visit) -> list[tuple[str, str]]:
    """Return (name, value) of each field of the sent form, without `proof` (token against forged requests) and `key`
    (idempotency key), which the later form has anew, and (LOST, file's name) of each sent file; [] without a form.
    """
    sent = visit.form.items(multi=True) if visit.form is not None else ()
    fields = [(name, value) for name, value in sent if name not in _OWN_FIELDS]
    return fields + [(LOST, name) for name in visit.lost_files()]


def carried(visit: Visit) -> list[tuple[str, str]]:
    """Return (name, value) of each field that the sent form carries, as `pending.…`, for a form that waits, the name
    without that prefix; [] for none.
    """
    fields = visit.form.items(multi=True) if visit.form is not None else ()
    return [
        (name.removeprefix(_PREFIX), value) for name, value in fields if name.startswith(_PREFIX)
    ]


def page(visit: Visit, heading: str, action: str, pending: list[tuple[str, str]]) -> Answer:
    """Answer with the form of the fields `pending`, as `carried` returns them, for the visitor to send to the path
    `action`; those named LOST are not sent: the page lists them as files that must be chosen anew. `heading`: title of
    the page, translated.
    """
    return visit.page(
        "resend.html",
        heading=heading,
        action=action,
        fields=[one for one in pending if one[0] != LOST],
        lost=[value for name, value in pending if name == LOST],
    )
