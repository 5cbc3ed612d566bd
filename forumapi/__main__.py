"""`python -m forumapi`: the same as the command `forumapi`."""

import sys

from forumapi.cli import main

sys.exit(main())
