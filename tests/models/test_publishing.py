"""What goes to the hub is whole, in safetensors, and seen by nobody unless that is asked for."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from thinkseg import cli, testing
from thinkseg.errors import CheckpointError, InputError
from thinkseg.models.publishing import files_to_publish, left_out, push
from thinkseg.testing.published import write_published_qwen2_5_vl


class FakeHub:
    """A hub that keeps what it is told."""

    def __init__(self, private: bool | None = None) -> None:
        self.private = private
        self.uploads: list[dict[str, Any]] = []

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private = private if self.private is None else self.private

    def repo_info(self, repo_id: str, *, repo_type: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, **upload: Any) -> SimpleNamespace:
        self.uploads.append(upload)
        return SimpleNamespace(commit_url=f"https://hub/{upload['repo_id']}/commit/1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint, and what does not belong to one beside it."""
    testing.save(tmp_path / "final", testing.tiny_qwen2_5_vl(), {"format": "seg-r1"})
    (tmp_path / "final" / "README.md").write_text("mine")
    (tmp_path / "final" / ".token").write_text("secret")
    (tmp_path / "final" / "notes.docx").write_text("x")
    (tmp_path / "final" / "images").mkdir()
    return tmp_path / "final"


def test_a_checkpoint_goes_to_the_hub_private_and_without_what_does_not_belong_to_it(folder: Path) -> None:
    hub = FakeHub()
    assert push(folder, "me/mine", api=hub) == "https://hub/me/mine/commit/1"
    assert hub.private is True
    (upload,) = hub.uploads
    assert (upload["repo_id"], upload["folder_path"]) == ("me/mine", str(folder))
    names = set(upload["allow_patterns"])
    assert {"model.safetensors", "config.json", "tokenizer.json", "thinkseg.json", "README.md"} <= names
    assert not names & {".token", "notes.docx", "images"}


def test_only_files_that_checkpoints_have_are_taken_and_the_others_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("token.txt", "private.json", "notes.md", "extra.jinja", "model-1.safetensors.json"):
        (folder / name).write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key.txt").write_text("secret")
    (folder / "linked.txt").symlink_to(tmp_path / "outside" / "key.txt")
    (folder / "linked").symlink_to(tmp_path / "outside")
    others = {"token.txt", "private.json", "notes.md", "extra.jinja", "model-1.safetensors.json", "linked.txt"}
    others |= {"notes.docx", "images/", "linked/"}
    assert set(left_out(folder)) == others
    assert not {file.name for file in files_to_publish(folder)} & others
    assert cli.main(["push", str(folder), "me/mine", "--dry-run"]) == 0
    assert "'token.txt'" in capsys.readouterr().out.split("left out, as no part of a checkpoint: ")[1]
    hub = FakeHub()
    push(folder, "me/mine", api=hub)
    assert not set(hub.uploads[0]["allow_patterns"]) & others


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors", "merges.txt"])
def test_a_link_in_place_of_a_checkpoints_file_is_refused(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes((folder / name).read_bytes() if (folder / name).exists() else b"secret")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=f"{name}' is a link, which is not followed"):
        files_to_publish(folder)


def test_what_everybody_sees_has_to_be_asked_for(folder: Path) -> None:
    hub = FakeHub()
    push(folder, "me/mine", public=True, api=hub)
    assert hub.private is False
    shown = FakeHub(private=False)
    with pytest.raises(InputError, match="is there already and everybody sees it: say --public"):
        push(folder, "me/mine", api=shown)
    assert not shown.uploads


def test_without_a_network_nothing_is_tried(folder: Path) -> None:
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set, so nothing can be pushed"):
        push(folder, "me/mine")


def test_a_refusal_of_the_hub_is_a_sentence(folder: Path) -> None:
    hub = FakeHub()

    def refuse(**_: Any) -> None:
        raise OSError("401 Client Error")

    hub.upload_folder = refuse  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"did not take 'me/mine'.*hf auth login.*401"):
        push(folder, "me/mine", api=hub)


@pytest.mark.parametrize("name", ["mine", "a/b/c", "me/mi ne", "/mine", ""])
def test_a_name_that_is_none_on_the_hub_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(InputError, match="a name on the hub is owner/name"):
        push(folder, name, api=FakeHub())


@pytest.mark.parametrize("name", ["optimizer.pt", "training_args.bin", "model.pth", "__0_0.distcp", "x.pkl"])
def test_files_that_can_run_code_are_refused(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=f"holds {name}, which can run code"):
        files_to_publish(folder)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("config.json", r"has no config\.json"),
        ("model.safetensors", r"lacks model\.safetensors"),
        ("tokenizer.json", "lacks a tokenizer"),
        ("processor_config.json", "lacks the processor's settings"),
        ("chat_template.jinja", "has no chat template"),
        ("thinkseg.json", r"does not say in which format it answers: write \{\"format\""),
    ],
)
def test_what_is_missing_is_named(name: str, sentence: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=sentence):
        files_to_publish(folder)


def test_weights_in_several_files_are_held_against_their_index(tmp_path: Path) -> None:
    folder = write_published_qwen2_5_vl(tmp_path / "model")
    (folder / "thinkseg.json").write_text(json.dumps({"format": "seg-r1"}))
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2
    listed = files_to_publish(folder)
    assert {shard.name for shard in shards} <= {file.name for file in listed}
    assert sum(file.bytes for file in listed) > sum(shard.stat().st_size for shard in shards)
    whole = load_file(shards[0])
    save_file(dict(list(whole.items())[1:]), shards[0])
    with pytest.raises(CheckpointError, match=f"its files differ about '{next(iter(whole))}'"):
        files_to_publish(folder)
    shards[0].write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read, so it is not whole"):
        files_to_publish(folder)
    shards[0].unlink()
    with pytest.raises(CheckpointError, match=f"lacks {shards[0].name}"):
        files_to_publish(folder)


def test_a_segmenter_can_be_published_too(tmp_path: Path) -> None:
    folder = testing.save(tmp_path / "sam", testing.tiny_sam2())
    assert {"config.json", "model.safetensors"} <= {file.name for file in files_to_publish(folder)}


def test_a_dry_run_lists_what_would_go_and_touches_no_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", str(folder), "me/mine", "--dry-run"]) == 0
    said = capsys.readouterr().out
    size = (folder / "model.safetensors").stat().st_size
    assert f"{size / 1000:.1f} kB" in said
    assert "would go to me/mine, seen by you alone; nothing was uploaded" in said
    assert ".token" not in said
    assert cli.main(["push", str(folder), "me/mine", "--dry-run", "--public", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["public"], result["commit"], result["files"]["model.safetensors"]) == (True, None, size)


def test_from_the_command_line_a_push_without_a_network_ends_with_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["push", str(folder), "me/mine"]) == 2
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err


def test_the_commit_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub = FakeHub()
    assert cli.main(["push", str(folder), "me/mine", "--message", "Step 300"], api=hub) == 0
    assert "https://hub/me/mine/commit/1" in capsys.readouterr().out
    assert hub.uploads[0]["commit_message"] == "Step 300"
