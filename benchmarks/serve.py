"""How fast ``pegboard serve`` answers, what it does past its limits, and what breaks it.

- **Throughput**: 16 clients, each with one connection and one photo per request, against ONNX
  Runtime in this process on the same photos, decoding included: on each core one photo after the
  other (the quickest way we know), in turns.
- **Latency against load**: requests at fixed times, whatever became of those before; a latency
  counts from the time at which its request was due.
- **Past saturation**: twice what it can do; every answer is counted, and the server's memory.
- **Soak**: eight clients for ``--minutes``; memory at the beginning and at the end.
- **Slow loris**: 1,000 connections that send a byte now and then, while others ask.
- **Malformed**: 10,000 requests that are none: damaged photos, bombs, wrong lengths, huge heads,
  paths that lead elsewhere, broken forms and chunks.

Server and clients share the machine, so clients send bytes that were made before, over sockets.

With ``--only-speed`` the first three, in ten minutes instead of forty.

    PEGBOARD_DATA=… python benchmarks/serve.py [--bundle FILE] [--minutes 30] [--turns 5]
        [--only-speed] [--quick]
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import re
import resource
import socket
import statistics
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from harness import (
    DATA,
    PROGRAM,
    RESULTS,
    options,
    ratio,
    run_pegboard,
    some_of,
    summary,
    take_turns,
    write_result,
)
from pegboard.bundle import read_bundle
from pegboard.inputs import fitted
from pegboard.threads import cores

CLIENTS = 16
RATES = (0.25, 0.5, 0.75, 0.9, 1.0)
"""Of the throughput that was measured."""
OVERLOAD = 2.0


def main() -> None:
    """Measure and write the result."""
    parser = options(__doc__ or "", "serve")
    parser.add_argument("--bundle", type=Path, help="default: a probe trained on tools15")
    parser.add_argument("--minutes", type=float, default=30, help="of the soak (default: 30)")
    parser.add_argument("--turns", type=int, default=5, help="of throughput (default: 5)")
    parser.add_argument("--only-speed", action="store_true", help="no soak, no ill will")
    given = parser.parse_args()
    source = DATA / "tools15"
    if not source.exists():
        print("skipped: PEGBOARD_DATA has no tools15")
        return
    _allow_open_files(4096)
    with TemporaryDirectory() as name:
        folder = Path(name)
        bundle = given.bundle or trained(source, folder, 8 if given.quick else 40)
        photos = some_photos(source, 64 if given.quick else 480)
        result = speed(bundle, photos, given)
        if not given.only_speed:
            result |= endurance(bundle, photos, given)
        elif not (given.json or given.quick):
            given.json = RESULTS / "serve_speed.json"
        write_result("serve", given, result)


def speed(bundle: Path, photos: Sequence[bytes], given: argparse.Namespace) -> dict[str, Any]:
    """Return throughput, latency against load, and what happens past saturation."""
    quick = given.quick
    with serving(bundle) as server:
        compared = throughput(server, bundle, photos, turns=1 if quick else given.turns)
        per_second = len(photos) / compared["serve_seconds"]["median"]
        latency = [
            at_rate(server, photos, per_second * share, 3 if quick else 30) | {"share": share}
            for share in RATES[:: 2 if quick else 1]
        ]
    with serving(bundle) as server:
        past = at_rate(server, photos, per_second * OVERLOAD, 4 if quick else 60)
        past |= {"share": OVERLOAD, "peak_bytes": server.peak()}
    return {
        "bundle": read_bundle(bundle).info.name,
        "photos": len(photos),
        "clients": CLIENTS,
        "throughput": compared | {"photos_per_second": per_second},
        "latency": latency,
        "past_saturation": past,
    }


def endurance(bundle: Path, photos: Sequence[bytes], given: argparse.Namespace) -> dict[str, Any]:
    """Return what half an hour, connections that stall and malformed requests do to it."""
    quick = given.quick
    with serving(bundle) as server:
        endured = soak(server, photos, 10 if quick else 60 * given.minutes)
    with serving(bundle) as server:
        loris = slow_loris(server, photos, 100 if quick else 1000, 5 if quick else 30)
    with serving(bundle) as server:
        wrong = malformed(server, photos, 500 if quick else 10_000)
    return {"soak": endured, "slow_loris": loris, "malformed": wrong}


def trained(source: Path, folder: Path, per_class: int) -> Path:
    """Train a probe on some photos; return its bundle."""
    some = some_of(source, folder / "photos", per_class)
    run = folder / "run"
    run_pegboard("compare", str(some), "--models", "probe", "--out", str(run), "--no-progress")
    return run / "models" / "probe" / "probe.pegboard"


def some_photos(source: Path, count: int) -> list[bytes]:
    """Return files of photos, of all classes alike."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    chosen = np.linspace(0, len(files) - 1, count).astype(int)
    return [files[index].read_bytes() for index in chosen]


