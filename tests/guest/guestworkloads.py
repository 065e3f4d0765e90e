# SPDX-License-Identifier: GPL-2.0-only
"""The guest workloads (see workloads/README): built, started, dumped, resumed."""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time

from guestvm import HERE, VmError, cache_directory, locked

SOURCES = HERE / "workloads"
# Where a workload lives in the guest: one directory each, so that each has its own "go".
RUN = "/tmp/run"
IMAGES = "/images"
# Pids that a freshly booted guest does not come near.
FIRST_PID, PIDS_EACH = 4000, 250
PID_MAX = 1 << 20
# How long the timed waits of workloads last: from being started to after the restore.
TIMED_SECONDS = 12


@dataclasses.dataclass
class Workload:
    name: str
    property: str
    refused: list = dataclasses.field(default_factory=list)
    needs: list = dataclasses.field(default_factory=list)
    timed: bool = False
    busy: bool = False
    frozen: bool = False
    not_criu: str = ""
    dynamic: bool = False
    in_terminal: bool = False
    has_pty: bool = False
    # Options of the tool for this one.
    options: list = dataclasses.field(default_factory=list)
    first_pid: int = 0
    # Of the process, when it is ready.
    pid: int = 0

    @property
    def directory(self):
        return f"{RUN}/{self.name}"

    @property
    def program(self):
        return f"/workloads/{self.name}"

    @property
    def terminal(self):
        """What a command is to be prefixed with, to run as the job of a terminal."""
        return f"{self.program} --terminal " if self.in_terminal else ""


def _parse(path, index):
    comment = re.search(r"/\*.*?\*/", path.read_text(), re.S)
    notes = {}
    for key, text in re.findall(r"^ \* @(\w+)(?::[ \t]*(.*))?$", comment.group(0) if comment else "",
                                re.M):
        notes[key] = f"{notes[key]}; {text}" if key in notes else text
    if "property" not in notes:
        return None
    expect = notes.get("expect", "restore")
    refused = [w.strip() for w in expect[len("refused"):].split(";") if w.strip()] \
        if expect.startswith("refused") else []
    criu = notes.get("criu", "")
    return Workload(path.stem, notes["property"], refused, notes.get("needs", "").split(),
                    "timed" in notes, "busy" in notes, "frozen" in notes,
                    criu[2:].strip() if criu.startswith("no") else "", "dynamic" in notes,
                    "terminal" in notes, "pty" in notes,
                    notes.get("dump", "").split(), FIRST_PID + PIDS_EACH * index)


def all_workloads():
    found = []
    for path in sorted(SOURCES.glob("*.c")):
        workload = _parse(path, len(found))
        if workload:
            found.append(workload)
    return found


def select(names):
    """The workloads of these names; all without any. A name may be a prefix with a '*'."""
    known = all_workloads()
    if not names:
        return known
    chosen = []
    for name in names:
        pattern = re.compile(re.escape(name).replace(r"\*", ".*") + "$")
        matching = [w for w in known if pattern.match(w.name)]
        if not matching:
            raise VmError(f"there is no workload {name}")
        chosen += [w for w in matching if w not in chosen]
    return chosen


def _libraries(program):
    done = subprocess.run(["ldd", program], capture_output=True, text=True)
    return re.findall(r"(/\S+) \(0x", done.stdout)


def build():
    """Build all workloads into the cache; the directory that belongs below the guest's root."""
    root = cache_directory() / "workloads"
    programs = root / "workloads"
    with locked(cache_directory() / "workloads.lock"):
        programs.mkdir(parents=True, exist_ok=True)
        known = all_workloads()
        for stale in {p.name for p in programs.iterdir()} - {w.name for w in known}:
            (programs / stale).unlink()
        jobs = os.cpu_count() or 1
        done = subprocess.run(["make", "-C", SOURCES, f"-j{jobs}", f"OUT={programs}"],
                              capture_output=True, text=True)
        if done.returncode:
            raise VmError(f"the workloads can't be built:\n{done.stderr.strip()}")
        for workload in known:
            if not workload.dynamic:
                continue
            for library in _libraries(programs / workload.name):
                target = root / library.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    shutil.copy(library, target)
    return root


