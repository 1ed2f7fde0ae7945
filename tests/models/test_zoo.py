"""A zoo of damaged and odd model folders: each ends in one sentence, none takes memory or time, none runs code."""

import json
import pickle
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from thinkseg import testing
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.chat import render_chat
from thinkseg.models.checkpoint_config import CheckpointConfig, resolve_config
from thinkseg.models.reasoner_loading import load_reasoner
from thinkseg.models.segmenter import load_segmenter
from thinkseg.types import Instruction, Request

Damage = Callable[[Path], Any]


class Bomb:
    """Makes a file when it is unpickled with the powers of a pickle."""

    def __init__(self, at: Path) -> None:
        self.at = at

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.at,)


def write(name: str, content: str | bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def remove(*names: str) -> Damage:
    return lambda folder: [(folder / name).unlink() for name in names]


def cut(name: str) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-40])


def change(name: str, **values: Any) -> Damage:
    def damage(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        kept = {key: value for key, value in {**content, **values}.items() if value is not None}
        (folder / name).write_text(json.dumps(kept))

    return damage


def in_weights(edit: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def pickled(content: Callable[[Path], bytes]) -> Damage:
    def damage(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(content(folder))

    return damage


def torch_file(folder: Path) -> bytes:
    torch.save({"a": Bomb(folder.parent / "ran")}, folder.parent / "bomb.bin")
    return (folder.parent / "bomb.bin").read_bytes()


def header(text: str, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text.encode()


def nan(weights: dict[str, torch.Tensor]) -> None:
    weights[min(weights)].view(-1)[0] = float("nan")


def infinite(weights: dict[str, torch.Tensor]) -> None:
    weights[max(weights)].view(-1)[-1] = float("-inf")


EITHER: dict[str, Damage] = {
    "empty folder": lambda folder: [path.unlink() for path in folder.iterdir()],
    "config missing": remove("config.json"),
    "config empty": write("config.json", ""),
    "config cut": cut("config.json"),
    "config a list": write("config.json", "[1, 2]"),
    "config a text": write("config.json", '"qwen2_5_vl"'),
    "config null": write("config.json", "null"),
    "config of bytes": write("config.json", b"\xff\xfe\x00"),
    "config deep": write("config.json", "[" * 100_000),
    "config without a kind": change("config.json", model_type=None),
    "kind a number": change("config.json", model_type=7),
    "kind unknown": change("config.json", model_type="qwen9_vl"),
    "kind of text": change("config.json", model_type="bert"),
    "dtype unknown": change("config.json", dtype="float7"),
    "weights missing": remove("model.safetensors"),
    "weights empty": write("model.safetensors", b""),
    "weights cut": cut("model.safetensors"),
    "weights no header": write("model.safetensors", b"\x00" * 100),
    "weights long header": write("model.safetensors", header("{}", 2**60)),
    "weights header no JSON": write("model.safetensors", header("{nothing}")),
    "weights header a list": write("model.safetensors", header("[]")),
    "weights none": write("model.safetensors", header("{}")),
    "weights beyond the end": write(
        "model.safetensors", header('{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}')
    ),
    "weights a page": write("model.safetensors", "<html>not found</html>"),
    "weights a pointer": write(
        "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    ),
    "weights of NaN": in_weights(nan),
    "weights of infinity": in_weights(infinite),
    "pickle that names code": pickled(torch_file),
    "pickle plain": pickled(lambda folder: pickle.dumps(Bomb(folder.parent / "ran"))),
    "pickle no pickle": pickled(lambda _: b"no pickle"),
    "pickle empty": pickled(lambda _: b""),
    "index alone": lambda folder: [
        (folder / "model.safetensors").unlink(),
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}'),
    ],
    "index no JSON": lambda folder: [
        (folder / "model.safetensors").unlink(),
        (folder / "model.safetensors.index.json").write_text("{"),
    ],
}

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLING = "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
REASONER: dict[str, Damage] = {
    "config without sizes": write("config.json", '{"model_type": "qwen2_5_vl"}'),
    "config text null": change("config.json", text_config={"hidden_size": None}),
    "config text a number": change("config.json", text_config=3),
    "config vision a list": change("config.json", vision_config=[]),
    "layers without number": change("config.json", vision_config={"depth": 10**9}),
    "tokenizer missing": remove("tokenizer.json", "tokenizer_config.json"),
    "tokenizer empty": write("tokenizer.json", ""),
    "tokenizer a list": write("tokenizer.json", "[]"),
    "tokenizer cut": cut("tokenizer.json"),
    "tokenizer config a list": write("tokenizer_config.json", "[]"),
    "processor missing": remove("processor_config.json"),
    "processor a list": write("processor_config.json", "[]"),
    "processor cut": cut("processor_config.json"),
    "thinkseg.json cut": write("thinkseg.json", '{"format": '),
    "template missing": remove("chat_template.jinja"),
    "template no Jinja": write("chat_template.jinja", "{% for %}"),
    "template raises": write("chat_template.jinja", "{{ raise_exception('no images') }}"),
    "template undefined": write("chat_template.jinja", "{{ messages[9].content.name }}"),
    "template by zero": write("chat_template.jinja", "{{ 1 / 0 }}"),
    "template reaches out": write("chat_template.jinja", "{{ messages.__class__.__mro__[1].__subclasses__() }}"),
    "template recursive": write("chat_template.jinja", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
    "template long range": write("chat_template.jinja", "{% for i in range(1000000000) %}{% endfor %}"),
    "template loops": write("chat_template.jinja", LOOP),
    "template long text": write("chat_template.jinja", "{{ 'a' * 10000000000 }}"),
    "template wide": write("chat_template.jinja", "{{ 'x'.center(10000000000) }}"),
    "template wide format": write("chat_template.jinja", "{{ '%10000000000d' % 1 }}"),
    "template doubles": write("chat_template.jinja", DOUBLING),
    "template replaces": write("chat_template.jinja", "{% set x = 'a' * 1000000 %}{{ x.replace('a', x) }}"),
    "template power": write("chat_template.jinja", "{{ 9 ** 999999999 }}"),
    "template of text": write("chat_template.jinja", "{% for m in messages %}{{ m.role }}{% endfor %}"),
}


def use(folder: Path, noise: Any) -> None:
    """Load a reasoner and ask it."""
    config = resolve_config(folder).replaced(max_new_tokens=2)
    load_reasoner(folder, config, device="cpu").complete([Request(noise(40, 40), Instruction("a"))])


def assert_one_sentence(error: InputError, folder: Path) -> None:
    said = str(error)
    assert "\n" not in said
    assert len(said) < 600
    assert "weights_only" not in said
    assert re.match(r"[a-z'0-9]", said)
    assert not (folder.parent / "ran").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders that copies are damaged of."""
    root = tmp_path_factory.mktemp("whole")
    return {
        "reasoner": testing.save(root / "reasoner", testing.tiny_qwen2_5_vl(), {"format": "seg-r1"}),
        "segmenter": testing.save(root / "segmenter", testing.tiny_sam2()),
    }


ITS_TIME = {"template loops": pytest.mark.slow}  # takes all that a template may; below, a loop is given less


@pytest.mark.parametrize("damage", [pytest.param(n, marks=ITS_TIME.get(n, ())) for n in (*EITHER, *REASONER)])
def test_a_damaged_reasoner_ends_in_one_sentence(
    damage: str, whole: dict[str, Path], tmp_path: Path, noise: Any
) -> None:
    folder = shutil.copytree(whole["reasoner"], tmp_path / "model")
    ({**EITHER, **REASONER})[damage](folder)
    with pytest.raises(InputError) as raised:
        use(folder, noise)
    assert_one_sentence(raised.value, folder)


@pytest.mark.parametrize("damage", EITHER)
def test_a_damaged_segmenter_ends_in_one_sentence(damage: str, whole: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(whole["segmenter"], tmp_path / "model")
    EITHER[damage](folder)
    with pytest.raises(InputError) as raised:
        load_segmenter(folder, device="cpu")
    assert_one_sentence(raised.value, folder)


def test_a_chat_template_that_lies_in_the_tokenizer_alone_is_used(tmp_path: Path, noise: Any) -> None:
    folder = testing.save(tmp_path / "model", testing.tiny_qwen2_5_vl())
    request = Request(noise(40, 40), Instruction("a"))
    config = CheckpointConfig(max_new_tokens=4)
    before = load_reasoner(folder, config, device="cpu").complete([request])
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    change("tokenizer_config.json", chat_template=template)(folder)
    reasoner = load_reasoner(folder, config, device="cpu")
    assert reasoner.complete([request]) == before
    reasoner.processor.save_pretrained(tmp_path / "again")  # as training does
    assert (tmp_path / "again" / "chat_template.jinja").read_text() == template


def test_a_template_is_stopped_at_its_limit_and_the_next_one_renders() -> None:
    _, processor = testing.tiny_qwen2_5_vl()
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "hello"}]}]
    plain, good = render_chat(processor, messages), processor.chat_template
    processor.chat_template = LOOP
    with pytest.raises(CheckpointError, match=r"has not come to an end in 0\.2 seconds: it loops"):
        render_chat(processor, messages, most_seconds=0.2)
    processor.chat_template = good
    assert render_chat(processor, messages) == plain


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is bounded on Linux alone")
@pytest.mark.parametrize("template", ["{{ 'a' * 10000000000 }}", "{{ 'x'.center(10000000000) }}", DOUBLING])
def test_a_template_that_asks_for_all_memory_is_stopped_and_the_bound_is_taken_back(template: str) -> None:
    import resource

    _, processor = testing.tiny_qwen2_5_vl()
    messages = [{"role": "user", "content": [{"type": "image"}]}]
    before, good = resource.getrlimit(resource.RLIMIT_AS), processor.chat_template
    processor.chat_template = template
    with pytest.raises(CheckpointError, match="asks for more than 1,073,741,824 bytes of memory"):
        render_chat(processor, messages)
    processor.chat_template = good
    assert "<|image_pad|>" in render_chat(processor, messages)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
