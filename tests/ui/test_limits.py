"""A body that is too large is refused, whether or not it says its length."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from mddit_ui.ui.limits import BodyLimit, PackedPage


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = Starlette(routes=[Route("/", echo, methods=["POST"])])
    with TestClient(BodyLimit(app, most=1000)) as client:
        yield client


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1000, 200), (1001, 413), (50_000, 413)])
def test_a_body_with_a_length(client: TestClient, size: int, status: int) -> None:
    assert client.post("/", content=b"x" * size).status_code == status


@pytest.mark.parametrize(("parts", "status"), [(1, 200), (4, 413)])
def test_a_body_in_chunks(client: TestClient, parts: int, status: int) -> None:
    assert client.post("/", content=(b"x" * 400 for _ in range(parts))).status_code == status


def test_a_false_length_is_refused(client: TestClient) -> None:
    assert client.post("/", content=b"x", headers={"content-length": "many"}).status_code == 413


def test_a_visitor_who_leaves_is_no_fault() -> None:
    """The inner app raises ClientDisconnect when the rest of a body never comes; nobody is there to be answered."""
    sent: list[Message] = []

    async def left() -> Message:
        return {"type": "http.disconnect"}

    async def keep(message: Message) -> None:
        sent.append(message)

    async def upload(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    with pytest.raises(StopIteration):  # it runs to its end at once; the browser tests hold the event loop
        BodyLimit(upload)(scope, left, keep).send(None)
    assert sent == []


def test_the_page_is_packed_and_nothing_else() -> None:
    async def long(request: Request) -> PlainTextResponse:
        return PlainTextResponse("a" * 10_000)

    app = Starlette(routes=[Route("/", long), Route("/other", long)])
    with TestClient(PackedPage(app)) as client:
        page, other = client.get("/"), client.get("/other")
    assert page.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in other.headers
    assert page.text == other.text == "a" * 10_000
