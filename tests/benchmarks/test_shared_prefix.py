"""The benchmark of shared prefixes runs, and counts what it says."""

import json

import pytest


@pytest.fixture
def benchmark(load_benchmark):
    return load_benchmark("shared_prefix")


def test_in_small_it_compares_three_ways_of_the_same_work(benchmark, capsys):
    benchmark.main(["--small", "--json", "--repeats", "1"])
    (case,) = json.loads(capsys.readouterr().out)["cases"]
    assert case["seconds"].keys() == case["kept_bytes"].keys() == {"plain", "images once", "shared prefix"}
    assert max(case["gradient_error"].values()) < 1e-5
    assert case["kept_bytes"]["shared prefix"] < case["kept_bytes"]["images once"] < case["kept_bytes"]["plain"]
    assert benchmark.table(case).count("| images once |") == 2


@pytest.fixture
def reasoners(load_benchmark):
    return load_benchmark("reasoners")


def test_where_the_feed_forward_part_is_all_work_the_ratio_is_that_of_tokens(reasoners):
    blind = reasoners.Proportions(4, 10**9, 1, 1, 1, 0, 1, 0, 0, 0)
    counts = reasoners.counted(blind, reasoners.Case(8, 22, 587, 100))
    assert counts["images once"] / counts["shared prefix"] == pytest.approx(8 * 687 / (586 + 8 * 100), rel=1e-3)


def test_a_token_alone_is_multiplied_by_every_weight_and_by_itself(reasoners):
    model = reasoners.Proportions(
        hidden=8,
        inner=16,
        layers=3,
        heads=2,
        kv=1,
        vocab=10,
        vision_hidden=1,
        vision_inner=1,
        vision_layers=0,
        full_layers=0,
    )
    query_and_output, key_and_value, feed_forward, attention, head = 2 * 8 * 8, 2 * 8 * 4, 3 * 8 * 16, 2 * 8, 8 * 10
    layer = query_and_output + key_and_value + feed_forward + attention
    assert reasoners.language(model, tokens=1, pairs=1, scored=1) == 3 * layer + head


def test_groups_of_several_images_are_as_much_work_as_they_are_alone(reasoners):
    case = reasoners.Case(8, 22, 587, 100)
    one = reasoners.counted(reasoners.NINE_MILLION, case)
    three = reasoners.counted(reasoners.NINE_MILLION, reasoners.Case(8, 22, 587, 100, images=3))
    assert three == {way: 3 * count for way, count in one.items()}


def test_the_curves_change_one_size_at_a_time(load_benchmark, capsys):
    scaling = load_benchmark("scaling")
    scaling.main(["--small", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert {size: [row["value"] for row in rows] for size, rows in result["curves"].items()} == {
        "completions": [2, 4],
        "tokens of the prompt": [28, 37],
        "tokens of a completion": [4, 6],
        "images": [1, 2],
    }
    assert all(max(row["gradient_error"].values()) < 1e-5 for rows in result["curves"].values() for row in rows)
    assert scaling.table("images", result["curves"]["images"]).count("\n") == 3
