"""``python -m thinkseg`` is the same as ``thinkseg``."""

import sys

from thinkseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
