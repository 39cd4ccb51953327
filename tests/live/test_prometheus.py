"""What a user may rely on: a real Prometheus scrapes `hftd metrics`, and its rules fire and cease as things are."""

import shutil
import subprocess
import urllib.parse
import urllib.request

import msgspec
import pytest

from daemon.cli.run.supervisor import supervised
from tests.live.stack import ROOT
from tests.live.watched import CHANNEL, Watched, market_in

PROMETHEUS = """\
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: ["{}/configs/prometheus/hftd.rules.yml"]
scrape_configs:
  - job_name: hftd
    static_configs: [{{ targets: ["{}"] }}]
"""


class Scraped(Watched):
    """An exchange, a connector, a bot, `hftd metrics` and a Prometheus."""

    def start(self) -> None:
        self.start_trading()
        self._children.on_line = lambda name, line: self._said.append(line) if name == "metrics" else None
        self._said: list[str] = []
        self._children.start("metrics", "metrics", "--listen", "127.0.0.1:0")
        assert self.wait(60.0, lambda: any("/metrics" in line for line in self._said))
        target = next(line for line in self._said if "/metrics" in line).split("//")[1].split("/")[0]
        path = self._folder / "prometheus.yml"
        path.write_text(PROMETHEUS.format(ROOT, target))
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            assert b"hftd_daemon_up" in answer.read()
        self.url = "127.0.0.1:" + str(_free_port())
        self.prometheus = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={path}",
                f"--storage.tsdb.path={self._folder / 'tsdb'}",
                f"--web.listen-address={self.url}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def query(self, expression: str) -> list[dict]:
        try:
            return self._get("query?" + urllib.parse.urlencode({"query": expression}))["result"]
        except OSError:
            return []

    def firing(self) -> set[str]:
        return {
            one["labels"]["alertname"] for one in self._get("alerts")["alerts"] if one["state"] == "firing"
        }

    def _get(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://{self.url}/api/v1/{path}", timeout=10) as answer:
            return msgspec.json.decode(answer.read())["data"]


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_prometheus_scrapes_a_real_connector_and_a_rule_fires_and_ceases(tmp_path):
    if shutil.which("prometheus") is None:
        pytest.skip("there is no prometheus (Debian's package of that name)")
    with (tmp_path / "processes.log").open("w") as log, supervised() as children:
        stack = Scraped(children, market_in(tmp_path), tmp_path, log)
        stack.start()
        try:
            assert stack.wait(30.0, lambda: bool(stack.query(f'hftd_book_valid{{daemon="{CHANNEL}"}} == 1')))
            assert stack.wait(30.0, lambda: bool(stack.query('hftd_profit{bot="mm",part="total"}')))
            assert stack.wait(15.0, lambda: bool(stack.query("rate(hftd_bot_requests_total[10s]) > 0")))
            assert "HftdHalted" not in stack.firing()
            stack.hftd("halt", CHANNEL)
            assert stack.wait(15.0, lambda: "HftdHalted" in stack.firing())
            stack.hftd("resume", CHANNEL)
            assert stack.wait(15.0, lambda: "HftdHalted" not in stack.firing())
            stack.kill(stack.bot)
            assert stack.wait(20.0, lambda: "HftdBotDied" in stack.firing())
        finally:
            stack.prometheus.terminate()
            stack.prometheus.wait()
