#!/usr/bin/python3
"""Tests of margayd as a process, with a stand-in for its children; see t/sys/mt_rig.py. Tests that need root
are skipped without it.
"""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from mt_rig import BUILD, LIMIT, NOBODY, ROOT, Rig, alive, free_port, run_tests, wait_for


class MasterTest(unittest.TestCase):
    def setUp(self):
        self.rig = Rig()
        self.addCleanup(self.rig.cleanup)

    def assert_refused(self, where):
        with self.assertRaises((ConnectionRefusedError, FileNotFoundError)):
            self.rig.ask(where)


class Files(MasterTest):
    """What the configuration file and the command line do."""

    def test_check(self):
        r = self.rig
        code, out = r.margayd("-t")
        self.assertEqual((code, "no errors" in out), (0, True), out)
        r.tail = "[user two]\nclutser = main\n[user three]\ncluster = nowhere\n"
        r.write(queue_timeout="5")
        code, out = r.margayd("-t")
        self.assertEqual(code, 78, out)
        for what in ("clutser", "nowhere", "queue_timeout"):
            self.assertRegex(out, r"margay\.conf:\d+: .*" + what)
        self.assertEqual(os.listdir(r.dir).count("run"), 0, "a check must make nothing")

    def test_usage(self):
        margayd = os.path.join(self.rig.bin, "margayd")
        self.assertEqual(self.rig.call(margayd, "--nonsense")[0], 64)
        self.assertEqual(self.rig.call(margayd, "word")[0], 64)
        code, out = self.rig.call(margayd, "--version")
        self.assertEqual((code, out.split()[0]), (0, "margayd"))
        for args in ((), ("drain",), ("dance",), ("status", "now"), ("--timeout", "0", "status")):
            self.assertEqual(self.rig.ctl(*args)[0], 64, args)

    def test_broken_file_at_start(self):
        r = self.rig
        r.write(workers="many")
        code, out = r.margayd()
        self.assertEqual(code, 78)
        self.assertRegex(out, r"margay\.conf:\d+: .*workers")
        self.assertIn("--last-good", out)

    def test_missing_file(self):
        os.unlink(self.rig.conf)
        code, out = self.rig.margayd()
        self.assertEqual(code, 78, out)
        self.assertIn(self.rig.conf, out)

    def test_last_good(self):
        r = self.rig
        r.write()
        m = r.start()
        self.assertEqual(r.ctl("stop")[0], 0)
        self.assertEqual(r.ends(m), 0)
        r.write(queue_timeout="never")
        self.assertEqual(r.margayd()[0], 78)
        r.start("--last-good")
        self.assertRegex(r.text(), r"margay\.conf:\d+: .*queue_timeout")
        code, out = r.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("degraded: runs on the last good configuration", out)
        self.assertIn("generation 2", out)
        self.assertIn(r.ask()[0], (0, 1))
        self.assertEqual(r.ctl("reload")[0], 1)
        r.write(queue_timeout="3s")
        self.assertEqual(r.ctl("reload")[0], 0)
        self.assertNotIn("degraded", r.ctl("status")[1])

    def test_last_good_without_a_record(self):
        self.rig.write(queue_timeout="never")
        code, out = self.rig.margayd("--last-good")
        self.assertEqual(code, 78, out)
        self.assertIn("no configuration was ever recorded", out)

    def test_second_instance(self):
        r = self.rig
        m = r.start()
        code, out = r.margayd()
        self.assertEqual(code, 75, out)
        self.assertIn("pid %d" % m.pid, out)
        self.assertEqual(r.ctl("status")[0], 0)

    def test_address_in_use(self):
        r = self.rig
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            r.port = s.getsockname()[1]
            r.write()
            code, out = r.margayd()
        self.assertEqual(code, 1, out)
        self.assertIn("127.0.0.1:%d: Address already in use" % r.port, out)

    def test_encrypt(self):
        r = self.rig
        key = os.path.join(r.dir, "key")
        self.assertEqual(r.ctl("encrypt", "--new-key", key)[0], 0)
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        self.assertEqual(r.ctl("encrypt", "--new-key", key)[0], 1, "an existing key was overwritten")
        p = r.popen(os.path.join(r.bin, "margayctl"), "-c", r.conf, "encrypt", "--key", key,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        p.communicate()  # standard input is empty
        self.assertEqual(p.returncode, 1)
        kw = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []} if ROOT else {}
        out = subprocess.run([os.path.join(r.bin, "margayctl"), "-c", r.conf, "encrypt", "--key", key],
                             input=b"s3cret\n", stdout=subprocess.PIPE, check=True, **kw).stdout.decode()
        self.assertTrue(out.startswith("{aes}"), out)
        r.tail = "[user two]\ncluster = main\npassword = %s" % out
        r.write(key_file=key)
        self.assertEqual(r.margayd("-t")[0], 0)


