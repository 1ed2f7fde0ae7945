"""Importing the package is cheap, and its public names are there all the same."""

import subprocess
import sys
from importlib import import_module

import pytest

import thinkseg


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_none_of_the_heavy_ones():
    heavy = {
        "torch",
        "torchvision",
        "transformers",
        "trl",
        "peft",
        "accelerate",
        "datasets",
        "cv2",
        "scipy",
        "numpy",
        "pydantic",
    }
    assert modules_after("import thinkseg") & heavy == set()


def test_the_rooms_beside_and_below_the_models_work_without_pytorch():
    rooms = ["types", "errors", "geometry", "imaging", "drawing", "answers", "data.synthetic.scenes", "metrics.overlap"]
    code = "\n".join(
        f"import thinkseg.{room}; assert 'torch' not in sys.modules, '{room} loads it'"
        for room in [*rooms, "rewards.rubric"]
    )
    assert "thinkseg.rewards.rubric" in modules_after(f"import sys\n{code}")


@pytest.mark.parametrize("name", thinkseg.__all__)
def test_every_public_name_can_be_reached(name):
    assert getattr(thinkseg, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'thinkseg' has no attribute 'sgement'"):
        _ = thinkseg.sgement


def test_what_typed_modules_import_is_read_from_its_own_byte_code():
    """jaxtyping's loader reads that of its modules under another name, and must not do so for what they import."""
    import_module("thinkseg.training.config")
    caches = {name: vars(module).get("__cached__") or "" for name, module in sys.modules.items()}
    assert caches["pydantic"].endswith(".pyc")
    assert [name for name, cache in caches.items() if ".opt-jaxtyping" in cache] == []
