"""Stacks that are switched in compiled code: a strategy waits in the midst of a call, and another one goes on.

A switch keeps the registers that a called function must not change, and the stack's address, and takes those of the
other stack. The libc's `swapcontext` also keeps the mask of signals, which is a call of the system each time.

There are two functions of machine code, for x86-64 (System V):

- `switch(kept_at, to)`: go on at the stack `to`, and keep at the address `kept_at` where this one goes on.
- `begin`: where a new stack starts. It calls the function that stands there with the argument that stands there.
"""

import ctypes
import mmap
import platform
from functools import cache

import numpy as np

from hftd.errors import UsageError

STACK_BYTES = 8 << 20
"""As a thread's; no more memory is taken than is touched."""
_GUARD_BYTES = 1 << 20
"""More than a function's variables take: none steps over it."""
_COLOUR_BYTES = 1088
"""Stacks begin at different places of a page, and of more than that: or the nearest caches had room for a few."""
_COLOURS = 60

_MACHINE = "x86_64"
_SWITCH = (
    "pushq %rbp",
    "pushq %rbx",
    "pushq %r12",
    "pushq %r13",
    "pushq %r14",
    "pushq %r15",
    "movq %rsp, (%rdi)",
    "movq %rsi, %rsp",
    "popq %r15",
    "popq %r14",
    "popq %r13",
    "popq %r12",
    "popq %rbx",
    "popq %rbp",
    "retq",
)
_BEGIN = ("movq %r12, %rdi", "callq *%r13", "ud2")
# The words that `switch` takes from a stack, and where among them stand the argument, the function and the address to
# go on at.
_WORDS, _ARGUMENT_AT, _FUNCTION_AT, _RETURN_AT = 7, 3, 2, 6


def is_known() -> bool:
    """Whether there is machine code for this machine."""
    return platform.machine() == _MACHINE


@cache
def _compiled() -> tuple[object, int, int]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    text = f'target triple = "{llvm.get_process_triple()}"\n'
    for name, arguments, lines in (
        ("hftd_switch", "i64 %kept_at, i64 %to", _SWITCH),
        ("hftd_begin", "", _BEGIN),
    ):
        code = r"\0A".join(lines)
        text += f"define void @{name}({arguments}) naked noinline nounwind {{\n"
        text += f'  call void asm sideeffect "{code}", "~{{memory}}"()\n  unreachable\n}}\n'
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    # The code lives as long as the engine.
    return engine, engine.get_function_address("hftd_switch"), engine.get_function_address("hftd_begin")


def switch_address() -> int:
    """The address of `switch`."""
    return _compiled()[1]


class Stack:
    """A stack on which a function will be called; it takes memory as it is used.

    Args:
        number: Its number among those that are used in turns.
        function: The address of a function of one int64, which never returns.
        argument: What it is called with.

    Raises:
        UsageError: This machine's code is not known.
    """

    def __init__(self, number: int, function: int, argument: int) -> None:
        if not is_known():
            raise UsageError(f"stacks can't be switched on {platform.machine()}")
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._memory = mmap.mmap(-1, _GUARD_BYTES + STACK_BYTES, flags=flags)
        lowest = int(np.frombuffer(self._memory, np.uint8).ctypes.data)
        # What grows beyond its end must end the process, not change what lies below.
        if _libc().mprotect(ctypes.c_void_p(lowest), ctypes.c_size_t(_GUARD_BYTES), 0) != 0:
            raise MemoryError("a stack can't be guarded")
        top = lowest + _GUARD_BYTES + STACK_BYTES - 4096 - number % _COLOURS * _COLOUR_BYTES
        top -= top % 16
        self.address = top - 8 * _WORDS
        """What `switch` takes as `to`, the first time."""
        kept = (ctypes.c_int64 * _WORDS).from_address(self.address)
        # The rest of the words are zero, as all memory that is new.
        kept[_ARGUMENT_AT], kept[_FUNCTION_AT], kept[_RETURN_AT] = argument, function, _compiled()[2]


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
