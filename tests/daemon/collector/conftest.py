import pytest


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path_factory, monkeypatch):
    """A runtime directory of the test's own; short, since a socket's path is."""
    path = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(path))
    return path
