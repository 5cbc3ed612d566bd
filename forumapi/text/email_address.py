"""E-mail addresses: validation, and comparison of two addresses (platform 4.1)."""

import re

_GMX = ("at", "ch", "com", "co.uk", "fr", "li", "net", "org", "us")
_YAHOO = (
    *("ca", "co.id", "co.in", "com.ar", "com.au", "com.br", "com.cn", "com.hk", "com.mx"),
    *("com.my", "com.ph", "com.sg", "com.tw", "com.uk", "co.nz", "co.uk", "de", "dk", "es", "fr"),
    *("gr", "ie", "it", "no", "pl", "ro", "se"),
)

_SAME_DOMAIN = {
    "mac.com": "icloud.com",
    "me.com": "icloud.com",
    "btopenworld.com": "btinternet.com",
    "googlemail.com": "gmail.com",
    "virgin.net": "virginmedia.com",
    "yahoomail.com": "yahoo.com",
    **{f"gmx.{ending}": "gmx.de" for ending in _GMX},
    **{f"yahoo.{ending}": "yahoo.com" for ending in _YAHOO},
}

_COMMENT = re.compile(r"\A\([^()]*\)|\([^()]*\)\Z")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?:{_LABEL}\.)+{_LABEL}", re.ASCII)

_MAX_LOCAL = 64
_MAX_ADDRESS = 254


def valid(address: str) -> bool:
    """Return True if `address` is a plain ASCII `local@domain.tld` within the sizes of RFC 5321. Quoted local parts,
    comments, display names and address literals are refused.
    """
    match = _ADDRESS.fullmatch(address) if len(address) <= _MAX_ADDRESS else None
    return match is not None and len(match["local"]) <= _MAX_LOCAL


def canonical(address: str) -> str:
    """Return a form of an address that is the same for most spellings of one mailbox, to detect duplicate and banned
    accounts; it may receive no mail. It is in lower case, and at every domain without dots, a comment, and a `+` and
    what follows in its local part; domains of one provider become one. Equal forms do not prove that two people are one
    (P-29).
    """
    local, domain = _parts(address)
    return f"{_plain_local(_COMMENT.sub('', local))}@{_SAME_DOMAIN.get(domain, domain)}"


def same_person_key(address: str) -> str:
    """Return the key of the account that an address signs in to; addresses with the same key are one person (P-29).

    The key is the address in lower case, without white space at its ends; at gmail.com and googlemail.com, which count
    as one, also without dots and without a `+` and what follows, unless the `+` comes first.
    """
    local, domain = _parts(address)
    if domain in ("gmail.com", "googlemail.com"):
        # A local part that begins with `+` has nothing before the tail.
        return f"{_plain_local(local) or local}@gmail.com"
    return f"{local}@{domain}"


def _parts(address: str) -> tuple[str, str]:
    local, _, domain = address.strip().lower().rpartition("@")
    return local, domain


def _plain_local(local: str) -> str:
    return local.partition("+")[0].replace(".", "")
