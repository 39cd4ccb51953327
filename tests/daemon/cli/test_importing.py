"""Commands import without the garbage collector, and only import without it."""

import subprocess
import sys

_PROGRAM = """
import gc
from daemon.cli.importing import importing
with importing():
    inside = gc.isenabled()
    {imported}
print(inside, gc.isenabled(), gc.get_freeze_count() > 0)
"""


def _told(imported: str, before: str = "") -> str:
    program = before + _PROGRAM.format(imported=imported)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_garbage_is_collected_again_once_a_command_has_imported_what_it_needs():
    assert _told("import click") == "False True True"


def test_garbage_is_collected_again_after_an_import_that_failed():
    program = "try:\n    with importing():\n        import no_such_module\nexcept ImportError:\n    pass\n"
    program = f"import gc\nfrom daemon.cli.importing import importing\n{program}print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_program_that_calls_a_command_keeps_its_own_garbage_collector_as_it_is():
    assert _told("pass", before="import numba\n") == "True True False"
    assert _told("pass", before="import gc\ngc.disable()\n") == "False False False"
