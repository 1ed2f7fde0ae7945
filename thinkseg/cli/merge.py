"""``thinkseg merge``: an adapter, the shards of a training run, or a model and its start, into one folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from thinkseg.meter import tell

EXAMPLE = """\
what it reads
  a LoRA adapter (PEFT)           adapter_config.json, adapter_model.safetensors
  FSDP                            pytorch_model_fsdp_0/, or any folder with .metadata and *.distcp
  DeepSpeed ZeRO 1, 2, 3          checkpoint-N with global_stepN/*zero_pp_rank_*_optim_states.pt
  EasyR1, veRL                    global_step_N/actor/model_world_size_*_rank_*.pt

examples:
  thinkseg merge runs/seg_r1/rl/checkpoint-100 --out merged
  thinkseg merge my_adapter --base geshang/Seg-R1-3B --out merged --dtype bfloat16
  thinkseg merge global_step_30/actor --format vision-reasoner --out merged
  thinkseg merge runs/word/final --base pocket --start-share 0.5 --out mixed"""

DONE = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "source", metavar="FOLDER", type=Path, help="the adapter, the shards, or the folder around them"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the merged model, a new one")
    parser.add_argument(
        "--base",
        metavar="MODEL",
        help="folder or hub id: the model that the adapter adapts, or one with the shards' config and processor "
        "(default: what the adapter names, or what lies beside the shards)",
    )
    parser.add_argument(
        "--start-share",
        type=float,
        default=0.0,
        metavar="S",
        help="share of the weights of --base, from which training started, in those that are written: forgets less and "
        "has learnt less; also for a whole model (default: 0)",
    )
    parser.add_argument("--format", help="answer format for thinkseg.json (default: what the source's or base's says)")
    parser.add_argument(
        "--dtype",
        default="auto",
        help="of the weights: 'auto' (as they are), float32, bfloat16, float16 (default: auto)",
    )
    parser.add_argument(
        "--max-shard-size", default="5GB", metavar="SIZE", help="largest file of weights (default: 5GB)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Merge, and print where the model is."""
    from thinkseg.models.merging import merge

    tell(f"merging {args.source} …")
    merged = merge(
        args.source,
        args.out,
        base=args.base,
        format=args.format,
        dtype=args.dtype,
        max_shard_size=args.max_shard_size,
        start_share=args.start_share,
    )
    if args.json:
        print(json.dumps({**dataclasses.asdict(merged), "folder": str(merged.folder)}))
        return DONE
    print(f"{merged.folder}: {merged.tensors} tensors, {merged.parameters:,} weights in {merged.dtype}")
    print(f"merged from {merged.layout}" + (f", {merged.pieces} shards" if merged.pieces > 1 else ""))
    if merged.format is None:
        print("nothing says in which format it answers: merge with --format, or use it with --format", file=sys.stderr)
    return DONE
