"""The version of hftd that is installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("hftd")
except PackageNotFoundError:
    # Run from a folder of sources.
    __version__ = "0+unknown"
