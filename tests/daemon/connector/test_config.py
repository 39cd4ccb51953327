"""What a user may rely on: keys are checked, and secrets stay where they belong."""

import copy
import os
import pickle
import subprocess
import sys

import pytest

from daemon.connector.config import ConnectorConfig, load_connector
from daemon.connector.secrets import Secret
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
    assert credentials.api_key.reveal() == KEY
    assert credentials.secret.reveal() == SECRET
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
    assert credentials.api_key.reveal() == "a"


def test_the_environment_goes_before_credentials_and_these_before_the_file(path, tmp_path):
    credentials_folder = tmp_path / "credentials"
    credentials_folder.mkdir()
    (credentials_folder / "api_key").write_text("from systemd\n")
    (credentials_folder / "secret").write_text("also\n")
    folder = str(credentials_folder)
    _, found = read(path, CREDENTIALS_DIRECTORY=folder)
    assert (found.api_key.reveal(), found.secret.reveal()) == ("from systemd", "also")
    _, found = read(path, CREDENTIALS_DIRECTORY=folder, HFTD_API_KEY="from here", HFTD_SECRET="x")
    assert (found.api_key.reveal(), found.secret.reveal()) == ("from here", "x")


def test_one_credential_with_the_connectors_name_holds_both(path, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "binancefutures").write_text('api_key = "k"\nsecret = "s"\n')
    _, found = read(path, CREDENTIALS_DIRECTORY=str(tmp_path / "c"))
    assert (found.api_key.reveal(), found.secret.reveal()) == ("k", "s")
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

    passphrase: str = ""


def test_keys_of_three_parts_come_as_those_of_two_and_none_may_be_missing(path, tmp_path):
    with pytest.raises(ConfigError, match="no passphrase"):
        load_connector(path, ThreeParts, "three", {})
    _, found = load_connector(path, ThreeParts, "three", {"HFTD_PASSPHRASE": "third-77"})
    assert (found.secret.reveal(), found.passphrase.reveal()) == (SECRET, "third-77")
    path.write_text(f'api_key = "{KEY}"\nsecret = "{SECRET}"\npassphrase = "third-77"\n')
    config, found = load_connector(path, ThreeParts, "three", {})
    assert found.passphrase.reveal() == "third-77"
    assert config.passphrase == ""
    assert "third-77" not in repr(found)
    path.write_text(f'api_key = "{KEY}"\nsecret = "{SECRET}"\npassphrase = 77\n')
    with pytest.raises(ConfigError) as failure:
        load_connector(path, ThreeParts, "three", {})
    assert SECRET not in str(failure.value)
    # Where there is no third part, the environment's is not taken.
    path.write_text(f'api_key = "{KEY}"\nsecret = "{SECRET}"\n')
    assert not read(path, HFTD_PASSPHRASE="third-77")[1].passphrase


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
