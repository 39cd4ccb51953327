"""Whether bot, connector and exchange agree on an account, to the last unit.

All of it is compared in whole lots and in whole units of 1e-8 of the margin asset, the exchange's own: the quote
currency, or the coin of an inverse contract. There the exchange rounds each profit to such a unit, and bot and
connector do not, so wallets may be apart by one unit for each execution.

Of a spot pair the exchange tells balances. The position is what the base has changed by, to its last unit, and the
wallet is that of the quote. A fee in the base counts by its value at the execution's price, which has more digits than
a unit has: sums of such values may be apart by one.
"""

from collections import Counter
from fractions import Fraction
from typing import Any

import msgspec

from hftd.bot.result import AssetResult, BotResult
from hftd.control import status

_UNITS = 100_000_000


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was traded in one instrument, as somebody knows it.

    Attributes:
        position: In lots, negative for a short one; of a spot pair in 1e-8 of the base.
        executions: How many there were.
        volume: Their lots added up.
        value: Their values added up, in 1e-8 of the margin asset.
        cash: What was received less what was paid, without fees, in the same unit.
        fees: In the same unit; negative for rebates.
    """

    position: int
    executions: int
    volume: int
    value: int
    cash: int
    fees: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the comparison: texts for people, and whether they say the same."""

    what: str
    bot: str
    connector: str
    exchange: str
    agrees: bool


def of_values(values: Any, lot_size: float, position_unit: float) -> Account:
    """The account in a bot's result (`AssetResult`) or in a connector's status (`status.Position`)."""
    return Account(
        position=round(values.position / position_unit),
        executions=values.num_trades,
        volume=round(values.trading_volume / lot_size),
        value=round(values.trading_value * _UNITS),
        cash=round(values.balance * _UNITS),
        fees=round(values.fee * _UNITS),
    )


def of_truth(
    truth: dict[str, Any], symbol: str, inverse_size: float = 0.0, pair: tuple[str, str] | None = None
) -> Account:
    """The account as the local exchange's control page tells it.

    Args:
        truth: What it tells.
        symbol: Of the instrument.
        inverse_size: The size of an inverse contract, whose values are added up before they are rounded; else 0.
        pair: Base and quote of a spot pair.
    """
    base = pair[0] if pair is not None else ""
    trades = [trade for trade in truth["trades"] if trade["symbol"] == symbol]
    values = [
        Fraction(inverse_size) * Fraction(trade["qty"]) / Fraction(trade["price"]) * _UNITS
        if inverse_size
        else trade["money"]
        for trade in trades
    ]
    # Those in the base, by their value: as if it had been sold for them.
    in_base = sum(
        Fraction(trade["fee"]) * Fraction(trade["price"])
        for trade in trades
        if base and trade["fee_asset"] == base
    )
    fees = sum(trade["fee"] for trade in trades if not base or trade["fee_asset"] != base)
    if pair is not None:
        wallet = _wallet(truth, base)
        position = wallet["balance"] - wallet["start_balance"]
    else:
        position = sum(one["lots"] for one in truth["positions"] if one["symbol"] == symbol)
    return Account(
        position=position,
        executions=len(trades),
        volume=sum(trade["lots"] for trade in trades),
        value=round(sum(values)),
        cash=round(
            in_base + sum(-trade["side"] * value for trade, value in zip(trades, values, strict=True))
        ),
        fees=round(in_base + fees),
    )


def _wallet(truth: dict[str, Any], asset: str) -> dict[str, Any]:
    return next(one for one in truth["wallets"] if one["asset"] == asset)


def _bot_fills(
    result: BotResult, asset_no: int, tick_size: float, lot_size: float
) -> Counter[tuple[int, int, int, bool]]:
    return Counter(
        (
            1 if fill["side"] > 0 else -1,
            round(fill["price"] / tick_size),
            round(fill["qty"] / lot_size),
            fill["maker"] != 0,
        )
        for fill in result.fills[result.fills["asset_no"] == asset_no]
    )


