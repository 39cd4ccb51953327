"""What a user may rely on: `hftd web` in a real browser shows what the exchange has, and a connector that is killed."""

import asyncio
from typing import Any

import pytest

from daemon.cli.run.live_stack import KEY
from daemon.cli.run.supervisor import supervised
from tests.live.watched import CHANNEL, Watched, market_in
from tests.sim.report.browser import Page, browser, find_browser

CHROMIUM = find_browser()

_ROWS = """
(() => {
  const rows = name => {
    const heads = [...document.querySelectorAll(`#${name} th`)].map(th => th.textContent);
    return [...document.querySelectorAll(`#${name} tbody tr`)].map(tr =>
      Object.fromEntries([...tr.cells].map((td, n) => [heads[n], td.textContent])));
  };
  const names = ['bots', 'books', 'orders', 'positions', 'fills', 'events'];
  return Object.fromEntries(names.map(name => [name, rows(name)]));
})()
"""


class Looked(Watched):
    """An exchange, a connector, a bot and `hftd web`."""

    def start(self) -> None:
        self.start_trading()
        self._said: list[str] = []
        self._children.on_line = lambda name, line: self._said.append(line) if name == "web" else None
        self._children.start("web", "web", "--listen", "127.0.0.1:0")
        assert self.wait(60.0, lambda: any("page at" in line for line in self._said))
        self.url = next(line for line in self._said if "page at" in line).split("page at ")[1].strip()

    def truth(self) -> dict[str, Any]:
        """What the exchange has, in the page's columns."""
        account = self.read(self.controls[0], f"/truth?api_key={KEY}")
        known = self.read(self.controls[0], "/status")
        symbol = known["symbols"][0]
        return {
            "book": (float(symbol["bid"]), float(symbol["ask"])),
            "orders": {
                one["client_id"]: (
                    "buy" if one["side"] > 0 else "sell",
                    float(one["price"]),
                    round(float(one["qty"]) - float(one["executed"]), 9),
                )
                for one in known["accounts"][0]["open"]
            },
            "position": sum(float(one["qty"]) for one in account["positions"]),
            "trades": len(account["trades"]),
        }


def number(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-").replace("\u2013", "nan"))


async def shown(page: Page) -> dict[str, Any]:
    """What the page shows, likewise."""
    found = await page.run(_ROWS)
    if not (found["books"] and found["bots"]):
        return {"trades": 0}
    mine = [one for one in found["positions"] if one["whose"] == "mm"]
    return {
        "book": (number(found["books"][0]["bid"]), number(found["books"][0]["ask"])),
        "orders": {
            one["client id"]: (one["side"], number(one["price"]), number(one["left"]))
            for one in found["orders"]
        },
        "position": number(mine[0]["position"]) if mine else 0.0,
        "trades": int(number(found["bots"][0]["fills"])),
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (HFTD_CHROMIUM names one in another place)"
)
async def test_the_page_equals_the_exchange_and_tells_of_a_connector_that_is_killed(tmp_path):
    with (tmp_path / "processes.log").open("w") as log, supervised() as children:
        stack = Looked(children, market_in(tmp_path), tmp_path, log)
        await asyncio.to_thread(stack.start)
        async with browser(str(CHROMIUM), is_local=True) as page:

            async def until(seconds, condition):
                for _ in range(int(4 * seconds)):
                    await asyncio.to_thread(stack.wait, 0.25)
                    if await condition():
                        return
                raise AssertionError((stack.truth(), await shown(page)))

            async def has_traded():
                return stack.truth()["trades"] >= 5 and (await shown(page))["trades"] >= 3

            async def is_equal():
                before, seen, after = stack.truth(), await shown(page), stack.truth()
                return before == seen == after

            async def has_its_position():
                truth, seen = stack.truth(), await shown(page)
                return all(truth[name] == seen.get(name) for name in ("position", "orders"))

            await page.open(stack.url, width=1280)
            await page.drawn()
            await until(90, has_traded)
            # The market stands still, and with it the bot's quotes.
            stack.pull("/end")
            await until(30, is_equal)
            assert stack.truth()["orders"]
            assert page.errors == []
            assert {one["book"] for one in (await page.run(_ROWS))["books"]} == {"valid"}
            assert "bot_attached" in {one["event"] for one in (await page.run(_ROWS))["events"]}

            stack.hftd("halt", CHANNEL, "--reason", "<b>looking</b>")
            await page.until("document.querySelector('#warnings').textContent.includes('<b>looking</b>')")
            await until(15, is_equal)
            assert (await shown(page))["orders"] == {}

            stack.kill(stack.connectors[0])
            await page.until("document.querySelector('#warnings').textContent.includes('is gone')")
            stack.connector_again()
            await page.until("!document.querySelector('#warnings').textContent.includes('is gone')")
            # Its fills count from its start, and a market that stands still has no new book.
            await until(30, has_its_position)
