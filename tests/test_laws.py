import importlib
import importlib.metadata
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.laws import (
    CLOCK_USERS,
    PACKAGES,
    ROOT,
    STRATEGY_IMPORTS,
    clock_reads,
    clocks_misused,
    folders_without_init,
    foreign_imports,
    imports_beyond,
    machine_paths,
    pauseless_loops,
    prints,
    sources,
    unseeded_randomness,
)

MACHINE = [str(ROOT)] if len(ROOT.parts) > 2 else []


def broken(paths: Iterable[Path], check: Callable[[str], list[str]]) -> list[str]:
    """What breaks a law, as file and line."""
    return [f"{path.relative_to(ROOT)} {what}" for path in paths for what in check(path.read_text())]


def is_command_line(path: Path) -> bool:
    return path.is_relative_to(ROOT / "daemon" / "cli")


def tracked_files() -> list[Path]:
    """What git tracks; without git, everything but what a build makes."""
    try:
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        found = [ROOT / os.fsdecode(name) for name in listing.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        made = {".venv", ".git", "data", "demo", "__pycache__", "build", "dist"}
        found = [path for path in ROOT.rglob("*") if not made & set(path.relative_to(ROOT).parts)]
    return [path for path in found if path.is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_hftd_is_the_ground_floor():
    forbidden = {"daemon", "sim", "strategies", "tests", "benchmarks"}
    assert broken(sources("hftd"), lambda source: foreign_imports(source, forbidden)) == []


def test_daemon_and_sim_meet_only_in_the_command_line():
    live = [path for path in sources("daemon") if not is_command_line(path)]
    assert broken(live, lambda source: foreign_imports(source, {"sim", "strategies", "tests"})) == []
    forbidden = {"daemon", "strategies", "tests"}
    assert broken(sources("sim"), lambda source: foreign_imports(source, forbidden)) == []


def test_strategies_import_hftd_and_numbers_only():
    assert broken(sources("strategies"), lambda source: imports_beyond(source, STRATEGY_IMPORTS)) == []


def test_only_the_clock_module_reads_a_clock():
    files = [path for package in PACKAGES for path in sources(package) if path != ROOT / "hftd" / "clock.py"]
    assert broken(files, clock_reads) == []


def test_each_clock_is_used_where_it_belongs_and_nowhere_else():
    files = [path for package in PACKAGES for path in sources(package) if path != ROOT / "hftd" / "clock.py"]
    assert [
        f"{path.relative_to(ROOT)} {what}"
        for path in files
        for what in clocks_misused(path.read_text(), path.relative_to(ROOT).as_posix())
    ] == []


def test_the_table_of_clocks_has_each_clock_and_only_users_that_there_are():
    import hftd.clock

    public = {name for name in vars(hftd.clock) if name.endswith("_ns") and not name.startswith("_")}
    assert public | {"sleep", "LOCAL_LAG"} == set(CLOCK_USERS)
    for name in public:
        assert f"`{name}`" in (hftd.clock.__doc__ or "")
    assert [user for users in CLOCK_USERS.values() for user in users if not (ROOT / user).exists()] == []


def test_randomness_is_seeded():
    files = [path for folder in (*PACKAGES, "tests", "benchmarks") for path in sources(folder)]
    assert broken(files, unseeded_randomness) == []


MAY_GO_ROUND_AT_ONCE = {
    "daemon/log_writer.py": {"_write_out": "a thread of its own, which waits between tries by a condition"},
    "daemon/orders/manager.py": {"_let_out": "what can't be written is taken out of the queue, which ends"},
    "daemon/ops/records/reading.py": {"_rows": "each turn is a record further, and the file ends"},
    "daemon/venues/binance/queries.py": {"all_trades": "PAGES_MAX pages, and one that fails ends it"},
}
"""Loops without a pause that are no retries, and why."""


def test_no_loop_tries_again_without_a_pause():
    files = [path for package in ("daemon", "hftd") for path in sources(package)]
    excused = {f"{path} {name}" for path, functions in MAY_GO_ROUND_AT_ONCE.items() for name in functions}
    found = {
        f"{path.relative_to(ROOT)} {what.rpartition(' ')[2]}"
        for path in files
        for what in pauseless_loops(path.read_text())
    }
    assert found == excused


def test_libraries_print_nothing():
    # But for the error of a run that nobody asks for.
    told = ROOT / "hftd" / "failures.py"
    files = [
        path
        for package in PACKAGES
        for path in sources(package)
        if not is_command_line(path) and path != told
    ]
    assert broken(files, prints) == []


def test_no_tracked_file_names_this_machine_or_a_package_host():
    # The law's own checker and its test have to spell out what they look for.
    files = [path for path in tracked_files() if path.name not in ("laws.py", "test_laws.py")]
    assert [
        f"{path.relative_to(ROOT)} {what}" for path in files for what in machine_paths(text_of(path), MACHINE)
    ] == []


def test_the_readme_names_the_two_commands_that_do_everything():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for command in ("make demo", "make test"):
        assert command in readme
        assert f"\n{command.split()[1]}:" in makefile


def test_every_test_folder_is_a_package():
    assert folders_without_init(ROOT / "tests") == []


def test_python_daemon_is_not_installed_beside_us():
    # It owns the import name `daemon` too, and one of the two would be hidden.
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.distribution("python-daemon")
    import daemon

    assert Path(daemon.__file__ or "").parent == ROOT / "daemon"


@pytest.mark.parametrize("package", ["hftd", "sim"])
def test_the_public_names_are_those_that_users_were_promised(package):
    lines = (ROOT / "tests" / "public_names.txt").read_text().splitlines()
    promised = [line.split()[1] for line in lines if line.startswith(f"{package} ")]
    module = importlib.import_module(package)
    assert promised == sorted(promised), "keep tests/public_names.txt sorted"
    assert sorted(getattr(module, "__all__", [])) == promised
    for name in promised:
        assert hasattr(module, name)


def test_no_module_is_too_long_to_fit_in_a_head():
    files = [path for folder in (*PACKAGES, "tests", "benchmarks") for path in sources(folder)]
    assert [str(path.relative_to(ROOT)) for path in files if path.read_text().count("\n") > 650] == []


# The checkers themselves: each law's checker finds what it is there for, and leaves the rest alone.


@pytest.mark.parametrize(
    "source",
    [
        "import sim",
        "import sim.run as r",
        "from sim.run import x",
        "def f():\n    from sim import x",
        "importlib.import_module('sim.run')",
    ],
)
def test_a_forbidden_import_is_found(source):
    assert foreign_imports(source, {"sim"}) != []


@pytest.mark.parametrize(
    "source", ["import simple", "from hftd import sim_x", "from . import sim", "x = 'import sim'"]
)
def test_an_allowed_import_is_left_alone(source):
    assert foreign_imports(source, {"sim"}) == []


def test_an_import_beyond_the_allowed_ones_is_found():
    source = "import os\nimport numpy as np\nfrom .helper import x"
    assert imports_beyond(source, {"numpy"}) == ["line 1: imports os"]


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from time import monotonic",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\nx = datetime.utcnow()",
        "from datetime import date\ndate.today()",
        "asyncio.get_running_loop().time()",
        "self._loop.time()",
        "np.datetime64('now')",
        "get('clock_gettime')",
    ],
)
def test_a_read_of_a_clock_is_found(source):
    assert clock_reads(source) != []


