"""What the harness of all strategies makes of the days that it ran."""

import math

import pytest

from benchmarks.strategies_pnl import BEGIN, CASES, END, Day, figures_of, put_into, t_quantile
from hftd.bot.config import BotConfig
from hftd.config import load
from tests.laws import ROOT


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.776), (9, 2.262), (19, 2.093), (99, 1.984)])
def test_the_quantile_is_that_of_the_tables(freedom, quantile):
    assert t_quantile(freedom) == pytest.approx(quantile, abs=0.02)


def test_a_mean_has_its_interval_and_earns_only_if_all_of_it_is_above_zero():
    days = [Day(pnl, 1_000.0, 10) for pnl in (1.0, 2.0, 3.0, 4.0, 5.0)]
    found = figures_of(days)
    assert (found.mean, found.fills, found.days, found.winners) == (3.0, 10.0, 5, 5)
    assert found.bp == pytest.approx(1e4 * 15.0 / 5_000.0)
    assert found.interval == pytest.approx(2.776 * math.sqrt(2.5 / 5.0), rel=0.01)
    assert found.earns
    assert not figures_of([Day(pnl, 1_000.0, 10) for pnl in (-9.0, 2.0, 3.0, 4.0, 5.0)]).earns


def test_days_without_a_trade_earn_nothing():
    found = figures_of([Day(0.0, 0.0, 0)] * 3)
    assert (found.mean, found.bp, found.interval) == (0.0, 0.0, 0.0)
    assert not found.earns


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_has_a_configuration(case):
    bot = load(ROOT / "configs" / case.bot, BotConfig)
    symbols = {one.symbol for one in bot.instruments}
    assert set(case.paid_in) | set(case.paid_in.values()) <= symbols


def test_the_table_goes_between_the_pages_marks_or_nowhere(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(page, "new")
    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(SystemExit):
        put_into(page, "new")
