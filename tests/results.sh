#!/bin/sh
# results.sh -- every number of the results pages stands in the lines that programs printed, and the
# figures of docs/results.md are drawn from these lines.
#     sh tests/results.sh            from anywhere; sh tests/results.sh list: what is missing
# A section of docs/results*.md or docs/scale.md links the files of docs/results/ that it is about; those that the
# sections above it link, up to the page's head, count for it, too. Its numbers are looked up in these
# files, rounded to the digits shown and without their sign; a share there may be percent here. Left
# out are code, links, headings, heads of tables and, in sentences, whole numbers below 10, years and
# shapes (64-200-10, 8x8). Long numbers say more: a wrong one of three digits or more is nearly always
# missed in the lines, a wrong 0.3 stands in many. What stands in no line is listed in
# tests/results_other.txt:
#     page | section | reason | numbers
# The reason says where the numbers come from. One that begins with =, such as
#     = mean error of digits method=map
# is computed from the RESULT lines that have all these words (and none with ! before it): mean,
# least, most, first or sum, and (one) less, more or over (another), or a plain number.
cd "$(dirname "$0")/.." || exit 1
other=tests/results_other.txt
dir=build/results
mkdir -p "$dir"
. tests/links.sh
for file in docs/results/*.txt; do
    # a block: lines with # (command; seeds, time), then lines as printed; an empty line ends it
    wrong=$(awk '/^# / { head = 1; next } /^$/ { head = 0; next }
        /^RESULT/ && !/^RESULT [a-z_0-9]+( [a-zA-Z_0-9]+=[^ ]*)+( [A-Za-z]+=[^ ]*)*$/ &&
            !/^RESULT cifar_semi/ { print "line " NR " is no RESULT line" }
        !head { print "line " NR " has no command before it" }' "$file")
    grep -q '^RESULT ' "$file" || wrong="$wrong no lines"
    grep -q "results/${file##*/})" docs/results*.md || wrong="$wrong no page links it"
    result "$file" "$wrong"
done
result "lines in the pages" "$(grep -n '^ *RESULT ' docs/results*.md docs/scale.md)"
if ${CC:-cc} -std=c99 -O2 -Wall -Wextra -Werror -I. docs/plots/results.c -o "$dir/figures" -lm &&
    "$dir/figures" "$dir"; then
    for file in "$dir"/results_*.svg; do
        cmp -s "$file" "docs/img/${file##*/}"
        result "docs/img/${file##*/}" "$([ $? -eq 0 ] || echo "is not what docs/plots/results.c draws")"
    done
