# SPDX-License-Identifier: BSD-2-Clause
import os
import subprocess

import pytest

import lab as lab_module
from waiting import LabError

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = ("digest_app.c", "digest_server.c", "digest_load.c", "frame.c")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The application of the lab, compiled; leftovers removed."""
    if os.geteuid():
        pytest.exit("the lab needs root: it makes network namespaces", 3)
    lab_module.remove_leftovers()
    app = str(tmp_path_factory.mktemp("bin") / "digest_app")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-g",
                    "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                    *[os.path.join(HERE, s) for s in SOURCES],
                    "-lsodium", "-o", app], check=True)
    lab_module.Lab.digest_app = app
    return app


@pytest.fixture(scope="session")
def programs(built):
    try:
        lab_module.Lab.tcpcopy_bin = lab_module.find_program("tcpcopy")
        lab_module.Lab.intercept_bin = lab_module.find_program("intercept")
    except LabError as missing:
        pytest.exit(str(missing), 3)


def run_lab(request, **options):
    net = lab_module.Lab(**options)
    failed = True
    try:
        yield net
        report = getattr(request.node, "report_call", None)
        faults = net.faults()
        failed = report is None or report.failed or bool(faults) or \
            "LAB_KEEP" in os.environ
        assert not faults, "\n".join(faults)
    finally:
        net.close(keep=failed)
        if failed:
            print(f"\nkept: {net.dir}")


@pytest.fixture
def bare_lab(request, built):
    """The namespaces, without our programs."""
    yield from run_lab(request)


@pytest.fixture
def lab(request, programs):
    """Client, online and target server."""
    yield from run_lab(request)


@pytest.fixture
def lab2(request, programs):
    """With a second online server."""
    yield from run_lab(request, onlines=2)


@pytest.fixture(params=[2, 4])
def labs(request, programs):
    """With two and with four online servers."""
    yield from run_lab(request, onlines=request.param)
