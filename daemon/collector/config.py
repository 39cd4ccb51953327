"""What `collect.toml` says."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from daemon.collector.source import Source, find_collectable
from daemon.connector.config import Positive
from daemon.connector.venue import check_addresses
from hftd.config import Section, check_name, load, quoted, resolve
from hftd.errors import ConfigError


class CollectConfig(Section, frozen=True):
    """A recorder's configuration.

    Attributes:
        name: By which `hftd status` finds it.
        folder: Where files go, in a folder for each exchange; relative to the configuration.
        compression: "zstd", or "gzip" for tools that know nothing else.
        level: Of zstd 1 to 19, of gzip 1 to 9.
        frame_s: How often what came is closed and written: so much a kill loses at most.
        connections: So many sockets bring each stream; what one brings that another has brought is left out.
        snapshot_every_s: How often whole books are asked for, beside the start and each break.
        disk_floor_gb: With less room on the disk nothing more is recorded, until there is more again.
        convert: Whether each day, once it is over, is made an archive and validated.
        archives: Where these go; relative to the configuration.
        venues: By exchange what its connector's configuration may have of market data: addresses, `depth`, `symbols`.
    """

    folder: str
    venues: dict[str, dict[str, Any]]
    name: str = "collect"
    compression: Literal["zstd", "gzip"] = "zstd"
    level: Annotated[int, msgspec.Meta(ge=1, le=19)] = 3
    frame_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 60.0
    connections: Annotated[int, msgspec.Meta(ge=1, le=4)] = 2
    snapshot_every_s: Positive = 3600.0
    disk_floor_gb: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    convert: bool = False
    archives: str = "archives"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("name", self.name)
        if self.compression == "gzip" and self.level > 9:
            raise ValueError(f"`level` of gzip must be 1 to 9, is {self.level}")
        if not self.venues:
            raise ValueError("`venues` must have a table such as [venues.binancefutures]")


class Followed(msgspec.Struct, frozen=True):
    """An exchange to record: its streams, and its symbols as it spells them."""

    name: str
    source: Source
    symbols: tuple[str, ...]


def load_collect(path: Path) -> tuple[CollectConfig, list[Followed], Path, Path]:
    """Read a recorder's configuration.

    Returns:
        It, the exchanges, the folder of recordings, and that of archives.

    Raises:
        ConfigError: It is wrong.
    """
    config = load(path, CollectConfig)
    found = [_followed(name, table, path) for name, table in config.venues.items()]
    return config, found, resolve(path.parent, config.folder), resolve(path.parent, config.archives)


def _followed(name: str, table: dict[str, Any], path: Path) -> Followed:
    where = f"{path}, [venues.{name}]"
    try:
        venue = find_collectable(name)
        config = msgspec.convert(table, venue.config_type)
        check_addresses(name, config, where)
    except ConfigError as error:
        raise ConfigError(error.what, where=where, hint=error.hint) from None
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace(" - at `$.", ", at `"), where=where) from None
    symbols = tuple(dict.fromkeys(venue.spell(symbol.strip()) for symbol in config.symbols))
    if not symbols:
        raise ConfigError("there is nothing to record: `symbols` is empty", where=where)
    source = venue.source(config)
    per_symbol = len(source.facts.streams(symbols[0]))
    if per_symbol > source.facts.streams_max:
        raise ConfigError(f"{quoted(symbols[0])} has more streams than a connection takes", where=where)
    return Followed(name, source, symbols)
