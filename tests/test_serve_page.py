"""The page of ``pegboard serve`` in a real browser: how a photo comes in, and what is kept."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from model_server import Client, form, many_pictures, picture, serving
from pegboard.bundle import write_bundle
from pegboard.checking import CheckSettings, check_source
from pegboard.predict import Predictor
from pegboard.serve.feedback import LOG, Feedback, FolderFull
from pegboard.serve.models import Models
from pegboard.serve.words import LANGUAGES, WORDS, language_of
from pegboard.tallies import Answered, tallied
from small_bundle import (
    colour_bundle,
    colour_bundle_with_features,
    colour_info,
    colour_onnx,
)
from visits import chromium, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
KEY = "a-key-of-many-letters"


@pytest.fixture(scope="module")
def camera_browser() -> Iterator[Browser]:
    """A real Chromium whose camera is drawn."""
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with chromium(*camera) as started:
        yield started


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server that takes corrections: its address, and where they go."""
    folder = tmp_path_factory.mktemp("page")
    bundle = colour_bundle(folder / "colours.pegboard")
    with serving(bundle, feedback=folder / "corrections") as server:
        yield server.address, folder / "corrections"


@pytest.fixture
def visit(camera_browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open an address as a new visitor; whatever goes wrong there fails."""
    # That a request was refused is shown on the page, and noted by the browser too.
    with visiting(camera_browser, WIDE, expected="Failed to load resource") as open_page:
        yield open_page


def answered(page: Page, label: str) -> None:
    """Wait until the page shows this answer and where the model looked."""
    page.wait_for_selector(f"#label:text-is('{label}')")
    page.wait_for_selector("#where[data-drawn] #heat")
    page.wait_for_selector("html:not([aria-busy])")


def choose(page: Page, colour: tuple[int, int, int] = (200, 20, 20), **options: Any) -> None:
    file = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": picture(colour, **options)}
    page.set_input_files("#file", file)


def give(page: Page, how: str, photo: bytes) -> None:
    """Paste or drop a file, as the system would."""
    page.evaluate(
        """([how, data]) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const carried = new DataTransfer();
          carried.items.add(new File([bytes], 'photo.png', { type: 'image/png' }));
          const how_it_goes = { bubbles: true, cancelable: true };
          const event = how === 'paste'
            ? new ClipboardEvent('paste', { clipboardData: carried, ...how_it_goes })
            : new DragEvent('drop', { dataTransfer: carried, ...how_it_goes });
          document.getElementById('drop').dispatchEvent(event);
        }""",
        [how, base64.b64encode(photo).decode()],
    )


class TestAsking:
    def test_a_chosen_photo_is_answered(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0])
        choose(page)
        answered(page, "red")
        assert page.inner_text("#probability") == "100%"
        assert page.inner_text("#decision") == "sure"
        assert [line.split("\n")[0] for line in page.locator("#others li").all_inner_texts()] == [
            "blue", "green",
        ]  # fmt: skip
        assert page.inner_text("#said") == "red, 100%, sure."
        assert page.evaluate("document.activeElement.id") == "label"
        assert page.evaluate("document.getElementById('heat').naturalWidth") == 80

    @pytest.mark.parametrize("how", ["paste", "drop"])
    def test_a_photo_that_is_pasted_or_dropped(
        self, visit: Callable[..., Page], served: tuple[str, Path], how: str
    ) -> None:
        page = visit(served[0], NARROW)
        give(page, how, picture((20, 200, 20)))
        answered(page, "green")
        give(page, how, picture((20, 20, 200)))
        answered(page, "blue")

    def test_a_photo_from_the_camera(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0], NARROW, permissions=["camera"])
        page.click("#camera")
        page.wait_for_selector("#live:not([hidden])")
        assert not page.is_visible("#camera")
        page.click("#close")
        page.wait_for_selector("#live", state="hidden")
        page.click("#camera")
        page.wait_for_selector("#snap:focus")
        page.keyboard.press("Enter")
        page.wait_for_selector("#where[data-drawn]")
        assert page.inner_text("#label") in ("red", "green", "blue")
        size = page.evaluate("document.getElementById('photo').naturalWidth")
        assert size >= 320
        assert page.evaluate("document.getElementById('video').srcObject") is None

    def test_what_is_no_photo_is_said(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0])
        file = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"just text"}
        page.set_input_files("#file", file)
        page.wait_for_selector("#trouble:not([hidden])")
        assert "the content is text" in page.inner_text("#trouble")
        choose(page)
        answered(page, "red")
        assert not page.is_visible("#trouble")

    def test_in_german_what_went_wrong_is_said_in_german(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0], locale="de-DE")
        file = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"just text"}
        page.set_input_files("#file", file)
        page.wait_for_selector("#trouble:not([hidden])")
        assert page.inner_text("#trouble") == "Das ging nicht: das ist kein Foto"

    def test_where_nothing_is_sure_the_page_says_why(
        self, visit: Callable[..., Page], tmp_path: Path
    ) -> None:
        path = tmp_path / "unsure.pegboard"
        write_bundle(path, onnx=colour_onnx(), info=colour_info(thresholds={"sure": None}))
        with serving(path) as server:
            page = visit(server.address)
            choose(page)
            answered(page, "red")
            assert page.inner_text("#decision") == "not sure"
            assert page.inner_text("#why").startswith("Validation photos showed no probability")

    def test_the_keyboard_alone_is_enough(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0])
        reached = []
        for _ in range(8):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("document.activeElement.id || document.activeElement.className")
            )
        assert reached[0] == "skip"
        assert {"file", "camera"} <= set(reached)

    def test_in_german(self, visit: Callable[..., Page], served: tuple[str, Path]) -> None:
        page = visit(served[0], locale="de-DE")
        assert page.inner_text("h1") == "Was ist auf dem Foto?"
        assert page.get_attribute("html", "lang") == "de"
        choose(page)
        answered(page, "red")
        assert page.inner_text("#said") == "red, 100\N{NO-BREAK SPACE}%, sicher."
        page.click("text=English")
        assert page.inner_text("h1") == "What is on the photo?"
        page.click("text=What was asked this week")
        page.wait_for_selector("h1:text-is('This week against training')")


class TestCorrections:
    def test_nothing_is_stored_without_consent(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0])
        choose(page)
        answered(page, "red")
        page.click("#correction summary")
        page.select_option("#is", "blue")
        page.click("#correct button")
        # The browser asks for the tick, so nothing is sent.
        assert page.evaluate("document.activeElement.id") == "consent"
        assert stored(served[1]) == []

    def test_a_correction_is_stored_as_a_class_folder(
        self, visit: Callable[..., Page], served: tuple[str, Path]
    ) -> None:
        page = visit(served[0], NARROW)
        exif = Image.Exif()
        exif[0x010F] = "SECRET-CAMERA"
        exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)
        for number, label in enumerate(("blue", "green", "mauve")):
            choose(page, (200 + number, 20, 20), kind="JPEG", size=(90, 70), exif=exif)
            answered(page, "red")
            page.click("#correction summary")
            if label == "mauve":
                page.select_option("#is", label="something else …")
                page.fill("#other-label", "mauve")
            else:
                page.select_option("#is", label)
            page.check("#consent")
            page.click("#correct button")
            page.wait_for_selector(f"#said:text-is('Thank you. The photo is stored as {label}.')")
        files = stored(served[1])
        assert [file.parent.name for file in files] == ["blue", "green", "mauve"]
        for file in files:
            assert b"SECRET" not in file.read_bytes()
            with Image.open(file) as photo:
                assert photo.size == (90, 70)
                assert not photo.getexif()
        lines = [json.loads(line) for line in (served[1] / LOG).read_text().splitlines()]
        assert [(line["label"], line["predicted"], line["consent"]) for line in lines] == [
            ("blue", "red", True), ("green", "red", True), ("mauve", "red", True),
        ]  # fmt: skip
        assert {line["path"] for line in lines} == {
            file.relative_to(served[1]).as_posix() for file in files
        }

    def test_the_folder_is_a_source(self, tmp_path: Path) -> None:
        bundle = colour_bundle(tmp_path / "colours.pegboard")
        with serving(bundle, feedback=tmp_path / "corrections") as server:
            client = Client(server.address)
            token = token_of(client)
            for shade in range(4):
                for label, colour in (
                    ("red", (200 - 9 * shade, 20, 20)),
                    ("blue", (20, 20, 150 + 9 * shade)),
                ):
                    photo = picture(colour, size=(80, 70))
                    assert correct(client, photo, label, token).status == 200
        checked = check_source(
            CheckSettings(str(tmp_path / "corrections"), out=tmp_path / "check", threads=1)
        )
        record = checked.record
        assert (record.found, record.used) == (9, 8)
        assert record.left_out == {"hidden": 1}
        assert record.classes == {"blue": 4, "red": 4}

    def test_only_the_page_itself_may_send_one(self, served: tuple[str, Path]) -> None:
        client, before = Client(served[0]), stored(served[1])
        token = token_of(client)
        photo = picture()
        for origin, given in (
            ("http://evil.example", token),
            (None, token),
            ("null", token),
            (f"http://{client.netloc}", "wrong"),
            (f"http://{client.netloc}", ""),
        ):
            correct(client, photo, "blue", given, origin=origin).problem(403)
        correct(client, photo, "blue", token, consent="no").problem(422)
        correct(client, b"text", "blue", token).problem(422)
        for label in ("", "../up", "a/b", ".hidden", "x" * 81, "x" * 10_000, "a\nb", "..", "c:\\d",
                      "a\0b", "\N{HAMMER AND WRENCH}" * 80, "con", "a.", "what?"):  # fmt: skip
            correct(client, photo, label, token).problem(422)
        body, kind = form([("photo", "p", photo), ("label", None, b"\xff\xfe"),
                           ("consent", None, b"yes")])  # fmt: skip
        origin = f"http://{client.netloc}"
        client.post(
            "/feedback", body, content_type=kind, x_pegboard_token=token, origin=origin
        ).problem(422)
        assert stored(served[1]) == before

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_on_a_full_disk_nothing_is_stored_and_the_server_goes_on(self, tmp_path: Path) -> None:
        bundle, folder = colour_bundle(tmp_path / "colours.pegboard"), tmp_path / "corrections"
        with serving(bundle, feedback=folder) as server:
            client = Client(server.address)
            token = token_of(client)
            assert correct(client, picture(), "blue", token).status == 200
            lines = (folder / LOG).read_bytes()
            (folder / LOG).rename(folder / ".kept")
            (folder / LOG).symlink_to("/dev/full")
            told = correct(client, picture((20, 200, 20)), "blue", token).problem(507)
            assert told["detail"] == "the correction could not be stored"
            (folder / LOG).unlink()
            (folder / ".kept").rename(folder / LOG)
            (folder / "green").write_text("in the way")
            correct(client, picture((20, 200, 20)), "green", token).problem(507)
            assert len(stored(folder)) == 1
            assert (folder / LOG).read_bytes() == lines
            assert correct(client, picture((20, 200, 20)), "red", token).status == 200
            assert (folder / LOG).read_bytes().startswith(lines)

    def test_many_corrections_at_once_are_all_kept(self, tmp_path: Path) -> None:
        bundle, folder = colour_bundle(tmp_path / "colours.pegboard"), tmp_path / "corrections"
        photos = many_pictures(24, seed=3)
        with serving(bundle, feedback=folder) as server, ThreadPoolExecutor(8) as pool:
            client = Client(server.address)
            token = token_of(client)
            labels = [("blue", "green", "new")[number % 3] for number in range(len(photos))]
            sent = zip(photos, labels, strict=True)
            answers = pool.map(lambda one: correct(client, *one, token), sent)
            assert {answer.status for answer in answers} == {200}
        lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
        assert sorted(line["label"] for line in lines) == sorted(labels)
        assert {folder / line["path"] for line in lines} == set(stored(folder))
        assert len(stored(folder)) == len(photos)

    def test_small_photos_count_as_what_they_take_of_a_disk(self, tmp_path: Path) -> None:
        model = Models(colour_bundle(tmp_path / "colours.pegboard")).current()
        payload = picture(size=(4, 4))
        (answer,) = model.predictor.predict([payload])
        folder = tmp_path / "corrections"
        for _ in range(2):  # counted anew when the server starts
            feedback = Feedback(folder, 10_000, most=3 * 4096)
            while True:
                try:
                    feedback.store(payload, f"class {len(stored(folder))}", model, answer)
                except FolderFull:
                    break
            assert len(stored(folder)) == 3

    def test_without_the_option_the_page_does_not_offer_it(
        self, visit: Callable[..., Page], tmp_path: Path
    ) -> None:
        with serving(colour_bundle(tmp_path / "colours.pegboard")) as server:
            page = visit(server.address)
            choose(page)
            answered(page, "red")
            assert page.locator("#correction").count() == 0
            client = Client(server.address)
            correct(client, picture(), "blue", token_of(client)).problem(404)


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*"))


def token_of(client: Client) -> str:
    page = client.get("/").body.decode()
    settings = re.search(r'id="settings">(.*?)</script>', page, re.DOTALL)
    assert settings is not None
    return json.loads(settings[1])["token"]


def correct(  # type: ignore[no-untyped-def]
    client: Client, photo: bytes, label: str, token: str, *, consent: str = "yes", origin=...
):
    body, kind = form(
        [
            ("photo", "p", photo),
            ("label", None, label.encode()),
            ("consent", None, consent.encode()),
        ]
    )
    origin = f"http://{client.netloc}" if origin is ... else origin
    headers = {"content-type": kind, "x-pegboard-token": token}
    return client.ask("POST", "/feedback", body, headers | ({"origin": origin} if origin else {}))


class TestDrift:
    def test_this_week_is_compared_with_training(
        self, visit: Callable[..., Page], tmp_path: Path
    ) -> None:
        seen = {
            "labels": {"red": 50, "green": 50, "blue": 0},
            "decisions": {"sure": 90, "unsure": 10, "unknown": 0},
            "confidence": [0] * 9 + [100],
            "brightness": [0, 0, 0, 0, 50, 50] + [0] * 10,
        }
        data = {"train": {"red": 50, "green": 50, "blue": 0}, "baseline": seen}
        bundle = colour_bundle(tmp_path / "colours.pegboard", data=data)
        kept = tmp_path / "drift.json"
        with serving(bundle, drift=kept) as server:
            page = visit(server.address + "drift")
            assert page.locator(".badge.too_few").count() == 4
            client = Client(server.address)
            for number in range(40):
                client.post("/v1/predict", picture((20, 20, 200 + number)))
            page.reload()
            assert "40 photos" in page.inner_text("main")
            assert page.inner_text("section[aria-labelledby=labels] .badge") == "a large change"
            page.locator("section[aria-labelledby=labels] summary").click()
            assert page.locator("section[aria-labelledby=labels] tbody tr").all_inner_texts() == [
                "red\t50\N{NO-BREAK SPACE}%\t0\N{NO-BREAK SPACE}%",
                "green\t50\N{NO-BREAK SPACE}%\t0\N{NO-BREAK SPACE}%",
                "blue\t0\N{NO-BREAK SPACE}%\t100\N{NO-BREAK SPACE}%",
            ]
            confidence = page.inner_text("section[aria-labelledby=confidence] .badge")
            assert confidence == "no change beyond chance"
        # Counts outlive the server, and hold no photo.
        with serving(bundle, drift=kept) as server:
            assert "40 photos" in Client(server.address).get("/drift").body.decode()
        assert len(kept.read_text()) < 3000

    def test_photos_of_something_else_are_far_from_the_training_photos(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "colours.pegboard"
        predictor = Predictor.load(colour_bundle_with_features(path), 1)
        photos = [
            predictor.fit(picture(tuple(np.roll((200 + number, 20, 20), place))))
            for number in range(10)
            for place in range(3)
        ]
        known = tallied(
            Answered(photo, predictor.row(seen), seen.strangeness)
            for photo, seen in zip(photos, predictor.look(photos), strict=True)
        )
        colour_bundle_with_features(path, data={"baseline": known.to_json()})
        with serving(path) as server:
            client = Client(server.address)

            def verdict() -> str:
                text = client.get("/drift").body.decode()
                found = re.search(r'id="distance">.*?class="badge \w+">([^<]*)<', text, re.DOTALL)
                assert found is not None
                return found[1]

            assert verdict() == "too few photos yet to say"
            for number in range(30):
                client.post("/v1/predict", picture((200 + number, 20, 20)))
            assert verdict() == "no change beyond chance"
            for number in range(60):
                client.post("/v1/predict", picture((20, 190 + number, 240)))
            assert verdict() == "a large change"

    def test_classes_keep_their_names_whatever_words_the_page_has(self, tmp_path: Path) -> None:
        info = colour_info(classes=("camera", "key", "before"))
        path = tmp_path / "words.pegboard"
        write_bundle(path, onnx=colour_onnx(), info=info)
        with serving(path) as server:
            for language in LANGUAGES:
                text = Client(server.address).get(f"/drift?lang={language}").body.decode()
                labels = text.partition('id="labels"')[2].partition("</table>")[0]
                for name in info.classes:
                    assert f">{name}<" in labels

    def test_a_corrected_photo_is_counted_once(self, tmp_path: Path) -> None:
        bundle = colour_bundle(tmp_path / "colours.pegboard")
        with serving(bundle, feedback=tmp_path / "told") as server:
            client = Client(server.address)
            client.post("/v1/predict", picture())
            assert correct(client, picture(), "blue", token_of(client)).status == 200
            assert "One photo was asked about" in client.get("/drift").body.decode()

    def test_a_bundle_that_tells_nothing_is_said(self, served: tuple[str, Path]) -> None:
        text = Client(served[0]).get("/drift?lang=de").body.decode()
        assert (
            text.count("die Modelldatei enthält nichts zum Vergleichen") == 2 * 4
        )  # in words, and for the picture


class TestKey:
    def test_the_page_takes_the_key_once(self, visit: Callable[..., Page], tmp_path: Path) -> None:
        with serving(colour_bundle(tmp_path / "colours.pegboard"), key=KEY) as server:
            page = visit(server.address)
            client = Client(server.address)
            for body in (b"", b"a=1&" * 20, b"key=" + b"x" * 100_000, b"\xff\xfe=\0", b"key=%ff"):
                assert client.post("/enter", body).headers["location"] == "/?wrong"
            page.fill("#key", "something else")
            page.click("button")
            assert "not the key" in page.inner_text("[role=alert]")
            page.fill("#key", KEY)
            page.click("button")
            choose(page)
            answered(page, "red")
            (cookie,) = page.context.cookies()
            assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
            page.goto(server.address + "drift")
            assert page.inner_text("h1") == "This week against training"
            assert "This week" not in Client(server.address).get("/drift").body.decode()

    @pytest.mark.parametrize("before", ["theme=dark mode", "version=2", 'x={"a":1}'])
    def test_cookies_of_other_servers_of_this_host_are_passed_over(
        self, tmp_path: Path, before: str
    ) -> None:
        with serving(colour_bundle(tmp_path / "colours.pegboard"), key=KEY) as server:
            client = Client(server.address)
            entered = client.post("/enter", f"key={KEY}".encode()).headers["set-cookie"]
            ticket = entered.partition(";")[0]
            assert ticket.startswith(f"pegboard-serve-{client.port}=")
            assert client.get("/v1/model", cookie=f"{before}; {ticket}").status == 200
            client.get("/v1/model", cookie=before).problem(401)

    @pytest.mark.parametrize("is_https", [True, False])
    def test_cookies_are_for_https_where_that_is_spoken(
        self, tmp_path: Path, *, is_https: bool
    ) -> None:
        bundle = colour_bundle(tmp_path / "colours.pegboard")
        with serving(bundle, key=KEY, is_https=is_https) as server:
            client = Client(server.address)
            # What anybody may say of a proxy changes nothing.
            answers = [
                client.post("/enter", f"key={KEY}".encode(), x_forwarded_proto="https"),
                client.get("/?lang=de", x_forwarded_proto="https"),
            ]
            entered, spoken = (answer.headers["set-cookie"] for answer in answers)
            for cookie in (entered, spoken):
                assert ("Secure" in cookie.split("; ")) == is_https
                assert {"HttpOnly", "Path=/"} <= set(cookie.split("; "))
            assert entered.startswith("__Host-") == is_https
            assert KEY not in entered
            ticket = entered.partition(";")[0]
            assert client.get("/v1/model", cookie=ticket).status == 200
            client.get("/v1/model", cookie=ticket[:-1]).problem(401)
            client.get("/v1/model", cookie=ticket.removeprefix("__Host-")[:-1]).problem(401)

    def test_behind_https_a_plain_page_may_not_correct(self, tmp_path: Path) -> None:
        bundle = colour_bundle(tmp_path / "colours.pegboard")
        with serving(bundle, feedback=tmp_path / "told", is_https=True) as server:
            client = Client(server.address)
            token, photo = token_of(client), picture()
            correct(client, photo, "blue", token).problem(403)
            secure = f"https://{client.netloc}"
            assert correct(client, photo, "blue", token, origin=secure).status == 200


@pytest.mark.parametrize(
    "look",
    [
        {"viewport": WIDE},
        {"viewport": NARROW},
        {"viewport": WIDE, "color_scheme": "dark"},
        {"viewport": NARROW, "locale": "de-DE"},
    ],
    ids=["wide", "narrow", "dark", "german"],
)
def test_it_can_be_used_by_everybody(
    visit: Callable[..., Page], served: tuple[str, Path], look: dict[str, Any]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = visit(served[0], **look)
    states: list[Callable[[], object]] = [
        lambda: None,
        lambda: (choose(page), answered(page, "red"), page.click("#correction summary")),
        lambda: page.goto(served[0] + "drift"),
    ]
    for reach in states:
        reach()
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0


def test_the_page_uses_nothing_from_elsewhere(served: tuple[str, Path]) -> None:
    client = Client(served[0])
    for path in ("/", "/drift", "/serve.css", "/serve.js"):
        text = client.get(path).body.decode()
        assert not re.search(r"https?://", text)
        assert "style=" not in text
        assert not re.search(r"\son\w+=", text)


def test_every_language_says_everything() -> None:
    for language in LANGUAGES:
        assert WORDS[language].keys() == WORDS["en"].keys()
        for key, text in WORDS[language].items():
            fields = re.findall(r"\{\w+\}", WORDS["en"][key])
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(fields), (language, key)


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "expected"),
    [
        (None, None, "", "en"),
        (None, None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, None, "fr,en;q=0.3,de;q=0.5", "de"),
        (None, None, "de;q=0,fr", "en"),
        (None, None, "de;q=x", "en"),
        (None, "de", "en", "de"),
        ("en", "de", "de", "en"),
        ("xx", None, "de", "de"),
    ],
)
def test_the_language_is_chosen_then_remembered_then_the_browsers(
    asked: str | None, remembered: str | None, accepted: str, expected: str
) -> None:
    assert language_of(asked, remembered, accepted) == expected
