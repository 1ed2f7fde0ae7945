import json
import subprocess
import sys
from pathlib import Path

import pytest

from thinkseg import testing
from thinkseg.cli import main

TINY_RECIPE = """
stage: rl
output: elsewhere
model: {{path: {start}}}
segmenter: grabcut
format: seg-r1
data: {{source: scenes, size: 64, shuffle: false}}
images: {{canvas: 56}}
rewards: {{segment: 1.0, format: 0.5}}
generation: {{max_new_tokens: 6}}
device: cpu
steps: 2
trl:
  num_generations: 2
  per_device_train_batch_size: 4
  num_iterations: 1
  beta: 0.0
  loss_type: grpo
  scale_rewards: group
  epsilon: 0.2
  learning_rate: 1.0e-3
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe for a tiny model with random weights."""
    start = testing.save(tmp_path / "start", testing.tiny_qwen2_5_vl(), {"format": "seg-r1"})
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_RECIPE.format(start=start), encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_main_job_runs_through_with_real_models_and_goes_on_where_it_was(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["quickstart", "--recipe", str(recipe), "--out", str(out), "--scenes", "6", "--batch-size", "4"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "mean IoU" in told.out
    assert f"--model {out}/checkpoint" in told.out
    assert "95 % interval" in told.out
    assert "1/3" in told.err
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert content["gain"]["n"] == 6
    assert content["after"]["metrics"]["giou"]["count"] == 6
    assert content["settings"]["training steps"] == 2
    assert {"torch", "transformers", "trl"} <= set(content["versions"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "reward for segment" in page
    assert "data:image/webp;base64," in page
    assert (out / "example.overlay.png").is_file()

    assert main(words) == 2
    assert "finished run" in capsys.readouterr().err

    (out / "report.json").unlink()
    assert main([*words, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["gain"] == content["gain"]
    assert main(["segment", str(out / "example.png"), "--query", "x", "--model", str(out / "checkpoint"),
                 "--segmenter", "grabcut", "--out", str(tmp_path / "cut")]) in (0, 1)  # fmt: skip


@pytest.mark.slow  # the recipe is checked by TRL, which takes its time to import
def test_an_interrupt_ends_with_a_word_on_how_to_go_on(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_words: object) -> None:
        (tmp_path / "run" / "before").mkdir()  # it has begun
        raise KeyboardInterrupt("stopped after step 1 of 2")

    words = ["quickstart", "--recipe", str(recipe), "--out", str(tmp_path / "run")]
    assert main(words, tools=interrupted) == 130
    told = capsys.readouterr()
    assert "stopped after step 1 of 2\nThe same command goes on from there." in told.err
    assert told.out == ""
    assert main([*words, "--steps", "1"]) == 2
    assert "steps 2 (asked for: 1)" in capsys.readouterr().err


def test_a_recipe_that_does_not_exist_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quickstart", "--recipe", "nothing.yaml"]) == 2
    assert "the recipe 'nothing.yaml' cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--steps", "--scenes", "--batch-size"])
def test_a_number_below_one_is_refused_before_anything_is_written(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quickstart", "--out", str(tmp_path / "run"), flag, "0"]) == 2
    assert f"{flag} should be at least 1, found 0" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_help_answers_without_loading_what_is_heavy(repository: Path) -> None:
    code = (
        "import sys, thinkseg.cli as cli; cli.main(['quickstart', '--help']); cli.main(['evaluate', '--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'cv2', 'jinja2')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"--overwrite" in done.stdout
