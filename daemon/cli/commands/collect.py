"""`hftd collect`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE

_EPILOG = """\b
Examples:
  hftd collect --config configs/collect.toml
  hftd collect --config /etc/hftd/collect.toml --replace
  hftd status collect

Files are FOLDER/EXCHANGE/SYMBOL_DAY.zst (FOLDER as the configuration says), with
lines of `<local ns> <json>`: what `hftd convert EXCHANGE` reads. Beside each
stands what is missing of it (.quality.jsonl), which `hftd convert` puts into the
archive.

--replace begins beside the collector of that name, in files of its own, and
ends it once all symbols are heard: nothing is missing between the two.
SIGTERM and Ctrl-C write what came, and end.
"""


@click.command("collect", epilog=_EPILOG)
@click.option("--config", type=FILE, metavar="FILE.toml", required=True, help="The configuration.")
@click.option("--replace", is_flag=True, help="Take the place of the collector that runs under that name.")
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["auto", "people", "json"]),
    default="auto",
    show_default=True,
    help="How the log on stderr is written: auto is for people on a terminal, else JSON.",
)
@click.option("--seed", type=int, help="Of the jitter of reconnects. Default: another one each time.")
def command(config: Path, replace: bool, log_format: str, seed: int | None) -> None:
    """Record the raw market data of exchanges, and what is missing of it."""
    with importing():
        from daemon.cli.compiling import watching
        from daemon.cli.logs import log_events
        from daemon.cli.run.archiving import Archiver
        from daemon.collector.config import load_collect
        from daemon.collector.service import Collector, run
        from hftd.clock import wall_ns

    log_events(log_format)
    collect_config, followed, folder, archives = load_collect(config)
    archiver = Archiver(folder, archives, collect_config.compression) if collect_config.convert else None
    chosen = wall_ns() & 0x7FFFFFFF if seed is None else seed
    with watching("none" if log_format == "json" else "auto"):
        run(
            lambda: Collector(
                collect_config, followed, folder, replaces=replace, convert=archiver, seed=chosen
            )
        )
