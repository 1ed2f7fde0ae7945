"""Draw what a model makes of held-out scenes: its boxes, points and mask, with the request and what it thought.

    python scripts/pocket/show_answers.py SHEET.jpg --model runs/quickstart/checkpoint
    python scripts/pocket/show_answers.py docs/images/result.jpg --model runs/quickstart/checkpoint --scenes 3 17 29 51

The first draws many, each with its number and IoU, to choose from; the second those that were chosen, without. The
scenes are those of `thinkseg evaluate scenes`.
"""

import argparse
from pathlib import Path

import thinkseg
from thinkseg.data.synthetic.scenes import load_scenes
from thinkseg.drawing import contact_sheet

COUNT = 512
"""As many scenes as the quickstart has."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--scenes", type=int, nargs="+", help="numbers of scenes (default: the first --first)")
    parser.add_argument("--first", type=int, default=40)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pipeline = thinkseg.load(args.model)
    samples = load_scenes("test", COUNT, seed=args.seed)
    cells = []
    for number in args.scenes or range(args.first):
        sample = samples[number]
        result = pipeline.segment(sample.image, sample.query)
        caption = f"“{sample.query}”\nthinks: {result.thinking}"
        if args.scenes is None:
            union = (result.mask | sample.target).sum()
            iou = (result.mask & sample.target).sum() / union if union else 1.0
            caption += f"\nscene {number}, {sample.task}: IoU {iou:.2f}"
        cells.append((result.overlay(), caption))
    contact_sheet(cells, columns=args.columns).save(args.sheet)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
