"""All tables, and the one behind a run."""

from thinkseg.evaluation.published_choices import seg_r1, seg_zero
from thinkseg.evaluation.published_choices.choice import Table

TABLES: tuple[Table, ...] = (*seg_r1.TABLES, *seg_zero.TABLES)
"""A table for each kind of benchmark that has published numbers of a checkpoint."""


def find_table(protocol: str, task: str, checkpoint: str = "") -> Table | None:
    """The table behind a run: its protocol's, or else that of its checkpoint; None where nothing was published.

    Args:
        protocol: by which it is scored.
        task: of its benchmark.
        checkpoint: its name, which decides where the protocol is nobody's.
    """
    fits = [table for table in TABLES if task in table.tasks]
    by_protocol = [table for table in fits if table.protocol == protocol]
    return next(iter(by_protocol or [table for table in fits if checkpoint in table.checkpoints]), None)
