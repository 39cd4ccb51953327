"""What a user may rely on: keys are checked, and secrets stay where they belong."""

import copy
import os
import pickle
import subprocess
import sys

import pytest

from daemon.connector.config import ConnectorConfig, load_connector
from daemon.connector.secrets import Secret
from daemon.connector.venue import find_venue, venue_names
from daemon.redaction import redacted
from hftd.errors import ConfigError

KEY, SECRET = "key-1f83ab", "secret-9c77de"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "binancefutures.toml"
    path.write_text(f'order_prefix = "mm1"\napi_key = "{KEY}"\nsecret = "{SECRET}"\n')
    path.chmod(0o600)
    return path


def read(path, **environ):
    return load_connector(path, ConnectorConfig, "binancefutures", environ)


def test_secrets_of_a_file_that_only_its_owner_reads_are_taken(path):
    config, credentials = read(path)
    assert credentials.reveal("api_key") == KEY
    assert credentials.reveal("secret") == SECRET
    assert credentials.are_there
    assert config.order_prefix == "mm1"
    assert config.api_key == config.secret == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o666])
def test_a_file_with_a_secret_that_others_may_read_or_write_is_refused(path, mode):
    path.chmod(mode)
    with pytest.raises(ConfigError) as failure:
        read(path)
    assert "others than its owner" in failure.value.what
    assert str(path) in failure.value.where
    assert "chmod 600" in failure.value.hint
    assert SECRET not in str(failure.value)


def test_a_file_without_secrets_may_be_read_by_all(path):
    path.write_text('order_prefix = "mm1"\napi_key = ""\nsecret = ""\n')
    path.chmod(0o644)
    _, credentials = read(path)
    assert not credentials.are_there
    _, credentials = read(path, HFTD_API_KEY="a", HFTD_SECRET="b")
    assert credentials.reveal("api_key") == "a"


def test_the_environment_goes_before_credentials_and_these_before_the_file(path, tmp_path):
    credentials_folder = tmp_path / "credentials"
    credentials_folder.mkdir()
    (credentials_folder / "api_key").write_text("from systemd\n")
    (credentials_folder / "secret").write_text("also\n")
    folder = str(credentials_folder)
    _, found = read(path, CREDENTIALS_DIRECTORY=folder)
    assert (found.reveal("api_key"), found.reveal("secret")) == ("from systemd", "also")
    _, found = read(path, CREDENTIALS_DIRECTORY=folder, HFTD_API_KEY="from here", HFTD_SECRET="x")
    assert (found.reveal("api_key"), found.reveal("secret")) == ("from here", "x")


def test_one_credential_with_the_connectors_name_holds_both(path, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "binancefutures").write_text('api_key = "k"\nsecret = "s"\n')
    _, found = read(path, CREDENTIALS_DIRECTORY=str(tmp_path / "c"))
    assert (found.reveal("api_key"), found.reveal("secret")) == ("k", "s")
    (tmp_path / "c" / "binancefutures").write_text(f'secret = "{SECRET}')
    with pytest.raises(ConfigError) as failure:
        read(path, CREDENTIALS_DIRECTORY=str(tmp_path / "c"))
    assert SECRET not in str(failure.value)


def test_one_of_two_secrets_is_no_use_and_is_said(path):
    path.write_text(f'secret = "{SECRET}"\n')
    with pytest.raises(ConfigError, match="no api_key") as failure:
        read(path)
    assert SECRET not in str(failure.value)


class ThreeParts(ConnectorConfig, frozen=True):
    """Of an exchange whose keys have a third part."""

    parts = ("api_key", "secret", "passphrase")
    passphrase: str = ""


class Wallet(ConnectorConfig, frozen=True):
    """Of an exchange that knows accounts by an address, and lets other wallets trade for them."""

    parts = ("account", "wallet_key")
    account: str = ""
    wallet_key: str = ""


