"""margaytest: starts real MariaDB servers and Margay, and runs test functions over them.

What it owns: one temporary directory and every process started below it; both are gone when the test ends,
however it ends. Servers and Margay run as an unprivileged account, also when the test runs as root.
Nothing here waits for a fixed time: wait_for() polls a condition until a deadline.

A test file defines functions test_*(), optionally setup() and teardown(), and ends with
    if __name__ == '__main__': main()
Run one by hand:  top_builddir=/path/to/build /usr/bin/python3 t/sys/test_basic.py [-k WORD] [--seed N] [-v]
"""
import argparse
import atexit
import ctypes
import faulthandler
import inspect
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

try:
    import pymysql
    import pymysql.constants.CLIENT as CLIENT
except ImportError:
    print("skip all (python3-pymysql is not installed)\n0 passed, 0 failed, 1 skipped")
    sys.exit(77)

SRC = os.path.abspath(os.environ.get("top_srcdir") or
                      os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.abspath(os.environ.get("top_builddir") or os.getcwd())
# Sanitizer builds and loaded machines are slower: all deadlines are multiplied by this.
SLOW = float(os.environ.get("MARGAY_TEST_SLOW", "1"))
PROGRAMS = ("margayd", "margay-worker", "margay-health", "margay-stat", "margayctl")
MONITOR = ("mon", "mon-secret")
APP = ("app", "app-secret")
NOBODY = 65534

args = argparse.Namespace(seed=None, verbose=False, keep=False, quick=False, k=None)
rng = random.Random()


class Skip(Exception):
    """Raised by skip(): the test cannot run here; the reason is printed and counted."""


class Failed(Exception):
    """An expectation does not hold."""


def skip(why):
    raise Skip(why)


def fail(why):
    raise Failed(why)


def note(text):
    """A figure or remark that belongs into the test's output."""
    print("    " + text, flush=True)


def eq(got, want, what=""):
    if got != want:
        raise Failed("%s: got %r, want %r" % (what or "value", got, want))


def ok(cond, what):
    if not cond:
        raise Failed(what)


def raises(errnos, fn, *a, **kw):
    """Calls fn; it must fail with one of these MySQL error numbers. Returns (errno, text)."""
    if isinstance(errnos, int):
        errnos = (errnos,)
    try:
        got = fn(*a, **kw)
    except pymysql.err.MySQLError as e:
        no = e.args[0] if e.args else 0
        text = str(e.args[1]) if len(e.args) > 1 else ""
        if errnos and no not in errnos:
            raise Failed("error %s (%s), expected %s" % (no, text, list(errnos)))
        return no, text
    raise Failed("no error but %r, expected %s" % (got, list(errnos)))


def wait_for(cond, timeout=10.0, what="condition"):
    """Polls cond() until it returns something true; returns that. Exceptions of the network count as false."""
    end = time.monotonic() + timeout * SLOW
    pause, last = 0.002, None
    while True:
        try:
            r = cond()
            if r:
                return r
            last = r
        except (OSError, pymysql.err.MySQLError, ValueError, KeyError, IndexError) as e:
            last = e
        if time.monotonic() > end:
            what = what() if callable(what) else what
            raise Failed("waited %gs for: %s (last: %r)" % (timeout * SLOW, what, last))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


# ---- processes ----

class Proc:
    """A started program with the file its output goes to."""

    def __init__(self, argv, log, env=None, group=None):
        self.argv = argv
        self.log = log
        with open(log, "ab") as out:
            self.p = subprocess.Popen(as_user(argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                      start_new_session=True, env=env, cwd="/")
        self.pid = self.p.pid

    def alive(self):
        return self.p.poll() is None

    def send(self, sig):
        if self.alive():
            os.kill(self.pid, sig)

    def end(self, sig=signal.SIGTERM, timeout=30):
        """Sends sig and waits; kills when that is not enough. Returns the exit status."""
        if self.alive():
            self.send(signal.SIGCONT)
            self.send(sig)
            try:
                self.p.wait(timeout * SLOW)
            except subprocess.TimeoutExpired:
                self.p.kill()
        return self.p.wait()


def as_user(argv):
    """argv, run as the unprivileged account if we are root, and killed when this test is."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "KILL"] + argv
    return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
            "--pdeathsig", "KILL"] + argv


def run(argv, timeout=60, check=False, **kw):
    """Runs a program as the unprivileged account to its end; .returncode, .stdout, .stderr (text)."""
    r = subprocess.run(as_user(argv), stdin=kw.pop("stdin", subprocess.DEVNULL), capture_output=True,
                       text=True, timeout=timeout * SLOW, cwd="/", errors="replace", **kw)
    if check and r.returncode:
        raise Failed("%s: exit %d\n%s%s" % (" ".join(argv), r.returncode, r.stdout, r.stderr))
    return r


_tmp = None
_things = []  # servers and Margays, newest last: for logs on failure and for cleaning up


def tmp():
    """The run's directory. Its name is short: names of Unix sockets are limited to 107 bytes."""
    global _tmp
    if _tmp is None:
        _tmp = tempfile.mkdtemp(prefix="mt-", dir=os.environ.get("MARGAY_TEST_TMP", "/tmp"))
        os.chmod(_tmp, 0o755)
        own(_tmp)
    return _tmp


def own(path):
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def mkdir(name):
    path = os.path.join(tmp(), name)
    os.mkdir(path, 0o755)
    own(path)
    return path


def our_children():
    """Pids of all descendants. As their subreaper we inherit the children of those that died."""
    kids, todo = [], [os.getpid()]
    while todo:
        pid = todo.pop()
        try:
            for t in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/children" % (pid, t)) as f:
                    new = [int(x) for x in f.read().split()]
                kids += new
                todo += new
        except OSError:
            pass
    return kids


def reap():
    """Collects adopted orphans that have ended, without touching what subprocess waits for."""
    mine = {t.proc.pid for t in _things if getattr(t, "proc", None)}
    for pid in our_children():
        if pid not in mine and proc_state(pid) == "Z":
            try:
                os.waitpid(pid, os.WNOHANG)
            except OSError:
                pass


def _cleanup():
    global _tmp
    for _ in range(50):
        kids = [p for p in our_children() if proc_state(p) not in ("Z", None)]
        if not kids:
            break
        for pid in kids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.01)
    if _tmp and args.keep:
        print("kept: " + _tmp)
    elif _tmp:
        shutil.rmtree(_tmp, ignore_errors=True)
    _tmp = None


def _on_signal(sig, frame):
    sys.exit(128 + sig)


def _become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    atexit.register(_cleanup)
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(s, _on_signal)


# ---- /proc ----

def proc_state(pid):
    """One letter as in ps, None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def proc_comm(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return None


def proc_children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(x) for x in f.read().split()]
    except OSError:
        return []


def proc_cpu(pids):
    """CPU seconds (user + system) used so far by these processes."""
    total = 0
    for pid in [pids] if isinstance(pids, int) else pids:
        with open("/proc/%d/stat" % pid) as f:
            w = f.read().rsplit(")", 1)[1].split()
        total += int(w[11]) + int(w[12])
    return total / os.sysconf("SC_CLK_TCK")


def proc_pss(pids):
    """KiB of memory that these processes account for (Pss)."""
    total = 0
    for pid in [pids] if isinstance(pids, int) else pids:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return total


def proc_fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


_ports = set()


def free_port():
    """A loopback port nobody listens on, below the range that outgoing connections are given."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        if port in _ports:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports.add(port)
        return port


# ---- MariaDB ----

SERVER_OPTIONS = [
    "--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--performance-schema=off",
    "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-buffer-pool-load-at-startup=0",
    "--innodb-buffer-pool-dump-at-shutdown=0", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=1M",
    "--table-open-cache=200", "--max-connections=400", "--thread-cache-size=32", "--log-warnings=1",
    "--character-set-server=utf8mb4", "--sync-binlog=0", "--slave-net-timeout=10"]
_server_id = 0


def sbin(name):
    p = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return p or skip(name + " is not installed")


def _template():
    """A fresh data directory to copy from; made once and kept in the build tree."""
    version = re.sub(r"\W+", "-", subprocess.check_output([sbin("mariadbd"), "--version"], text=True).strip())
    cache = os.path.join(BUILD, "t", "sys")
    if not os.access(cache, os.W_OK):
        cache = tmp()
    tar = os.path.join(cache, "datadir-%08x.tar" % (hash_text(version) & 0xffffffff))
    if not os.path.exists(tar):
        d = mkdir("template")
        # A tmpdir of its own: mariadb-install-db leaves files behind when killed
        r = run([sbin("mariadb-install-db"), "--no-defaults", "--datadir=" + d + "/data", "--tmpdir=" + d,
                 "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
                 "--innodb-log-file-size=16M"], timeout=120)
        if r.returncode:
            raise Failed("mariadb-install-db: %s%s" % (r.stdout, r.stderr))
        part = "%s.%d" % (tar, os.getpid())
        subprocess.check_call(["tar", "-S", "-C", d + "/data", "-cf", part, "."])
        os.rename(part, tar)
        shutil.rmtree(d)
    return tar


def hash_text(s):
    h = 5381
    for c in s.encode():
        h = h * 33 + c & 0xffffffff
    return h


class MariaDB:
    """One server: own data directory, port and socket. Started by the constructor."""

    def __init__(self, name, options=(), durable=False, binlog=True, start=True):
        global _server_id
        _server_id += 1
        self.name, self.server_id = name, _server_id
        self.dir = mkdir("%s.%d" % (name, self.server_id))
        self.data = self.dir + "/d"
        self.port, self.socket, self.log = free_port(), self.dir + "/s", self.dir + "/log"
        self.options = SERVER_OPTIONS + [
            "--datadir=" + self.data, "--tmpdir=" + self.dir, "--socket=" + self.socket,
            "--port=%d" % self.port, "--pid-file=" + self.dir + "/pid", "--server-id=%d" % self.server_id,
            "--innodb-flush-log-at-trx-commit=%d" % (1 if durable else 0)]
        if binlog:
            self.options += ["--log-bin=bin", "--log-slave-updates", "--binlog-format=MIXED"]
        self.options += list(options)
        self.proc = None
        os.mkdir(self.data)
        subprocess.check_call(["tar", "-C", self.data, "-xf", _template()])
        if os.geteuid() == 0:
            subprocess.check_call(["chown", "-R", "%d:%d" % (NOBODY, NOBODY), self.data])
        _things.append(self)
        if start:
            self.start()

    def start(self, wait=True, extra=()):
        self.proc = Proc([sbin("mariadbd")] + self.options + list(extra), self.log)
        if wait:
            self.wait_up()
        return self

    def wait_up(self, timeout=60):
        def up():
            if not self.proc.alive():
                raise Failed("%s ended at start:\n%s" % (self.name, tail(self.log)))
            return self.sql("SELECT 1")
        wait_for(up, timeout, "server %s to come up" % self.name)

    @property
    def pid(self):
        return self.proc.pid

    def stop(self):
        if self.proc:
            self.proc.end(signal.SIGTERM)

    def kill(self):
        """kill -9, and wait until it is gone."""
        if self.proc and self.proc.alive():
            self.proc.p.kill()
            self.proc.p.wait()

    def freeze(self):
        self.proc.send(signal.SIGSTOP)
        wait_for(lambda: proc_state(self.pid) == "T", 5, "server to stop")

    def thaw(self):
        self.proc.send(signal.SIGCONT)

    def restart(self, **kw):
        self.kill()
        return self.start(**kw)

    def conn(self, user="root", password="", **kw):
        """A connection past Margay: as root over the socket, others over TCP."""
        kw.setdefault("autocommit", True)
        kw.setdefault("connect_timeout", 5)
        if user == "root":
            return pymysql.connect(unix_socket=self.socket, user=user, password=password, **kw)
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password, **kw)

    def sql(self, *statements):
        """Runs statements as root on a connection of their own; returns the rows of the last."""
        c = self.conn(read_timeout=30)
        try:
            rows = ()
            for s in statements:
                rows = query(c, s)
            return rows
        finally:
            c.close()

    def one(self, statement):
        return self.sql(statement)[0][0]

    def status(self, name):
        return int(self.sql("SHOW GLOBAL STATUS LIKE '%s'" % name)[0][1])

    def processlist(self, user=None):
        """Rows of the process list as dicts, of one user or all."""
        c = self.conn(cursorclass=pymysql.cursors.DictCursor, read_timeout=30)
        try:
            with c.cursor() as cur:
                cur.execute("SELECT * FROM information_schema.processlist" +
                            (" WHERE user = '%s'" % user if user else ""))
                return list(cur.fetchall())
        finally:
            c.close()

    def replicate_from(self, primary):
        self.sql("STOP SLAVE", "CHANGE MASTER TO master_host='127.0.0.1', master_port=%d, master_user='repl', "
                 "master_password='repl', master_use_gtid=slave_pos, master_connect_retry=1" % primary.port,
                 "START SLAVE", "SET GLOBAL read_only=1")
        self.primary = primary
        return self

    def gtid(self):
        return self.one("SELECT @@gtid_binlog_pos")

    def catch_up(self, primary=None, timeout=30):
        """Waits until this replica has applied what the primary has written."""
        pos = (primary or self.primary).gtid()
        if pos:
            ok(self.one("SELECT MASTER_GTID_WAIT('%s', %g)" % (pos, timeout * SLOW)) == 0,
               "%s catches up with %s" % (self.name, pos))

    def promote(self):
        self.sql("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only=0")

    def log_text(self):
        return read_text(self.log)


