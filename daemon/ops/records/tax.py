"""What tax tools import: the layout of Koinly's universal CSV file, which others read as well.

Of a spot account each fill is an exchange of two currencies, with its fee. Of contracts nothing is exchanged but what
they earn and cost: by UTC day and asset what was realised, fees and funding, each as a payment in or out.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from daemon.ops.records.reading import Entry
from daemon.ops.records.views import NOBODY, Cell, Chosen, Fill, day_text, fills_of, profits, rounded, utc
from daemon.orders.files.rows import Steps
from daemon.orders.money.profit import DAY_NS
from hftd.constants import BUY
from hftd.errors import DataError

TAX: Final = (
    "Date",
    "Sent Amount",
    "Sent Currency",
    "Received Amount",
    "Received Currency",
    "Fee Amount",
    "Fee Currency",
    "Net Worth Amount",
    "Net Worth Currency",
    "Label",
    "Description",
    "TxHash",
)


def tax(entries: Iterable[Entry], chosen: Chosen) -> Iterator[list[Cell]]:
    """The rows, in the columns of `TAX`.

    Raises:
        DataError: The journal does not say what the instruments are: it was written by an old version alone.
    """
    held = list[Entry]()
    steps: dict[str, Steps] = {}
    rest = iter(entries)
    for entry in rest:
        held.append(entry)
        if isinstance(entry.row, Steps):
            steps[entry.row.symbol] = entry.row
        if any(one.base or one.quote for one in steps.values()):
            break
    else:
        if any(not one.base for one in steps.values()):
            raise DataError(
                "the journal does not name the currencies of its instruments: an old version wrote it",
                hint="start the connector once with this version; fills of before are in --fills",
            )
    is_spot = any(one.is_spot for one in steps.values())
    entries = (one for part in (held, rest) for one in part)
    if is_spot:
        for fill in fills_of(entries, chosen):
            yield _exchanged(fill)
    else:
        yield from _earned(entries, chosen)


def _exchanged(fill: Fill) -> list[Cell]:
    steps, row = fill.steps, fill.row
    base, quote = (steps.base, steps.quote) if steps is not None else ("", "")
    given, taken = (fill.amount, quote), (fill.qty, base)
    if row.side != BUY:
        given, taken = taken, given
    fee = Decimal(repr(row.fee)) if row.has_fee else None
    words = f"{'buy' if row.side == BUY else 'sell'} {row.symbol} at {fill.price:f}, {row.bot}".rstrip(", ")
    date = utc(row.exch_ns)[:19].replace("T", " ") + " UTC"
    rebate = fee is not None and fee < 0
    if rebate:
        words += f", rebate {-fee:f} {row.fee_asset}"  # pyright: ignore[reportOptionalOperand]
    told: list[Cell] = [None, ""] if rebate else [fee, row.fee_asset]
    return [date, *given, *taken, *told, None, "", "", words, f"{row.symbol}:{row.trade_id}"]


def _earned(entries: Iterable[Entry], chosen: Chosen) -> Iterator[list[Cell]]:
    total: dict[tuple[int, str, str], float] = {}
    found, _, today = profits(entries)
    for (day, asset, bot), profit in found.items():
        wanted = bot == chosen.bot if chosen.bot else bot != NOBODY
        if day < today and wanted and chosen.has(max(1, day * DAY_NS), chosen.bot, ""):
            for what, amount in (
                ("realised", profit.realised),
                ("fees", -profit.fee),
                ("funding", profit.funding),
            ):
                total[day, asset, what] = total.get((day, asset, what), 0.0) + amount
    labels = {"realised": "realized gain", "fees": "margin fee", "funding": "realized gain"}
    for (day, asset, what), amount in sorted(total.items()):
        value = rounded(amount)
        if not value:
            continue
        paid: list[Cell] = [-value, asset, None, ""] if value < 0 else [None, "", value, asset]
        label = "realized gain" if value > 0 else labels[what]
        words = f"{what} of contracts on {day_text(day)}"
        yield [
            f"{day_text(day)} 23:59:59 UTC",
            *paid,
            None,
            "",
            None,
            "",
            label,
            words,
            f"{day_text(day)}:{asset}:{what}",
        ]