def _allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


# --- the server ---------------------------------------------------------------------------


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def memory(self) -> tuple[int, int]:
        """Return resident bytes now, and the most there ever were."""
        text = Path(f"/proc/{self.process.pid}/status").read_text("ascii", "replace")
        found = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", text))
        return 1024 * int(found["VmRSS"]), 1024 * int(found["VmHWM"])

    def peak(self) -> int:
        """Return the most resident bytes there ever were."""
        return self.memory()[1]

    def is_alive(self) -> bool:
        """Whether it runs and answers."""
        if self.process.poll() is not None:
            return False
        with Line(self.port) as line:
            return line.ask(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200


@contextmanager
def serving(bundle: Path) -> Iterator[Server]:
    """Serve a bundle on a free port until the block ends."""
    command = [PROGRAM, "serve", str(bundle), "--port", "0", "--threads", str(cores())]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        started = next(line for line in process.stderr if '"event": "started"' in line)
        port = int(json.loads(started)["address"].rstrip("/").rpartition(":")[2])
        # Its log is read away, or the server would wait for its reader.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(60)


# --- a client -----------------------------------------------------------------------------


class Line:
    """One connection that is kept."""

    def __init__(self, port: int, timeout: float = 60) -> None:
        self._port = port
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ask(self, request: bytes) -> int:
        """Send bytes; return the status of the answer, 0 when the connection ends without one."""
        fresh = self._socket is None
        try:
            status = self._ask(request)
        except OSError:
            self.close()
            return 0
        if status == 0 and not fresh:  # it was closed between two requests
            self.close()
            return self.ask(request)
        return status

    def _ask(self, request: bytes) -> int:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
            self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = self._socket.recv(65536)
            if not chunk:
                self.close()
                return 0
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        left = int((re.search(rb"content-length: (\d+)", head) or [0, 0])[1]) - len(body)
        while left > 0 and (chunk := self._socket.recv(65536)):
            left -= len(chunk)
        if b"connection: close" in head.lower():
            self.close()
        return int(head[9:12])


def predicting(photo: bytes) -> bytes:
    """Return a whole request about one photo."""
    head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(photo)}\r\n\r\n"
    return head.encode() + photo


# --- throughput and latency ---------------------------------------------------------------


def throughput(server: Server, bundle: Path, photos: Sequence[bytes], turns: int) -> dict[str, Any]:
    """Return the seconds that all photos take, asked for and computed here."""
    requests = [predicting(photo) for photo in photos]
    bare = bare_runtime(bundle, photos)
    seconds = take_turns({"bare": bare, "serve": lambda: closed_loop(server, requests)}, turns)
    return {
        "bare_seconds": summary(seconds["bare"]),
        "serve_seconds": summary(seconds["serve"]),
        "share_of_bare": ratio(seconds["bare"], seconds["serve"]),
    }


def bare_runtime(bundle: Path, photos: Sequence[bytes]) -> Callable[[], None]:
    """Return what answers all photos with ONNX Runtime here, one on each core."""
    read = read_bundle(bundle)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(read.model, settings, providers=["CPUExecutionProvider"])

    def answer(photo: bytes) -> None:
        session.run(["probabilities"], {"images": fitted(photo, read.info.input)[None]})

    def all_photos() -> None:
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(answer, photos))

    return all_photos


