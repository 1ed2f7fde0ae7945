"""What a project's labelling configuration says: what asks, about which image, and what takes the answer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from thinkseg.errors import InputError

KINDS = {"BrushLabels": "brushlabels", "PolygonLabels": "polygonlabels", "RectangleLabels": "rectanglelabels"}
"""Tags that take masks or boxes, and how their regions are called."""
NOTE = "thinking"
"""The name of a text area that gets the thinking."""
FIELD = "query"
"""Of a task's data, where the text area names no other field."""
_WITHOUT_BLANKS = (
    "CJK ",
    "IDEOGRAPHIC",
    "HIRAGANA",
    "KATAKANA",
    "BOPOMOFO",
    "THAI ",
    "LAO ",
    "KHMER ",
    "MYANMAR ",
    "TIBETAN ",
)
"""How the names of characters begin, in Unicode, by which words are written without blanks between them."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """Of a project, what matters for a prediction."""

    kind: str
    """Of its regions, a value of `KINDS`."""
    control: str
    """The name of the tag that takes them."""
    image: str
    """The name of the image's tag."""
    image_field: str
    """Of a task's data."""
    labels: tuple[str, ...] = ()
    question: str | None = None
    """The name of the text area that asks."""
    query_field: str = FIELD
    """Of a task's data."""
    note: str | None = None
    """The name of the text area that gets the thinking."""

    def query(self, data: Mapping[str, Any], context: Mapping[str, Any] | None, default: str) -> str:
        """What is looked for: what was typed last, or else what the task says, or else the default.

        Args:
            data: of the task.
            context: what was done on the page; None where a task is predicted by itself.
            default: the operator's.

        Raises:
            InputError: there is nothing.
        """
        query = self._typed(context) or data.get(self.query_field) or default
        if not isinstance(query, str) or not query.strip():
            raise InputError(
                f"expected a query: in a <TextArea> of the labelling configuration, in the field '{self.query_field}' "
                "of the task's data, or from 'thinkseg serve --query'; found none"
            )
        return query.strip()

    def label(self, query: str) -> str:
        """The label of what a query finds: the one that it is, or names, or else the first; the query without labels.

        >>> own = Labelling("brushlabels", "brush", "image", "image", labels=("Thing", "Car", "Race car"))
        >>> own.label("car"), own.label("the red race car"), own.label("a bus")
        ('Car', 'Race car', 'Thing')
        >>> Labelling("brushlabels", "brush", "image", "image", labels=("物体", "汽车")).label("红色的汽车")
        '汽车'
        """
        if not self.labels:
            return query
        named = [label for label in self.labels if _in_words(label).strip() and _in_words(label) in _in_words(query)]
        return max(named, key=len, default=self.labels[0])

    def _typed(self, context: Mapping[str, Any] | None) -> str:
        results = context.get("result") if isinstance(context, Mapping) else None
        for region in reversed(results) if isinstance(results, list) else ():
            if not isinstance(region, Mapping) or region.get("from_name") != self.question:
                continue
            value = region.get("value")
            text = value.get("text") if isinstance(value, Mapping) else None
            last = text[-1] if isinstance(text, list) and text else text
            if isinstance(last, str) and last.strip():
                return last
        return ""


def read_labelling(config: str) -> Labelling:
    """Read a labelling configuration.

    Args:
        config: as XML.

    Raises:
        InputError: it is none, or has nothing that takes regions of an image.
    """
    if re.search(r"<!(?!--|\[CDATA\[)", config):  # a document type may define entities without end
        raise InputError("expected a labelling configuration without a document type, found one")
    try:
        tags = list(ElementTree.fromstring(config).iter())
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"expected a labelling configuration in XML, found something else: {error}") from error
    images = {tag.get("name", ""): tag for tag in tags if tag.tag == "Image" and tag.get("value", "").startswith("$")}
    control = next((tag for tag in tags if tag.tag in KINDS and tag.get("toName") in images), None)
    if control is None:
        raise InputError(
            f"expected an <Image> whose value is a field, such as $image, and one of {', '.join(KINDS)} for it in the "
            "labelling configuration, found none"
        )
    image = control.get("toName", "")
    areas = {tag.get("name", ""): tag for tag in tags if tag.tag == "TextArea" and tag.get("toName") == image}
    question = next((name for name in areas if name != NOTE), None)
    return Labelling(
        KINDS[control.tag],
        control.get("name", ""),
        image,
        images[image].get("value", "")[1:],
        tuple(tag.get("value", "") for tag in control.iter("Label") if tag.get("value")),
        question,
        _field_of(areas.get(question or "")),
        NOTE if NOTE in areas else None,
    )


def _in_words(text: str) -> str:
    """Its words, a blank before and after each; a character is one where words are written without blanks."""
    spaced = "".join(map(_spaced, unicodedata.normalize("NFKC", text).casefold()))
    return " ".join(("", *spaced.split(), ""))


def _spaced(character: str) -> str:
    if character != "_" and unicodedata.category(character)[0] not in "LMN":
        return " "
    return f" {character} " if unicodedata.name(character, "").startswith(_WITHOUT_BLANKS) else character


def _field_of(area: Element | None) -> str:
    value = "" if area is None else area.get("value", "")
    return value[1:] if value.startswith("$") else FIELD