PARTS_OF = {
    ConnectorConfig: {"api_key": KEY, "secret": SECRET},
    ThreeParts: {"api_key": KEY, "secret": SECRET, "passphrase": "third-77"},
    Wallet: {"account": "0x" + "ab" * 20, "wallet_key": "0x" + "cd" * 32},
}


@pytest.mark.parametrize("kind", PARTS_OF)
def test_a_venues_parts_come_from_environment_credentials_and_file_and_none_may_be_missing(tmp_path, kind):
    parts, path, folder = PARTS_OF[kind], tmp_path / "venue.toml", tmp_path / "c"
    folder.mkdir()
    path.write_text("".join(f'{part} = "{text}"\n' for part, text in parts.items()))
    path.chmod(0o600)
    config, in_file = load_connector(path, kind, "venue", {})
    assert [getattr(config, part) for part in parts] == [""] * len(parts)
    (folder / "venue").write_text(path.read_text())
    path.write_text("")
    _, as_toml = load_connector(path, kind, "venue", {"CREDENTIALS_DIRECTORY": str(folder)})
    (folder / "venue").unlink()
    for part, text in parts.items():
        (folder / part).write_text(text)
    _, as_files = load_connector(path, kind, "venue", {"CREDENTIALS_DIRECTORY": str(folder)})
    environ = {f"HFTD_{part.upper()}": text for part, text in parts.items()}
    _, in_environ = load_connector(path, kind, "venue", environ)
    for found in (in_file, as_toml, as_files, in_environ):
        assert {part: found.reveal(part) for part in parts} == parts
        assert found.are_there
        assert found.account == next(iter(parts.values()))
        assert not any(text in repr(found) for text in parts.values())
    assert not load_connector(path, kind, "venue", {})[1].are_there
    for lacking in parts:
        few = {key: text for key, text in environ.items() if key != f"HFTD_{lacking.upper()}"}
        with pytest.raises(ConfigError, match=f"but no {lacking}") as failure:
            load_connector(path, kind, "venue", few)
        assert f"HFTD_{lacking.upper()}" in failure.value.hint
        assert not any(text in str(failure.value) for text in parts.values())


@pytest.mark.parametrize("kind", PARTS_OF)
def test_what_is_wrong_with_a_part_is_said_without_it_and_without_its_neighbours(tmp_path, kind):
    path = tmp_path / "venue.toml"
    for part in PARTS_OF[kind]:
        lines = [
            f"{one} = 77" if one == part else f'{one} = "{text}"' for one, text in PARTS_OF[kind].items()
        ]
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=f"`{part}` must be a string") as failure:
            load_connector(path, kind, "venue", {})
        assert not any(text in str(failure.value) for text in PARTS_OF[kind].values())


def test_a_part_that_the_exchange_has_not_is_refused_in_the_file_and_left_alone_elsewhere(path):
    with pytest.raises(ConfigError, match="`api_key` is not used by this exchange") as failure:
        load_connector(path, Wallet, "wallet", {})
    assert "account and wallet_key" in failure.value.what
    _, found = read(path, HFTD_PASSPHRASE="third-77")
    with pytest.raises(KeyError):
        found.reveal("passphrase")


def test_each_part_is_taken_out_of_texts_by_its_value_and_by_its_name():
    key = "0x" + "5e" * 32
    assert Secret(key)
    assert key[2:] not in redacted(f"bad key {key} or {key[2:]}")
    for part in ("passphrase", "wallet_key", "api_key", "secret"):
        assert "never-seen-before" not in redacted(f'{{"{part}": "never-seen-before"}}')


def test_a_secret_shows_in_no_text_that_is_made_of_it():
    secret = Secret(SECRET)
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        repr([secret]),
    ):
        assert SECRET not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert secret == Secret(SECRET)
    assert secret != Secret("other")