def read_text(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def tail(path, lines=40):
    return "\n".join(read_text(path).splitlines()[-lines:])


def query(c, sql, params=None):
    """Runs one statement; rows as a tuple, () when there are none."""
    with c.cursor() as cur:
        cur.execute(sql, params)
        return cur.fetchall()


def value(c, sql, params=None):
    return query(c, sql, params)[0][0]


def sql_str(s):
    return "'" + s.replace("\\", "\\\\").replace("'", "''") + "'"


def accounts(server, users=None):
    """The accounts that tests use: monitor, replication, application users. Run on the primary."""
    st = ["CREATE DATABASE IF NOT EXISTS shop", "CREATE DATABASE IF NOT EXISTS other"]
    for name, password, grants in [
            (MONITOR[0], MONITOR[1], "SLAVE MONITOR, BINLOG MONITOR, CONNECTION ADMIN, PROCESS, TRIGGER, SELECT"),
            ("repl", "repl", "REPLICATION SLAVE")]:
        st += ["CREATE OR REPLACE USER %s@'%%' IDENTIFIED BY %s" % (name, sql_str(password)),
               "GRANT %s ON *.* TO %s@'%%'" % (grants, name)]
    st += ["CREATE DATABASE IF NOT EXISTS margay", "GRANT ALL ON margay.* TO %s@'%%'" % MONITOR[0]]
    for name, password in (users or {APP[0]: APP[1]}).items():
        st += ["CREATE OR REPLACE USER %s@'%%' IDENTIFIED BY %s" % (name, sql_str(password)),
               "GRANT ALL ON shop.* TO %s@'%%'" % name, "GRANT ALL ON other.* TO %s@'%%'" % name]
    server.sql(*st)


def replication_set(replicas=1, options=(), users=None, **kw):
    """A primary with its replicas, accounts and databases made, all caught up. [primary, replica, ...]"""
    servers = [MariaDB("db%d" % (i + 1), options, start=False, **kw) for i in range(replicas + 1)]
    for s in servers:
        s.start(wait=False)
    for s in servers:
        s.wait_up()
    accounts(servers[0], users)
    for r in servers[1:]:
        r.replicate_from(servers[0])
    for r in servers[1:]:
        r.catch_up()
    return servers


# ---- Margay ----

_bindir = None


def bindir():
    """The programs under test, copied to where the unprivileged account can run them."""
    global _bindir
    if _bindir is None:
        missing = [p for p in PROGRAMS if not os.path.exists(os.path.join(BUILD, p))]
        if missing:
            skip("not built in %s: %s" % (BUILD, ", ".join(missing)))
        _bindir = mkdir("bin")
        for p in PROGRAMS:
            shutil.copy2(os.path.join(BUILD, p), _bindir)
            os.chmod(os.path.join(_bindir, p), 0o755)
    return _bindir


class Margay:
    """One Margay in front of servers. Options are dicts by section; start() writes the file and waits.

    servers: MariaDB objects; their sections are named after them, their options in `server` (for all) and
    in server_options[name]. users: name -> dict of options ({'password': ...}).
    """

    def __init__(self, servers, margay=None, server=None, server_options=None, cluster=None, users=None,
                 extra="", start=True, name="m", wait_servers=True):
        self.servers = list(servers)
        self.dir = mkdir("%s.%d" % (name, len(_things)))
        self.port, self.conf, self.log = free_port(), self.dir + "/margay.conf", self.dir + "/log"
        self.socket = self.dir + "/c"
        self.margay = {"listen": "127.0.0.1:%d, %s" % (self.port, self.socket), "workers": 1,
                       "runtime_dir": self.dir + "/run", "state_dir": self.dir + "/state",
                       "log_level": "info"}
        self.margay.update(margay or {})
        self.server = server or {}
        self.server_options = server_options or {}
        self.cluster = {"topology": "replication" if len(self.servers) > 1 else "standalone",
                        "servers": ", ".join(s.name for s in self.servers), "monitor_user": MONITOR[0],
                        "monitor_password": MONITOR[1], "probe_interval": "100ms"}
        self.cluster.update(cluster or {})
        self.users = users or {APP[0]: {"password": APP[1]}}
        self.extra = extra
        self.proc = None
        self.old_pids = []
        for d in ("run", "state"):
            os.mkdir(self.dir + "/" + d, 0o755)
            own(self.dir + "/" + d)
        _things.append(self)
        if start:
            self.start()
            if wait_servers:
                self.wait_servers()

    # configuration

    def conf_text(self):
        out = []

        def section(title, opts):
            out.append("[%s]" % title)
            out.extend("%s = %s" % (k, v) for k, v in opts.items() if v is not None)
            out.append("")
        section("margay", self.margay)
        for s in self.servers:
            section("server " + s.name, {"address": "127.0.0.1:%d" % s.port, **self.server,
                                         **self.server_options.get(s.name, {})})
        section("cluster main", self.cluster)
        for name, opts in self.users.items():
            section("user " + name, {"cluster": "main", **opts})
        return "\n".join(out) + self.extra

    def write_conf(self, text=None):
        part = self.conf + ".new"
        with open(part, "w") as f:
            f.write(self.conf_text() if text is None else text)
        os.chmod(part, 0o600)
        own(part)
        os.rename(part, self.conf)

    # life

    def prog(self, name):
        return os.path.join(bindir(), name)

    def start(self, wait=True, extra=(), write=True):
        if write:
            self.write_conf()
        self.proc = Proc([self.prog("margayd"), "-c", self.conf] + list(extra), self.log)
        if wait:
            self.wait_serving()
        return self

    def wait_serving(self, timeout=20):
        def serving():
            if not self.proc.alive():
                raise Failed("margayd ended at start, exit %s:\n%s" % (self.proc.p.poll(), tail(self.log)))
            return self.ctl("status").returncode == 0
        wait_for(serving, timeout, "Margay to serve")

    def wait_servers(self, timeout=15):
        """Waits until each configured server that lives takes statements in Margay's eyes."""
        want = {s.name for s in self.servers if s.proc and s.proc.alive()}
        wait_for(lambda: want <= {n for n, s in self.server_states().items() if s["state"] == "up"}, timeout,
                 lambda: "servers %s up, are %s" % (sorted(want), self.server_states()))

    def stop(self, timeout=30):
        """SIGTERM; returns the exit status."""
        return self.proc.end(signal.SIGTERM, timeout) if self.proc else None

    def kill_master(self):
        self.old_pids = [p for p in self.worker_pids() + [self.health_pid()] if p]
        self.proc.p.kill()
        self.proc.p.wait()

    def kill_all(self):
        """The whole Margay at once, with -9."""
        pids = self.all_pids() + self.old_pids
        for p in pids:
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        if self.proc:
            self.proc.p.wait()
        wait_for(lambda: (reap() or True) and all(proc_state(p) in (None, "Z") for p in pids), 10,
                 "killed processes to be gone")

    @property
    def pid(self):
        return self.proc.pid

    def worker_pids(self):
        return [p for p in proc_children(self.pid) if proc_comm(p) == "margay-worker"]

    def health_pid(self):
        return next((p for p in proc_children(self.pid) if proc_comm(p) == "margay-health"), None)

    def all_pids(self):
        return [self.pid] + proc_children(self.pid) if self.proc and self.proc.alive() else []

    # tools

    def ctl(self, *words, timeout=60):
        return run([self.prog("margayctl"), "-c", self.conf] + [str(w) for w in words], timeout)

    def reload(self, ok_wanted=True):
        """Writes the configuration as it now stands in this object and reloads."""
        self.write_conf()
        r = self.ctl("reload")
        if ok_wanted and r.returncode:
            raise Failed("reload: exit %d %s%s\n%s" % (r.returncode, r.stdout, r.stderr, tail(self.log)))
        return r

    def stat_text(self, *words):
        return run([self.prog("margay-stat"), "-c", self.conf] + list(words))

    def stat(self):
        """margay-stat -j, parsed."""
        r = self.stat_text("-j")
        if r.returncode:
            raise Failed("margay-stat -j: exit %d: %s" % (r.returncode, r.stderr))
        return json.loads(r.stdout)

    def server_states(self):
        """name -> {'state':, 'role':, ...} of each configured server."""
        return {s["name"]: s for s in self.stat()["servers"]}

    def counter(self, name):
        """A worker counter or gauge, summed over workers."""
        return sum(w["counters"][name] for w in self.stat()["workers"])

    def log_text(self):
        return read_text(self.log)

    def wait_log(self, pattern, timeout=10, start=0):
        return wait_for(lambda: re.search(pattern, self.log_text()[start:]), timeout, "log line /%s/" % pattern)

    # clients

    def conn(self, user=APP[0], password=None, unix=False, **kw):
        """A client connection through Margay."""
        kw.setdefault("autocommit", True)
        kw.setdefault("connect_timeout", 10)
        kw.setdefault("read_timeout", 60)
        kw.setdefault("database", "shop")
        if password is None:
            password = self.users[user].get("password", "") if user in self.users else ""
        if unix:
            return pymysql.connect(unix_socket=self.socket, user=user, password=password, **kw)
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password, **kw)

    def sql(self, *statements, **kw):
        """Statements on one new connection; rows of the last."""
        c = self.conn(**kw)
        try:
            rows = ()
            for s in statements:
                rows = query(c, s)
            return rows
        finally:
            c.close()


