# SPDX-License-Identifier: GPL-2.0-only
"""Real applications in the guests (see test-apps): fetched from Debian, set up, loaded, dumped."""

import dataclasses
import hashlib
import pathlib
import re
import shlex
import shutil
import subprocess
import time

from guestvm import HERE, VmError, cache_directory, locked

class PackagesMissing(VmError):
    """Debian's archive can't be reached."""


PACKAGES = ("nginx", "apache2-bin", "postgresql-15", "redis-server", "redis-tools", "memcached",
            "vim-tiny", "ncurses-base", "dash", "coreutils", "mawk", "bsdutils")
PROGRAMS = ("usr/sbin/nginx", "usr/sbin/apache2", "usr/lib/postgresql/15/bin/postgres",
            "usr/lib/postgresql/15/bin/initdb", "usr/bin/redis-server", "usr/bin/memcached",
            "usr/bin/vim.tiny", "bin/dash", "usr/bin/seq", "usr/bin/sort", "usr/bin/tee",
            "usr/bin/sha256sum", "usr/bin/mawk", "usr/bin/script")
# Loaded at run time; with what they need.
MODULES = ("usr/lib/apache2/modules/mod_mpm_prefork.so",
           "usr/lib/apache2/modules/mod_authz_core.so",
           "usr/lib/postgresql/15/lib/dict_snowball.so",
           "usr/lib/postgresql/15/lib/plpgsql.so")
TREES = ("usr/share/postgresql/15", "lib/terminfo/v", "etc/ssl/openssl.cnf")
LIBRARY_PATH = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LOADER = "lib64/ld-linux-x86-64.so.2"

# In the guests: what is carried over to the second one, what is not, and where the load is told.
DATA, RUN, CONTROL = "/srv", "/run/apps", "/tmp/apps"
LOAD = "/usr/bin/ovm-load"
USER = 1000
FIRST_PID, PIDS_EACH = 20000, 2000

NGINX = """\
user user user;
worker_processes 3;
daemon off;
pid {run}/pid;
error_log {data}/error.log;
events {{ worker_connections 64; }}
http {{
	log_format load '$args';
	access_log {data}/access.log load;
	client_body_temp_path {run}/body;
	proxy_temp_path {run}/proxy;
	fastcgi_temp_path {run}/fastcgi;
	uwsgi_temp_path {run}/uwsgi;
	scgi_temp_path {run}/scgi;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	sendfile on;
	server {{ listen {listen}; root {data}/www; }}
}}
"""

APACHE = """\
ServerName guest
ServerRoot {data}
DefaultRuntimeDir {run}
PidFile {run}/pid
Listen 127.0.0.1:{port}
User user
Group user
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
Mutex {mutex}
StartServers 4
MaxRequestWorkers 6
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
DocumentRoot {data}/www
ErrorLog {data}/error.log
LogFormat "%q" load
CustomLog {data}/access.log load
"""

# The filter is held up in the middle, so that pipes before it are full, and sort has begun.
PIPELINE = """\
/usr/bin/seq 1 30000 |
/usr/bin/mawk '{ print $1 * 7919 % 60013, $1 }' |
{ while read key n; do
	while [ $n = 9000 -a ! -e CONTROL/stop ]; do /bin/sleep 0.1; done
	echo $key $n
done; } |
/usr/bin/sort -n |
/usr/bin/tee DATA/sorted |
/usr/bin/sha256sum >DATA/sum
"""


def pipeline_sum():
    lines = sorted((n * 7919 % 60013, n) for n in range(1, 30001))
    return hashlib.sha256("".join(f"{k} {n}\n" for k, n in lines).encode()).hexdigest()


