"""The engine ``ray`` on a cluster of this machine: actors and drivers are killed, and every row is there once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import thinkseg
from thinkseg.errors import DataError
from thinkseg.serving.labelling.labelled import Labelled, rows_there

pytestmark = pytest.mark.ray

ROWS = 60
PATIENCE = 600
"""Seconds that a driver may take; Ray starts slowly where others work, too."""
HERE = Path(__file__).parent


class Cluster:
    """A folder of images, and a driver in a process of its own that labels them on Ray."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos, self.out, self.log, self.marker = (folder / name for name in ("photos", "out", "log", "marker"))
        self.photos.mkdir()
        self.log.touch()
        for number in range(ROWS):
            Image.new("RGB", (10, 9), (number, 0, 0)).save(self.photos / f"{number:02}.png")

    def start(self, after: int, seconds: float) -> subprocess.Popen[str]:
        words = [sys.executable, HERE / "on_ray.py", self.photos, self.out, self.log, self.marker, after, seconds]
        path = os.pathsep.join(filter(None, [str(HERE), *sys.path]))
        environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
        with (self.folder / "told").open("a") as told:
            return subprocess.Popen([*map(str, words)], env=environment, stdout=told, stderr=told, text=True)

    def wait(self, driver: subprocess.Popen[str]) -> None:
        assert driver.wait(PATIENCE) == 0, (self.folder / "told").read_text()

    @property
    def asked(self) -> Counter[int]:
        return Counter(map(int, self.log.read_text().split()))

    @property
    def rows(self) -> list[int]:
        return sorted(record["row"] for record in Labelled.open(self.out).records())


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_an_actor_that_is_killed_in_the_middle_of_a_batch_is_replaced(cluster: Cluster) -> None:
    cluster.wait(cluster.start(after=5, seconds=0.02))
    assert cluster.marker.exists()
    assert cluster.rows == list(range(ROWS))
    assert Labelled.open(cluster.out).found == ROWS
    assert max(cluster.asked.values()) == 2  # the rows of the block that was lost
    assert sum(cluster.asked.values()) <= ROWS + 3 * 4


def test_a_driver_that_is_killed_is_gone_on_with_and_every_row_is_there_once(cluster: Cluster) -> None:
    driver = cluster.start(after=10**6, seconds=0.3)
    deadline = time.monotonic() + PATIENCE
    while rows_there(cluster.out, {}) < 12 and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.2)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait(60) == -signal.SIGKILL, (cluster.folder / "told").read_text()
    before = rows_there(cluster.out, {})
    assert 12 <= before < ROWS
    cluster.wait(cluster.start(after=10**6, seconds=0.02))
    assert cluster.rows == list(range(ROWS))
    assert sum(count > 1 for count in cluster.asked.values()) < ROWS - 12, "what was done was done again"
    asked = cluster.asked
    cluster.wait(cluster.start(after=10**6, seconds=0.02))
    assert cluster.asked == asked, "all was there"


def test_a_folder_that_local_processes_began_is_refused(cluster: Cluster) -> None:
    from tests.serving.labelling import fakes

    options = {"query": "it", "out": cluster.out, "progress": False, "load": fakes.load, "device": "cpu"}
    thinkseg.label(cluster.photos, **options)
    with pytest.raises(DataError, match="engine was 'local' and is 'ray'"):
        thinkseg.label(cluster.photos, engine="ray", **options)