def prepare(vm, workloads):
    """What must be the same in both VMs: files, huge pages."""
    # Many pids apart, and the same limit in both VMs, whatever their number of CPUs is.
    lines = [f"echo {PID_MAX} >/proc/sys/kernel/pid_max"]
    if any("hugetlb" in w.needs for w in workloads):
        lines.append("echo 16 >/proc/sys/vm/nr_hugepages")
    for w in workloads:
        lines.append(f"mkdir -p -m 1777 {w.directory}; {w.program} --prepare {w.directory}")
    vm.run("\n".join(lines), timeout=300).check()


def set_up_swap(vm):
    """Swap on a RAM disk: pages that are swapped out are not in the guest's page tables."""
    vm.run("insmod /modules/brd.ko rd_nr=1 rd_size=65536 && mkswap /dev/ram0 >/dev/null && "
           "swapon /dev/ram0").check()


def load_dump_modules(vm):
    """What criu wants in the kernel when it dumps."""
    vm.run("for m in $(cat /modules/more); do [ $m = brd.ko ] || insmod /modules/$m; done").check()


def start(vm, workloads, timeout=120, at_a_time=24):
    """Start them and wait until each is ready. Return {name: verdict} of those that are not.

    Each group of @at_a_time waits for the one before it: all at once, they would leave next to
    nothing of an emulated CPU to who asks whether they are ready."""
    verdicts = {}
    for i in range(0, len(workloads), at_a_time):
        verdicts |= _start_group(vm, workloads[i:i + at_a_time], timeout)
    return verdicts


def _start_group(vm, workloads, timeout):
    lines = [f"export WORKLOAD_SECONDS={TIMED_SECONDS}"]
    for w in workloads:
        lines.append(f"echo {w.first_pid} >/proc/sys/kernel/ns_last_pid")
        lines.append(f"(cd / && exec {w.terminal}{w.program} {w.directory} "
                     "</dev/null >/dev/null 2>&1) &")
    vm.run("\n".join(lines)).check()
    verdicts = {}
    waiting = list(workloads)
    deadline = time.monotonic() + timeout
    while waiting and time.monotonic() < deadline:
        texts = _read_files(vm, waiting, ("ready", "result"))
        for w in list(waiting):
            ready, result = texts[w.name]
            if ready:
                w.pid = int(ready)
            if result:
                verdicts[w.name] = result
            if result or ready:
                waiting.remove(w)
        if waiting:
            time.sleep(0.05)
    for w in waiting:
        verdicts[w.name] = "FAIL: not ready in time"
    return verdicts


def _read_files(vm, workloads, kinds):
    """{workload: [text of each kind of file]} by one process of the guest."""
    paths = [f"{w.directory}/{w.name}.{kind}" for w in workloads for kind in kinds]
    # /dev/null: with a single file, there would be no names in front of the lines.
    output = vm.run(f"grep -s '' {' '.join(paths)} /dev/null; true").check()
    texts = dict.fromkeys(paths, "")
    for line in output.decode(errors="replace").splitlines():
        path, _, text = line.partition(":")
        if path in texts:
            texts[path] += text + "\n"
    texts = [texts[path].strip() for path in paths]
    step = len(kinds)
    return {w.name: texts[i * step:(i + 1) * step] for i, w in enumerate(workloads)}


def dump_options(vm, workload):
    """What the workload wants the dump to be given."""
    text = vm.run(f"cat {workload.directory}/{workload.name}.options 2>/dev/null; true").check()
    return text.decode().split()


def kill(vm, workloads):
    vm.run("kill -9 " + " ".join(str(w.pid) for w in workloads) + " 2>/dev/null; true").check()


def restore(vm, workloads, at_a_time=3, timeout=600):
    """Resume from the images, and tell each at once to go on. {name: what criu said} of failures."""
    jobs = " ".join(w.name for w in workloads if w.in_terminal)
    one = (f'cd {IMAGES}/$0 && terminal= job=; case " {jobs} " in *" $0 "*) '
           'terminal="/workloads/$0 --terminal" job=--shell-job;; esac; '
           'if $terminal criu restore --file-locks --tcp-established $job -d -D . '
           f'-o restore.log -v4 $(cat {RUN}/$0/$0.restore 2>/dev/null); '
           f'then : >{RUN}/$0/go; else echo $0; fi 2>/dev/null')
    # To come to a pseudo-terminal's number, criu opens those before. The terminals that commands
    # run in have any number.
    alone = sorted((w for w in workloads if w.has_pty or w.in_terminal),
                   key=lambda w: w.in_terminal)
    failed = []
    for group, at_once in (([w for w in workloads if w not in alone], at_a_time), (alone, 1)):
        names = " ".join(w.name for w in group)
        if group:
            failed += vm.run(f"printf '%s\\n' {names} | xargs -n 1 -P {at_once} "
                             f"sh -c {shlex.quote(one)}", timeout=timeout).output.decode().split()
    return {name: restore_error(vm, f"{IMAGES}/{name}") for name in failed}