@dataclasses.dataclass
class App:
    name: str
    about: str
    # Of the load; {data}, {run} and {control} are replaced.
    arguments: list
    command: list
    files: dict = dataclasses.field(default_factory=dict)
    set_up: str = ""
    # In the second VM, before the restore.
    again: str = ""
    # The load is no part of the tree: it comes back with its books.
    outside: bool = False
    # More than {data} that has to be in the second VM.
    carried: list = dataclasses.field(default_factory=list)
    # Established connections: dump and restore are told to take them.
    tcp: bool = False
    # System V IPC, which CRIU restores into a namespace of the tree only.
    ipc: bool = False
    settings: dict = dataclasses.field(default_factory=dict)
    first_pid: int = 0
    pid: int = 0
    # Acknowledged to each worker at the dump; and the books of a load from outside.
    before: list = dataclasses.field(default_factory=list)
    books: str = ""
    facts: bytes = b""

    @property
    def options(self):
        """Of the dump."""
        return ["--tcp-established"] if self.tcp else []

    @property
    def data(self):
        return f"{DATA}/{self.name}"

    @property
    def run(self):
        return f"{RUN}/{self.name}"

    @property
    def control(self):
        return f"{CONTROL}/{self.name}"

    def fill(self, text):
        return text.format(data=self.data, run=self.run, control=self.control, **self.settings)

    def load(self, *more, command=True):
        """The command line of the load, with or without the program."""
        words = [LOAD, "--directory", self.control, *more, *map(self.fill, self.arguments)]
        if command:
            words += ["--", *map(self.fill, self.command)]
        return shlex.join(words)

    def serve(self):
        """The command line of the server alone."""
        words = [LOAD, "--directory", self.control, "--serve", *map(self.fill, self.arguments), "--",
                 *map(self.fill, self.command)]
        return shlex.join(words)


def _postgres(name, about, shared, outside=False, carried=()):
    return App(name, about,
               ["--protocol", "postgres", "--unix", "{run}/.s.PGSQL.5432", "--workers", "4",
                "--user", str(USER), "--signal", "2"],
               ["/usr/lib/postgresql/15/bin/postgres", "-D", "{data}/base", "-k", "{run}",
                "-c", "listen_addresses=", "-c", "shared_memory_type=mmap",
                "-c", f"dynamic_shared_memory_type={shared}", "-c", "shared_buffers=16MB",
                "-c", "huge_pages=off"],
               set_up="cp -a /var/lib/postgres-base {data}/base; "
                      f"chown {USER}:{USER} {{run}} {{data}}",
               again=f"chown {USER}:{USER} {{run}}", outside=outside, carried=list(carried),
               ipc=True)


def _nginx(name, about, listen, connect, outside=False):
    reconnect = ["--reconnect"] if outside else []
    return App(name, about,
               ["--protocol", "http", *connect, "--log", "{data}/access.log", "--signal", "3",
                *reconnect],
               ["/usr/sbin/nginx", "-c", "{data}/nginx.conf"],
               files={"nginx.conf": NGINX}, settings={"listen": listen},
               set_up=f"mkdir {{data}}/www && {LOAD} --http-files {{data}}/www", outside=outside)


def _apache(name, about, mutex, port):
    return App(name, about,
               ["--protocol", "http", "--tcp", str(port), "--log", "{data}/access.log",
                "--signal", "15"],
               ["/usr/sbin/apache2", "-f", "{data}/apache.conf", "-D", "FOREGROUND"],
               files={"apache.conf": APACHE}, settings={"mutex": mutex, "port": port},
               set_up=f"mkdir {{data}}/www && {LOAD} --http-files {{data}}/www",
               tcp=True)


def _redis(name, about, outside=False):
    return App(name, about,
               ["--protocol", "redis", "--unix", "{run}/sock"],
               ["/usr/bin/redis-server", "--port", "0", "--unixsocket", "{run}/sock", "--dir",
                "{data}", "--appendonly", "yes", "--save", ""], outside=outside)


