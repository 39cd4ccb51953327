"""Compiled code is run from the cache, so a folder in which others may put theirs is not used."""

import os
import stat
from pathlib import Path

import pytest

from hftd.compiled.jit import cache_dir, why_unsafe
from hftd.errors import ConfigError

NOBODY = 65_534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "above" / "cache"
    path.mkdir(parents=True, mode=0o700)
    path.parent.chmod(0o755)
    return path


@pytest.mark.parametrize(("mode", "is_safe"), [(0o700, True), (0o755, True), (0o770, False), (0o757, False)])
def test_a_folder_that_others_may_write_is_unsafe(folder, mode, is_safe):
    folder.chmod(mode)
    assert (why_unsafe(folder) == "") is is_safe


@pytest.mark.parametrize(("mode", "is_safe"), [(0o755, True), (0o777, False), (0o777 | stat.S_ISVTX, True)])
def test_a_folder_in_one_that_others_may_write_is_unsafe_for_it_may_be_replaced(folder, mode, is_safe):
    folder.parent.chmod(mode)
    assert (why_unsafe(folder) == "") is is_safe


@needs_root
def test_a_folder_of_another_user_and_one_below_it_and_a_link_of_theirs_are_unsafe(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert why_unsafe(link) == ""
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    assert "link belongs to another user" in why_unsafe(link)
    os.chown(folder.parent, NOBODY, NOBODY)
    assert "above belongs to another user" in why_unsafe(folder)


def test_a_link_to_an_unsafe_folder_is_unsafe(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    folder.parent.chmod(0o777)
    assert "others may write" in why_unsafe(tmp_path / "link")


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch):
    """Asks anew, in an environment of the test's own."""
    cache_dir.cache_clear()
    for name in ("HFTD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch.setenv
    monkeypatch.undo()
    cache_dir.cache_clear()


def test_a_named_folder_that_is_unsafe_is_an_error_that_says_why(folder, chosen):
    folder.chmod(0o777)
    chosen("HFTD_CACHE_DIR", str(folder))
    with pytest.raises(ConfigError, match=r"others may write .*cache") as raised:
        cache_dir()
    assert raised.value.where == "HFTD_CACHE_DIR"
    folder.chmod(0o700)
    assert cache_dir() == folder


def test_a_usual_folder_that_is_unsafe_is_left_for_the_next_one(folder, chosen, tmp_path):
    chosen("XDG_CACHE_HOME", str(folder))
    (folder / "hftd").mkdir()
    (folder / "hftd").chmod(0o777)
    chosen("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "hftd"
