"""A part of MariaDB's own suite directly and through Margay (t/mtr/run; the tests are those of t/mtr/subset): fast ones from
many corners of SQL and the protocol. What passes directly must pass through Margay."""
import os
import subprocess
import sys

from margaytest import left_out

TOP = os.environ.get("top_srcdir", ".")

if left_out():
    print("0 passed, 0 failed, 0 skipped")
    sys.exit(77)
if not os.path.exists("/usr/share/mysql/mysql-test/mariadb-test-run.pl"):
    print("SKIPPED: package mariadb-test is not installed (dist/packages.txt)")
    sys.exit(77)
sys.exit(subprocess.call([sys.executable, "-B", TOP + "/t/mtr/run", "--build", os.environ.get("top_builddir", "."),
                          "--list", TOP + "/t/mtr/subset", "-v"]))
