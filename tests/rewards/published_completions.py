"""Completions to hold our rewards against the published functions: well-formed, realistic and broken, by kind.

They are drawn from a seed, so that only the values of the published functions have to be kept. `record_published.py`
makes those; `test_published.py` compares them.
"""

# ruff: noqa: PLR0911, PLR0912 - a kind a line

import json
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

SIDE = 840
"""Of the frame in which Seg-Zero and VisionReasoner give coordinates."""
MASK_SIDE = 64
"""Of the images of Seg-R1 here; its functions know no size."""

WELL_FORMED, REALISTIC, BROKEN = "well-formed", "realistic", "broken"

THOUGHTS = (
    "The cup stands on the left.",
    "Two dogs are in the grass. The request means the one that lies down.",
    "I compare the people. The tall one is nearest.\nSo it is the person on the right.",
    "There is one.",
    "It is there. It is there. It is there. It is on the left of it. It is on the left of it.",
    "",
)
DECIMALS = "It is at 12.5 and 40.5 or 7.5 of the width."


@dataclass(frozen=True)
class Case:
    """One completion and what is true."""

    group: str
    kind: str
    completion: str
    truth: Any
    """Seg-Zero: box and two points; VisionReasoner: a list of them with one point; Seg-R1: a box of true pixels."""


@dataclass
class Object:
    box: list[Any]
    points: list[list[Any]]


