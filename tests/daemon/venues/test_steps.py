import contextlib
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.session.steps import COUNT_MAX, NumberError, Step, decimal_of, float_of

sizes = st.one_of(
    st.sampled_from(["0.10", "0.1", "0.001", "1", "10", "0.25", "5", "0.0000001", "100", "0.05"]).map(
        Decimal
    ),
    st.builds(lambda units, digits: Decimal(units).scaleb(-digits), st.integers(1, 9999), st.integers(0, 12)),
)


@given(sizes, st.integers(-COUNT_MAX // 10, COUNT_MAX // 10))
def test_a_number_of_steps_becomes_its_exact_decimal_text_and_comes_back(size, count):
    step = Step(size)
    text = step.text(count)
    with localcontext(prec=80):
        assert Decimal(text) == size * count
    if len(text) <= 28:
        assert step.count(text) == count
        assert "E" not in text and "e" not in text


@given(sizes, st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_trailing_zeros_and_exponents_are_the_same_number(size, count, zeros):
    step = Step(size)
    text = step.text(count)
    if "." in text:
        assert step.count(text + "0" * zeros) == count
    assert step.count(f"{Decimal(text):E}") == count


def test_texts_are_as_the_exchange_expects_them():
    assert Step(Decimal("0.10")).text(431870) == "43187.0"
    assert Step(Decimal("0.001")).text(1) == "0.001"
    assert Step(Decimal("0.001")).text(-2507) == "-2.507"
    assert Step(Decimal(10)).text(3) == "30"
    assert Step(Decimal("0.25")).text(3) == "0.75"
    assert Step(Decimal("0.10")).count("61800.30") == 618003
    assert Step(Decimal("0.001")).count("-0.002") == -2
    assert Step(Decimal("0.001")).count("0E-8") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".5",
        "5.",
        "+1",
        "1 ",
        "1\n",
        "1__0",
        "1_0",
        "٣",
        "nan",
        "inf",
        "-Infinity",
        "0x10",
        "1e400",
        "1e-400",
        "9" * 29,
        " 1",
        "0.15",
        "1e2147483648",
        "99999999999999999999",
    ],
)
def test_what_is_no_whole_number_of_steps_is_refused(text):
    step = Step(Decimal("0.1"))
    with pytest.raises(NumberError):
        step.count(text)


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_an_error_said_as_such(text):
    for read in (Step(Decimal("0.05")).count, decimal_of, float_of):
        with contextlib.suppress(NumberError):
            read(text)


@pytest.mark.parametrize("size", ["0", "-1", "NaN", "Infinity", "1e-99"])
def test_a_step_that_is_none_is_refused(size):
    with pytest.raises(NumberError):
        Step(Decimal(size))
