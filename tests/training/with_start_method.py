"""``thinkseg`` with a start method of its own for the processes that it starts, as on other machines: METHOD WORD…"""

import multiprocessing
import sys

from thinkseg.cli import main

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
