#!/usr/bin/python3 -B
"""t/lint/tree.py: rules about the sources that a compiler does not check: who includes whom, which third-party
header stands behind which file, unique object magics, sizes, and words that do not belong into the tree.
Reads only. One line for each rule, then "N passed, N failed, N skipped"."""
import os
import re
import statistics
import sys

SRC = os.path.abspath(os.environ.get("top_srcdir") or os.path.join(os.path.dirname(__file__), "..", ".."))

FLOOR = {"tbl": 0, "base": 0, "shm": 1, "proto": 1, "parser": 1, "conf": 2, "router": 2, "exec": 2,
         "master": 3, "worker": 3, "health": 3, "admin": 3, "tools": 4, "t": 4, "bench": 4}
# On floor 2, what a directory may see of floor 1; conf sees all of it.
SEES = {"router": {"shm", "parser"}, "exec": {"shm", "parser", "proto"}}
# Third-party headers: pattern -> files that may include it, and how many of each directory at most.
THIRD = [
    (r"uv\.h", r"(worker/ev\.[ch]|(health|admin)/\w+\.[ch])", 2),
    (r"lmdb\.h", r"master/\w+\.c", 1),
    (r"ini\.h", r"conf/\w+\.c", 1),
    (r"mysql\.h|mysql/.*|mariadb/.*", r"(health|tools|t|bench)/.*", None),
    (r"openssl/.*", r"(t/unit/certs\.c|proto/auth(_rsa)?\.c|conf/crypt\.c|(base|worker)/tls\.c)", 2),
    (r"zlib\.h|zstd\.h", r"worker/zip\.c|t/unit/test_worker_zip\.c", 2),
    (r"sodium\.h", r"proto/auth_ed25519\.c", 1),
    (r"criterion/.*", r"t/.*", None),
]
# The pure directories take everything as arguments: no sockets, no clock, no files.
PURE = {"proto", "parser", "router", "exec"}
IMPURE = re.compile(r"(base/clock\.h|sys/socket\.h|netinet/.*|arpa/.*|sys/(epoll|mman|stat|time)\.h|unistd\.h|"
                    r"fcntl\.h|time\.h|poll\.h)$")
PURE_BUT = ("proto/proxyproto.c", "arpa/inet.h")  # for inet_pton, which takes and gives memory
MAX_FILE, MAX_FUNCTION = 1000, 120
# Spelled in two halves, so that this file does not contain them.
WORDS = ["TO" + "DO", "FIX" + "ME", "X" + "XX:", "/wo" + "rk/", "PRIVATE" + " KEY", "HA" + "CK:"]
TEXT = (".c", ".h", ".def", ".am", ".ac", ".py", ".sh", ".md", ".re", ".in", ".txt")


def files():
    for top, dirs, names in os.walk(SRC):
        dirs[:] = sorted(d for d in dirs if not d.startswith((".", "build", "autom4te", "margay-", "__py"))
                         and not os.path.exists(os.path.join(top, d, "config.status")))
        for n in sorted(names):
            p = os.path.relpath(os.path.join(top, n), SRC)
            if n.endswith(TEXT) and n not in ("aclocal.m4", "config.h", "config.h.in"):
                yield p


def read(p):
    with open(os.path.join(SRC, p), errors="replace") as f:
        return f.read()


ALL = {p: read(p) for p in files()}
CODE = {p: s for p, s in ALL.items() if p.endswith((".c", ".h", ".re")) and p != "parser/lex.c"}


def includes(text):
    return re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', text, re.M)


def rule_floors():
    for p, text in CODE.items():
        d = p.split("/")[0]
        for inc in includes(text):
            t = inc.split("/")[0]
            if d not in FLOOR or t not in FLOOR or "/" not in inc or t == d or FLOOR[d] == 4:
                continue
            if FLOOR[t] > FLOOR[d] or (FLOOR[t] == FLOOR[d] and FLOOR[d] > 0):
                yield "%s includes %s, which is not below it" % (p, inc)
            elif d in SEES and FLOOR[t] == 1 and t not in SEES[d]:
                yield "%s includes %s: %s sees %s only" % (p, inc, d, ", ".join(sorted(SEES[d])))
            elif FLOOR[d] == 0 and d == "base" and t not in ("base", "tbl"):
                yield "%s includes %s" % (p, inc)


def rule_bare_includes():
    """Own headers are included by directory, so that the floors can be seen."""
    own = {os.path.basename(p) for p in CODE if p.endswith(".h")}
    for p, text in CODE.items():
        for inc in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M) if not p.startswith("t/") else []:
            if "/" not in inc and inc in own and inc != "config.h":
                yield '%s includes "%s" without its directory' % (p, inc)


