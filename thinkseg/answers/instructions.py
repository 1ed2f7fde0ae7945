"""From a template and a query to the instruction for the model.

A template is an `Instruction` whose sentences may hold ``{query}`` and ``{example}``. A recipe can put its own in place
of a format's, for instance the exact sentences from the model card of a published checkpoint.
"""

from thinkseg.types import Answer, Box, Instruction, ObjectPrompt, Point, Size

EXAMPLE = Answer(
    Size(840, 840),
    (
        ObjectPrompt(
            Box(96.0, 180.0, 412.0, 566.0), (Point(250.0, 340.0), Point(180.0, 470.0), Point(396.0, 196.0, label=0))
        ),
    ),
    think="Two dogs are in the grass. The request means the one that lies down, on the left.",
)
"""What the formats show the model; each renders of it what it can express."""


def bare_query(query: str, stripped: str) -> str:
    """The query in lower case without these characters at its ends; as it is where nothing would be left of it."""
    return query.lower().strip(stripped) or query


def fill(template: Instruction, query: str, example: str) -> Instruction:
    """The template's sentences with the query and the example in their places; other braces stay as they are."""

    def filled(sentence: str) -> str:
        return sentence.replace("{example}", example).replace("{query}", query)  # a query cannot bring placeholders in

    return Instruction(filled(template.user), None if template.system is None else filled(template.system))
