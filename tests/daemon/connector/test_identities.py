"""Which connectors of an account run on this machine."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from daemon.connector.config import Credentials
from daemon.connector.identities import Presence
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.connector.venue import find_venue
from daemon.orders.ids.client_ids import MAX_ORDER_ID
from hftd.errors import ConfigError, DataError
from tests.daemon.orders.model import INSTRUMENT

HOLD = """
import sys
from pathlib import Path
from daemon.connector.identities import Presence
Presence(Path(sys.argv[1]), "acc", "conna", "/a.journal", "hftd").begin(0xA1)
print("there", flush=True)
sys.stdin.read()
"""


def presence(folder, channel="connb", journal="/b.journal", account="acc"):
    return Presence(folder, account, channel, journal, "hftd")


def test_a_connector_is_seen_while_its_process_lives_however_that_ends(tmp_path):
    other = presence(tmp_path)
    other.begin(0xB2)
    assert other.kin({0xB2}, 5) == {}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "there\n"
        (kin,) = other.kin({0xB2}, 6).values()
        assert (kin.identity, kin.name, kin.prefix, kin.dead_since_ns) == (0xA1, "conna", "hftd", 0)
        assert presence(tmp_path, account="another").kin(set(), 6) == {}
        with pytest.raises(ConfigError, match="same number") as failure:
            presence(tmp_path).begin(0xA1)
        assert "conna" in failure.value.what
        assert "copy" in failure.value.hint
        process.kill()
    assert other.kin({0xB2}, 7)[0xA1].dead_since_ns == 7
    assert other.kin({0xB2}, 9)[0xA1].dead_since_ns == 7, "since it was seen first"
    assert other.former() == set()
    assert presence(tmp_path, "conna", "/a.journal").former() == {0xA1}
    assert presence(tmp_path, "conna", "/another.journal").former() == set()
    back = presence(tmp_path, "conna", "/a.journal")
    back.begin(0xA1)
    assert other.kin({0xB2}, 10)[0xA1].dead_since_ns == 0
    back.close()
    back.close()


def test_what_else_lies_in_the_folder_breaks_nothing(tmp_path):
    (tmp_path / "identities").mkdir()
    for name, text in (
        ("acc-zz", "{}"),
        ("acc-0000c3", "nonsense"),
        ("acc-0000c4", json.dumps({"channel": 5})),
        ("web", ""),
    ):
        (tmp_path / "identities" / name).write_text(text)
    (tmp_path / "identities" / "acc-0000c5").mkdir()
    other = presence(tmp_path)
    assert other.kin(set(), 1) == {}
    other.begin(0xB2)
    other.close()


def test_a_folder_that_can_not_be_used_is_said(tmp_path):
    (tmp_path / "identities").write_text("")
    with pytest.raises(ConfigError, match="runtime directory"):
        presence(tmp_path).begin(1)
    assert presence(tmp_path).kin(set(), 1) == {}


def test_a_journal_of_one_exchange_is_not_taken_over_at_another_with_the_same_key(tmp_path):
    def opened(venue, **options):
        parts = {part: Secret(f"a-{part}-of-both") for part in ("api_key", "secret")}
        found = find_venue(venue)
        config = found.config_type()
        connector = Connector(
            "one", found, config, Credentials(**parts), tmp_path / "j", seed=1, directory=tmp_path, **options
        )
        connector.session = SimpleNamespace(
            send=lambda _command: None,
            exchange_ns=lambda now_ns: now_ns,
            order_id_max=MAX_ORDER_ID,
            by_totals=False,
        )
        try:
            connector._open_orders([INSTRUMENT])
            connector.orders.halt("so that it holds something", 1)
        finally:
            if connector._presence is not None:
                connector._presence.close()
            connector._journal.close()

    opened("binancefutures")
    opened("binancefutures")
    with pytest.raises(DataError, match="another account or exchange") as failure:
        opened("bybit")
    assert "another `journal`" in failure.value.hint
    opened("bybit", is_same_account=True)
