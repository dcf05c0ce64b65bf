"""What the engine may ask of the kernel from the moment it serves (seccomp(2)).

A table of system calls that a token engine has no business with, compiled to the kernel's own filter language: no other
program is run, no other process is made, looked into or written to; no sockets but unix ones; nothing is mounted,
loaded, traced or measured; no memory is both written and run; what made this process unreadable can't be undone. Calls
newer than this table do not exist for the engine. A refused call answers EPERM, and the engine goes on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import NamedTuple

from hsm.confinement import kernel

# (x86_64, aarch64); None: not there. Names and numbers are those of the kernel's own headers.
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    # other programs and processes
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "unshare": (272, 97), "setns": (308, 268), "personality": (135, 92),
    # who it is
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "capset": (126, 91),
    # the kernel
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "create_module": (174, None), "query_module": (178, None), "get_kernel_syms": (177, None), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "syslog": (103, 116), "acct": (163, 89),
    "lookup_dcookie": (212, 18), "quotactl": (179, 60), "quotactl_fd": (443, 443), "nfsservctl": (180, 42),
    "vhangup": (153, 58), "uselib": (134, None), "ustat": (136, None), "sysfs": (139, None), "_sysctl": (156, None),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # the machine
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162),
    # file systems
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "mknod": (133, None), "mknodat": (259, 33),
    # memory and messages that others could share
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "migrate_pages": (256, 238), "move_pages": (279, 239),
}
# The GNU C library tries this first, and takes clone, whose flags can be looked at, where it is not there.
ABSENT: dict[str, tuple[int | None, int | None]] = {"clone3": (435, 435)}


class Row(NamedTuple):
    """A call that is refused by one of its arguments: where ``argument & mask`` is (``equal``) or isn't ``value``."""

    name: str
    numbers: tuple[int | None, int | None]
    argument: int
    mask: int
    value: int
    equal: bool
    why: str


_EVERY = 0xFFFFFFFF
OWN = -1  # the number of the process that installs the filter
_AF_UNIX = 1
_CLONE_THREAD = 0x10000
_WRITE, _EXEC = 2, 4
_PR_SET_DUMPABLE, _PR_SET_PTRACER = 4, 0x59616D61
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
BY_ARGUMENT = (
    Row("socket", (41, 198), 0, _EVERY, _AF_UNIX, False, "no sockets but unix ones"),
    Row("socketpair", (53, 199), 0, _EVERY, _AF_UNIX, False, "no sockets but unix ones"),
    Row("clone", (56, 220), 0, _CLONE_THREAD, _CLONE_THREAD, False, "threads, but no processes"),
    Row("mmap", (9, 222), 2, _WRITE | _EXEC, _WRITE | _EXEC, True, "no memory that is written and run"),
    Row("mprotect", (10, 226), 2, _EXEC, _EXEC, True, "no memory that was written is run"),
    Row("pkey_mprotect", (329, 288), 2, _EXEC, _EXEC, True, "no memory that was written is run"),
    Row("prctl", (157, 167), 0, _EVERY, _PR_SET_DUMPABLE, True, "unreadable stays unreadable"),
    Row("prctl", (157, 167), 0, _EVERY, _PR_SET_PTRACER, True, "nobody is allowed to trace"),
    # Not landlock's to rule, which would keep the warden's death signal from it too (PR_SET_PDEATHSIG).
    Row("kill", (62, 129), 0, _EVERY, OWN, False, "no signals to others"),
    Row("tgkill", (234, 131), 0, _EVERY, OWN, False, "no signals to others"),
    Row("rt_sigqueueinfo", (129, 138), 0, _EVERY, OWN, False, "no signals to others"),
    Row("rt_tgsigqueueinfo", (297, 240), 0, _EVERY, OWN, False, "no signals to others"),
    Row("ioctl", (16, 29), 1, _EVERY, _TIOCSTI, True, "no typing on a terminal"),
    Row("ioctl", (16, 29), 1, _EVERY, _TIOCLINUX, True, "no typing on a terminal"),
)
_NEWEST = 462  # mseal: Linux 6.10
_COLUMN = {"x86_64": 0, "aarch64": 1}
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

# linux/bpf_common.h and linux/seccomp.h
_LOAD, _AND, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_FROM, _RETURN = 0x20, 0x54, 0x15, 0x25, 0x35, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_SET_MODE_FILTER, _TSYNC = 1, 1
_STEP = struct.Struct("=HBBI")
Step = tuple[int, int, int, int]


def why_not() -> str:
    """Why this process can have no filter; "" where it can."""
    if kernel.MACHINE not in _COLUMN or sys.maxsize < 1 << 32 or sys.byteorder != "little":
        return f"there is no filter for this machine ({kernel.MACHINE}); there is one for {' and '.join(_COLUMN)}"
    return ""


def program(machine: str, spared: frozenset[str] = frozenset()) -> bytes:
    """The filter, of struct sock_filter. ``spared`` are names that this process still needs."""
    column = _COLUMN[machine]
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    steps: list[Step] = [
        (_LOAD, 0, 0, _ARCH), (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH[machine]), (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":  # the numbers of the x32 ABI are the others' twins
        steps += [(_JUMP_FROM, 0, 1, _X32), (_RETURN, 0, 0, absent)]
    steps += [(_JUMP_ABOVE, 0, 1, _NEWEST), (_RETURN, 0, 0, absent)]
    for names, answer in ((FORBIDDEN, refuse), (ABSENT, absent)):
        for name, numbers in names.items():
            number = numbers[column]
            if number is not None and name not in spared:
                steps += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    for row in BY_ARGUMENT:
        number = row.numbers[column]
        if number is not None and row.name not in spared:
            hit, miss = (0, 1) if row.equal else (1, 0)
            value = os.getpid() if row.value == OWN else row.value
            steps += [
                (_JUMP_EQUAL, 0, 5, number), (_LOAD, 0, 0, _ARGUMENTS + 8 * row.argument), (_AND, 0, 0, row.mask),
                (_JUMP_EQUAL, hit, miss, value), (_RETURN, 0, 0, refuse), (_LOAD, 0, 0, _NUMBER),
            ]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(_STEP.pack(*step) for step in steps)


def install(spared: frozenset[str] = frozenset()) -> None:
    """For all threads of this process and for good; no_new_privs comes before. Raises OSError."""
    code = ctypes.create_string_buffer(program(kernel.MACHINE, spared))
    head = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", len(code.raw) // _STEP.size, ctypes.addressof(code)))
    kernel.call(kernel.SECCOMP[kernel.MACHINE], _SET_MODE_FILTER, _TSYNC, head)
