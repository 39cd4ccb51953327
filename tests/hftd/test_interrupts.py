"""Ctrl-C in the middle of compiling: llvmlite's modules must not be left half taken over."""

import os
import signal
import threading

import pytest

from hftd.compiled.jit import from_cache, uninterrupted


def test_an_interrupt_waits_until_what_is_compiled_is_done(tmp_path):
    done: list[str] = []

    def compiling() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        done.append("the line after the call that was interrupted")
        return "code"

    with pytest.raises(KeyboardInterrupt):
        from_cache(tmp_path, compiling)
    assert done, "it did not stop half-way"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert from_cache(tmp_path, lambda: "code") == "code"


def test_a_second_interrupt_is_not_held_back():
    reached: list[int] = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(1)
        os.kill(os.getpid(), signal.SIGINT)
        reached.append(2)
    assert reached == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_handles_interrupts_goes_on_doing_so_and_other_threads_leave_them_alone():
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            assert came == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)

    def elsewhere() -> None:
        with uninterrupted():
            came.append(0)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert came == [signal.SIGINT, 0]
