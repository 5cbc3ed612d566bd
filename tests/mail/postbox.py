"""A mail server on loopback, and an application whose mail goes there; the mail is sent when a test says so."""

from __future__ import annotations

import email
import email.policy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from forumapi import itemtypes
from forumapi.models.notifications import update_types
from forumapi.updates import mail_enqueue as update_mail
from forumapi.updates.message_request import MessageRequest
from tests.factories import Person, Thing
from tests.services import free_port
from tests.stage import Stage

_numbers = itertools.count(1)


class Receiver:
    """A mail server that keeps what it gets, or refuses with `refusal`; `refused` are refused one by one."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.refusal = ""
        self.refused: dict[str, str] = {}
        self.connections: set[int] = set()

    async def handle_RCPT(  # noqa: N802 - the name that the server asks for
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self.refused.get(address, self.refusal)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.mails.append(made)
        self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
        self.connections.add(id(session))
        return "250 OK"


@contextmanager
def listening(receiver: Receiver, port: int = 0) -> Iterator[str]:
    """The smtp:// address of a running server with this receiver."""
    controller = Controller(receiver, hostname="127.0.0.1", port=port or free_port())
    controller.start()
    try:
        yield f"smtp://{controller.hostname}:{controller.port}"
    finally:
        controller.stop()


class Postbox:
    """An application on a database of its own; `send` sends what is due, to `receiver`."""

    def __init__(self, database_url: str, folder: Path, smtp_url: str, receiver: Receiver) -> None:
        self.stage = Stage(
            database_url,
            folder,
            environment="prod",
            smtp_url=smtp_url,
            platform_domain="forum.test",
        )
        self.make = self.stage.make
        self.receiver = receiver
        self.url = database_url

    def queue(self, *mail_requests: MessageRequest, site_id: int) -> None:
        """Return what dispatch does."""
        with self.stage.app.database.write() as tx:
            update_mail.queue(tx, site_id, mail_requests)

    def send(self) -> list[EmailMessage]:
        """Sends all that is due; what arrived by that."""
        before = len(self.receiver.mails)
        self.stage.app.mail.drain()
        return self.receiver.mails[before:]

    def states(self, *mail_requests: MessageRequest) -> list[tuple[str, str]]:
        """(state, reason) of the mails of these requests."""
        rows = {
            row[0]: (row[1], row[2])
            for row in self.stage.sql(
                """SELECT cause, state, coalesce(last_error, '') FROM mail_outbox
                    WHERE cause = ANY(%(causes)s)""",
                causes=[one.cause for one in mail_requests],
            )
        }
        return [rows[one.cause] for one in mail_requests]

    def watch(self, person: Person, what: Thing | tuple[int, int], *, mail: bool = True) -> None:
        """Let a person follow something, with or without mail."""
        kind, id = what if isinstance(what, tuple) else (what.type, what.id)
        self.stage.sql(
            """INSERT INTO watchers (site_id, profile_id, item_type_id, item_id, send_email)
               VALUES (%(s)s, %(p)s, %(t)s, %(i)s, %(e)s)
                   ON CONFLICT (site_id, profile_id, item_type_id, item_id) DO UPDATE SET send_email = %(e)s""",
            s=person.site.id,
            p=person.id,
            t=kind,
            i=id,
            e=mail,
        )

    def prefer(self, person: Person, update_type: int, *, mail: bool = True) -> None:
        """Let a person want mail of a type of updates, or not."""
        self.stage.sql(
            """INSERT INTO update_options (site_id, profile_id, update_type_id, send_email, send_sms)
               VALUES (%(s)s, %(p)s, %(t)s, %(e)s, false)
                   ON CONFLICT (site_id, profile_id, update_type_id) DO UPDATE SET send_email = %(e)s""",
            s=person.site.id,
            p=person.id,
            t=update_type,
            e=mail,
        )


def mail_request(
    to: Person,
    type: int,
    about: Thing | Person,
    *,
    by: Person,
    comment: Thing | None = None,
) -> MessageRequest:
    """A request with a cause of its own."""
    kind = itemtypes.PROFILE if isinstance(about, Person) else about.type
    return MessageRequest(
        f"test:{next(_numbers)}",
        to.id,
        type,
        kind,
        about.id,
        comment.id if comment else None,
        by.id,
    )


def reply(box: Postbox, to: Person, by: Person, markdown: str = "A *reply*") -> MessageRequest:
    """A request about a reply, in a conversation of the reader's own, that the reader wants mail of."""
    chat = box.make.conversation(to.site, by=to)
    first = box.make.comment(chat, by=to)
    comment = box.make.comment(chat, by=by, markdown=markdown, reply_to=first)
    box.prefer(to, update_types.REPLY)
    return mail_request(to, update_types.REPLY, chat, by=by, comment=comment)
