"""Draw a contact sheet of composed scenes, a row a task, with the target outlined, the query and the worked thought.

python scripts/pocket/show_scenes.py SHEET.png [--split test] [--columns 8] [--seed 7]
"""

import argparse
from pathlib import Path

from PIL import Image

from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import TASKS
from thinkseg.data.synthetic.scenes import create_scene
from thinkseg.drawing import contact_sheet, overlay
from thinkseg.geometry import reference_answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    assets = load_assets(args.split)
    cells = []
    for task in TASKS:
        for index in range(args.columns):
            scene = create_scene(assets, args.seed, index, task)
            image = Image.fromarray(scene.image)
            masks = scene.target[None] if scene.target.any() else scene.target[None][:0]
            drawn = overlay(image, masks, reference_answer(masks, inclusive=True)) if len(masks) else image
            cells.append((drawn, f"{task}: {scene.query.text}\n{scene.query.think}"))
    contact_sheet(cells, columns=args.columns).save(args.sheet)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