def session_slot(c):
    """Worker slot of a client connection, from its id (shm/link.h: link_session_slot)."""
    return c.thread_id() >> 22 & 63


# ---- load ----

class Load:
    """Client threads that each call step(client) over and over until stop(). A step that raises is recorded
    with its client's number; the client then gets a new connection by connect() until it works again."""

    def __init__(self, n, connect, step):
        self.connect, self.step = connect, step
        self.halt = threading.Event()
        self.errors = []          # (time, client number, slot, text)
        self.done = [0] * n       # steps that succeeded, per client
        self.last_ok = [0.0] * n
        self.conns = [None] * n
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(n)]

    def start(self):
        for t in self.threads:
            t.start()
        wait_for(lambda: all(self.done) or self.errors, 30, "every client's first step")
        return self

    def _run(self, i):
        c, slot = None, -1
        while not self.halt.is_set():
            try:
                if c is None:
                    c = self.connect(i)
                    slot = session_slot(c)
                    self.conns[i] = c
                self.step(c, i)
                self.done[i] += 1
                self.last_ok[i] = time.monotonic()
            except Exception as e:  # whatever a client sees counts
                self.errors.append((time.monotonic(), i, slot, "%s %s" % (type(e).__name__, e)))
                try:
                    c and c._force_close()
                except Exception:
                    pass
                c = None
                self.halt.wait(0.02)
        try:
            c and c.close()
        except Exception:
            pass

    def progress(self, timeout=20):
        """Waits until every client has succeeded once more."""
        before = list(self.done)
        wait_for(lambda: all(b < d for b, d in zip(before, self.done)), timeout, "every client to go on")

    def stop(self):
        self.halt.set()
        for t in self.threads:
            t.join(30 * SLOW)
            ok(not t.is_alive(), "a client hangs")
        return self.errors

    @property
    def total(self):
        return sum(self.done)


