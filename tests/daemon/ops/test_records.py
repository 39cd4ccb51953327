"""`hftd journal`: what happened is told once and exactly, whatever is in the texts, however much is damaged."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.ops.records import views, writing
from daemon.ops.records.reading import History
from daemon.orders.files import parts
from daemon.orders.files.rows import At, Begin, BotRow, Halt, ParametersSet, Refused, Steps
from daemon.orders.ids.trades import Traded
from daemon.orders.journal import Journal
from daemon.orders.money.profit import Day, Funded
from daemon.orders.order import Order
from daemon.orders.positions import BotBook
from hftd.constants import REASON_LIMIT_QTY
from tests.daemon.orders.world import SECOND, Inline, World

AT = 1_723_075_200_000_000_000
STEPS = Steps("BTCUSDT", "0.10", "0.001", base="BTC", quote="USDT")
HOSTILE = "=cmd|' /C calc'!A0\x1b[31m\r\n[red]\"x\",\u202e"


def journal(*arguments: str, width: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", "journal", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"COLUMNS": str(width)},
        check=False,
    )


def order(client_id: str, **fields: object) -> Order:
    given: dict[str, object] = {
        "bot": "a",
        "order_id": 1,
        "symbol": "BTCUSDT",
        "side": 1,
        "order_type": 0,
        "time_in_force": 1,
        "reduce_only": False,
        "price_tick": 600_001,
        "qty_lots": 3,
        "local_ts": AT,
        "submitted_ns": AT,
        "submit_phase": 3,
        "status": 3,
        "executed_lots": 3,
        "finished_ns": AT + 5,
        "exch_order_id": "99",
    }
    return Order(client_id=client_id, **(given | fields))  # type: ignore[arg-type]


def fill(number: int, **fields: object) -> Traded:
    given: dict[str, object] = {
        "client_id": f"c{number}",
        "side": 1,
        "price_tick": 600_001,
        "qty_lots": 3,
        "fee": 0.1 + 0.2,
        "is_maker": True,
        "fee_asset": "USDT",
        "exch_order_id": "99",
        "bot": "a",
    }
    return Traded("BTCUSDT", str(number), AT + number, True, **(given | fields))  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "bf.journal"
    made = Journal.open(found)
    made.write([At(AT), Begin("t", 1), STEPS])
    made.write([At(AT + 1), order("c1", bot=HOSTILE), fill(1, fee=0.3)])
    made.write([At(AT + 2), Refused("c2", "a", "BTCUSDT", "new", 5, -2019, HOSTILE)])
    made.write([At(AT + 2), order("c2", status=6, executed_lots=0, reason=5)])
    made.write([At(AT + 3), Halt("news", by="uid 1000, pid 7")])
    made.write([At(AT + 4), Halt("", by="uid 0, pid 8")])
    made.write([At(AT + 5), ParametersSet("a", '{"order_qty":0.02}', "uid 1000, pid 9")])
    paid = Funded("BTCUSDT", "USDT", -0.5, AT + 6, "heard", "stream")
    listed = Funded("BTCUSDT", "USDT", -0.5, AT + 6, "income 7", "query", "heard")
    made.write([At(AT + 7), paid, listed])
    made.write([At(AT + 8), Refused("", "a", "BTCUSDT", "", REASON_LIMIT_QTY, 0, "", 3)])
    made.close()
    return found


def test_orders_fills_and_events_have_what_an_auditor_asks_for(path):
    (one, two) = json.loads(journal(str(path), "--orders", "--json").stdout)
    assert (one["price"], one["quantity"], one["status"]) == ("60000.1", "0.003", "filled")
    assert one["submitted"] == "2024-08-08T00:00:00.000000000Z" and one["submitted_ns"] == AT
    assert (two["status"], two["reason"], two["exchange_code"]) == ("rejected", "REASON_MARGIN", -2019)
    (got,) = json.loads(journal(str(path), "--fills", "--json").stdout)
    expected = {
        "exchange_ns": AT + 1,
        "received_ns": AT + 1,
        "price": "60000.1",
        "quantity": "0.003",
        "amount": "180.0003",
        "amount_asset": "USDT",
        "fee": "0.3",
        "fee_asset": "USDT",
        "liquidity": "maker",
        "trade_id": "1",
        "exchange_order_id": "99",
    }
    assert {key: got[key] for key in expected} == expected
    told = json.loads(journal(str(path), "--events", "--json").stdout)
    assert [(one["event"], one["by"]) for one in told if one["event"] in ("halted", "resumed")] == [
        ("halted", "uid 1000, pid 7"),
        ("resumed", "uid 0, pid 8"),
    ]
    (set_,) = [one for one in told if one["event"] == "parameters set"]
    assert (set_["bot"], set_["by"], set_["what"]) == ("a", "uid 1000, pid 9", '{"order_qty":0.02}')
    refused = [(one["by"], one["reason"], one["what"]) for one in told if one["event"] == "refused"]
    assert refused[1:] == [("the connector", "REASON_LIMIT_QTY", "3 requests")]
    assert [one["amount"] for one in told if one["event"] == "funding"] == ["-0.5"], "told twice, paid once"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.872500000001, "-0.8725"),
        (0.1 + 0.2, "0.3"),
        (-1e-12, "0"),
        (1e-8, "0.00000001"),
        (-12345678.12345678, "-12345678.1235"),
    ],
)
def test_sums_of_money_are_told_in_hundred_millionths(value: float, expected: str):
    assert f"{views.rounded(value):f}" == expected


def test_events_say_which_bots_came_back_after_a_restart_and_which_did_not(tmp_path):
    made = Journal.open(tmp_path / "j")
    made.write([At(AT), Begin("t", 1)])
    for name in ("back", "gone", "left"):
        made.write([At(AT), BotRow(name, has_lease=True)])
    made.write([At(AT), BotRow("left")])
    made.write([At(AT), Begin("t", 2)])
    made.write([At(AT), BotRow("back", has_lease=True)])
    made.write([At(AT), BotRow("gone", is_ending=True)])
    made.write([At(AT), BotRow("gone")])
    made.close()
    told = [(row[2], row[3]) for row in views.events(History(tmp_path / "j").entries(), views.Chosen())]
    assert told == [
        ("connector started", ""),
        ("bot attached", "back"),
        ("bot attached", "gone"),
        ("bot attached", "left"),
        ("bot left", "left"),
        ("connector started", ""),
        ("bot attached", "back"),
        ("bot left", "gone"),
    ]


def test_filters_choose_by_time_bot_and_symbol(path):
    assert json.loads(journal(str(path), "--fills", "--json", "--bot", "b").stdout) == []
    assert json.loads(journal(str(path), "--fills", "--json", "--from", "2024-08-09").stdout) == []
    assert len(json.loads(journal(str(path), "--fills", "--json", "--to", "2024-08-08").stdout)) == 1
    assert json.loads(journal(str(path), "--orders", "--json", "--symbol", "X").stdout) == []
    wrong = journal(str(path), "--from", "lunch")
    assert wrong.returncode == 2 and "2024-08-31" in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("view", ["orders", "fills", "days", "events"])
@pytest.mark.parametrize("width", [40, 80])
def test_hostile_texts_are_texts_and_tables_fit(path, view, width):
    found = subprocess.run(
        [
            "script",
            "-qec",
            f"stty cols {width}; unset COLUMNS; {sys.executable} -m daemon.cli journal {path} --{view}",
            "/dev/null",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", found)
    assert "\x1b[31m" not in found
    wide = [line for line in plain.replace("\r", "").split("\n") if len(line) > width]
    assert wide == []


def test_a_cell_of_others_is_no_formula_and_a_number_stays_one(path):
    (head, first, *_) = csv.reader(io.StringIO(journal(str(path), "--orders", "--csv").stdout))
    cells = dict(zip(head, first, strict=True))
    assert cells["bot"].startswith("'=cmd") and not re.search(r"[\x00-\x1f\u202e]", cells["bot"])
    assert writing._csv(Decimal("-1E-8")) == "-0.00000001"


@given(st.text(max_size=20))
def test_no_text_begins_a_formula(text):
    told = writing._csv(text)
    assert not told.lstrip().startswith(("=", "+", "-", "@"))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", told)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_a_number_is_written_in_digits_and_read_back_exactly(value):
    told = writing.number(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?", told)
    assert Decimal(told) == value


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9))
def test_a_fee_is_the_decimal_that_was_told(fee):
    assert float(writing.number(views.exact(fee))) == fee


def test_a_sum_of_binary_fractions_has_no_noise(tmp_path):
    made = Journal.open(tmp_path / "j")
    book = BotBook("a", "BTCUSDT")
    made.write(
        [
            STEPS,
            book,
            Day(19_000, "a", "USDT", 0.1 + 0.2, 1.0, 0.7, 0.0),
            Day(19_000, "", "USDT", funding=0.5),
        ]
    )
    made.write([Day(19_000, "-", "USDT", funding=9.0)])
    made.close()
    rows = list(views.days(History(tmp_path / "j").entries(), views.Chosen()))
    assert [str(cell) for cell in rows[0][:7]] == ["2022-01-08", "USDT", "", "0.3", "None", "0.7", "0.5"]


def test_days_are_the_connectors(tmp_path):
    world = World(tmp_path)
    for number in range(6):
        world.submit("a", number, side=1 if number % 2 else -1, lots=5)
        world.flush()
        world.exchange.fill(world.exchange.open_orders()[0], 3)
        world.flush()
        world.manager.on_book(world.instrument.number, 999, 1001, True, world.now_ns)
        world.advance(20_000 * SECOND)
        world.tick()
    world.manager.snapshot(world.now_ns)
    told = [
        (one.day_ns, one.realised, one.unrealised, one.fee, one.funding)
        for one in world.manager.snapshot(world.now_ns).days
    ]
    assert told
    assert world.path is not None
    rows = [row for row in views.days(History(world.path).entries(), views.Chosen()) if row[-1]]
    found = [(views.utc(day_ns)[:10], *(views.rounded(one) for one in rest)) for day_ns, *rest in told]
    assert sorted((row[0], row[3], row[4], row[5], row[6]) for row in rows) == sorted(found)
    world.manager.store.journal.close()  # type: ignore[union-attr]


def history_of(path: Path) -> list[str]:
    history = History(path)
    found = [
        f"{type(one.row).__name__} {one.row}" for one in history.entries() if not isinstance(one.row, Steps)
    ]
    assert history.damage == []
    return found


def test_over_any_number_of_parts_each_thing_is_told_once(tmp_path):
    world = World(tmp_path)
    kept = world.manager.store.journal
    assert kept is not None
    kept.rotate_bytes = 3_000
    ids = []
    for number in range(120):
        world.submit("a", number % 6, lots=5)
        world.flush()
        ids.append(world.latest["a", number % 6])
        if number % 2:
            world.exchange.fill(world.exchange.open_orders()[0], 5)
        else:
            world.cancel("a", number % 6)
        world.flush()
        world.advance(SECOND)
        world.tick()
    kept.close()
    assert world.path is not None and len(parts.parts_of(world.path)) > 5
    entries = History(world.path).entries
    assert sorted(row[-3] for row in views.orders(entries(), views.Chosen())) == sorted(ids)
    trades = [row[-3] for row in views.fills(entries(), views.Chosen())]
    assert len(trades) == len(set(trades)) == 60
    # A part alone can be read as well.
    assert list(views.fills(History(parts.parts_of(world.path)[2].path).entries(), views.Chosen()))


def test_what_is_damaged_is_said_with_file_and_offset_and_the_rest_is_shown(tmp_path):
    path = tmp_path / "bf.journal"
    made = Journal.open(path, worker=Inline())
    made.write([STEPS])
    for number in range(1, 40):
        made.write([fill(number)])
    made.rotate(iter([[STEPS]]), AT)
    while made.is_rotating:
        made.go_on()
    made.write([fill(100)])
    made.close()
    data = bytearray(path.read_bytes())
    (part,) = parts.parts_of(path)
    packed = bytearray(part.path.read_bytes())
    packed[len(packed) // 2] ^= 0xFF
    part.path.write_bytes(packed)
    found = journal(str(path), "--fills", "--json")
    assert found.returncode == 1
    assert part.path.name in found.stderr and "damaged at byte 0" in found.stderr
    assert [one["trade_id"] for one in json.loads(found.stdout)] == ["100"]
    # In a file that is not packed one record is lost, and no other.
    part.path.unlink()
    plain = part.path.with_suffix("")
    made = Journal.open(tmp_path / "other")
    made.write([STEPS])
    for number in range(1, 40):
        made.write([fill(number)])
    made.close()
    copy = bytearray((tmp_path / "other").read_bytes())
    copy[len(copy) // 2] ^= 0xFF
    plain.write_bytes(copy)
    found = journal(str(path), "--fills", "--json")
    assert found.returncode == 1 and re.search(
        rf"{plain.name}: damaged at byte [\d,]+; what follows", found.stderr
    )
    assert len(json.loads(found.stdout)) == 39
    assert path.read_bytes() == data, "nothing was written"


def test_it_reads_while_a_connector_writes_and_takes_no_lock(path):
    made = Journal.open(path, worker=Inline())
    with open(path, "ab") as file:
        file.write(b"\xa7J\xff\x00")  # half of a record, as it may be seen for a moment
    found = journal(str(path.parent), "--fills", "--json")
    assert found.returncode == 0 and len(json.loads(found.stdout)) == 1, found.stderr
    made.close()


@pytest.mark.thorough
def test_parquet_has_typed_and_exact_columns(path, tmp_path):
    out = tmp_path / "fills.parquet"
    assert journal(str(path), "--fills", "--parquet", "--out", str(out)).returncode == 0
    frame = polars.read_parquet(out)
    assert frame["price"].to_list() == [Decimal("60000.1")]
    assert frame["exchange_ns"].dtype == polars.Int64
    assert "--out" in journal(str(path), "--fills", "--parquet").stderr


def test_the_tax_table_of_a_spot_account_has_what_was_given_and_taken(tmp_path):
    made = Journal.open(tmp_path / "spot.journal")
    made.write([At(AT), msgspec.structs.replace(STEPS, is_spot=True)])
    made.write([At(AT), fill(1, fee=0.00003, fee_asset="BNB"), fill(2, side=-1, fee=-0.01)])
    made.close()
    out = tmp_path / "tax.csv"
    assert journal(str(tmp_path), "--tax", "--out", str(out)).returncode == 0
    buy, sell = csv.DictReader(out.open())
    assert buy["Date"] == "2024-08-08 00:00:00 UTC"
    assert (buy["Sent Amount"], buy["Sent Currency"]) == ("180.0003", "USDT")
    assert (buy["Received Amount"], buy["Received Currency"]) == ("0.003", "BTC")
    assert (buy["Fee Amount"], buy["Fee Currency"], buy["TxHash"]) == ("0.00003", "BNB", "BTCUSDT:1")
    assert (sell["Sent Currency"], sell["Received Currency"], sell["Fee Amount"]) == ("BTC", "USDT", "")


def test_the_tax_table_of_contracts_has_what_a_day_earned_and_cost(tmp_path):
    made = Journal.open(tmp_path / "bf.journal")
    book = BotBook("a", "BTCUSDT")
    from daemon.orders.money.profit import Start

    book.start = Start(19_001)
    made.write([STEPS, book, Day(19_000, "a", "USDT", -1.5, 3.0, 0.25, 0.1)])
    made.close()
    rows = list(csv.DictReader(io.StringIO(journal(str(tmp_path), "--tax", "--csv").stdout)))
    assert {(one["Description"], one["Sent Amount"], one["Received Amount"]) for one in rows} == {
        ("realised of contracts on 2022-01-08", "1.5", ""),
        ("fees of contracts on 2022-01-08", "0.25", ""),
        ("funding of contracts on 2022-01-08", "", "0.1"),
    }


def test_a_name_without_a_journal_is_a_mistake_that_says_where_was_looked(tmp_path):
    found = journal("nobody")
    assert found.returncode == 2 and "nobody.journal" in found.stderr and "Traceback" not in found.stderr
    (tmp_path / "x.journal").write_bytes(b"something else")
    found = journal(str(tmp_path))
    assert found.returncode == 2 and "not a journal" in found.stderr
