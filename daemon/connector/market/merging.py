"""New descriptions of instruments, put to those that are known."""

from collections.abc import Sequence

import msgspec
import structlog

from daemon.messages import STEPS_CHANGED, Instrument

_log = structlog.get_logger("hftd.connector")


def merge(known: dict[str, Instrument], instruments: Sequence[Instrument]) -> list[Instrument]:
    """Take over new descriptions.

    Args:
        known: The instruments by symbol, brought up to date.
        instruments: How the venue describes them now; one that is not among them stays as it is.

    Returns:
        Those of which something is new.
    """
    numbers = {one.number: one.symbol for one in known.values()}
    changed: list[Instrument] = []
    for one in instruments:
        before = known.get(one.symbol)
        if before is None:
            if numbers.setdefault(one.number, one.symbol) != one.symbol:
                # Its number is taken by another one: it is there after a restart.
                continue
            _log.info("instrument_added", symbol=one.symbol, is_trading=one.is_trading)
        elif before.trouble == STEPS_CHANGED and one.trouble != STEPS_CHANGED:
            continue
        elif (before.tick_size, before.lot_size) != (one.tick_size, one.lot_size):
            one = msgspec.structs.replace(
                before,
                is_trading=False,
                trouble=STEPS_CHANGED,
                why="its tick_size or lot_size is another one at the exchange: restart the connector",
            )
        elif one.number != before.number:
            one = msgspec.structs.replace(one, number=before.number)
        if one == before:
            continue
        known[one.symbol] = one
        changed.append(one)
        if before is not None and one.trouble != before.trouble:
            _log_trouble(one)
    return changed


def _log_trouble(one: Instrument) -> None:
    if one.trouble == STEPS_CHANGED:
        _log.error("instrument_steps_changed", symbol=one.symbol, why=one.why)
    elif one.trouble:
        _log.warning("instrument_not_trading", symbol=one.symbol, trouble=one.trouble, why=one.why)
    else:
        _log.info("instrument_trading", symbol=one.symbol)