class Life(MasterTest):
    """Coming up, going down, what children see."""

    def test_start_and_stop(self):
        r = self.rig
        code, out = r.ctl("status")
        self.assertEqual(code, 3, out)
        self.assertIn("no margayd runs", out)
        m = r.start()
        for where in (r.port, r.sock):
            self.assertIn(r.ask(where)[0], (0, 1))
        self.assertEqual(os.stat(r.sock).st_mode & 0o777, 0o666)
        self.assertEqual(os.stat(os.path.join(r.run, "margay.ctl")).st_mode & 0o777, 0o660)
        self.assertEqual(os.stat(r.state).st_mode & 0o777, 0o700)
        self.assertEqual(r.ctl("stop")[0], 0)
        self.assertEqual(r.ends(m), 0)
        self.assertEqual(r.processes(), {})
        self.assert_refused(r.port)
        self.assert_refused(r.sock)
        self.assertEqual(r.ctl("status")[0], 3)
        left = sorted(n.split(".")[0] for n in os.listdir(r.run))
        self.assertEqual(left, ["auth", "current", "lock", "pool"])

    def test_restart_at_once(self):
        """`margayctl stop` returns when the next one may start."""
        r = self.rig
        for epoch in (1, 2, 3):
            m = r.start()
            self.assertIn("epoch %d" % epoch, r.ctl("status")[1])
            self.assertEqual(r.ctl("stop")[0], 0)
            r.ends(m)

    def test_what_children_inherit(self):
        r = self.rig
        r.env["MARGAY_TEST_NOTHING"] = "1"
        m = r.start()
        for pid in [p for p, argv in r.processes().items() if argv[0] != os.path.join(r.bin, "margayd")]:
            with open("/proc/%d/environ" % pid) as f:
                names = {v.split("=")[0] for v in f.read().split("\0") if v}
            self.assertIn("MARGAY_TEST_NOTHING", names)
            self.assertNotIn("SECRET_OF_THE_SHELL", names)
            self.assertEqual(os.getpgid(pid), pid, "Ctrl-C would reach it")
            self.assertEqual(os.readlink("/proc/%d/fd/0" % pid), "/dev/null")
            for fd in os.listdir("/proc/%d/fd" % pid):
                self.assertNotIn(os.readlink("/proc/%d/fd/%s" % (pid, fd)), (r.log, os.path.join(r.run, "lock")))
        os.killpg(m.pid, signal.SIGINT)
        self.assertEqual(r.ends(m), 0)
        self.assertNotIn("killed by signal", r.text())

    def test_start_fails_with_the_childs_code(self):
        for code in (76, 78):
            with self.subTest(code):
                self.rig.misbehave(worker="exit=%d" % code)
                got, out = self.rig.margayd()
                self.assertEqual(got, code, out)
                self.assertIn("exit code %d" % code, out)
                self.assertEqual(self.rig.processes(), {})

    def test_stop_is_bounded(self):
        r = self.rig
        r.misbehave(worker="undrained,only=0")
        r.write(drain_timeout="200ms")
        m = r.start()
        m.send_signal(signal.SIGTERM)
        r.logged("still there, gets signal 15")
        self.assertEqual(r.ends(m), 0)
        self.assertEqual(r.processes(), {})

    def test_second_stop_hurries(self):
        r = self.rig
        r.misbehave(worker="undrained,only=0")
        r.write(drain_timeout="1h")
        m = r.start()
        m.send_signal(signal.SIGTERM)
        r.logged("stopping: sessions get 3600000 ms")
        self.assertEqual(r.ctl("status")[0], 1)
        m.send_signal(signal.SIGTERM)
        self.assertEqual(r.ends(m), 0)

    def test_notify(self):
        r = self.rig
        path = os.path.join(r.dir, "notify")
        got = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            os.chmod(path, 0o666)
            s.settimeout(LIMIT)

            def until(what):
                while True:
                    msg = s.recv(4096).decode()
                    got.append(msg)
                    if re.search(what, msg):
                        return msg

            r.env["NOTIFY_SOCKET"] = path
            r.env["WATCHDOG_USEC"] = "200000"
            r.misbehave(health="mute")
            m = r.start(wait=False)
            until("STATUS=serving: 2 of 2 workers, health not ready")
            until("WATCHDOG=1")
            until("WATCHDOG=1")
            self.assertFalse([g for g in got if "READY=1" in g], "READY before health is ready")
            os.unlink(r.flag)
            os.kill(next(p for p, a in r.processes().items() if a[0] == "margay-health"), signal.SIGKILL)
            until("^READY=1")
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            r.write(queue_timeout="3s")
            m.send_signal(signal.SIGHUP)
            msg = until("^RELOADING=1")
            stamp = int(re.search(r"MONOTONIC_USEC=(\d+)", msg).group(1))
            self.assertLessEqual(before, stamp)
            until("^READY=1")
            r.write(queue_timeout="never")
            m.send_signal(signal.SIGHUP)
            until("^RELOADING=1")
            until("^READY=1")
            m.send_signal(signal.SIGTERM)
            until("^STOPPING=1")
        self.assertEqual(r.ends(m), 0)

    def test_kill_9_of_the_master(self):
        r = self.rig
        m = r.start()
        old = {r.worker(0), r.worker(1)}
        m.kill()
        m.wait()
        self.assertIn(r.ask()[1], old)
        code, out = r.ctl("status")
        self.assertEqual(code, 0, out)
        self.assertIn("2 workers of epoch 1 go on serving", out)
        self.assertEqual(r.ctl("reload")[0], 3)
        failures, stop, asked = [], threading.Event(), [0]

        def hammer(where):
            while not stop.is_set():
                try:
                    r.ask(where)
                    asked[0] += 1
                except (ConnectionRefusedError, FileNotFoundError, IndexError) as e:
                    failures.append((where, e))

        threads = [threading.Thread(target=hammer, args=(r.sock,))]
        for t in threads:
            t.start()
        try:
            m2 = r.start()
            wait_for("the end of the old workers", lambda: not any(alive(p) for p in old))
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(failures, [])
        self.assertGreater(asked[0], 0)
        self.assertIn("epoch 2", r.ctl("status")[1])
        r.logged(r"of epoch 1 has ended", 3)
        wait_for("the old directory's end", lambda: not os.path.exists(os.path.join(r.run, "e1")))
        self.assertNotIn(r.ask()[1], old)
        wait_for("the end of elders in status", lambda: "earlier epochs" not in r.ctl("status")[1])
        self.assertEqual(r.ctl("stop")[0], 0)
        self.assertEqual(r.ends(m2), 0)

    def test_cells_of_elders_come_back(self):
        r = self.rig
        m = r.start()
        m.kill()
        m.wait()
        victim = r.worker(0)
        os.kill(victim, signal.SIGKILL)
        wait_for("the victim's end", lambda: not alive(victim))
        r.start()
        self.assertRegex(r.text(), r"1 server connections of dead processes are to be taken back")

    def test_failed_successor_leaves_elders_serving(self):
        r = self.rig
        m = r.start()
        old = {r.worker(0), r.worker(1)}
        m.kill()
        m.wait()
        r.misbehave(worker="exit=78")
        code, out = r.margayd()
        self.assertEqual(code, 78, out)
        for where in (r.sock, r.port):
            self.assertIn(r.ask(where)[1], old)
        r.write(workers="many")
        self.assertEqual(r.margayd()[0], 78)
        self.assertIn(r.ask(r.sock)[1], old)
        self.assertIn("go on serving", r.ctl("status")[1])
        os.unlink(r.flag)
        r.write(workers="2")
        r.start()
        wait_for("the end of the old workers", lambda: not any(alive(p) for p in old))
        for where in (r.sock, r.port):
            self.assertNotIn(r.ask(where)[1], old)

    def test_stop_ends_elders_too(self):
        """Workers of a dead master must not serve on after a stop, even when ours never came up."""
        r = self.rig
        m = r.start()
        m.kill()
        m.wait()
        r.misbehave(worker="mute")
        m = r.start(wait=False)
        r.logged("worker/0.* of epoch 1 still runs")
        wait_for("the control socket", lambda: r.ctl("status")[0] == 1)
        m.send_signal(signal.SIGTERM)
        self.assertEqual(r.ends(m), 0)
        wait_for("the end of all", lambda: not r.processes())


