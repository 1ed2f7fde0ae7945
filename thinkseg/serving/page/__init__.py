"""The parts of the page that `thinkseg demo` serves.

::

    choices ─▶ desk ─▶ scene ─▶ showing, viewer ─▶ panel ─▶ blocks
                 └──▶ files                        endpoints ─┘

`choices` has the models, `desk` answers, a `scene` is what has been found in an image so far. `viewer` and `showing`
turn it into HTML, `files` into downloads. `panel`, `blocks`, `browsing` and `endpoints` alone know of Gradio.
"""
