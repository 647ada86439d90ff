"""The files of the page are told to a browser at once, after the first one has found them."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from mddit_ui.ui.limits import PackedPage
from mddit_ui.ui.preload import Preload

PAGE = "<html><head><title>a</title></head></html>"
SCRIPT = '<link rel="modulepreload" crossorigin href="./assets/a-1.js">'
STYLE = '<link rel="preload" as="style" crossorigin href="./assets/b_2.css">'


def visitor() -> TestClient:
    def file(request):
        return PlainTextResponse("", 200 if request.path_params["name"] in ("a-1.js", "b_2.css", "late.js") else 404)

    routes = [
        Route("/", lambda _: HTMLResponse(PAGE)),
        Route("/assets/{name}", file),
        Route("/other/{name}", lambda _: PlainTextResponse("")),
        Route("/call", lambda _: PlainTextResponse(""), methods=["POST"]),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(PackedPage), Middleware(Preload)]))


def test_the_second_page_names_what_the_first_one_fetched():
    client = visitor()
    assert client.get("/").text == PAGE
    for path in ("assets/a-1.js", "assets/b_2.css", "assets/missing.js", "assets/a.png", 'assets/">.js', "other/c.js"):
        client.get(f"/{path}")
    assert client.get("/").text == PAGE  # whoever comes meanwhile doesn't get half of them
    client.post("/call")
    client.get("/assets/late.js")  # of a tab that was opened: not for everybody
    assert client.get("/").text == PAGE.replace("<head>", f"<head>{SCRIPT}{STYLE}")


def test_a_page_that_is_not_compressed_tells_its_length():
    client = visitor()
    client.get("/assets/a-1.js")
    client.post("/call")
    answer = client.get("/", headers={"accept-encoding": "identity"})
    assert answer.text == PAGE.replace("<head>", f"<head>{SCRIPT}")
    assert int(answer.headers["content-length"]) == len(answer.text)
    assert client.head("/").headers["content-length"] == str(len(PAGE))


def test_a_program_that_fetches_no_files_leaves_it_open():
    client = visitor()
    client.post("/call")
    client.get("/assets/a-1.js")
    assert client.get("/").text == PAGE
    client.post("/call")
    assert SCRIPT in client.get("/").text
