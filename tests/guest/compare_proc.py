#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compare what extract-show found out about a process with the guest's own /proc.

    compare_proc.py RECORD.json PROC.txt

PROC.txt is what compare_proc.py --script printed when run by a shell in the guest with the pid as
its argument. Prints each difference; exits 0 without any, 1 otherwise.
"""

import json
import re
import sys

SCRIPT = r"""
cd /proc/$1 || exit 1
for f in maps status stat limits timers personality oom_score_adj cgroup; do
	echo "@@ $f"; cat $f
done
for t in task/*; do
	for f in status syscall; do echo "@@ $t/$f"; cat $t/$f; done
done
for f in fd/*; do echo "@@ $f"; readlink $f; done
for f in fdinfo/*; do echo "@@ $f"; cat $f; done
for f in exe cwd root; do echo "@@ $f"; readlink $f; done
echo "@@ auxv"; od -An -v -t x8 auxv
echo "@@ smaps"; cat smaps
"""

VM_FLAGS = {
    "rd": 0x1, "wr": 0x2, "ex": 0x4, "sh": 0x8, "mr": 0x10, "mw": 0x20, "me": 0x40, "ms": 0x80,
    "gd": 0x100, "pf": 0x400, "lo": 0x2000, "io": 0x4000, "sr": 0x8000, "rr": 0x10000,
    "dc": 0x20000, "de": 0x40000, "lf": 0x80000, "ac": 0x100000, "nr": 0x200000, "ht": 0x400000,
    "wf": 0x2000000, "dd": 0x4000000, "sd": 0x8000000, "mm": 0x10000000, "hg": 0x20000000,
    "nh": 0x40000000, "mg": 0x80000000,
}
LIMITS = ["cpu time", "file size", "data size", "stack size", "core file size", "resident set",
          "processes", "open files", "locked memory", "address space", "file locks",
          "pending signals", "msgqueue size", "nice priority", "realtime priority",
          "realtime timeout"]
# Values of enum ovm_rec_file_kind, and those of files that never had a name: shared memory.
KIND = {"PIPE": 8, "SOCKET": 10, "ANON_INODE": 14}
DELETED = (4, 5, 6, 7, 17)



class Comparison:
    def __init__(self, record, proc):
        self.record = record["process"]
        self.files = {f["file"]: f for f in self.record["files"]}
        self.proc = self.sections(proc)
        self.differences = 0
        self.checks = 0

    @staticmethod
    def sections(text):
        parts = re.split(r"^@@ (\S+)\n", text, flags=re.M)
        return dict(zip(parts[1::2], parts[2::2]))

    def equal(self, what, ours, theirs):
        self.checks += 1
        if ours != theirs:
            self.differences += 1
            print(f"{what}: extracted {ours!r}, guest says {theirs!r}")

    def fields(self, section):
        return dict(line.split(":", 1) for line in self.proc[section].splitlines() if ":" in line)

    def status(self):
        for thread in self.record["threads"]:
            name = f"task/{thread['tid']}/status"
            theirs = {k: v.strip() for k, v in self.fields(name).items()}
            creds = thread["creds"]
            self.equal(f"{name} Name", thread["comm"], theirs["Name"])
            self.equal(f"{name} Uid", [creds[i] for i in ("uid", "euid", "suid", "fsuid")],
                       [int(i) for i in theirs["Uid"].split()])
            self.equal(f"{name} Gid", [creds[i] for i in ("gid", "egid", "sgid", "fsgid")],
                       [int(i) for i in theirs["Gid"].split()])
            self.equal(f"{name} Groups", creds["groups"],
                       [int(i) for i in theirs["Groups"].split()])
            for key, field in (("CapInh", "cap_inheritable"), ("CapPrm", "cap_permitted"),
                               ("CapEff", "cap_effective"), ("CapBnd", "cap_bounding"),
                               ("CapAmb", "cap_ambient")):
                self.equal(f"{name} {key}", creds[field], int(theirs[key], 16))
            self.equal(f"{name} NoNewPrivs", creds["no_new_privs"], int(theirs["NoNewPrivs"]))
            self.equal(f"{name} Seccomp", thread["seccomp_mode"], int(theirs["Seccomp"]))
            # While a temporary mask is in force, /proc shows that one.
            if not thread["restore_sigmask"]:
                self.equal(f"{name} SigBlk", thread["blocked"], int(theirs["SigBlk"], 16))
            self.equal(f"{name} SigPnd", self.signal_set(thread["pending"]),
                       int(theirs["SigPnd"], 16))
            cpus = int(theirs["Cpus_allowed"].replace(",", ""), 16)
            self.equal(f"{name} Cpus_allowed", sum(w << 64 * i for i, w in
                                                   enumerate(thread["cpus_allowed"])), cpus)

    @staticmethod
    def signal_set(signals):
        result = 0
        for signal in signals:
            result |= 1 << signal["signo"] - 1
        return result

    def group(self):
        theirs = {k: v.strip() for k, v in self.fields("status").items()}
        stat = self.proc["stat"].rpartition(")")[2].split()
        record = self.record
        self.equal("Umask", record["fs"]["umask"], int(theirs["Umask"], 8))
        self.equal("PPid", record["ppid"], int(theirs["PPid"]))
        self.equal("Threads", record["nr_threads"], int(theirs["Threads"]))
        self.equal("ShdPnd", self.signal_set(record["shared_pending"]), int(theirs["ShdPnd"], 16))
        ignored = caught = 0
        for i, (handler, *_) in enumerate(record["sigactions"]):
            ignored |= (handler == 1) << i
            caught |= (handler > 1) << i
        self.equal("SigIgn", ignored, int(theirs["SigIgn"], 16))
        self.equal("SigCgt", caught, int(theirs["SigCgt"], 16))
        self.equal("pgrp, session", [record["pgid"], record["sid"]], [int(i) for i in stat[2:4]])
        mm = record["mm"]
        self.equal("stat mm", [mm[k] for k in ("start_code", "end_code", "start_stack")],
                   [int(i) for i in stat[23:26]])
        self.equal("stat data", [mm[k] for k in ("start_data", "end_data", "start_brk", "arg_start",
                                                 "arg_end", "env_start", "env_end")],
                   [int(i) for i in stat[42:49]])
        self.equal("VmSize", mm["total_vm"] * 4, int(theirs["VmSize"].split()[0]))
        self.equal("personality", record["personality"], int(self.proc["personality"], 16))
        self.equal("oom_score_adj", record["oom_score_adj"], int(self.proc["oom_score_adj"]))
        for line in self.proc["cgroup"].splitlines():
            if line.startswith("0::"):
                self.equal("cgroup", record["cgroup"], line[3:])

    def scheduling(self):
        leader = self.record["threads"][0]
        stat = self.proc["stat"].rpartition(")")[2].split()
        self.equal("nice", leader["nice"], int(stat[16]))
        self.equal("policy, priority", [leader["policy"], leader["rt_priority"]],
                   [int(stat[38]), int(stat[37])])

    def limits(self):
        for i, name in enumerate(LIMITS):
            line = re.search(rf"^Max {name}\s+(\S+)\s+(\S+)", self.proc["limits"], re.M)
            theirs = [2**64 - 1 if v == "unlimited" else int(v) for v in line.groups()]
            self.equal(f"limit {name}", self.record["rlimits"][2 * i:2 * i + 2], theirs)

    def path(self, file):
        path = file["path"]
        if file["kind"] == KIND["PIPE"]:
            return f"pipe:[{file['ino']}]"
        if file["kind"] == KIND["SOCKET"]:
            return f"socket:[{file['ino']}]"
        if file["kind"] == KIND["ANON_INODE"]:
            return f"anon_inode:{path}"
        if not path.startswith("/"):
            path = "/" + path
        deleted = file["unlinked"] or file["kind"] in DELETED or file["fstype"] == "aio"
        return path + (" (deleted)" if deleted else "")

    def descriptors(self):
        ours = {fd["fd"]: fd for fd in self.record["fds"]}
        theirs = sorted(int(k[3:]) for k in self.proc if k.startswith("fd/"))
        self.equal("descriptors", sorted(ours), theirs)
        for number in set(ours) & set(theirs):
            file, info = self.files[ours[number]["file"]], self.fields(f"fdinfo/{number}")
            self.equal(f"fd {number}", self.path(file), self.proc[f"fd/{number}"].rstrip("\n"))
            self.equal(f"fd {number} pos", file["pos"], int(info["pos"]))
            flags = file["flags"] | (0o2000000 if ours[number]["cloexec"] else 0)
            self.equal(f"fd {number} flags", flags, int(info["flags"], 8))
            self.equal(f"fd {number} mnt_id", file["mnt_id"], int(info["mnt_id"]))
            if "ino" in info:
                self.equal(f"fd {number} ino", file["ino"], int(info["ino"]))

    def places(self):
        self.equal("exe", self.record["mm"]["exe"], self.proc["exe"].rstrip("\n"))
        self.equal("cwd", self.record["fs"]["cwd"]["path"], self.proc["cwd"].rstrip("\n"))
        self.equal("root", self.record["fs"]["root"]["path"], self.proc["root"].rstrip("\n"))

    def areas(self):
        ours = self.record["mm"]["vmas"]
        theirs = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) (\S+) (\d+) *(.*)$",
                            self.proc["maps"], re.M)
        theirs = [t for t in theirs if t[6] != "[vsyscall]"]
        self.equal("number of areas", len(ours), len(theirs))
        flags = [f for f in re.findall(r"^VmFlags: (.*)$", self.proc["smaps"], re.M)]
        for vma, area, names in zip(ours, theirs, flags):
            self.area(vma, area, names.split())

    def area(self, vma, area, names):
        start, end, perms, pgoff, dev, ino, path = area
        what = f"area {start}-{end} {path}"
        self.equal(what, [vma["start"], vma["end"]], [int(start, 16), int(end, 16)])
        ours = "".join(c if vma[k] else "-" for k, c in (("read", "r"), ("write", "w"),
                                                         ("exec", "x")))
        self.equal(f"{what} perms", ours + ("s" if vma["may_share"] else "p"), perms)
        known = sum(VM_FLAGS.values())
        self.equal(f"{what} flags", vma["flags"] & known,
                   sum(VM_FLAGS[n] for n in names if n in VM_FLAGS))
        if "file" in vma:
            file = self.files[vma["file"]]
            self.equal(f"{what} file", self.path(file), path)
            self.equal(f"{what} offset", vma["pgoff"] * 4096, int(pgoff, 16))
            self.equal(f"{what} inode", file["ino"], int(ino))
            major, minor = dev.split(":")
            self.equal(f"{what} device", [file["dev_major"], file["dev_minor"]],
                       [int(major, 16), int(minor, 16)])
        elif vma["special"]:
            self.equal(f"{what} special", vma["special"], path)
        elif path.startswith("[anon:"):
            self.equal(f"{what} name", f"[anon:{vma['anon_name']}]", path)
        else:
            self.equal(f"{what} no name", vma["anon_name"], "")

    def auxv(self):
        words = [int(w, 16) for w in self.proc["auxv"].split()]
        end = next(i for i in range(0, len(words), 2) if words[i] == 0)
        self.equal("auxv", self.record["mm"]["auxv"], words[:end + 2])

    def timers(self):
        ours = self.record["posix_timers"]
        theirs = re.findall(r"ID: (\d+)\nsignal: (\d+)/([0-9a-f]+)\nnotify: (\S+)/(\S+)\.(\d+)\n"
                            r"ClockID: (-?\d+)", self.proc["timers"])
        self.equal("POSIX timers", sorted(t["id"] for t in ours), sorted(int(t[0]) for t in theirs))
        by_id = {t["id"]: t for t in ours}
        for number, signal, value, kind, _, pid, clock in theirs:
            timer = by_id.get(int(number))
            if not timer:
                continue
            notify = {"signal": 0, "none": 1, "thread": 2}[kind]
            self.equal(f"timer {number}", [timer["signo"], timer["value"], timer["notify"] & 3,
                                           timer["clock"]],
                       [int(signal), int(value, 16), notify, int(clock)])

    def system_calls(self):
        for thread in self.record["threads"]:
            words = self.proc[f"task/{thread['tid']}/syscall"].split()
            if words[0] == "running" or thread["where"] != 3:
                continue
            regs = thread["regs"]
            ours = [regs[k] for k in ("di", "si", "dx", "r10", "r8", "r9", "sp", "ip")]
            self.equal(f"thread {thread['tid']} system call", [regs["orig_ax"]] + ours,
                       [int(words[0])] + [int(w, 16) for w in words[1:]])

    def all(self):
        for check in (self.status, self.group, self.scheduling, self.limits, self.descriptors,
                      self.places, self.areas, self.auxv, self.timers, self.system_calls):
            check()
        print(f"{self.checks} values compared, {self.differences} differences")
        return 1 if self.differences else 0


def main():
    if sys.argv[1:] == ["--script"]:
        print(SCRIPT)
        return 0
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1]) as record, open(sys.argv[2], errors="surrogateescape") as proc:
        return Comparison(json.load(record), proc.read()).all()


sys.exit(main())
