"""Which points `--set` gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftd.errors import UsageError
from sim.sweeps.points import Axis, chosen, grid, parse_axis


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=2:20:2", (2, 4, 6, 8, 10, 12, 14, 16, 18, 20)),
        ("a=0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("a=3:1:-1", (3, 2, 1)),
        ("a=0.01,0.02", (0.01, 0.02)),
        ("a=1,2.5", (1.0, 2.5)),
        ("a=1,5:9:2,5", (1, 5, 7, 9)),
        ("a=true,false", (True, False)),
        ("a=fast, slow", ("fast", "slow")),
        ("a=1:4:2", (1, 3)),
    ],
)
def test_values(text, values):
    assert parse_axis(text) == Axis("a", values)
    assert [type(one) for one in parse_axis(text).values] == [type(one) for one in values]


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "=1", "a=", "a=1,,2", "1a=2", "a=1:2:0", "a=1:2:-1", "a=1:x:1", "a=2:1", "a=1,true"),
        *("a=1:2:3:4", "a=nan", "a=1:inf:1", "a=0:1:1e-9", "a=x:y"),
    ],
)
def test_what_is_no_axis_is_refused(text):
    with pytest.raises(UsageError):
        parse_axis(text)


def test_a_grid_has_all_combinations_the_last_axis_fastest():
    axes = [parse_axis("a=1,2"), parse_axis("b=x,y")]
    assert grid(axes) == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    assert grid([]) == [{}]


@pytest.mark.parametrize("texts", [["a=1:2"], ["a=1", "a=2"], ["a=1:2000:1", "b=1:2000:1"]])
def test_what_is_no_grid_is_refused(texts):
    with pytest.raises(UsageError):
        grid([parse_axis(text) for text in texts])


@given(count=st.integers(1, 60), seed=st.integers(0, 1 << 32))
def test_chance_gives_points_of_the_axes_once_each_and_again(count, seed):
    axes = [parse_axis("a=1:9"), parse_axis("b=0.5:1.5"), parse_axis("c=true,false")]
    points = chosen(axes, count, seed)
    assert points == chosen(axes, count, seed)
    assert len({tuple(point.values()) for point in points}) == len(points) == count
    for point in points:
        assert isinstance(point["a"], int)
        assert 1 <= point["a"] <= 9
        assert isinstance(point["b"], float)
        assert 0.5 <= point["b"] <= 1.5


def test_chance_takes_a_small_grid_as_a_whole():
    axes = [parse_axis("a=1,2,3")]
    assert chosen(axes, 10, 1) == grid(axes)
    assert len(chosen([parse_axis("a=1:3")], 10, 1)) == 3
