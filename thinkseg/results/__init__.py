"""What is kept of a prediction, and what is pleasant to have of it.

::

    Prediction ─▶ Result ─▶ masks, boxes, overlay, cut-out in memory
                    └─▶ record (JSON) ─▶ NAME.json, NAME.mask.png, NAME.overlay.png, …

`result` is the value that `Pipeline.segment` returns, `record` its JSON, `files` the only writer of both.
"""