@pytest.mark.parametrize(
    "source",
    ["from hftd.clock import wall_ns\nwall_ns()", "row.time()", "datetime.fromtimestamp(3)", "timeout = 3"],
)
def test_what_is_no_read_of_a_clock_is_left_alone(source):
    assert clock_reads(source) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("daemon/orders/commands.py", "from hftd.clock import running_ns"),
        ("daemon/connector/limiter.py", "from hftd.clock import monotonic_ns, wall_ns"),
        ("hftd/bot/backend.py", "from hftd.clock import system_ns as now"),
        ("sim/engine/run.py", "def f():\n    from hftd.clock import stamp_ns"),
        ("daemon/connector/service.py", "from hftd.clock import sleep"),
        ("daemon/connector/x.py", "import hftd.clock"),
        ("daemon/connector/x.py", "from hftd import clock"),
        ("daemon/connector/x.py", "from hftd.clock import a_new_one"),
    ],
)
def test_a_clock_in_the_wrong_place_is_found(path, source):
    assert len(clocks_misused(source, path)) == 1


def test_a_clock_in_its_place_is_left_alone():
    assert clocks_misused("from hftd.clock import monotonic_ns", "sim/run.py") == []
    assert clocks_misused("from hftd.clock import boot_ns, running_ns", "daemon/connector/report.py") == []


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.random()",
        "import random\nrandom.Random()",
        "from random import shuffle\nshuffle(x)",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy as np\nnp.random.default_rng(None)",
        "import numpy as np\nnp.random.rand(3)",
        "from numpy.random import default_rng\ndefault_rng()",
    ],
)
def test_randomness_without_a_seed_is_found(source):
    assert unseeded_randomness(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "import random\nrandom.Random(3)",
        "import numpy as np\nnp.random.default_rng(seed)",
        "import numpy as np\nr = np.random.default_rng(seed=1)\nr.random()",
        "random = make(seed)\nrandom.normal()",
    ],
)
def test_seeded_randomness_is_left_alone(source):
    assert unseeded_randomness(source) == []