def rule_third_party():
    for pattern, allowed, most in THIRD:
        users = {}
        for p, text in CODE.items():
            for inc in includes(text):
                if re.fullmatch(pattern, inc):
                    if not re.fullmatch(allowed, p):
                        yield "%s includes <%s>; only %s may" % (p, inc, allowed)
                    users.setdefault(p.split("/")[0], set()).add(re.sub(r"\.[ch]$", "", p))
        for d, who in users.items():
            if most and len(who) > (1 if d == "worker" else most) and not re.fullmatch("t|bench|tools", d):
                yield "%s stands behind more than one file: %s" % (pattern, ", ".join(sorted(who)))


def rule_pure():
    for p, text in CODE.items():
        if p.split("/")[0] in PURE:
            for inc in includes(text):
                if IMPURE.match(inc) and (p, inc) != PURE_BUT:
                    yield "%s includes %s: %s/ is pure" % (p, inc, p.split("/")[0])


def rule_magics():
    seen = {}
    for p, text in CODE.items():
        for name, num in re.findall(r"^\s*#define\s+(\w*MAGIC\w*)\s+(0x[0-9a-fA-F]+)", text, re.M):
            n = int(num, 16)
            if n in seen and seen[n][0] != name:
                yield "%s in %s has the magic of %s in %s" % (name, p, *seen[n])
            seen[n] = (name, p)


def functions():
    """(file, line, name, lines, text with the comment above) of each function body."""
    for p, text in CODE.items():
        lines, start = text.split("\n"), None
        for i, line in enumerate(lines):
            if line == "{" and i and re.search(r"[)\w]\s*$", lines[i - 1]) and "=" not in lines[i - 1]:
                start = i
            elif line.startswith("}") and start is not None:
                head = start - 1
                while head > 0 and not re.match(r"\w+\(", lines[head]):
                    head -= 1
                m = re.match(r"(\w+)\(", lines[head])
                yield p, start + 1, m.group(1) if m else "?", i - start - 1, "\n".join(
                    lines[max(0, head - 8):start + 4])
                start = None


def rule_function_sizes():
    sizes = sorted(n for p, _, _, n, _ in functions() if p.split("/")[0] not in ("t", "bench"))
    if sizes:
        print("     functions: %d, median %d lines, 95 in 100 at most %d, longest %d" % (
            len(sizes), statistics.median(sizes), sizes[int(len(sizes) * 0.95)], sizes[-1]))
    for p, line, name, n, around in functions():
        if n > MAX_FUNCTION and "/* long:" not in around:
            yield "%s:%d %s has %d lines and no /* long: why */" % (p, line, name, n)


def rule_file_sizes():
    sizes = sorted((t.count("\n"), p) for p, t in ALL.items() if p.endswith((".c", ".h", ".py", ".re")))
    print("     files: %d, median %d lines, longest %s (%d)" % (
        len(sizes), statistics.median(s for s, _ in sizes), sizes[-1][1], sizes[-1][0]))
    for n, p in sizes:
        if n > MAX_FILE:
            yield "%s has %d lines" % (p, n)


def rule_guards():
    for p, text in CODE.items():
        if p.endswith(".h") and p != "shm/abi.h":
            want = "MARGAY_%s_H" % re.sub(r"[^A-Z0-9]", "_", p[:-2].upper())
            if p.startswith("t/"):  # any of ours will do in the tests
                want = (re.findall(r"^#ifndef (MARGAY_\w+_H)$", text, re.M) or [want])[0]
            if "#ifndef %s\n#define %s\n" % (want, want) not in text:
                yield "%s has no guard %s" % (p, want)


def rule_first_paragraph():
    for p, text in CODE.items():
        if not re.match(r"\s*/\*", text):
            yield "%s does not begin with a paragraph that says what it is" % p


def rule_words():
    for p, text in ALL.items():
        for w in WORDS:
            for m in re.finditer(re.escape(w), text):
                yield "%s:%d says %s" % (p, text.count("\n", 0, m.start()) + 1, w)


def rule_counter_and_option_names_once():
    """A row of a table stands once."""
    for table, pattern in (("tbl/options.def", r"^OPT_(\w+)\(\w+, (\w+),"),
                           ("tbl/counters.def", r"^CTR_(\w+)\((\w+),"), ("tbl/errors.def", r"^(ERR)DEF\((\w+),")):
        seen = set()
        for row in re.findall(pattern, ALL.get(table, ""), re.M):
            if row in seen:
                yield "%s: %s %s stands twice" % (table, *row)
            seen.add(row)


def main():
    if "lint" in os.environ.get("MARGAY_TEST_SKIP", "").split():
        print("left out\n0 passed, 0 failed, 0 skipped")
        sys.exit(77)
    failed, rules = 0, [(n[5:], f) for n, f in globals().items() if n.startswith("rule_")]
    for name, rule in rules:
        bad = list(rule())
        print("%-4s %s" % ("FAIL" if bad else "ok", name))
        for b in bad:
            print("     " + b)
        failed += bool(bad)
    print("%d passed, %d failed, 0 skipped" % (len(rules) - failed, failed))
    sys.exit(1 if failed else 0)


main()
