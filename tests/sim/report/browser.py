"""A real browser that looks at pages: headless Chromium, spoken to by its debugging protocol."""

import asyncio
import base64
import io
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_MAX_S = 40.0
CALL_MAX_S = 60.0
POLL_S = 0.05

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--force-color-profile=srgb", "--remote-debugging-port=0",
)  # fmt: skip
# No name is found and no address answers: what a page asks for is counted, and comes to nothing.
_ALONE = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
)
_LOCAL = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server")


def find_browser() -> str | None:
    """Chromium's path: `HFTD_CHROMIUM`, else what is in the path."""
    named = os.environ.get("HFTD_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.requests: list[str] = []
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(CALL_MAX_S):
            while True:
                message = json.loads((await self._socket.receive()).data)
                if message.get("id") == number:
                    assert "error" not in message, message["error"]
                    return message["result"]
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(
                    message["params"]["exceptionDetails"].get("exception", {}).get("description", "?")
                )
            case "Log.entryAdded" if message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"])

    async def run(self, script: str) -> Any:
        """The value of an expression."""
        made = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in made, made["exceptionDetails"]
        return made["result"].get("value")

    async def show(
        self, path: Path, *, width: int, height: int = 900, dark: bool = False, scale: int = 1
    ) -> None:
        """Open a file at a width and theme, and wait until its script has drawn."""
        await self.open(path.as_uri(), width=width, height=height, dark=dark, scale=scale)
        await self.drawn()

    async def open(
        self, url: str, *, width: int, height: int = 900, dark: bool = False, scale: int = 1
    ) -> None:
        """Open an address at a width and theme."""
        phone = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.requests.clear()
        await self.call("Page.navigate", url=url)

    async def drawn(self) -> None:
        """Wait until the page's script has drawn everything."""
        await self.until("document.documentElement?.dataset.ready === '1'")
        await self.run(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    async def until(self, condition: str) -> None:
        """Wait until an expression is true."""
        for _ in range(int(CALL_MAX_S / POLL_S)):
            if await self.run(condition):
                return
            await asyncio.sleep(POLL_S)
        raise AssertionError(f"it did not become true: {condition}; errors: {self.errors}")

    async def point(self, x: float, y: float) -> None:
        """Move the pointer to a place on the screen."""
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def drag(self, x: float, y: float, to: float) -> None:
        """Press the button, move to another x in some steps, and let go."""
        await self.point(x, y)
        button = {"button": "left", "buttons": 1, "y": y}
        await self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, clickCount=1, **button)
        for step in range(1, 9):
            await self.call(
                "Input.dispatchMouseEvent", type="mouseMoved", x=x + (to - x) * step / 8, **button
            )
        await self.call("Input.dispatchMouseEvent", type="mouseReleased", x=to, clickCount=1, **button)

    async def double_click(self, x: float, y: float) -> None:
        """Click twice at one place."""
        await self.point(x, y)
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                await self.call(
                    "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count
                )

    async def picture(self) -> np.ndarray:
        """The whole page: shape (height, width, 3), uint8."""
        made = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        raw = base64.b64decode(made["data"])
        return np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))

    async def touch(self, x: float, y: float, to: float | None = None) -> None:
        """Touch the screen, move to another y if there is one, and let go."""
        await self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        for step in range(1, 9) if to is not None else ():
            place = {"x": x, "y": y + ((to or 0) - y) * step / 8}
            await self.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[place])
        await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


@asynccontextmanager
async def browser(executable: str, *, is_local: bool = False) -> AsyncIterator[Page]:
    """A browser with one empty tab and a profile of its own; it is gone afterwards.

    Args:
        executable: What `find_browser` found.
        is_local: It reaches servers of this machine; else it reaches nothing.
    """
    with tempfile.TemporaryDirectory(prefix="hftd-chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            executable, *_FLAGS, *(_LOCAL if is_local else _ALONE), f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await _port(Path(profile), process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = [tab for tab in await answer.json(content_type=None) if tab["type"] == "page"]
                url = tabs[0]["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await page.call(f"{domain}.enable")
                    await page.call("Emulation.setFocusEmulationEnabled", enabled=True)
                    yield page
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _port(profile: Path, process: asyncio.subprocess.Process) -> int:
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(START_MAX_S):
        while not (file.exists() and file.read_text().strip()):
            assert process.returncode is None, f"the browser ended with {process.returncode}"
            await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])
