"""How much of a best point is chance, beside published numbers and plain other implementations."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from hftd.errors import DataError, UsageError
from sim.results.sweeps.chance import deflated_sharpe, expected_maximum, overfitting, sharpes
from sim.results.sweeps.forward import Days, folds, walk_forward
from sim.results.sweeps.judge import judge
from sim.results.sweeps.neighbours import neighbours
from sim.sweeps.figures import Moments, Row
from sim.sweeps.summary import summarize
from sim.sweeps.sweep import Sweep


def test_the_example_of_bailey_and_lopez_de_prado():
    # "The Deflated Sharpe Ratio" (2014), the numerical example: 100 trials, an annual ratio of 2.5 in 5 years of 250,
    # skewness -3, kurtosis 10, a variance of 1/2 among the trials' annual ratios.
    deviation = math.sqrt(0.5 / 250)
    assert expected_maximum(deviation, 100) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3.0, 10.0, deviation, 100) == pytest.approx(
        0.9004, abs=5e-5
    )
    # And had it been the best of 46.
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3.0, 10.0, deviation, 46) == pytest.approx(
        0.9505, abs=5e-4
    )


def test_the_highest_of_worthless_trials_is_as_high_as_expected():
    rng = np.random.default_rng(1)
    highest = rng.normal(0.0, 0.3, (20_000, 50)).max(axis=1).mean()
    assert expected_maximum(0.3, 50) == pytest.approx(highest, rel=0.02)


def moments_of(samples):
    """Counts, sums and squares of samples by point, day and sample."""
    return (
        np.full(samples.shape[:2], float(samples.shape[2])),
        samples.sum(axis=2),
        (samples**2).sum(axis=2),
    )


def plain_overfitting(samples, blocks):
    """As the paper says it, on the samples themselves."""
    points, days, _ = samples.shape
    pieces = np.array_split(np.arange(days), blocks)
    logits = []
    for half in itertools.combinations(range(blocks), blocks // 2):
        inside = [day for block in half for day in pieces[block]]
        outside = [day for day in range(days) if day not in inside]

        def ratios(chosen):
            values = samples[:, chosen].reshape(points, -1)
            return values.mean(axis=1) / values.std(axis=1, ddof=1)

        best = int(ratios(inside).argmax())
        order = ratios(outside).argsort().argsort()
        rank = (order[best] + 1) / (points + 1)
        logits.append(math.log(rank / (1.0 - rank)))
    return sum(one <= 0.0 for one in logits) / len(logits)


@pytest.mark.parametrize(("points", "days", "blocks"), [(5, 4, 4), (9, 8, 8), (30, 6, 6)])
def test_overfitting_is_as_the_paper_says_it(points, days, blocks):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        samples = rng.normal(0.0, 1.0, (points, days, 40)) + rng.normal(0.0, 0.05, (points, 1, 1))
        found = overfitting(*moments_of(samples))
        assert found is not None
        assert (found.blocks, found.halves) == (blocks, math.comb(blocks, blocks // 2))
        assert found.probability == pytest.approx(plain_overfitting(samples, blocks))


def test_noise_is_overfitted_and_what_is_always_best_is_not():
    rng = np.random.default_rng(3)
    noise = [overfitting(*moments_of(rng.normal(size=(40, 10, 50)))) for _ in range(30)]
    assert 0.4 < np.mean([one.probability for one in noise if one]) < 0.75
    samples = rng.normal(size=(40, 10, 50))
    samples[7] += 2.0
    found = overfitting(*moments_of(samples))
    assert found is not None
    assert (found.probability, found.loss) == (0.0, 0.0)
    assert overfitting(*moments_of(samples[:, :3])) is None
    assert overfitting(*moments_of(samples[:1])) is None


def test_a_point_that_never_changes_has_a_ratio_of_0():
    assert list(sharpes(*(np.array([[9.0], [0.0]][i]) for i in (0, 1, 1)))) == [0.0]
    assert sharpes(np.array([100.0]), np.array([100 * 0.1]), np.array([100 * 0.1**2]))[0] == 0.0


def days_of(profits):
    """Two samples a day that add up to its profit, with a spread of 1."""
    profits = np.array(profits, float)
    names = [str(day) for day in range(profits.shape[1])]
    half = profits / 2.0
    return Days(
        names=names,
        points=[10 * number for number in range(len(profits))],
        counts=np.full(profits.shape, 2.0),
        sums=profits,
        squares=(half - 1.0) ** 2 + (half + 1.0) ** 2,
        profits=profits,
    )


def test_walk_forward_sees_no_day_that_is_still_to_come():
    of = days_of([[5.0, -9.0, 1.0, 2.0], [1.0, 6.0, -3.0, 4.0]])
    anchored = walk_forward(of, 1)
    assert [one.point for one in anchored] == [0, 10, 10]
    assert [one.profit for one in anchored] == [-9.0, -3.0, 4.0]
    assert [one.days for one in anchored] == [["1"], ["2"], ["3"]]
    assert [one.point for one in walk_forward(of, 1, window=1)] == [0, 10, 0]
    assert [one.point for one in walk_forward(of, 3)] == [10]


def test_a_fold_is_tried_by_the_best_of_the_others():
    of = days_of([[5.0, 5.0, 1.0, 2.0], [1.0, 6.0, 9.0, 9.0]])
    found = folds(of, 2)
    assert [(one.point, one.days, one.profit) for one in found] == [
        (10, ["0", "1"], 7.0),
        (0, ["2", "3"], 3.0),
    ]


def test_neighbours_are_one_step_away():
    grid = [{"a": a, "b": b, "c": c} for a in (1, 5, 9) for b in (0.5, 1.0) for c in ("x", "y")]
    figures = [float(number) for number in range(12)]
    found = neighbours(grid, figures)
    # The best is 9, 1.0, y: 5, 1.0, y and 9, 0.5, y.
    assert found is not None
    assert (found.points, found.lowest, found.median, found.is_plateau) == ([7, 9], 7.0, 8.0, True)
    assert neighbours([{"a": 0.123}], [1.0]) is None
    for low, high in ((-1.0, 0.0), (0.0, 1.0)):
        spike = neighbours(grid, [low] * 11 + [high])
        assert spike is not None
        assert not spike.is_plateau


def sweep_of(changes):
    """A sweep of equity changes by point, day and sample."""
    days = [f"2024080{day + 1}" for day in range(changes.shape[1])]
    rows = [
        Row(
            point=point,
            date=day,
            parameters={"a": point % 4, "b": point // 4},
            equity=float(one.sum()),
            highest=max(float(one.cumsum().max()), 0.0),
            lowest=min(float(one.cumsum().min()), 0.0),
            max_drawdown=float(np.ptp(one.cumsum())),
            moments=Moments(count=len(one), **{f"sum{k}": float((one**k).sum()) for k in (1, 2, 3, 4)}),
        )
        for number, day in enumerate(days)
        for point, one in enumerate(changes[:, number])
    ]
    return Sweep(Path("sweep"), days, rows, summarize(rows))


def test_a_sweep_is_judged():
    rng = np.random.default_rng(5)
    changes = rng.normal(0.0, 1.0, (12, 6, 300))
    changes[4] += 0.3
    sweep = sweep_of(changes)
    found = judge(sweep, num_folds=3)
    flat = changes[4].ravel()
    assert found.best == 4
    assert found.sharpe == pytest.approx(sweep.points[4].sharpe)
    ratios = changes.reshape(12, -1).mean(axis=1) / changes.reshape(12, -1).std(axis=1, ddof=1)
    centred = flat - flat.mean()
    skewness = (centred**3).mean() / (centred**2).mean() ** 1.5
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
    assert found.deflated_sharpe == pytest.approx(
        deflated_sharpe(ratios[4], len(flat), skewness, kurtosis, ratios.std(ddof=1), 12)
    )
    assert found.overfitting is not None
    assert found.overfitting.probability == 0.0
    assert [one.point for one in found.walk_forward] == [4] * 5
    assert [one.profit for one in found.walk_forward] == pytest.approx(
        [float(changes[4, day].sum()) for day in range(1, 6)]
    )
    assert [len(one.days) for one in found.folds] == [2, 2, 2]


def test_what_can_not_be_said_is_not_said():
    changes = np.random.default_rng(1).normal(size=(3, 1, 50))
    found = judge(sweep_of(changes))
    assert (found.overfitting, found.walk_forward) == (None, [])
    assert len(found.notes) == 2
    with pytest.raises(DataError, match="nothing to judge"):
        judge(sweep_of(np.zeros((3, 2, 50))))
    for asked in ({"num_folds": 3}, {"first": 2}, {"window": 0}, {"num_folds": 1}):
        with pytest.raises(UsageError):
            judge(sweep_of(np.ones((3, 2, 50))), **asked)
