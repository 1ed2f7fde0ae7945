"""Labelling at scale: (image, query) rows in, exactly one row of results each out, in Parquet, resumable at any moment.

::

    TABLE | FOLDER | GLOB ─▶ rows ─▶ blocks of rows ─┬─ local: processes that claim blocks ──┬─▶ OUT/labels/*.parquet
                                                     └─ ray: Ray Data with a pool of actors ─┘

`job` is called; `folder` says what lies where; `labeller` makes rows of results from requests, whichever the engine.
"""
