"""All that is measured on a GPU, within nine minutes of one H100 or H200, as one JSON.

    python -m benchmarks.gpu                       # everything; writes benchmarks/gpu/measured.json
    python -m benchmarks.gpu --small --out FILE    # the same code in seconds, on a CPU, too
    python -m benchmarks.gpu --only card segmenter # some of its sections
    python -m benchmarks.gpu --render              # docs/performance.md from benchmarks/gpu/measured.json

Weights are random, in the shapes of the published models; nothing is downloaded. Sections are done in the order of
their worth, in a process of their own, and the file is written after each of them. A section for which the time that is
left is too short is skipped, one that takes far longer than planned is ended, and one that fails is told with its
reason; the others go on. Ends with 1 where a section failed or was ended.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.gpu.page import in_words, render
from benchmarks.gpu.running import run_sections, work
from benchmarks.gpu.sections import SECTIONS

HERE = Path(__file__).parent
MEASURED = HERE / "measured.json"
PAGE = HERE.parent.parent / "docs" / "performance.md"


def main(words: list[str] | None = None) -> int:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="All that is measured on a GPU.")
    parser.add_argument("--small", action="store_true", help="tiny models; runs on a CPU, too")
    parser.add_argument("--out", type=Path, default=MEASURED, help="where the JSON goes (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=8.5, help="the time there is (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--render", action="store_true", help="write what was measured into docs/performance.md")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--end", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    names = options.only or list(SECTIONS)
    if options.render:
        return render(options.out, PAGE)
    if options.worker:
        work(names, options.worker, options.end, small=options.small)
        return 0
    if options.small and options.out == MEASURED:
        parser.error("--small measures nothing that is worth keeping: name another file with --out")
    found = run_sections(names, options.out, time.time() + 60 * options.minutes, small=options.small)
    print(in_words(found))
    print(f"written to {options.out}", file=sys.stderr)
    return int(any(not {"result", "skipped"} & section.keys() for section in found["sections"].values()))


if __name__ == "__main__":
    sys.exit(main())
