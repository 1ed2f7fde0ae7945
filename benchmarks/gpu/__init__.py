"""All that is measured on a GPU, in one run: see `__main__`."""

import sys
from pathlib import Path

# The other benchmarks are scripts, which find each other by their names.
sys.path.insert(0, str(Path(__file__).parent.parent))
