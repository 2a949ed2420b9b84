"""A margayd with a stand-in for its children (t/sys/fakechild.c), for t/sys/test_master.py.

Each rig has its own directory with copies of the programs, its own configuration and free loopback ports.
Started by root, the service runs as `nobody`. Nothing sleeps for a result: every wait is for an event, with a
limit that only a fault reaches.
"""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")
LIMIT = 30.0  # seconds until a wait is a failure


def free_port(low=0):
    with socket.socket() as s:
        s.bind(("127.0.0.1", low))
        return s.getsockname()[1]


def wait_for(what, fn, limit=LIMIT):
    """Waits until fn returns something true and returns it."""
    end = time.monotonic() + limit
    while True:
        got = fn()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.01)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Rig:
    """A directory, a configuration, and margayd processes that run on it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="margay-m.")
        self.bin = os.path.join(self.dir, "bin")
        self.run = os.path.join(self.dir, "run")
        self.state = os.path.join(self.dir, "state")
        self.conf = os.path.join(self.dir, "margay.conf")
        self.log = os.path.join(self.dir, "log")
        self.flag = os.path.join(self.dir, "flag")
        self.sock = os.path.join(self.dir, "margay.sock")
        self.env = {"PATH": os.environ["PATH"], "SECRET_OF_THE_SHELL": "1"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.port = free_port()
        self.options = {}
        self.servers = "[server db1]\naddress = 127.0.0.1:1\nmax_connections = 20\n"
        self.tail = ""
        self.masters = []
        os.mkdir(self.bin)
        for program, name in (("margayd", "margayd"), ("margayctl", "margayctl"),
                              ("t/bin/fakechild", "margay-worker"), ("t/bin/fakechild", "margay-health")):
            shutil.copy(os.path.join(BUILD, program), os.path.join(self.bin, name))
        open(self.flag, "w").close()
        os.chmod(self.dir, 0o755)
        if ROOT:
            os.chown(self.dir, NOBODY.pw_uid, NOBODY.pw_gid)
        self.write()

    def write(self, **options):
        """Writes the configuration; options replace those of [margay]."""
        self.options.update(options)
        values = {"listen": "127.0.0.1:%d, %s" % (self.port, self.sock), "workers": "2", "runtime_dir": self.run,
                  "state_dir": self.state, "drain_timeout": "2s", "max_clients": "500"}
        values.update(self.options)
        text = "[margay]\n" + "".join("%s = %s\n" % i for i in values.items())
        text += self.servers
        text += "[cluster main]\ntopology = standalone\nservers = db1\nmonitor_user = m\nmonitor_password = x\n"
        text += "[user app]\npassword = secret\ncluster = main\n" + self.tail
        with open(self.conf + ".new", "w") as f:
            f.write(text)
        os.chmod(self.conf + ".new", 0o640)
        if ROOT:
            os.chown(self.conf + ".new", NOBODY.pw_uid, NOBODY.pw_gid)
        os.rename(self.conf + ".new", self.conf)

    def misbehave(self, worker=None, health=None):
        if worker:
            self.env["MARGAY_TEST_WORKER"] = worker
        if health:
            self.env["MARGAY_TEST_HEALTH"] = health
        self.env["MARGAY_TEST_FLAG"] = self.flag

    def popen(self, *argv, root=False, **kw):
        if ROOT and not root:
            kw.update(user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[])
        kw.setdefault("env", self.env)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, **kw)

    def call(self, *argv, **kw):
        """(exit code, stdout + stderr)"""
        p = self.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)
        out = p.communicate(timeout=2 * LIMIT)[0]
        return p.returncode, out.decode()

    def margayd(self, *args, **kw):
        """Runs it to its end."""
        return self.call(os.path.join(self.bin, "margayd"), "-c", self.conf, *args, **kw)

    def ctl(self, *args, **kw):
        return self.call(os.path.join(self.bin, "margayctl"), "-c", self.conf, *args, **kw)

    def start(self, *args, wait=True, stderr=None, **kw):
        with open(self.log, "a") as f:
            m = self.popen(os.path.join(self.bin, "margayd"), "-c", self.conf, *args, stdout=f,
                           stderr=stderr or f, start_new_session=True, **kw)
        self.masters.append(m)
        if wait:
            wait_for("a master that serves; log:\n" + self.text(),
                     lambda: m.poll() is not None or self.is_serving())
            if m.returncode is not None:
                raise AssertionError("margayd ended with %d:\n%s" % (m.returncode, self.text()))
        return m

    def is_serving(self):
        """All children ready."""
        code, out = self.ctl("status")
        return code == 0 and "no margayd" not in out and "workers: 2 of 2 ready" in out and "health: ready" in out

    def text(self):
        try:
            with open(self.log) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def logged(self, pattern, count=1):
        return wait_for("'%s' in the log:\n%s" % (pattern, self.text()[-3000:]),
                        lambda: len(re.findall(pattern, self.text())) >= count)

    def processes(self):
        """pid -> argv of all processes whose executable is in our directory."""
        found = {}
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.readlink("/proc/%s/exe" % name).startswith(self.dir + "/"):
                    with open("/proc/%s/cmdline" % name) as f:
                        found[int(name)] = f.read().split("\0")[:-1]
            except OSError:
                pass
        return found

    def worker(self, slot, parent=None):
        for pid, argv in self.processes().items():
            if argv[:3] == ["margay-worker", "--slot", str(slot)]:
                with open("/proc/%d/stat" % pid) as f:
                    if parent is None or int(f.read().rsplit(")", 1)[1].split()[1]) == parent:
                        return pid
        return None

    def ask(self, where=None):
        """A client's connection: (slot, pid) of who served it."""
        where = where or self.port
        s = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        with s:
            s.settimeout(LIMIT)
            s.connect(where if isinstance(where, str) else ("127.0.0.1", where))
            words = s.makefile().read().split()
        return int(words[2]), int(words[3])

    def ends(self, master, limit=LIMIT):
        return master.wait(limit)

    def cleanup(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for m in self.masters:
            m.wait()
            if m.stderr:
                m.stderr.close()
        wait_for("the end of all children", lambda: not self.processes())
        subprocess.call(["umount", "-q", self.state], stderr=subprocess.DEVNULL) if os.path.ismount(self.state) else 0
        shutil.rmtree(self.dir, ignore_errors=True)


class Printer(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0

    def say(self, word, test, text=""):
        print("%s %s %.1fs%s" % (word, test.id().split(".", 1)[-1], time.monotonic() - self.t0, text), flush=True)

    def startTest(self, test):
        self.t0 = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        self.passed += 1
        self.say("ok  ", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.say("FAIL", test, "\n" + self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.say("FAIL", test, "\n" + self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print("skip %s: %s" % (test.id().split(".", 1)[-1], reason), flush=True)


def run_tests(module):
    """Runs the tests of the module, or those named in the arguments; prints one line for each and the sum."""
    tests = unittest.TestLoader()
    if len(sys.argv) > 1:
        suite = tests.loadTestsFromNames(sys.argv[1:], module)
    else:
        suite = tests.loadTestsFromModule(module)
    result = Printer()
    suite.run(result)
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed, %d skipped" % (result.passed, failed, len(result.skipped)))
    return 1 if failed else 0
