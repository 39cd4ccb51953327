"""Worker processes of a sweep, and what becomes of a part whose worker dies.

A worker that was killed (by signal 9: the system does it where memory is short) has its part played again. One that
broke by itself, as by a strategy that writes where it must not, would break again: the points of its part are played
one by one, and the one that breaks is a row with its reason.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from hftd.errors import HftdError
from sim.sweeps.figures import Row
from sim.sweeps.store import Part
from sim.sweeps.worker import Answer, Common, Task

_KILLS_MAX: Final = 20
"""So often a part is played again whose worker was killed; then its points one by one, and each of them so often."""


class WorkerDied(Exception):  # noqa: N818
    """A worker ended in the midst of a part.

    Attributes:
        code: Its exit code; negative is a signal.
    """

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    @property
    def was_killed(self) -> bool:
        """Whether somebody else ended it."""
        return self.code in (-signal.SIGKILL, -signal.SIGTERM)

    def told(self) -> str:
        """In words."""
        if self.code >= 0:
            return f"the process that played it ended with code {self.code}"
        return f"the process that played it was ended by {signal.Signals(-self.code).name}"


class WorkerStopped(Exception):  # noqa: N818
    """The sweep ends: nothing more is to be played."""


class Worker:
    """One process, started when it is first needed, and anew when it has died."""

    def __init__(self, common: Common) -> None:
        self._common = common
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process is not None else None

    def play(self, task: Task, on_row: Callable[[], None]) -> list[Row]:
        """Have it play points.

        Raises:
            WorkerDied: It ended meanwhile.
            WorkerStopped: It was stopped.
            HftdError: All of them can't be played.
        """
        with self._lock:
            # Or one that was stopped would be taken for one that died, and be started again.
            if self._is_stopped:
                raise WorkerStopped
            process = self._process or self._start()
        rows: list[Row] = []
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            process.stdin.flush()
            for line in process.stdout:
                answer = msgspec.json.decode(line, type=Answer)
                if answer.error:
                    what, where, hint = answer.error
                    raise HftdError(what, where=where, hint=hint)
                if answer.done:
                    return rows
                rows.append(msgspec.json.decode(answer.row, type=Row))
                on_row()
        except (OSError, msgspec.DecodeError):
            pass
        self._process = None
        raise WorkerDied(self._ended(process))

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}  # noqa: PTH109
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sim.sweeps.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(self._common) + b"\n")
        return self._process

    @staticmethod
    def _ended(process: "subprocess.Popen[bytes]") -> int:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            return process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def stop(self) -> None:
        """End it at once, and for good."""
        with self._lock:
            self._is_stopped = True
            process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Close its pipes, when nobody reads from them any more."""
        if self._process is not None:
            self._ended(self._process)


def play_part(worker: Worker, task: Task, on_row: Callable[[], None]) -> list[Row]:
    """Have a worker play points, whatever becomes of it.

    Raises:
        HftdError: All of them can't be played.
    """
    for _ in range(_KILLS_MAX):
        try:
            return worker.play(task, on_row)
        except WorkerDied as died:
            reason = died
            if not died.was_killed:
                break
    if len(task.points) == 1 and task.alone:
        row = Row(
            point=task.first,
            date=task.date,
            parameters=task.points[0],
            status="failed",
            reason=reason.told(),  # pyright: ignore[reportPossiblyUnboundVariable]
        )
        return [row]
    return [
        row
        for number, point in enumerate(task.points)
        for row in play_part(
            worker, Task(date=task.date, first=task.first + number, points=[point], alone=True), on_row
        )
    ]


def play_parts(
    common: Common,
    parts: Sequence[tuple[Part, Task]],
    num_workers: int,
    use: Callable[[Part, list[Row]], None],
    on_points: Callable[[int], None],
) -> None:
    """Play parts in several processes.

    Args:
        common: What all points have in common.
        parts: Parts and their tasks.
        num_workers: How many processes.
        use: Is given the rows of each part when it is done.
        on_points: Is told about ten times a second how many points were played.

    Raises:
        HftdError: Points can't be played.
    """
    todo: queue.SimpleQueue[tuple[Part, Task]] = queue.SimpleQueue()
    for one in parts:
        todo.put(one)
    done: queue.SimpleQueue[tuple[Part, list[Row]] | BaseException | None] = queue.SimpleQueue()
    workers = [Worker(common) for _ in range(min(num_workers, len(parts)))]
    counts = [0] * len(workers)
    stopping = threading.Event()

    def work(number: int) -> None:
        def count() -> None:
            counts[number] += 1

        try:
            while not stopping.is_set():
                try:
                    part, task = todo.get_nowait()
                except queue.Empty:
                    return
                before = counts[number]
                rows = play_part(workers[number], task, count)
                counts[number] = before + len(rows)
                done.put((part, rows))
        except BaseException as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(workers))]
    try:
        for thread in threads:
            thread.start()
        left = len(parts)
        while left:
            on_points(sum(counts))
            try:
                found = done.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            if found is not None:
                use(*found)
                left -= 1
        on_points(sum(counts))
    finally:
        stopping.set()
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(10.0)
        for worker in workers:
            worker.close()
