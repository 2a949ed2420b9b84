"""margaytest: starts real MariaDB servers and Margay, and runs test functions over them.

What it owns: one temporary directory and every process started below it; both are gone when the test ends,
however it ends. Servers and Margay run as an unprivileged account, also when the test runs as root.
Nothing here waits for a fixed time: wait_for() polls a condition until a deadline.

A test file defines functions test_*(), optionally setup() and teardown(), and ends with
    if __name__ == '__main__': main()
Run one by hand:  top_builddir=/path/to/build /usr/bin/python3 t/sys/test_basic.py [-k WORD] [--seed N] [-v]
"""
import argparse
import faulthandler
import hashlib
import fcntl
import inspect
import os
import re
import signal
import sys
import time
import traceback

from mt_base import *
from mt_mariadb import *
from mt_margay import *


logs = []  # (name, log) of what has been ended


def _log_sizes():
    return {t.log: os.path.getsize(t.log) for t in things if os.path.exists(t.log)}


def _show_logs(before):
    """What the logs of servers and Margay say since the test began."""
    for t in things[-6:]:
        new = read_text(t.log)[before.get(t.log, 0):].splitlines()
        if not isinstance(t, Margay):
            new = [line for line in new if "[Note]" not in line]
        if new:
            print("  -- log of %s\n%s" % (t.name, "\n".join("     " + line[:300] for line in new[-40:])))
    sys.stdout.flush()


def _end_since(n):
    """What a test started ends with it, however it ended; what setup() started stays."""
    for t in things[n:]:
        if isinstance(t, Margay) and t.proc and (t.proc.alive() or t.old_pids):
            t.kill_all()
        elif isinstance(t, MariaDB):
            t.kill()
    logs.extend((t.name, t.log) for t in things[n:])
    del things[n:]


class _Timeout(Exception):
    pass


def _on_alarm(sig, frame):
    faulthandler.dump_traceback(sys.stdout, all_threads=True)
    raise _Timeout("the test took too long")


def _call(name, fn):
    """Runs one function; returns 'ok', 'FAIL' or 'skip' and prints the line."""
    start, why, before = time.monotonic(), "", _log_sizes()
    there = len(things)
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
    if verdict == "FAIL":
        _show_logs(before)
    if name not in ("setup", "teardown"):
        _end_since(there)
    if verdict != "ok" or name not in ("setup", "teardown"):
        print("%-4s %s (%.1f s)%s" % (verdict, name, time.monotonic() - start, why), flush=True)
    return verdict


def limit(seconds):
    """Decorator: a test that may take longer than two minutes."""
    def deco(fn):
        fn.limit = seconds
        return fn
    return deco


def sanitizer_lines():
    """Reports of sanitizers and panics in the logs of every Margay of this run: each is a failure."""
    return [line for name, log in logs + [(t.name, t.log) for t in things] for line in read_text(log).splitlines()
            if re.search(r"(ERROR: (Address|Leak|Thread)Sanitizer|runtime error:)", line)]


def left_out():
    """./check runs some builds without these tests, or with a few of them."""
    me, only = "t/sys/" + os.path.basename(sys.argv[0]), os.environ.get("MARGAY_TEST_ONLY")
    return "sys" in os.environ.get("MARGAY_TEST_SKIP", "").split() or (only and me not in only.split())


def one_at_a_time():
    """Under make -j: two sets of servers on one small machine would only disturb each other's figures."""
    try:
        lock = open(os.path.join(BUILD, "t", "sys", ".lock"), "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        return lock
    except OSError:
        return None


def main():
    if left_out():
        print("left out\n0 passed, 0 failed, 0 skipped")
        sys.exit(77)
    lock = one_at_a_time()  # noqa: F841  held until the end
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
    become_subreaper()
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
