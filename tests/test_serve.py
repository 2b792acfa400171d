"""``pegboard serve`` for programs: a real server on the loopback interface."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from model_server import Client, form, many_pictures, picture, serving
from pegboard.bundle import write_bundle
from pegboard.errors import PegboardError
from pegboard.images import to_pixels
from pegboard.inputs import InputSpec
from pegboard.pictures import encode
from pegboard.predict import Predictor
from pegboard.serve import models as served_models
from pegboard.serve.limits import Limits
from pegboard.serve.logs import Log
from pegboard.serve.models import LOOK_SECONDS, Models
from pegboard.serve.server import ModelServer, Settings
from small_bundle import SPEC, colour_bundle, colour_info, colour_onnx

KEY = "a-key-of-many-letters"
LARGE = InputSpec(100, 100, 3, fit="squash")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_bundle(tmp_path_factory.mktemp("serve") / "colours.pegboard")


@pytest.fixture(scope="module")
def client(bundle: Path) -> Iterator[Client]:
    """A server for the tests that leave it as it is."""
    with serving(bundle) as server:
        yield Client(server.address)


class TestPredict:
    def test_one_photo_is_the_body(self, client: Client) -> None:
        answer = client.post("/v1/predict", picture((200, 20, 20)))
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        (row,) = answer.json["photos"]
        assert list(row) == ["path", "label", "probability", "top", "decision", "reason", "error"]
        assert (row["label"], row["decision"], row["error"]) == ("red", "sure", None)
        assert answer.json["model"]["name"] == "colours:tiny"

    def test_several_photos_of_a_form_keep_their_order_and_names(self, client: Client) -> None:
        photos = [("b.png", picture((20, 20, 200))), ("a.jpg", picture((20, 200, 20), kind="JPEG"))]
        rows = client.send_photos(photos, "/v1/predict?top=1").json["photos"]
        assert [(row["path"], row["label"]) for row in rows] == [
            ("b.png", "blue"),
            ("a.jpg", "green"),
        ]
        assert all(len(row["top"]) == 1 for row in rows)

    def test_answers_are_those_of_the_predictor_however_requests_meet(
        self, client: Client, bundle: Path
    ) -> None:
        photos = many_pictures(48)
        expected = [row.to_json() for row in Predictor.load(bundle, 1).predict(photos)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda photo: client.post("/v1/predict", photo), photos))
        assert [answer.json["photos"][0] for answer in answers] == expected
        sent = [(f"{number}.jpg", photo) for number, photo in enumerate(photos[:32])]
        together = client.send_photos(sent).json["photos"]
        assert [row | {"path": None} for row in together] == expected[:32]

    @pytest.mark.parametrize(
        "spec", [SPEC, InputSpec(100, 100, 3, fit="squash")], ids=["small", "large"]
    )
    def test_several_threads_answer_the_same(self, tmp_path: Path, spec: InputSpec) -> None:
        """Small photos pass the network in batches, large ones one to a thread."""
        path = tmp_path / "colours.pegboard"
        write_bundle(path, onnx=colour_onnx(spec), info=colour_info(input=spec))
        photos = many_pictures(64, seed=1)
        expected = [row.to_json() for row in Predictor.load(path, 1).predict(photos)]
        with serving(path, threads=3) as server, ThreadPoolExecutor(16) as pool:
            client = Client(server.address)
            answers = list(pool.map(lambda photo: client.post("/v1/predict", photo), photos))
            figures = client.get("/metrics").body.decode()
        assert [answer.json["photos"][0] for answer in answers] == expected
        assert "pegboard_batch_photos_sum 64.0" in figures
        if spec != SPEC:
            assert "pegboard_batch_photos_count 64.0" in figures

    @pytest.mark.parametrize(
        "kind", ["text/html", "application/x-www-form-urlencoded", "image/gif"]
    )
    def test_content_is_believed_and_its_type_is_not(self, client: Client, kind: str) -> None:
        answer = client.post("/v1/predict", picture(kind="WEBP"), content_type=kind)
        assert answer.json["photos"][0]["label"] == "red"

    def test_a_photo_that_cannot_be_used_is_a_row(self, client: Client) -> None:
        rows = client.send_photos([("good.png", picture()), ("bad.png", b"GIF89a")]).json["photos"]
        assert [row["error"] is None for row in rows] == [True, False]
        assert rows[1]["label"] is rows[1]["probability"] is rows[1]["decision"] is None

    def test_when_no_photo_can_be_used_the_rows_say_why(self, client: Client) -> None:
        told = client.post("/v1/predict", b"%PDF-1.7").problem(422)
        assert "PDF is not supported" in told["detail"]
        assert told["photos"][0]["error"].startswith("unsupported: ")

    @pytest.mark.parametrize(
        ("body", "kind", "status"),
        [
            (b"", "image/png", 422),
            (b"x", "multipart/form-data", 400),
            (b"x", "multipart/form-data; boundary=", 400),
            (b"nothing of this kind", "multipart/form-data; boundary=b", 400),
            (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
             "multipart/form-data; boundary=b", 400),
            (b'--b\r\nContent-Disposition: form-data; name="photos"\r\n\r\nx',
             "multipart/form-data; boundary=b", 400),
            (b"--b--\r\n", "multipart/form-data; boundary=b", 422),
        ],
    )  # fmt: skip
    def test_a_body_without_a_photo_is_told(
        self, client: Client, body: bytes, kind: str, status: int
    ) -> None:
        client.post("/v1/predict", body, content_type=kind).problem(status)

    def test_a_field_of_another_name_is_told(self, client: Client) -> None:
        body, kind = form([("picture", "a.png", picture())])
        told = client.post("/v1/predict", body, content_type=kind).problem(422)
        assert "expected photos in the field 'photos'" in told["detail"]

    def test_exif_turns_the_photo(self, client: Client) -> None:
        """Left half red, right half blue, and a note to turn it: answers do not change."""
        exif = Image.Exif()
        exif[0x0112] = 6
        answer = client.post("/v1/predict", picture(kind="JPEG", exif=exif))
        assert answer.json["photos"][0]["label"] == "red"


def flag(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    """A photo whose halves have a colour each."""
    pixels = np.empty((40, 32, 3), np.uint8)
    pixels[:, :16], pixels[:, 16:] = left, right
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class TestOtherRoutes:
    def test_the_model_is_described(self, client: Client, bundle: Path) -> None:
        told = client.get("/v1/model").json
        assert told["classes"] == ["red", "green", "blue"]
        assert told["limits"]["photos"] == Limits().photos
        assert told["figures"]["accuracy"] == 0.91
        assert told["sha256"] == Models(bundle).current().sha256

    @pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready")])
    def test_health(self, client: Client, path: str, status: str) -> None:
        assert client.get(path).json == {"status": status}
        assert client.ask("HEAD", path).status == 200
        # Those who watch over servers call them by any name.
        assert client.get(path, host="pod-7.cluster.local").status == 200

    def test_where_the_model_looked(self, client: Client, bundle: Path) -> None:
        photo = flag((120, 100, 100), (100, 100, 119))
        answer = client.post("/v1/explain?label=red", photo)
        assert answer.headers["content-type"] == "image/webp"
        assert client.post("/v1/explain", photo).body == answer.body
        # It is the picture that Python gets.
        drawn = Predictor.load(bundle, 1).where_it_looked(photo, "red")
        assert answer.body == encode(drawn)
        # Colours lie on what is red, so to the left; in the photo itself both halves are even.
        heat = np.ptp(to_pixels(answer.body).astype(int), axis=2).mean(axis=0)
        assert heat.shape == (80,)
        assert heat[:30].mean() > 2 * heat[50:].mean()
        assert client.post("/v1/explain?label=blue", photo).body != answer.body

    def test_what_cannot_be_explained_is_told(self, client: Client) -> None:
        client.post("/v1/explain?label=violet", picture()).problem(422)
        client.post("/v1/explain", b"text").problem(422)
        body, kind = form([("photos", "a.png", picture()), ("photos", "b.png", picture())])
        client.post("/v1/explain", body, content_type=kind).problem(413)

    def test_figures_for_prometheus(self, client: Client) -> None:
        before = client.get("/metrics").body.decode()
        client.post("/v1/predict", picture())
        after = client.get("/metrics").body.decode()

        def count(text: str) -> float:
            lines = [line for line in text.splitlines() if 'photos_total{answer="sure"}' in line]
            return float(lines[0].split()[-1]) if lines else 0.0

        assert count(after) == count(before) + 1
        assert 'pegboard_model_info{name="colours:tiny",sha256="' in after
        assert "pegboard_photos_waiting 0.0" in after

    def test_openapi_describes_every_route_with_an_example(self, client: Client) -> None:
        told = client.get("/openapi.json").json
        assert set(told["paths"]) >= {"/v1/predict", "/v1/explain", "/v1/model", "/healthz",
                                      "/readyz", "/metrics"}  # fmt: skip
        predict = told["paths"]["/v1/predict"]["post"]
        assert set(predict["requestBody"]["content"]) >= {"multipart/form-data", "image/jpeg"}
        example = predict["responses"]["200"]["content"]["application/json"]["example"]
        assert set(example["photos"][0]) == set(
            client.post("/v1/predict", picture()).json["photos"][0]
        )


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nothing", 404),
            ("GET", "/v1/predict", 405),
            ("PUT", "/v1/predict", 405),
            ("DELETE", "/healthz", 405),
            ("POST", "/v1/predict?top=0", 422),
            ("POST", "/v1/predict?top=many", 422),
            ("GET", "/../../etc/passwd", 404),
            ("GET", "/v1/%2e%2e/%2e%2e/etc/passwd", 404),
            ("GET", "//etc/passwd", 404),
            ("GET", "/v1/model/", 404),
            ("GET", "/%00", 404),
            ("GET", "/%ff%fe", 404),
            ("BREW", "/v1/predict", 405),
        ],
    )
    def test_every_error_has_one_shape(
        self, client: Client, method: str, path: str, status: int
    ) -> None:
        body = picture() if method == "POST" else None
        answer = client.ask(method, path, body)
        told = answer.problem(status)
        if status == 405:
            assert answer.headers["allow"]
        if status in (404, 405):
            assert "POST a photo to /v1/predict" in told["detail"]

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"nonsense\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad header\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n", 431),
            (b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
            (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400),
            (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
             b"Content-Length: 6\r\n\r\n", 400),
            (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n"
             b"\r\n", 501),
            (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
             b"zz\r\n", 400),
        ],
    )  # fmt: skip
    def test_what_is_no_http_gets_a_problem_too(
        self, client: Client, sent: bytes, status: int
    ) -> None:
        head, _, body = raw(client, sent).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d" % status), head
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status
        assert client.get("/healthz").status == 200

    def test_another_host_name_is_refused(self, client: Client) -> None:
        """A site whose name is pointed to 127.0.0.1 (DNS rebinding) sends its own name."""
        for host in ("evil.example", f"evil.example:{client.port}", "192.168.1.7", "[", "a b", ""):
            told = client.get("/v1/model", host=host)
            assert told.status == 421, host
            assert "--allow-host" in told.json["detail"]
        for host in (f"localhost:{client.port}", "127.0.0.1", "[::1]:80", "LOCALHOST"):
            assert client.get("/v1/model", host=host).status == 200

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"origin": "https://elsewhere.example"}, 403),
            ({"origin": "null"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
            ({"sec-fetch-site": "same-site", "origin": "http://localhost:1"}, 403),
            ({"sec-fetch-site": "same-origin"}, 200),
            # A proxy may give the server another name than the browser knows.
            ({"sec-fetch-site": "same-origin", "origin": "https://tools.example"}, 200),
            ({"sec-fetch-site": "none"}, 200),
            ({}, 200),
        ],
    )
    def test_pages_of_other_sites_cannot_ask(
        self, client: Client, headers: dict[str, str], status: int
    ) -> None:
        assert client.ask("POST", "/v1/predict", picture(), headers).status == status
        own = {"origin": f"http://{client.netloc}"}
        assert client.ask("POST", "/v1/predict", picture(), own).status == 200

    def test_a_web_socket_is_no_request_of_ours(self, client: Client) -> None:
        answer = client.get(
            "/v1/model", connection="Upgrade", upgrade="websocket", sec_websocket_version="13",
            sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==",
        )  # fmt: skip
        assert answer.status == 200

    def test_every_answer_forbids_what_no_page_needs(self, client: Client) -> None:
        for answer in (client.get("/healthz"), client.get("/nothing"), client.get("/", host="x.y")):
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers


def raw(client: Client, sent: bytes) -> bytes:
    """What a server answers to bytes, up to the end of the connection."""
    with socket.create_connection((client.host, client.port), timeout=20) as connection:
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received


class TestLimits:
    @pytest.fixture
    def small(self, bundle: Path) -> Iterator[Client]:
        limits = Limits(
            body_bytes=20_000, photos=3, pixels=10_000, head_seconds=0.6, pause_seconds=0.4,
            body_seconds=1.0, all_bytes=50_000,
        )  # fmt: skip
        with serving(bundle, limits=limits) as server:
            yield Client(server.address)

    def test_bytes(self, small: Client) -> None:
        told = small.post("/v1/predict", bytes(20_001)).problem(413)
        assert "20,000 bytes" in told["detail"]

    def test_bytes_that_are_not_announced(self, small: Client) -> None:
        def chunks() -> Iterator[bytes]:
            for _ in range(30):
                yield bytes(1000)

        connection = small.connect()
        connection.request("POST", "/v1/predict", chunks(), encode_chunked=True)
        assert connection.getresponse().status == 413

    def test_one_byte_too_many_is_told_at_once(self, small: Client) -> None:
        # Read on for five seconds would be too late for this client.
        connection = small.connect(timeout=4)
        connection.request("POST", "/v1/predict", iter([bytes(20_001)]), encode_chunked=True)
        assert connection.getresponse().status == 413

    def test_bytes_of_all_requests_together(self, small: Client) -> None:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"
        held = []
        for _ in range(4):
            held.append(socket.create_connection((small.host, small.port), timeout=20))
            held[-1].sendall(head + bytes(15_000))
        answers = [one.recv(200) for one in held]
        # The fourth is one too many; the others are given up when they go on no more.
        assert [answer[9:12] for answer in answers].count(b"503") == 1
        for one in held:
            one.close()
        patiently(lambda: bytes_held(small) == 0)
        assert small.post("/v1/predict", picture(size=(20, 20))).status == 200

    def test_who_leaves_early_leaves_nothing_behind(self, small: Client) -> None:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n"
        for sent in (b"POST", head, head + bytes(9_000), head + bytes(20_000)):
            with socket.create_connection((small.host, small.port), timeout=20) as connection:
                connection.sendall(sent)
        patiently(lambda: bytes_held(small) == 0)

    def test_photos(self, small: Client) -> None:
        photos = [("a.png", picture(size=(8, 8)))] * 4
        assert "3 photos, found 4" in small.send_photos(photos).problem(413)["detail"]

    def test_parts(self, small: Client) -> None:
        body, kind = form([("photos", None, b"")] * 101)
        small.post("/v1/predict", body, content_type=kind).problem(413)

    def test_pixels_are_counted_before_they_are_decoded(self, small: Client) -> None:
        told = small.post("/v1/predict", picture(size=(101, 100), kind="JPEG")).problem(422)
        assert "too-large: 101 x 100" in told["detail"]

    def test_a_bomb_is_not_decoded(self, small: Client) -> None:
        """A PNG of 40 KB would be 10 GB of pixels."""
        told = small.post("/v1/predict", bomb(60_000, 60_000)).problem(422)
        assert "too-large" in told["detail"]

    def test_a_head_that_does_not_come(self, small: Client) -> None:
        answered = raw(small, b"GET / HTTP/1.1\r\nHost: loc")
        assert answered.startswith(b"HTTP/1.1 408")
        assert raw(small, b"") == b""

    def test_a_head_that_comes_byte_by_byte(self, small: Client) -> None:
        with socket.create_connection((small.host, small.port), timeout=20) as connection:
            with pytest.raises(OSError):  # noqa: PT011, PT012  (reset or broken pipe)
                for _ in range(200):
                    connection.sendall(b"x")
                    time.sleep(0.02)
            assert small.get("/healthz").status == 200

    def test_a_body_that_does_not_come(self, small: Client) -> None:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        answered = raw(small, head + b"some")
        assert answered.startswith(b"HTTP/1.1 408")
        assert b"application/problem+json" in answered

    def test_a_body_that_comes_byte_by_byte(self, small: Client) -> None:
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n"
        with socket.create_connection((small.host, small.port), timeout=20) as connection:
            connection.sendall(head)
            with pytest.raises(OSError):  # noqa: PT011, PT012
                for _ in range(200):
                    connection.sendall(b"x")
                    time.sleep(0.05)

    def test_a_connection_is_kept_between_requests_and_not_for_ever(self, small: Client) -> None:
        connection = small.connect()
        for _ in range(3):
            assert small.ask("GET", "/healthz", connection=connection).status == 200
        time.sleep(1.0)
        connection.auto_open = False
        with pytest.raises(Exception, match=r"(?i)closed|reset|pipe|connect"):
            small.ask("GET", "/healthz", connection=connection)


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims more pixels than it could ever need to have."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999)))
    )


class TestManyAtOnce:
    def test_stalled_connections_make_room_for_others(self, bundle: Path) -> None:
        limits = Limits(connections=20, head_seconds=60)
        with serving(bundle, limits=limits) as server:
            client = Client(server.address)
            stalled = [socket.create_connection((client.host, client.port)) for _ in range(60)]
            try:
                for connection in stalled[::2]:
                    connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n")
                for connection in stalled[1::4]:
                    connection.sendall(
                        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
                    )
                for _ in range(5):
                    assert client.post("/v1/predict", picture()).status == 200
            finally:
                for connection in stalled:
                    connection.close()

    def test_a_body_that_is_announced_with_the_request_before_makes_room_too(
        self, bundle: Path
    ) -> None:
        """Two requests in one piece, the second without its body (pipelining)."""
        sent = (
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        )
        with serving(bundle, limits=Limits(connections=6)) as server:
            client = Client(server.address)
            stalled = [socket.create_connection((client.host, client.port)) for _ in range(6)]
            try:
                for connection in stalled:
                    connection.sendall(sent)
                    assert connection.recv(65536).startswith(b"HTTP/1.1 200")
                for _ in range(5):
                    assert client.post("/v1/predict", picture()).status == 200
            finally:
                for connection in stalled:
                    connection.close()

    @pytest.mark.parametrize("ends", [b"", b"Connection: close\r\n"])
    def test_who_does_not_read_the_answers_makes_room_and_is_cut_off(
        self, bundle: Path, ends: bytes
    ) -> None:
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n"
        limits = Limits(connections=6, pause_seconds=1)
        with serving(bundle, limits=limits) as server:
            client = Client(server.address)
            stalled = [socket.socket() for _ in range(6)]
            try:
                for connection in stalled:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    connection.connect((client.host, client.port))
                    connection.sendall(400 * (asked + b"\r\n") + asked + ends + b"\r\n")
                for _ in range(5):
                    patiently(lambda: is_answered(client))
                name = "pegboard_stalled_connections_closed"
                patiently(lambda: is_answered(client) and value_of(client, name) >= 6)
            finally:
                for connection in stalled:
                    connection.close()

    def test_a_body_in_chunks_of_a_byte_holds_nobody_up(self, client: Client) -> None:
        photo = picture()
        head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in photo)
        with socket.create_connection((client.host, client.port), timeout=20) as connection:
            connection.sendall(head + b"Connection: close\r\n\r\n" + chunks)
            assert client.get("/healthz").status == 200
            connection.sendall(b"0\r\n\r\n")
            received = b""
            while part := connection.recv(65536):
                received += part
        assert json.loads(received.partition(b"\r\n\r\n")[2])["photos"][0]["label"] == "red"

    def test_a_full_queue_says_when_to_come_again(self, bundle: Path) -> None:
        limits = Limits(queue=4, photos=4)
        photos = [("a.png", picture(size=(1500, 1500)))] * 4
        with serving(bundle, limits=limits) as server:
            client = Client(server.address)
            with ThreadPoolExecutor(12) as pool:
                answers = list(pool.map(lambda _: client.send_photos(photos), range(24)))
            refused = [answer for answer in answers if answer.status != 200]
            assert refused
            assert len(refused) < len(answers)
            for answer in refused:
                answer.problem(503)
                assert int(answer.headers["retry-after"]) >= 1
            assert client.post("/v1/predict", picture()).status == 200

    def test_what_is_late_is_given_up(self, bundle: Path) -> None:
        with serving(bundle, limits=Limits(seconds=0.001)) as server:
            told = (
                Client(server.address).post("/v1/predict", picture(size=(2000, 2000))).problem(503)
            )
            assert "no answer within" in told["detail"]


class TestKey:
    @pytest.fixture
    def locked(self, bundle: Path) -> Iterator[Client]:
        with serving(bundle, key=KEY, names=["model.example"]) as server:
            yield Client(server.address)

    @pytest.mark.parametrize("path", ["/v1/predict", "/v1/model", "/metrics", "/openapi.json"])
    def test_without_it_nothing_is_answered(self, locked: Client, path: str) -> None:
        wrong = [
            {},
            {"x-api-key": ""},
            {"x-api-key": KEY[:-1]},
            {"authorization": f"Basic {KEY}"},
            {"authorization": "Bearer"},
            {"x-api-key": "é" * 8},
        ]
        for headers in wrong:
            answer = locked.ask("GET", path, None, headers)
            answer.problem(401)
            assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("headers", [{"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}])
    def test_with_it_all_is(self, locked: Client, headers: dict[str, str]) -> None:
        assert locked.ask("POST", "/v1/predict", picture(), headers).status == 200
        assert locked.ask("GET", "/metrics", None, headers).status == 200

    def test_who_sends_much_without_it_is_still_told(self, locked: Client) -> None:
        locked.post("/v1/predict", bytes(5_000_000)).problem(401)

    def test_those_who_watch_need_none(self, locked: Client) -> None:
        assert locked.get("/readyz").status == 200

    def test_a_name_that_was_given_is_answered_to(self, locked: Client) -> None:
        assert locked.get("/v1/model", host="model.example:8443", x_api_key=KEY).status == 200

    def test_a_short_key_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from pegboard.serve.access import KEY_VARIABLE, find_key

        monkeypatch.delenv(KEY_VARIABLE, raising=False)
        assert find_key(None) is None
        (tmp_path / "key").write_text("short\n")
        with pytest.raises(PegboardError, match="at least 16"):
            find_key(tmp_path / "key")
        (tmp_path / "key").write_text(KEY + "\n")
        assert find_key(tmp_path / "key") == KEY
        monkeypatch.setenv(KEY_VARIABLE, KEY[::-1])
        assert find_key(None) == KEY[::-1]


def turned(path: Path) -> None:
    """Another model: the same network, its classes in another order."""
    info = colour_info(name="colours:turned", classes=("blue", "green", "red"))
    write_bundle(path, onnx=colour_onnx(), info=info)


class TestReload:
    def test_a_new_bundle_answers_and_no_request_is_lost(self, tmp_path: Path) -> None:
        path = colour_bundle(tmp_path / "model.pegboard")
        turned(tmp_path / "next.pegboard")
        answers: list[tuple[int, str, str]] = []
        with serving(path) as server:
            client, ended = Client(server.address), threading.Event()

            def keep_asking() -> None:
                connection = client.connect()
                while not ended.is_set():
                    answer = client.ask("POST", "/v1/predict", picture(), connection=connection)
                    told = answer.json
                    answers.append(
                        (answer.status, told["model"]["name"], told["photos"][0]["label"])
                    )

            with ThreadPoolExecutor(4) as pool:
                asking = [pool.submit(keep_asking) for _ in range(4)]
                (tmp_path / "next.pegboard").replace(path)
                patiently(lambda: server.models.current().name == "colours:turned")
                time.sleep(0.2)
                ended.set()
                for one in asking:
                    one.result()
            assert client.get("/v1/model").json["classes"][0] == "blue"
        # Each answer is of one model as a whole, and both have answered.
        assert set(answers) == {(200, "colours:tiny", "red"), (200, "colours:turned", "blue")}

    def test_a_bundle_that_is_damaged_changes_nothing(self, tmp_path: Path) -> None:
        path = colour_bundle(tmp_path / "model.pegboard")
        whole = path.read_bytes()
        told: list[tuple[str, str]] = []
        models = Models(path, lambda outcome, _, why: told.append((outcome, why)))
        first = models.current()
        path.write_bytes(whole[:-500])
        assert not models.look()  # not at rest yet
        assert not models.look()
        assert models.current() is first
        assert told[0][0] == "failed"
        assert "damaged" in told[0][1]
        assert not models.look()  # it is not read over and over
        assert len(told) == 1
        path.unlink()
        assert not models.look()
        path.write_bytes(whole)
        assert not models.look()
        assert not models.look()
        assert told[1][0] == "unchanged"
        turned(path)
        models.look()
        assert models.look()
        assert models.current().name == "colours:turned"
        assert models.current().sha256 != first.sha256

    def test_a_file_cut_off_while_it_is_busy_leaves_the_old_model_answering(
        self, tmp_path: Path
    ) -> None:
        path = colour_bundle(tmp_path / "model.pegboard")
        with serving(path) as server, ThreadPoolExecutor(4) as pool:
            client, ended = Client(server.address), threading.Event()

            def keep_asking() -> set[tuple[int, str]]:
                seen = set()
                while not ended.is_set():
                    answer = client.post("/v1/predict", picture())
                    seen.add((answer.status, answer.json["model"]["sha256"]))
                return seen

            sha256 = server.models.current().sha256
            asking = [pool.submit(keep_asking) for _ in range(3)]
            turned(tmp_path / "next.pegboard")
            path.write_bytes((tmp_path / "next.pegboard").read_bytes()[:-700])
            failed = 'pegboard_reloads_total{outcome="failed"} 1.0'
            patiently(lambda: failed in client.get("/metrics").body.decode())
            ended.set()
            assert set.union(*(one.result() for one in asking)) == {(200, sha256)}
            assert client.get("/readyz").status == 200

    def test_a_bundle_replaced_while_it_is_read_goes_by_its_own_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = colour_bundle(tmp_path / "model.pegboard")
        turned(tmp_path / "next.pegboard")
        really_read = served_models.read_bundle

        def read_and_replace(asked: Path):  # type: ignore[no-untyped-def]
            bundle = really_read(asked)
            if (tmp_path / "next.pegboard").exists():
                (tmp_path / "next.pegboard").replace(path)
            return bundle

        monkeypatch.setattr(served_models, "read_bundle", read_and_replace)
        model = Models(path).current()
        assert model.name == "colours:turned"
        assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
    def test_a_hang_up_has_the_bundle_read_again(self, bundle: Path, tmp_path: Path) -> None:
        shutil.copy(bundle, tmp_path / "model.pegboard")
        with program(tmp_path / "model.pegboard") as (process, _):
            process.send_signal(signal.SIGHUP)
            assert next_event(process, "reload")["outcome"] == "unchanged"


class program:  # noqa: N801  (reads as a function)
    """The command in a process of its own, ready to answer."""

    def __init__(self, bundle: Path, *options: str) -> None:
        self._command = [sys.executable, "-m", "pegboard.cli", "serve", str(bundle), "--port", "0",
                         "--threads", "1", *options]  # fmt: skip

    def __enter__(self) -> tuple[subprocess.Popen[str], Client]:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        return self._process, Client(next_event(self._process, "started")["address"])

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def next_event(process: subprocess.Popen[str], name: str) -> dict[str, object]:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{"):
            told = json.loads(line)
            if told["event"] == name:
                return told
    raise AssertionError(f"the server ended and told of no {name!r}")


def patiently(holds) -> None:  # type: ignore[no-untyped-def]
    for _ in range(200):
        if holds():
            return
        time.sleep(LOOK_SECONDS / 10)
    raise AssertionError("it never came to hold")


class TestTheCommand:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_what_was_taken_is_answered_before_it_stops(self, bundle: Path, number: int) -> None:
        photos = [("a.jpg", picture(size=(3000, 3000), kind="JPEG"))] * 12
        with program(bundle) as (process, client):
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(client.send_photos, photos) for _ in range(4)]
                patiently(lambda: waiting(client) > 0)
                process.send_signal(number)
                statuses = [one.result().status for one in asked]
            assert process.wait(30) == 0
            assert statuses == [200] * 4
            with pytest.raises(OSError, match="refused"):
                client.get("/healthz")

    def test_it_says_where_it_listens(self, bundle: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "pegboard.cli",
            "serve",
            str(bundle),
            "--port",
            "0",
            "--json",
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, b"}\n")
            told = json.loads(b"".join(lines) + b"}")
            assert told["model"] == "colours:tiny"
            assert Client(told["address"]).get("/v1/model").json["sha256"] == told["sha256"]
            process.terminate()
            assert process.stdout.read() == b""
            assert process.wait(30) == 0

    def test_a_log_holds_no_photo_and_no_name(self, bundle: Path) -> None:
        stream = io.StringIO()
        with serving(bundle, Log(stream)) as server:
            client = Client(server.address)
            client.send_photos([("secret-name.png", picture())])
            client.get("/secret-path?q=secret-query")
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        requests = [line for line in lines if line["event"] == "request"]
        assert [(line["route"], line["status"]) for line in requests] == [
            ("/v1/predict", 200), ("other", 404),
        ]  # fmt: skip
        assert "secret" not in stream.getvalue()
        assert [line["event"] for line in lines][:: len(lines) - 1] == ["started", "stopped"]

    def test_libraries_write_nothing_beside_the_log(self, bundle: Path) -> None:
        with program(bundle) as (process, client):
            client.post("/v1/predict", b"--x", content_type="multipart/form-data; boundary=SECRET")
            client.post("/v1/predict", b"\xff", content_type="multipart/form-data; boundary=\xff")
            process.terminate()
            assert process.stderr is not None
            lines = process.stderr.read().splitlines()
        events = [json.loads(line)["event"] for line in lines if line.startswith("{")]
        assert events == ["request", "request", "stopped"]
        assert all(line.startswith(("{", "pegboard: ")) for line in lines)

    def test_it_listens_on_this_machine_only(self, client: Client) -> None:
        # 127.0.0.2 is this machine too, and nothing listens there.
        with pytest.raises(OSError, match=r"refused|timed out"):
            socket.create_connection(("127.0.0.2", client.port), timeout=5)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::1", "localhost"])  # noqa: S104
    def test_it_listens_where_it_is_told(self, bundle: Path, host: str) -> None:
        try:
            with serving(bundle, host=host) as server:
                client = Client(server.address)
                assert client.post("/v1/predict", picture()).status == 200
                status = client.get("/v1/model", host="192.168.1.7:8000").status
                assert status == (200 if host == "0.0.0.0" else 421)  # noqa: S104
        except PegboardError as error:
            pytest.skip(f"this machine has no {host}: {error}")

    def test_a_port_that_is_taken_is_told_in_one_line(self, bundle: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(PegboardError, match=f"--port {port} cannot be used"):
                ModelServer(bundle, Settings(port=port))

    def test_limits_that_let_nothing_through_are_refused(self) -> None:
        with pytest.raises(PegboardError, match="--max-photos"):
            Limits(queue=3, photos=4)
        with pytest.raises(PegboardError, match="seconds: expected more than 0"):
            Limits(seconds=0)


def is_answered(client: Client) -> bool:
    try:
        return client.get("/healthz").status == 200
    except OSError:
        return False


def value_of(client: Client, name: str) -> float:
    text = client.get("/metrics").body.decode()
    return float(next(line for line in text.splitlines() if line.startswith(name)).split()[1])


def bytes_held(client: Client) -> float:
    return value_of(client, "pegboard_request_b")


def waiting(client: Client) -> float:
    return value_of(client, "pegboard_photos_w")


SEEDS = [picture(kind=kind, size=(24, 18)) for kind in ("JPEG", "PNG", "WEBP")]


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_bytes_a_photo_has_it_is_no_error_of_ours(
    client: Client, data: st.DataObject
) -> None:
    mutated = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    body = bytes(mutated[:cut]) if data.draw(st.booleans()) else bytes(mutated)
    answer = client.post("/v1/predict", body)
    assert answer.status in (200, 422)
    if answer.status == 422:
        answer.problem(422)
    else:
        (row,) = answer.json["photos"]
        assert np.isclose(sum(one["probability"] for one in row["top"]), 1, atol=1e-4)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=st.binary(max_size=300), boundary=st.text(st.characters(max_codepoint=126), max_size=9))
def test_whatever_a_form_holds_it_is_no_error_of_ours(
    client: Client, body: bytes, boundary: str
) -> None:
    mark = f"--{boundary}".encode()
    kind = "multipart/form-data; boundary=" + "".join(c for c in boundary if c.isprintable())
    for sent in (body, mark + b"\r\n" + body, mark + b"\r\n" + body + b"\r\n" + mark + b"--"):
        assert client.post("/v1/predict", sent, content_type=kind).status in (200, 400, 413, 422)
