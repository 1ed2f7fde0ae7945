"""``thinkseg score``: the rewards of completions in a file, part by part, without a reasoner."""

import argparse
import json
import sys

import thinkseg

EXAMPLE = """\
Each line of the file is a JSON object with 'completion' and, for the parts that need the truth, 'frame' ([width,
height] of the pixels that coordinates count) with 'box' and 'points', or 'objects', or 'mask' or 'masks' (one per
object) and 'image', and 'ignore', the pixels that count neither way. Masks and images are paths from the file's
folder; a mask may be run lengths, too. Where nothing is there, 'objects' or 'masks' is []. One line of JSON comes out
for each: 'id', 'parts', 'total', and 'malformed' with the reason why an answer could not be read, or null. A part is
null where its truth, or the segmenter that it needs, is not given.

example: thinkseg score completions.jsonl --format vision-reasoner
         thinkseg score completions.jsonl --recipe seg-r1 --segmenter pocket
         thinkseg score completions.jsonl --format seg-zero --rewards published"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of ``thinkseg score``."""
    parser.add_argument("completions", metavar="COMPLETIONS.jsonl", help="file of completions, or - for standard input")
    parser.add_argument(
        "--format",
        help="answer format: seg-r1, seg-r1-points, seg-zero, seg-zero-soft, vision-reasoner, or FILE.py:NAME of yours",
    )
    parser.add_argument(
        "--recipe",
        help="rewards: seg-r1, seg-r1-prerl, seg-zero, seg-zero-soft, vision-reasoner, a recipe's name, or a recipe "
        "file, of which 'rewards: {name: weight}' is enough (default: the published ones of the format)",
    )
    parser.add_argument(
        "--rewards",
        choices=("published",),
        help="exactly the values of the published functions, where ours differ from them (docs/rewards.md)",
    )
    parser.add_argument(
        "--segmenter", help="for parts that need masks: pocket, grabcut, a folder, a hub id or FILE.py:NAME"
    )
    parser.add_argument(
        "--encoding", metavar="NAME", default="", help="of the file, such as gbk (default: UTF-8, or as marked)"
    )


def run(args: argparse.Namespace) -> int:
    """Score the completions and print a line of JSON for each."""
    from thinkseg.data.text import stream_lines

    lines = stream_lines(sys.stdin, args.encoding) if args.completions == "-" else args.completions
    scores = thinkseg.score(
        lines,
        format=args.format,
        recipe=args.recipe,
        rewards=args.rewards,
        segmenter=args.segmenter,
        encoding=args.encoding,
    )
    for scored in scores:
        print(json.dumps(scored.as_json(), ensure_ascii=False), flush=args.completions == "-")
    return 0
