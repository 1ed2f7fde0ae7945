"""What MkDocs does to a page of the site that Markdown has no words for; `mkdocs.yml` names this file.

* A drawing (`![…](images/x.svg)`) is put into the page itself, so that it follows the site's switch between light and
  dark. Wherever else the Markdown is read, the file follows the system's.
* Icons (`:material-school:`) are those of the theme; YAML that is read without running code cannot say so.
* A code example in a docstring is announced by two colons, as reStructuredText has it; one is left.
"""

import re
from pathlib import Path

from material.extensions import emoji

IMAGE = re.compile(r'<img alt="([^"]*)" src="([^":]+\.svg)"\s*/?>')


def on_config(config):  # type: ignore[no-untyped-def]
    """The settings, once they are read."""
    config.mdx_configs["pymdownx.emoji"] = {"emoji_index": emoji.twemoji, "emoji_generator": emoji.to_svg}


def on_page_content(html: str, page, config, files) -> str:  # type: ignore[no-untyped-def]
    """The page's HTML, as MkDocs calls for it."""
    folder = Path(page.file.abs_src_path).parent
    return IMAGE.sub(lambda image: _inlined(folder / image[2], image[1]), html).replace("::</p>", ":</p>")


def _inlined(path: Path, told: str) -> str:
    """A drawing as a part of a page, with what it shows in words; it scrolls where the page is narrower."""
    drawing = path.read_text(encoding="utf-8").partition("<svg")[2]
    return f'<span class="scrolls"><svg role="img" aria-label="{told}"{drawing.strip()}</span>'
