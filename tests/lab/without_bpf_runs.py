# SPDX-License-Identifier: BSD-2-Clause
"""without_bpf_runs.py PROGRAM [ARGUMENT...]: runs it where the kernel does not
run BPF programs for it, as older ones do not without privileges."""
import ctypes
import os
import platform
import struct
import sys

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_TEST_RUN = 10
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSED, ALLOWED = 0x00050001, 0x7fff0000  # EPERM
PR_SET_SECCOMP, FILTER = 22, 2


def main():
    code = b"".join(struct.pack("HBBI", *i) for i in (
        (LOAD, 0, 0, 0), (EQUAL, 0, 3, NUMBER),
        (LOAD, 0, 0, 16), (EQUAL, 0, 1, PROG_TEST_RUN),
        (RETURN, 0, 0, REFUSED), (RETURN, 0, 0, ALLOWED)))
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack(
        "HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0):
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
