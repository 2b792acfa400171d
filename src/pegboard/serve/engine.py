"""Answering many requests at once: decoding in threads, the network in batches.

A photo is decoded by the first free thread. On each core one thread has the network; when it is
free, it takes its share of whatever is decoded by then, whichever requests it came with. Nothing
waits for a batch to fill, no core waits for another, and batches grow by themselves when requests
come faster than they are answered.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from pegboard.photos import Pixels
from pegboard.rows import Prediction
from pegboard.serve.models import Model
from pegboard.tallies import Answered
from pegboard.threads import default_threads


class QueueFull(Exception):
    """More photos are waited for than the limit allows."""


class Stopping(Exception):
    """The engine takes nothing any more."""


@dataclass
class Job:
    """One photo on its way. Its model is the one that was there when it came.

    One that ``is_known`` was asked about before, and is not told of a second time.
    """

    payload: bytes
    top: int
    model: Model
    is_known: bool = False
    answer: Future[Prediction] = field(default_factory=Future)
    photo: Pixels | str = ""


Observer = Callable[[Model, Sequence[Answered]], None]
"""Told of each batch: the model and its answers."""


class Engine:
    """Takes photos and answers them; safe to use from several threads.

    Parameters
    ----------
    most
        Photos that may be waited for.
    pixels
        Most pixels of a photo.
    threads
        For decoding, and for the network; None for as many as there are cores.
    observer
        Told of every batch, in the network's threads, but for photos that are known.
    """

    def __init__(
        self,
        *,
        most: int,
        pixels: int,
        threads: int | None = None,
        observer: Observer = lambda model, answered: None,
    ) -> None:
        self._most = most
        self._pixels = pixels
        self._observer = observer
        self._lock = threading.Lock()
        self._waiting = 0
        self._is_open = True
        self._seen: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        count = threads or default_threads()
        self._decoders = ThreadPoolExecutor(count, "decode")
        self._networks = [
            threading.Thread(target=self._answer_all, name="network", daemon=True)
            for _ in range(count)
        ]
        for network in self._networks:
            network.start()

    @property
    def waiting(self) -> int:
        """Photos that are waited for."""
        return self._waiting

    @property
    def is_open(self) -> bool:
        """Whether photos are still taken."""
        return self._is_open

    def submit(
        self, model: Model, payloads: Sequence[bytes], top: int, *, is_known: bool = False
    ) -> list[Future[Prediction]]:
        """Take photos for a model; return the answers to come, which may be cancelled.

        Parameters
        ----------
        is_known
            Whether they were asked about before; the observer is not told of them then.

        Raises
        ------
        QueueFull
            When that would be too many; then none is taken.
        Stopping
            After :meth:`close`.
        """
        with self._lock:
            if not self._is_open:
                raise Stopping
            if self._waiting + len(payloads) > self._most:
                raise QueueFull
            self._waiting += len(payloads)
            jobs = [Job(payload, top, model, is_known) for payload in payloads]
            for job in jobs:
                job.answer.add_done_callback(self._done)
                self._decoders.submit(self._decode, job)
        return [job.answer for job in jobs]

    def close(self) -> None:
        """Answer what was taken, then end."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
        self._decoders.shutdown(wait=True)
        for _ in self._networks:
            self._seen.put(None)
        for network in self._networks:
            network.join()

    def _done(self, _: Future[Prediction]) -> None:
        with self._lock:
            self._waiting -= 1

    def _decode(self, job: Job) -> None:
        if job.answer.cancelled():
            return
        try:
            job.photo = job.model.predictor.fit(job.payload, self._pixels)
        except Exception as error:  # a defect of ours must not leave anybody waiting
            _fail([job], error)
            return
        job.payload = b""
        self._seen.put(job)

    def _answer_all(self) -> None:
        while jobs := self._next_jobs():
            for _, group in groupby(jobs, key=lambda job: id(job.model)):
                wanted = [job for job in group if job.answer.set_running_or_notify_cancel()]
                if wanted:
                    self._answer(wanted)

    def _next_jobs(self) -> list[Job]:
        """Wait for a photo; return it with a share of those decoded by now. Empty at the end."""
        jobs: list[Job] = []
        job = self._seen.get()
        share = -(-self._seen.qsize() // len(self._networks))
        while job is not None:
            jobs.append(job)
            if len(jobs) >= min(share, job.model.batch):
                return jobs
            try:
                job = self._seen.get_nowait()
            except queue.Empty:
                return jobs
        if jobs:
            self._seen.put(None)  # the end is met again, after these
        return jobs

    def _answer(self, jobs: Sequence[Job]) -> None:
        model = jobs[0].model
        try:
            looked = model.predictor.look([job.photo for job in jobs])
            answered = [
                Answered(job.photo, model.predictor.row(seen, job.top), seen.strangeness)
                for job, seen in zip(jobs, looked, strict=True)
            ]
            new = [one for job, one in zip(jobs, answered, strict=True) if not job.is_known]
            if new:
                self._observer(model, new)
        except Exception as error:  # ONNX Runtime has a dozen classes and no common base
            _fail(jobs, error)
            return
        for job, one in zip(jobs, answered, strict=True):
            job.answer.set_result(one.row)


def _fail(jobs: Sequence[Job], error: Exception) -> None:
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(error)
