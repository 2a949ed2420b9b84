"""mt_margay: Margay in front of such servers, and clients that load it."""
import json
import os
import re
import shutil
import signal
import threading
import time

import pymysql

from mt_base import *
from mt_mariadb import *

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
                 extra="", start=True, name="margay", wait_servers=True):
        self.servers, self.name = list(servers), name
        self.dir = mkdir(name)
        self.port, self.conf, self.log = free_port(), self.dir + "/margay.conf", self.dir + "/log"
        self.socket = self.dir + "/c"
        self.margay = {"listen": "127.0.0.1:%d, %s" % (self.port, self.socket), "workers": 1,
                       "runtime_dir": self.dir + "/run", "state_dir": self.dir + "/state",
                       "log_level": "info", "drain_timeout": "2s"}
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
        things.append(self)
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

    def start(self, wait=True, extra=(), write=True, wrap=()):
        """extra: more arguments of margayd; wrap: a command to run it by."""
        if write:
            self.write_conf()
        self.proc = Proc(list(wrap) + [self.prog("margayd"), "-c", self.conf] + list(extra), self.log)
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
        return [p for p in proc_children(self.pid) if proc_name(p) == "margay-worker"]

    def health_pid(self):
        return next((p for p in proc_children(self.pid) if proc_name(p) == "margay-health"), None)

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
        return self.stat_of(self.conf)

    def stat_of(self, conf):
        r = run([self.prog("margay-stat"), "-c", conf, "-j"])
        if r.returncode:
            raise Failed("margay-stat -j: exit %d: %s" % (r.returncode, r.stderr))
        return json.loads(r.stdout)

    def server_states(self):
        """name -> {'state':, 'role':, ...} of each configured server."""
        return {s["name"]: s for s in self.stat()["servers"]}

    def budgets(self):
        """For each server: cells of connections that are taken, and connections that the server itself sees."""
        pools = {s["name"]: s["pool"] for s in self.stat()["servers"]}
        user = next(iter(self.users.values())).get("backend_user") or next(iter(self.users))
        return {s.name: (pools[s.name]["workers"] + pools[s.name]["granted"] + pools[s.name]["orphaned"],
                         len(s.processlist(user))) for s in self.servers}

    def wait_budgets(self, timeout):
        wait_for(lambda: all(a == b for a, b in self.budgets().values()), timeout,
                 lambda: "budgets to equal what the servers see: %s" % self.budgets())

    def generation(self):
        return self.stat()["margay"]["generation"]

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
    return c.thread_id() >> 21 & 63


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
        self.gap = [0.0] * n      # longest time between two successes since mark()
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
                now = time.monotonic()
                self.gap[i] = max(self.gap[i], now - (self.last_ok[i] or now))
                self.last_ok[i] = now
                self.done[i] += 1
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

    def mark(self):
        self.gap = [0.0] * len(self.done)

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