def _fills(truth: dict[str, Any], symbol: str) -> Counter[tuple[int, int, int, bool]]:
    return Counter(
        (trade["side"], trade["tick"], trade["lots"], trade["maker"])
        for trade in truth["trades"]
        if trade["symbol"] == symbol
    )


def compare(
    result: BotResult,
    known: status.Position,
    open_orders: int,
    truth: dict[str, Any],
    tick_size: float,
    lot_size: float,
    pair: tuple[str, str] | None = None,
    *,
    asset_no: int = 0,
) -> list[Row]:
    """Bot, connector and exchange side by side, for one of the bot's assets.

    Args:
        result: The bot's.
        known: The bot's account as the connector has it.
        open_orders: How many orders of it are open, as the connector has it.
        truth: The exchange's account, in which nobody else has traded.
        tick_size: Of the instrument.
        lot_size: Of the instrument.
        pair: Base and quote, if it is a spot pair.
        asset_no: The bot's number of it.
    """
    asset = result.assets[asset_no]
    symbol = asset.symbol
    unit = 1.0 / _UNITS if pair is not None else lot_size
    bot, connector, exchange = (
        of_values(asset, lot_size, unit),
        of_values(known, lot_size, unit),
        of_truth(truth, symbol, asset.contract_size if asset.inverse else 0.0, pair),
    )
    sizes = {"position": unit, "volume": lot_size, "value": 0.0, "cash": 0.0, "fees": 0.0}
    rows: list[Row] = []
    for name in Account.__struct_fields__:
        values = [getattr(one, name) for one in (bot, connector, exchange)]
        if name == "executions":
            texts = [f"{value:,}" for value in values]
        elif sizes[name]:
            decimals = len(f"{sizes[name]:.8f}".rstrip("0").partition(".")[2])
            texts = [f"{value * sizes[name]:,.{decimals}f}" for value in values]
        else:
            texts = [_money(value) for value in values]
        apart = 1 if pair is not None and name in ("cash", "fees") else 0
        rows.append(_row(name, texts, agrees=max(values) - min(values) <= apart))
    rows.append(_wallets(asset, bot, connector, exchange, truth, pair))
    theirs, ours = _fills(truth, symbol), _bot_fills(result, asset_no, tick_size, lot_size)
    apart = (theirs - ours).total() + (ours - theirs).total()
    said = ["one by one the same" if not apart else f"{apart:,} are not the same", "", ""]
    rows.append(_row("fills", said, agrees=not apart))
    counts = [0, open_orders, len(truth["open_orders"])]
    rows.append(_row("open orders", ["", *(str(count) for count in counts[1:])], agrees=not any(counts)))
    return rows


def _wallets(
    asset: AssetResult,
    bot: Account,
    connector: Account,
    exchange: Account,
    truth: dict[str, Any],
    pair: tuple[str, str] | None,
) -> Row:
    """What is left of the money."""
    if pair is not None:
        wallet = _wallet(truth, pair[1])
        # It pays for what is bought, and for fees that were not taken from that.
        wallets = [wallet["start_balance"] + one.cash - one.fees for one in (bot, connector)]
        wallets.append(wallet["balance"])
        return _row("wallet", [_money(one) for one in wallets], agrees=max(wallets) - min(wallets) <= 1)
    symbol = asset.symbol
    held = sum(
        (1 if one["lots"] > 0 else -1) * one["cost"] for one in truth["positions"] if one["symbol"] == symbol
    )
    # What an inverse contract is worth in coin falls as its price rises.
    sign, apart = (-1, exchange.executions) if asset.inverse else (1, 0)
    wallets = [truth["start_balance"] + sign * (one.cash + held) - one.fees for one in (bot, connector)]
    wallets.append(truth["balance"])
    agrees = max(wallets) - min(wallets) <= apart
    return _row("wallet", [_money(value) for value in wallets], agrees=agrees)


def _row(what: str, texts: list[str], *, agrees: bool) -> Row:
    return Row(what=what, bot=texts[0], connector=texts[1], exchange=texts[2], agrees=agrees)


def _money(units: int) -> str:
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // _UNITS:,}.{abs(units) % _UNITS:08d}"
