"""A headless Chromium, driven over its own protocol: open, click, type, press keys, look, take a picture.

It does what a person does: a click goes to the middle of what is seen, keys go to what has the focus. Every step waits for the page to settle.
"""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DEADLINE_SECONDS = 30.0


def find_chromium() -> str | None:
    """Return the browser's program, or None; on Debian: apt-get install chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """The one open page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._number = connection, 0
        for domain in ("Page", "Runtime", "DOM", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=DEADLINE_SECONDS))
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message.get("result", {})

    def run(self, script: str) -> Any:
        """Evaluate a script in the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.settle()

    def settle(self, seconds: float = 0.05) -> None:
        """Wait until a page is loaded whole; a click may take a moment to begin the next one."""
        time.sleep(seconds)
        self.wait_for("document.readyState === 'complete'")

    def wait_for(self, condition: str, *, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until a script is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            result = self.send("Runtime.evaluate", expression=condition, returnByValue=True)
            if result.get("result", {}).get("value"):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {condition}; the page at {self.address} says:\n{self.text[:2000]}")

    def click(self, selector: str) -> None:
        """Click the middle of the first thing that a selector names."""
        place = self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); if (!one) return null; one.scrollIntoView({{block: 'center'}});"
            " const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        assert place, f"nothing to click: {selector} at {self.address}"
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
        self.settle(0.15)

    def type(self, selector: str, text: str) -> None:
        """Put text into a field, as if typed."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Choose a value of a list."""
        self.run(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")

    def press(self, key: str) -> None:
        """Press a key on the page."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle(0.15)

    def picture(self, path: Path) -> None:
        """Take a picture of what is seen."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    @property
    def text(self) -> str:
        return str(self.run("document.body ? document.body.innerText : ''"))

    @property
    def address(self) -> str:
        return str(self.run("location.href"))

    def count(self, selector: str) -> int:
        return int(self.run(f"document.querySelectorAll({json.dumps(selector)}).length"))


@contextmanager
def browse(folder: Path, *, width: int = 1440, height: int = 900, has_script: bool = True) -> Iterator[Page]:
    """Start a browser with a profile of its own, and end it."""
    program = find_chromium()
    assert program is not None
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
    ]
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with connect(_socket_address(folder), max_size=None) as connection:
            page = Page(connection)
            page.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
            page.send("Emulation.setScriptExecutionDisabled", value=not has_script)
            yield page
    finally:
        process.terminate()
        process.wait(timeout=DEADLINE_SECONDS)


def _socket_address(folder: Path) -> str:
    end = time.monotonic() + DEADLINE_SECONDS
    place = folder / "DevToolsActivePort"
    while time.monotonic() < end:
        if place.exists() and len(lines := place.read_text().split()) == 2:
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list", timeout=DEADLINE_SECONDS) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("the browser did not start")
