"""``thinkseg doctor``: what is installed, which devices there are, what is missing and how to get it.

What ThinkSeg needs is read from its own package metadata, so there is no second list to keep.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from thinkseg.installing import extra_command, own_command, pocket_command
from thinkseg.machine import usable_cpus

EXAMPLE = """\
examples:
  thinkseg doctor
  thinkseg doctor --json | python -m json.tool"""


@dataclass(frozen=True, slots=True)
class Package:
    """One package that ThinkSeg needs, always or for an extra."""

    name: str
    wanted: str
    """The versions that ThinkSeg admits, such as ``>=2.11,<3``."""
    found: str | None
    """The installed version, or None."""
    fits: bool
    """Whether it is installed in a version that ThinkSeg admits."""
    extra: str = ""
    """The extra that brings it; empty for a package that is always needed."""


@dataclass(frozen=True, slots=True)
class Extra:
    """A set of packages that only some work needs."""

    lacks: tuple[str, ...]
    """The packages that are not there in a version that ThinkSeg admits."""
    command: str
    """What brings it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the verb."""
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when something that is always needed is missing or of the wrong version."""
    findings = examine(declared_requirements())
    print(json.dumps(findings, indent=2) if args.json else render(findings))
    return exit_code(findings)


def exit_code(findings: dict[str, Any]) -> int:
    """1 when something has to be put right before ThinkSeg works, else 0."""
    return 1 if findings["problems"] else 0


def declared_requirements() -> list[str] | None:
    """The requirements of the installed ThinkSeg, as in its metadata; None when only its sources are there."""
    try:
        return metadata.requires("thinkseg")
    except metadata.PackageNotFoundError:
        return None


def installed_version(name: str) -> str | None:
    """The version of an installed package, read from its metadata without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def examine(
    requirements: Iterable[str] | None, version_of: Callable[[str], str | None] = installed_version
) -> dict[str, Any]:
    """Look at the machine and at the packages that the requirements name.

    Args:
        requirements: as in package metadata, such as ``torch<3,>=2.11`` or ``ruff>=0.14; extra == "dev"``; None when
            ThinkSeg itself is not installed.
        version_of: the installed version of a package by its name, or None.

    Returns:
        A JSON object; ``problems`` has a sentence for each thing that must be put right, ``hints`` for what may be.
    """
    packages = check_packages(requirements or (), version_of)
    pocket = version_of("thinkseg-pocket")
    problems = [
        f"{p.name} {_state(p)}. Install it with: pip install '{p.name}{p.wanted}'" for p in packages if _fails(p)
    ]
    if requirements is None:
        problems.append(f"thinkseg is not installed, only its sources are here. Install it with: {own_command()}")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpus": usable_cpus(),
        "memory_gib": _memory_gib(),
        "thinkseg": version_of("thinkseg"),
        "pocket": pocket,
        "hub": "offline" if _hub_is_offline() else "online",
        "devices": _devices(),
        "packages": [asdict(package) for package in packages],
        "extras": {name: asdict(extra) for name, extra in check_extras(packages).items()},
        "problems": problems,
        "hints": _hints(pocket),
    }


def check_packages(requirements: Iterable[str], version_of: Callable[[str], str | None]) -> list[Package]:
    """Hold each requirement against what is installed, those of extras after the others.

    Args:
        requirements: as in package metadata.
        version_of: the installed version of a package by its name, or None.
    """
    packages = []
    for requirement in map(Requirement, requirements):
        extra = _extra_of(requirement)
        if requirement.name == "thinkseg" or (not extra and requirement.marker and not requirement.marker.evaluate()):
            continue
        found = version_of(requirement.name)
        fits = found is not None and requirement.specifier.contains(found, prereleases=True)
        packages.append(Package(requirement.name, str(requirement.specifier), found, fits, extra))
    return sorted(packages, key=lambda package: (package.extra, package.name))


def check_extras(packages: Iterable[Package]) -> dict[str, Extra]:
    """Every extra that has packages of its own, by name, whether or not it is there."""
    lacking: dict[str, list[str]] = {}
    for package in packages:
        if package.extra:
            lacking.setdefault(package.extra, []).extend([] if package.fits else [package.name])
    return {name: Extra(tuple(lacks), extra_command(name)) for name, lacks in sorted(lacking.items())}


def render(findings: dict[str, Any]) -> str:
    """The findings as a table for people."""
    memory = findings["memory_gib"]
    rows = [
        ("Python", findings["python"]),
        ("system", findings["system"]),
        ("CPUs", str(findings["cpus"])),
        ("memory", f"{memory:.1f} GiB" if memory else "unknown"),
        ("devices", "; ".join(findings["devices"])),
        ("thinkseg", findings["thinkseg"] or "not installed"),
        ("thinkseg-pocket", findings["pocket"] or "not installed"),
        ("model hub", findings["hub"]),
    ]
    for package in findings["packages"]:
        if not package["extra"]:
            mark = "" if package["fits"] else f"   ← {package['wanted']} is needed"
            rows.append((package["name"], (package["found"] or "not installed") + mark))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:{width}}  {text}" for name, text in rows]
    extras = [(name, extra["lacks"], extra["command"]) for name, extra in findings["extras"].items()]
    room = max((len(name) for name, *_ in extras), default=0)
    told = [
        f"{name:{room}}  {command}   ← lacks {', '.join(lacks)}" if lacks else f"{name:{room}}  is there"
        for name, lacks, command in extras
    ]
    parts = (
        ("problems", findings["problems"]),
        ("needed for some work only", findings["hints"]),
        ("extras, for some work only", told),
    )
    for title, sentences in parts:
        if sentences:
            lines += ["", f"{title}:", *(f"  {sentence}" for sentence in sentences)]
    if not findings["problems"]:
        lines += ["", *_ready(findings)]
    return "\n".join(lines)


def _ready(findings: Mapping[str, Any]) -> list[str]:
    """What this machine is good for, where nothing is in the way, and how to begin."""
    card = any(device.startswith("cuda") for device in findings["devices"])
    good_for = "models of billions of weights, as far as the card's memory goes" if card else "the pocket models"
    lines = [f"ready; {findings['devices'][0]} is good for {good_for}"]
    if not card:
        lines[0] += " (larger ones want a CUDA card)"
    if findings["pocket"]:
        lines.append("begin with: thinkseg segment photo.jpg --query 'the main object'")
    return lines


def _hints(pocket: str | None) -> list[str]:
    """A sentence for each thing that only some work needs and that is not there."""
    hints = []
    if pocket is None:
        hints.append(f"The pocket images and models are not installed. Install them with: {pocket_command()}")
    return hints


def _fails(package: Package) -> bool:
    return not package.extra and not package.fits


def _state(package: Package) -> str:
    return "is not installed" if package.found is None else f"{package.found} is installed, {package.wanted} is needed"


def _extra_of(requirement: Requirement) -> str:
    """The extra in a marker such as ``extra == "dev"``, or an empty string."""
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        return ""
    _, found, extra = str(requirement.marker).partition("extra == ")
    return extra.split('"')[1] if found else ""


def _memory_gib() -> float | None:
    """The machine's memory in GiB, or None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _hub_is_offline() -> bool:
    """Whether the environment keeps transformers away from the model hub (which reads it in the same way)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "TRUE", "YES"}


def _devices() -> list[str]:
    """What PyTorch can compute on, the CPU last; only a sentence when PyTorch cannot be imported."""
    try:
        import torch
    except ImportError as error:
        return [f"unknown, PyTorch cannot be imported ({error})"]
    devices = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index} {properties.name}, {properties.total_memory / 2**30:.1f} GiB")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]
