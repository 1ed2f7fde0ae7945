"""The benchmarks of a step, of the segmenter in it and of an evaluation run in small and say what they measure."""

import json
import subprocess
import sys

import pytest


def test_the_reward_engine_has_the_masks_of_the_published_way_for_less_work(load_benchmark, capsys) -> None:
    module = load_benchmark("reward_engine")
    module.main(["--small", "--json", "--repeats", "1"])
    result = json.loads(capsys.readouterr().out)
    assert result["pixels_that_differ"] < 1e-3
    # 64 encodings and decodings against 4 and 64: more than 1, less than 16
    assert 1 < result["allowed"] < 16
    assert result["published/thinkseg"] == result["seconds"]["published"] / result["seconds"]["thinkseg"] > 0
    assert result["thinkseg/floor"] == result["seconds"]["thinkseg"] / result["seconds"]["floor"] > 0
    assert "published / thinkseg" in module.table(result)


def test_an_evaluation_has_the_masks_of_one_by_one(load_benchmark, capsys) -> None:
    module = load_benchmark("evaluate")
    module.main(["--small", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["expressions"]) == (2, 6)
    assert result["same_masks"] == 1
    assert result["speedup"] == result["seconds"]["one by one"] / result["seconds"]["thinkseg"] > 0
    assert result["allowed"] > 0
    assert "one by one / thinkseg" in module.table(result)


def test_an_evaluation_whose_images_are_decoded_ahead_has_the_same_records(load_benchmark, capsys) -> None:
    module = load_benchmark("feeding")
    module.main(["--small", "--json", "--repeats", "1"])
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["batch"], result["same_records"]) == (4, 2, True)
    assert result["speedup"] == result["seconds"]["in turn"] / result["seconds"]["ahead"] > 0
    # two batches of 0.02 s, and their images before them, which nothing is hidden behind
    assert result["seconds"]["in turn"] >= 0.04
    assert "in turn / ahead" in module.table(result)


def test_batches_filled_by_tokens_write_the_same_text_in_fewer_passes(load_benchmark, capsys) -> None:
    module = load_benchmark("passes")
    module.main(["--small", "--json", "--repeats", "1"])
    result = json.loads(capsys.readouterr().out)
    assert (result["prompts"], result["same_text"]) == (8, 1)
    assert result["budget"] == 2 * result["longest"]
    assert result["passes"]["rows"] == 4 > result["passes"]["tokens"]
    assert result["speedup"] == result["seconds"]["rows"] / result["seconds"]["tokens"] > 0
    assert "rows / tokens" in module.table(result)


def test_a_tower_gives_the_same_whatever_the_order_of_an_images_numbers(load_benchmark, capsys) -> None:
    module = load_benchmark("encoding")
    module.main(["--small", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [(row["tower"], row["images"]) for row in rows] == [
        ("segmenter", 1),
        ("segmenter", 2),
        ("reasoner", 1),
        ("reasoner", 2),
    ]
    for row in rows:
        assert row["error"] < 1e-5
        assert row["first/last"] == row["milliseconds"]["channels first"] / row["milliseconds"]["channels last"] > 0
    assert "channels last" in module.table(rows)


@pytest.mark.slow
def test_a_step_of_both_ways_is_timed(request: pytest.FixtureRequest) -> None:
    script = request.config.rootpath / "benchmarks" / "train_step.py"
    told = subprocess.check_output([sys.executable, str(script), "--small", "--json"], text=True)
    result = json.loads(told.splitlines()[-1])
    assert result["completions"] == 8
    assert [len(own) for own in result["seconds"].values()] == [1, 1]  # of two steps, the first is left out
    assert result["speedup"] == result["median"]["plain"] / result["median"]["thinkseg"] > 0
    # each of 8 completions has its own encoding of an image and its own pass over the prompt, against one of 4
    assert 1 < result["allowed"] < 8
