"""``thinkseg train sft|rl RECIPE``: run a training stage. ``thinkseg train --list`` shows the recipes that come along.

Any setting of the recipe can be given as a flag by its dotted name, and wins over the file.
"""

import argparse
import difflib
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import thinkseg
from thinkseg.cli.data_choice import OWN_FLAGS, add_own_data, own_data_from, told_path
from thinkseg.cli.parser import detail_group
from thinkseg.errors import RecipeError
from thinkseg.meter import tell

if TYPE_CHECKING:
    from thinkseg.training.config import Recipe

Train = Callable[..., Path]
"""As `thinkseg.train`."""

LONG = True
PARSE_KNOWN = True
"""Flags that are not declared here are settings of the recipe."""

FAILED = 1
_SIGNALLED = 128
"""Plus the signal's number is the exit code of a run that a signal stopped, as shells have it."""

EXAMPLE = """\
any setting of the recipe can be replaced: --key VALUE, with dots for sections; docs/recipes.md lists them

examples:
  thinkseg train rl pocket/rl
  thinkseg train --list
  thinkseg train --schema > recipe.schema.json
  thinkseg train rl pocket/rl --dry-run
  thinkseg train rl recipes/pocket/rl.yaml --steps 100 --trl.learning_rate 1e-5 --output runs/try
  thinkseg train rl pocket/rl --steps 10 --profile
  thinkseg train rl pocket/rl --data parts/train.csv --output runs/mine
  thinkseg train rl pocket/rl --data photos --query 'the crack' --output runs/mine
  thinkseg train rl recipes/pocket/rl.yaml --resume
  thinkseg train rl recipes/pocket/rl.yaml --resume --trl.learning_rate 1e-5 --allow trl.learning_rate
  accelerate launch --config_file recipes/accelerate/zero2.yaml -m thinkseg train rl recipes/seg_r1/rl.yaml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the verb."""
    parser.add_argument("stage", choices=("sft", "rl"), help="sft imitates reference answers, rl rewards good masks")
    parser.add_argument(
        "recipe",
        type=Path,
        metavar="RECIPE",
        help="what to train, how and on what: a YAML file, or a name of --list; --key VALUE replaces a setting of it",
    )
    parser.add_argument(
        "--data",
        type=told_path,
        metavar="PATH",
        help="your own data in place of the recipe's: a table, a folder, rows, FILE.py:NAME",
    )
    add_own_data(detail_group(parser, "data of your own", "What is said of --data where its files do not say it."))
    parser.add_argument("--list", action=ListRecipes, help="show the recipes that come with ThinkSeg, and exit")
    parser.add_argument("--schema", action=PrintSchema, help="print the JSON schema of recipes, for editors, and exit")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the newest whole checkpoint of the recipe's output"
    )
    parser.add_argument(
        "--profile", action="store_true", help="tell at the end where the seconds of a step went; writes profile.json"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what the run would be (data, steps, memory), train nothing",
    )
    parser.add_argument(
        "--allow",
        metavar="NAMES",
        help="with --resume: settings that may be others than those the run began with, by name, with commas between",
    )


class _Instead(argparse.Action):
    """A flag that prints something, whatever else is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Print it, and end."""
        print(self.text())
        parser.exit()

    def text(self) -> str:
        """What is printed."""
        raise NotImplementedError


class ListRecipes(_Instead):
    """Prints the recipes that come with ThinkSeg."""

    def text(self) -> str:
        """A line for each recipe."""
        from thinkseg.training.builtin_recipes import builtin_recipes, recipes_folder

        recipes = builtin_recipes()
        width = max(len(recipe.name) for recipe in recipes)
        lines = [f"{recipe.stage:3}  {recipe.name:{width}}  {recipe.title}" for recipe in recipes]
        where = f"They lie in {recipes_folder()}, configurations of 'accelerate launch' beside them."
        return "\n".join([*lines, "", where])


