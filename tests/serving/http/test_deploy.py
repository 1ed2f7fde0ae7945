"""What starts the service on a server: the files that an image is made of are there, and the flags are the verb's."""

import configparser
import json
import re
from pathlib import Path

from thinkseg import cli


def lines(path: Path) -> list[tuple[str, str]]:
    """The instructions of a Containerfile."""
    return re.findall(r"^([A-Z]+) (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_image_is_made_of_files_that_are_there_and_begins_with_flags_that_are_known(repository: Path) -> None:
    told = lines(repository / "deploy/Containerfile")
    copied = [name for kind, rest in told if kind == "COPY" for name in rest.split()[:-1]]
    assert {"thinkseg", "recipes", "pocket", "setup.py", "constraints.txt"} <= set(copied)
    assert [name for name in copied if not (repository / name).exists()] == []
    (entry,) = (json.loads(rest) for kind, rest in told if kind == "ENTRYPOINT")
    assert entry[:2] == ["thinkseg", "serve"]
    args = cli.create_parser("serve").parse_args([*entry[2:], "--model", "pocket"])
    assert (args.host, args.port) == ("0.0.0.0", 8000)
    assert ("EXPOSE", str(args.port)) in told


def test_the_unit_starts_the_verb_and_gives_it_the_time_that_a_request_may_take(repository: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(repository / "deploy/thinkseg.service", encoding="utf-8")
    service = unit["Service"]
    program, verb, flags = service["ExecStart"].split()
    assert (Path(program).name, verb, flags) == ("thinkseg", "serve", "$THINKSEG_FLAGS")
    assert float(service["TimeoutStopSec"]) > cli.create_parser("serve").parse_args([]).timeout
