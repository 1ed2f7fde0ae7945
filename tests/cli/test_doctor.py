"""The doctor tells what is there, what is missing and how to get it."""

import json
import shlex
import tomllib
from importlib import metadata

import pytest

from thinkseg import cli
from thinkseg.cli import doctor

REQUIREMENTS = ["torch<3,>=2.11", "numpy>=2.1", 'ruff>=0.14; extra == "dev"', 'thinkseg[docs]; extra == "dev"']


def versions(**found):
    """A machine on which only these are installed."""
    return found.get


def test_a_version_in_the_admitted_range_fits_even_with_a_local_part():
    numpy, torch, _ = doctor.check_packages(REQUIREMENTS, versions(torch="2.15.0+cu130", numpy="2.3.4"))
    assert (torch.name, torch.found, torch.fits, torch.extra) == ("torch", "2.15.0+cu130", True, "")
    assert numpy.fits


@pytest.mark.parametrize("version", ["2.10.1", "3.0", None])
def test_a_version_that_is_too_old_too_new_or_absent_does_not_fit(version):
    (torch,) = doctor.check_packages(["torch<3,>=2.11"], versions(torch=version))
    assert not torch.fits


def test_a_package_of_an_extra_is_told_from_a_needed_one_and_thinkseg_does_not_list_itself():
    packages = doctor.check_packages(REQUIREMENTS, versions())
    assert [(package.name, package.extra) for package in packages] == [("numpy", ""), ("torch", ""), ("ruff", "dev")]


def test_a_requirement_of_another_system_is_left_out():
    assert doctor.check_packages(['numpy; sys_platform == "amiga"'], versions()) == []


def test_a_missing_package_is_a_problem_with_its_command_and_a_missing_extra_only_a_hint():
    findings = doctor.examine(['no-such-package>=1; extra == "dev"', "another-missing-one<3,>=2"])
    assert findings["problems"] == [
        "another-missing-one is not installed. Install it with: pip install 'another-missing-one<3,>=2'"
    ]
    assert findings["extras"]["dev"] == {"lacks": ("no-such-package",), "command": "pip install 'thinkseg[dev]'"}


def test_every_extra_is_listed_with_the_command_that_brings_it_and_what_it_lacks():
    requirements = ['ruff>=0.14; extra == "dev"', 'mypy; extra == "dev"', 'bitsandbytes<1; extra == "qlora"']
    text = doctor.render(doctor.examine([*requirements, 'gradio; extra == "demo"'], versions(gradio="6", mypy="1.18")))
    lines = text[text.index("extras, for some work only:") :].splitlines()[1:4]
    assert lines == [
        "  demo   is there",
        "  dev    pip install 'thinkseg[dev]'   ← lacks ruff",
        "  qlora  pip install 'thinkseg[qlora]'   ← lacks bitsandbytes",
    ]


def test_every_extra_of_the_project_that_has_packages_is_listed(repository):
    declared = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    marked = [f'{package}; extra == "{extra}"' for extra, packages in declared.items() for package in packages]
    with_packages = {extra for extra, packages in declared.items() if any("thinkseg" not in name for name in packages)}
    assert set(doctor.examine(marked)["extras"]) == with_packages > {"deepspeed", "qlora"}


def test_every_extra_of_the_project_is_on_the_page_of_the_installation(repository):
    declared = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (repository / "docs/install.md").read_text()
    assert [extra for extra, packages in declared.items() if packages and f"| `{extra}` |" not in page] == []


def test_a_package_of_a_wrong_version_says_which_one_is_needed():
    (problem,) = doctor.examine([f"numpy<{metadata.version('numpy')}"])["problems"]
    assert f"numpy {metadata.version('numpy')} is installed, <{metadata.version('numpy')} is needed" in problem


def test_sources_without_an_installation_are_a_problem_with_a_way_out(repository):
    assert doctor.examine(None)["problems"][0].endswith(f"pip install -e {shlex.quote(str(repository))}")


def test_what_the_project_declares_is_installed_where_the_tests_run(repository):
    declared = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["dependencies"]
    packages = doctor.check_packages(declared, doctor.installed_version)
    assert len(packages) == len(declared)
    assert [package for package in packages if not package.fits] == []


def test_the_absent_pocket_is_a_hint_with_the_command_that_is_right_in_this_clone(repository):
    findings = doctor.examine(["numpy"], versions(numpy="2.3.4"))
    assert any(hint.endswith(f"pip install {shlex.quote(str(repository / 'pocket'))}") for hint in findings["hints"])
    assert findings["problems"] == []


@pytest.mark.parametrize(("value", "state"), [("1", "offline"), ("true", "offline"), ("0", "online"), ("", "online")])
def test_the_state_of_the_hub_is_read_from_the_environment(value, state, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert doctor.examine([])["hub"] == state


def test_the_verb_prints_findings_and_its_exit_code_says_whether_something_needed_is_missing(capsys):
    code = cli.main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert code == (1 if findings["problems"] else 0)
    assert findings["devices"][-1] == "cpu"
    assert findings["cpus"] >= 1
    assert cli.main(["doctor"]) == code
    assert "model hub" in capsys.readouterr().out


@pytest.mark.parametrize(("requirement", "code"), [("numpy", 0), ("no-such-package", 1)])
def test_a_missing_package_that_is_needed_fails(requirement, code):
    assert doctor.exit_code(doctor.examine([requirement])) == code


def test_the_table_marks_what_does_not_fit():
    lines = doctor.render(doctor.examine(["numpy", "no-such-package>=7"])).splitlines()
    assert any(line.split() == ["numpy", metadata.version("numpy")] for line in lines)
    assert any(line.startswith("no-such-package  not installed   ← >=7 is needed") for line in lines)
    assert "problems:" in lines
    assert not any(line.startswith("ready") for line in lines)


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (["cpu"], "ready; cpu is good for the pocket models (larger ones want a CUDA card)"),
        (
            ["cuda:0 A card, 80.0 GiB", "cpu"],
            "ready; cuda:0 A card, 80.0 GiB is good for models of billions of weights",
        ),
    ],
)
def test_where_nothing_is_missing_it_says_what_the_machine_is_good_for_and_how_to_begin(devices, said):
    found = {"numpy": "2.3.4", "thinkseg": "0.1.0", "thinkseg-pocket": "0.1.0"}
    text = doctor.render({**doctor.examine(["numpy"], found.get), "devices": devices})
    assert said in text
    assert text.endswith("begin with: thinkseg segment photo.jpg --query 'the main object'")