class Reload(MasterTest):
    def test_good(self):
        r = self.rig
        m = r.start()
        other = free_port()
        r.servers = r.servers.replace("max_connections = 20", "max_connections = 30")
        r.write(listen="127.0.0.1:%d" % other)
        code, out = r.ctl("reload")
        self.assertEqual(code, 0, out)
        self.assertIn("generation 2", out)
        self.assertIn(r.ask(other)[0], (0, 1))
        self.assert_refused(r.port)
        self.assert_refused(r.sock)
        self.assertRegex(r.text(), r"\[server db1\] max_connections: 20 -> 30")
        del r.options["listen"]
        r.write()
        m.send_signal(signal.SIGHUP)
        r.logged("reloaded: generation 3")
        self.assertIn(r.ask(r.sock)[0], (0, 1))
        self.assert_refused(other)

    def test_bad_file(self):
        r = self.rig
        m = r.start()
        r.tail = "[user two]\nclutser = main\n[user three]\ncluster = nowhere\n"
        r.write()
        code, out = r.ctl("reload")
        self.assertEqual(code, 1)
        for text in (out, r.text()):
            self.assertRegex(text, r"margay\.conf:\d+: .*clutser")
            self.assertRegex(text, r"margay\.conf:\d+: .*nowhere")
        self.assertIn("generation 1 stays", out)
        code, out = r.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("degraded: the last reload failed", out)
        m.send_signal(signal.SIGHUP)
        r.logged("reload failed: generation 1 stays in force", 2)
        r.tail = ""
        r.write()
        self.assertEqual(r.ctl("reload")[0], 0)
        self.assertNotIn("degraded", r.ctl("status")[1])

    def test_listen_that_cannot_be(self):
        r = self.rig
        r.start()
        other = free_port()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            taken = s.getsockname()[1]
            r.write(listen="127.0.0.1:%d, 127.0.0.1:%d" % (other, taken))
            code, out = r.ctl("reload")
        self.assertEqual(code, 1)
        self.assertIn("127.0.0.1:%d: Address already in use" % taken, out)
        self.assertIn(r.ask()[0], (0, 1))
        self.assertIn(r.ask(r.sock)[0], (0, 1))
        self.assert_refused(other)

    def test_option_that_needs_a_restart(self):
        r = self.rig
        r.start()
        r.write(workers="1")
        code, out = r.ctl("reload")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"workers.*restart")
        self.assertIn("2 of 2 ready", r.ctl("status")[1])
        self.assertIn("1 changed options wait for a restart", r.ctl("status")[1])

    def test_child_that_refuses(self):
        r = self.rig
        r.misbehave(worker="refuse=2,only=1")
        r.start()
        code, out = r.ctl("reload")
        self.assertEqual(code, 0)
        self.assertIn("refused generation 2", out)
        r.logged("worker/1.*cannot adopt generation 2")
        self.assertIn("degraded: worker/1 refused generation 2", r.ctl("status")[1])
        self.assertEqual(r.ctl("reload")[0], 0)
        self.assertNotIn("degraded", r.ctl("status")[1])

    def test_child_that_is_late(self):
        r = self.rig
        r.misbehave(worker="slow,only=1")
        r.start()
        code, out = r.ctl("reload")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"worker/1\[\d+\] has not adopted generation 2 yet")
        self.assertEqual(r.ctl("status")[0], 0)

    def test_nothing_leaks(self):
        r = self.rig
        # AddressSanitizer keeps what was freed for a while: not for this test.
        r.env["ASAN_OPTIONS"] = r.env.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
        m = r.start()

        def fds():
            return len(os.listdir("/proc/%d/fd" % m.pid))

        def rss():
            with open("/proc/%d/smaps_rollup" % m.pid) as f:
                return int(re.search(r"Rss:\s+(\d+)", f.read()).group(1))

        before, memory = 0, 0
        for i in range(80):
            r.write(queue_timeout="never" if i % 4 == 3 else "%ds" % (i + 1), listen="127.0.0.1:%d" % r.port if i % 2
                    else "127.0.0.1:%d, %s" % (r.port, r.sock))
            self.assertEqual(r.ctl("reload")[0], int(i % 4 == 3))
            if i == 15:
                before, memory = fds(), rss()
        self.assertEqual(fds(), before)
        self.assertLess(rss(), memory + 1024)

    def test_many_at_once(self):
        """Each caller gets the result of a reading that began after it asked; good and bad ones alternate."""
        r = self.rig
        r.start()
        results = []
        threads = [threading.Thread(target=lambda: results.append(r.ctl("reload")[0])) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [0] * 12)
        for i in range(10):
            r.write(queue_timeout="never" if i % 2 else "%ds" % (i + 1))
            self.assertEqual(r.ctl("reload")[0], i % 2)
        self.assertEqual(r.ctl("status")[0], 0)