class PrintSchema(_Instead):
    """Prints the JSON schema of recipes."""

    def text(self) -> str:
        """The schema."""
        from thinkseg.training.schemas import recipe_schema, schema_text

        return schema_text(recipe_schema()).rstrip()


def run(args: argparse.Namespace, train: Train | None = None) -> int:
    """Train, and print the folder of the trained model.

    Args:
        args: the call.
        train: in place of `thinkseg.train`.
    """
    from thinkseg.training.config import load_recipe
    from thinkseg.training.parsing import parse_overrides

    _refuse_misspelt(args.overrides)
    profile = {"profile": True} if args.profile else {}
    recipe = load_recipe(args.recipe, _own_data(args) | parse_overrides(args.overrides) | profile)
    if recipe.stage != args.stage:
        raise RecipeError(f"'{args.recipe}' is a recipe for {recipe.stage}; say: thinkseg train {recipe.stage}")

    if args.dry_run:
        return _dry_run(recipe)

    from thinkseg.training.divergence import TrainingDiverged
    from thinkseg.training.next_step import next_command
    from thinkseg.training.runs import TrainingStopped, is_main_process

    allow = [name.strip() for name in (args.allow or "").split(",") if name.strip()]
    try:
        final = (train or thinkseg.train)(recipe, resume=args.resume, **({"allow": allow} if allow else {}))
    except TrainingDiverged as diverged:
        if is_main_process():
            sys.stderr.write(f"thinkseg: error: {diverged}\n")
        return FAILED
    except TrainingStopped as stopped:
        if is_main_process():
            own = ["--data", args.data] if args.data else []
            own += [
                word for name, value in own_data_from(args).items() if value for word in (OWN_FLAGS[name][0], value)
            ]
            words = ["thinkseg", "train", args.stage, str(args.recipe), *own, *args.overrides, "--resume"]
            again = shlex.join(words)
            sys.stderr.write(
                f"thinkseg: stopped after step {stopped.step} of {stopped.steps} and saved '{stopped.checkpoint}'; "
                f"to go on: {again}\n"
            )
        return _SIGNALLED + stopped.signal
    if is_main_process():
        print(final)
        tell(f"next: {next_command(recipe, final)}")
    return 0


def _refuse_misspelt(words: Sequence[str]) -> None:
    """Refuse a word that is no setting and nearly a flag, before it is taken for a setting without its value."""
    from thinkseg.cli import create_parser
    from thinkseg.training.config import SHORT, Recipe

    flags = [flag for flag in create_parser("train").flags() if flag.startswith("--")]
    for flag in [word.partition("=")[0] for word in words if word.startswith("--")]:
        is_setting = "." in flag or flag[2:] in {*Recipe.model_fields, *SHORT}
        nearest = difflib.get_close_matches(flag, flags, n=1, cutoff=0.75)
        if nearest and not is_setting:
            raise RecipeError(f"there is no flag and no setting '{flag}'; did you mean '{nearest[0]}'?")


def _dry_run(recipe: "Recipe") -> int:
    """Print what a run would be."""
    from thinkseg.training.dry_run import dry_run
    from thinkseg.training.runs import is_main_process
    from thinkseg.training.stages import stage_of

    told = dry_run(recipe, stage_of(recipe))
    if not is_main_process():
        return 0
    width = max(len(name) for name, _ in told)
    print("\n".join(f"{name:{width}}  {value}" for name, value in told))
    return 0


def _own_data(args: argparse.Namespace) -> dict[str, Any]:
    """What the flags say of data of the user's own; a section in YAML's braces is one."""
    from thinkseg.training.parsing import parse_yaml

    said = {name: value for name, value in own_data_from(args).items() if value}
    told: dict[str, Any] = {f"data.{'name' if name == 'dataset' else name}": value for name, value in said.items()}
    if args.data is not None:
        braced = args.data.startswith("{")
        told["data"] = parse_yaml(args.data, "the value of --data") if braced else args.data
    return told
