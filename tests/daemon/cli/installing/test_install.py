"""`hftd install` and `hftd uninstall`: what they make of a folder that stands for a machine, and what they refuse."""

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon.cli.commands.install import command as install
from daemon.cli.commands.uninstall import command as uninstall
from daemon.cli.installing import checks
from daemon.cli.installing.plan import Places, Step, do, installed, made, plan, remove
from daemon.cli.installing.units import KINDS, originals, parse, render, wanted_of
from hftd.errors import ConfigError, HftdError, UsageError
from tests.laws import ROOT

HFTD = Path("/usr/bin/env")  # an executable that is there
CONNECTOR = """stream_url = "ws://127.0.0.1:9080"
api_url = "http://127.0.0.1:9080"
ws_api_url = "ws://127.0.0.1:9080/ws-fapi/v1"
order_prefix = "test"
symbols = ["BTCUSDT"]
"""


@pytest.fixture
def where(tmp_path, monkeypatch) -> Places:
    """A user's own systemd, and nothing of it runs; as `hftd install --user` finds it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    configs = tmp_path / "hftd"
    configs.mkdir()
    (configs / "binancefutures.toml").write_text(CONNECTOR)
    shutil.copy(ROOT / "configs" / "bot-live.toml", configs / "mm.toml")
    shutil.copy(ROOT / "configs" / "alerts.toml", configs / "alerts.toml")
    return Places(tmp_path / "systemd" / "user", configs, None, tmp_path / "none")


def steps_of(where: Places, *names: str, exchange: str = "") -> list[Step]:
    return plan([parse(name) for name in names], where, HFTD, exchange)[0]


def apply(where: Places, *names: str, exchange: str = "") -> list[str]:
    """What was new."""
    return [step.what for step, is_new in do(steps_of(where, *names, exchange=exchange)) if is_new]


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_install_makes_units_that_the_target_wants_and_again_it_does_nothing(where, tmp_path):
    names = ("connector@binancefutures", "bot@mm", "metrics")
    assert len(apply(where, *names)) == 8
    there = tree(where.units)
    assert sorted(there) == [
        "hftd-bot@.service",
        "hftd-connector@.service",
        "hftd-failed@.service",
        "hftd-metrics.service",
        "hftd.target",
        "hftd.target.wants/hftd-bot@mm.service",
        "hftd.target.wants/hftd-connector@binancefutures.service",
        "hftd.target.wants/hftd-metrics.service",
    ]
    assert [one.name for one in installed(where)] == ["bot@mm", "connector@binancefutures", "metrics"]
    assert apply(where, *names) == []
    assert tree(where.units) == there


def test_uninstall_removes_exactly_what_install_made_and_never_a_configuration(where, tmp_path):
    before = tree(tmp_path)
    (where.units / "other.service.d").mkdir(parents=True)
    (where.units / "other.service").write_text("[Service]\n")
    apply(where, "connector@binancefutures", "bot@mm", "metrics")
    remove(made(where, [parse("bot@mm")])[0], where)
    left = tree(where.units)
    assert "hftd-bot@.service" not in left
    assert {"hftd-connector@.service", "hftd.target", "hftd-failed@.service"} <= set(left)
    remove(made(where, [])[0], where)
    assert tree(tmp_path) == {**before, "systemd/user/other.service": "[Service]\n"}
    assert sorted(path.name for path in where.units.iterdir()) == ["other.service", "other.service.d"]
    with pytest.raises(UsageError, match="bot@mm is not installed"):
        made(where, [parse("bot@mm")])


def test_a_unit_of_somebody_else_and_one_that_was_changed_by_hand_are_neither_overwritten_nor_removed(where):
    unit = where.units / "hftd-metrics.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(UsageError, match="`hftd install` has not made it") as caught:
        steps_of(where, "metrics")
    assert "drop-in" in caught.value.hint
    assert tree(where.units) == {"hftd-metrics.service": "[Service]\nExecStart=/bin/true\n"}
    unit.unlink()
    apply(where, "metrics")
    unit.write_text(unit.read_text() + "Nice=-5\n")
    with pytest.raises(UsageError, match="was changed since"):
        steps_of(where, "metrics")
    paths, changed = made(where, [])
    assert changed == [unit]
    remove(paths, where)
    assert list(tree(where.units)) == ["hftd-metrics.service"]
    unit.unlink()
    unit.symlink_to("/dev/null")
    with pytest.raises(UsageError, match="systemctl mask"):
        steps_of(where, "metrics")


def test_an_older_unit_of_ours_is_brought_up_to_date(where):
    apply(where, "metrics")
    (step,) = [
        step
        for step, is_new in do(plan([parse("metrics")], where, Path("/usr/bin/id"), "")[0])
        if is_new and "metrics" in step.what
    ]
    assert "ExecStart=/usr/bin/id metrics" in (where.units / "hftd-metrics.service").read_text()
    assert step.what.startswith("write ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("conector@x", "is nothing to install"),
        ("connector", "lacks an instance"),
        ("metrics@a", "one metrics only"),
        ("bot@a/b", "is not a name"),
        ("bot@", "lacks an instance"),
        ("", "is nothing to install"),
    ],
)
def test_a_name_that_is_none_is_refused(name, words):
    with pytest.raises(UsageError, match=words):
        parse(name)


def test_names_and_units_are_each_others_reverse():
    for kind, one in KINDS.items():
        wanted = parse(f"{kind}@x.y-1" if "@" in one.unit else kind)
        assert wanted_of(wanted.unit) == wanted
    assert wanted_of("hftd-failed@x.service") is None


@pytest.mark.parametrize(
    ("names", "change", "words"),
    [
        (["bot@none"], "", "bot@none has no configuration"),
        (["connector@second"], "", "there is no connector 'second'"),
        (["connector@binancefutures"], "symbol = 1\n", "unknown key"),
        (["bot@mm", "bot@other"], "", "would both be the bot mm"),
        (["replay@notaday"], "", "has no configuration"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_changed(where, names, change, words):
    shutil.copy(where.configs / "mm.toml", where.configs / "other.toml")
    (where.configs / "second.toml").write_text(CONNECTOR)
    if change:
        (where.configs / "binancefutures.toml").write_text(change)
    with pytest.raises(HftdError, match=words):
        steps_of(where, "metrics", *names)
    assert not where.units.exists()


def test_a_connector_of_another_name_has_a_drop_in_that_stays_when_it_is_installed_again(where):
    (where.configs / "second.toml").write_text(CONNECTOR)
    apply(where, "connector@second", exchange="binancefutures")
    drop_in = where.units / "hftd-connector@second.service.d" / "10-hftd.conf"
    assert "--connector binancefutures --name %i" in drop_in.read_text()
    assert apply(where, "connector@second") == []
    remove(made(where, [])[0], where)
    assert tree(where.units) == {}
    assert not drop_in.parent.exists()


def test_a_step_that_fails_leaves_the_files_as_they_were(where, tmp_path):
    apply(where, "metrics")
    before = tree(tmp_path)
    (where.units / "hftd.target.wants").chmod(0o500)

    class Fails:
        what, is_done = "fail", False

        def do(self, undo: ExitStack) -> None:
            raise OSError(28, "No space left on device")

    steps = plan([parse("metrics"), parse("bot@mm")], where, Path("/usr/bin/id"), "")[0]
    (where.units / "hftd.target.wants").chmod(0o700)
    with pytest.raises(HftdError, match="fail: No space left"):
        list(do([*steps, Fails()]))
    assert tree(tmp_path) == before


def test_a_users_unit_has_nothing_that_only_the_system_can_do():
    for file in [one.unit for one in KINDS.values()] + ["hftd-failed@.service"]:
        lines = render(file, HFTD, is_user=True).splitlines()
        keys = {line.partition("=")[0] for line in lines if line[:1].isalpha()}
        assert not keys & {
            "User",
            "Group",
            "StateDirectory",
            "RuntimeDirectory",
            "LoadCredentialEncrypted",
        }, file
        assert not [key for key in keys if key.startswith(("Protect", "Private", "IPAddress"))], file
        assert not [line for line in lines if line.startswith("Environment=") and "HFTD_" in line], file
        assert {"NoNewPrivileges", "SystemCallFilter", "ExecStart", "Type"} <= keys, file


def test_keys_in_a_configuration_of_the_system_are_refused_with_the_commands_that_hide_them(tmp_path):
    path = tmp_path / "binancefutures.toml"
    path.write_text(CONNECTOR + 'api_key = "kkk"\nsecret = "sss"\n')
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds keys") as caught:
        checks.check(parse("connector@binancefutures"), tmp_path, "", is_user=False)
    assert "systemd-creds encrypt --name=binancefutures" in caught.value.hint
    assert "kkk" not in str(caught.value)
    path.write_text(CONNECTOR)
    (note,) = checks.check(parse("connector@binancefutures"), tmp_path, "", is_user=False).notes
    assert "market data alone" in note


def test_addresses_of_alerts_in_a_configuration_of_the_system_are_refused(tmp_path):
    path = tmp_path / "alerts.toml"
    path.write_text('[targets.phone]\nurl = "json://127.0.0.1/secret-word"\n')
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds addresses") as caught:
        checks.check(parse("alert"), tmp_path, "", is_user=False)
    assert "systemd-creds encrypt --name=alerts" in caught.value.hint
    assert "secret-word" not in str(caught.value)
    path.write_text("[targets.phone]\n")
    with pytest.raises(ConfigError, match="no addresses for phone"):
        checks.check(parse("alert"), tmp_path, "", is_user=False)


def test_folders_that_the_unit_may_not_write_are_refused(tmp_path):
    (tmp_path / "binancefutures.toml").write_text(CONNECTOR + 'journal = "/srv/x.journal"\n')
    with pytest.raises(ConfigError, match="may write below /var/lib/hftd only"):
        checks.check(parse("connector@binancefutures"), tmp_path, "", is_user=False)
    shutil.copy(ROOT / "configs" / "collect.toml", tmp_path / "collect.toml")
    with pytest.raises(ConfigError, match="may write below /var/lib/hftd-collect only"):
        checks.check(parse("collect@a"), tmp_path, "", is_user=False)


def test_an_executable_that_units_would_not_see_or_others_may_change_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no hftd to run"):
        checks.find_executable(tmp_path / "none", is_user=True)
    script = tmp_path / "hftd"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert checks.find_executable(script, is_user=True) == script
    with pytest.raises(UsageError, match=r"don't see what is in there|others than root may change"):
        checks.find_executable(script, is_user=False)
    odd = tmp_path / "a b%i"
    odd.symlink_to(script)
    with pytest.raises(UsageError, match="letters, digits"):
        checks.find_executable(odd, is_user=True)


def test_a_dry_run_shows_each_file_and_changes_nothing(where, tmp_path):
    before = tree(tmp_path)
    shown = CliRunner().invoke(install, ["--user", "--dry-run", "--hftd", str(HFTD), "bot@mm", "metrics"])
    assert shown.exit_code == 0, shown.output
    assert f"write {where.units}/hftd-bot@.service" in shown.output
    assert "    ExecStart=/usr/bin/env bot --config %E/hftd/%i.toml" in shown.output
    assert "Nothing was done" in shown.output
    assert tree(tmp_path) == before


def test_the_commands_install_and_take_away_and_say_what_stays(where, tmp_path):
    run = CliRunner().invoke
    assert "name what is to be installed" in str(run(install, ["--user"]).exception)
    done = run(install, ["--user", "--hftd", str(HFTD), "bot@mm"])
    assert "done: have hftd.target start hftd-bot@mm.service" in done.output
    assert "systemctl --user enable --now hftd.target" in done.output
    again = run(install, ["--user", "--hftd", str(HFTD)])
    assert "done:" not in again.output
    assert "would remove" in run(uninstall, ["--user", "--dry-run"]).output
    gone = run(uninstall, ["--user"])
    assert f"removed {where.units}/hftd-bot@.service" in gone.output
    assert str(where.configs) in gone.output
    assert "nothing to remove" in run(uninstall, ["--user"]).output


def test_only_root_changes_the_system(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for command, arguments in ((install, ["metrics"]), (uninstall, [])):
        error = CliRunner().invoke(command, arguments).exception
        assert isinstance(error, UsageError)
        assert "only root" in error.what
        assert "sudo hftd" in error.hint


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_takes_each_unit_and_finds_it_little_exposed(tmp_path):
    for name in [*(one.unit for one in KINDS.values()), "hftd-failed@.service", "hftd.target"]:
        (tmp_path / name.replace("@.", "@x.")).write_text(render(name, Path("/usr/bin/true"), is_user=False))
        (tmp_path / name).write_text(render(name, Path("/usr/bin/true"), is_user=False))
    units = sorted(tmp_path.glob("hftd*[!@].service"))
    assert len(units) == len(KINDS) + 1
    done = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", *units],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
    )
    assert [line for line in done.stderr.splitlines() if "hftd" in line] == []
    for unit in units:
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=30", unit],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-300:]


def test_a_unit_that_systemd_does_not_take_is_not_installed(where, monkeypatch):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    real = (originals() / "hftd-metrics.service").read_text()
    wrong = real.replace("Restart=on-failure", "Restart=sometimes").replace("Type=notify", "Type=nonsense")
    monkeypatch.setattr(
        "daemon.cli.installing.plan.render",
        lambda file, hftd, *, is_user: (
            wrong.replace("/usr/bin/env hftd", "/nowhere/hftd")
            if "metrics" in file
            else render(file, hftd, is_user=is_user)
        ),
    )
    with pytest.raises(ConfigError, match="systemd does not take a unit"):
        steps_of(where, "metrics")
    assert not where.units.exists()
