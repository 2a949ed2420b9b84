"""The oracle: several sessions do random things with every kind of session state, in one order, at a server of their own and
through Margay, over few shared connections and with replicas. Every packet of every reply must be equal.

A run is a script made from the seed alone. One that differs is made as short as it goes before it is shown.
    test_oracle.py --seed N      the same scripts again
    make check-oracle            more than 10,000 statements each; MARGAY_ORACLE_STEPS, MARGAY_ORACLE_RUNS
    MARGAY_ORACLE_ALL=1          all kinds of differences of a script, instead of a short script for the first"""
import json

from margaytest import *
import mt_oracle
from mt_oracle import World
from mt_wire import WireClient

STEPS = int(os.environ.get("MARGAY_ORACLE_STEPS") or 2500)
RUNS = int(os.environ.get("MARGAY_ORACLE_RUNS") or 1)
SHRINK = float(os.environ.get("MARGAY_ORACLE_SHRINK") or 60)  # seconds
FIXED = 20261127
REFUSED_AT_MOST = 0.005  # of all statements: never a wrong answer, but a refusal that says why


def setup():
    global world
    world = World()


def shrunk(run, script, at, kind):
    """A shorter script that still differs: halves, quarters, ... are left out as long as that holds."""
    best, end, n = script[:at + 1], time.monotonic() + SHRINK, 2
    while n <= 2 * len(best) and time.monotonic() < end:
        size = max(1, len(best) // n)
        for i in range(0, len(best), size):
            if time.monotonic() > end:
                break
            part = best[:i] + best[i + size:]
            try:
                diff = run(part)
            except Exception:  # not the fault that is looked for
                continue
            if diff and diff.signature() == kind:
                best, n = part[:diff.at + 1], max(2, n - 1)
                break
        else:
            if size == 1:
                break
            n *= 2
    return best


def play(seed, steps, **how):
    gen = mt_oracle.Generator(random.Random(seed), world.sysvars)
    script = gen.script(steps)
    if os.environ.get("MARGAY_ORACLE_ALL"):
        every = []
        world.run(script, go_on=every, **how)
        seen = set()
        for d in every:
            if d.signature() not in seen:
                seen.add(d.signature())
                print("step %d: %s" % (d.at, d.text()))
        note("%d of %d differ, %d refused: %s" % (len(every), world.done, len(world.refused), "; ".join(sorted(set(world.refused)))))
        return
    diff = world.run(script, **how)
    done, refused = world.done, world.refused
    if diff:
        text = diff.text()
        with open(os.path.join(tmp(), "script"), "w") as f:
            json.dump(script[:diff.at + 1], f)
        short = shrunk(lambda s: world.run(s, **how), script, diff.at, diff.signature())
        last = world.run(short, **how)
        fail("seed %d, step %d: %s\n    a short script%s:\n      %s\n%s" % (
            seed, diff.at, text, "" if last else " (did not differ once more)", "\n      ".join(map(mt_oracle.step_text, short)),
            last.text() if last else ""))
    ok(len(refused) <= done * REFUSED_AT_MOST + 2, "%d refusals:\n%s" % (len(refused), "\n".join(sorted(set(refused)))))
    note("seed %d %s: %d statements equal, %d refused%s" % (seed, how, done, len(refused), ": " + "; ".join(sorted(set(refused)))[:600] if refused else ""))


@limit(1500)
def test_session_causal():
    for i in range(RUNS):
        play(args.seed + i, STEPS, causal="session")


@limit(1500)
def test_cluster_causal():
    for i in range(RUNS):
        play(args.seed + 1000 + i, STEPS, causal="cluster")


@limit(600)
def test_fixed_seed():
    play(FIXED, STEPS // 2, causal="session")


@limit(240)
def test_refused_changes():
    """What is left of a session when COM_CHANGE_USER is refused, also when it is for having been refused too often."""
    user = APP[0]
    begin = [[0, "connect", "shop", 45, "classic", user]]
    refused = [[0, "change_user", user, 0, "shop", 83]]
    state = [[0, "query", s] for s in ("SET NAMES latin1", "SET @x = 1", "SET sql_mode = ''", "CREATE TEMPORARY TABLE tt (a INT)", "BEGIN",
                                       "INSERT INTO p0 (v) VALUES (77)")]
    ask = [[0, "query", s] for s in ("SELECT COUNT(*) FROM p0 WHERE v = 77", "SHOW WARNINGS", "SELECT 1 FROM tt", "SHOW WARNINGS",
                                     "SELECT @@collation_connection, @@character_set_client, @@character_set_results, @x, @@sql_mode, DATABASE()")]
    scripts = [begin + state + refused + ask + [[0, "reset_connection"]] + ask,
               begin + refused * 3 + state + [[0, "change_user", user, 1, "other", 33]] + ask + [[0, "reset_connection"]] + ask]
    for i, script in enumerate(scripts):
        diff = world.run(script, causal="session")
        ok(diff is None, "script %d, step %d: %s" % (i, diff.at, diff.text()) if diff else "")
        eq(world.refused, [], i)


def test_charset_behind_a_refused_change():
    """... on threads of the server that a client of another character set had before."""
    user, m = APP[0], world.margay("session")
    world.fresh(m)
    client = lambda port, collation: WireClient("127.0.0.1", port, user, mt_oracle.USERS[user], "shop", collation)  # noqa: E731
    pair = [client(world.alone.port, 45), client(m.port, 45)]
    for c in pair:
        c.change_user(user, "wrong", "shop", 83)
    for _ in range(10):
        for port in [s.port for s in world.db + [world.alone]] * 3:
            client(port, 8).quit()
        for sql in "SELECT COUNT(*) FROM p0", "SHOW WARNINGS":
            alone, through = [c.query_all(sql) for c in pair]
            eq(through, alone, sql)


if __name__ == '__main__':
    main()
