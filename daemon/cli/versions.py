"""The versions that a report of a problem should name."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("numba", "llvmlite", "numpy", "msgspec", "click", "rich", "matplotlib", "aiohttp", "uvloop")


def versions() -> str:
    """Hftd's version on the first line, then what it stands on."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    lines = [f"hftd {_version('hftd')}", f"python {platform.python_version()}, {system}"]
    lines += [f"{name} {_version(name)}" for name in _PACKAGES]
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"
