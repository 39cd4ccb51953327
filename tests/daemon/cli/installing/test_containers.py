"""The container files fit hftd: their commands, users and walls. No container is run here."""

import re

import click
import pytest

import daemon.cli
from tests.laws import ROOT

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
FOLDER = ROOT / "configs" / "container"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
CONTAINERFILE = (FOLDER / "Containerfile").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_a_command_of_hftd_as_a_user_behind_walls(name):
    service = SERVICES[name]
    command, *arguments = service["command"]
    # It takes these options.
    found = daemon.cli.hftd.get_command(click.Context(daemon.cli.hftd), command)
    assert found is not None
    found.make_context(command, arguments)
    assert f" {service['user']}\n" in CONTAINERFILE.replace(" \\", "")
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_a_bot_sees_no_network_no_key_and_no_journal():
    bot = SERVICES["bot"]
    assert bot["network_mode"] == "none"
    assert "secrets" not in bot
    assert not [volume for volume in bot["volumes"] if "/var/lib" in volume]
    assert bot["user"] != SERVICES["connector"]["user"]


def test_all_share_the_folder_of_sockets_which_the_connector_alone_may_write():
    for name, service in SERVICES.items():
        (volume,) = [one for one in service["volumes"] if one.startswith("run:")]
        assert volume == ("run:/run/hftd" if name == "connector" else "run:/run/hftd:ro")
    assert "HFTD_RUNTIME_DIR=/run/hftd HFTD_GROUP=hftd" in CONTAINERFILE


def test_what_the_image_copies_is_there():
    copied = re.findall(r"^COPY (?!--from)(.+) /src\S*$", CONTAINERFILE, flags=re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert {"hftd", "daemon", "sim", "strategies", "configs", "systemd", "pyproject.toml"} <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []
