"""Usage of sites as signed events for the operator's biller, one a site and hour (docs/api/usage.md)."""

from __future__ import annotations

import base64
import time
from typing import Final

from forumapi.config import Config
from forumapi.database.connections import Transaction
from forumapi.errors import ConfigError
from forumapi.models.usage import usage_billing
from forumapi.models.usage.usage_billing import BilledHour
from forumapi.observability.log import logger
from forumapi.outbound.safe_http_client import Outbound, OutboundError
from forumapi.webhooks import sender
from forumapi.wire.json_fragments import dumps

# After the end of an hour: workers write what they counted every 30 seconds, and again while the database is away.
GRACE_S: Final = 600
# Events, and seconds, of one run: other jobs wait meanwhile.
MOST: Final = 500
MOST_S: Final = 20.0
_PREFIX: Final = "whsec_"


def usage_events(tx: Transaction, config: Config) -> str:
    """Send to the biller (`billing_url`) the usage of each site and hour that ended more than GRACE_S ago and was not
    sent yet, MOST a run, for about MOST_S seconds, by hour and then by site; return the result in words. After a
    failure the next run goes on with the same event. A crash sends events again, under the same ids.

    Raises ConfigError for a biller without a secret, or with one that can't be decoded.
    """
    if not config.billing_url:
        return "no biller"
    secret = _secret(config.billing_secret)
    client = sender.outbound(config)
    until = time.monotonic() + MOST_S
    sent, failure, last = 0, "", None
    for hour in usage_billing.due(tx, GRACE_S, MOST):
        failure = _send(client, config.billing_url, secret, hour)
        if failure:
            logger.warning("usage is not billed, will try again: %s", failure)
            break
        last, sent = hour, sent + 1
        if time.monotonic() > until:
            break
    if last is not None:
        usage_billing.move(tx, last)
    return f"{sent} sent, then {failure}" if failure else f"{sent} sent"


def _send(client: Outbound, url: str, secret: bytes, hour: BilledHour) -> str:
    """Send the usage of one site and hour to the biller at `url`, signed with the key `secret`; return why that failed,
    "" for success.
    """
    body, now = dumps(hour.document()), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": hour.id,
        "webhook-timestamp": str(now),
        "webhook-signature": sender.signature(secret, hour.id, now, body),
    }
    try:
        got = client.fetch(url, body=body, headers=headers, max_bytes=sender.MOST_ANSWER)
    except OutboundError as error:
        return str(error)
    return "" if 200 <= got.status < 300 else f"the biller answered {got.status}"


def _secret(text: str) -> bytes:
    """Return the key of the setting `billing_secret`: what follows whsec_ in base64, as Standard Webhooks has it.
    Raises ConfigError for any other text, and for a key of fewer than 24 bytes.
    """
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(_PREFIX) or len(key) < 24:
        raise ConfigError("billing_secret must be whsec_ and at least 24 bytes as base64")
    return key
