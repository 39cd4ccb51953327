"""States that need a person: since when they last, and that telling of them ends nothing."""

from structlog.testing import capture_logs

from daemon.warnings import WARNINGS_MAX, Recent, Warn, Warnings

S = 10**9


def test_a_state_keeps_its_age_while_its_words_change_and_begins_anew_when_it_was_over():
    now: list[Warn] = [Warn("gap", "a gap of 1", "BTCUSDT")]
    warnings = Warnings(lambda: now)
    with capture_logs() as logs:
        assert [one.age_ns for one in warnings.look(5 * S)] == [0]
        now[:] = [Warn("gap", "a gap of 2", "BTCUSDT")]
        (found,) = warnings.look(8 * S)
        assert (found.text, found.age_ns) == ("a gap of 2", 3 * S)
        now.clear()
        assert warnings.look(9 * S) == []
        now.append(Warn("gap", "a gap of 3", "BTCUSDT"))
        assert [one.age_ns for one in warnings.look(20 * S)] == [0]
    assert [one["event"] for one in logs] == ["warning", "warning_over", "warning"]


def test_a_source_that_raises_spoils_no_other_and_is_shown():
    def broken():
        yield Warn("first", "before the failure")
        raise ZeroDivisionError("by zero")

    warnings = Warnings(broken, lambda: [Warn("second", "of another source")])
    found = {one.key: one.text for one in warnings.look(S)}
    assert set(found) == {"first", "second", "status_failed"}
    assert "by zero" in found["status_failed"]


def test_the_number_of_warnings_is_limited_and_the_rest_is_counted():
    warnings = Warnings(lambda: [Warn("gap", "a gap", f"S{number}") for number in range(WARNINGS_MAX + 7)])
    found = warnings.look(S)
    assert len(found) == WARNINGS_MAX + 1
    assert found[-1].text.startswith("7 more")


def test_what_is_over_soon_is_not_told():
    now = [Warn("down", "it is down", after_s=5.0)]
    warnings = Warnings(lambda: now)
    with capture_logs() as logs:
        assert warnings.look(1 * S) == []
        now.clear()
        assert warnings.look(3 * S) == []
        now.append(Warn("down", "it is down", after_s=5.0))
        assert warnings.look(4 * S) == []
        assert logs == []
        assert [one.age_ns for one in warnings.look(9 * S)] == [5 * S]
        now.clear()
        assert warnings.look(10 * S) == []
    assert [one["event"] for one in logs] == ["warning", "warning_over"]


def test_what_only_counts_is_a_state_for_a_minute_after_it_grew():
    recent = Recent(60.0)
    assert not recent.grew("odd", 0, 1 * S)
    assert recent.grew("odd", 2, 2 * S)
    assert recent.grew("odd", 2, 62 * S)
    assert not recent.grew("odd", 2, 63 * S)
    assert recent.grew("odd", 3, 64 * S)
    assert not recent.grew("odd", 0, 65 * S), "it began anew"
    assert not recent.grew("other", 0, 65 * S)
