"""``thinkseg data download``: a known data set into a folder, where its terms allow a program to fetch it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thinkseg.data.discovery.catalog import DataSet
    from thinkseg.data.downloading.transfer import Transfer

DONE, WRONG_INPUT = 0, 2


def add_download_arguments(download: argparse.ArgumentParser) -> None:
    """The action's arguments."""
    download.add_argument("name", metavar="NAME", help="as 'thinkseg data list' has it")
    download.add_argument(
        "--out", type=Path, default=Path("data"), metavar="DIR", help="folder of your data sets (default: data)"
    )
    download.add_argument(
        "--split", action="append", default=[], metavar="SPLIT", help="only what this one needs; may be given again"
    )
    download.add_argument("--keep", action="store_true", help="keep the archives after they were unpacked")
    download.add_argument("--json", action="store_true", help="print what was done as JSON")


def run_download(
    args: argparse.Namespace,
    transfer: Transfer | None = None,
    data_sets: Mapping[str, DataSet] | None = None,
) -> int:
    """Fetch and unpack; 2 where the data set is one to be fetched by hand.

    Args:
        args: the flags.
        transfer: how files are fetched, in place of a `Transfer`.
        data_sets: those that are known, in place of the catalogue.
    """
    from thinkseg.data.discovery.catalog import DATA_SETS, known
    from thinkseg.data.downloading.job import STATE, Download, by_hand, check_command
    from thinkseg.meter import Meter, tell

    data_set = known(args.name, data_sets or DATA_SETS)
    if not data_set.archives:
        print(by_hand(data_set, args.out), file=sys.stderr)
        return WRONG_INPUT
    download = Download(data_set, args.out, args.split, args.keep)
    missing = download.missing()
    size = sum(archive.size for archive in missing)
    tell(
        f"{data_set.title}: {len(missing)} of {len(download.archives())} archives to get, {size / 1e9:.1f} GB, "
        f"into '{args.out}'; licence: {data_set.licence}"
    )
    if not missing:
        tell(f"all of it is there (to get it anew, remove '{args.out / STATE}' and what is damaged)")
    got = download.run(Meter, transfer)
    following = check_command(data_set, args.out, args.split)
    if args.json:
        print(json.dumps({"name": data_set.name, "folder": str(args.out), "files": got, "next": following}))
    else:
        for name, count in got.items():
            print(f"{name}: {count:,} files")
        print(f"{data_set.name} is in '{args.out}'; next: {following}")
    return DONE
