"""A headless Chromium spoken to by its debugging protocol, over the websocket client of tornado (which Bokeh needs)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0
"""Seconds for the browser to start, and for any one answer."""

OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run",
    "--disable-background-networking", "--disable-extensions", "--force-device-scale-factor=1",
    # Nothing but this machine can be reached: a page that asked for the network would say so on the console.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost", "about:blank",
)  # fmt: skip


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page. `console` collects what is printed there and what goes wrong."""

    def __init__(self, profile: Path) -> None:
        self._loop = asyncio.new_event_loop()
        command = [str(chromium()), f"--user-data-dir={profile}", *OPTIONS]
        profile.mkdir(parents=True, exist_ok=True)
        own = {**os.environ, "TMPDIR": str(profile)}  # where it leaves folders behind
        self._process = subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.console: list[str] = []
        self._size = (1400, 900)
        self._count = 0
        self._socket: Any = None
        self._tab = ""
        self._port = self._started(profile / "DevToolsActivePort")

    def _started(self, note: Path) -> int:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int(note.read_text().splitlines()[0])
            time.sleep(0.05)
        raise AssertionError("Chromium did not start")

    async def _another_tab(self) -> None:
        """A tab of its own for every page: nothing of the last one is left."""
        from tornado.httpclient import AsyncHTTPClient
        from tornado.websocket import websocket_connect

        client, root = AsyncHTTPClient(), f"http://127.0.0.1:{self._port}/json"
        made = json.loads((await client.fetch(f"{root}/new?about:blank", method="PUT", body="")).body)
        if self._socket is not None:
            self._socket.close()
            await client.fetch(f"{root}/close/{self._tab}")
        self._tab = made["id"]
        self._socket = await websocket_connect(made["webSocketDebuggerUrl"], max_message_size=1 << 28)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._process.terminate()
        self._process.wait(10)
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def send(self, method: str, **parameters: Any) -> Any:
        """The answer to one command of the protocol."""
        self._count += 1
        return self._loop.run_until_complete(self._answered(self._count, method, parameters))

    async def _answered(self, number: int, method: str, parameters: dict[str, Any]) -> Any:
        await self._socket.write_message(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await asyncio.wait_for(self._socket.read_message(), PATIENCE))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        if message.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value", a.get("description"))) for a in given["args"]))
        elif message.get("method") == "Runtime.exceptionThrown":
            self.console.append(json.dumps(given["exceptionDetails"])[:2000])
        elif message.get("method") == "Log.entryAdded":
            self.console.append(given["entry"]["text"])

    def open(self, address: str, processors: int | None = None) -> None:
        """Open an address from scratch, off line, and wait until the playground has answered.

        processors : how many the page is to believe in.
        """
        self.console.clear()
        self._loop.run_until_complete(self._another_tab())
        for domain in ("Runtime", "Page", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        self.size(*self._size)
        if processors is not None:
            self.send("Emulation.setHardwareConcurrencyOverride", hardwareConcurrency=processors)
        self.send("Page.navigate", url=address)
        until = time.monotonic() + PATIENCE
        while not self.run("window.simlab?.answer?.sentence !== undefined"):
            assert time.monotonic() < until, f"the page did not answer: {self.console}"
            time.sleep(0.03)

    def shows(self, address: str) -> bool:
        """Whether the page of this address is open, and answers."""
        here = "location.href.split('#')[0] + typeof window.simlab"
        return self._socket is not None and self.run(here) == f"{address}object"

    def run(self, code: str) -> Any:
        """The value of an expression on the page, awaited where it is a promise (held, lest it be collected)."""
        held = f"globalThis.waited = ({code})"
        found = self.send("Runtime.evaluate", expression=held, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def size(self, width: int, height: int) -> None:
        """How large the window is, in this tab and the next ones."""
        self._size = (width, height)
        if self._socket is None:
            return
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def mouse(self, kind: str, x: float, y: float) -> None:
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **pressed)

    def drag(self, start: tuple[float, float], end: tuple[float, float], moves: int = 6) -> None:
        """Press at one place of the window, move in a few strokes, let go at another."""
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=start[0], y=start[1])
        self.mouse("Pressed", *start)
        for j in range(1, moves + 1):
            part = j / moves
            self.mouse("Moved", start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1]))
        self.mouse("Released", *end)

    def key(self, name: str) -> None:
        """One key, such as Tab, Enter, ArrowUp, Delete."""
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46}
        text = {"text": "\r"} if name == "Enter" else {}
        given = {"key": name, "code": name, "windowsVirtualKeyCode": codes[name], **text}
        self.send("Input.dispatchKeyEvent", type="keyDown", **given)
        self.send("Input.dispatchKeyEvent", type="keyUp", **given)

    def photograph(self, path: Path) -> None:
        """The whole page as a picture."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))
