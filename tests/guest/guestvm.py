# SPDX-License-Identifier: GPL-2.0-only
"""Virtual machines for the guest tests: start, command, stop. Standard library only.

A VM lives in a directory of its own:
    qmp.sock      QMP, for the tool under test: nothing here ever connects to it
    harness.sock  QMP, for the harness
    agent.sock    the control channel (see agent.c)
    serial.log    the guest's console
    pid, options.json
and its RAM in /dev/shm (or where there is room), by a name that options.json tells.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
KERNELS = ("5.10", "6.1", "6.12", "debug")


class VmError(Exception):
    """What went wrong with a VM, in a sentence."""


def cache_directory():
    cache = os.environ.get("OVM_CACHE")
    if not cache:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        cache = os.path.join(base, "ovm-gpu")
    os.makedirs(cache, exist_ok=True)
    return pathlib.Path(cache)


@contextlib.contextmanager
def locked(path):
    """Hold a lock file: caches are filled by one process at a time."""
    with open(path, "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def kernel_directory(version):
    """The unpacked kernel package, fetched when it isn't cached."""
    with locked(cache_directory() / "lock"):
        done = subprocess.run([HERE / "kernels", version], capture_output=True, text=True)
    if done.returncode:
        raise VmError(f"kernel {version} can't be obtained:\n{done.stderr.strip()}")
    return pathlib.Path(done.stdout.strip())


def initramfs(version, extra=()):
    """An initramfs for the kernel, with the files below the extra directories.

    Kept in the cache by a digest of all that it was made from.
    """
    kernel = kernel_directory(version)
    digest = hashlib.sha256()
    digest.update((kernel / "release").read_bytes())
    own = [HERE / "init", HERE / "agent.c", HERE / "mkinitramfs"]
    system = [pathlib.Path("/usr/sbin/criu"), pathlib.Path("/bin/busybox")]
    for tree in extra:
        own += sorted(p for p in pathlib.Path(tree).rglob("*") if p.is_file())
    for path in own:
        digest.update(f"{path}\0{path.stat().st_mode}\0".encode())
        digest.update(path.read_bytes())
    for path in system:
        digest.update(f"{path}\0{path.stat().st_mtime_ns}\0".encode())
    directory = cache_directory() / "initramfs"
    directory.mkdir(exist_ok=True)
    image = directory / f"{version}-{digest.hexdigest()[:16]}.cpio"
    with locked(directory / "lock"):
        if not image.exists():
            for old in sorted(directory.glob(f"{version}-*.cpio"), key=os.path.getmtime)[:-3]:
                old.unlink()
            command = [HERE / "mkinitramfs", kernel, image, *extra]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise VmError(f"the initramfs can't be made:\n{done.stderr.strip()}")
    os.utime(image)
    return image


def _kvm_boots():
    """Boot a kernel without a root file system: with a KVM that works it soon says that."""
    with tempfile.TemporaryDirectory() as directory:
        console = pathlib.Path(directory, "console")
        command = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-machine", "q35",
                   "-m", "256", "-nodefaults", "-display", "none", "-no-reboot",
                   "-kernel", str(kernel_directory("6.1") / "vmlinuz"),
                   "-append", "console=ttyS0 panic=-1", "-serial", f"file:{console}"]
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            qemu.wait(timeout=15)
        except subprocess.TimeoutExpired:
            pass
        finally:
            qemu.kill()
            qemu.wait()
        return console.exists() and b"Unable to mount root fs" in console.read_bytes()


