"""What the process that decodes may still do: compute, with so much memory and time, and write its answer.

No file can be opened, no socket, no other program or process; that needs no privileges (Linux 4.14 or later, x86-64 and arm64),
so it works in a pod that is `restricted`. What is not named here fails with EPERM, so a library goes its other way.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


class ConfinementError(Exception):
    """The system does not allow it: nothing is decoded there."""


@dataclass(frozen=True)
class Limits:
    """What one file may cost."""

    memory: int = 1024 * MIB  # bytes of address space, the interpreter's 100 MiB included
    cpu_seconds: int = 10
    wall_seconds: float = 60.0
    answer: int = 64 * MIB  # bytes of all variants together: 40 MiB of a noise that nobody photographs


@dataclass(frozen=True)
class _Machine:
    audit: int  # AUDIT_ARCH_*, which the kernel tells with each call: the same numbers mean other calls elsewhere
    calls: frozenset[int]
    clone: int


_CLONE3: Final = 435
_MACHINES: Final = {
    "x86_64": _Machine(
        0xC000003E,
        # read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 sched_yield
        # mremap madvise nanosleep getpid exit gettid futex sched_getaffinity restart_syscall clock_gettime clock_nanosleep
        # exit_group set_robust_list getrandom rseq
        frozenset(
            {0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 17, 24, 25, 28, 35, 39, 60, 186, 202, 204, 219, 228, 230, 231}
            | {273, 318, 334}
        ),
        56,
    ),
    "aarch64": _Machine(
        0xC00000B7,
        frozenset(
            {63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 67, 124, 216, 233, 101, 172, 93, 178, 98, 123, 128}
            | {113, 115, 94, 99, 278, 293}
        ),
        220,
    ),
}
# BPF (linux/filter.h, linux/seccomp.h): load a word, compare, return.
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD: Final = 0x10000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 38, 22, 2


def limit(limits: Limits) -> None:
    """Set the limits of resources. Beyond the CPU time comes SIGXCPU, which ends the process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.answer, limits.answer))


def confine() -> None:
    """Give up every right but those above, for good. Raises ConfinementError."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise ConfinementError(f"no list of system calls for {platform.machine()!r}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    program = _program(machine)
    code = ctypes.create_string_buffer(b"".join(program), 8 * len(program))
    header = ctypes.create_string_buffer(struct.pack("HL", len(program), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    for arguments in (
        (_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header), 0, 0),
    ):
        if prctl(*arguments) != 0:
            raise ConfinementError(f"prctl({arguments[0]}): {os.strerror(ctypes.get_errno())}")


def _program(machine: _Machine) -> list[bytes]:
    """Return the filter: another architecture is killed, calls on the list and new threads pass, all else gets EPERM."""
    listed = sorted(machine.calls)
    clone3, clone, flags, thread, deny, absent, allow = range(4 + len(listed), 11 + len(listed))
    return [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, machine.audit, 1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        *(_step(_EQUAL, number, allow - at - 1) for at, number in enumerate(listed, 4)),
        # Its flags lie in memory, where no filter can look. Without it glibc takes clone.
        _step(_EQUAL, _CLONE3, absent - clone3 - 1),
        _step(_EQUAL, machine.clone, flags - clone - 1, deny - clone - 1),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, _CLONE_THREAD, allow - thread - 1, deny - thread - 1),
        _step(_RETURN, _ERRNO | _EPERM),
        _step(_RETURN, _ERRNO | _ENOSYS),
        _step(_RETURN, _ALLOW),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