# ---- runner ----

def _show_logs():
    for t in _things[-6:]:
        print("---- log of %s" % getattr(t, "name", "Margay"))
        print(tail(t.log, 60 if isinstance(t, Margay) else 15))
    sys.stdout.flush()


class _Timeout(Exception):
    pass


def _on_alarm(sig, frame):
    faulthandler.dump_traceback(sys.stdout, all_threads=True)
    raise _Timeout("the test took too long")


def _call(name, fn):
    """Runs one function; returns 'ok', 'FAIL' or 'skip' and prints the line."""
    start, why = time.monotonic(), ""
    signal.alarm(int(getattr(fn, "limit", 120) * max(1, SLOW)))
    try:
        fn()
        verdict = "ok"
    except Skip as e:
        verdict, why = "skip", " (%s)" % e
    except Failed as e:
        verdict, why = "FAIL", "\n    %s\n%s" % (e, "".join(traceback.format_tb(e.__traceback__)[-3:]))
    except (Exception, _Timeout):
        verdict, why = "FAIL", "\n" + traceback.format_exc()
    signal.alarm(0)
    if verdict != "ok" or name not in ("setup", "teardown"):
        print("%-4s %s (%.1f s)%s" % (verdict, name, time.monotonic() - start, why), flush=True)
    if verdict == "FAIL":
        _show_logs()
    return verdict


