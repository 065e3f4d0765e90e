# SPDX-License-Identifier: GPL-2.0-only
"""CRIU images of a tree of processes as a flat {path: value}, with arbitrary ids made canonical.

What may differ between two right dumps of the same state is taken out here only where it is a name
without a meaning: ids of files, of shared memory, of kernel objects, numbers of page files; and where
one dumper interrupts a wait that the other has made again, how it is made. All else
is left for the list of allowed differences. Decoding is pycriu's, the module behind crit."""

import base64
import hashlib
import pathlib

import pycriu

PAGE = 4096
# Socket types without boundaries: by number, or as pycriu names it.
STREAM = (1, "STREAM")
# Bits of vma_entry.status.
STACK, VSYSCALL, VDSO, HEAP = 1 << 1, 1 << 2, 1 << 3, 1 << 5
FILE_PRIVATE, FILE_SHARED, ANON_SHARED, VVAR = 1 << 6, 1 << 7, 1 << 8, 1 << 12
# Bits of pagemap_entry.flags.
PE_PARENT, PE_LAZY, PE_PRESENT = 1, 2, 4

# Calls with a time-out, by number (poll, nanosleep, futex, semtimedop, clock_nanosleep), and the
# register that tells it; the result of one that is interrupted, and the length of the instruction.
POLL = 7
TIMED_CALLS = {POLL: "dx", 35: "di", 202: "r10", 220: "r10", 230: "dx"}
INTERRUPTED = 2**64 - 4
SYSCALL_BYTES = 2
TIMESPEC = 16


class ImageError(Exception):
    """An image that can't be read, in a sentence."""


def load(path):
    with open(path, "rb") as f:
        try:
            return pycriu.images.load(f)["entries"]
        except Exception as error:
            raise ImageError(f"{path} can't be decoded: {error!r}") from error


class Numbering:
    """Canonical numbers, in order of first use."""

    def __init__(self):
        self.known = {}

    def __call__(self, key):
        return self.known.setdefault(key, len(self.known) + 1)


def registers(directory):
    """By the number of the thread; zombies have none."""
    cores = {path.name: load(path)[0] for path in pathlib.Path(directory).glob("core-*.img")}
    return {name: core["thread_info"]["gpregs"] for name, core in cores.items()
            if "thread_info" in core}


def waits_made_again(theirs, ours):
    """Threads whose wait one dumper interrupts, and the other has made again with the time left:
    the argument that holds it, and where in memory it is, or None."""
    former = registers(theirs)
    result = {}
    for name, regs in registers(ours).items():
        argument = TIMED_CALLS.get(regs["ax"])
        before = former.get(name)
        if argument and before and before["ax"] == INTERRUPTED and \
                before["ip"] == regs["ip"] + SYSCALL_BYTES:
            address = None if regs["ax"] == POLL else regs[argument]
            result[name] = (argument, address)
    return result


