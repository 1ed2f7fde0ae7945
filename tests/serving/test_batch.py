"""What is promised to whoever works through many images: nothing twice, nothing lost, nothing written over."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock, SoftFileLock
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.errors import CheckpointError, ImageError, InputError, ThinkSegError
from thinkseg.models.pipeline import Pipeline
from thinkseg.serving.batch import JobOptions, JobRunner, ModelChoice, Outcome
from thinkseg.serving.claims import Claims
from thinkseg.serving.jobs import Job, list_jobs
from thinkseg.testing import FakeReasoner, FakeSegmenter
from thinkseg.types import Request

ANSWER = "<think>there</think><bbox>[1,1,8,8]</bbox><points>[[4,4]]</points><labels>[1]</labels>"


class Desk:
    """A folder of images, a folder of results, and a count of what the model was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        self.reasoner = FakeReasoner(self.say)
        self.says: Callable[[Request], str] = lambda _: ANSWER
        self.loads = 0

    def say(self, request: Request) -> str:
        return self.says(request)

    def image(self, name: str, grey: int = 0, size: tuple[int, int] = (10, 10)) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (grey, grey, grey)).save(path, "png")
        return path

    def load(self) -> Pipeline:
        self.loads += 1
        return Pipeline(self.reasoner, FakeSegmenter(), get_format("seg-r1"))

    def work(self, *jobs: Job | Path, model: str | None = "m", **options: int | bool) -> list[Outcome]:
        named = [job if isinstance(job, Job) else Job(job, "the ball", job.stem) for job in jobs]
        runner = JobRunner(self.out, self.models(model), JobOptions(**options))  # type: ignore[arg-type]
        return list(runner.run(named))

    def models(self, name: str | None = "m") -> ModelChoice:
        return ModelChoice(self.load, None if name is None else {"name": name})

    @property
    def asked(self) -> int:
        return len(self.reasoner.requests)

    @property
    def results(self) -> dict[str, str]:
        """Name of each result, and its image's file."""
        return {
            path.relative_to(self.out).with_suffix("").as_posix(): json.loads(path.read_text())["image"]
            for path in self.out.rglob("*.json")
        }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_the_second_time_everything_is_kept_and_no_model_is_loaded(desk: Desk) -> None:
    images = [desk.image(f"{n}.png", n) for n in range(3)]
    first = desk.work(*images, batch_size=2)
    assert [outcome.kept for outcome in first] == [False] * 3
    assert desk.reasoner.batches == [2, 1]
    second = desk.work(*images)
    assert [outcome.kept for outcome in second] == [True] * 3
    assert [outcome.record for outcome in second] == [outcome.record for outcome in first]
    assert (desk.asked, desk.loads) == (3, 1)


def test_work_that_was_stopped_goes_on_where_it_was(desk: Desk) -> None:
    images = [desk.image(f"{n}.png", n) for n in range(5)]
    jobs = [Job(path, "the ball", path.stem) for path in images]
    running = JobRunner(desk.out, desk.models(), JobOptions(batch_size=1)).run(jobs)
    next(running), next(running)
    del running
    (desk.out / "1.json").unlink()  # as if killed before the record was written, which is last
    assert [outcome.kept for outcome in desk.work(*jobs)] == [True, False, False, False, False]
    assert desk.asked == 2 + 4


@pytest.mark.parametrize("change", ["image", "query", "model"])
def test_another_image_query_or_model_makes_a_result_beside_the_old_one(desk: Desk, change: str) -> None:
    image = desk.image("a.png")
    [before] = desk.work(image)
    query = "the goal" if change == "query" else "the ball"
    if change == "image":
        desk.image("a.png", 200)
    [after] = desk.work(Job(image, query, "a"), model="n" if change == "model" else "m")
    assert not after.kept
    assert desk.results == {"a": str(image), "a-2": str(image)}
    assert json.loads((desk.out / "a.json").read_text()) == before.record


def test_overwriting_makes_results_of_the_same_image_and_query_anew_and_leaves_others_alone(desk: Desk) -> None:
    one, other = desk.image("x/a.png", 1), desk.image("y/a.png", 2)
    desk.work(one, other)
    [after] = desk.work(Job(one, "the goal", "a"), overwrite=True)
    assert not after.kept
    assert desk.results == {"a": str(one), "a-2": str(other), "a-3": str(one)}
    assert json.loads((desk.out / "a.json").read_text())["query"] == "the ball"
    assert json.loads((desk.out / "a-3.json").read_text())["query"] == "the goal"
    before = {path.name: path.read_bytes() for path in desk.out.glob("a[.]*")}
    desk.image("x/a.png", 77)
    [after] = desk.work(Job(one, "the goal", "a"), overwrite=True)  # an image that has changed, known by its place
    [other_after] = desk.work(other, overwrite=True)
    assert [after.files[-1].name, other_after.files[-1].name] == ["a-3.json", "a-2.json"]
    assert desk.results == {"a": str(one), "a-2": str(other), "a-3": str(one)}
    assert {path.name: path.read_bytes() for path in desk.out.glob("a[.]*")} == before
    assert desk.asked == 5


