"""The places, the mutants and the log of tests/mutation.sh, whose head says the rules."""
import os
import random
import re
import resource
import subprocess
import sys
import time
import zlib

HEADER, OUT, EQUIVALENT = "bnn.h", "build/mutation", "tests/mutation_equivalent.txt"
# Sections of mathematics, by their tags
SECTIONS = """primitives math philox passes meanfield's gemm patches mat special rng tape ops elementwise
    broadcast reductions rows noise images sequences losses kl simplex params net check steppers hmc nuts
    ensemble swag meanfield predict moments metrics diagnostics judge gaussian laplace evidence drop
    structure distill soft fit""".split()
# A statement with one of these is plumbing: an error, a note, memory, a sentence
PLUMBING = re.compile(r'fail\(|note|alloc|sizeof|"|ASSERT|BNN_E[A-Z]|memcpy|memset|bnn__floats|scratch')
OPERATORS = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "<": "<=", "<=": "<", ">": ">=",
             ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&", "&": "|", "|": "&",
             "<<": ">>", ">>": "<<", "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*="}
OPERATOR = re.compile(r"(?<=[\w)\]] )(" + "|".join(
    re.escape(o) for o in sorted(OPERATORS, key=len, reverse=True)) + r")(?=[ \n])")
NUMBER = re.compile(r"(?<![\w.#])(0x[0-9a-fA-F]+|\d+\.?\d*(?:e[+-]?\d+)?)(?=[uUfFlL]*\b|\W)")
SIGN = re.compile(r"(?<=[=(,?:n] |.[(,\[])-(?=[\w(])|(?<=\))-(?=[\d])")
INDEX = re.compile(r"(?<=\[)[a-z_]\w*(?=\])")
DECLARED = re.compile(r"(?<=\w)\[[A-Z_0-9 +*/-]+\](?=\s*(?:,|=|$))")


def blank(text):
    """Comments, strings and characters as blanks, the same length."""
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'',
                  lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


def digit(number):
    """The first digit that counts, or the whole of an integer, one up."""
    if number.startswith("0x"):
        return number[:-1] + "%x" % ((int(number[-1], 16) + 1) % 16)
    if number.isdigit():
        return str(int(number) + 1)
    at = re.search(r"[1-9]", number)
    if at is None or re.match(r"[0.]*e", number):
        return "1.0"
    d = "8" if at.group() == "9" else str(int(at.group()) + 1)
    return number[:at.start()] + d + number[at.end():]


def section_of_lines(lines):
    """For every line the section of mathematics it is in, or None."""
    tags, now, on = [], None, False
    for line in lines:
        on = on or line.startswith("#if defined(BNN_IMPLEMENTATION)")
        m = re.match(r"(?:/| )\* >>([a-z]+(?:'s)?)", line)
        if on and m:
            now = m.group(1) if m.group(1) in SECTIONS else None
        tags.append(now)
    return tags


def places(text):
    """(offset, old, new, kind) of all that can be flipped, in the order of the text."""
    code, found = blank(text), []
    begin = [0]
    for m in re.finditer(r"\n", text):
        begin.append(m.end())
    tags = section_of_lines(text.split("\n"))
    code = re.sub(r"\\\n", " \n", code)
    code = re.sub(r"^([ \t]*#[ \t]*define[ \t]+\w+(?:\([^)\n]*\))?)", lambda m: ";" * len(m.group()), code,
                  flags=re.M)
    code = re.sub(r"^[ \t]*#[^\n]*", lambda m: ";" * len(m.group()), code, flags=re.M)
    cuts = [-1] + [m.start() for m in re.finditer(r"[;{}]", code)] + [len(code)]
    bad = [PLUMBING.search(text[a + 1:b]) is not None and bool(code[a + 1:b].strip())
           for a, b in zip(cuts, cuts[1:])]
    for i, (a, b) in enumerate(zip(cuts, cuts[1:])):
        guards = i + 1 < len(bad) and bad[i + 1] and code[b:b + 1] == "{"
        if bad[i] or guards or not code[a + 1:b].strip():
            continue
        part = code[a + 1:b]
        part = DECLARED.sub(lambda m: " " * len(m.group()), part)
        for pattern, make, kind in (
                (OPERATOR, lambda m: OPERATORS[m.group(1)], "operator"),
                (SIGN, lambda m: " ", "operator"),
                (NUMBER, lambda m: digit(m.group(1)), "constant"),
                (INDEX, lambda m: m.group() + " + 1", "index")):
            for m in pattern.finditer(part):
                found.append((a + 1 + m.start(), m.group(), make(m), kind))
    found.sort()
    line, out = 0, []
    for at, old, new, kind in found:
        while line + 1 < len(begin) and begin[line + 1] <= at:
            line += 1
        if tags[line]:
            out.append({"at": at, "line": line + 1, "column": at - begin[line] + 1, "old": old,
                        "new": new, "kind": kind, "section": tags[line]})
    return out


