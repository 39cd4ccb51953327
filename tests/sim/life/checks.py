"""What must hold of every life."""

import numpy as np

from hftd.hbt import life
from hftd.types import BUY, FILLED, NONE, REJECTED
from sim.results.explain import group

LOCAL = (life.LIFE_REQUEST_NEW, life.LIFE_REQUEST_MODIFY, life.LIFE_REQUEST_CANCEL, life.LIFE_ANSWER)
RESTS = (life.LIFE_ACCEPTED, life.LIFE_QUEUE)


def queues_add_up(rows):
    """In each place that an order had, the changes are what is ahead at last, less what was ahead at first."""
    places = 0
    for number in range(len(group(rows))):
        of_order = group(rows).of(number)
        told = None
        for row in of_order:
            if row["kind"] == life.LIFE_ACCEPTED:
                told, first, total = row["front_qty"], row["front_qty"], 0.0
                places += 1
            elif row["kind"] == life.LIFE_QUEUE:
                assert row["front_qty"] - told == row["qty"] != 0.0
                told, total = row["front_qty"], total + row["qty"]
                assert np.isclose(first + total, told, rtol=1e-9, atol=1e-9)
            elif row["kind"] in (life.LIFE_FILL, life.LIFE_CANCELED, life.LIFE_EXPIRED) and told is not None:
                assert row["front_qty"] == told or row["cause"] == life.CAUSE_TAKEN or not row["maker"]
            elif row["kind"] == life.LIFE_REPLACED:
                if row["cause"] == life.CAUSE_NEW_PLACE:
                    assert row["front_qty"] == -1.0
                    told = None
                else:
                    assert row["front_qty"] == told
    return places


def account_is_that_of_the_fills(rows, asset_no, account, amount_of):
    """Position, balance, fee, trades, volume and value, added up in order, to the last bit."""
    fills = rows[(rows["kind"] == life.LIFE_FILL) & (rows["asset"] == asset_no)]
    sums = dict.fromkeys(("position", "balance", "fee", "trading_volume", "trading_value"), 0.0)
    for row in fills:
        amount = amount_of(row["exec_px"], row["qty"])
        sums["position"] += row["qty"] * row["side"]
        sums["balance"] -= amount * row["side"]
        sums["fee"] += row["fee"]
        sums["trading_volume"] += row["qty"]
        sums["trading_value"] += amount
    assert account["num_trades"] == len(fills)
    for name, value in sums.items():
        assert account[name] == value, name


def answers_are_what_the_bot_knows(rows, hbt, asset_no):
    """The last answer about an order that the bot still has is its state there."""
    answers = rows[(rows["kind"] == life.LIFE_ANSWER) & (rows["asset"] == asset_no)]
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        of_order = answers[(answers["order_id"] == order.order_id) & (answers["status"] != REJECTED)]
        if len(of_order) and order.req == NONE and order.status != NONE:
            last = of_order[-1]
            assert (last["status"], last["leaves_qty"]) == (order.status, order.leaves_qty)
    known = answers[answers["qty"] > 0.0]
    assert hbt.state_values(asset_no).num_trades == len(known)


def is_well_formed(rows):
    """Numbers, and what no row may have."""
    assert (rows["seq"] == np.arange(len(rows))).all()
    for name in rows.dtype.names:
        assert np.isfinite(rows[name].astype(float)).all(), name
    rests = np.isin(rows["kind"], RESTS) | ((rows["kind"] == life.LIFE_FILL) & (rows["maker"] == 1))
    assert (rows["front_qty"][np.isin(rows["kind"], LOCAL)] == -1.0).all()
    fills = rows[rows["kind"] == life.LIFE_FILL]
    assert (fills["qty"] > 0.0).all()
    assert ((fills["status"] == FILLED) == (fills["leaves_qty"] == 0.0)).all()
    assert ((fills["cause"] == life.CAUSE_TAKEN) == (fills["maker"] == 0)).all()
    assert (np.isin(rows["side"][rests], (BUY, -BUY))).all()
    took = rows[(rows["kind"] == life.LIFE_ARRIVAL)]
    assert (took["ref_ts"] <= took["ts"]).all()
