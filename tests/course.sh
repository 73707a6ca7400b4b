#!/bin/sh
# course.sh -- the course of docs/course: what its pages show is what its programs print and draw.
#     sh tests/course.sh [number of a lecture ...]         default: all; from anywhere
# A ```text block stands, line for line, in what the program prints whose .c file the paragraph before
# the block links to, or in the .md or .txt file that it links to (the last link counts). A ```c block stands in the .c file linked there;
# without such a link it goes to tests/docs.sh. Programs of the lectures and of the solutions compile
# without a warning and end with status 0; their processor time is printed, not judged (machines
# differ), but 120 s end a program; pictures are those that the programs draw (compared where there
# is FMA). Every lecture has five exercises and their solutions, two pictures or more; links lead
# somewhere; pandoc makes slides of every page.
cd "$(dirname "$0")/.." || exit 1
top=$(pwd)
course=docs/course
dir=$top/build/course
mkdir -p "$dir/pages" "$dir/run"
rm -f "$dir"/pages/* "$dir"/run/*
[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 8 # those that are there
header=$(cd "${BNN:-.}" && pwd)/bnn.h
cc="${CC:-cc} -std=c99 -O2 -Wall -Wextra -Werror"
printf '#undef BNN_IMPLEMENTATION\n#undef BNN_STATIC\n#include "%s"\n' "$header" >"$dir/bnn.h"
printf '#define BNN_IMPLEMENTATION\n#include "%s"\n' "$header" >"$dir/whole.c"
if [ ! "$dir/bnn.o" -nt "$header" ]; then
    $cc -c "$dir/whole.c" -o "$dir/bnn.o" || { echo "0 passed, 1 failed"; exit 1; }
fi
fma=0
case $(uname -m) in aarch64 | arm64) fma=1 ;; esac
grep -qw fma /proc/cpuinfo 2>/dev/null && fma=1
. tests/links.sh

# program FILE: compiles and runs it once; its print is run/RUN.out; pictures go to run/. Sets wrong.
program() {
    run=$(echo "$1" | tr / .)
    wrong=
    [ -e "$dir/run/$run.out" ] && return
    if grep -q 'BNN_NO_STDIO\|BNN_ASSERT' "$1"; then wrong="cannot be run here"; return; fi
    if ! $cc -I"$dir" "$1" "$dir/bnn.o" -o "$dir/run/$run.exe" -lm -pthread 2>"$dir/error"; then
        wrong="does not compile: $(head -n 5 "$dir/error")"
        return
    fi
    case $1 in examples/*) set -- "$1" ;; *) set -- "$1" "$dir/run" ;; esac
    shift
    begin=$( (ulimit -t 120; "$dir/run/$run.exe" "$@" >"$dir/run/$run.out" 2>&1; echo $?; times) | awk '
        NR == 1 { status = $1 }
        NR == 3 { split($1, u, /[ms]/); split($2, s, /[ms]/); t = 60 * (u[1] + s[1]) + u[2] + s[2] }
        END { print status, t }')
    status=${begin% *}
    seconds=${begin#* }
    [ "$status" -eq 0 ] || wrong="status $status: $(tail -n 3 "$dir/run/$run.out")"
    echo "$run $seconds" >>"$dir/run/seconds"
}

# Cuts a page into its blocks: pages/BASE.LINE.text or .c, the line before in .from; the page without
# the blocks that are checked here goes to pages/BASE.md
cut_page() {
    awk -v base="$dir/pages/$2" '
        /^```/ && inside { inside = 0; close(out); print keep ? $0 : ""; next }
        inside { print > out; print keep ? $0 : ""; next }
        /^```(text|c)$/ {
            inside = 1
            kind = substr($0, 4)
            keep = kind == "c" && before !~ /\]\([^)]*\.c\)/
            out = keep ? "/dev/null" : base "." NR "." kind
            if (!keep) { print before > (base "." NR ".from"); close(base "." NR ".from"); printf "" > out }
            print keep ? $0 : ""
            next
        }
        /^```/ { inside = 1; keep = 0; out = "/dev/null" }
        {
            print
            if ($0 ~ /^[ \t]*$/) gap = 1
            else { before = gap ? $0 : before " " $0; gap = 0 }
        }' "$1" >"$dir/pages/$2.md"
}

# within BLOCK TEXT [loose]: the lines of one stand in a row in the other
within() {
    awk -v loose="${3:-}" '
        function norm(s) { if (loose) gsub(/[ \t]/, "", s); else sub(/[ \t]+$/, "", s); return s }
        FNR == NR { if (n || norm($0) != "") want[n++] = norm($0); next }
        { have[m++] = norm($0) }
        END {
            while (n && want[n - 1] == "") n--
            for (i = 0; i + n <= m; i++) {
                for (j = 0; j < n && have[i + j] == want[j]; j++);
                if (j == n && n) exit 0
                if (j > best) { best = j; at = have[i + j] }
            }
            printf "line %d is \"%s\", not \"%s\"\n", best + 1, at, want[best]
            exit 1
        }' "$1" "$2"
}

blocks() { # page, base
    for block in "$dir/pages/$2".*.text "$dir/pages/$2".*.c; do
        [ -e "$block" ] || continue
        from=$(cat "${block%.*}.from")
        line=${block%.*}
        where="$1:${line##*.}"
        file=$(echo "$from" | grep -o '](\([^)#]*\.\(c\|md\|txt\)\)[)#]' | tail -n 1 | sed 's/^](//; s/[)#]$//')
        path=$(dirname "$1")/$file
        case $file in
        *.c)
            path=$(realpath --relative-to=. "$path")
            wrong=
            case $block in
            *.c) wrong=$(within "$block" "$path" loose) ;;
            *)
                program "$path"
                out=$dir/run/$(echo "$path" | tr / .).out
                if [ -z "$wrong" ] && [ $fma = 1 ]; then wrong=$(within "$block" "$out"); fi
                ;;
            esac
            ;;
        *.md | *.txt) wrong=$(within "$block" "$path") ;; # a table of docs/results.md, lines of docs/results/
        *) wrong="the paragraph before the block links to no .c, .md or .txt file" ;;
        esac
        result "$where" "$wrong"
    done
}


slides() { # page
    command -v pandoc >/dev/null || return
    wrong=
    if ! pandoc -f gfm -t dzslides -L "$course/slides.lua" --self-contained --resource-path="$(dirname "$1")" \
        --metadata pagetitle="$1" "$1" -o "$dir/slides.html" 2>"$dir/error"; then
        wrong=$(head -n 3 "$dir/error")
    elif [ "$(grep -c '<section' "$dir/slides.html")" -lt 8 ]; then wrong="fewer than eight slides"
    elif grep -q 'src="http\|href="http.*\.css' "$dir/slides.html"; then wrong="slides need a network"
    fi
    cp "$dir/slides.html" "$dir/slides-$(basename "$1" .md).html" 2>/dev/null
    result "$1, slides" "$wrong"
}

pages=
report=
for n in "$@"; do
    page=$(ls $course/"$n"_*.md 2>/dev/null)
    [ -n "$page" ] || continue
    name=$(basename "$page" .md)
    solution=$course/solutions/$name.md
    programs=0
    for source in $course/"$n"_*.c $course/solutions/"$n"_*.c; do
        [ -e "$source" ] || continue
        program "$source"
        result "$source" "$wrong"
        programs=$((programs + 1))
    done
    pictures=0
    wrong=
    for svg in $(grep -o 'img/[a-z0-9_]*\.svg' "$page" | sort -u); do
        pictures=$((pictures + 1))
        drawn=$dir/run/$(basename "$svg")
        if [ ! -e "$drawn" ]; then wrong="$wrong nothing draws $svg;"
        elif [ $fma = 1 ] && ! cmp -s "$drawn" "$course/$svg"; then wrong="$wrong $svg is not what is drawn;"; fi
    done
    for svg in $course/img/"$n"_*.svg; do
        grep -q "$(basename "$svg")" "$page" || wrong="$wrong the page does not show $svg;"
    done
    [ $pictures -ge 2 ] || wrong="$wrong $pictures pictures;"
    result "$page, pictures" "$wrong"
    exercises=$(sed -n '/^## Exercises/,/^## Where/p' "$page" | grep -c '^[1-5]\. \*(\(paper\|code\))\*')
    paper=$(sed -n '/^## Exercises/,/^## Where/p' "$page" | grep -c '^[1-5]\. \*(paper)\*')
    solved=$(grep -c '^## [1-5]' "$solution")
    wrong=
    [ "$exercises" = 5 ] && [ "$paper" = 2 ] && [ "$solved" = 5 ] ||
        wrong="$exercises exercises, $paper on paper, $solved solved"
    for k in paper 3 4 5; do
        [ -e "$course/solutions/${n}_$k.c" ] || wrong="$wrong no solutions/${n}_$k.c"
        grep -q "](${n}_$k\.c)" "$solution" || wrong="$wrong the page does not link ${n}_$k.c"
    done
    result "$page, exercises" "$wrong"
    cut_page "$page" "$name"
    blocks "$page" "$name"
    cut_page "$solution" "${name}_solutions"
    blocks "$solution" "${name}_solutions"
    links "$page"
    links "$solution"
    slides "$page"
    pages="$pages build/course/pages/$name.md build/course/pages/${name}_solutions.md"
    report="$report$n $programs $exercises $pictures
"
done
links $course/README.md
if [ -n "$pages" ]; then # what is left: blocks without a program
    line=$(DOCS_BUILD=build/course/docs sh tests/docs.sh $pages | tee "$dir/docs.txt" | tail -n 1)
    wrong=
    case $line in *", 0 failed") ;; *) wrong=$(cat "$dir/docs.txt") ;; esac
    result "blocks without a program" "$wrong"
fi
command -v pandoc >/dev/null || echo "SKIP slides: pandoc is not installed (Debian: apt-get install pandoc)"
printf '%s' "$report" | while read -r n programs exercises pictures; do
    echo "RESULT course lecture=$n programs=$programs exercises=$exercises pictures=$pictures"
done
sort -k2 -n -r "$dir/run/seconds" | grep solutions | head -n 1 |
    while read -r run seconds; do echo "RESULT course slowest=$run seconds=$seconds"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
