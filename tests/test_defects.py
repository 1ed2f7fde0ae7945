"""Defects of the published code that no one room answers for: what stands in code and belongs into a recipe."""

import ast
import re

FORBIDDEN = {
    "the number of a device": re.compile(r"(cuda|xpu|npu):\d+"),
    "a folder of somebody's machine": re.compile(r"(/|~/|[A-Z]:\\)(home|mnt|root|scratch|Users|workspace)\b.*"),
}
"""Texts that are, as a whole, what no code should hold. Within a sentence, such as of --help, they may stand."""


def fixed_in(source):
    """What a piece of code fixes that is not its to fix, as (line, what)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for what, pattern in FORBIDDEN.items():
                if pattern.fullmatch(node.value):
                    yield node.lineno, what
        if isinstance(node, ast.keyword) and node.arg == "share" and ast.unparse(node.value) == "True":
            yield node.value.lineno, "a public tunnel"
        if isinstance(node, ast.Assign) and _names_visible_devices(node):
            yield node.lineno, "the number of a device"


def _names_visible_devices(node):
    return any("CUDA_VISIBLE_DEVICES" in ast.unparse(target) for target in node.targets)


def test_no_code_opens_a_public_tunnel_or_names_a_device_or_somebodys_folder(repository):
    """Defect 21: a tunnel opened by default by the demo; device numbers and paths in code."""
    files = [
        path for room in ("thinkseg", "pocket", "scripts", "examples") for path in (repository / room).rglob("*.py")
    ]
    assert len(files) > 60
    found = {str(path.relative_to(repository)): list(fixed_in(path.read_text(encoding="utf-8"))) for path in files}
    assert {name: places for name, places in found.items() if places} == {}


def test_what_is_looked_for_is_found():
    planted = (
        'demo.launch(share=True)\nmodel.to("cuda:0")\nroot = "/hom{}/me/data"\nos.environ["CUDA_VISIBLE_DEVICES"] = "3"'
    ).format("e")
    assert sorted(line for line, _ in fixed_in(planted)) == [1, 2, 3, 4]
    assert list(fixed_in('parser.add_argument("--device", help="cpu, cuda:1 …")\ndemo.launch(share=args.share)')) == []
