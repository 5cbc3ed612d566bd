"""`python -m scripts.bench`: the command behind `make bench`."""

import sys

from scripts.bench.run import main

sys.exit(main())
