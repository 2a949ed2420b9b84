#!/usr/bin/python3 -B
"""t/count.py DIR...: adds up what the test programs below build directories reported and prints
"N passed, N failed, N skipped". Understands criterion's synthesis, the line of the same form that the other
programs end with, and, for programs that print neither, the verdict of the test driver. A program that failed
without counting a failure (a crash) counts as one. Exit 1 if anything failed, or if nothing ran at all."""
import os
import re
import sys


def count_log(text, verdict):
    passed = failed = skipped = seen = 0
    for m in re.finditer(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M):
        p, f, s = map(int, m.groups())
        passed, failed, skipped, seen = passed + p, failed + f, skipped + s, 1
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for m in re.finditer(r"Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)", plain):
        _, p, f, c = map(int, m.groups())
        passed, failed, seen = passed + p, failed + f + c, 1
    bad = verdict in ("FAIL", "ERROR", "XPASS")
    if not seen:
        passed, failed, skipped = int(verdict == "PASS"), int(bad), int(verdict == "SKIP")
    elif bad and not failed:
        failed = 1
    return passed, failed, skipped


def count_dirs(dirs):
    total = [0, 0, 0]
    for d in dirs:
        for top, _, names in os.walk(d):
            for n in names:
                if not n.endswith(".trs"):
                    continue
                with open(os.path.join(top, n), errors="replace") as f:
                    v = re.search(r"^:test-result: (\w+)", f.read(), re.M)
                with open(os.path.join(top, n[:-3] + "log"), errors="replace") as f:
                    got = count_log(f.read(), v.group(1) if v else "ERROR")
                total = [a + b for a, b in zip(total, got)]
    return total


if __name__ == "__main__":
    p, f, s = count_dirs(sys.argv[1:])
    print("%d passed, %d failed, %d skipped" % (p, f, s))
    sys.exit(1 if f or not p + s else 0)
