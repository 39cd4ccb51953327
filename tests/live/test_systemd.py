"""`hftd install` on a machine with a real systemd: units start, tell, are watched, and have their keys."""

import pytest

from tests.laws import ROOT
from tests.live.machine import Machine, trouble

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(900)]

HFTD = "/opt/hftd/bin/hftd"
UNIT, BOT = "hftd-connector@binancefutures", "hftd-bot@mm"
CONNECTOR = """stream_url = "ws://127.0.0.1:9080"
api_url = "http://127.0.0.1:9080"
ws_api_url = "ws://127.0.0.1:9080/ws-fapi/v1"
order_prefix = "test"
symbols = ["BTCUSDT"]
"""
KEYS = 'api_key = "local-demo-key"\nsecret = "local-demo-secret"\n'
EXCHANGE = (
    "exchange",
    "--venue",
    "binancefutures",
    "--generate",
    "7",
    "--config",
    "/opt/source/configs/exchange.toml",
)


@pytest.mark.skipif(trouble() != "", reason=f"no machine with a systemd of its own: {trouble()}")
def test_units_start_with_their_keys_and_one_that_stands_still_is_started_anew(tmp_path):
    with Machine(tmp_path) as machine:
        machine.write("/etc/hftd/binancefutures.toml", CONNECTOR)
        machine.run("chmod", "600", "/etc/hftd/binancefutures.toml")
        machine.write("/etc/hftd/mm.toml", (ROOT / "configs/bot-live.toml").read_text())
        machine.run("mkdir", "-m", "700", "/etc/credstore.encrypted")
        encrypt = [
            "systemd-creds",
            "encrypt",
            "--name=binancefutures",
            "-",
            "/etc/credstore.encrypted/binancefutures",
        ]
        machine.run(*encrypt, given=KEYS)
        machine.run(
            "systemd-run",
            "-q",
            "--unit=exchange",
            "-E",
            "HFTD_CACHE_DIR=/var/cache/exchange",
            HFTD,
            *EXCHANGE,
        )
        names = ["connector@binancefutures", "bot@mm", "metrics"]
        assert "done: make the users" in machine.run(HFTD, "install", "--hftd", HFTD, *names)
        again = machine.run(HFTD, "install", "--hftd", HFTD, *names)
        assert "done: write" not in again
        assert "done: make" not in again

        machine.run("systemctl", "start", "hftd.target")
        for unit in (UNIT, BOT, "hftd-metrics"):
            assert machine.show(unit, "ActiveState") == "active", machine.run(
                "journalctl", "-u", unit, "-n", "30"
            )
        well = "1 of 1 books valid, bots: 1, orders connected"
        machine.until(lambda: machine.show(UNIT, "StatusText").startswith(well))
        owner = machine.run("stat", "-c", "%U:%G %a", "/run/hftd", "/run/hftd/binancefutures.sock")
        assert owner.splitlines() == ["hftd-connector:hftd 750", "hftd-connector:hftd 660"]

        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", HFTD]
        assert "sudo hftd halt --all" in machine.run(*nobody, "halt", "--all", check=False)
        assert "is halted" in machine.run(HFTD, "halt", "--all")
        machine.until(lambda: "HALTED" in machine.show(UNIT, "StatusText"))
        machine.run(HFTD, "resume", "binancefutures")

        before, starts = machine.show(UNIT, "MainPID"), machine.show(BOT, "NRestarts")
        machine.run("kill", "-STOP", before)
        machine.until(lambda: machine.show(UNIT, "NRestarts") == "1")
        machine.until(lambda: machine.show(UNIT, "StatusText").startswith(well))
        assert machine.show(UNIT, "MainPID") != before
        assert machine.show(BOT, "NRestarts") == starts, "it has found the new one"

        assert "runs" in machine.run(HFTD, "uninstall", check=False)
        # It does not wait for the units of the target.
        machine.run("systemctl", "stop", "hftd.target")
        for unit in (UNIT, BOT, "hftd-metrics"):
            machine.until(lambda unit=unit: machine.show(unit, "ActiveState") in ("inactive", "failed"))
        assert machine.show(UNIT, "ExecMainStatus") == "0", "it left in order"
        assert "removed" in machine.run(HFTD, "uninstall")
        assert machine.run("ls", "/etc/systemd/system").split() == ["test.target"]
        machine.run("ls", "/etc/hftd/binancefutures.toml", "/var/lib/hftd/binancefutures.journal")
