# SPDX-License-Identifier: GPL-2.0-only
"""Loads in a guest that are frozen from outside (see freeze/): built, started, watched, frozen."""

import json
import re
import select
import subprocess
import time

import guestvm

SOURCES = guestvm.HERE / "freeze"
FLAGS = ["-O2", "-static", "-pthread", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra",
         "-Wshadow", "-Wstrict-prototypes", "-Werror"]
# The cgroup that the watcher puts loads into.
CGROUP = "/load"

WRONG = re.compile(r"\b(WARNING|BUG|Oops|Call Trace|stalls?|hung|segfault)\b|lockup|"
                   r"blocked for more|general protection|corrupt")


class Broken(guestvm.VmError):
    """What a load or its watcher found wrong."""


def build(directory):
    """Build into @directory, which goes below the guest's root."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    loads = sorted(SOURCES.glob("load*.c")) + sorted(SOURCES.glob("ways*.c"))
    for name, sources in (("freeze-load", loads), ("freeze-watch", [SOURCES / "watch.c"])):
        subprocess.run(["cc", *FLAGS, "-o", programs / name, *sources], check=True)
    return directory


def kernel_complaints(vm):
    """Lines of the kernel's log that should not be there."""
    log = vm.run("dmesg").check().decode(errors="replace")
    return [line for line in log.splitlines() if WRONG.search(line)]


class Watch:
    """freeze-watch in the guest: the agent's command as long as this lives."""

    def __init__(self, vm):
        self.agent = vm.agent
        self.text = bytearray()
        self._send(b"X", b"exec /bin/freeze-watch 2>&1")
        self._answer("freeze-watch", 30)

    def _send(self, kind, data):
        self.agent.socket.setblocking(True)
        self.agent.socket.sendall(self.agent.HEADER.pack(kind, len(data)) + data)
        self.agent.socket.setblocking(False)

    def _receive(self, deadline, what):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.agent.socket], [], [], left)[0]:
            raise Broken(f"the watcher does not answer: {what}")
        data = self.agent.socket.recv(1 << 20)
        if not data:
            raise Broken(f"the VM went away: {what}")
        self.agent.received += data
        while frame := self.agent._take_frame():
            kind, body = frame
            if kind == b"S":
                raise Broken(f"the watcher ended: {what}")
            self.text += body

    def _answer(self, what, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.text:
            self._receive(deadline, what)
        line, _, rest = bytes(self.text).partition(b"\n")
        self.text = bytearray(rest)
        verdict, _, text = line.decode(errors="replace").partition(" ")
        if verdict != "ok":
            raise Broken(f"{what}: {text}")
        return text

    def ask(self, command, *arguments, seconds=120):
        """Have it execute a command; what it answers behind "ok"."""
        line = " ".join([command, *map(str, arguments)])
        self._send(b"I", line.encode() + b"\n")
        return self._answer(line, seconds)

    def start(self, load):
        """Start a load; its pid."""
        return int(self.ask("start", load))

    def slots(self):
        """{name: (tid, turns, interrupted)}"""
        words = [word.split(":") for word in self.ask("slots").split()]
        return {name: tuple(map(int, rest)) for name, *rest in words}

    def where(self):
        """[(tid, state, wait channel)] of all threads of the load."""
        words = [word.split(":") for word in self.ask("where").split()]
        return [(int(tid), state, channel) for tid, state, channel in words]

    def end(self):
        """Free the agent for other commands."""
        self._send(b"I", b"")
        deadline = time.monotonic() + 30
        try:
            while True:
                self._receive(deadline, "its end")
        except Broken:
            pass


class Driver:
    """freeze-test on the host, executing commands."""

    # enum ovm_error_code
    USAGE, NOT_FOUND, INCONSISTENT = 2, 8, 10

    def __init__(self, program, vm, *options):
        self.process = subprocess.Popen([program, "--qmp", str(vm.qmp_path), *map(str, options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._result("start")

    def _result(self, what):
        line = self.process.stdout.readline()
        if not line:
            raise Broken(f"freeze-test ended with {self.process.wait()}: {what}")
        result = json.loads(line)
        if result["op"] == "attach":
            raise Broken(f"freeze-test: {result['error']}")
        return result

    def attempt(self, operation, *target):
        """What came of an operation on ("pid", PID) or ("cgroup", PATH)."""
        line = " ".join([operation, *map(str, target)])
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._result(line)

    def do(self, operation, *target):
        """An operation that has to succeed."""
        result = self.attempt(operation, *target)
        if result["code"]:
            raise Broken(f"{operation} {' '.join(map(str, target))}: {result['error']}")
        return result

    def kill(self):
        self.process.kill()
        self._close()

    def _close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None and not self.process.stdin.closed:
            self._close()


class Reference:
    """The guest's own cgroup freezer in the place of freeze-test: is it us, or the load?"""

    NUMBERS = ("us", "processes", "threads", "woken", "writes", "interrupts", "pauses",
               "pause_us_max", "pause_us_total", "work_us_max")

    def __init__(self, watch):
        self.watch = watch

    def do(self, operation, *_):
        start = time.monotonic()
        if operation in ("freeze", "thaw"):
            self.watch.ask("freezer", int(operation == "freeze"))
        return {**dict.fromkeys(self.NUMBERS, 0), "op": operation,
                "us": int((time.monotonic() - start) * 1e6)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
