"""``python -m hybrid_nas``: the same as the console script."""

from __future__ import annotations

import sys

from hybrid_nas.cli import main

if __name__ == "__main__":
    sys.exit(main())