def _all_apps():
    return [
        _redis("redis", "event loop, threads, a log that is appended to"),
        _redis("redis-outside", "the same, with clients that connect again", outside=True),
        App("memcached", "threads that share an event loop each",
            ["--protocol", "memcached", "--unix", "{run}/sock"],
            ["/usr/bin/memcached", "-s", "{run}/sock", "-t", "4", "-u", "root"]),
        _nginx("nginx", "a master and workers that share a listening socket",
               "unix:/run/apps/nginx/sock", ["--unix", "{run}/sock"]),
        _apache("apache", "a process for each connection, over TCP", "pthread", 8080),
        _postgres("postgres", "processes that share memory, semaphores and files", "mmap"),
        App("vim", "an editor at a terminal",
            ["--protocol", "terminal", "--file", "{data}/text"],
            ["/usr/bin/vim.tiny", "-u", "NONE", "-C", "{data}/text"]),
        App("script", "a terminal behind a terminal",
            ["--protocol", "terminal", "--file", "{data}/text"],
            ["/usr/bin/script", "-q", "-e", "-c", "/usr/bin/vim.tiny -u NONE -C {data}/text",
             "{data}/typescript"]),
        App("pipeline", "full pipes between the stages of a shell's pipeline",
            ["--protocol", "command", "--file", "{data}/sum", "--wanted", pipeline_sum()],
            ["/bin/dash", "-c", PIPELINE.replace("{", "{{").replace("}", "}}")
             .replace("CONTROL", "{control}").replace("DATA", "{data}")]),
    ]


def all_apps():
    apps = _all_apps()
    for index, app in enumerate(apps):
        app.first_pid = FIRST_PID + PIDS_EACH * index
    return apps


def select(names):
    known = {app.name: app for app in all_apps()}
    for name in names:
        if name not in known:
            raise VmError(f"there is no application {name}")
    return [known[name] for name in names] if names else list(known.values())


def _packages():
    """The unpacked packages, fetched when they are not cached."""
    directory = cache_directory() / "apps"
    directory.mkdir(exist_ok=True)
    digest = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:16]
    target = directory / f"packages-{digest}"
    with locked(directory / "lock"):
        if not target.exists():
            for old in directory.glob("packages-*"):
                shutil.rmtree(old)
            work = directory / "new"
            shutil.rmtree(work, ignore_errors=True)
            done = subprocess.run([HERE / "kernels", "--programs", work, *PACKAGES],
                                  capture_output=True, text=True)
            if done.returncode:
                shutil.rmtree(work, ignore_errors=True)
                raise PackagesMissing(f"packages can't be obtained:\n{done.stderr.strip()}")
            work.rename(target)
    return target


def _libraries(packages, program):
    """Those of the packages: this machine's may be others."""
    paths = ":".join(str(packages / p) for p in LIBRARY_PATH)
    done = subprocess.run([packages / LOADER, "--inhibit-cache", "--library-path", paths, "--list",
                           program], capture_output=True, text=True)
    found = dict(re.findall(r"(\S+) => (\S+)", done.stdout))
    lacking = [name for name, path in found.items() if not path.startswith(str(packages))]
    if done.returncode or lacking:
        raise VmError(f"{program} lacks {', '.join(lacking) or done.stderr.strip()}")
    return [pathlib.Path(path) for path in found.values()]


def build_load():
    """The directory with the load: one for each text, so that both VMs of a test have the same."""
    source = HERE / "apps" / "load.c"
    directory = cache_directory() / "apps"
    root = directory / f"load-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    load = root / LOAD.lstrip("/")
    with locked(directory / "lock"):
        if load.exists():
            return root
        load.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-o", f"{load}.new",
                               source], capture_output=True, text=True)
        if done.returncode:
            raise VmError(f"the load can't be built:\n{done.stderr.strip()}")
        pathlib.Path(f"{load}.new").rename(load)
    return root


def build():
    """The directory that belongs below the guest's root, without the load."""
    packages = _packages()
    directory = cache_directory() / "apps"
    root = directory / "root"
    with locked(directory / "lock"):
        wanted = list(map(str, (*PACKAGES, *PROGRAMS, *MODULES, *TREES)))
        stamp = directory / "root.stamp"
        if stamp.exists() and stamp.read_text() == "\n".join(wanted):
            return root
        files = {packages / name for name in (LOADER, *PROGRAMS, *MODULES)}
        for program in list(files):
            files.update(_libraries(packages, program))
        for tree in TREES:
            files.update(p for p in (packages / tree).rglob("*") if p.is_file())
        for path in files:
            target = root / path.relative_to(packages)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        stamp.write_text("\n".join(wanted))
    return root