def test_images_of_one_name_from_several_folders_and_calls_keep_their_results(desk: Desk) -> None:
    one, two = desk.image("x/a.png", 1), desk.image("y/a.png", 2)
    desk.work(one)
    desk.work(two)
    desk.work(two, one)
    assert desk.results == {"a": str(one), "a-2": str(two)}
    assert desk.asked == 2


def test_a_folders_tree_is_kept_and_so_is_every_question_of_a_table(desk: Desk) -> None:
    one, two = desk.image("shots/a.png", 1), desk.image("shots/deep/a.png", 2)
    desk.work(*list_jobs([str(desk.folder / "shots")], "x"))
    assert desk.results == {"a": str(one), "deep/a": str(two)}
    table = desk.folder / "asked.csv"
    table.write_text("image,query\nshots/a.png,the dog\nshots/a.png,the cat\nshots/deep/a.png,the dog\n")
    desk.work(*list_jobs([str(table)]))
    assert desk.results == {
        **{"a": str(one), "deep/a": str(two)},
        **{"shots/a": str(one), "shots/a-2": str(one), "shots/deep/a": str(two)},
    }


def test_the_same_image_in_a_batch_is_encoded_once(desk: Desk) -> None:
    image = desk.image("a.png")
    segmenter = FakeSegmenter()
    pipeline = Pipeline(desk.reasoner, segmenter, get_format("seg-r1"))
    jobs = [Job(image, query, "a") for query in ("the dog", "the cat")]
    assert len(list(JobRunner(desk.out, ModelChoice(lambda: pipeline, None)).run(jobs))) == 2
    assert len(segmenter.encoded) == 1


def test_annotations_that_lie_there_are_not_written_over(desk: Desk) -> None:
    image = desk.image("out/a.png")
    (desk.out / "a.json").write_text('{"shapes": []}')
    for overwrite in (False, True):
        desk.work(image, overwrite=overwrite)
        assert (desk.out / "a.json").read_text() == '{"shapes": []}'
        assert (desk.out / "a-2.json").exists()
    assert not (desk.out / "a-3.json").exists()


def test_odd_names_write_below_the_folder_and_stop_nothing(desk: Desk) -> None:
    images = [desk.image(name, n) for n, name in enumerate(("..png", "...png", f"{'a' * 251}.png", f"{'图' * 83}.png"))]
    before = set(desk.folder.iterdir())
    assert [outcome.error for outcome in desk.work(*images, index=True, instances=True)] == [None] * 4
    assert set(desk.folder.iterdir()) - before == {desk.out}
    assert len(list(desk.out.iterdir())) == 4 * 5
    assert sorted(desk.results.values()) == sorted(map(str, images))
    assert [outcome.kept for outcome in desk.work(*images)] == [True] * 4


def test_a_bad_image_does_not_stop_the_rest(desk: Desk) -> None:
    good = [desk.image(f"{n}.png", n) for n in range(2)]
    bad = desk.folder / "bad.png"
    bad.write_bytes(good[0].read_bytes()[:40])
    outcomes = desk.work(good[0], bad, desk.folder / "gone.png", good[1])
    assert [outcome.error is None for outcome in outcomes] == [True, False, False, True]
    assert "bad.png" in str(outcomes[1].error)
    assert "gone.png" in str(outcomes[2].error)
    assert set(desk.results) == {"0", "1"}


def test_only_bad_images_load_no_model(desk: Desk) -> None:
    assert desk.work(desk.folder / "gone.png")[0].error is not None
    assert desk.loads == 0


def test_an_image_that_the_model_refuses_does_not_stop_its_batch(desk: Desk) -> None:
    def refuse_wide_ones(request: Request) -> str:
        if request.image.width > 100:
            raise ImageError("too wide")
        return ANSWER

    desk.says = refuse_wide_ones
    images = [desk.image("a.png", 1), desk.image("b.png", size=(300, 4)), desk.image("c.png", 3)]
    outcomes = desk.work(*images)
    assert [str(outcome.error) for outcome in outcomes] == ["None", "too wide", "None"]
    assert set(desk.results) == {"a", "c"}


