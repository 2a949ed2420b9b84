"""mt_mariadb: real MariaDB servers, one of them in a fraction of a second, alone or as a replication set."""
import os
import re
import shutil
import signal
import subprocess

import pymysql

from mt_base import *

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
                 "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--force",
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
        things.append(self)
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

    def come_back(self, primary):
        """A primary that was killed becomes a replica. What it had not replicated is undone by a copy in real life; here
        there is nothing of the kind, or it is of no account."""
        self.start()
        self.sql("SET GLOBAL read_only=1", "RESET MASTER",
                 "SET GLOBAL gtid_binlog_state='%s'" % primary.one("SELECT @@gtid_binlog_state"),
                 "SET GLOBAL gtid_slave_pos='%s'" % primary.gtid())
        return self.replicate_from(primary)

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


def promote(new, others):
    """As an operator would: the new one has all that the others have; the others follow it."""
    new.promote()
    for s in others:
        s.sql("STOP SLAVE")
        s.replicate_from(new)


def semi_sync(primary, replicas):
    """Nothing that was acknowledged is lost with the primary."""
    for s in (primary, *replicas):
        s.sql("SET GLOBAL rpl_semi_sync_slave_enabled=1")
    for s in replicas:
        s.sql("STOP SLAVE", "START SLAVE")
    primary.sql("SET GLOBAL rpl_semi_sync_master_timeout=600000", "SET GLOBAL rpl_semi_sync_master_wait_point=AFTER_SYNC",
                "SET GLOBAL rpl_semi_sync_master_enabled=1")
    wait_for(lambda: int(primary.status("Rpl_semi_sync_master_clients")) == len(replicas), 20, "semi-synchronous replicas")


def promote_best(replicas):
    """The replica with the most is promoted, after it has applied what it has; returns it and the other."""
    for s in replicas:
        io = s.sql("SHOW SLAVE STATUS")[0]
        got = [x for x in map(str, io) if re.fullmatch(r"\d+-\d+-\d+", x)]
        if got:
            ok(s.one("SELECT MASTER_GTID_WAIT('%s', 20)" % got[0]) == 0, "relay log applied")
    best = max(replicas, key=lambda s: int((s.one("SELECT @@gtid_slave_pos") or "0-0-0").split("-")[-1]))
    rest = [s for s in replicas if s is not best][0]
    promote(best, [rest])
    return best, rest


def outcome(c, sql):
    """All that a client can see of one statement: a list with one entry per result, or the error."""
    out = []
    try:
        with c.cursor() as cur:
            cur.execute(sql)
            while True:
                r = cur._result
                fields = [(f.name, f.type_code, f.length, f.flags, f.charsetnr, f.scale, f.table_name)
                          for f in getattr(r, "fields", None) or []]
                # status: in a transaction, autocommit
                out.append((cur.fetchall(), fields, cur.rowcount, r.insert_id, r.warning_count,
                            (r.server_status or 0) & 3, r.message))
                if not cur.nextset():
                    break
    except pymysql.err.MySQLError as e:
        out.append(("error",) + tuple(e.args))
    return out


def same(direct, proxied, statements, what=""):
    """Runs statements on two connections; everything visible must be equal."""
    for s in statements:
        want, got = outcome(direct, s), outcome(proxied, s)
        if got != want:
            raise Failed("%s %s\n    direct:  %s\n    through: %s" % (what, s[:200], str(want)[:1500], str(got)[:1500]))
