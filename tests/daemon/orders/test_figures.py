"""Prices by significant figures: at most 5, and at most so many decimals; whole numbers may have any."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.orders.limits import has_figures
from daemon.session.steps import OffGridError, Step, finest_tick
from hftd.constants import MARKET, REASON_OFF_GRID
from tests.daemon.orders.model import INSTRUMENT
from tests.daemon.orders.test_limits import reason
from tests.daemon.orders.world import World


def instrument_of(decimals):
    return msgspec.structs.replace(INSTRUMENT, tick_size=finest_tick(decimals), price_figures=5)


@pytest.mark.parametrize(
    ("decimals", "price", "is_good"),
    [
        (6, "123456", True),
        (6, "12345.6", False),
        (6, "12345", True),
        (6, "1234.5", True),
        (6, "1234.56", False),
        (6, "0.001234", True),
        (6, "1.2345", True),
        (6, "1.23456", False),
        (5, "0.01234", True),
        (5, "0.12345", True),
        (2, "2500.1", True),
        (2, "2500.15", False),
        (2, "999.55", True),
        (1, "99999.5", False),
        (0, "123457", True),
    ],
)
def test_a_price_is_on_the_grid_of_its_magnitude_or_not(decimals, price, is_good):
    instrument = instrument_of(decimals)
    tick = Step(instrument.tick_size).count(price)
    assert has_figures(instrument, tick) == is_good
    assert has_figures(instrument, -tick) == is_good


@pytest.mark.parametrize(("decimals", "price"), [(6, "0.0012345"), (5, "0.012345"), (0, "12.5")])
def test_more_decimals_than_there_are_fit_no_tick(decimals, price):
    with pytest.raises(OffGridError):
        Step(finest_tick(decimals)).count(price)


@settings(max_examples=50)
@given(st.integers(1, 10**12), st.integers(0, 6))
def test_the_rule_is_the_exchanges_words(tick, decimals):
    price = tick * finest_tick(decimals)
    digits = len(Decimal(price).normalize().as_tuple().digits)
    assert has_figures(instrument_of(decimals), tick) == (digits <= 5 or price == price.to_integral_value())


def test_an_order_off_the_grid_of_its_magnitude_is_refused_here_and_so_is_a_change():
    world = World()
    world.manager.add_instrument(msgspec.structs.replace(INSTRUMENT, price_figures=5))
    assert reason(world, 1, price_tick=123456) == REASON_OFF_GRID
    assert reason(world, 2, price_tick=123450) == 0
    assert reason(world, 3, price_tick=99999) == 0
    assert reason(world, 4, price_tick=0, order_type=MARKET) == 0
    world.flush()
    world.modify("a", 2, 123457, 9)
    assert world.bots["a"].updates[-1].reason == REASON_OFF_GRID
    assert world.requests == []