class Children(MasterTest):
    def test_kill_9_of_a_worker(self):
        r = self.rig
        m = r.start()
        self.assertEqual(r.ctl("reload")[0], 0)
        victim, other = r.worker(0), r.worker(1)
        os.kill(victim, signal.SIGKILL)
        r.logged(r"worker/0\[%d\]: killed by signal 9 \(KILL\); 1 server connections" % victim)
        wait_for("the successor", r.is_serving)
        self.assertEqual(r.worker(1), other)
        self.assertNotEqual(r.worker(0), victim)
        # The successor was given the published generation, and the sockets of its slot.
        r.logged(r"worker/0\[%d\]" % victim)
        seen = set()
        wait_for("both workers answering", lambda: seen.add(r.ask()[0]) or seen == {0, 1})
        self.assertEqual(m.poll(), None)

    def test_queue_survives_a_crash(self):
        """Connections that wait in the slot's accept queue while its worker is dead are served by the next."""
        r = self.rig
        r.write(respawn_min="900ms")
        r.start()
        os.kill(r.worker(0), signal.SIGKILL)
        os.kill(r.worker(1), signal.SIGKILL)
        for _ in range(20):
            self.assertIn(r.ask()[0], (0, 1))

    def test_panic_text(self):
        r = self.rig
        r.misbehave(worker="panic,only=1")
        r.start(wait=False)
        r.logged(r"err master.*worker/1\[\d+\]: panic at .*fakechild.c.*asked to panic")
        r.logged(r"worker/1\[\d+\]: killed by signal 6 \(ABRT\)")
        os.unlink(r.flag)
        wait_for("recovery", r.is_serving)

    def test_kill_9_of_health(self):
        r = self.rig
        r.start()
        pid = next(p for p, a in r.processes().items() if a[0] == "margay-health")
        os.kill(pid, signal.SIGKILL)
        r.logged(r"health\[%d\]: killed by signal 9" % pid)
        wait_for("the successor", r.is_serving)

    def test_hang(self):
        r = self.rig
        r.misbehave(worker="hang,only=0")
        r.write(hang_timeout="1s")
        r.start(wait=False)
        r.logged(r"worker/0\[\d+\]: no sign of life for \d+ ms, is aborted")
        r.logged(r"worker/0\[\d+\]: killed by signal 6 \(ABRT\)")
        os.unlink(r.flag)
        wait_for("recovery", r.is_serving)
        self.assertNotRegex(r.text(), r"worker/1\[\d+\]: no sign")

    def test_hang_of_a_stopped_process(self):
        """SIGSTOP: SIGABRT waits, SIGKILL does not."""
        r = self.rig
        r.write(hang_timeout="1s")
        r.start()
        pid = r.worker(1)
        os.kill(pid, signal.SIGSTOP)
        r.logged(r"worker/1\[%d\]: did not abort, is killed" % pid)
        wait_for("recovery", r.is_serving)

    def test_throttle_and_takeover(self):
        r = self.rig
        os.unlink(r.flag)
        r.misbehave(worker="exit=1,only=1")
        r.write(respawn_min="600ms", respawn_max="60s")
        r.start()
        open(r.flag, "w").close()
        os.kill(r.worker(1), signal.SIGKILL)
        # 600 ms, then 1,200 ms: longer than a second, so the queue goes to the other worker.
        r.logged(r"worker/1: its listening sockets are drained by worker/0")
        r.logged(r"worker/0.*takes over 1 sockets")
        self.assertIn("degraded: worker/1 is down", r.ctl("status")[1])
        for _ in range(20):
            self.assertEqual(r.ask()[0], 0)
        r.logged(r"worker/1: next start in 2400 ms")
        self.assertEqual(r.ctl("reload")[0], 0)
        os.unlink(r.flag)
        wait_for("recovery", r.is_serving)
        seen = set()
        wait_for("both workers answering", lambda: seen.add(r.ask()[0]) or seen == {0, 1})

    def test_stop_code_after_start_is_throttled(self):
        r = self.rig
        os.unlink(r.flag)
        r.misbehave(worker="exit=78,only=1")
        m = r.start()
        open(r.flag, "w").close()
        os.kill(r.worker(1), signal.SIGKILL)
        r.logged("worker/1.*exit code 78", 3)
        self.assertEqual(m.poll(), None)
        self.assertEqual(r.ctl("status")[0], 0)

    def test_no_worker(self):
        r = self.rig
        r.misbehave(worker="mute")
        r.start(wait=False)
        wait_for("an answer", lambda: r.ctl("status")[0] == 1)
        self.assertIn("not serving", r.ctl("status")[1])


