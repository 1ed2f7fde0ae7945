"""A labelling from beginning to end: what is asked for is written down, an engine labels it, and it is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from thinkseg.errors import DataError
from thinkseg.results.files import prepare_folder, writing_into
from thinkseg.serving.labelling.folder import LABELS, ROWS, WORK, LabelFolder
from thinkseg.serving.labelling.header import LabelHeader, read_header, refuse_another, write_header
from thinkseg.serving.labelling.labelled import Labelled
from thinkseg.serving.labelling.local import label_locally
from thinkseg.serving.labelling.manifest import Counted, write_requests
from thinkseg.serving.labelling.plan import LOCAL, RAY, LabelPlan
from thinkseg.writing import json_text

ROWS_OF_A_FILE = {LOCAL: 2048, RAY: 256}
"""So many at most where the caller says nothing: on Ray a whole file of rows is done again where a process is lost."""
_FILES = 64
"""A small input is cut into about so many files, so that several processes have some each."""


def run_labelling(plan: LabelPlan) -> Labelled:
    """Label all that is not labelled yet.

    Raises:
        InputError: what is asked for cannot work, or is not there.
        DataError: the input is not as expected, or the folder holds something else.
        ThinkSegError: a result cannot be written, or a process was lost; the same call goes on from there.
    """
    plan.check()
    folder = open_folder(plan)
    if plan.engine == RAY:
        from thinkseg.serving.labelling.on_ray import label_on_ray

        label_on_ray(plan, folder)
    else:
        label_locally(plan, folder)
    return Labelled.open(plan.out)


def open_folder(plan: LabelPlan) -> LabelFolder:
    """The folder of a plan, in which all that is asked for is written down; or one that was begun with the same.

    Raises:
        DataError: it holds results of another labelling, or files of Parquet of unknown origin.
    """
    prepare_folder(plan.out)
    with _planning(plan):
        found = read_header(plan.out)
        if found is None and any((plan.out / LABELS).glob("*.parquet")):
            raise DataError(f"'{plan.out / LABELS}' holds files of Parquet of unknown origin; choose another folder")
        requests = Counted(plan.source.requests())
        if found is None:
            with writing_into(plan.out):
                write_requests(plan.out / WORK / ROWS, requests)
        else:
            requests.exhaust()
        if not requests.rows:
            raise DataError(f"'{plan.source.name}' has no rows")
        header = _header(plan, requests, found)
        if found is None:
            write_header(plan.out, header)
        else:
            refuse_another(plan.out, found, header)
    return LabelFolder(plan.out, header)


def _header(plan: LabelPlan, requests: Counted, found: LabelHeader | None) -> LabelHeader:
    most, rows = ROWS_OF_A_FILE[plan.engine], requests.rows
    fitting = found.rows_per_file if found is not None else max(plan.batch_size, min(most, -(-rows // _FILES)))
    identity = json.loads(json_text(dict(plan.identity)))  # as it comes back from the file
    return LabelHeader(identity, requests.revision, rows, plan.rows_per_file or fitting, plan.engine)


@contextmanager
def _planning(plan: LabelPlan) -> Iterator[None]:
    """Let others that begin in the same folder wait until it is written down what is to be done."""
    (plan.out / WORK).mkdir(exist_ok=True)
    lock = FileLock(plan.out / WORK / "planning.lock")
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield  # some network file systems have no locks
        return
    try:
        yield
    finally:
        lock.release()