def postgres_base(vm):
    """A new database cluster: made in a guest once, since that takes half a minute there."""
    path = cache_directory() / "apps" / "postgres-base.tar"
    with locked(cache_directory() / "apps" / "base.lock"):
        if not path.exists():
            initdb = ("/usr/lib/postgresql/15/bin/initdb -D /var/lib/postgres-base -N -A trust "
                      "-U user --locale=C -E UTF8")
            vm.run(f"mkdir -p /var/lib/postgres-base && chown {USER} /var/lib/postgres-base && "
                   f"su user -c {shlex.quote(initdb)} && "
                   f"chown -R {USER}:{USER} /var/lib/postgres-base", timeout=600).check()
            path.write_bytes(vm.get_tar("/var/lib/postgres-base"))
            return
    vm.put_tar(path.read_bytes(), "/var/lib/postgres-base")
    vm.run("chmod 700 /var/lib/postgres-base").check()


def prepare(vm, apps):
    """In the first VM."""
    lines = ["echo 1048576 >/proc/sys/kernel/pid_max", f"mkdir -p {DATA} {RUN} {CONTROL}",
             "mkdir -p /etc/ssl /var/log/nginx /var/lib/nginx"]
    vm.run("; ".join(lines)).check()
    if any(app.name.startswith("postgres") for app in apps):
        postgres_base(vm)
    for app in apps:
        vm.run(f"mkdir -p {app.data} {app.run} {app.control}").check()
        for name, text in app.files.items():
            vm.run(f"cat >{app.data}/{name}", app.fill(text).encode()).check()
        if app.set_up:
            vm.run(app.fill(app.set_up)).check()


def prepare_again(vm, apps):
    """In the second VM, where {data} is there already."""
    vm.run(f"echo 1048576 >/proc/sys/kernel/pid_max; mkdir -p {RUN} {CONTROL} /var/log/nginx "
           "/var/lib/nginx").check()
    for app in apps:
        vm.run(f"mkdir -p {app.run} {app.control}").check()
        if app.again:
            vm.run(app.fill(app.again)).check()


def launch(vm, command, log):
    """In the background."""
    vm.run(f"(cd / && exec setsid {command} </dev/null >{log} 2>&1) &").check()


def read(vm, path):
    return vm.run(f"cat {path} 2>/dev/null || true").output.decode(errors="replace").strip()


def progress(vm, app, timeout=30):
    """What was acknowledged to each worker."""
    vm.run(f"rm -f {app.control}/progress; : >{app.control}/report").check()
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        text = read(vm, f"{app.control}/progress")
        if text:
            return [int(line.split()[0]) for line in text.splitlines()]
        time.sleep(0.05)
    raise VmError(f"{app.name}: the load tells nothing: {read(vm, app.control + '/result')}")


def wait_for(vm, app, name, timeout):
    """The text of a file in the control directory, or of the result that came instead."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for each in (name, "result"):
            text = read(vm, f"{app.control}/{each}")
            if text:
                return each, text
        time.sleep(0.1)
    return "", ""


RESOURCES = r"""
tree() { echo $1; for c in $(cat /proc/$1/task/*/children 2>/dev/null); do tree $c; done; }
for p in $(tree PID); do
	echo "== $p $(cat /proc/$p/comm): threads $(ls /proc/$p/task | wc -l)" \
		"$(grep -E '^(Uid|NSsid|NSpgid|SigQ)' /proc/$p/status | tr '\n\t' '  ')"
	for f in /proc/$p/fd/*; do echo "$(readlink $f)"; done | sed 's/[0-9][0-9]*\]/N]/' |
		sort | uniq -c | sed 's/^/   fd /'
	grep -E ' (rw|r-|-w|--)[x-]s ' /proc/$p/maps | cut -c 1-120 | sed 's/^/   shared /'
done
cat /proc/sysvipc/shm /proc/sysvipc/sem | sed 's/^/   sysv /'
"""


def resources(vm, pid):
    """What the processes of a tree hold, as /proc tells it."""
    return vm.run(RESOURCES.replace("PID", str(pid))).output.decode(errors="replace")