def limit(seconds):
    """Decorator: a test that may take longer than two minutes."""
    def deco(fn):
        fn.limit = seconds
        return fn
    return deco


def sanitizer_lines():
    """Reports of sanitizers and panics in the logs of every Margay of this run: each is a failure."""
    bad = []
    for t in _things:
        if isinstance(t, Margay):
            bad += [l for l in read_text(t.log).splitlines()
                    if re.search(r"(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:)", l)]
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("-k", help="only tests whose name contains this")
    ap.add_argument("--seed", type=int, help="seed of the random tests")
    ap.add_argument("--keep", action="store_true", help="keep the temporary directory")
    ap.add_argument("--quick", action="store_true", help="shorter runs of the long tests",
                    default=bool(os.environ.get("MARGAY_TEST_QUICK")))
    ap.add_argument("-v", "--verbose", action="store_true")
    ap.parse_args(namespace=args)
    if args.seed is None:
        args.seed = int(os.environ.get("MARGAY_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    rng.seed(args.seed)
    sys.stdout.reconfigure(line_buffering=True)
    _become_subreaper()
    signal.signal(signal.SIGALRM, _on_alarm)
    mod = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(mod).items() if n.startswith("test_") and inspect.isfunction(f)
             and (not args.k or args.k in n)]
    print("%s: seed %d" % (os.path.basename(mod.__file__), args.seed))
    count = {"ok": 0, "FAIL": 0, "skip": 0}
    ready = "ok"
    if hasattr(mod, "setup"):
        ready = _call("setup", mod.setup)
    if ready == "ok":
        for name, fn in tests:
            count[_call(name, fn)] += 1
        if hasattr(mod, "teardown") and _call("teardown", mod.teardown) == "FAIL":
            count["FAIL"] += 1
    elif ready == "FAIL":
        count["FAIL"] += len(tests) or 1
    else:
        count["skip"] += len(tests)
    for line in sanitizer_lines():
        print("FAIL sanitizer: " + line)
        count["FAIL"] += 1
    print("%d passed, %d failed, %d skipped" % (count["ok"], count["FAIL"], count["skip"]))
    sys.stdout.flush()
    sys.exit(1 if count["FAIL"] else 77 if not count["ok"] else 0)
