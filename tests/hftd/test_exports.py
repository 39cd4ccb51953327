import subprocess
import sys
from importlib import metadata

import pytest

import hftd
import sim


@pytest.mark.parametrize(("package", "heavy"), [("hftd", {"numpy", "numba"}), ("sim", {"numba"})])
def test_importing_a_package_is_cheap(package, heavy):
    code = f"import {package}, sys; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_backtest_script_finds_its_names_in_sim():
    scope = {}
    exec("from sim import *", scope)
    for name in ("BacktestAsset", "HashMapMarketDepthBacktest", "ROIVectorMarketDepthBacktest", "Recorder"):
        assert callable(scope[name])
    assert (scope["BUY"], scope["GTX"], scope["LIMIT"]) == (1, 1, 0)


def test_what_both_packages_export_is_the_same():
    for name in set(hftd.__all__) & set(sim.__all__):
        assert getattr(hftd, name) is getattr(sim, name)


@pytest.mark.parametrize("package", [hftd, sim])
def test_a_name_that_is_not_there_is_said_with_its_package(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'BacktesAsset'"):
        _ = package.BacktesAsset


def test_the_version_is_the_installed_one():
    assert hftd.__version__ == metadata.version("hftd")
