"""The scripts that made the pocket models: what they rely on holds, and a stopped training goes on."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thinkseg.answers import get_format
from thinkseg.data.synthetic.assets import load_assets
from thinkseg.data.synthetic.queries import Thing
from thinkseg.types import Size

SCRIPTS = Path(__file__).parent.parent.parent / "scripts" / "pocket"


@pytest.fixture(autouse=True)
def _scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.fixture(scope="module")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path.insert(0, str(SCRIPTS))
    try:
        from write_scenes import create_files, join_parts, write_part
    finally:
        sys.path.remove(str(SCRIPTS))
    folder = tmp_path_factory.mktemp("scenes")
    create_files(folder, count=8, size=256)
    write_part(folder, 0, 1, count=8, size=256, seed=1)
    join_parts(folder, parts=1)
    return folder


def _sampler(folder: Path):
    from scene_files import SceneFiles
    from training_examples import ExampleSampler, words_to_learn

    assets = load_assets("train")
    words = words_to_learn(assets)
    return ExampleSampler(SceneFiles(folder), assets, words, np.random.default_rng(0)), words


def test_answers_to_imitate_parse_and_their_points_lie_on_things(scene_folder: Path) -> None:
    sampler, _ = _sampler(scene_folder)
    reader, checked = get_format("seg-r1"), 0
    for line in sampler.scenes.lines:
        for wh in ((112, 112), (140, 84)):
            example = sampler.example(line, wh)
            if example is None:
                continue
            assert example.image.shape == (wh[1], wh[0], 3)
            for _, answer in example.exchanges:
                for prompt in reader.parse(answer, Size(*wh)).objects:
                    height, width = example.index_map.shape
                    point = prompt.points[0]
                    x, y = int((point.x + 0.5) * width / wh[0]), int((point.y + 0.5) * height / wh[1])
                    around = example.index_map[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
                    assert around.any()  # the format keeps whole pixels of the small image
                    checked += 1
    assert checked > 5


def test_dense_targets_follow_the_reading_order_of_merged_tokens(scene_folder: Path) -> None:
    from training_examples import TrainingExample, dense_targets

    index_map = np.zeros((112, 112), np.uint8)
    index_map[:28, 84:98] = 1  # the upper right token: its two left patches
    thing = Thing("crow", ("bird",), (0.75, 0.0, 0.875, 0.25), 0.03, "black")
    example = TrainingExample(np.zeros((112, 112, 3), np.uint8), index_map, [thing], [])
    coverage, named, boxes, covered = dense_targets([example], (112, 112), ["bird", "fish", "black"])
    assert covered.sum() == 1
    assert covered[0, 0, 3]
    assert coverage[0, 0, 3].tolist() == [1, 0, 1, 0]
    assert named[0, 0, 3].tolist() == [1, 0, 1]
    assert boxes[0, 0, 3].tolist() == pytest.approx([0.75, 0.0, 0.875, 0.25])


def test_coordinates_are_told_from_labels_which_have_no_near_misses() -> None:
    from reasoner_parts import create_model, create_processor
    from train_reasoner import Imitation

    processor = create_processor()
    imitation = Imitation(processor, create_model(processor))
    text = "<bbox>[2,4,50,60]</bbox><points>[[7,6],[9,8]]</points><labels>[1,0]</labels>"
    ids = torch.tensor(processor.tokenizer([text, text.replace("[1,0]", "[0,1]")]).input_ids)
    for row in imitation.coordinates(ids):
        assert row[row >= 0].tolist() == [2, 4, 50, 60, 7, 6, 9, 8]


def test_the_quick_layout_of_patches_is_the_processors_own() -> None:
    from reasoner_parts import create_processor
    from train_reasoner import patches_of

    processor = create_processor().image_processor
    pixels = np.random.default_rng(0).integers(0, 255, (84, 140, 3), dtype=np.uint8)
    expected = processor(Image.fromarray(pixels), return_tensors="pt", do_resize=False)
    mean, std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    normalised = ((torch.from_numpy(pixels).float() / 255 - mean) / std).permute(2, 0, 1)[None]
    found, grid = patches_of(normalised)
    assert torch.equal(expected["image_grid_thw"], grid)
    assert torch.allclose(expected["pixel_values"], found, atol=1e-4)


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
    run = TrainingRun(tmp_path, minutes=10, parts={"model": model})
    assert not run.tick()
    run.used = 5.0
    run.save()
    fresh = torch.nn.Linear(2, 1)
    again = TrainingRun(tmp_path, minutes=10, parts={"model": fresh})
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
