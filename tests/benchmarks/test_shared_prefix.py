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


def test_where_the_feed_forward_part_is_all_work_the_ratio_is_that_of_tokens(benchmark):
    blind = benchmark.Proportions(4, 10**9, 1, 1, 1, 0, 1, 0, 0, 0)
    counts = benchmark.counted(blind, benchmark.Case(8, 22, 587, 100))
    assert counts["images once"] / counts["shared prefix"] == pytest.approx(8 * 687 / (586 + 8 * 100), rel=1e-3)


def test_a_token_alone_is_multiplied_by_every_weight_and_by_itself(benchmark):
    model = benchmark.Proportions(
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
    assert benchmark.language(model, tokens=1, pairs=1, scored=1) == 3 * layer + head
