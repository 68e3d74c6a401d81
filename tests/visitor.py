"""A browser without JavaScript, as a test needs one: cookies, redirects, forms filled in and sent; and the page served in this process."""

import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar

import uvicorn
from starlette.types import ASGIApp


@dataclass
class Form:
    """A form of a page: where it goes, and its fields as they stand there (a checkbox that is not ticked is none)."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[tuple[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._select = ""

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.found.append(Form(given.get("action", "")))
        if not self.found:
            return
        form, name = self.found[-1], given.get("name", "")
        if tag == "input" and given.get("type") in ("checkbox", "radio"):
            form.boxes.append((name, given["value"]))
            if "checked" in given:
                form.fields.append((name, given["value"]))
        elif tag == "input" and name and given.get("type") != "file":
            form.fields.append((name, given.get("value", "")))
        elif tag == "button" and name:
            form.buttons.append((name, given.get("value", "")))


@dataclass
class Answer:
    """What came back."""

    status: int
    address: str
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def words(self) -> str:
        """What a person reads, without markup."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text))

    def form(self, action: str, number: int = 0) -> Form:
        parser = _Forms()
        parser.feed(self.text)
        return [form for form in parser.found if form.action.endswith(action)][number]


class Visitor:
    """Somebody at a browser."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, address: str, **headers: str) -> Answer:
        return self._send(address, None, headers)

    def post(self, address: str, fields, **headers: str) -> Answer:
        return self._send(address, urllib.parse.urlencode(fields, doseq=True).encode(), headers)

    def send(self, form: Form, *, without: tuple[str, ...] = (), button: tuple[str, str] | None = None, **changes: str) -> Answer:
        """Send a form with some fields filled in, some left out, and a button pressed."""
        kept = [(name, value) for name, value in form.fields if name not in changes and name not in without]
        return self.post(form.action, [*kept, *changes.items(), *([button] if button else [])])

    def upload(self, form: Form, files: list[tuple[str, bytes]], **changes: str) -> Answer:
        """Send a form with files."""
        line = uuid.uuid4().hex
        fields = [(name, value) for name, value in form.fields if name not in changes] + list(changes.items())
        parts = [f'--{line}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields]
        for name, content in files:
            parts += [f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode(), content, b"\r\n"]
        body = b"".join([*parts, f"--{line}--\r\n".encode()])
        return self._send(form.action, body, {"Content-Type": f"multipart/form-data; boundary={line}"})

    def _send(self, address: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        whole = address if address.startswith("http") else self.base + address
        request = urllib.request.Request(whole, data=body, headers={name.replace("_", "-"): value for name, value in headers.items()})
        try:
            with self._opener.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.url, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.url, dict(error.headers), error.read())


@contextmanager
def served(application: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port of this machine, in a thread."""
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