class Tree:
    """@root is a directory with the guest's files, as far as they are known here; @waits are those
    that only one of the dumps has made again."""

    def __init__(self, directory, root=None, waits=None):
        self.directory = pathlib.Path(directory)
        self.root = root
        self.waits = waits or {}
        self.raw = {}
        for path in sorted(self.directory.iterdir()):
            if path.suffix == ".img" and not path.name.startswith("pages-") \
                    or path.name == "stats-dump":
                self.raw[path.name] = load(path)
        self.files, self.shmem, self.memfds = Numbering(), Numbering(), Numbering()
        self.pipes, self.ghosts = Numbering(), Numbering()
        self.view = {}
        self._build()

    def _one(self, name):
        if name not in self.raw or len(self.raw[name]) != 1:
            raise ImageError(f"{self.directory}/{name} must have one record")
        return dict(self.raw[name][0])

    def _build(self):
        # The root first: its paths have no prefix. Pids are the same in both dumps.
        tree = sorted(self.raw["pstree.img"], key=lambda e: (e["ppid"] != 0, e["pid"]))
        inventory = self._one("inventory.img")
        self.root_ids = inventory.pop("root_ids")
        self.net_ns = self.root_ids.get("net_ns_id")
        self.view["inventory"] = inventory
        self.known = {"pstree.img", "inventory.img", "files.img", "memfd.img", "pipes-data.img",
                      "fifo-data.img", "sk-queues.img", "remap-fpath.img", "seccomp.img",
                      "tty-info.img", "tty-data.img"}
        self.directories, self.areas, self.tables = set(), {}, {}
        for entry in tree:
            prefix = f"{entry['pid']}." if entry["ppid"] else ""
            self._process(prefix, entry)
        self._passed()
        self._files()
        self._queues()
        self._ghosts()
        self._terminals()
        for pid in self.areas:
            self._memory_pages(pid)
        self._rest()

    def _process(self, prefix, entry):
        pid = entry["pid"]
        # Of a zombie there is no more, and criu doesn't set the number of its thread.
        zombie = f"mm-{pid}.img" not in self.raw
        threads = [pid] if zombie else entry["threads"]
        self.view[prefix + "pstree"] = {**entry, "threads": sorted(threads)}
        for tid in threads:
            name = "leader" if tid == pid else tid
            self.view[f"{prefix}core-{name}"] = self._core(tid)
        if zombie:
            return
        ids = self._one(f"ids-{pid}.img")
        self.view[prefix + "ids"] = self._ids(ids, pid)
        self._descriptors(prefix, ids["files_id"])
        self._memory(prefix, pid)
        self._directories(prefix, pid)
        self.known |= {f"ids-{pid}.img", f"fdinfo-{ids['files_id']}.img", f"mm-{pid}.img",
                       f"fs-{pid}.img", f"pagemap-{pid}.img"}

    def _memory_pages(self, pid):
        prefix, self.vmas = self.areas[pid]
        self._pages(f"pagemap-{pid}.img", prefix + "pages", self._kind)

    def _rest(self):
        for name in self.raw:
            if name in self.known or name.startswith(("core-", "ghost-file-")):
                continue
            if name.startswith("timens-"):
                self._clocks(name)
                continue
            if name.startswith("ipcns-"):
                self.view[name.rpartition("-")[0]] = dict(enumerate(self.raw[name]))
            elif name.startswith("pagemap-shmem-"):
                number = self.shmem(int(name[len("pagemap-shmem-"):-len(".img")]))
                self._pages(name, f"shmem-pages-{number}", lambda address: "object")
            else:
                self.view[name.removesuffix(".img")] = dict(enumerate(self.raw[name]))

    def _core(self, tid):
        name = f"core-{tid}.img"
        core = self._one(name)
        if name in self.waits:
            regs = core["thread_info"]["gpregs"]
            if regs["ax"] != INTERRUPTED:
                regs["ip"] += SYSCALL_BYTES
            regs["ax"] = regs[self.waits[name][0]] = "of a wait"
        if "seccomp_filter" in core.get("thread_core", {}):
            core["thread_core"] = self._with_filters(core["thread_core"])
        return core

    def _with_filters(self, thread):
        """A thread with its seccomp filters, the oldest first, instead of where they begin."""
        known = self._one("seccomp.img")["seccomp_filters"]
        at, filters = thread["seccomp_filter"], []
        while at is not None and len(filters) <= len(known):
            filters.append({"filter": known[at]["filter"], "flags": known[at].get("flags", 0)})
            at = known[at].get("prev")
        return {**thread, "seccomp_filter": filters}

    def _without_time_left(self, address, data):
        """A page without the places where the time left of a wait is kept for it."""
        data = bytearray(data)
        for _, place in self.waits.values():
            if place and data and address <= place < address + PAGE:
                data[place - address:place - address + TIMESPEC] = bytes(TIMESPEC)
        return bytes(data)

    def _clocks(self, name):
        """In nanoseconds, one number each."""
        self.view["timens"] = {clock: time["tv_sec"] * 10**9 + time["tv_nsec"]
                               for clock, time in self._one(name).items()}

    def _ids(self, ids, pid):
        """Ids have a meaning only as being the same as those of the maker, or of another process."""
        result = {}
        for name, value in ids.items():
            first = self.tables.setdefault((name, value), pid)
            if value == self.root_ids.get(name):
                result[name] = "as root"
            else:
                result[name] = "own" if first == pid else f"as {first}"
        return result

    def _descriptors(self, prefix, files_id):
        entries = self.raw.get(f"fdinfo-{files_id}.img", [])
        self.view[prefix + "fdinfo"] = {}
        for entry in sorted(entries, key=lambda e: e["fd"]):
            self.view[prefix + "fdinfo"][entry["fd"]] = {**entry, "id": self.files(entry["id"])}

    def _memory(self, prefix, pid):
        mm = self._one(f"mm-{pid}.img")
        mm["exe_file_id"] = self.files(mm["exe_file_id"])
        self.vmas = mm.pop("vmas")
        self.areas[pid] = (prefix, self.vmas)
        for vma in self.vmas:
            vma = dict(vma)
            if vma["status"] & (FILE_PRIVATE | FILE_SHARED):
                vma["shmid"] = self.files(vma["shmid"])
            elif vma["status"] & ANON_SHARED:
                vma["shmid"] = self.shmem(vma["shmid"])
            self.view[f"{prefix}vma-{self._kind(vma['start'])}-{vma['start']:#x}"] = vma
        self.view[prefix + "mm"] = mm

    def _pipe(self, end, data):
        """Put a canonical number into an end of a pipe; what is in the pipe."""
        content = dict(next(e for e in self.raw[data] if e["pipe_id"] == end["pipe_id"]))
        end["pipe_id"] = content["pipe_id"] = self.pipes((data, end["pipe_id"]))
        self.view[f"pipe-{end['pipe_id']}"] = content

    def _ghosts(self):
        """Files without a name: which entries lead to which, and what they hold."""
        remaps = [{**e, "orig_id": self.files(e["orig_id"])}
                  for e in self.raw.get("remap-fpath.img", [])]
        for entry in sorted(remaps, key=lambda e: e["orig_id"]):
            image = f"ghost-file-{entry['remap_id']:x}.img"
            entry["remap_id"] = self.ghosts(entry["remap_id"])
            self.view[f"remap-{entry.pop('orig_id')}"] = entry
            self.view[f"ghost-{entry['remap_id']}"] = dict(enumerate(self.raw[image]))

    @staticmethod
    def _timer(timer):
        """Times in nanoseconds, one number each."""
        for name, letter in ("left", "v"), ("interval", "i"):
            timer[name] = timer.pop(f"{letter}sec") * 10**9 + timer.pop(f"{letter}nsec")

    @staticmethod
    def _epoll(epoll):
        """The entries in the order of their descriptors: it is that of addresses in the kernel."""
        entries = [{k: v for k, v in e.items() if k != "id"} for e in epoll.get("tfd", [])]
        epoll["tfd"] = dict(enumerate(sorted(entries, key=lambda e: (e["tfd"], e["data"]))))

    @staticmethod
    def _rights(entry):
        return [number for scm in entry.get("scm", []) for number in scm.get("rights", [])]

    def _passed(self):
        """Number the files that only come with messages: in the order of the sockets in which they
        wait, which may have come with messages themselves."""
        queues, seen = {}, set()
        for entry in self.raw.get("sk-queues.img", []):
            queues.setdefault(entry["id_for"], []).append(entry)
        while set(self.files.known) - seen:
            for number in [n for n in self.files.known if n not in seen]:
                seen.add(number)
                for entry in queues.get(number, []):
                    for passed in self._rights(entry):
                        self.files(passed)

    def _queues(self):
        """What waits in each socket: messages; of streams, bytes, however they are divided; and
        which files come with them (criu reads what comes before them in one with them)."""
        queues, passed = {}, {}
        for entry in self.raw.get("sk-queues.img", []):
            data = base64.decodebytes(entry.get("extra", "").encode())
            if len(data) != entry["length"]:
                raise ImageError(f"{self.directory}: sk-queues.img ends within a message")
            messages = queues.setdefault(entry["id_for"], [])
            if self._rights(entry):
                known = passed.setdefault(entry["id_for"], {})
                place = len(known) if entry["id_for"] in self.streams else len(messages)
                known[place] = [self.files(number) for number in self._rights(entry)]
            messages.append(data)
        for number, messages in queues.items():
            if number in self.streams:
                messages = [b"".join(messages)]
            self.view[f"queue-{self.files.known[number]}"] = {
                i: f"{len(data)} bytes {hashlib.blake2b(data, digest_size=8).hexdigest()}"
                for i, data in enumerate(messages)} | {"passed": passed.get(number, {})}

    def _files(self):
        self.streams = set()
        inodes = {e["inode_id"]: e for e in self.raw.get("memfd.img", [])}
        paths = {e["id"]: e["reg"] for e in self.raw["files.img"] if "reg" in e}
        by_id = dict(sorted(((e["id"], e) for e in self.raw["files.img"]),
                            key=lambda item: "fifo" in item[1] or "tty" in item[1]))
        for number, canonical in list(self.files.known.items()):
            if number not in by_id:
                raise ImageError(f"{self.directory}: file {number} is used, but not described")
            entry = dict(by_id.pop(number))
            del entry["id"]
            kind = next(k for k in entry if isinstance(entry[k], dict))
            entry[kind] = {k: v for k, v in entry[kind].items() if k != "id"}
            if kind == "memfd":
                inode = dict(inodes[entry[kind]["inode_id"]])
                entry[kind]["inode_id"] = self.memfds(inode.pop("inode_id"))
                inode["shmid"] = self.shmem(inode["shmid"])
                self.view[f"memfd-{entry[kind]['inode_id']}"] = inode
            elif kind == "pipe":
                self._pipe(entry[kind], "pipes-data.img")
            elif kind == "fifo":
                self._pipe(entry[kind], "fifo-data.img")
                path = entry[kind].pop("regf_id")
                entry[kind]["reg"] = {k: v for k, v in paths[path].items() if k != "id"}
                by_id.pop(path, None)
            elif kind == "tty":
                path = entry[kind].pop("regf_id")
                entry[kind]["reg"] = {k: v for k, v in paths[path].items() if k != "id"}
                by_id.pop(path, None)
            elif kind == "epfd":
                self._epoll(entry[kind])
            elif kind == "tfd":
                self._timer(entry[kind])
            elif kind in ("ify", "ffy"):
                # Parts of the entry, which need no number of their own.
                for watched in entry[kind].get("wd", []) + entry[kind].get("mark", []):
                    watched.pop("id", None)
            elif kind == "usk":
                self.streams |= {number} if entry[kind]["type"] in STREAM else set()
                ns = entry[kind].get("ns_id")
                entry[kind]["ns_id"] = "as root" if ns == self.net_ns else "own"
            self.view[f"file-{canonical}"] = entry
        for number in by_id.keys() - self.directories:
            self.view[f"file-unused-{number}"] = by_id[number]

    def _terminals(self):
        """By their numbers, which mean something. Behind the control characters is nothing."""
        for entry in self.raw.get("tty-info.img", []):
            for name in "termios", "termios_locked":
                if name in entry:
                    entry[name]["c_cc"] = entry[name]["c_cc"][:5]
            end = "master" if entry["id"] % 2 else "slave"
            self.view[f"tty-{end}-{entry['id']}"] = entry
        for entry in self.raw.get("tty-data.img", []):
            self.view[f"tty-{entry['tty_id']}-data"] = entry

    def _directories(self, prefix, pid):
        """By what they are: one file may stand for both."""
        fs = self._one(f"fs-{pid}.img")
        by_id = {e["id"]: e for e in self.raw["files.img"]}
        self.directories |= {fs["cwd_id"], fs["root_id"]}
        for name in "cwd", "root":
            entry = by_id.get(fs.pop(f"{name}_id"))
            if not entry:
                raise ImageError(f"{self.directory}: the {name} directory is not described")
            fs[name] = {k: v for k, v in entry["reg"].items() if k != "id"}
        self.view[prefix + "fs"] = fs

    def _as_in_file(self, address, data):
        """Whether a page of a private mapping is what its file holds there."""
        vma = next(v for v in self.vmas if v["start"] <= address < v["end"])
        names = {e["id"]: e["reg"]["name"] for e in self.raw["files.img"] if "reg" in e}
        path = pathlib.Path(self.root, names.get(vma["shmid"], "").lstrip("/"))
        if not path.is_file():
            return False
        with open(path, "rb") as f:
            f.seek(vma["pgoff"] + address - vma["start"])
            return f.read(PAGE).ljust(PAGE, b"\0") == data

    def _kind(self, address):
        """What a mapping is, for paths that are read by people."""
        for vma in self.vmas:
            if vma["start"] <= address < vma["end"]:
                status = vma["status"]
                for bit, name in ((VDSO, "vdso"), (VVAR, "vvar"), (VSYSCALL, "vsyscall"),
                                  (HEAP, "heap"), (FILE_PRIVATE, "file"), (FILE_SHARED, "shared"),
                                  (ANON_SHARED, "shared")):
                    if status & bit:
                        return name
                return "stack" if status & STACK or vma["flags"] & 0x100 else "anonymous"
        return "nowhere"

    def _pages(self, name, label, kind):
        """Every page by its address: what it holds, and whether it may be restored lazily."""
        head, *entries = self.raw[name]
        file = self.directory / f"pages-{head['pages_id']}.img"
        pages = self.view.setdefault(label, {})
        with open(file, "rb") as f:
            for entry in entries:
                flags = entry.get("flags", PE_PRESENT)
                for i in range(entry["nr_pages"]):
                    address = entry["vaddr"] + i * PAGE
                    data = f.read(PAGE) if flags & PE_PRESENT else b""
                    if flags & PE_PRESENT and len(data) != PAGE:
                        raise ImageError(f"{file} ends within the page for {address:#x}")
                    data = self._without_time_left(address, data)
                    digest = hashlib.blake2b(data, digest_size=8).hexdigest()
                    what = kind(address)
                    if what == "file" and self.root and self._as_in_file(address, data):
                        what = "file-unchanged"
                    path = f"{what}.{address:#x}"
                    if path in pages:
                        raise ImageError(f"{name} has {address:#x} twice")
                    pages[path] = {"data": digest, "flags": flags}
            if f.read(1):
                raise ImageError(f"{file} is longer than {name} says")


def flatten(value, path="", into=None):
    into = {} if into is None else into
    if isinstance(value, dict):
        for key, inner in value.items():
            flatten(inner, f"{path}.{key}" if path else str(key), into)
    elif isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
        for i, inner in enumerate(value):
            flatten(inner, f"{path}[{i}]", into)
    else:
        into[path] = value
    return into


def flat(directory, root=None, waits=None):
    return flatten(Tree(directory, root, waits).view)
