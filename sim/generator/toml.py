"""The configuration of a replay that plays a generated market."""

from typing import Final

from sim.generator.market import Market, MarketInstrument

ARCHIVES: Final = "{channel}/{symbol}_{date}.npz"
"""Where the archive of an instrument lies."""
LATENCIES: Final = "{channel}/latency_{date}.npz"
"""Where the order latencies of a channel lie."""


def replay_toml(market: Market) -> str:
    """The text of a `replay.toml` that lies beside the market's folders of channels."""
    lines = [
        f"# {market.about}",
        f"# {market.effect}",
        "",
        "[replay]",
        f'data = "{ARCHIVES}"',
    ]
    for channel in dict.fromkeys(item.channel for item in market.instruments):
        lines += ["", "[[channels]]", f'name = "{channel}"']
        for item in market.instruments:
            if item.channel == channel:
                lines += ["", "[[channels.instruments]]", *_instrument(item)]
    return "\n".join(lines) + "\n"


def _instrument(item: MarketInstrument) -> list[str]:
    queue = 'model = "l3_fifo"' if item.by_order else 'model = "power3", n = 3.0'
    return [
        f'symbol = "{item.symbol}"',
        f"tick_size = {_number(item.tick_size)}",
        f"lot_size = {_number(item.lot_size)}",
        f'order_latency = {{ model = "interpolated", files = "{LATENCIES}" }}',
        f"queue = {{ {queue} }}",
        f'fee = {{ model = "value", maker = {_number(item.maker_fee)}, taker = {_number(item.taker_fee)} }}',
    ]


def _number(value: float) -> str:
    """A float as TOML has it, in decimals."""
    text = f"{value:.12f}".rstrip("0")
    return text + "0" if text.endswith(".") else text
