"""Main program of the smoke test of a running `make run`: `make smoke`, or SMOKE="notifications --site URL" for a part.

`conversations`: a conversation from its beginning, and rights. `notifications`: who is notified, in the list and by
mail; search and trending. `access`: sign-in with a provider, an earned role, a ban, an OAuth client. Every step prints
what was done and what came back. The exit code is 1 as soon as an answer is not the expected one.
"""

from __future__ import annotations

import argparse
import sys
from urllib.parse import urlsplit

from forumapi.config import load
from forumapi.server import health_client
from scripts.smoke import access, conversations, notifications
from scripts.smoke.forum import Forum, SmokeError, say

PARTS = ("conversations", "notifications", "access")


def main() -> int:
    """Run the parts; return 0 if every answer was the expected one."""
    parser = argparse.ArgumentParser(
        prog="make smoke", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them")
    # As the platform itself reads them: FORUMAPI_LISTEN, FORUMAPI_DATA_DIR, the settings file.
    config = load()
    port = health_client.address(config.listen)[1]
    domain = f"{config.platform_domain}:{port}"
    parser.add_argument("--site", default=f"http://bikes.{domain}", help="address of a demo site")
    parser.add_argument("--other", default=f"http://trains.{domain}", help="address of another one")
    parser.add_argument("--owner", default="owner@bikes.test", help="who owns the first")
    parser.add_argument("--member", default="member@bikes.test", help="a member of it")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    forum, other = (
        Forum(where.port or port, where.netloc, config.mailbox_path)
        for where in (urlsplit(args.site), urlsplit(args.other))
    )
    try:
        owner = forum.sign_in(args.owner)
        for part in args.parts or PARTS:
            say(f"--- {part}")
            if part == "conversations":
                conversations.run(forum, other, owner)
            elif part == "notifications":
                notifications.run(forum, owner)
            else:
                access.run(forum, owner, args.member)
    except (SmokeError, OSError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1
    say("every answer was the right one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
