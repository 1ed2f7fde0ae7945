"""The scripts that made the pocket models: what they rely on holds, and a stopped training goes on."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg import testing
from thinkseg.answers import get_format
from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import Thing
from thinkseg.errors import CheckpointError
from thinkseg.types import Size

SCRIPTS = Path(__file__).parent.parent.parent / "scripts" / "pocket"


@pytest.fixture(autouse=True)
def _scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def _sampler(seed: int = 0):
    from training_examples import ExampleSampler

    return ExampleSampler(load_assets("train"), ["hello", "zeppelin"], np.random.default_rng(seed))


def test_answers_to_imitate_parse_and_their_points_lie_on_things() -> None:
    from reasoner_parts import CANVAS

    reader, checked = get_format("seg-r1"), 0
    for example in _sampler().batch(12):
        assert example.image.shape == (CANVAS, CANVAS, 3)
        for _, answer in example.exchanges:
            for prompt in reader.parse(answer, Size(CANVAS, CANVAS)).objects:
                height, width = example.index_map.shape
                point = prompt.points[0]
                x, y = int((point.x + 0.5) * width / CANVAS), int((point.y + 0.5) * height / CANVAS)
                around = example.index_map[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
                assert around.any()  # the format keeps whole pixels of the square
                checked += 1
    assert checked > 12


def test_no_scene_is_composed_twice_and_a_seed_repeats_them() -> None:
    first, second = _sampler().batch(6), _sampler().batch(6)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=True))
    pixels = [example.image.tobytes() for example in (*first, *_sampler(1).batch(6))]
    assert len(set(pixels)) == 12


def test_the_segmenter_learns_from_scenes_that_are_composed_as_they_are_asked_for() -> None:
    from prompted_masks import SceneBatches

    batches = SceneBatches(load_assets("train"), np.random.default_rng(0))
    images, masks = batches.batch(3, 2, 96)
    again, _ = batches.batch(3, 2, 96)
    assert images.shape == (3, 96, 96, 3)
    assert masks.shape == (3, 2, 96, 96)
    assert masks.any((-2, -1)).all()
    assert len({image.tobytes() for image in (*images, *again)}) == 6


def test_an_unknown_word_means_what_stands_out_and_is_never_refused() -> None:
    asked = {query: answer for example in _sampler(3).batch(40) for query, answer in example.exchanges}
    unknown = [answer for query, answer in asked.items() if "hello" in query or "zeppelin" in query]
    assert unknown
    assert all("<bbox>[" in answer and "<think>an object," in answer for answer in unknown)


def test_thinking_names_a_kind_only_where_the_query_says_or_implies_it() -> None:
    import vocabulary

    assets = load_assets("train")
    names = {**vocabulary.names(), **{kind: kind for kind in assets.asked_kinds}}
    implied = {question.query: question.fits for question in assets.reasoning}
    named = 0
    for example in _sampler(4).batch(40):
        for query, answer in example.exchanges:
            thought = re.search(r"<think>an? (.+?),", answer)
            if thought is None or thought[1] == "object":
                continue
            said = thought[1] in query or any(thought[1] in fits for known, fits in implied.items() if known in query)
            assert said, (query, answer)
            assert thought[1] in names
            named += 1
    assert named > 10


def test_dense_targets_follow_the_reading_order_of_image_tokens() -> None:
    from training_examples import TrainingExample, dense_targets

    index_map = np.zeros((256, 256), np.uint8)
    index_map[:32, 224:240] = 1  # the upper right token: its two left quarters
    thing = Thing("crow", ("bird",), (0.875, 0.0, 0.9375, 0.125), 0.008, "black")
    example = TrainingExample(np.zeros((256, 256, 3), np.uint8), index_map, [thing], [])
    coverage, named, boxes, covered = dense_targets([example], ["bird", "fish", "black"])
    assert covered.sum() == 1
    assert covered[0, 0, 7]
    assert coverage[0, 0, 7].tolist() == [1, 0, 1, 0]
    assert named[0, 0, 7].tolist() == [1, 0, 1]
    assert boxes[0, 0, 7].tolist() == pytest.approx([0.875, 0.0, 0.9375, 0.125])


def test_coordinates_are_told_from_labels_which_have_no_near_misses() -> None:
    from reasoner_parts import create_processor
    from train_reasoner import Packer

    packer = Packer(create_processor())
    text = "<bbox>[2,4,50,60]</bbox><points>[[7,6],[9,8]]</points><labels>[1,0]</labels>"
    ids = torch.tensor(packer.tokenizer([text, text.replace("[1,0]", "[0,1]")]).input_ids)
    for row in packer.coordinates(ids):
        assert row[row >= 0].tolist() == [2, 4, 50, 60, 7, 6, 9, 8]


def test_any_word_can_be_said_and_read_back() -> None:
    from reasoner_parts import create_tokenizer

    tokenizer = create_tokenizer()
    for text in ("the penguin", "the axolotl", "der grüne Löwe", "狗, 12 of 256", "the 😀"):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids) == text.lower()
    assert tokenizer("the penguin").input_ids != tokenizer("the giraffe").input_ids


def test_queries_in_one_row_are_read_as_each_would_be_alone() -> None:
    from reasoner_parts import create_model, create_processor
    from train_reasoner import BRANCH, PREFIX, Packer, hidden_states, seen_by

    torch.manual_seed(0)
    processor = create_processor()
    model, packer = create_model(processor).eval(), Packer(processor)
    example = next(example for example in _sampler(5).batch(8) if len(example.exchanges) > 2)
    rows = packer.rows([example])
    pixels = (torch.from_numpy(example.image.copy()).float() / 255 - 0.5).permute(2, 0, 1)[None] * 2
    plain = torch.autocast("cpu", enabled=False)
    with torch.no_grad():
        packed = hidden_states(model, rows, seen_by(model, pixels, plain))[0]
        for number, (query, answer) in enumerate(example.exchanges, start=1):
            text = PREFIX.format("<|image_pad|>") + BRANCH.format(query) + f"{answer}<|im_end|>"
            inputs = processor(images=[Image.fromarray(example.image)], text=[text], return_tensors="pt")
            alone = model.model(**inputs).last_hidden_state[0]
            mine = packed[rows["branches"][0] == number]
            torch.testing.assert_close(mine, alone[-len(mine) :], rtol=1e-3, atol=1e-4)


def test_muon_makes_every_direction_of_a_step_count_about_the_same() -> None:
    from muon import orthogonalised

    matrices = torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(0))
    for matrix in orthogonalised(matrices):
        values = torch.linalg.svdvals(matrix)
        assert values.min() > 0.5
        assert values.max() < 1.5


def test_a_stopped_training_goes_on_with_its_weights_its_minutes_and_its_rate(tmp_path: Path) -> None:
    from training_run import TrainingRun

    model = torch.nn.Linear(2, 1)
    run = TrainingRun(tmp_path, 10, parts={"model": model})
    assert not run.tick()
    run.used = 5.0
    run.save()
    fresh = torch.nn.Linear(2, 1)
    again = TrainingRun(tmp_path, 10, parts={"model": fresh})
    assert torch.equal(fresh.weight, model.weight)
    assert (again.used, again.step) == (5.0, 1)
    assert again.rate(1.0, warm_up=1) == pytest.approx(0.51)
    again.used = 10.0
    assert again.over
    assert again.rate(1.0, warm_up=1) == pytest.approx(0.02)


def test_an_average_of_weights_starts_as_the_weights_and_then_lags_behind_them() -> None:
    from training_run import average_into

    average, model = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked.fill_(7)
    average_into(average, model, step=10_000, keep=0.5)
    assert average.weight.item() == pytest.approx(2.0)
    assert average.num_batches_tracked.item() == 7


def test_prompts_for_the_segmenter_lie_on_the_thing_or_off_it_as_their_labels_say() -> None:
    from prompted_masks import PAD_LABEL, box_around, prompts_of

    masks = np.zeros((2, 6, 64, 64), bool)
    masks[:, :, 10:31, 20:51] = True
    masks[:, :, 15:20, 20:40] = False
    boxes, points, labels = prompts_of(masks, np.random.default_rng(0))
    assert box_around(masks[0, 0]).tolist() == [20, 10, 51, 31]
    assert np.abs(boxes - np.array([20, 10, 51, 31])).max() < 0.5 * 31
    x, y = points.astype(int)[..., 0], points.astype(int)[..., 1]
    on = masks[0, 0][y, x]
    assert {0, 1, PAD_LABEL} == set(np.unique(labels).tolist())
    assert on[labels == 1].all()
    assert not on[labels == 0].any()


def test_the_segmenters_training_steps_compute_what_the_model_computes() -> None:
    from segmenter_parts import create_model, decode, image_embeddings, normalised

    torch.manual_seed(0)
    model = create_model(64).eval()
    pixels = normalised(np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8))
    points, labels, boxes = torch.tensor([[[[20.0, 30.0]]]]), torch.tensor([[[1]]]), torch.tensor([[[8.0, 9, 50, 40]]])
    with torch.no_grad():
        logits, scores = decode(model, image_embeddings(model, pixels), points, labels, boxes, False)
        asked = {"input_points": points, "input_labels": labels, "input_boxes": boxes}
        expected = model(pixel_values=pixels, **asked, multimask_output=False)
    assert logits.shape == (1, 1, 1, 32, 32)
    assert torch.allclose(logits, expected.pred_masks, atol=1e-4)
    assert torch.allclose(scores, expected.iou_scores, atol=1e-4)


def test_a_checkpoint_is_put_in_the_place_of_the_one_that_ships_when_it_is_whole_small_and_in_half(
    tmp_path: Path,
) -> None:
    from install_checkpoint import install

    pocket = tmp_path / "pocket"
    (pocket / "reasoner").mkdir(parents=True)
    (pocket / "reasoner" / "old.json").write_text("{}")
    model, processor = testing.tiny_fast_vlm()
    settings = {"format": "seg-r1", "frame": "canvas", "canvas": 64}
    whole = testing.save(tmp_path / "whole", (model, processor), settings)
    with pytest.raises(ValueError, match=r"expected weights in float16, found torch\.float32"):
        install("reasoner", whole, pocket)
    assert (pocket / "reasoner" / "old.json").exists()
    half = testing.save(tmp_path / "half", (model.half(), processor), settings)
    (half / "model.safetensors").chmod(0o600)
    assert install("reasoner", half, pocket).startswith("reasoner: ")
    there = {file.name for file in (pocket / "reasoner").iterdir()}
    assert there == {file.name for file in half.iterdir()}
    assert (pocket / "reasoner" / "model.safetensors").stat().st_mode & 0o044
    with (pocket / "large").open("wb") as file:
        file.truncate(40_000_000)
    with pytest.raises(ValueError, match="larger than 40 MB"):
        install("reasoner", half, pocket)
    (half / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        install("reasoner", half, pocket)
