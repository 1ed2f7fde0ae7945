"""Make the images of the pocket distribution from Debian packages that hold photographic cut-outs and backgrounds.

Run it on a Debian machine, from the root of the repository (about a minute after the downloads)::

    apt-get download $(python scripts/pocket/build_images.py --packages)
    for package in *.deb; do dpkg-deb -x $package unpacked; done
    python scripts/pocket/build_images.py --unpacked unpacked

Which files are taken, and from which package, is in `sources.json` beside this script (looked through by eye); what
they show is in `catalog.py`. Cut-outs with much half-transparent fringe (smoke, fire, fur) are left out: a mask
cannot be exact there. The result, with the licence and the author of every file, is `pocket/thinkseg_pocket/images/`.
"""

import argparse
import json
import re
import shutil
import sys
from collections import Counter, defaultdict
from pathlib import Path

import catalog
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "pocket" / "thinkseg_pocket" / "images"
CUTOUT_SIDE = 384
BACKGROUND_SIDE = 640
MAX_SOFT_ALPHA = 0.16
HELD_OUT_SHARE = 1 / 6


def licence_of(package: str, path: str, root: Path) -> dict[str, str]:
    """Licence and copyright that the package's own copyright file gives for this path (the last match wins)."""
    text = (root / "usr/share/doc" / package / "copyright").read_text(encoding="utf-8")
    found = {"licence": "", "copyright": ""}
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(
            re.findall(r"^(Files|Copyright|License):\s*((?:.*)(?:\n[ \t]+.*)*)", paragraph, flags=re.MULTILINE)
        )
        if "Files" not in fields or "License" not in fields:
            continue
        for pattern in fields["Files"].split():
            # The patterns speak of the source tree, whose folders are renamed when the package is installed.
            if pattern == "*" or path.endswith("/" + pattern.split("/", 1)[-1]):
                found = {
                    "licence": fields["License"].splitlines()[0].strip(),
                    "copyright": " ".join(fields.get("Copyright", "").split()),
                }
    return found


def kinds_of(stem: str, group: str) -> tuple[str, ...]:
    if stem in catalog.KINDS_BY_STEM:
        return catalog.KINDS_BY_STEM[stem]
    return catalog.KINDS_BY_FOLDER.get(group, ("thing",))


def name_of(stem: str, text: str) -> str:
    if stem in catalog.NAMES:
        return catalog.NAMES[stem]
    name = re.sub(r"[“”]", "", text).split("(")[0].strip().rstrip(".!")
    return re.sub(r"^(A pair of|An old|A|An|The|Our|Another|Some) ", "", name).strip()


def split_of(entries: list[dict]) -> None:
    """Hold out a sixth of every narrow kind that has at least three members, spread evenly over the sorted names."""
    by_kind = defaultdict(list)
    for entry in entries:
        by_kind[entry["kinds"][0]].append(entry)
    for members in by_kind.values():
        members.sort(key=lambda entry: entry["file"])
        held_out = round(len(members) * HELD_OUT_SHARE + 0.25) if len(members) >= 3 else 0
        chosen = {round((i + 0.5) * len(members) / held_out - 0.5) for i in range(held_out)} if held_out else set()
        for position, entry in enumerate(members):
            entry["split"] = "test" if position in chosen else "train"


def asked_kinds(entries: list[dict]) -> list[str]:
    """The kinds that a query may name: a word that people say, with members on both sides of the split."""
    counts: dict[str, Counter] = {"train": Counter(), "test": Counter()}
    for entry in entries:
        counts[entry["split"]].update(entry["kinds"])
    return sorted(
        kind
        for kind in counts["train"]
        if counts["train"][kind] >= 3 and counts["test"][kind] >= 1 and kind not in catalog.NOT_SAID
    )


def build_cutouts(sources: list[dict], root: Path) -> list[dict]:
    entries = []
    for source in sources:
        relative = source["path"].split("/stamps/")[1].removesuffix(".png")
        stem = Path(relative).name
        if (
            stem in catalog.SKIPPED_CUTOUTS
            or relative in catalog.SKIPPED_CUTOUTS
            or source["soft_alpha"] > MAX_SOFT_ALPHA
        ):
            continue
        image = Image.open(root / source["path"]).convert("RGBA")
        box = Image.fromarray((np.asarray(image)[..., 3] > 8).astype(np.uint8)).getbbox()
        image = image.crop(box)
        image.thumbnail((CUTOUT_SIDE, CUTOUT_SIDE), Image.Resampling.LANCZOS)
        file = f"cutouts/{relative.replace('/', '_').lower()}.webp"
        image.save(TARGET / file, quality=86, alpha_quality=95, method=6)
        entries.append(
            {
                "file": file,
                "name": name_of(stem, source["text"] or stem),
                "kinds": list(kinds_of(stem, source["group"])),
                "package": source["package"],
                "source": source["path"],
                **licence_of(source["package"], source["path"], root),
            }
        )
    split_of(entries)
    return entries


def build_backgrounds(sources: list[dict], root: Path) -> list[dict]:
    entries = []
    for source in sources:
        parts = Path(source["path"]).parts
        stem = parts[-4] if "contents" in parts else Path(source["path"]).stem
        if stem in catalog.SKIPPED_BACKGROUNDS:
            continue
        image = Image.open(root / source["path"]).convert("RGB")
        image.thumbnail((BACKGROUND_SIDE, BACKGROUND_SIDE), Image.Resampling.LANCZOS)
        file = f"backgrounds/{source['package']}_{stem}.jpg".lower().replace(" ", "_")
        image.save(TARGET / file, quality=80, optimize=True)
        entries.append(
            {
                "file": file,
                "name": stem,
                "package": source["package"],
                "source": source["path"],
                **licence_of(source["package"], source["path"], root),
            }
        )
    entries.sort(key=lambda entry: entry["file"])
    step = len(entries) / 12
    held_out = {int((i + 0.5) * step) for i in range(12)}
    for position, entry in enumerate(entries):
        entry["split"] = "test" if position in held_out else "train"
    return entries


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", action="store_true", help="print the names of the packages that are needed")
    parser.add_argument("--unpacked", type=Path, help="the folder into which the packages were unpacked")
    args = parser.parse_args()
    sources = json.loads((HERE / "sources.json").read_text(encoding="utf-8"))
    if args.packages or args.unpacked is None:
        names = {entry["package"] for part in ("cutouts", "backgrounds") for entry in sources[part]}
        sys.stdout.write(" ".join(sorted(names)) + "\n")
        return 0
    shutil.rmtree(TARGET, ignore_errors=True)
    for folder in ("cutouts", "backgrounds"):
        (TARGET / folder).mkdir(parents=True)
    cutouts = build_cutouts(sources["cutouts"], args.unpacked)
    backgrounds = build_backgrounds(sources["backgrounds"], args.unpacked)
    about = {
        "cutouts": cutouts,
        "backgrounds": backgrounds,
        "asked_kinds": asked_kinds(cutouts),
        "reasoning": catalog.REASONING,
    }
    (TARGET / "images.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    bytes_written = sum(file.stat().st_size for file in TARGET.rglob("*") if file.is_file())
    for name, entries in (("cut-outs", cutouts), ("backgrounds", backgrounds)):
        held_out = sum(entry["split"] == "test" for entry in entries)
        sys.stdout.write(f"{len(entries)} {name}, {held_out} of them held out\n")
    sys.stdout.write(f"{bytes_written / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