class Admin(MasterTest):
    def test_drain_is_remembered(self):
        r = self.rig
        m = r.start()
        self.assertEqual(r.ctl("drain", "nobody")[0], 1)
        self.assertEqual(r.ctl("drain", "db1")[0], 0)
        r.logged(r"(worker|health).* message 6", 3)  # LINK_ADMIN

        def drained():
            return ", drained" in r.ctl("status")[1]

        self.assertTrue(drained())
        self.assertEqual(r.ctl("reload")[0], 0)
        self.assertTrue(drained())
        os.kill(r.worker(0), signal.SIGKILL)
        r.logged("killed by signal 9")
        wait_for("the successor", r.is_serving)
        self.assertTrue(drained())
        m.kill()
        m.wait()
        m = r.start()
        self.assertTrue(drained())
        self.assertEqual(r.ctl("online", "db1")[0], 0)
        self.assertFalse(drained())
        self.assertEqual(r.ctl("stop")[0], 0)
        r.ends(m)
        r.start()
        self.assertFalse(drained())

    def test_stuck_and_hostile_clients(self):
        r = self.rig
        r.start()
        path = os.path.join(r.run, "margay.ctl")
        held = []
        for data in (b"", b"sta", b"x" * 300, b"\0\0\0\n", b"drain " + b"y" * 200 + b"\n", b"\xff\xfe\n"):
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            if data:
                s.send(data)
            held.append(s)
        self.assertEqual(r.ctl("status")[0], 0)
        self.assertEqual(r.ctl("reload")[0], 0)
        for s in held:
            s.settimeout(LIMIT)
            try:
                while s.recv(1000):  # each is answered or dropped in bounded time
                    pass
            except ConnectionResetError:
                pass
            s.close()
        self.assertEqual(r.ctl("status")[0], 0)

    def test_too_many_clients(self):
        r = self.rig
        r.start()
        path = os.path.join(r.run, "margay.ctl")
        held = []
        for _ in range(16):
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            held.append(s)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LIMIT)
            s.connect(path)
            self.assertIn(b"too many", s.recv(100))
        for s in held:
            s.close()
        wait_for("an answer", lambda: r.ctl("status")[0] == 0)

    @unittest.skipUnless(ROOT, "needs root")
    def test_members_of_the_group_may_look_only(self):
        r = self.rig
        r.start()
        as_other = {"user": 12345, "group": NOBODY.pw_gid, "extra_groups": [], "root": True}
        os.chmod(r.conf, 0o644)
        self.assertEqual(r.ctl("status", **as_other)[0], 0)
        for verb in (("reload",), ("stop",), ("drain", "db1"), ("rotate",)):
            code, out = r.ctl(*verb, **as_other)
            self.assertEqual(code, 64, out)
            self.assertIn("only root and the service account", out)
        code, out = r.ctl("status", user=12345, group=12345, extra_groups=[], root=True)
        self.assertEqual(code, 1)
        self.assertIn("Permission denied", out)
        self.assertEqual(r.ctl("status", root=True)[0], 0)


