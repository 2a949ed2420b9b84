"""mt_base: expectations, processes, temporary directory, /proc: the floor that margaytest stands on."""
import argparse
import atexit
import ctypes
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

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


def closed_to_nobody(path):
    """Root's clone below /root, say: the unprivileged account cannot come to it."""
    while path != "/":
        path = os.path.dirname(path)
        if not os.stat(path).st_mode & 0o001:
            return True
    return False


_copies = {}


def within_reach(path):
    """path, or a copy of it that the unprivileged account can run: programs alone, scripts with their modules."""
    if not (path.startswith((BUILD + "/", SRC + "/")) and os.path.isfile(path) and closed_to_nobody(path)):
        return path
    d = os.path.dirname(path)
    if path not in _copies:
        to = mkdir("reach")
        names = [n for n in os.listdir(d) if n.endswith(".py")] if path.endswith(".py") else [os.path.basename(path)]
        for n in names:
            shutil.copy2(os.path.join(d, n), to)
            os.chmod(os.path.join(to, n), 0o755)
            _copies[os.path.join(d, n)] = os.path.join(to, n)
    return _copies[path]


def as_user(argv):
    """argv, run as the unprivileged account if we are root, and killed when this test is."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "KILL"] + argv
    argv = [within_reach(a) for a in argv]
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
things = []  # servers and Margays, newest last: for logs on failure and for cleaning up


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
    """A directory of our own, named so or, when that is taken, name.2 and so on."""
    path, n = os.path.join(tmp(), name), 1
    while os.path.exists(path):
        n += 1
        path = os.path.join(tmp(), "%s.%d" % (name, n))
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
    mine = {t.proc.pid for t in things if getattr(t, "proc", None)}
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


def become_subreaper():
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


def proc_name(pid):
    """Last part of argv[0]: the comm of a program started by descriptor is only a number."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return os.path.basename(f.read().split(b"\0")[0].decode(errors="replace"))
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
