"""From the name of a class to what is asked, and back."""

from __future__ import annotations

QUERY = "the {}"
"""What is asked where nothing is said; ``{}`` stands for the name of the class."""

_DETERMINERS = frozenset({
    "the", "a", "an", "every", "each", "all", "both", "any", "some", "no", "this", "that", "these", "those", "my",
    "your", "his", "her", "its", "our", "their", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten",
})  # fmt: skip
"""A name that begins with one of them is a query as it is."""


def asked(query: str, name: str) -> str:
    """What is asked for a class.

    Args:
        query: with ``{}`` for the name.
        name: of the class; underscores become blanks, and a word such as "a" or "every" takes the place of "the".

    >>> asked("the {}", "traffic_light"), asked("the {}", "every crack"), asked("all {} in sight", "cracks")
    ('the traffic light', 'every crack', 'all cracks in sight')
    """
    words = name.replace("_", " ").split()
    if query == QUERY and words and words[0].lower() in _DETERMINERS:
        return " ".join(words)
    return query.replace("{}", " ".join(words))


def class_of(query: str) -> str:
    """The class that a query asks for, so that `asked` makes the query of it again where it begins with such a word.

    >>> class_of("the traffic light"), class_of("every crack"), class_of("person in red"), class_of("the one in red")
    ('traffic light', 'every crack', 'person in red', 'the one in red')
    """
    words = query.split()
    if len(words) > 1 and words[0] == "the" and words[1].lower() not in _DETERMINERS:
        words = words[1:]
    return " ".join(words)