@cache
def completions(system: str) -> list[Case]:
    """Those of ``seg-zero``, ``vision-reasoner``, ``seg-r1`` or ``seg-r1-points``, always the same."""
    rng = random.Random(f"published {system}")
    make = {"seg-zero": _SegZero, "vision-reasoner": _VisionReasoner}.get(system)
    maker = make(rng) if make else _SegR1(rng, boxes=system == "seg-r1")
    groups = {WELL_FORMED: maker.well_formed, REALISTIC: maker.realistic, BROKEN: maker.broken}
    return [
        maker.case(group, kind)
        for group, kinds in groups.items()
        for kind in kinds
        for _ in range(1000 // len(kinds) + 1)
    ]


def painted(box, points, labels) -> np.ndarray:
    """What the stand-in of a segmenter makes of a prompt: the box, with a square added or taken away at each point."""
    mask = np.zeros((MASK_SIDE, MASK_SIDE), dtype=bool)
    if box is not None:
        left, right = sorted((int(box[0]), int(box[2])))
        top, bottom = sorted((int(box[1]), int(box[3])))
        mask[top : bottom + 1, left : right + 1] = True
    for point, label in zip(points or (), labels or (), strict=True):
        x, y = (min(int(value), 2 * MASK_SIDE) for value in point)
        mask[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4] = label > 0
    return mask


class _Maker:
    """What the systems have in common: an answer, how it is written, and what goes wrong with it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def case(self, group: str, kind: str) -> Case:
        truth, objects = self.drawn(kind)
        return Case(group, kind, self.written(kind, objects), truth)

    def near(self, value: int, most: int, side: int = SIDE) -> int:
        return min(max(value + self.rng.randint(-most, most), 0), side)

    def thought(self) -> str:
        return self.rng.choice(THOUGHTS)

    def draw_object(self) -> tuple[Object, Object]:
        """A true object and a predicted one, which may be near or far."""
        rng = self.rng
        x, y = rng.randint(0, 600), rng.randint(0, 600)
        box = [x, y, x + rng.randint(20, 240), y + rng.randint(20, 240)]
        true = Object(box, [self.point_in(box), self.point_in(box)])
        most = rng.choice((0, 4, 12, 25, 60, 300))
        corners = [self.near(value, most) for value in box]
        pred_box = [*map(min, corners[:2], corners[2:]), *map(max, corners[:2], corners[2:])]
        points = [
            self.point_in(pred_box) if rng.random() < 0.8 else self.point_in([0, 0, SIDE, SIDE]) for _ in range(2)
        ]
        if rng.random() < 0.5:
            points = [[min(max(v + rng.randint(-9, 9), 0), SIDE) for v in point] for point in true.points]
        return true, Object(pred_box, points)

    def point_in(self, box: list[int]) -> list[int]:
        return [self.rng.randint(box[0], box[2]), self.rng.randint(box[1], box[3])]

    def broken_text(self, kind: str, text: str) -> str:
        rng = self.rng
        if kind == "cut off":
            return text[: rng.randrange(len(text))]
        if kind == "begun late":
            return text[rng.randrange(1, len(text)) :]
        if kind == "characters missing":
            gone = set(rng.sample(range(len(text)), rng.randint(1, 3)))
            return "".join(c for at, c in enumerate(text) if at not in gone)
        if kind == "characters doubled":
            at = rng.randrange(len(text))
            return text[: at + 1] + text[at:]
        if kind == "characters replaced":
            at = rng.randrange(len(text))
            return text[:at] + rng.choice('x0-,.[]{}<>"/ \n٣é') + text[at + 1 :]
        if kind == "pieces exchanged":
            a, b, c = sorted(rng.sample(range(len(text) + 1), 3))
            return text[:a] + text[b:c] + text[a:b] + text[c:]
        if kind == "no text":
            return rng.choice(("", " ", "\n\n"))
        if kind == "words alone":
            return rng.choice(
                ("I cannot see it.", "The cup is at [10, 20].", "{}", "[]", "<answer>", "None", "{{{{", "}{")
            )
        raise KeyError(kind)


BROKEN_TEXT = (
    "cut off",
    "begun late",
    "characters missing",
    "characters doubled",
    "characters replaced",
    "pieces exchanged",
    "no text",
    "words alone",
)

_STRANGE = (
    "null",
    "true",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "[]",
    "{}",
    '""',
    '"a"',
    "1" * 30,
    "[1, 2]",
    '"12"',
)

_AROUND = {
    "plain": "<think>{t}</think><answer>{a}</answer>",
    "white space between the tags": "<think>{t}</think>\n \n<answer>{a}</answer>",
    "white space in the tags": "<think> {t}\n</think>\n<answer>\n{a}\n</answer>",
    "white space around the completion": "\n<think>{t}</think><answer>{a}</answer>",
    "a newline at the end": "<think>{t}</think><answer>{a}</answer>\n",
    "words before the thinking": "Sure, here it is. <think>{t}</think><answer>{a}</answer>",
    "words after the answer": "<think>{t}</think><answer>{a}</answer> I hope this helps.",
    "words between the tags": "<think>{t}</think> So: <answer>{a}</answer>",
    "words in the answer": "<think>{t}</think><answer>The object is {a}.</answer>",
    "a code fence in the answer": "<think>{t}</think><answer>```json\n{a}\n```</answer>",
    "a code fence without tags": "```json\n{a}\n```",
    "no thinking": "<answer>{a}</answer>",
    "no answer tag": "<think>{t}</think>{a}",
    "the answer is not closed": "<think>{t}</think><answer>{a}",
    "the thinking is not closed": "<think>{t}<answer>{a}</answer>",
    "thinking after the answer": "<answer>{a}</answer><think>{t}</think>",
    "two thoughts": "<think>{t}</think><think>{t}</think><answer>{a}</answer>",
    "<think> in the thinking": "<think>Well. <think>{t}</think><answer>{a}</answer>",
    "two answers": "<think>{t}</think><answer>{a}</answer><answer>{a}</answer>",
    "an answer in the thinking": "<think>{t} <answer>{a}</answer></think><answer>{a}</answer>",
    "JSON in the thinking": '<think>{t} Perhaps {{"a": 1}}.</think><answer>{a}</answer>',
    "a space in </think >": "<think>{t}</think ><answer>{a}</answer>",
    "capitals in the tags": "<Think>{t}</Think><Answer>{a}</Answer>",
    "nothing there": "<think>{t}</think><answer>[]</answer>",
}

_VALUES = {
    "decimals": lambda value, rng: round(value + rng.random(), 2),
    "decimals that are whole": lambda value, rng: float(value),
    "beyond the frame": lambda value, rng: 2 * value,
    "negative coordinates": lambda value, rng: value - 300,
    "numbers as strings": lambda value, rng: str(value),
}


class _Json(_Maker):
    """Answers in JSON between tags."""

    well_formed = ("plain", "white space between the tags", "white space in the tags")

    @property
    def realistic(self):
        around = [kind for kind in _AROUND if kind not in self.well_formed]
        return (*around, *_VALUES, *_LISTS, *self.own)

    broken = (*BROKEN_TEXT, "a strange value", "a strange list")

    def written(self, kind, objects):
        rng = self.rng
        if kind in _VALUES:
            change = _VALUES[kind]
            objects = [
                Object([change(v, rng) for v in o.box], [[change(v, rng) for v in p] for p in o.points])
                for o in objects
            ]
        for each in objects:
            self.bend(kind, each)
        value = self.value(kind, objects)
        answer = json.dumps(value, separators=(",", ":") if kind == "JSON compact" else None)
        if kind == "single quotes":
            answer = answer.replace('"', "'")
        if kind == "a comma at the end":
            answer = f"{answer[:-1]},{answer[-1]}"
        if kind == "a comment":
            answer = answer[:-1] + " // done\n" + answer[-1]
        if kind in ("a strange value", "a strange list"):
            numbers = [at for at, c in enumerate(answer) if c == ("[" if kind == "a strange list" else ",")]
            at = rng.choice(numbers)
            end = min(i for i in range(at + 1, len(answer)) if answer[i] in ",]}")
            answer = f"{answer[: at + 1]}{rng.choice(_STRANGE)}{answer[end:]}"
        text = _AROUND.get(kind, rng.choice([_AROUND[name] for name in self.well_formed])).format(
            t=DECIMALS if kind == "decimals in the thinking" else self.thought(), a=answer
        )
        return self.broken_text(kind, text) if kind in BROKEN_TEXT else text

    def bend(self, kind, each):
        rng = self.rng
        if kind == "a point in two brackets":
            each.points = [[point] for point in each.points]
        if kind == "three numbers in a point":
            each.points = [[*point, 1] for point in each.points]
        if kind == "one number in a point":
            each.points = [point[:1] for point in each.points]
        if kind == "five numbers in a box":
            each.box = [*each.box, 7]
        if kind == "three numbers in a box":
            each.box = each.box[:3]
        if kind == "a box in two brackets":
            each.box = [each.box]
        if kind == "a point less than a pixel outside its box":
            each.points = [[each.box[2] + 0.4, point[1]] for point in each.points]
        if kind == "a reversed box":
            each.box = [*each.box[2:], *each.box[:2]] if rng.random() < 0.5 else [each.box[i] for i in (0, 3, 2, 1)]


_LISTS = (
    "a point in two brackets",
    "three numbers in a point",
    "one number in a point",
    "five numbers in a box",
    "three numbers in a box",
    "a box in two brackets",
    "a reversed box",
    "a point less than a pixel outside its box",
    "single quotes",
    "a comma at the end",
    "a comment",
    "JSON compact",
    "decimals in the thinking",
    "another key",
    "a key twice",
)


class _SegZero(_Json):
    own = (
        "a list of one object",
        "a list of two objects",
        "an object within the object",
        "soft keys with points",
        "soft keys with point",
        "keys in another order",
        "a point is missing",
        "three points",
        "the box is missing",
        "a box one pixel wide",
    )

    def drawn(self, kind):
        true, pred = self.draw_object()
        if kind == "a box one pixel wide":
            true.box[2] = true.box[0]
            true.points = [self.point_in(true.box) for _ in range(2)]
            pred = Object(list(true.box), [list(point) for point in true.points])
        return {"box": list(true.box), "points": [list(p) for p in true.points]}, [pred]

    def value(self, kind, objects):
        (one,) = objects
        box, (first, second) = one.box, one.points
        value = {"bbox": box, "points_1": first, "points_2": second}
        changed = {
            "a list of one object": [value],
            "a list of two objects": [value, value],
            "an object within the object": {"object": value},
            "soft keys with points": {"bbox_2d": box, "Points_a": first, "points_b": second},
            "soft keys with point": {"bbox": box, "point_1": first, "point_2": second},
            "keys in another order": {"points_2": second, "bbox": box, "points_1": first},
            "a point is missing": {"bbox": box, "points_1": first},
            "three points": {**value, "points_3": [10, 10]},
            "the box is missing": {"points_1": first, "points_2": second},
            "another key": {"label": "cup", **value, "confidence": 0.9},
        }
        return changed.get(kind, value)

    def written(self, kind, objects):
        text = super().written(kind, objects)
        return text.replace('{"bbox": ', '{"bbox": [1, 2, 3, 4], "bbox": ', 1) if kind == "a key twice" else text


class _VisionReasoner(_Json):
    own = (
        "one object without a list",
        "a list in a list",
        "boxes without points",
        "a point for some boxes",
        "boxes and labels",
        "keys of Seg-Zero",
        "numbers in place of objects",
        "more than 120 objects",
        "something in place of the list",
    )

    def drawn(self, kind):
        rng = self.rng
        pairs = [
            self.draw_object() for _ in range(130 if kind == "more than 120 objects" else rng.choice((1, 1, 2, 3, 6)))
        ]
        true = [pair[0] for pair in pairs]
        preds = [pair[1] for pair in pairs]
        if rng.random() < 0.3:
            preds.append(self.draw_object()[1])
        if rng.random() < 0.3 and len(preds) > 1:
            preds.pop(rng.randrange(len(preds)))
        rng.shuffle(preds)
        truth = [{"bbox_2d": list(o.box), "point_2d": list(o.points[0])} for o in true]
        return truth, [Object(o.box, o.points[:1]) for o in preds]

    def value(self, kind, objects):
        rng = self.rng
        value = [{"bbox_2d": o.box, "point_2d": o.points[0]} for o in objects]
        changed = {
            "one object without a list": value[0],
            "a list in a list": [value],
            "boxes without points": [{"bbox_2d": o.box} for o in objects],
            "a point for some boxes": [*value, {"bbox_2d": [1, 2, 30, 40]}],
            "boxes and labels": [{"bbox_2d": o.box, "label": "cup"} for o in objects],
            "keys of Seg-Zero": [{"bbox": o.box, "points_1": o.points[0]} for o in objects],
            "numbers in place of objects": [*value, *objects[0].box],
            "another key": [{**each, "label": "cup"} for each in value],
            "something in place of the list": rng.choice(
                (7, "bbox_2d", None, True, {"bbox_2d": 1}, {"a": value}, ["bbox_2d"])
            ),
        }
        return changed.get(kind, value)

    def written(self, kind, objects):
        text = super().written(kind, objects)
        return (
            text.replace('{"bbox_2d": ', '{"bbox_2d": [1, 2, 3, 4], "bbox_2d": ', 1) if kind == "a key twice" else text
        )


class _SegR1(_Maker):
    """Answers in tags; those of pre-RL have no boxes."""

    broken = (*BROKEN_TEXT, "a strange number")

    def __init__(self, rng, boxes):
        super().__init__(rng)
        self.boxes = boxes
        self.well_formed = ("plain", "commas between the tags", "white space between the tags", "spaces in the lists")
        self.realistic = (*_TAGS_REALISTIC, *(_BOXES_REALISTIC if boxes else ()))

    def drawn(self, kind):
        rng, side = self.rng, MASK_SIDE
        if rng.random() < 0.04:
            truth = None
        else:
            x, y = rng.randint(0, 40), rng.randint(0, 40)
            truth = [x, y, x + rng.randint(3, 22), y + rng.randint(3, 22)]
        objects = []
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            box = [self.near(v, rng.choice((0, 3, 20)), side) for v in truth or [9, 9, 30, 40]]
            box = [*map(min, box[:2], box[2:]), *map(max, box[:2], box[2:])]
            objects.append(Object(box, [self.point_in(box) for _ in range(rng.randint(1, 4))]))
        return truth, objects

    def written(self, kind, objects):
        rng = self.rng
        boxes = [o.box for o in objects]
        points = [p for o in objects for p in o.points]
        if rng.random() < 0.4 and self.boxes:
            points.append(self.point_in([0, 0, MASK_SIDE, MASK_SIDE]))
        labels = [int(rng.random() < 0.8) for _ in points]
        change = {
            "decimal points": lambda v: v + 0.5,
            "points beyond the frame": lambda v: v + MASK_SIDE * rng.randint(0, 2),
            "negative points": lambda v: v - 30,
        }.get(kind)
        if change:
            points = [[change(v) for v in p] for p in points]
        change = {
            "decimal boxes": lambda v: v + 0.5,
            "boxes beyond the frame": lambda v: v + MASK_SIDE * rng.randint(0, 1),
        }.get(kind)
        if change:
            boxes = [[change(v) for v in box] for box in boxes]
            boxes = [[*map(min, b[:2], b[2:]), *map(max, b[:2], b[2:])] for b in boxes]
        if kind == "a reversed box":
            boxes[0] = [*boxes[0][2:], *boxes[0][:2]]
            boxes[0][0] += 1  # reversed even where it was one pixel wide
        if kind == "a label of 2 or more":
            labels[rng.randrange(len(labels))] = rng.choice((2, 3, 7))
        if kind == "a label too many":
            labels.append(1)
        if kind == "a label too few":
            labels.pop()
        if kind == "no points in the list":
            points, labels = [], []
        if kind == "boxes in one list":
            boxes = [[*boxes[0]], [*boxes[-1]]]
        comma = ", " if kind == "spaces in the lists" else ","
        dump = lambda value: json.dumps(value, separators=(comma, ":"))  # noqa: E731
        in_points, in_labels = dump(points), dump(labels)
        if kind == "spaces in the lists":
            in_points = f" {in_points.replace('[[', '[ [ ').replace(']]', ' ] ]')} "
        if kind == "a comma at the end of the points":
            in_points = f"{in_points[:-1]},]"
        if kind == "a comma at the end of the labels":
            in_labels = f"{in_labels[:-1]}, ]"
        if kind == "no commas between points":
            in_points = in_points.replace("],[", "] [")
        if kind == "no commas between labels":
            in_labels = in_labels.replace(",", " ")
        if kind == "zeros before a number":
            in_points = f"[[0{in_points[2:]}"
        if kind == "points without outer brackets":
            in_points = in_points[1:-1]
        if kind == "labels as words":
            in_labels = in_labels.replace("1", '"1"')
        if kind == "a strange number":
            at = rng.choice([i for i, c in enumerate(in_points) if c == ","] + [1])
            in_points = (
                in_points[: at + 1] + rng.choice(("1e9", "٣", "1_0", "-4", "", "0x1F", "9" * 25)) + in_points[at + 1 :]
            )
        each_box = [f"<bbox>{dump(box)}</bbox>" for box in boxes] if self.boxes else []
        if kind == "boxes in one list":
            each_box = [f"<bbox>{dump(boxes)}</bbox>"]
        if kind == "a box is not closed":
            each_box[0] = each_box[0].replace("</bbox>", "")
        if kind == "boxes with equals signs":
            each_box = [f"<bbox>x1={b[0]}, y1={b[1]}, x2={b[2]}, y2={b[3]}</bbox>" for b in boxes]
        if kind == "no boxes":
            each_box = []
        tags = ["".join(each_box), f"<points>{in_points}</points>", f"<labels>{in_labels}</labels>"]
        if kind == "points are missing":
            tags[1] = ""
        if kind == "labels are missing":
            tags[2] = ""
        if kind == "a second <points>":
            tags.append("<points>[[1,1]]</points>")
        if kind == "a second <labels>":
            tags.append("<labels>[1]</labels>")
        if kind == "nothing there":
            tags = ["<bbox></bbox>" if self.boxes else "", "<points></points>", "<labels></labels>"]
        if kind == "tags in another order":
            tags.reverse()
        between = {"commas between the tags": ", ", "white space between the tags": " \n"}.get(kind, "")
        think = f"<think>{self.thought()}</think>"
        if kind == "no thinking":
            think = ""
        if kind == "two thoughts":
            think *= 2
        if kind == "the thinking is not closed":
            think = think.replace("</think>", "")
        if kind == "a space in </think >":
            think = think.replace("</think>", "</think >")
        if kind == "tags in the thinking":
            think = "<think>Perhaps <points>[[5,5]]</points><labels>[1]</labels>.</think>"
        if kind == "thinking at the end":
            text = between.join(tags) + think
        else:
            text = think + between + between.join(tag for tag in tags if tag)
        around = {
            "words before": "Sure. {}",
            "words after": "{} That is all.",
            "a code fence": "```\n{}\n```",
            "white space around the completion": "\n{}\n",
            "the end of a turn": "{}<|im_end|>",
        }.get(kind, "{}")
        text = around.format(text)
        if kind == "words between":
            text = text.replace("<points>", " points: <points>")
        if kind == "an answer tag":
            text = text.replace("</think>", "</think><answer>") + "</answer>"
        if kind == "capitals in the tags":
            text = text.replace("points>", "Points>")
        return self.broken_text(kind, text) if kind in BROKEN_TEXT else text


_TAGS_REALISTIC = (
    "decimal points",
    "points beyond the frame",
    "negative points",
    "a label of 2 or more",
    "a label too many",
    "a label too few",
    "no points in the list",
    "a comma at the end of the points",
    "a comma at the end of the labels",
    "no commas between points",
    "no commas between labels",
    "zeros before a number",
    "points without outer brackets",
    "labels as words",
    "points are missing",
    "labels are missing",
    "a second <points>",
    "a second <labels>",
    "nothing there",
    "tags in another order",
    "no thinking",
    "two thoughts",
    "the thinking is not closed",
    "a space in </think >",
    "tags in the thinking",
    "thinking at the end",
    "words before",
    "words after",
    "words between",
    "a code fence",
    "white space around the completion",
    "the end of a turn",
    "an answer tag",
    "capitals in the tags",
)

_BOXES_REALISTIC = (
    "decimal boxes",
    "boxes beyond the frame",
    "a reversed box",
    "boxes in one list",
    "a box is not closed",
    "boxes with equals signs",
    "no boxes",
)