class Logs(MasterTest):
    def test_file_and_rotation(self):
        r = self.rig
        path, moved = os.path.join(r.dir, "file.log"), os.path.join(r.dir, "file.log.1")

        def lines(name):
            with open(name) as f:
                return f.read()

        r.write(log=path)
        m = r.start()
        os.rename(path, moved)
        self.assertEqual(r.ctl("rotate")[0], 0)
        self.assertEqual(r.ctl("drain", "db1")[0], 0)
        wait_for("the new file", lambda: "drained by margayctl" in lines(path) and "worker/1" in lines(path))
        self.assertNotIn("drained by margayctl", lines(moved))
        self.assertRegex(lines(path).splitlines()[0], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z notice master\[")
        os.rename(path, moved)
        m.send_signal(signal.SIGUSR1)
        wait_for("the file", lambda: os.path.exists(path))
        self.assertEqual(r.ctl("online", "db1")[0], 0)
        wait_for("the line", lambda: "online again" in lines(path))
        # A place that cannot be written fails the reload and changes nothing.
        r.write(log=os.path.join(r.dir, "no", "such"))
        code, out = r.ctl("reload")
        self.assertEqual(code, 1)
        self.assertIn("No such file", out)
        self.assertIn("reload failed", lines(path))
        r.write(log="stderr")
        self.assertEqual(r.ctl("reload")[0], 0)
        r.logged("reloaded: generation 2")

    def test_journal_prefix(self):
        r = self.rig
        a, b = socket.socketpair()
        with a, b:
            st = os.fstat(b.fileno())
            r.env["JOURNAL_STREAM"] = "%d:%d" % (st.st_dev, st.st_ino)
            r.start(stderr=b)
            a.settimeout(LIMIT)
            text = ""
            while "serving: 2 workers" not in text:
                text += a.recv(65536).decode()
            self.assertRegex(text, r"(?m)^<5>master\[\d+\] gen=1 serving: 2 workers")

    def test_noise_and_library_output(self):
        r = self.rig
        r.misbehave(worker="noisy,only=0")
        r.start()
        r.logged("worker/0.* noise 199")
        r.logged(r"warn worker/0\[\d+\] output: a line of a library")
        r.logged(r"output: without   level")

    def test_stderr_that_nobody_reads(self):
        r = self.rig
        r.misbehave(worker="noisy")
        rd, wr = os.pipe()
        try:
            m = r.start(stderr=wr)
            os.close(wr)
            for _ in range(200):
                m.send_signal(signal.SIGUSR2)
            for _ in range(10):
                self.assertEqual(r.ctl("reload")[0], 0)
            os.close(rd)
            rd = -1
            self.assertEqual(r.ctl("reload")[0], 0)
            self.assertEqual(r.ctl("stop")[0], 0)
            self.assertEqual(r.ends(m), 0)
        finally:
            if rd >= 0:
                os.close(rd)

    def test_full_disk(self):
        r = self.rig
        r.write(log="/dev/full")
        m = r.start()
        self.assertIn(r.ask()[0], (0, 1))
        self.assertEqual(r.ctl("stop")[0], 0)
        self.assertEqual(r.ends(m), 0)


class State(MasterTest):
    def test_state_dir_that_cannot_be_used(self):
        r = self.rig
        r.write(state_dir="/proc/nowhere")
        r.start()
        r.logged("state_dir cannot be used: /proc/nowhere.*going on without a record")
        code, out = r.ctl("status")
        self.assertEqual(code, 0)
        self.assertIn("degraded: state_dir cannot be used", out)
        self.assertEqual(r.ctl("reload")[0], 0)
        code, out = r.ctl("drain", "db1")
        self.assertEqual(code, 0)
        self.assertIn("a restart will forget it", out)

    @unittest.skipUnless(ROOT, "needs root")
    def test_full_state_dir(self):
        r = self.rig
        os.mkdir(r.state)
        if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=128k,mode=0777", "none", r.state],
                           stderr=subprocess.DEVNULL) != 0:
            self.skipTest("no tmpfs can be mounted here")
        m = r.start()
        filler = os.path.join(r.state, "filler")
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        r.tail = "".join("[user u%d]\npassword = secret\ncluster = main\n" % i for i in range(200))
        r.write()
        code, out = r.ctl("reload")
        self.assertEqual(code, 0, out)
        self.assertIn("No space left", out)
        self.assertIn("in force but not recorded", out)
        self.assertIn("degraded: state_dir cannot be written", r.ctl("status")[1])
        self.assertEqual(r.ctl("stop")[0], 0)
        self.assertEqual(r.ends(m), 0)
        # Full at the start: serves without a record.
        os.unlink(os.path.join(r.state, "margay.mdb"))
        with open(filler, "ab", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        m = r.start()
        self.assertIn("degraded: state_dir cannot be", r.ctl("status")[1])
        os.unlink(filler)
        self.assertEqual(r.ctl("stop")[0], 0)
        self.assertEqual(r.ends(m), 0)

    @unittest.skipUnless(ROOT, "needs root")
    def test_full_runtime_dir(self):
        r = self.rig
        os.mkdir(r.run)
        if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "none", r.run],
                           stderr=subprocess.DEVNULL) != 0:
            self.skipTest("no tmpfs can be mounted here")
        try:
            code, out = r.margayd()
            self.assertEqual(code, 1)
            self.assertIn("no room in the file system", out)
        finally:
            subprocess.call(["umount", r.run])