def closed_loop(server: Server, requests: Sequence[bytes]) -> None:
    """Have all requests answered by clients that each wait for their answer."""
    left = iter(requests)
    lock = threading.Lock()

    def client(_: int) -> None:
        with Line(server.port) as line:
            while True:
                with lock:
                    request = next(left, None)
                if request is None:
                    return
                status = line.ask(request)
                if status != 200:
                    raise RuntimeError(f"expected 200, got {status}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))


def at_rate(
    server: Server, photos: Sequence[bytes], per_second: float, seconds: float
) -> dict[str, Any]:
    """Send requests at even times; return their latencies and statuses."""
    requests = [predicting(photo) for photo in photos]
    due = iter(range(max(1, int(per_second * seconds))))
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    lock = threading.Lock()
    begin = time.perf_counter() + 0.5

    def client(_: int) -> None:
        with Line(server.port) as line:
            while True:
                with lock:
                    number = next(due, None)
                if number is None:
                    return
                at = begin + number / per_second
                time.sleep(max(0.0, at - time.perf_counter()))
                status = line.ask(requests[number % len(requests)])
                taken = time.perf_counter() - at
                with lock:
                    statuses[str(status)] += 1
                    if status == 200:
                        latencies.append(taken)

    # So many that a slow answer does not keep the next request from being sent.
    with ThreadPoolExecutor(384) as pool:
        list(pool.map(client, range(384)))
    return {
        "per_second": per_second,
        "statuses": dict(statuses),
        "milliseconds": percentiles(latencies),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    if not seconds:
        return {}
    values = 1000 * np.percentile(seconds, (50, 95, 99))
    return {"p50": float(values[0]), "p95": float(values[1]), "p99": float(values[2])}


# --- endurance ----------------------------------------------------------------------------


def soak(server: Server, photos: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """Ask without a pause; return the memory of the first and of the last quarter."""
    requests = [predicting(photo) for photo in photos]
    ends = time.monotonic() + seconds
    statuses: Counter[str] = Counter()
    samples: list[int] = []

    def client(first: int) -> None:
        with Line(server.port) as line:
            for number in itertools.count(first, 8):
                if time.monotonic() > ends:
                    return
                statuses[str(line.ask(requests[number % len(requests)]))] += 1

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(client, number) for number in range(8)]
        while time.monotonic() < ends:
            samples.append(server.memory()[0])
            time.sleep(max(0.1, seconds / 600))
        for one in asked:
            one.result()
    quarter = max(1, len(samples) // 4)
    first, last = statistics.median(samples[:quarter]), statistics.median(samples[-quarter:])
    return {
        "minutes": seconds / 60,
        "statuses": dict(statuses),
        "first_quarter_bytes": first,
        "last_quarter_bytes": last,
        "growth": last / first - 1,
    }


# --- clients that mean no good ------------------------------------------------------------


def slow_loris(
    server: Server, photos: Sequence[bytes], count: int, seconds: float
) -> dict[str, Any]:
    """Hold connections open by a byte now and then; return how others fared meanwhile."""
    requests = [predicting(photo) for photo in photos]
    ended = threading.Event()
    stalled = Stalled(server.port, count)
    dripping = threading.Thread(target=stalled.drip_until, args=(ended,), daemon=True)
    dripping.start()
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    with Line(server.port) as line:
        for request in itertools.cycle(requests):
            if time.monotonic() > ends:
                break
            started = time.perf_counter()
            statuses[str(line.ask(request))] += 1
            latencies.append(time.perf_counter() - started)
            line.close()  # each of them has to be let in
    ended.set()
    dripping.join()
    return {
        "connections": count,
        "opened": stalled.opened,
        "statuses": dict(statuses),
        "milliseconds": percentiles(latencies),
        "alive": server.is_alive(),
        "peak_bytes": server.peak(),
    }


class Stalled:
    """Connections that send a head or a body one byte at a time, opened again when closed."""

    STARTS = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-",
        b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n",
        b"",
    )

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._held = [self._open(number) for number in range(count)]
        self.opened = count

    def _open(self, number: int) -> socket.socket | None:
        with suppress(OSError):
            opened = socket.create_connection(("127.0.0.1", self._port), 10)
            opened.sendall(self.STARTS[number % len(self.STARTS)])
            return opened
        return None

    def drip_until(self, ended: threading.Event) -> None:
        """Send a byte over each connection every half second."""
        while not ended.wait(0.5):
            for number, held in enumerate(self._held):
                try:
                    if held is None:
                        raise OSError
                    held.sendall(b"x")
                except OSError:
                    self._held[number] = self._open(number)
                    self.opened += 1
        for held in self._held:
            if held is not None:
                held.close()


def malformed(server: Server, photos: Sequence[bytes], count: int) -> dict[str, Any]:
    """Send requests that are none; return how each kind was answered (0: by closing)."""
    makers = wrong_requests(photos)
    before = server.memory()[0]
    statuses: dict[str, Counter[str]] = {name: Counter() for name in makers}
    names = list(makers)
    lock = threading.Lock()

    def send(number: int) -> None:
        name = names[number % len(names)]
        request = makers[name](random.Random(number))  # noqa: S311
        with Line(server.port, timeout=90) as line:
            status = line.ask(request)
        with lock:
            statuses[name][str(status)] += 1

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(send, range(count)))
    return {
        "requests": count,
        "statuses": {name: dict(counts) for name, counts in statuses.items()},
        "status_500": sum(counts["500"] for counts in statuses.values()),
        "alive": server.is_alive(),
        "bytes_before": before,
        "bytes_after": server.memory()[0],
    }


Maker = Callable[[random.Random], bytes]


def wrong_requests(photos: Sequence[bytes]) -> dict[str, Maker]:
    """Return makers of requests by what is wrong with them."""
    seeds = [*photos[:20], *_other_formats(photos[0])]
    huge = _bomb(50_000, 50_000)

    def mutated(rng: random.Random) -> bytes:
        photo = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 200)):
            photo[rng.randrange(len(photo))] = rng.randrange(256)
        return predicting(bytes(photo[: rng.randint(1, len(photo))]))

    def wrong_length(rng: random.Random) -> bytes:
        length = rng.choice(["-1", "0x10", "1e9", "99999999999999999999", "5, 6", "", "+3", "10\r\n"
                             "Content-Length: 11"])  # fmt: skip
        return _post(f"Content-Length: {length}\r\n\r\n".encode() + b"0123456789")

    def huge_head(rng: random.Random) -> bytes:
        name = b"X-" + b"a" * rng.choice((1, 100_000))
        return _get(b"/", name + b": " + b"b" * rng.randint(20_000, 200_000) + b"\r\n")

    def path(rng: random.Random) -> bytes:
        tricks = ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/\\..\\..\\x",
                  "/v1/../../x", "/%00", "/%ff%fe", "/static/../serve.js", "http://evil.example/",
                  "*", "/" + "a/" * 5000, "/%c0%ae%c0%ae/")  # fmt: skip
        return _get(rng.choice(tricks).encode())

    def form(rng: random.Random) -> bytes:
        boundary = rng.choice(["b", "", '"', "b" * 500, "b\t"])
        body = rng.randbytes(rng.randint(0, 300)) + rng.choice([b"--b\r\n", b"--b--", b"\r\n\r\n"])
        kind = f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
        return _post(kind.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def chunks(rng: random.Random) -> bytes:
        size = rng.choice([b"zz", b"-1", b"FFFFFFFFFFFFFFFFFF", b"5;" + b"x" * 20_000, b""])
        return _post(b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n0\r\n\r\n")

    def noise(rng: random.Random) -> bytes:
        return rng.randbytes(rng.randint(1, 2000)) + b"\r\n\r\n"

    return {
        "mutated photo": mutated,
        "bomb": lambda rng: predicting(huge),
        "wrong length": wrong_length,
        "huge head": huge_head,
        "path": path,
        "broken form": form,
        "broken chunks": chunks,
        "noise": noise,
    }


def _get(path: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n"


def _post(rest: bytes) -> bytes:
    return b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + rest


def _other_formats(photo: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(photo)) as opened:
        small = opened.convert("RGB").resize((96, 96))
    files = []
    for kind in ("PNG", "WEBP", "GIF", "TIFF", "BMP"):
        stream = io.BytesIO()
        small.save(stream, kind)
        files.append(stream.getvalue())
    return files


def _bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x02\0\0\0"
    pixels = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


if __name__ == "__main__":
    main()
