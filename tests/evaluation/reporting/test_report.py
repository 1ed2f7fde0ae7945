import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from thinkseg.evaluation.records import PredictionRecord, RunHeader
from thinkseg.evaluation.reporting.report import ReportContext, write_report
from thinkseg.evaluation.run import Run
from thinkseg.types import Failure, Sample

ATTACK = '<script>alert("x")</script><img src="https://example.org/x.png" onerror="alert(1)"> & "quotes"'


class Reader(HTMLParser):
    """What a browser would see: elements, whatever an attribute loads, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster", "action"):
                self.loads.append(value or "")
            if name in ("href", "xlink:href"):
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def create_story(
    create_samples: Callable[[int], Sequence[Sample]], create_record: Callable[..., PredictionRecord]
) -> Callable[..., ReportContext]:
    def create(paired: bool = True, count: int = 30, gain: float = 0.2) -> ReportContext:
        samples = create_samples(count)
        tasks = [samples[index].task for index in range(count)]
        before = [create_record(index, 0.3, tasks[index], "before") for index in range(count)]
        after = [
            create_record(index, 0.3 + gain + 0.01 * (index % 7 - 3), tasks[index], ATTACK) for index in range(count)
        ]
        after[4] = create_record(4, 0.0, tasks[4], ATTACK, failure=Failure.MALFORMED_ANSWER)
        runs = [
            Run.from_records(RunHeader("squares", ATTACK, "", "fake", 7), records, name=name)
            for name, records in (("before", before), ("after", after))
        ]
        return ReportContext(
            title="A test",
            runs=(runs[0], runs[1]) if paired else (runs[1],),
            samples=samples,
            command=f"thinkseg evaluate '{ATTACK}'",
            curves={"reward": ([1, 2, 3], [0.1, None, 0.3])} if paired else {},
            machine={"cpus": 2, "device": "cpu"},
            seconds={"train": 83.4},
            settings={"steps": 3},
        )

    return create


def test_a_page_loads_nothing_and_runs_nothing(create_story: Callable[..., ReportContext], tmp_path: Path) -> None:
    write_report(tmp_path, create_story())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    reader = read(page)
    assert not {"script", "iframe", "link", "object", "embed", "base", "form"}.intersection(reader.tags)
    assert reader.loads
    assert all(address.startswith("data:image/webp;base64,") for address in reader.loads)
    assert all(address.startswith("#") for address in reader.links)
    assert reader.handlers == []
    assert not re.search(r"@import|url\(", page)


def test_what_a_model_wrote_is_shown_letter_by_letter_and_never_as_markup(
    create_story: Callable[..., ReportContext], tmp_path: Path
) -> None:
    write_report(tmp_path, create_story())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert 'onerror="' not in page
    assert ATTACK in read(page).text


def test_every_link_within_the_page_has_its_target(create_story: Callable[..., ReportContext], tmp_path: Path) -> None:
    for paired in (True, False):
        write_report(tmp_path, create_story(paired))
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        for link in read(page).links:
            assert f'id="{link[1:]}"' in page


def test_the_json_has_the_gain_with_its_interval_and_all_that_repeats_the_run(
    create_story: Callable[..., ReportContext], tmp_path: Path
) -> None:
    returned = write_report(tmp_path, create_story())
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content == json.loads(json.dumps(returned))
    gain = content["gain"]
    assert set(gain) == {"mean", "low", "high", "n"}
    assert gain["low"] < gain["mean"] < gain["high"]
    assert gain["low"] > 0
    assert gain["n"] == 30
    assert set(content["gain_by_task"]) == {"salient", "nothing", "referring"}
    assert content["after"]["metrics"]["giou"]["value"] - content["before"]["metrics"]["giou"][
        "value"
    ] == pytest.approx(gain["mean"])
    assert content["seed"] == 7
    assert content["machine"] == {"cpus": 2, "device": "cpu"}
    assert content["seconds"] == {"train": 83.4}
    assert {"python", "thinkseg", "numpy"} <= set(content["versions"])
    assert content["command"].startswith("thinkseg evaluate")


def test_a_gain_that_could_be_luck_is_said_to_be_undecided(
    create_story: Callable[..., ReportContext], tmp_path: Path
) -> None:
    content = write_report(tmp_path, create_story(gain=0.01))
    assert content["gain"]["low"] <= 0 <= content["gain"]["high"]
    assert "No change of mean IoU could be shown" in read((tmp_path / "report.html").read_text(encoding="utf-8")).text


def test_a_single_run_has_its_numbers_at_the_top_and_no_gain(
    create_story: Callable[..., ReportContext], tmp_path: Path
) -> None:
    content = write_report(tmp_path, create_story(paired=False))
    assert "gain" not in content
    assert content["metrics"]["giou"]["count"] == 30
    text = read((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Gain in mean IoU" not in text
    assert "drawn at random" in text


def test_parse_failures_are_listed_with_their_text_and_reason(
    create_story: Callable[..., ReportContext], tmp_path: Path
) -> None:
    write_report(tmp_path, create_story())
    text = read((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "after: 1 of 30" in text
    assert "before: 0 of 30" in text
    assert "there is no box" in text


def test_only_the_samples_that_are_shown_are_made_again(
    create_story: Callable[..., ReportContext], tmp_path: Path
) -> None:
    context = create_story(count=90)
    context.samples.asked.clear()  # type: ignore[attr-defined]
    write_report(tmp_path, context)
    # At most six of each of the three tasks, and the few that the type checker of the tests looks at.
    assert 3 <= len(set(context.samples.asked)) <= 40  # type: ignore[attr-defined]
