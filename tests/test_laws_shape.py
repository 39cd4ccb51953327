"""The shape of the house: no circle between folders, no folder of too many files, no name that nothing uses."""

from collections import Counter
from pathlib import PurePosixPath

import pytest

from tests.laws import PACKAGES, ROOT, sources
from tests.laws_shape import circles, rooms, unused

FILES_MAX = 16
ONE_FILE_A_COMMAND = {"daemon/cli/commands"}


def product() -> dict[PurePosixPath, str]:
    """The product's files: texts by path from the root."""
    return {
        PurePosixPath(path.relative_to(ROOT)): path.read_text()
        for folder in PACKAGES
        for path in sources(folder)
    }


def test_no_folders_import_each_other():
    assert circles(rooms(product())) == []


def test_no_folder_has_more_files_than_one_can_know():
    counts = Counter(str(path.parent) for path in product() if path.name != "__init__.py")
    too_many = {folder: count for folder, count in counts.items() if count > FILES_MAX}
    assert {folder: n for folder, n in too_many.items() if folder not in ONE_FILE_A_COMMAND} == {}


def test_every_name_is_used():
    """In the product or by a test of it, or it is promised: in the docs, as a public name, as a name of HftBacktest."""
    others = [
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/**/*.py"),
        ROOT / "README.md",
        ROOT / "pyproject.toml",
    ]
    others += [ROOT / "tests" / "public_names.txt", *sources("tests"), *sources("benchmarks")]
    found = unused(product(), (path.read_text() for path in others))
    assert [one for one in found if not one.startswith("sim/data/")] == []


def test_a_circle_is_found():
    files = {
        "a/x/one.py": "from a.y import two",
        "a/y/__init__.py": "",
        "a/y/two.py": "def f():\n    from a.z.three import name",
        "a/z/three.py": "import a.x.one",
        "a/ground.py": "from a.x.one import name",
    }
    found = circles(rooms({PurePosixPath(path): text for path, text in files.items()}))
    assert found == [["a/x", "a/y", "a/z"]]


@pytest.mark.parametrize(
    "files",
    [
        {"a/x/one.py": "from a.x import two", "a/x/two.py": "import a.x.one"},
        {"a/x/one.py": "from a.ground import name", "a/facade.py": "import a.x.one", "a/ground.py": ""},
        {
            "a/x/one.py": "if TYPE_CHECKING:\n    from a.y.two import Name",
            "a/y/two.py": "from a.x.one import f",
        },
        {"a/x/one.py": "import os", "a/y/two.py": "import a.x.one"},
    ],
)
def test_what_is_no_circle_is_left_alone(files):
    assert circles(rooms({PurePosixPath(path): text for path, text in files.items()})) == []


@pytest.mark.parametrize(
    "text", ["def gone():\n    pass", "class Gone:\n    pass", "GONE = 1", "GONE: int = 1"]
)
def test_a_name_that_nothing_uses_is_found(text):
    assert len(unused({PurePosixPath("a/one.py"): text}, [])) == 1


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("def used():\n    pass\nused()", ""),
        ("def promised():\n    pass", "call `promised()`"),
        ("class A:\n    def __len__(self):\n        return 1\nA()", ""),
        ("@overload_method(Type, 'f')\ndef registered(self):\n    pass", ""),
    ],
)
def test_a_name_that_is_used_or_promised_is_left_alone(text, other):
    assert unused({PurePosixPath("a/one.py"): text}, [other]) == []