else result "docs/plots/results.c" "does not draw the figures"; fi
awk -v list="${1:-}" '
    function trim(s) { gsub(/^ +| +$/, "", s); return s }
    function fail(s) { if (!list) print s; failed++ }
    function lines(file,   l, t, before, after) { # numbers of the lines of a file, once
        if (file in have) return
        have[file] = 0
        while ((getline l < ("docs/results/" file)) > 0) {
            if (l ~ /^RESULT/) result_line[++results] = l " "
            gsub(/->/, " ", l)
            while (match(l, /[0-9]*\.?[0-9]+(e[-+]?[0-9]+)?/)) {
                t = substr(l, RSTART, RLENGTH)
                before = RSTART > 1 ? substr(l, RSTART - 1, 1) : " "
                l = substr(l, RSTART + RLENGTH)
                after = substr(l, 1, 1)
                if (before ~ /[A-Za-z_]/ || (after ~ /[A-Za-z_]/ && l !~ /^(us|s)([^a-z]|$)/)) {
                    if (before ~ /[A-Za-z_]/) sub(/^[0-9.]+/, "", l)
                    continue
                }
                value[file, ++have[file]] = t + 0
            }
        }
        close("docs/results/" file)
    }
    function rounds(x, token,   percent, power, digits, point, half, v) { # x, rounded, is token
        percent = sub(/%$/, "", token)
        digits = token
        if (match(token, /e[-+]?[0-9]+$/)) {
            power = substr(token, RSTART + 1) + 0
            digits = substr(token, 1, RSTART - 1)
        }
        point = index(digits, ".")
        half = .5 * 10 ^ (power - (point ? length(digits) - point : 0)) * (1 + 1e-6)
        v = token + 0
        x = x < 0 ? -x : x
        return x - v <= half && v - x <= half || percent && x <= 1 && 100 * x - v <= half && v - 100 * x <= half
    }
    function found(files, token,   f, n, i, k) {
        n = split(files, f, " ")
        for (i = 1; i <= n; i++) {
            lines(f[i])
            for (k = 1; k <= have[f[i]]; k++) if (rounds(value[f[i], k], token)) return 1
        }
        return 0
    }
    function close_of(s,   i, d, c) { # where the bracket closes that s begins with
        for (i = 1; i <= length(s); i++) {
            c = substr(s, i, 1)
            d += (c == "(") - (c == ")")
            if (!d) return i
        }
        return i
    }
    function computed(s,   w, n, i, k, x, op, a, b, wrong, sum, least, most, first, count) {
        s = trim(s)
        if (s ~ /^[0-9.]+$/) return s + 0
        if (s ~ /^\(/) { # (this) less, more or over (that)
            i = close_of(s)
            a = computed(substr(s, 2, i - 2))
            s = trim(substr(s, i + 1))
            if (s == "") return a
            op = substr(s, 1, index(s, " ") - 1)
            b = computed(substr(s, index(s, " ") + 1))
            return op == "less" ? a - b : op == "more" ? a + b : op == "over" && b ? a / b : 0
        }
        n = split(s, w, " ")
        for (k = 1; n > 3 && k <= results; k++) {
            x = result_line[k]
            wrong = !match(x, " " w[2] "=")
            for (i = 4; i <= n && !wrong; i++)
                wrong = w[i] ~ /^!/ ? index(x, " " substr(w[i], 2) " ") : !index(x, " " w[i] " ")
            if (wrong) continue
            match(x, " " w[2] "=")
            x = substr(x, RSTART + RLENGTH) + 0
            if (!count++) first = least = most = x
            sum += x
            if (x < least) least = x
            if (x > most) most = x
        }
        if (!count) { fail("results_other.txt: no line for " s); return 0 }
        if (w[1] == "mean") return sum / count
        return w[1] == "sum" ? sum : w[1] == "least" ? least : w[1] == "most" ? most : first
    }
    function numbers(s,   before, t, row) { # of one line of a page, into the section at hand
        row = s ~ /^\|/
        gsub(/`[^`]*`/, " ", s)
        gsub(/\]\([^)]*\)/, "]", s)
        gsub(/<[^>]*>/, " ", s)
        gsub(/\[[0-9]+(,[0-9]+)+\]/, " ", s) # a shape
        gsub(/!\[[^]]*\]/, " ", s)
        while (match(s, /[0-9]+\.[0-9]+(\.[0-9]+)+|([0-9]+(,[0-9][0-9][0-9])*)?\.[0-9]+(e[-+]?[0-9]+)?|[0-9]+(,[0-9][0-9][0-9])*(e[-+]?[0-9]+)?/)) {
            t = substr(s, RSTART, RLENGTH)
            before = RSTART > 1 ? substr(s, RSTART - 1, 1) : " "
            s = substr(s, RSTART + RLENGTH)
            if (before ~ /[A-Za-z_]/ || t ~ /\..*\./ || s ~ /^[A-Za-z_]/) continue
            gsub(/,/, "", t)
            if (s ~ /^( percent|%)/) t = t "%"
            else if (!row && t !~ /\.|e/ &&
                (t + 0 < 10 || t + 0 >= 1990 && t + 0 <= 2030 || before ~ /[-x]/ || s ~ /^[-x][0-9]/)) continue
            if (!((page, section, t) in seen)) {
                seen[page, section, t] = 1
                all[++count] = page SUBSEP section SUBSEP t
            }
        }
    }
    function flush() { if (held != "") numbers(held); held = "" }
    FILENAME ~ /results_other/ {
        if ($0 ~ /^(#|$)/) next
        if (split($0, p, /[|]/) != 4) { fail(FILENAME ":" FNR ": not page | section | reason | numbers"); next }
        n = split(p[4], q, " ")
        for (i = 1; i <= n; i++) reason[trim(p[1]), trim(p[2]), q[i]] = trim(p[3])
        if (trim(p[3]) == "" || trim(p[3]) == "?") fail(FILENAME ":" FNR ": no reason")
        next
    }
    FNR == 1 { flush(); page = FILENAME; sub(/.*\//, "", page); section = ""; code = 0 }
    /^```/ { code = !code; next }
    code || /^    / { flush(); next }
    /^#+ / {
        flush()
        level = index($0, " ") - 1
        section = substr($0, level + 2)
        if (level == 3) section = up[2] ": " section
        up[level] = section
        parent[page, section] = level > 1 ? up[level - 1] : ""
        next
    }
    /^\|[-| ]+\|$/ { held = ""; next } # the line before it is the head of a table
    {
        s = $0
        while (match(s, /\(results\/[a-z_]+\.txt\)/)) {
            f = substr(s, RSTART + 9, RLENGTH - 10)
            if (!index(linked[page, section] " ", " " f " ")) linked[page, section] = linked[page, section] " " f
            s = substr(s, RSTART + RLENGTH)
        }
        if (held != "" && $0 ~ /^ *percent/) held = held " percent" # a number at the end of a line
        flush()
        held = $0
    }
    END {
        flush()
        while (("ls docs/results" | getline file) > 0) lines(file)
        for (i = 1; i <= count; i++) {
            split(all[i], p, SUBSEP)
            files = linked[p[1], p[2]]
            for (s = parent[p[1], p[2]]; s != ""; s = parent[p[1], s]) files = files linked[p[1], s]
            ok = found(files, p[3])
            listed = (p[1], p[2], p[3]) in reason
            if (listed) used[p[1], p[2], p[3]] = 1
            if (listed && reason[p[1], p[2], p[3]] ~ /^=/) {
                x = computed(substr(reason[p[1], p[2], p[3]], 2))
                if (!rounds(x, p[3])) fail(p[1] ", " p[2] ": " p[3] " is listed as " reason[p[1], p[2], p[3]] ", which is " x)
                else passed++
            } else if (ok && listed) fail(p[1] ", " p[2] ": " p[3] " is listed in results_other.txt and stands in a line")
            else if (!ok && !listed) {
                fail(p[1] ", " p[2] ": " p[3] " stands in no line of" (files == "" ? " any file" : files))
                key = p[1] " | " p[2]
                if (!(key in miss)) order[++keys] = key
                miss[key] = miss[key] " " p[3]
            } else passed++
        }
        for (k in reason)
            if (!(k in used)) {
                split(k, p, SUBSEP)
                fail("results_other.txt: " p[3] " is not in " p[1] ", " p[2])
            }
        if (list) for (i = 1; i <= keys; i++) print order[i] " | ? |" miss[order[i]]
        print passed + 0, failed + 0
    }' $other docs/results.md docs/results_*.md docs/scale.md >"$dir/numbers"
sed '$d' "$dir/numbers"
# shellcheck disable=SC2046
set -- $(tail -n 1 "$dir/numbers")
passed=$((passed + ${1:-0}))
failed=$((failed + ${2:-1}))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 500 ]
