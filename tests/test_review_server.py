"""The page's server: it answers its own pages, and nobody else."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from pegboard.corrections import read_corrections
from pegboard.errors import PegboardError
from pegboard.images import to_pixels
from pegboard.review.guard import MOST_BYTES
from pegboard.review.opening import Opened
from pegboard.review.server import ReviewServer
from review_folders import SUSPECTS, Client, enter, open_folder, serving

PROGRAM = str(Path(sys.executable).with_name("pegboard"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Opened, Client]]:
    """One server for the tests that decide nothing."""
    opened = open_folder(tmp_path_factory.mktemp("review"))
    with serving(opened) as server:
        yield opened, enter(server.address)


@pytest.fixture
def client(shared: tuple[Opened, Client]) -> Iterator[Client]:
    opened, client = shared
    yield client
    assert not opened.review.log.path.exists(), "a refused request has decided something"


KEEP = {"number": 1, "action": "keep"}


class TestWhoMayAsk:
    def test_it_listens_on_the_loopback_interface_only(self, client: Client) -> None:
        port = urlsplit(client.address).port
        with socket.socket() as other:
            other.settimeout(5)
            # 127.0.0.2 is this machine too, and nothing listens there.
            with pytest.raises(OSError, match=r"refused|timed out"):
                other.connect(("127.0.0.2", port))

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", None,
                 "127.0.0.1:{port}.evil.example", "localhost.evil.example:{port}"],
    )  # fmt: skip
    def test_another_host_name_is_refused(self, client: Client, host: str | None) -> None:
        """A site whose name is pointed to 127.0.0.1 (DNS rebinding) sends its own name."""
        port = urlsplit(client.address).port
        answer = client.get("/photo/1", host=host and host.format(port=port))
        assert answer.status in (400, 403)
        assert b"token" not in answer.body

    def test_localhost_is_this_machine_too(self, client: Client) -> None:
        port = urlsplit(client.address).port
        assert client.get("/photo/1", host=f"localhost:{port}").status == 200

    @pytest.mark.parametrize("path", ["/", "/photo/1", "/picture/0/large", "/bulk", "/review.js"])
    def test_without_the_cookie_nothing_is_shown(self, client: Client, path: str) -> None:
        for cookie in (None, "pegboard-review-1=x", client.cookie[:-1], "\x01=;;"):
            answer = client.get(path, cookie=cookie)
            assert answer.status == 403
            assert "printed in the terminal" in answer.text

    def test_a_wrong_key_gives_no_cookie(self, client: Client) -> None:
        for query in ("key=", "key=wrong", "key=wrong&key=" + client.address.partition("=")[2]):
            answer = client.get(f"/?{query}", cookie=None)
            assert answer.status == 403
            assert "set-cookie" not in answer.headers

    def test_the_cookie_is_kept_from_scripts_and_other_sites(self, client: Client) -> None:
        answer = client.get("/?" + urlsplit(client.address).query, cookie=None)
        (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
        assert cookie["httponly"]
        assert cookie["samesite"].lower() == "strict"
        assert cookie["domain"] == ""

    def test_another_site_can_decide_nothing(self, client: Client) -> None:
        """Even with the cookie, which no browser would send with such a request."""
        forms = [
            {"origin": "http://evil.example"},
            {"origin": "null"},
            {"origin": None},
            {"origin": f"https://{client.host}"},
            {"origin": "http://127.0.0.1:1"},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
        ]
        for headers in forms:
            for path in ("/decide", "/undo", "/bulk"):
                assert client.post(path, KEEP, **headers).status == 403, headers

    def test_a_form_without_the_sessions_token_is_refused(self, client: Client) -> None:
        for token in ("", "wrong", client.token[:-1], client.token + "x"):
            assert client.post("/decide", KEEP | {"token": token}).status == 403

    def test_only_forms_are_taken(self, client: Client) -> None:
        body = json.dumps(KEEP | {"token": client.token}).encode()
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", None):
            assert client.ask("POST", "/decide", body, content_type=kind).status == 415

    def test_a_decision_cannot_be_made_by_a_link(self, client: Client) -> None:
        query = f"/decide?token={client.token}&number=1&action=drop"
        assert client.get(query).status == 405
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"):
            assert client.ask(method, "/decide").status in (400, 405)

    def test_a_web_socket_is_refused(self, client: Client) -> None:
        answer = client.get(
            "/",
            connection="Upgrade",
            upgrade="websocket",
            sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
            sec_websocket_version="13",
        )
        assert answer.status != 101


class TestWhatIsSent:
    def test_every_answer_forbids_what_the_page_does_not_need(self, client: Client) -> None:
        for answer in (
            client.get("/photo/1"),
            client.get("/picture/0/small"),
            client.get("/nothing"),
            client.get("/photo/1", host="evil.example"),
        ):
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers

    def test_the_page_uses_nothing_from_elsewhere(self, client: Client) -> None:
        for path in ("/photo/1", "/bulk", "/end", "/style.css", "/review.js"):
            text = client.get(path).text
            assert "http://" not in text.replace(f"http://{client.host}", "")
            assert "https://" not in text
            assert "style=" not in text
            assert "onclick=" not in text

    def test_pages_are_not_kept_by_the_browser(self, client: Client) -> None:
        assert client.get("/photo/1").headers["cache-control"] == "no-store"

    def test_a_photo_is_sent_by_number_smaller_and_without_exif(
        self, shared: tuple[Opened, Client]
    ) -> None:
        opened, client = shared
        number = opened.review.gallery.number("disc/000.jpg")
        answer = client.get(f"/picture/{number}/large")
        assert answer.headers["content-type"] == "image/webp"
        assert b"SECRET-CAMERA" not in answer.body
        assert b"EXIF" not in answer.body
        assert to_pixels(answer.body).shape == (80, 96, 3)

    def test_pictures_are_kept_under_an_address_of_this_session_only(
        self, client: Client, tmp_path: Path
    ) -> None:
        """A later review at the same port has other photos under the same numbers."""

        def address(page: str) -> str:
            return page.partition('src="/picture/')[2].partition('"')[0]

        own = address(client.get("/photo/1").text)
        assert "immutable" in client.get(f"/picture/{own}").headers["cache-control"]
        with serving(open_folder(tmp_path)) as server:
            other = enter(server.address)
            assert address(other.get("/photo/1").text) != own
            for path in (own, own.partition("?")[0]):
                assert other.get(f"/picture/{path}").headers["cache-control"] == "no-store"
            assert "?of=" in address(other.get("/bulk").text)

    @pytest.mark.parametrize(
        "path",
        [
            "/picture/99999/large",
            "/picture/-1/large",
            "/picture/0/huge",
            "/picture/0/../large",
            "/picture/..%2f..%2fetc%2fpasswd/large",
            "/picture/disc%2f000.jpg/large",
            "/picture/%2e%2e/%2e%2e/large",
            "/../../etc/passwd",
            "/photos/disc/000.jpg",
            "//etc/passwd",
            "/photo/0",
            "/photo/99999",
            "/photo/x",
            "/static/review.js",
            "/openapi.json",
            "/docs",
        ],
    )
    def test_nothing_else_can_be_asked_for(self, client: Client, path: str) -> None:
        answer = client.get(path)
        assert answer.status in (400, 404)
        assert b"root:" not in answer.body
        assert len(answer.body) < 200

    def test_what_is_sent_has_a_limit(self, client: Client) -> None:
        assert client.post("/decide", KEEP | {"label": "x" * MOST_BYTES}).status == 413
        many = {"chosen": ["1"] * 5000}
        assert client.post("/bulk", many).status == 400

    @pytest.mark.parametrize("value", ["x", "", "-1", "1e3", "٣", "1" * 400])
    def test_a_number_that_is_none_is_no_error_of_ours(self, client: Client, value: str) -> None:
        assert client.post("/decide", {"number": value, "action": "keep"}).status in (400, 404, 409)
        assert client.get(f"/jump?to={quote(value)}").status in (303, 404)

    def test_a_body_that_is_no_text_is_refused(self, client: Client) -> None:
        assert client.ask("POST", "/decide", b"token=%ff%fe&number=1").status in (400, 403)


class TestGoingThrough:
    def test_a_decision_leads_to_the_next_photo(self, tmp_path: Path) -> None:
        opened = open_folder(tmp_path)
        with serving(opened) as server:
            client = enter(server.address)
            assert client.get("/").headers["location"] == "/photo/1"
            answer = client.post("/decide", {"number": 1, "action": "accept"})
            assert (answer.status, answer.headers["location"]) == (303, "/photo/2")
            page = client.get("/photo/2").text
            assert "Relabelled to square: disc/000.jpg." in page
            assert f"1 of {SUSPECTS + 1} decided" in page
            assert client.get("/jump?to=99").headers["location"] == f"/photo/{SUSPECTS + 1}"
            refused = client.post("/decide", {"number": 2, "action": "relabel", "label": "ring"})
            assert refused.status == 409
            assert "is not a class here" in refused.text
            assert client.post("/undo").headers["location"] == "/photo/1"
            assert client.post("/undo").status == 409
            answer = client.post("/bulk", {"chosen": [1, 2, 3]})
            assert answer.headers["location"] == "/photo/4"
            for number in range(4, SUSPECTS + 2):
                answer = client.post("/decide", {"number": number, "action": "keep"})
            assert answer.headers["location"] == "/end"
            end = client.get("/end").text
            assert "Everything is decided" in end
            assert "pegboard compare" in end
        actions = [one.action for one in read_corrections(opened.review.log.path)]
        assert actions == ["accept", "undo", *["accept"] * 3, *["keep"] * 4]

    def test_a_file_that_cannot_be_read_any_more_is_told_on_the_page(self, tmp_path: Path) -> None:
        opened = open_folder(tmp_path)
        with serving(opened) as server:
            client = enter(server.address)
            client.post("/decide", {"number": 1, "action": "keep"})
            file = opened.review.log.path
            whole = file.read_bytes()
            file.write_bytes(whole.replace(b",", b";") + b"\n")
            for path in ("/photo/2", "/bulk", "/end"):
                answer = client.get(path)
                assert (answer.status, "have semicolons" in answer.text) == (409, True)
            refused = client.post("/decide", {"number": 2, "action": "keep"})
            assert (refused.status, "have semicolons" in refused.text) == (409, True)
            file.write_bytes(whole)
            assert client.post("/decide", {"number": 2, "action": "keep"}).status == 303
            assert client.get("/photo/3").status == 200

    def test_decisions_from_many_threads_are_all_saved(self, tmp_path: Path) -> None:
        opened = open_folder(tmp_path)
        with serving(opened) as server:
            client = enter(server.address)
            threads = [
                threading.Thread(
                    target=client.post, args=("/decide", {"number": number, "action": "keep"})
                )
                for number in range(1, SUSPECTS + 2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        assert len(read_corrections(opened.review.log.path)) == SUSPECTS + 1

    def test_a_port_that_is_taken_is_told(self, tmp_path: Path) -> None:
        opened = open_folder(tmp_path)
        with serving(opened) as server, pytest.raises(PegboardError, match="cannot be used"):
            ReviewServer(opened.review, server.access.port)


class TestCommand:
    """The program itself, ended in both ways a program is ended."""

    def start(self, folder: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
        open_folder(folder)
        process = subprocess.Popen(
            [PROGRAM, "review", "photos", "--findings", "found", "--no-open", "--reviewer", "ann",
             *options],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        line = process.stderr.readline()
        address = next((word for word in line.split() if word.startswith("http://")), "")
        assert address, line + process.stderr.read()
        return process, address

    def test_kill_9_loses_nothing(self, tmp_path: Path) -> None:
        process, address = self.start(tmp_path)
        client = enter(address)
        for number in range(1, 4):
            assert client.post("/decide", {"number": number, "action": "accept"}).status == 303
        process.kill()
        process.wait(20)
        made = read_corrections(tmp_path / "found/corrections.csv")
        assert [one.path for one in made] == [f"disc/{index:03d}.jpg" for index in range(3)]
        assert open_folder(tmp_path).review.next_open(-1) == 3

    def test_ctrl_c_ends_it_in_order(self, tmp_path: Path) -> None:
        process, address = self.start(tmp_path)
        client = enter(address)
        client.post("/decide", {"number": 1, "action": "drop"})
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert out.splitlines() == [
            f"1 decision in this session, {SUSPECTS} photos left; all are in found/corrections.csv",
            "Next:   pegboard compare photos --corrections found/corrections.csv",
        ]
        assert "Traceback" not in err

    def test_json_is_one_object(self, tmp_path: Path) -> None:
        process, address = self.start(tmp_path, "--json")
        enter(address)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert json.loads(out) == {
            "decisions": 0, "left": SUSPECTS + 1, "corrections": "found/corrections.csv",
        }  # fmt: skip