class Reach:
    """Which tests reach a line, and in which order they are tried."""

    def __init__(self, text):
        self.lines = text.split("\n")
        self.hits, self.size, self.known = {}, {}, set()
        for file in sorted(os.listdir(OUT + "/cover")):
            if not re.match(r"test_\w+\.gcov", file):
                continue
            test, hit = file[:-5], set()
            with open(OUT + "/cover/" + file) as f:
                for row in f:
                    m = re.match(r" *([-#=\d]\S*?)\*?: *(\d+):", row)
                    count, number = m.groups() if m else ("-", 0)
                    number = int(number)
                    if count == "-" or number == 0:
                        continue
                    self.known.add(number)
                    if count[0] not in "#=":
                        hit.add(number)
            self.hits[test], self.size[test] = hit, len(hit)
        self.macros = {}        # line of a body -> name; name -> lines that use it
        self.users = {}
        name = None
        for i, line in enumerate(self.lines, 1):
            m = re.match(r"\s*#\s*define\s+(\w+)", line)
            name = m.group(1) if m else name
            if name:
                self.macros[i] = name
            if not line.endswith("\\"):
                name = None
        names = set(self.macros.values())
        for i, line in enumerate(self.lines, 1):
            for word in set(re.findall(r"\w+", line)) & names:
                if self.macros.get(i) != word:
                    self.users.setdefault(word, []).append(i)

    def anchors(self, line, seen):
        """Lines that gcov knows and that run if this one does."""
        name = self.macros.get(line)
        if name:
            if name in seen:
                return set()
            seen.add(name)
            return set().union(*[self.anchors(u, seen) for u in self.users.get(name, [])], set())
        for at in list(range(line, max(0, line - 40), -1)) + list(range(line, line + 6)):
            if at in self.known and at not in self.macros:
                return {at}
        return set()

    def tests(self, line, seconds):
        anchors = self.anchors(line, set())
        reach = [t for t in self.hits if self.hits[t] & anchors]
        return sorted(reach, key=lambda t: (.3 + seconds(t)) * self.size[t])


def limits(seconds):
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(command, seconds):
    """Why it failed, or None: its first FAILED line ends it; seconds are those of the processor."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, preexec_fn=lambda: limits(seconds))
    for row in child.stdout:
        m = re.match(rb"FAILED (\w+)", row)
        if m:
            child.kill()
            child.communicate()
            return m.group(1).decode()
    child.communicate()
    code = child.returncode
    return None if code == 0 else "no end" if code in (-24, -9) else "exit %d" % code


def compile_test(test, include, out):
    return run(["tcc", "-w", "-I" + include, "-I.", "-Itests", "tests/%s.c" % test, "-o", out, "-lm"],
               60) is None


def normal_seconds(tests):
    """How long each test takes unmutated; None for one that fails as it is."""
    path, known = OUT + "/seconds.txt", {}
    if os.path.exists(path):
        with open(path) as f:
            known = {row.split()[0]: float(row.split()[1]) for row in f}
    for test in tests:
        if test not in known:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            ok = compile_test(test, ".", OUT + "/plain") and run([OUT + "/plain"], 900) is None
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            known[test] = after.ru_utime - before.ru_utime if ok else -1
            with open(path, "a") as f:
                f.write("%s %.2f\n" % (test, known[test]))
    return known


def squeezed(place, lines):
    """A place as the list of equivalents names it: whatever else changes, the line's text stays."""
    line, at = lines[place["line"] - 1], place["line"] - 1
    while at > 0 and not re.match(r"[A-Za-z].*\w\(|#\s*define|enum|typedef|struct", lines[at]):
        at -= 1
    where = re.match(r"#\s*define\s+(\w+)|.*?(\w+)(?=\(|\s*\{|$)", lines[at])
    before = re.sub(r"\s+", " ", line[:place["column"] - 1].lstrip())
    return "%s %d %s -> %s | %s" % (where.group(1) or where.group(2), len(before), place["old"],
                                    place["new"].strip() or "nothing",
                                    re.sub(r"\s+", " ", line.strip(" \\")))


