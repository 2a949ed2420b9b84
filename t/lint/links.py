#!/usr/bin/python3 -B
"""t/lint/links.py: what each program links is a fact, not an intention: the master runs without the event
library, workers without LMDB, inih and Connector/C. Reads the built programs with ldd."""
import os
import re
import subprocess
import sys

BUILD = os.path.abspath(os.environ.get("top_builddir") or os.getcwd())
MUST_NOT = {
    "margayd": ["libuv", "libmariadb"],
    "margay-worker": ["liblmdb", "libinih", "libmariadb"],
    "margay-health": ["liblmdb", "libinih", "libuv"],
    "margay-stat": ["libuv", "liblmdb", "libmariadb"],
    "margayctl": ["libuv", "liblmdb"],
}
MUST = {"margayd": ["liblmdb", "libinih"], "margay-worker": ["libuv"], "margay-health": ["libmariadb"]}


def main():
    if "lint" in os.environ.get("MARGAY_TEST_SKIP", "").split():
        print("left out\n0 passed, 0 failed, 0 skipped")
        sys.exit(77)
    count = {"ok": 0, "FAIL": 0, "skip": 0}
    for prog in MUST_NOT:
        path, bad = os.path.join(BUILD, prog), []
        if not os.path.exists(path):
            print("skip %s (not built)" % prog)
            count["skip"] += 1
            continue
        libs = set(re.findall(r"^\s*(lib\w+)", subprocess.check_output(["ldd", path], text=True), re.M))
        bad += ["links " + lib for lib in MUST_NOT[prog] if lib in libs]
        bad += ["does not link " + lib for lib in MUST.get(prog, []) if lib not in libs]
        print("%-4s %s%s" % ("FAIL" if bad else "ok", prog, "".join("\n     " + b for b in bad)))
        count["FAIL" if bad else "ok"] += 1
    print("%d passed, %d failed, %d skipped" % (count["ok"], count["FAIL"], count["skip"]))
    sys.exit(1 if count["FAIL"] else 77 if not count["ok"] else 0)


main()
