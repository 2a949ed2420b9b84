"""A part of MariaDB's own suite directly and through Margay (t/mtr/run; the tests are those of t/mtr/subset): fast ones from
many corners of SQL and the protocol. What passes directly must pass through Margay."""
import os
import subprocess
import sys

TOP = os.environ.get("top_srcdir", ".")

if not os.path.exists("/usr/share/mysql/mysql-test/mariadb-test-run.pl"):
    print("SKIPPED: package mariadb-test is not installed (dist/packages.txt)")
    sys.exit(77)
sys.exit(subprocess.call([sys.executable, "-B", TOP + "/t/mtr/run", "--build", os.environ.get("top_builddir", "."),
                          "--list", TOP + "/t/mtr/subset", "-v"]))