def equivalents():
    found = set()
    if os.path.exists(EQUIVALENT):
        with open(EQUIVALENT) as f:
            found = {row.strip() for row in f if row[0] not in "# \n"}
    return found


def preprocessed(include):
    return subprocess.run(["tcc", "-E", "-P", "-I" + include, "-Itests", "tests/test_math.c"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def judge(place, reach, seconds, skip, budget):
    """(verdict, test, its first failed function, programs tried) of the mutant in OUT/bnn.h, after the
    first `skip` programs; "open" when the budget of seconds is at its end."""
    tests = [t for t in reach.tests(place["line"], lambda t: seconds[t]) if seconds[t] >= 0]
    tried = 0
    for test in tests:
        if seconds[test] > 20 and tried >= 10:
            continue
        tried += 1
        if tried <= skip:
            continue
        if budget < seconds[test] and (tried > 1 or seconds[test] > 20):
            return "open", "nobody", "of %d" % len(tests), tried - 1
        budget -= seconds[test] + .1
        if not compile_test(test, OUT, OUT + "/mutant"):
            return "invalid", test, "", tried
        why = run([OUT + "/mutant"], 3 * seconds[test] + 2)
        if why is not None:
            return "killed", test, why, tried
    return "survived", "nobody", "of %d" % len(tests), tried


def read_log(path, stamp):
    """(line, column) -> (verdict, programs tried) of a log of this bnn.h and seed; begins a new one."""
    done = {}
    if os.path.exists(path):
        with open(path) as f:
            rows = f.read().split("\n")
        if rows[0] == stamp:
            for cells in (row.split("\t") for row in rows[1:] if row):
                done[(int(cells[1]), int(cells[2]))] = cells[0], int(cells[6])
            return done
        os.rename(path, path + ".old")
    with open(path, "w") as f:
        f.write(stamp + "\n")
    return done


def main():
    count, seed, end = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    again = len(sys.argv) > 4 and sys.argv[4] == "again"
    with open(HEADER) as f:
        text = f.read()
    lines, found = text.split("\n"), places(text)
    if count == 0:
        for kind in ("operator", "constant", "index"):
            print(kind, sum(p["kind"] == kind for p in found))
        return
    random.Random(seed).shuffle(found)
    log = OUT + "/log.txt"
    done = read_log(log, "bnn.h %08x seed %d" % (zlib.crc32(text.encode()), seed))
    reach = Reach(text)
    seconds = normal_seconds(sorted(reach.hits))
    for test in seconds:
        if seconds[test] < 0:
            print(test, "fails as it is: left out")
    plain, start, equal = preprocessed("."), time.time(), equivalents()
    for budget in (1, 1e9):         # first what cheap programs can tell, for all places
        total, number = {"killed": 0, "equivalent": 0, "survived": 0, "open": 0}, 0
        for place in found:
            if number == count:
                break
            key, name = (place["line"], place["column"]), squeezed(place, lines)
            verdict, tried = done.get(key, (None, 0))
            late = end and time.time() - start > end
            if verdict is None and late:
                break
            if verdict is None or (budget > 1 and name not in equal and not late and (
                    verdict == "open" or (verdict == "survived" and again))):
                at, began = place["at"], time.time()
                with open(OUT + "/bnn.h", "w") as f:
                    f.write(text[:at] + place["new"] + text[at + len(place["old"]):])
                if preprocessed(OUT) == plain:
                    verdict, test, why, tried = "invalid", "", "not compiled", 0
                else:
                    verdict, test, why, tried = judge(place, reach, seconds,
                                                      tried if verdict == "open" else 0, budget)
                done[key] = verdict, tried
                with open(log, "a") as f:
                    f.write("%s\t%d\t%d\t%s\t%s\t%s (%s)\t%d\t%.1f\n" % (
                        verdict, *key, place["section"], name, test, why, tried, time.time() - began))
            if verdict == "invalid":
                continue
            number += 1
            if verdict in ("survived", "open") and name in equal:
                verdict = "equivalent"
            total[verdict] += 1
            if budget > 1 and verdict in ("survived", "open"):
                print("%s bnn.h:%d: %s" % (verdict, place["line"], name), flush=True)
    print("RESULT mutation places=%d killed=%d equivalent=%d survived=%d" % (
        number, total["killed"], total["equivalent"], total["survived"] + total["open"]))
    sys.exit(total["survived"] > 0)


main()
