"""How published numbers were made: one row for each choice of an evaluation, with its authors' value and ours.

Read in the authors' repositories: Seg-R1 at ca1256f (July 2025), Seg-Zero at d327eb7 (March 2025), VisionReasoner at
a455092 (May 2025). ``scripts/write_published_page.py`` writes docs/published.md from these tables, and ``thinkseg
evaluate --explain`` prints one for a run. A row that names a `key` is held against the code by a test: where the
protocol or the checkpoint's name gives the authors' value, they have it.
"""
