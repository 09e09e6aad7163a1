"""System calls that no notebook needs and a sandbox should not offer, as a filter for bubblewrap (``--seccomp``).

Memory of a memfd or of System V belongs to no process once it is not mapped: nobody who watches processes would see it
grow. The others are old roads out of sandboxes. They fail with EPERM, as on a system that forbids them.
"""

import errno
import os
import platform
import struct

DENIED = {
    "x86_64": (0xC000003E, {
        "shmget": 29, "semget": 64, "msgget": 68, "ptrace": 101, "mq_open": 240, "add_key": 248, "request_key": 249, "keyctl": 250,
        "perf_event_open": 298, "memfd_create": 319, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "memfd_secret": 447,
    }),
    "aarch64": (0xC00000B7, {
        "shmget": 194, "semget": 190, "msgget": 186, "ptrace": 117, "mq_open": 180, "add_key": 217, "request_key": 218, "keyctl": 219,
        "perf_event_open": 241, "memfd_create": 279, "bpf": 280, "userfaultfd": 282, "io_uring_setup": 425, "memfd_secret": 447,
    }),
}  # fmt: skip
"""{machine: (its number for audits, {system call: number})}, from the kernel's tables."""

LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06  # seccomp(2) and linux/filter.h
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
X32 = 0x40000000
"""Numbers from here on are calls of a second kind on x86_64."""


def program(machine: str) -> bytes:
    """The filter for a machine, in the kernel's format; b"" for one we do not know."""
    if machine not in DENIED:
        return b""
    audit, calls = DENIED[machine]
    left = len(calls) + 1  # steps from the check of X32 to the refusal
    steps = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, audit), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0), (AT_LEAST, left, 0, X32)]
    steps += [(EQUAL, left - 1 - n, 0, number) for n, number in enumerate(sorted(calls.values()))]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def pipe() -> int | None:
    """A file descriptor from which the filter of this machine can be read; None where there is none."""
    code = program(platform.machine())
    if not code:
        return None
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:  # far less than a pipe holds
        file.write(code)
    return reader
