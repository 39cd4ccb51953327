"""What the file of a run notes of what the run was made from."""

from pathlib import Path

import msgspec

from hftd.bot.config import BotConfig
from hftd.runs.recipe import Market, Noting


def noting_of(bot: BotConfig, base: Path, life_rows: int = 0) -> Noting:
    """Notes what a bot's run is made from.

    Args:
        bot: Its configuration.
        base: The configuration's folder.
        life_rows: As of `hftd backtest --explain`; 0 without.
    """
    return Noting(msgspec.to_builtins(bot), base, _files_of, life_rows)


def _files_of(market: Market) -> list[tuple[str, Path]]:
    # A bot on channels starts, and a live one runs, without the simulator.
    from sim.archive.played import files_of

    return files_of(market)
