"""The page of `hftd web` in a real browser: what it shows equals what daemons say, and nothing of theirs is markup."""

import re
from contextlib import asynccontextmanager

import msgspec
import pytest

from daemon.connector.secrets import Secret
from daemon.ops.web import server as served
from daemon.ops.web.server import Web
from hftd.control import status
from tests.daemon.ops.crowds import NOON_NS, crowd
from tests.sim.report.browser import browser, find_browser

CHROMIUM = find_browser()
SIZES = [(1280, False), (1280, True), (390, False), (390, True)]
HOSTILE = '<img src=x onerror="document.title=`had`"><script>had=1</script>&amp;\u202e\x1b[31m{{7*7}}'

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium is installed (HFTD_CHROMIUM names one in another place)"
    ),
]

ROWS = """
(table => Object.fromEntries([...document.querySelectorAll(`#${table} tbody tr`)].filter(tr => !tr.hidden).map(tr =>
  [tr.cells[0].textContent, [...tr.cells].map(td => td.textContent)])))
"""
HEADS = "[...document.querySelectorAll('#{} th')].map(th => th.textContent)"


@asynccontextmanager
async def shown(ask, *, token=None):
    """A browser, and the address of a page on what `ask` says."""
    before, served.EVERY_S = served.EVERY_S, 0.3
    web = Web(ask, token and Secret(token))
    try:
        port = await web.start("127.0.0.1", 0)
        async with browser(str(CHROMIUM), is_local=True) as page:
            yield page, f"http://127.0.0.1:{port}/"
    finally:
        await web.stop()
        served.EVERY_S = before


async def rows(page, table):
    """The rows of a table that are to be seen, by their first cell: cells by column."""
    heads = await page.run(HEADS.format(table))
    found = await page.run(f"{ROWS}('{table}')")
    return {key: dict(zip(heads, cells, strict=True)) for key, cells in found.items()}


async def test_the_page_shows_all_figures_in_its_own_file_at_every_width_and_theme():
    step = 0

    def ask():
        nonlocal step
        step += 1
        return [crowd(50, 200, step)], []

    async with shown(ask) as (page, url):
        for width, dark in SIZES:
            await page.open(url, width=width, dark=dark)
            await page.drawn()
            assert page.errors == []
            assert set(page.requests) <= {url, f"{url}stream"}, "it asks nobody else"
            assert await page.run("document.documentElement.scrollWidth") <= width
            assert await page.run("document.documentElement.dataset.theme") == ("night" if dark else "day")
            back = await page.run("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", back))) < 200) == dark
            assert await page.run("document.querySelector('#books .count').textContent") == "200"
            assert await page.run("document.querySelector('#bots .count').textContent") == "51"
            assert (await rows(page, "books"))["TI17USDT"]["book"] == "not valid"
            first = await page.run("document.querySelector('#books tbody tr').cells[0].textContent")
            assert first == "TI17USDT", "what is wrong stands first"
            top = await page.run("document.querySelector('#warnings td').getBoundingClientRect().top")
            assert top < 300, "warnings are what is seen first"
            assert await page.run("document.title") == "(2) hftd"
            await page.run("document.querySelector('#books').scrollIntoView()")
            # A row that is there is changed, not made anew.
            bid = "document.querySelector('#books tbody tr').cells[3].textContent"
            await page.run(f"document.querySelector('#books tbody tr').marked = {bid}")
            await page.until(
                f"![undefined, {bid}].includes(document.querySelector('#books tbody tr').marked)"
            )


async def test_hostile_texts_in_every_field_are_text_and_nothing_else():
    def hostile(value):
        """The same with each text replaced."""
        if isinstance(value, str):
            return HOSTILE
        if isinstance(value, list):
            return [hostile(one) for one in value]
        if isinstance(value, dict):
            return {key: hostile(one) for key, one in value.items()}
        if isinstance(value, msgspec.Struct):
            names = value.__struct_fields__
            return msgspec.structs.replace(value, **{name: hostile(getattr(value, name)) for name in names})
        return value

    told = msgspec.structs.replace(hostile(crowd(3, 6)), kind=status.CONNECTOR)
    async with shown(lambda: ([told], [HOSTILE])) as (page, url):
        await page.open(url, width=1280)
        await page.drawn()
        assert page.errors == []
        assert await page.run("typeof had") == "undefined"
        assert (
            await page.run("document.querySelectorAll('img, script:not(:last-of-type), iframe').length") == 0
        )
        seen = await page.run("document.body.innerText")
        assert '<img src=x onerror="document.title=`had`">' in seen
        assert "\x1b" not in seen
        assert "\u202e" not in seen
        assert await page.run("document.title.includes('had')") is False


