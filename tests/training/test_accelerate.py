"""The committed configurations for `accelerate launch` are read by Accelerate itself, as what they are meant to be."""

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType

FILES = {
    "ddp.yaml": DistributedType.MULTI_GPU,
    "fsdp2.yaml": DistributedType.FSDP,
    "zero2.yaml": DistributedType.DEEPSPEED,
    "zero3.yaml": DistributedType.DEEPSPEED,
}


def test_every_committed_configuration_is_looked_at(repository):
    assert {path.name for path in (repository / "recipes/accelerate").iterdir()} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_accelerate_reads_a_configuration(name, repository):
    config = load_config_from_file(str(repository / "recipes/accelerate" / name))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == FILES[name]
    assert (config.num_processes, config.mixed_precision, config.use_cpu) == (8, "bf16", False)


def test_stage_and_version_are_those_of_the_names(repository):
    folder = repository / "recipes/accelerate"
    for stage in (2, 3):
        assert load_config_from_file(str(folder / f"zero{stage}.yaml")).deepspeed_config["zero_stage"] == stage
    fsdp = load_config_from_file(str(folder / "fsdp2.yaml")).fsdp_config
    assert fsdp["fsdp_version"] == 2
    assert all(key.startswith("fsdp_") for key in fsdp)


def test_the_launcher_takes_fsdp_2_from_the_file(repository, monkeypatch):
    """What the launcher hands to the processes is what their plugin is made of."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    file = str(repository / "recipes/accelerate/fsdp2.yaml")
    words = ["--config_file", file, "-m", "thinkseg", "train", "rl", "recipe.yaml"]
    args, _, _ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert args.use_fsdp
    assert (str(args.fsdp_version), args.fsdp_state_dict_type) == ("2", "FULL_STATE_DICT")
    assert str(args.fsdp_reshard_after_forward).lower() == "true"