TRIES = """
    try:
        await ask()
    except OSError:
        {}
"""


@pytest.mark.parametrize(
    "body",
    [
        TRIES.format("pass"),
        TRIES.format("continue"),
        TRIES.format("await asyncio.sleep(0)"),
        # A pause that the failure comes before.
        "\n    try:\n        await ask()\n        await asyncio.sleep(1)\n    except OSError:\n        pass\n",
        "\n    with contextlib.suppress(OSError):\n        await asyncio.sleep(1)\n",
        # One way waits, the other does not.
        "\n    if x:\n        await asyncio.sleep(1)\n    else:\n        await ask()\n",
        "\n    await ask()\n",
        "\n    for _ in x:\n        await asyncio.sleep(1)\n",
    ],
)
def test_a_loop_that_tries_again_at_once_is_found(body):
    assert pauseless_loops(f"async def f():\n  while True:{body}") == ["line 2: f"]


def test_a_loop_of_a_plain_function_that_swallows_what_fails_is_found():
    source = "def f():\n  while True:\n    try:\n      g()\n    except OSError:\n      pass\n"
    assert pauseless_loops(source) == ["line 2: f"]
    assert pauseless_loops(source + "    sleep(1)\n") == []


@pytest.mark.parametrize(
    "body",
    [
        TRIES.format("raise") + "    else:\n        return\n",
        TRIES.format("await backoff.pause(error)") + "    else:\n        return\n",
        TRIES.format("why = 1") + "    await asyncio.sleep(wait_s)\n",
        "\n    message = await socket.receive()\n    if not message:\n        continue\n",
        "\n    x.popleft()\n",
        "\n    with contextlib.suppress(TimeoutError):\n        await event.wait()\n",
        "\n    try:\n        await ask()\n    finally:\n        await asyncio.sleep(1)\n",
    ],
)
def test_a_loop_that_pauses_or_ends_is_left_alone(body):
    assert pauseless_loops(f"async def f():\n  while True:{body}") == []


@pytest.mark.parametrize("source", ["print(1)", "import sys\nsys.stdout.write('x')", "pprint.pprint(x)"])
def test_a_print_is_found(source):
    assert prints(source) != []


@pytest.mark.parametrize(
    "text", ["see /home/ann/x", "/root/x", "/Users/ann", "https://pypi.org/simple", "in /srv/proj/x"]
)
def test_a_path_of_a_machine_and_a_package_host_are_found(text):
    assert machine_paths(text, ["/srv/proj"]) != []


@pytest.mark.parametrize("text", ["/run/hftd", "~/x", "the root/x", "$HOME/home/x", "/srv/project"])
def test_general_paths_are_left_alone(text):
    assert machine_paths(text, ["/srv/proj"]) == []


def test_a_test_folder_without_init_is_found(tmp_path):
    (tmp_path / "tests" / "a").mkdir(parents=True)
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "tests" / "a" / "test_x.py").touch()
    assert folders_without_init(tmp_path / "tests") == ["tests/a"]
