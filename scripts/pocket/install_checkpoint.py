"""Put a trained checkpoint into the pocket distribution, in place of the one that is there.

    python scripts/pocket/install_checkpoint.py reasoner OUT/checkpoint

OUT is the folder of `train_reasoner.py` or `train_segmenter.py`. The checkpoint is loaded first, as ThinkSeg loads it,
so that a damaged one stays out; it has to be in float16, and the distribution may be 40 MB at most. What is printed is
what the pages about it say: weights, bytes, and the revision that records of evaluations name.
"""

import argparse
import shutil
import sys
from pathlib import Path

from safetensors import safe_open

from thinkseg.errors import ThinkSegError
from thinkseg.evaluation.provenance import checkpoint_revision
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.models.segmenter import load_segmenter

POCKET = Path(__file__).parents[2] / "pocket" / "thinkseg_pocket"
MOST_BYTES = 40_000_000
"""Of all the distribution's files."""
LOADERS = {"reasoner": load_reasoner, "segmenter": load_segmenter}


def install(part: str, checkpoint: Path, pocket: Path = POCKET) -> str:
    """Check a checkpoint and put it into the distribution.

    Args:
        part: "reasoner" or "segmenter".
        checkpoint: a model folder in Hugging Face form.
        pocket: the distribution's package.

    Returns:
        What is there now, in a line.

    Raises:
        ValueError: its weights are not all in float16, or the distribution would become too large.
        ThinkSegError: it cannot be loaded.
    """
    LOADERS[part](checkpoint, device="cpu")
    weights, strange = 0, set()
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118
                tensor = opened.get_tensor(name)
                weights += tensor.numel()
                if tensor.is_floating_point() and str(tensor.dtype) != "torch.float16":
                    strange.add(str(tensor.dtype))
    if strange:
        raise ValueError(
            f"expected weights in float16, found {', '.join(sorted(strange))}: save the checkpoint in half"
        )
    files = [file for file in checkpoint.iterdir() if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if _bytes_of(pocket) - _bytes_of(pocket / part) + size > MOST_BYTES:
        raise ValueError(f"the pocket distribution would be larger than {MOST_BYTES // 10**6} MB")
    fresh = pocket / f"{part}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for file in files:
        shutil.copyfile(file, fresh / file.name)  # without its mode: weights are saved for their owner alone
    shutil.rmtree(pocket / part, ignore_errors=True)
    fresh.rename(pocket / part)
    return f"{part}: {weights:,} numbers, {size:,} bytes, revision {checkpoint_revision(pocket / part)}"


def _bytes_of(folder: Path) -> int:
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return sum(file.stat().st_size for file in files)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(LOADERS))
    parser.add_argument("checkpoint", type=Path, help="the folder to take")
    args = parser.parse_args()
    try:
        told = install(args.part, args.checkpoint)
    except (ThinkSegError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(told)
    print(f"the pocket distribution: {_bytes_of(POCKET) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