@pytest.mark.parametrize(
    "text",
    [
        f'secret = "{SECRET}',
        f'secret = "{SECRET}"\nsecret = "{SECRET}"',
        f"secret = ['{SECRET}']",
        f"api_key = {{ a = '{SECRET}' }}",
        f"secrte = '{SECRET}'",
        f"[limits]\nsecret = '{SECRET}'",
        f"order_prefix = 'way too long'\nsecret = '{SECRET}'",
    ],
)
def test_no_mistake_in_the_file_makes_a_message_with_the_secret(path, text):
    path.write_text(text)
    with pytest.raises(ConfigError) as failure:
        read(path)
    assert SECRET not in str(failure.value)
    assert SECRET not in repr(failure.value)


def test_the_configuration_itself_shows_no_secret():
    shown = repr(ConnectorConfig(api_key=KEY, secret=SECRET))
    assert KEY not in shown
    assert SECRET not in shown
    assert "order_prefix='hftd'" in shown


def test_limits_of_the_account_and_of_bots_are_read_and_mistyped_ones_refused(path):
    path.write_text(
        "[limits]\nmax_position = 3\n[bots.mm]\nmax_order_qty = 0.5\npull_quotes = true\n"
        "[bots.mm.instruments.BTCUSDT]\nmax_position = 1\n"
    )
    config, _ = read(path)
    assert config.limits.max_position == 3
    assert config.bots["mm"].max_order_qty == 0.5
    assert config.bots["mm"].pull_quotes
    path.write_text("[bots.mm]\nmax_positon = 3\n")
    with pytest.raises(ConfigError, match="unknown key 'max_positon'") as failure:
        read(path)
    assert "max_position" in failure.value.hint


LOOK = """
import os, sys
from daemon.connector.secrets import close_process, forget_environment
assert close_process()
forget_environment()
shown = open("/proc/self/environ", "rb").read()
print([b"sesame" in shown, b"PATH=" in shown, "HFTD_SECRET" in os.environ, "PATH" in os.environ])
print(os.popen("env").read().count("sesame"))
"""


def test_the_environment_forgets_its_secrets_and_so_does_the_systems_copy_of_it():
    environment = {**os.environ, "HFTD_SECRET": "open sesame", "HFTD_API_KEY": "sesame too"}
    done = subprocess.run([sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[False, True, False, True]", "0"], done.stderr


def test_no_other_process_of_the_user_looks_into_a_closed_one():
    program = (
        "import ctypes; from daemon.connector.secrets import close_process; close_process();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "0\n", "PR_GET_DUMPABLE"


@pytest.mark.parametrize("venue", venue_names())
@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ('["BTCUSDT", ""]', "empty names"),
        ('[" "]', "empty names"),
        ('["BTCUSDT", "ETHUSDT", "BTCUSDT"]', "'BTCUSDT' is listed 2 times"),
        ('["BTCUSDT", "btcusdt"]', "'BTCUSDT' is listed 2 times"),
    ],
)
def test_symbols_that_are_empty_or_doubled_are_refused(tmp_path, venue, symbols, said):
    path = tmp_path / f"{venue}.toml"
    path.write_text(f"symbols = {symbols}\n")
    with pytest.raises(ConfigError, match=said) as failure:
        load_connector(path, find_venue(venue).config_type, venue, {})
    assert failure.value.where == f"{path}:1"


@pytest.mark.parametrize(
    ("venue", "key", "said"),
    [
        ("binancecoinm", "dcp_window_s", "`countdown_s`"),
        ("binancefutures", "dcp_window_s", "`countdown_s`"),
        ("bybit", "countdown_s", "`dcp_window_s`"),
        ("bybit", "ws_api_url", "`stream_url`"),
    ],
)
def test_a_key_of_another_exchange_is_answered_with_what_is_in_its_place(tmp_path, venue, key, said):
    path = tmp_path / f"{venue}.toml"
    path.write_text(f"{key} = 5\n")
    with pytest.raises(ConfigError, match=f"unknown key '{key}'") as failure:
        load_connector(path, find_venue(venue).config_type, venue, {})
    assert said in failure.value.hint
    assert "did you mean" not in failure.value.hint
