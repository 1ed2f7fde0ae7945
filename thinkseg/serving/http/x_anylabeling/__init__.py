"""X-AnyLabeling: the routes of its remote server, by which its users ask in words, or by points and boxes.

::

    router ──▶ wire    what is asked and what is answered
           ──▶ shapes  masks as polygons or rectangles

Nothing of X-AnyLabeling is imported; its contract is its ``remote_server.py``.
"""
