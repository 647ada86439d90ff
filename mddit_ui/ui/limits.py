"""Middleware: how much one request may send (the server itself sets no limit on a body), and the page, compressed."""

from contextlib import suppress
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_UPLOAD = "256kb"
MAX_BODY = 1_000_000  # bytes; the largest grid is 200,000 cells


class BodyTooLarge(Exception):
    """The body grew beyond the limit while it was read."""


class BodyLimit:
    """Answers 413 to a request whose body is larger than ``most`` bytes, whether or not it says its length."""

    def __init__(self, app: ASGIApp, most: int = MAX_BODY):
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > self.most:
            await _refuse(send)
            return
        seen, started = 0, False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.most:
                raise BodyTooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            if seen <= self.most or started:  # else it is the inner answer to our own exception
                started = True
                await send(message)

        with suppress(BodyTooLarge, ClientDisconnect):  # who has left needs no answer, and is no fault to log
            await self.app(scope, counted, watched)
        if seen > self.most and not started:
            await _refuse(send)


class PackedPage:
    """Compresses the page itself, of half a megabyte; Gradio does so with its files only."""

    def __init__(self, app: ASGIApp):
        self.app, self.packed = app, GZipMiddleware(app, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_page = scope["type"] == "http" and scope["path"] == "/"
        await (self.packed if is_page else self.app)(scope, receive, send)


def middleware() -> list[Middleware]:
    return [Middleware(BodyLimit), Middleware(PackedPage)]


async def _refuse(send: Send) -> None:
    headers: Any = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"This request is too large."})