def restore_error(vm, images):
    """The errors in criu's log, but for what it says when it looks for features."""
    log = vm.run(f"cd {images} && grep -E 'Error' restore.log | "
                 "grep -v -E 'Diag module|exited, status=1|tun.c|libnetlink|veth' || "
                 "tail -n 5 restore.log").output
    return "criu restore: " + log.decode(errors="replace").strip()


def results(vm, workloads, timeout):
    """{name: text of the result}, of those that end in time."""
    found = {}
    waiting = list(workloads)
    deadline = time.monotonic() + timeout
    while waiting:
        for name, (text,) in _read_files(vm, waiting, ("result",)).items():
            if text:
                found[name] = text
        waiting = [w for w in waiting if w.name not in found]
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for w in waiting:
        found[w.name] = "FAIL: no result: " + describe(vm, w)
    return found


def describe(vm, workload):
    """Where a process that does not come to an end is."""
    done = vm.run(f"cd /proc/{workload.pid}/task 2>/dev/null || {{ echo it is gone; exit; }}; "
                  "for t in *; do echo thread $t: $(grep State $t/status) in call "
                  "$(cat $t/syscall); done")
    return done.output.decode(errors="replace").strip()


class CriuDumper:
    """criu dump inside the guest: the reference, and a check of workloads and harness."""

    name = "criu"

    def __init__(self, options=()):
        self.options = " ".join(options)

    def prepare(self, vm):
        load_dump_modules(vm)

    def dump(self, vm, workload, directory, leave_running=False, more=()):
        """Dump into @directory on the host, with @more options. (exit status, messages)"""
        inside = f"/tmp/dump/{workload.name}"
        leave = "--leave-running" if leave_running else ""
        options = [*getattr(workload, "options", ()), *more]
        if "--tcp-established" in options:
            # There are no iptables in the guest.
            options += ["--network-lock", "nftables"]
        done = vm.run(f"mkdir -p {inside} && cd {inside} && "
                      f"criu dump --file-locks -t {workload.pid} -D . -o dump.log -v4 {leave} "
                      f"{self.options} {' '.join(options)}")
        if done.returncode:
            log = vm.run(f"grep Error {inside}/dump.log || tail -n 5 {inside}/dump.log").output
            return done.returncode, log.decode(errors="replace").strip()
        archive = vm.get_tar(inside)
        vm.run(f"rm -rf {inside}").check()
        pathlib.Path(directory).mkdir(parents=True)
        subprocess.run(["tar", "-C", directory, "-xf", "-"], input=archive, check=True)
        return 0, ""


class OvmDumper:
    """The tool under test, on the host."""

    name = "ovm-gpu"

    def __init__(self, program, options=()):
        self.program = pathlib.Path(program).resolve()
        self.options = list(options)
        if not os.access(self.program, os.X_OK):
            raise VmError(f"{self.program} is not there: build it, or name it with --ovm-gpu")

    def prepare(self, vm):
        pass

    def dump(self, vm, workload, directory, leave_running=True, timeout=120, more=()):
        command = [self.program, "dump", "--qmp", vm.qmp_path, "-t", str(workload.pid),
                   "-D", directory, *(["-R"] if leave_running else []), *self.options,
                   *getattr(workload, "options", ()), *more]
        if getattr(workload, "busy", False):
            # On a loaded host without KVM, the guest is in its kernel at nearly every pause.
            command += ["--timeout", "30"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return -1, f"took more than {timeout} s: {shlex.join(map(str, command))}"
        return done.returncode, done.stderr.strip()


def default_tool():
    return os.environ.get("OVM_GPU") or str(HERE.parent.parent / "build" / "host" / "ovm-gpu")
