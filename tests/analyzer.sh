#!/bin/sh
# clang's static analyzer on bnn.h, three minutes of processor time.
#     sh tests/analyzer.sh
# Functions of variable arguments are not walked into, so each that makes an error is told by what it
# leaves behind. Functions in which a report was read and found to be none are listed with the reason in
# tests/analyzer.txt; a report in any other function fails. Ends with "N passed, M failed", one per
# function with a report.
cd "$(dirname "$0")/.." || exit 1
command -v clang >/dev/null || { echo "not installed, skipped: clang"; echo "0 passed, 0 failed"; exit 0; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
awk '
{ print }
/^static int bnn__arena_fail\(/ {
    tell = "static int told_arena(bnn_arena *m, int e) { return m == NULL ? e : m->err != BNN_OK ? m->err :" \
        " (m->err = e); }\n#define bnn__arena_fail(m, e, ...) told_arena(m, e)"
}
/^static bnn_var \*bnn__fail\(/ {
    tell = "static bnn_var *told_tape(bnn_tape *t, int e) { if (t->err == BNN_OK) t->err = e; return" \
        " bnn__poison(t); }\n#define bnn__fail(t, e, ...) told_tape(t, e)"
}
/^static void bnn__io_fail\(/ {
    tell = "static void told_io(bnn__io *io, int e) { if (io->err == BNN_OK) io->err = e; }\n" \
        "#define bnn__io_fail(io, e, ...) told_io(io, e)"
}
/^}/ && tell != "" {
    print tell "\n#line " NR + 1
    tell = ""
    told++
}
END { exit told != 3 }' bnn.h >"$out/told.h" || { echo "bnn.h has other functions that fail"; exit 1; }
clang --analyze -Xclang -analyzer-config -Xclang max-nodes=60000,max-times-inline-large=100000 \
    -Xclang -analyzer-disable-checker=deadcode,security -x c -std=c99 -DBNN_IMPLEMENTATION "$out/told.h" \
    -o "$out/plist" >"$out/said" 2>&1
grep -q 'warnings\? generated' "$out/said" || { cat "$out/said"; exit 1; }
awk -v head="$out/told.h" '
    FILENAME ~ /analyzer.txt$/ { if ($0 !~ /^#/ && $0 != "") known[$1] = 1; next }
    FILENAME ~ /bnn.h$/ { # the function or macro that begins in column 0 above each line
        if (/^[A-Za-z_].*\(/ && !/;$/ && !/^(typedef|struct|enum)/) {
            s = $0
            sub(/\(.*/, "", s)
            sub(/.*[ *]/, "", s)
            name = s
        }
        of[FNR] = name
        next
    }
    / warning: .*\[/ {
        split($1, at, ":")
        f = of[at[2]]
        if (f in known) seen[f] = 1
        else { print "in " f ": " $0; bad[f] = 1 }
    }
    END {
        for (f in seen) passed++
        for (f in known) if (!(f in seen)) print "listed, without a report: " f
        for (f in bad) failed++
        print passed + 0 " passed, " failed + 0 " failed"
        exit failed > 0
    }' tests/analyzer.txt bnn.h "$out/said"
