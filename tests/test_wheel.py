"""What users install: a wheel that works without a clone, beside versions that others choose."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.laws import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements(lines: list[str]) -> list[Requirement]:
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_each_dependency_has_a_tested_version_within_its_range():
    tested = requirements((ROOT / "constraints.txt").read_text().splitlines())
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    wanted = requirements(PROJECT["dependencies"] + extras)
    assert {one.name for one in tested} == {one.name for one in wanted}
    ranges = {one.name: one.specifier for one in wanted}
    for one in tested:
        (exact,) = one.specifier
        assert exact.operator == "=="
        assert exact.version in ranges[one.name], f"{one} is not within {ranges[one.name]}"
        # Whoever has the oldest version that is allowed gets no error from the installer, so there must be a lower end.
        assert any(bound.operator == ">=" for bound in ranges[one.name]), one.name


def test_each_dependency_is_explained():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    named = {canonicalize_name(name) for name in re.findall(r"^\| `?([\w\[\]-]+)", text, re.MULTILINE)}
    for one in requirements(PROJECT["dependencies"]):
        assert canonicalize_name(one.name) in named, one.name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_wheel_runs_the_demo_in_an_empty_folder(tmp_path: Path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built, installed, empty = tmp_path / "built", tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", built, ROOT], check=True)
    (wheel,) = built.glob("hftd-*.whl")
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if ".dist-info" not in name} == {"hftd", "daemon", "sim", "strategies"}
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True)
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", "from daemon.cli import main; main()", "demo"]
    ran = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "All of it took" in ran.stdout
    assert (empty / "configs" / "bot.toml").is_file()