def test_a_model_that_cannot_be_asked_stops_the_work(desk: Desk) -> None:
    def fail(_: Request) -> str:
        raise CheckpointError("no chat template")

    desk.says = fail
    with pytest.raises(CheckpointError):
        desk.work(desk.image("a.png"))


def test_images_that_are_asked_for_later_are_drawn_without_a_model(desk: Desk) -> None:
    image = desk.image("a.png")
    desk.work(image)
    (desk.out / "a.overlay.png").unlink()
    [outcome] = desk.work(image, index=True, instances=True)
    assert outcome.kept
    assert [path.name for path in outcome.files] == [
        "a.mask.png",
        "a.overlay.png",
        "a.index.png",
        "a.object-1.png",
        "a.json",
    ]
    assert all(path.exists() for path in outcome.files)
    assert desk.loads == 1


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        JobOptions(batch_size=0)


def test_a_copy_of_the_results_elsewhere_can_be_gone_on_with(desk: Desk) -> None:
    image = desk.image("a.png")
    desk.work(image)
    shutil.copytree(desk.folder, desk.folder / "copy")
    copied = Desk(desk.folder / "copy")
    assert copied.work(copied.folder / "a.png")[0].kept


def meanwhile(desk: Desk, other: Desk, image: Path) -> list[Outcome]:
    """Let another call work on an image while the model of the first is asked; what comes of it is in the list."""
    second: list[Outcome] = []

    def ask_meanwhile(_: Request) -> str:
        if not second:
            second.append(Outcome(Job(image, "the ball", "a")))
            second[0] = other.work(image)[0]
        return ANSWER

    desk.says = ask_meanwhile
    return second


def test_two_calls_at_once_lose_nothing_where_names_are_equal(desk: Desk) -> None:
    """Each chose the free name, and the one that wrote last replaced the other's result."""
    one, other = desk.image("x/a.png", 1), desk.image("y/a.png", 2)
    second = meanwhile(desk, desk, other)
    [first] = desk.work(one)
    assert first.files[-1].name == "a.json"
    assert second[0].files[-1].name == "a-2.json"
    assert desk.results == {"a": str(one), "a-2": str(other)}
    for outcome in (first, second[0]):
        assert all(path.exists() for path in outcome.files)
    assert [outcome.kept for outcome in desk.work(one, other)] == [True, True]


@pytest.mark.parametrize("spelling", ["out/../out", "link", "inside"])
def test_calls_that_name_one_folder_in_two_ways_lose_nothing_either(desk: Desk, spelling: str) -> None:
    """Names were claimed as they were spelled: "out" and "/data/out" were two, and half of the results were lost."""
    desk.out.mkdir()
    (desk.folder / "link").symlink_to("out")
    one, other = desk.image("x/a.png", 1), desk.image("y/a.png", 2)
    colleague = Desk(desk.folder)
    colleague.out = desk.folder / spelling
    first_job = Job(one, "the ball", "a")
    if spelling == "inside":  # a folder of results below the other's
        colleague.out, first_job = desk.out / "below", Job(one, "the ball", "below/a")
    second = meanwhile(desk, colleague, other)
    [first] = desk.work(first_job)
    assert first.files[-1].name == "a.json"
    assert second[0].files[-1].name == "a-2.json"
    assert sorted(desk.results.values()) == [str(one), str(other)]


class NoLock(FileLock):  # type: ignore[misc]
    """The lock of a file system that has none."""

    def _acquire(self) -> None:
        raise OSError(errno.ENOTSUP, "not supported")


def test_where_a_file_system_has_no_locks_a_name_is_claimed_by_a_file(tmp_path: Path) -> None:
    one, other = Claims((NoLock, SoftFileLock)), Claims((NoLock, SoftFileLock))
    assert one.claim(tmp_path / "a")
    assert not other.claim(tmp_path / "A")
    assert other.claim(tmp_path / "b")
    one.release()
    assert other.claim(tmp_path / "a")


def test_claims_of_a_call_that_ends_are_given_free(desk: Desk) -> None:
    desk.work(desk.image("a.png"))
    assert list(desk.out.glob(".*")) == []


def test_a_full_disk_ends_the_work_with_a_sentence_and_keeps_what_is_there(desk: Desk) -> None:
    images = [desk.image(f"{n}.png", n) for n in range(2)]
    desk.work(images[0])
    (desk.out / "1.mask.png.part").mkdir()  # stands for a file that cannot be written
    with pytest.raises(ThinkSegError, match="a result cannot be written into"):
        desk.work(*images)
    assert set(desk.results) == {"0"}