async def test_what_is_not_the_page_s_own_script_can_not_run():
    async with shown(lambda: ([crowd(1, 1)], [])) as (page, url):
        await page.open(url, width=1280)
        await page.drawn()
        script = (
            "const one = document.createElement('script'); one.text = 'had = 1'; document.body.append(one)"
        )
        for change in (
            script,
            "document.body.innerHTML = '<b>'",
            "document.body.setAttribute('onclick', 'had = 1')",
        ):
            tried = (
                f"(() => {{ try {{ {change}; return 'taken' }} catch (error) {{ return error.name }} }})()"
            )
            assert await page.run(tried) == "TypeError"
        assert await page.run("typeof had") == "undefined"
        reached = "fetch('http://127.0.0.1:1/').then(() => 'reached', one => one.name)"
        assert await page.run(reached) == "TypeError"


async def test_a_daemon_that_goes_is_marked_and_one_that_comes_back_is_not():
    found = [crowd(2, 4)]
    async with shown(lambda: (list(found), [])) as (page, url):
        await page.open(url, width=1280)
        await page.drawn()
        found.clear()
        await page.until("document.querySelector('#daemons .pill').textContent === 'gone'")
        await page.until("document.querySelector('#warnings').textContent.includes('binancefutures is gone')")
        assert (await rows(page, "daemons"))["binancefutures"]["gone for"] != "\u2013"
        await page.until("document.querySelectorAll('#books tr.gone').length === 4")
        found.append(crowd(2, 4))
        await page.until("document.querySelector('#daemons .pill').textContent === 'answers'")
        await page.until("document.querySelectorAll('tr.gone').length === 0")


async def test_a_page_that_hears_nothing_any_more_says_that_its_figures_are_old_and_finds_back():
    web = Web(lambda: ([crowd(1, 1)], []), None)
    port = await web.start("127.0.0.1", 0)
    async with browser(str(CHROMIUM), is_local=True) as page:
        await page.open(f"http://127.0.0.1:{port}/", width=390)
        await page.drawn()
        await page.until("document.querySelector('#link').className.includes('good')")
        await web.stop()
        await page.until("!document.querySelector('#stale').hidden")
        assert "old" in await page.run("document.querySelector('#stale').textContent")
        again = Web(lambda: ([crowd(1, 1)], []), None)
        await again.start("127.0.0.1", port)
        await page.until("document.querySelector('#stale').hidden")
        await again.stop()


async def test_a_token_is_typed_in_once_and_stays_out_of_addresses():
    token = "some-token-that-is-long"
    async with shown(lambda: ([crowd(1, 1)], []), token=token) as (page, url):
        await page.open(url, width=390)
        await page.until("document.querySelector('#login')?.hidden === false")
        assert await page.run("document.documentElement.dataset.ready") is None, "it shows nothing"
        await page.run("document.querySelector('#token').value = 'not this one at all'")
        await page.run("document.querySelector('#login button').click()")
        await page.until("!document.querySelector('#wrong').hidden")
        await page.run(f"document.querySelector('#token').value = '{token}'")
        await page.run("document.querySelector('#login button').click()")
        await page.drawn()
        assert await page.run("document.querySelector('#login').hidden")
        await page.open(url, width=390)
        await page.drawn()
        await page.run("sessionStorage.clear()")
        await page.open("about:blank", width=390)
        await page.open(f"{url}#token={token}", width=390)
        await page.drawn()
        assert await page.run("location.href") == url
        assert not any(token in one for one in page.requests)


async def test_a_filter_leaves_the_rows_that_have_the_text_and_the_theme_is_kept():
    async with shown(lambda: ([crowd(5, 20)], [])) as (page, url):
        await page.open(url, width=1280)
        await page.drawn()
        await page.run(
            "(one => { one.value = 'maker-03'; one.dispatchEvent(new Event('input')) })"
            "(document.querySelector('#filter'))"
        )
        assert set(await rows(page, "bots")) == {"maker-03"}
        assert await page.run("document.querySelector('#bots .count').textContent") == "1 of 6"
        await page.run("document.querySelector('#theme').click()")
        assert await page.run("document.documentElement.dataset.theme") == "night"
        await page.open(url, width=1280)
        await page.drawn()
        assert await page.run("document.documentElement.dataset.theme") == "night"


async def test_the_day_s_profits_are_drawn_as_they_come():
    step = 0

    def ask():
        nonlocal step
        step += 1
        profit = status.Profit(day_ns=NOON_NS, asset="USDT", total=10.0 * step)
        at_ns = NOON_NS + step * 30 * 10**9
        return [
            msgspec.structs.replace(crowd(1, 1), name=name, pid=number, now_ns=at_ns, profits=[profit])
            for number, name in enumerate(("one", "two"))
        ], []

    async with shown(ask) as (page, url):
        await page.open(url, width=1280)
        await page.drawn()
        await page.until("document.querySelectorAll('.chart .curve').length === 3")
        length = "document.querySelectorAll('.chart .curve')[2].getAttribute('d').length"
        before = await page.run(length)
        await page.until(f"{length} > {before}")
        keys = await page.run("document.querySelector('.chart .keys').textContent")
        found = re.match(r"one ([\d.]+)two ([\d.]+)all ([\d.]+)since 00:00", keys)
        assert found, keys
        assert float(found[1]) + float(found[2]) == pytest.approx(float(found[3]))