@functools.lru_cache(maxsize=None)
def kvm_works():
    """Whether KVM runs a guest here; /dev/kvm alone proves nothing. Remembered until a reboot."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = cache_directory() / "kvm"
    with contextlib.suppress(OSError, ValueError):
        for_boot, answer = known.read_text().split()
        if for_boot == boot:
            return answer == "yes"
    works = _kvm_boots()
    known.write_text(f"{boot} {'yes' if works else 'no'}\n")
    return works


@functools.lru_cache(maxsize=None)
def host_has_la57():
    """Whether this machine has 5-level page tables; KVM's guests have no more than that."""
    flags = re.search(r"^flags\s*:(.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return bool(flags) and "la57" in flags.group(1).split()


def ram_directory(size):
    """Where files of guests' RAM go: into memory, but containers often have next to none there."""
    free = os.statvfs("/dev/shm")
    return "/dev/shm" if free.f_bavail * free.f_frsize >= size else tempfile.gettempdir()


class Qmp:
    """A small QMP client."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")
        self._receive()
        self.command("qmp_capabilities")

    def _receive(self):
        line = self.lines.readline()
        if not line:
            raise VmError("QEMU closed the QMP connection")
        return json.loads(line)

    def command(self, name, /, **arguments):
        request = {"execute": name, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode())
        while True:
            reply = self._receive()
            if "error" in reply:
                raise VmError(f"QMP {name}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def close(self):
        self.lines.close()
        self.socket.close()


class Result:
    """Of a command in the guest."""

    def __init__(self, command, status, output, errors):
        self.command = command
        self.returncode = os.waitstatus_to_exitcode(status)
        self.output = output
        self.errors = errors

    def check(self):
        if self.returncode:
            raise VmError(f"in the guest, {self.command!r} ended with {self.returncode}: "
                          f"{(self.errors or self.output).decode(errors='replace').strip()}")
        return self.output


class Agent:
    """The control channel: commands in the guest, with input and output."""

    HEADER = struct.Struct("<cI")
    CHUNK = 1 << 16

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.setblocking(False)
        self.received = bytearray()

    def close(self):
        self.socket.close()

    def _frames(self, data):
        for at in range(0, len(data), self.CHUNK):
            part = data[at:at + self.CHUNK]
            yield self.HEADER.pack(b"I", len(part)) + part
        yield self.HEADER.pack(b"I", 0)

    def _take_frame(self):
        if len(self.received) < self.HEADER.size:
            return None
        kind, length = self.HEADER.unpack_from(self.received)
        end = self.HEADER.size + length
        if len(self.received) < end:
            return None
        body = bytes(self.received[self.HEADER.size:end])
        del self.received[:end]
        return kind, body

    def run(self, command, stdin=b"", timeout=120):
        text = command.encode()
        queue = self._frames(stdin)
        out = memoryview(self.HEADER.pack(b"X", len(text)) + text)
        collected = {b"O": bytearray(), b"E": bytearray()}
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise VmError(f"in the guest, {command!r} took more than {timeout} s")
            readable, writable, _ = select.select([self.socket], [self.socket] if out else [],
                                                  [], left)
            if writable:
                out = out[self.socket.send(out):]
                if not out:
                    out = memoryview(next(queue, b""))
            if not readable:
                continue
            data = self.socket.recv(1 << 20)
            if not data:
                raise VmError(f"the VM went away during {command!r}")
            self.received += data
            while frame := self._take_frame():
                kind, body = frame
                if kind == b"S":
                    status, = struct.unpack("<I", body)
                    return Result(command, status, bytes(collected[b"O"]),
                                  bytes(collected[b"E"]))
                collected[kind] += body


class Vm:
    """A VM of which the directory is known; see the module's text."""

    DEFAULTS = {"kernel": "6.1", "smp": 2, "mem": "1G", "la57": False, "numa": 1, "kaslr": True,
                "backend": "file", "share": True, "append": "", "extra": [], "overlay": [],
                "cpu": "max", "net": None}

    def __init__(self, directory):
        self.directory = pathlib.Path(directory).resolve()
        self._agent = None

    @property
    def qmp_path(self):
        """For the tool under test."""
        return self.directory / "qmp.sock"

    @property
    def options(self):
        return json.loads((self.directory / "options.json").read_text())

    @property
    def pid(self):
        try:
            return int((self.directory / "pid").read_text())
        except (OSError, ValueError):
            return None

    def qmp(self):
        return Qmp(self.directory / "harness.sock")

    @property
    def agent(self):
        if not self._agent:
            self._agent = Agent(self.directory / "agent.sock")
        return self._agent

    def running(self):
        pid = self.pid
        if not pid:
            return False
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return os.fsencode(str(self.qmp_path)) in command

    def start(self, timeout=90, **given):
        """Boot, and wait until the agent answers."""
        unknown = set(given) - set(self.DEFAULTS)
        if unknown:
            raise VmError(f"unknown options: {', '.join(sorted(unknown))}")
        if self.running():
            raise VmError(f"a VM runs in {self.directory} already")
        options = {**self.DEFAULTS, **given}
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("pid", "serial.log"):
            (self.directory / name).unlink(missing_ok=True)
        command = self._command(options)
        (self.directory / "options.json").write_text(json.dumps(options))
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            self._remove_ram(options)
            raise VmError(f"QEMU does not start: {done.stderr.strip()}")
        try:
            flags = self.run("grep -m 1 ^flags /proc/cpuinfo", timeout=timeout).check().split()
            if options["la57"] and b"la57" not in flags:
                raise VmError("it does not use 5-level page tables")
        except BaseException as error:
            console = (self.directory / "serial.log").read_text(errors="replace")
            self.stop()
            if not isinstance(error, (VmError, OSError)):
                raise
            raise VmError(f"the guest did not boot: {error}\n{console[-2000:]}") from None

    def _ram_arguments(self, options):
        size = options["mem"]
        unit = {"K": 10, "M": 20, "G": 30}[size[-1]]
        total = int(size[:-1]) << unit
        nodes = options["numa"]
        share = "on" if options["share"] else "off"
        arguments, options["ram_files"] = [], []
        for node in range(nodes):
            each = f"id=ram{node},size={total // nodes},share={share}"
            if options["backend"] == "file":
                fd, path = tempfile.mkstemp(prefix="ovm-guest-", dir=ram_directory(total))
                os.close(fd)
                options["ram_files"].append(path)
                arguments += ["-object", f"memory-backend-file,mem-path={path},{each}"]
            else:
                arguments += ["-object", f"memory-backend-{options['backend']},{each}"]
            if nodes > 1:
                arguments += ["-numa", f"node,memdev=ram{node}"]
        if nodes == 1:
            arguments += ["-machine", "memory-backend=ram0"]
        return ["-m", f"{total >> 20}M", *arguments]

    def _command(self, options):
        kernel = kernel_directory(options["kernel"])
        image = initramfs(options["kernel"], options["extra"])
        if options["overlay"]:
            image = self._with_overlay(image, options["overlay"])
        # A busy host makes an emulated timer late enough for the kernel to give up on it.
        append = "console=ttyS0 quiet panic=-1 no_timer_check " + options["append"]
        if not options["kaslr"]:
            append += " nokaslr"
        la57 = "on" if options["la57"] else "off"
        if kvm_works() and (host_has_la57() or not options["la57"]):
            options["accel"] = "kvm"
            accel = ["-accel", "kvm", "-cpu", f"host,la57={la57}"]
        else:
            # Before QEMU 8.0, cmpxchg16b leaves garbage in flags. Linux 6.5 and newer allocate with
            # it, and crash when an interrupt saves the flags at that moment, with TF or VM set.
            options["accel"] = "tcg"
            cpu = f"{options['cpu']},la57={la57},cx16=off"
            accel = ["-accel", "tcg,thread=multi", "-cpu", cpu]
        socket_options = "server=on,wait=off"
        net = []
        if options["net"]:
            # Frames go to a tap device of this network namespace; the guest's module is in
            # /modules.
            mac = hashlib.sha256(options["net"].encode()).hexdigest()[:6]
            mac = "52:54:00:" + ":".join(mac[i:i + 2] for i in (0, 2, 4))
            net = ["-netdev", f"tap,id=net0,ifname={options['net']},script=no,downscript=no",
                   "-device", f"virtio-net-pci,netdev=net0,id=nic0,mac={mac},romfile="]
        return ["qemu-system-x86_64", "-machine", "q35", *accel, "-smp", str(options["smp"]),
                *self._ram_arguments(options), "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot",
                "-kernel", str(kernel / "vmlinuz"), "-initrd", str(image), "-append", append,
                "-qmp", f"unix:{self.qmp_path},{socket_options}",
                "-qmp", f"unix:{self.directory}/harness.sock,{socket_options}",
                "-serial", f"file:{self.directory}/serial.log",
                "-device", "virtio-serial-pci", *net,
                "-chardev", f"socket,id=agent,path={self.directory}/agent.sock,{socket_options}",
                "-device", "virtserialport,chardev=agent,name=ovm.agent",
                "-pidfile", f"{self.directory}/pid", "-daemonize"]

    def _with_overlay(self, image, trees):
        """The initramfs with more files, which are not worth keeping: much faster than put()."""
        combined = self.directory / "initramfs"
        with open(combined, "wb") as out:
            with open(image, "rb") as base:
                shutil.copyfileobj(base, out)
            for tree in trees:
                out.write(b"\0" * (-out.tell() % 4))
                out.flush()
                subprocess.run("find . -mindepth 1 | cpio --quiet -o -H newc -R 0:0", shell=True,
                               cwd=tree, stdout=out, check=True)
        return combined

    def run(self, command, stdin=b"", timeout=120):
        """Run a shell command in the guest and collect its output."""
        return self.agent.run(command, stdin, timeout)

    def put(self, source, target):
        """Copy a file or directory of the host to the path @target in the guest."""
        source = pathlib.Path(source)
        name = source.name
        done = subprocess.run(["tar", "-C", source.parent, "-cf", "-", name],
                              stdout=subprocess.PIPE, check=True)
        self.put_tar(done.stdout, f"{target}.new")
        quoted, new = shlex.quote(target), shlex.quote(f"{target}.new")
        self.run(f"rm -rf {quoted} && mv {new}/{shlex.quote(name)} {quoted} && "
                 f"rm -rf {new}").check()

    def put_tar(self, data, target):
        """Unpack a tar archive below the directory @target in the guest."""
        quoted = shlex.quote(str(target))
        self.run(f"mkdir -p {quoted} && tar -C {quoted} -xpf -", data).check()

    def get_tar(self, source, names=(".",)):
        """A tar archive of what is below the directory @source in the guest."""
        quoted = " ".join(shlex.quote(n) for n in names)
        return self.run(f"tar -C {shlex.quote(str(source))} -cf - {quoted}").check()

    def get(self, source, target):
        """Copy a file or directory of the guest into the directory @target of the host."""
        source = pathlib.PurePosixPath(source)
        pathlib.Path(target).mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "-C", target, "-xf", "-"],
                       input=self.get_tar(source.parent, [source.name]), check=True)

    def _remove_ram(self, options):
        for path in options.get("ram_files", []):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def stop(self):
        """End it at once."""
        if self._agent:
            self._agent.close()
            self._agent = None
        if self.running():
            pid = self.pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.02)
        with contextlib.suppress(OSError, ValueError):
            self._remove_ram(self.options)
        for name in ("pid", "qmp.sock", "harness.sock", "agent.sock", "options.json",
                     "initramfs"):
            (self.directory / name).unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@contextlib.contextmanager
def ended_by_sigterm():
    """A VM must not outlive the harness: SIGTERM unwinds the block as an exception does."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