class Service(MasterTest):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")
    def test_unit_file(self):
        r = self.rig
        with open(os.path.join(BUILD, "dist/margay.service")) as f:
            text = f.read()
        self.assertNotIn("@sbindir@", text)
        text, n = re.subn(r"=\S+/(margayd|margayctl) -c", lambda m: "=%s/%s -c" % (r.bin, m.group(1)), text)
        self.assertEqual(n, 2)
        unit = os.path.join(r.dir, "margay.service")
        with open(unit, "w") as f:
            f.write(text)
        code, out = r.call("systemd-analyze", "verify", "--man=no", unit, root=True)
        self.assertEqual((code, out), (0, ""))


@unittest.skipUnless(ROOT, "needs root")
class Root(MasterTest):
    def test_no_account(self):
        code, out = self.rig.margayd(root=True)
        try:
            pwd.getpwnam("margay")
        except KeyError:
            self.assertEqual(code, 78, out)
            self.assertIn("useradd --system margay", out)
        self.rig.write(user="root")
        code, out = self.rig.margayd(root=True)
        self.assertEqual(code, 78, out)
        self.assertIn("does not serve as root", out)

    def test_changes_to_the_account(self):
        r = self.rig
        low = next(p for p in range(600, 1000) if self.port_is_free(p))
        os.chown(r.dir, 0, 0)
        os.mkdir(os.path.join(r.dir, "socks"))
        os.chown(os.path.join(r.dir, "socks"), NOBODY.pw_uid, -1)
        r.write(user="nobody", listen="127.0.0.1:%d, %s/socks/s" % (low, r.dir), runtime_dir=r.run)
        m = r.start(root=True)
        for pid in r.processes():
            with open("/proc/%d/status" % pid) as f:
                status = f.read()
            self.assertRegex(status, r"(?m)^Uid:(\s+%d){4}$" % NOBODY.pw_uid)
            self.assertRegex(status, r"(?m)^Gid:(\s+%d){4}$" % NOBODY.pw_gid)
            self.assertRegex(status, r"(?m)^NoNewPrivs:\s+1$")
            caps = int(re.search(r"CapPrm:\s+(\S+)", status).group(1), 16)
            self.assertEqual(caps, 1 << 10 if pid == m.pid else 0)
        self.assertEqual(os.stat(r.run).st_uid, NOBODY.pw_uid)
        self.assertEqual(os.stat(r.state).st_uid, NOBODY.pw_uid)
        self.assertIn(r.ask(low)[0], (0, 1))
        # A slot's socket can be bound again, as the same user.
        self.assertEqual(r.ctl("reload")[0], 0)

    def test_file_that_only_root_may_read(self):
        r = self.rig
        r.write(user="nobody")
        os.chown(r.conf, 0, 0)
        os.chmod(r.conf, 0o600)
        code, out = r.margayd(root=True)
        self.assertEqual(code, 78)
        self.assertIn("must be able to read it, as it does at each reload", out)

    @staticmethod
    def port_is_free(port):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return True
            except OSError:
                return False


if __name__ == "__main__":
    sys.exit(run_tests(sys.modules[__name__]))
