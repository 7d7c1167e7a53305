# SPDX-License-Identifier: BSD-2-Clause
"""refusing.py CALL NTH VALUE PROGRAM [ARGUMENT...]: runs it where the kernel
refuses that system call if its nth argument, from 0, is VALUE: as older ones
do, or those that do not let us."""
import ctypes
import os
import platform
import struct
import sys

NUMBERS = {"x86_64": {"bpf": 321, "setpriority": 141},
           "aarch64": {"bpf": 280, "setpriority": 140}}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSED, ALLOWED = 0x00050001, 0x7fff0000  # EPERM
PR_SET_SECCOMP, FILTER = 22, 2


def main():
    call, nth, value = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    code = b"".join(struct.pack("HBBI", *i) for i in (
        (LOAD, 0, 0, 0), (EQUAL, 0, 3, NUMBERS[call]),
        (LOAD, 0, 0, 16 + 8 * nth), (EQUAL, 0, 1, value & 0xffffffff),
        (RETURN, 0, 0, REFUSED), (RETURN, 0, 0, ALLOWED)))
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack(
        "HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0):
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[4], sys.argv[4:])


main()
