"""statements: the SQL statements in the scripts of mariadb-test, as far as they stand there whole."""
import glob
import re

SUITE = "/usr/share/mysql/mysql-test"
COMMAND = re.compile(
    r"(?:let|eval|echo|connect|connection|disconnect|source|if|while|inc|dec|error|sleep|real_sleep|send|reap|exec|system|perl|"
    r"die|skip|exit|end|require|save_master_pos|sync_with_master|sync_slave_with_master|enable_\w+|disable_\w+|replace_\w+|"
    r"remove_file|write_file|append_file|cat_file|copy_file|move_file|chmod|mkdir|rmdir|list_files|diff_files|query_\w+|"
    r"horizontal_results|vertical_results|sorted_result|partially_sorted_result|lowercase_result|result_format|"
    r"character_set|ping|send_quit|change_user|reset_connection|shutdown_server|send_shutdown|wait_for_slave_to_stop|"
    r"start_timer|end_timer|evalp|remove_files_wildcard|file_exists|send_eval|dirty_close|output|assert|optimizer_trace)\b", re.I)
VERBS = ("SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "VALUES", "(")


def split(text):
    """Statements of one script. Its commands, and statements that use its variables, are left out."""
    delim, at, n, start, quote, fresh = ";", 0, len(text), 0, "", True
    block = re.compile(r"--?\s*(?:perl|write_file|append_file)\b", re.I)
    while at < n:
        if fresh:
            m = re.compile(r"\s+").match(text, at)
            if m:
                at = start = m.end()
                continue
            end = text.find("\n", at)
            end = n if end < 0 else end
            line = text[at:end]
            if line.startswith("#") or line.startswith("--") or line.startswith("}"):
                word = re.match(r"--\s*(\w+)", line)
                if word and word.group(1).lower() in ("perl", "write_file", "append_file"):
                    stop = re.search(r"(\w+)\s*;?\s*$", line).group(1) if word.group(1).lower() != "perl" else "EOF"
                    e = re.compile(r"^(?:%s|EOF)\s*$" % re.escape(stop), re.M).search(text, end)
                    end = e.end() if e else n
                m = re.match(r"--\s*delimiter\s+(\S+)", line, re.I)
                if m:
                    delim = m.group(1)
                at = start = end + 1
                continue
            m = re.match(r"delimiter\s+(\S+?)(?:%s)?\s*$" % re.escape(delim), line, re.I)
            if m:
                delim = m.group(1)
                at = start = end + 1
                continue
            m = re.match(r"(?:perl|write_file|append_file)\b", line, re.I)
            if m:
                stop = "EOF"
                w = re.search(r"(\w+)\s*;?\s*$", line)
                e = re.compile(r"^(?:EOF|%s)\s*$" % re.escape(w.group(1) if w else stop), re.M).search(text, end)
                at = start = (e.end() if e else n) + 1
                continue
            if re.match(r"(?:if|while)\s*\(", line, re.I):
                at = start = end + 1
                continue
            fresh = False
        c = text[at]
        if quote:
            if c == "\\" and quote != "`":
                at += 2
                continue
            if c == quote:
                quote = ""
            at += 1
            continue
        if text.startswith(delim, at):
            s = text[start:at].strip()
            at = start = at + len(delim)
            fresh = True
            if s and not COMMAND.match(s) and "$" not in s:
                yield s
            continue
        if c in "'\"`":
            quote = c
        elif c == "#" or text.startswith("-- ", at):
            at = text.find("\n", at)
            at = n if at < 0 else at
            continue
        elif text.startswith("/*", at):
            e = text.find("*/", at + 2)
            at = n if e < 0 else e + 2
            continue
        at += 1


def of_suite(suite="main"):
    """(file, statement) of every script; each text once."""
    seen = set()
    where = SUITE + ("/main" if suite == "main" else "/suite/%s/t" % suite)
    for path in sorted(glob.glob(where + "/*.test") + glob.glob(where + "/*.inc")):
        with open(path, "rb") as f:
            text = f.read().decode("utf-8", "surrogateescape")
        for s in split(text):
            if s not in seen:
                seen.add(s)
                yield path.rsplit("/", 1)[1], s
