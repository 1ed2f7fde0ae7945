"""The benchmark of the service runs in small and says what it measures."""

import json

import pytest


@pytest.mark.slow
def test_a_service_is_asked_with_and_without_batches(load_benchmark, capsys) -> None:
    module = load_benchmark("serve")
    module.main(["--small", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert list(result["clients"]) == ["1", "4"]
    for ways in result["clients"].values():
        assert list(ways) == ["one by one", "together", "repeated"]
        assert all(0 < own["p50 ms"] <= own["p95 ms"] for own in ways.values())
    four = result["clients"]["4"]
    ratio = four["together"]["requests/s"] / four["one by one"]["requests/s"]
    assert result["ratios"]["requests/s at 4, together / one by one"] == ratio > 0
    assert "bare pipeline" in module.table(result)


@pytest.mark.slow
def test_the_memory_of_a_service_does_not_grow_with_its_requests(load_benchmark, capsys) -> None:
    module = load_benchmark("serve")
    module.main(["--small", "--json", "--soak", "3200"])
    result = json.loads(capsys.readouterr().out)
    assert result["requests"] == 3200
    assert result["growth"] < 1.1
