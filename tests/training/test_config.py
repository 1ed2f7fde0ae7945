"""A recipe is checked as a whole before anything is loaded, and says what is wrong with it in a sentence."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from thinkseg.answers import FORMATS
from thinkseg.data.discovery.catalog import known as known_data_set
from thinkseg.data.synthetic.queries import TASKS
from thinkseg.errors import RecipeError
from thinkseg.models.checkpoint_config import KNOWN
from thinkseg.rewards import PARTS, PUBLISHED
from thinkseg.training.config import (
    Recipe,
    load_fragment,
    load_recipe,
    recipe_from_settings,
    settings_of,
    write_recipe,
)
from thinkseg.training.runs import quiet_libraries, trl_arguments
from thinkseg.training.sources import SOURCES
from thinkseg.training.trl_settings import REQUIRED

ROOT = Path(__file__).parents[2]
RECIPES = sorted(
    path.relative_to(ROOT) for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name != "accelerate"
)

GOOD = {
    "stage": "rl",
    "output": "runs/x",
    "rewards": {"segment": 1},
    "trl": {
        "beta": 0.0,
        "loss_type": "grpo",
        "num_generations": 8,
        "scale_rewards": "group",
        "epsilon": 0.2,
        "num_iterations": 1,
        "learning_rate": 1e-6,
    },
}


def changed(**changes):
    settings = copy.deepcopy(GOOD)
    for key, value in changes.items():
        *sections, last = key.split("__")
        inner = settings
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return settings


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stesp": 3}, "no setting 'stesp'; did you mean 'steps'"),
        ({"model__pth": "x"}, "no setting 'model.pth'; did you mean 'model.path'"),
        ({"max_new_tokens": 3}, "did you mean 'generation.max_new_tokens'"),
        ({"learning_rate": 3}, "did you mean 'trl.learning_rate'"),
        ({"trl__betta": 0.1}, "GRPOConfig of TRL has no setting 'betta'; did you mean 'trl.beta'"),
        ({"trl__max_steps": 3}, "'trl.max_steps' is said as 'steps'"),
        ({"trl__repetition_penalty": 1.1}, "'trl.repetition_penalty' is not a recipe's to change"),
        ({"trl__beta": "much"}, "'trl.beta' should be a number, found 'much'"),
        ({"trl__bf16": True, "trl__log_completions": 1}, "'trl.log_completions' should be true or false, found 1"),
        ({"steps": "many"}, "'steps' should be a whole number or null, found 'many'"),
        ({"steps": 2.5}, "'steps' should be a whole number or null, found 2.5"),
        ({"steps": True}, "'steps' should be a whole number or null, found True"),
        ({"steps": 0}, "'steps' should be at least 1, found 0"),
        ({"steps": 3, "epochs": 1}, "both 'steps' and 'epochs'"),
        ({"start_share": 1}, "'start_share' should be below 1"),
        ({"start_share": 0.5, "validation": {"every": 1}}, "leave out one of them, or mix the best model afterwards"),
        ({"epochs": 0}, "'epochs' should be above 0"),
        ({"save_every": 0}, "'save_every' should be at least 1"),
        ({"stage": "ppo"}, "'stage' should be 'sft' or 'rl', found 'ppo'"),
        ({"output": None}, "'output' should be a path, found nothing"),
        ({"model": "pocket"}, "'model' should be a section of settings, found 'pocket'"),
        ({"model__lora__r": "a"}, "'model.lora.r' should be a whole number, found 'a'"),
        ({"rewards": {}}, "needs 'rewards'"),
        ({"rewards": {"segment": 0}}, "needs 'rewards'"),
        ({"rewards__segment": "all"}, "'rewards.segment' should be a number, found 'all'"),
        ({"data__tasks": [1]}, "'data.tasks' should be a section of settings or null"),
        ({"instruction__user": "Look."}, "'instruction.user' should contain {query}"),
        ({"instruction__system": "Look."}, "has to say 'instruction.user'"),
        ({"generation__temperature": 0}, "'generation.temperature' should be above 0"),
        ({"generation__max_new_tokens": 0}, "'generation.max_new_tokens' should be at least 1"),
        ({"device": "tpu"}, "'device' should be 'auto' or 'cpu', found 'tpu'"),
        ({"data__frame": 0}, "'data.frame' should be at least 1"),
        ({"model__new_tokens": "]}"}, "'model.new_tokens' should be a section of settings or null, found ']}'"),
        ({"model__new_tokens": {"]}": 1}}, "'model.new_tokens.]}' should be text, found 1"),
        ({"trl__use_vlm": True}, "no setting 'use_vlm'; did you mean 'trl.use_vllm'"),
        ({"trl__vllm_enable_sleep_mode": True}, "no effect unless the recipe says 'trl.use_vllm'"),
        ({"trl__use_vllm": True, "trl__vllm_mode": "colocated"}, "should be colocate or server, found 'colocated'"),
        ({"trl__use_vllm": True, "trl__vllm_server_port": 8001}, "no effect unless the recipe says 'trl.vllm_mode: se"),
        ({"trl__use_vllm": True, "trl__vllm_tensor_parallel_size": "2"}, "should be a number, found '2'"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(changes, sentence):
    with pytest.raises(RecipeError, match=re.escape(sentence)):
        recipe_from_settings(changed(**changes))


@pytest.mark.parametrize("name", REQUIRED)
def test_a_recipe_for_rl_says_the_settings_in_which_trl_differs_from_the_papers(name):
    settings = copy.deepcopy(GOOD)
    del settings["trl"][name]
    with pytest.raises(RecipeError, match=f"has to say 'trl.{name}'"):
        recipe_from_settings(settings)


def test_a_setting_without_a_default_has_to_be_said():
    settings = copy.deepcopy(GOOD)
    del settings["output"]
    with pytest.raises(RecipeError, match="has to say 'output'"):
        recipe_from_settings(settings)


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_every_recipe_of_the_project_is_whole_and_names_what_there_is(path, repository):
    recipe = load_recipe(repository / path)
    assert recipe.format in FORMATS
    assert set(recipe.rewards) <= set(PARTS)
    assert recipe.data.source in SOURCES
    assert set(recipe.data.tasks or ()) <= set(TASKS)
    assert recipe.segmenter in ("pocket", "grabcut", *(settings.segmenter for settings in KNOWN.values()))
    if recipe.data.source == "dataset":
        for name in [] if recipe.data.name == "own" else recipe.data.name.split(","):
            assert recipe.data.split in known_data_set(name.strip()).splits
    head = (repository / path).read_text().split("stage:")[0]
    name = path.relative_to("recipes").with_suffix("").as_posix()
    assert re.search(rf"thinkseg train {recipe.stage} (recipes/)?{name}\b", head)
    for word in ("Needs:", "Start:" if name.startswith("pocket") else "Expect:"):
        assert word in head
    if recipe.model.path.startswith("Qwen/") or not name.startswith("pocket"):
        assert "Hours:    not run here." in head


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_trl_takes_every_recipe_of_the_project(path, repository):
    recipe = load_recipe(repository / path, {"device": "cpu", "model.dtype": "float32", "trl.bf16": False})
    with quiet_libraries():
        args = trl_arguments(recipe)
    for key, value in recipe.trl.items():
        assert getattr(args, key) == value
    if recipe.stage == "rl":
        assert args.generation_batch_size % args.num_generations == 0


@pytest.mark.parametrize(("path", "generations"), [("qwen2_vl_2b", 8), ("qwen2_5_vl_3b", 8), ("qwen2_5_vl_7b", 16)])
def test_a_step_of_seg_zero_on_eight_cards_has_the_published_sixteen_prompts(path, generations):
    trl = load_recipe(f"seg_zero/{path}").trl
    completions = trl["per_device_train_batch_size"] * trl["gradient_accumulation_steps"] * 8
    assert (trl["num_generations"], completions) == (generations, 16 * generations)
    assert (trl["beta"], trl["entropy_coef"], trl["learning_rate"]) == (5e-3, 1e-3, 1e-6)
    assert PUBLISHED["seg-zero"].weights == load_recipe(f"seg_zero/{path}").rewards


@pytest.mark.parametrize("stage", ["prerl", "rl", "sod"])
def test_a_step_of_seg_r1_on_eight_cards_has_its_authors_twenty_four_prompts(stage):
    """Theirs had six cards for training, with one prompt of four completions at a time and four times a step."""
    trl = load_recipe(f"seg_r1/{stage}").trl
    completions = trl["per_device_train_batch_size"] * trl["gradient_accumulation_steps"] * 8
    assert (trl["num_generations"], completions) == (4, 6 * 4 * 4)
    assert (trl["beta"], trl["learning_rate"], trl["lr_scheduler_type"]) == (0.04, 1e-6, "constant")


def test_visionreasoner_has_its_published_settings():
    recipe = load_recipe("vision_reasoner/qwen2_5_vl_7b")
    completions = recipe.trl["per_device_train_batch_size"] * recipe.trl["gradient_accumulation_steps"] * 8
    assert (recipe.trl["num_generations"], completions, recipe.trl["beta"]) == (8, 128, 1e-2)
    assert recipe.generation.max_new_tokens == 2000
    assert recipe.rewards == PUBLISHED["vision-reasoner"].weights


@pytest.mark.parametrize("name", ["seg_zero", "vision_reasoner"])
def test_the_pocket_versions_begin_with_imitation_and_have_the_published_rewards(name):
    first, second = load_recipe(f"pocket/{name}_sft"), load_recipe(f"pocket/{name}")
    assert second.model.path == f"{first.output}/final"
    assert first.format == second.format == name.replace("_", "-")
    assert second.rewards == PUBLISHED[second.format].weights


def test_the_recipes_were_found():
    assert {"pocket", "seg_r1", "seg_zero", "vision_reasoner"} <= {path.parent.name for path in RECIPES}


def test_flags_win_over_the_file_and_are_read_as_yaml(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    words = ["--steps", "7", "--trl.learning_rate=2e-6", "--data.tasks.salient", "2", "--model.lora.r", "8"]
    recipe = load_recipe(path, words)
    assert (recipe.steps, recipe.trl["learning_rate"], recipe.data.tasks) == (7, 2e-6, {"salient": 2.0})
    assert recipe.model.lora is not None
    assert recipe.model.lora.r == 8


def test_values_in_memory_can_replace_settings_too(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD | {"steps": 3}))
    assert load_recipe(path, {"steps": None, "epochs": 2}).epochs == 2


def test_a_recipe_that_was_written_reads_back_the_same(tmp_path):
    recipe = recipe_from_settings(changed(model__lora={"r": 4}, data__tasks={"salient": 1}, steps=3))
    write_recipe(recipe, tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == recipe
    assert recipe_from_settings(settings_of(recipe)) == recipe


def test_a_recipe_built_in_python_is_checked_as_well():
    recipe = recipe_from_settings(GOOD)
    with pytest.raises(RecipeError, match="'steps' should be at least 1"):
        recipe.replaced(steps=-1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a\n- b\n", "should be a mapping of settings"),
        ("", "should be a mapping of settings, found nothing"),
        ("stage: [", "is not YAML"),
        ("steps: 1\nsteps: 2\n", "the key 'steps' comes twice"),
    ],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, text, sentence):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=sentence) as caught:
        load_recipe(path)
    assert "odd.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(RecipeError, match=r"missing\.yaml"):
        load_recipe("missing.yaml")


def test_every_setting_explains_itself_in_the_documentation(repository):
    text = (repository / "docs" / "recipes.md").read_text()
    told = {name: name.replace("validation.data.", "data.") for name in Recipe.setting_names()}  # the same settings
    missing = [name for name, where in told.items() if f"`{where}`" not in text]
    assert not missing


def test_every_setting_has_its_help_for_editors():
    definitions = Recipe.model_json_schema()
    sections = [definitions, *definitions["$defs"].values()]
    assert len(sections) == 8
    for section in sections:
        assert all("description" in setting or "$ref" in setting for setting in section["properties"].values())


OWN = "my_rewards.py:short_thoughts"


def test_rewards_of_ones_own_can_be_weighed_in_the_file_and_on_the_command_line(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD).replace("segment: 1", f"segment: 1\n  {OWN}: 0.2"))
    assert load_recipe(path).rewards == {"segment": 1.0, OWN: 0.2}
    words = [f"--rewards.{OWN}", "0.4", "--rewards.my.package.rewards:long=0.5"]
    assert load_recipe(path, words).rewards == {"segment": 1.0, OWN: 0.4, "my.package.rewards:long": 0.5}


def test_code_is_found_wherever_a_recipe_may_name_it_and_nowhere_else():
    recipe = recipe_from_settings(
        changed(
            format="my.py:Format",
            segmenter="pocket",
            data={"source": "lab.data:load", "query": "colour:red", "name": "a:b"},
            rewards={"segment": 1, OWN: 0.2},
            instruction={"user": "request:{query}", "system": "role:expert"},
            model={"new_tokens": {"a:b": "c:d"}, "frame": "lab.frames:rule"},
        )
    )
    assert recipe.references() == {
        "model.frame": "lab.frames:rule",
        "format": "my.py:Format",
        "data.source": "lab.data:load",
        f"rewards.{OWN}": OWN,
    }


def test_a_fragment_of_a_recipe_is_checked_as_strictly(tmp_path):
    path = tmp_path / "fragment.yaml"
    path.write_text("format: seg-zero\nrewards: {format: 1}\ntrl: {beta: 0}\n")
    assert load_fragment(path).rewards == {"format": 1.0}
    for text, sentence in (
        ("rewads: {}", "there is no setting 'rewads'; did you mean 'rewards'"),
        ("rewards: {format: true}", "'rewards.format' should be a number, found True"),
        ("trl: {betta: 0}", "did you mean 'trl.beta'"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=re.escape(sentence)):
            load_fragment(path)


@pytest.mark.parametrize(
    "name", ["training.", ".seed", "seed.", "trl.", "model..lora.r", "rewards.", "data.options.", "", "."]
)
def test_a_dotted_name_with_an_empty_part_is_refused_as_a_whole(name):
    with pytest.raises(RecipeError) as caught:
        load_recipe("pocket/rl", {name: 3})
    expected = f"expected the dotted name of a setting, such as 'data.seed', found '{name}', a part of which is empty"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("3: 3", "there is no setting '3'"),
        ("null: 3", "there is no setting 'None'"),
        ("2020-01-01: 3", "there is no setting '2020-01-01'"),
        ("data: {3: 1}", r"there is no setting 'data\.3'"),
        ("trl: {null: 1}", "GRPOConfig of TRL has no setting 'None'"),
    ],
)
def test_a_key_that_yaml_reads_as_something_else_than_text_is_a_setting_that_does_not_exist(tmp_path, line, told):
    file = tmp_path / "odd.yaml"
    file.write_text(f"stage: rl\noutput: x\nrewards: {{format: 1}}\n{line}\n")
    with pytest.raises(RecipeError, match=told):
        load_recipe(file)


def test_a_name_that_no_file_can_have_is_no_recipe():
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(RecipeError, match="there is no such file, and none that comes with ThinkSeg"):
            load_recipe(name)


@pytest.mark.parametrize("segmenter", ["grabcut", "http://127.0.0.1:8000"])
def test_another_encoder_is_refused_of_a_segmenter_that_has_none_where_it_would_be_loaded(segmenter):
    told = {"segmenter": segmenter, "segmenter_encoder": "bfloat16"}
    sentence = "has no encoder that could be told 'bfloat16': leave out 'segmenter_encoder'"
    with pytest.raises(RecipeError, match=re.escape(sentence)):
        recipe_from_settings(changed(**told))
    imitation = {"stage": "sft", "output": "runs/x", **told}
    recipe_from_settings(imitation)
    with pytest.raises(RecipeError, match=re.escape(sentence)):
        recipe_from_settings({**imitation, "validation": {}})
    recipe_from_settings(changed(**{**told, "segmenter_encoder": "float32"}))
    recipe_from_settings(changed(**{**told, "segmenter": "my.py:segmenter"}))


def test_the_format_of_rollouts_is_enforced_where_vllm_samples_and_refused_elsewhere():
    enforced = {"generation.enforce_format": True}
    assert load_recipe("pocket/rl", {**enforced, "trl.use_vllm": True}).generation.enforce_format
    assert not load_recipe("pocket/rl").generation.enforce_format
    with pytest.raises(RecipeError, match=r"'generation\.enforce_format' needs structured outputs.*'trl\.use_vllm'"):
        load_recipe("pocket/rl", enforced)
    own = {"trl.use_vllm": True, "trl.vllm_structured_outputs_regex": "a"}
    with pytest.raises(RecipeError, match="makes the regular expression by itself: leave out"):
        load_recipe("pocket/rl", {**enforced, **own})
