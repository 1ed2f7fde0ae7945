"""A pool of actors is one that the cluster can schedule, or a sentence."""

import pytest

from thinkseg.errors import InputError
from thinkseg.serving.labelling.pool import Pool, fit_pool


@pytest.mark.parametrize(
    ("nodes", "actors", "on_gpu", "pool"),
    [
        ([{"CPU": 4.0}], 2, None, Pool(2, 0.5, 0.0)),
        ([{"CPU": 4.0}], None, None, Pool(1, 1.0, 0.0)),
        ([{"CPU": 5.0}], 3, False, Pool(3, 0.66, 0.0)),
        ([{"CPU": 64.0, "GPU": 8.0}], None, None, Pool(8, 1.0, 1.0)),
        ([{"CPU": 8.0, "GPU": 8.0}], None, None, Pool(8, 0.62, 1.0)),
        ([{"CPU": 8.0, "GPU": 8.0}], 2, False, Pool(2, 1.0, 0.0)),
        ([{"CPU": 16.0}, {"CPU": 16.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 4.0}], None, None, Pool(8, 1.0, 1.0)),
    ],
)
def test_actors_leave_three_cpus_to_the_rest_of_the_pipeline(nodes, actors, on_gpu, pool):
    assert fit_pool(nodes, actors, on_gpu=on_gpu) == pool


@pytest.mark.parametrize(
    ("nodes", "actors", "on_gpu", "sentence"),
    [
        ([{"CPU": 2.0}], 1, None, r"has 2 CPUs, and a labelling needs 4 at least"),
        ([{"CPU": 64.0, "GPU": 8.0}], 9, None, r"9 actors need a GPU each, and the Ray cluster has 8"),
        ([{"CPU": 64.0}], 1, True, r"1 actors need a GPU each, and the Ray cluster has 0.*--device cpu"),
        ([{"CPU": 4.0}], 101, None, r"101 actors are too many for the 4 CPUs"),
        ([{"CPU": 1.0, "GPU": 8.0}, {"CPU": 15.0}], None, None, r"room for 1 actors of 1 CPUs and a GPU, and 8"),
    ],
)
def test_a_pool_that_can_never_be_scheduled_is_refused(nodes, actors, on_gpu, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_pool(nodes, actors, on_gpu=on_gpu)
