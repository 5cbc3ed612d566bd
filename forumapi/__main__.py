"""`python -m forumapi`: the same as the command `forumapi`."""

import sys

from forumapi.command.cli import main

sys.exit(main())
