"""Middleware: the scripts and styles of the page are named in its head; a browser asks for all of them at once."""

import re
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILE = re.compile(r"/assets/[\w.-]+\.(js|css)")
HEAD = b"<head>"
LINKS = {
    "js": '<link rel="modulepreload" crossorigin href=".{}">',
    "css": '<link rel="preload" as="style" crossorigin href=".{}">',
}


class Preload:
    """Gradio's page has some seventy small files, of which each names the next ones.

    What the first browser fetched before its page asked for something else than files is told to the next ones at once.
    """

    def __init__(self, app: ASGIApp):
        self.app, self.files, self.known = app, dict[str, str](), False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope.get("method"), scope.get("path", "")
        self.known = self.known or (method == "POST" and bool(self.files))
        found = FILE.fullmatch(path)

        async def noted(message: Message) -> None:
            if found and message.get("status") == 200:
                self.files[path] = found[1]
            await send(message)

        links = "".join(LINKS[kind].format(name) for name, kind in self.files.items()).encode()
        if method == "GET" and path == "/" and self.known:
            send = _with_links(send, links)
        await self.app(scope, receive, send if self.known else noted)


def _with_links(send: Send, links: bytes) -> Send:
    """The first part of the body with the links in its head, and the length that the page has with them."""
    start: dict[str, Any] | None = None

    async def linked(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = {**message}
            return
        if start:
            head, found, rest = message["body"].partition(HEAD)
            if found:
                message = {**message, "body": head + found + links + rest}
                start["headers"] = [
                    (name, str(int(value) + len(links)).encode() if name == b"content-length" else value)
                    for name, value in start["headers"]
                ]
            await send(start)
            start = None
        await send(message)

    return linked
