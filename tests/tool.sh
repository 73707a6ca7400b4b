#!/bin/sh
# examples/bnn.c as a user meets it: each command on small tables, exit codes, errors, the report
# loaded by nothing from outside, C source that compiles. Ends with "N passed, M failed".
cd "$(dirname "$0")/.." || exit 1
set -- tool
. tests/passed.sh
code() { # expected code, what, arguments
    want=$1 what=$2
    shift 2
    ./bnn "$@" >out 2>err
    got=$?
    [ $got -eq "$want" ]
    check $? "$what: exit $got, not $want: $(head -n 1 err)"
}
says() { # code, sentence, arguments
    want=$1 sentence=$2
    shift 2
    ./bnn "$@" >out 2>err
    got=$?
    [ $got -eq "$want" ] && grep -qF "$sentence" err
    check $? "exit $got, $(head -n 1 err), not: $sentence"
}
${CC:-gcc} -std=c99 -O2 -Wall -Wextra -Werror -I. examples/bnn.c -o $out/bnn -lm
check $? "compiles"
table=$PWD/examples/data/friedman.csv
npy=$PWD/tests/files/npy
cd $out || exit 1
head -n 201 "$table" >train.csv
(head -n 1 "$table"; tail -n +202 "$table") >test.csv
awk 'BEGIN { print "size;color;kind"; for (i = 0; i < 120; i++) { k = i % 3; j = (i * 37 % 100) / 60
    printf "%d,%02d;%s;%s\n", k + j, (i * 53) % 100, i % 5 < 2 ? "red" : "blue",
    k == 0 ? "first" : k == 1 ? "<second>" : "third" } }' >kinds.csv
code 0 help --help
[ "$(wc -l <out)" -le 30 ]
check $? "help fits a screen"
./bnn fit train.csv --target y --budget 60000 -o m.bnn >out 2>err
c=$?
[ $c -eq 0 ] || [ $c -eq 3 ]
check $? "fit: $c"
grep -q '^model *m.bnn' out && ! grep -q '%' err
check $? "fit says its model, and no progress where there is no terminal"
for k in kept why; do
    line=$(grep "^$k " out)
    ./bnn info m.bnn | grep -qxF "$line" && [ -n "$line" ]
    check $? "info says what was kept, and why: $line"
done
grep -q '^why  *net over linear: elpd_loo [+-][0-9.]*, se [0-9.]*.*; net, noise by row over ' out
check $? "three models are compared: $(grep '^why' out)"
code 0 info info m.bnn
code 0 predict predict m.bnn test.csv -o p.csv
[ "$(wc -l <p.csv)" -eq "$(wc -l <test.csv)" ] && head -n 1 p.csv | grep -q '^y,sd,5 percent,95 percent$'
check $? "a row of predictions for each row"
awk -F, 'BEGIN { OFS = "," } NR > 1 && NR % 3 == 0 { $NF = NR % 2 ? "NA" : "later" } { print }' test.csv >open.csv
code 0 "fields of the target do not matter" predict m.bnn open.csv -o open
cmp p.csv open
check $? "predictions of rows whose target is missing"
{ cat test.csv; for i in 1 2 3 4 5 6 7; do tail -n +2 test.csv; done; } >open.csv
code 0 "report of many rows" report m.bnn open.csv -o open.html
[ "$(grep -c 'stroke-opacity="0.3"/>' open.html)" -eq 267 ] &&
    [ "$(grep -c 'fill-opacity="0.25" stroke="#d55e00"' open.html)" -eq 267 ]
check $? "each row that is drawn has its interval"
cut -d, -f1-5 test.csv >open.csv
says 1 "no values of the target" report m.bnn open.csv
code 0 report report m.bnn test.csv -o r.html --json
grep -q '"coverage90": 0\.[6-9]' out
check $? "report as JSON: $(cat out)"
grep -q '<td>model kept<td>net' r.html
check $? "the report says what was kept"
# noise that grows with a, about a line; a line with the same noise everywhere; widths given
awk 'BEGIN { srand(1); print "a,z,y"; for (i = 0; i < 150; i++) { a = i / 50; e = 0
    for (k = 0; k < 12; k++) e += rand() - 0.5
    printf "%.3f,%.3f,%.3f\n", a, 2 * a + (0.05 + a * a / 3) * e, 2 * a + e } }' >noise.csv
for want in "y net, noise by row:z" "z linear:y"; do
    target=${want%% *} skip=${want##*:} kept=${want#* }
    ./bnn fit noise.csv --target "$skip" --skip "$target" --budget 60000 -o n.bnn --json >out 2>err
    grep -qF "\"kept\": \"${kept%:*}\"" out
    check $? "kept is ${kept%:*}: $(cat out err)"
    code 0 "C source of what was kept" emit n.bnn noise.csv -o n.c --draws 5
    ${CC:-gcc} -std=c99 -Wall -Wextra -Wconversion -pedantic -Werror -c n.c -o n.o
    check $? "it compiles"
    code 0 "a student of what was kept" distill n.bnn noise.csv -o ns.bnn --steps 100
done
# with minibatches rows are held out
awk 'BEGIN { srand(2); print "a,y"; for (i = 0; i < 10000; i++) { a = rand() * 4 - 2
    print a "," (a * a + rand() + rand() > 2.5 ? "far" : "near") } }' >many.csv
./bnn fit many.csv --target y --budget 44000 -o n.bnn >out 2>err
grep -q '^kept  *net$' out && grep -q '^why  *net over linear: ln p of rows held out +[0-9.]*, se [0-9.]*$' out
check $? "a fifth of many rows is held out: $(grep '^why' out)"
./bnn fit noise.csv --target y --skip z --hidden 0 --budget 20000 -o n.bnn >out 2>err
grep -q '^weights  *3$' out && ! grep -q '^kept' out
check $? "widths that are given are not compared; 0: a line: $(cat out)"
code 0 distill distill m.bnn train.csv -o s.bnn --steps 2000
code 0 "info of a student" info s.bnn
! grep -q '^kept\|^why' out
check $? "a student is not what was kept: $(cat out)"
code 0 prune prune s.bnn --fraction 0.5 -o small.bnn
half=$(grep '^of them 0' out)
code 0 "prune again, less" prune small.bnn --fraction 0.25 -o again.bnn
[ "$(grep '^of them 0' out)" = "$half" ] && cmp small.bnn again.bnn
check $? "weights that are 0: $half, then $(grep '^of them 0' out)"
code 1 "prune of several optima" prune m.bnn --fraction 0.5
code 0 emit emit small.bnn test.csv -o f.c --name f --storage int8
${CC:-gcc} -std=c99 -Wall -Wextra -Wconversion -pedantic -Werror -c f.c -o f.o
check $? "the C source compiles"
code 0 export export m.bnn -o d.npz
./bnn fit kinds.csv --target kind --decimal , --hidden 8 --budget 60000 -o k.bnn >out 2>err
c=$?
[ $c -eq 0 ] || [ $c -eq 3 ]
check $? "fit of classes: $c $(cat err)"
code 0 "predict classes" predict k.bnn kinds.csv --decimal ,
head -n 1 out | grep -q '^kind,p(<second>),p(first),p(third),doubt'
check $? "classes by their names: $(head -n 1 out)"
awk 'BEGIN { for (i = 0; i < 200; i++) long = long "w"; print "a,y"
    for (i = 0; i < 9; i++) print i "," long i % 2 }' >long.csv
./bnn fit long.csv --target y --hidden 0 --method laplace --budget 500 -o long.bnn >out 2>err
./bnn predict long.bnn long.csv 2>err | head -n 1 | grep -q '^y,p(w*0),p(w*1),doubt$'
check $? "classes of many letters: $(head -n 1 err)"
code 0 "report of classes" report k.bnn kinds.csv --decimal , -o k.html
for page in r.html k.html; do
    [ "$(grep -c '<svg' $page)" -eq "$(grep -c '</svg>' $page)" ] && [ "$(grep -c '<svg' $page)" -ge 3 ]
    check $? "figures of $page"
    ! grep -v 'xmlns="http://www.w3.org/2000/svg"' $page | grep -qiE '<script|<img|<link|src=|href=|@import|http'
    check $? "$page loads nothing"
done
grep -q 'Ranks of the same in chain 2, among all draws' r.html
check $? "traces and ranks"
! grep -q '<second>' k.html
check $? "names are escaped"
# a real browser: every figure has shapes and a size, and nothing was fetched
if command -v chromium >/dev/null; then
    for page in r k; do
        cp $page.html seen.html
        cat >>seen.html <<'H'
<script>
document.title = "figures " + [...document.querySelectorAll("svg")].map(s => { const b = s.getBBox();
    return b.width > 150 && b.height > 100 && s.querySelectorAll("path,circle,rect,line,polyline").length > 3 ? "+" : "-" })
    .join("") + " fetched " + performance.getEntriesByType("resource").length;
</script>
H
        timeout 120 chromium --headless --no-sandbox --disable-gpu --dump-dom "file://$PWD/seen.html" >dom 2>err
        figures=$(grep -c '<svg' $page.html)
        grep -q "<title>figures $(printf %${figures}s | tr ' ' +) fetched 0</title>" dom
        check $? "$page.html in chromium: $(grep -o '<title>.*</title>' dom), $figures figures"
    done
else
    echo "skipped the browser: apt-get install chromium"
fi
# interrupted after the first draw: it saves, and says how to go on
for wait in 2 4 8 16 32; do
    ./bnn fit train.csv --target y --hidden 100,100 --budget 1e9 -o stopped.bnn >out 2>err &
    sleep $wait
    kill -INT $!
    wait $!
    c=$?
    ! grep -q '^bnn: interrupted; 0 draws' err && break
done
[ $c -eq 130 ] && grep -q '^bnn: interrupted; [0-9]* draws and the state of the fit are saved' err
check $? "kill -INT: exit $c, $(tail -n 1 err)"
code 0 "what was saved" predict stopped.bnn test.csv -o -
[ "$(wc -l <out)" -eq "$(wc -l <test.csv)" ]
check $? "its predictions"
# optima are not interrupted on their way: a second one ends that
./bnn fit train.csv --target y --hidden 100 --method ensemble --budget 1e9 -o never.bnn >out 2>err &
sleep 2
kill -INT $!
sleep 1
kill -INT $! 2>/dev/null
wait $!
c=$?
[ $c -eq 130 ] && [ ! -e never.bnn ]
check $? "kill -INT twice: exit $c"
# the command that it prints goes on, to the file of a fit that nobody interrupted
cp train.csv "my train.csv"
parts() { # seconds between interruptions, what the first must say, options of the fit
    seconds=$1 first=$2
    shift 2
    rm -f parts.bnn
    ./bnn fit "my train.csv" --target y "$@" -o whole.bnn >out 2>err
    line="bnn fit 'my train.csv' --target y $* -o parts.bnn"
    for part in 1 2 3 4 5 6 7 8 9; do
        eval "exec ./$line" >out 2>err &
        [ $part -gt 3 ] || { sleep "$seconds"; kill -INT $!; } 2>/dev/null
        wait $!
        c=$?
        [ $part -gt 1 ] || grep -q "$first" err || return 1
        [ $c -eq 130 ] || break
        line=$(tail -n 1 err)
        [ -e parts.bnn ] && cp parts.bnn "part$part.bnn"
    done
    [ $part -gt 1 ] && [ $c -ne 130 ] && cmp parts.bnn whole.bnn
}
for wait in 0.2 0.4 0.1 0.8; do
    parts $wait '^bnn: interrupted; 0 draws' --hidden 50 --method hmc --budget 20000
    c=$?
    [ $c -ne 0 ] || break
done
check $c "interrupted before the first draw: $(cat err)"
says 1 "interrupted before its first draw" info part1.bnn
for wait in 0.5 1 2 0.25; do # among models that are compared
    parts $wait '^bnn: interrupted; [0-9]' --budget 60000
    c=$?
    [ $c -ne 0 ] || break
done
check $c "interrupted among models: $(cat err)"
for wait in 1 0.5 2 4 8 0.2; do
    parts $wait '^bnn: interrupted; [1-9]' --hidden 20 --method sghmc --budget 300000 --seed 7
    c=$?
    [ $c -ne 0 ] || break
done
check $c "interrupted between draws: $(cat err)"
code 0 "draws so far" predict part1.bnn test.csv -o -
says 1 "there is nothing to resume" fit train.csv --target y --resume whole.bnn
says 1 "method: 1 here, 3 in the saved fit" fit train.csv --target y --hidden 20 --method nuts --resume part1.bnn
says 1 "seed: 8 here, 7 in the saved fit" fit train.csv --target y --hidden 20 --method sghmc --seed 8 --resume part1.bnn
says 1 "rows: 100 here, 200 in the saved fit" fit test.csv --target y --hidden 20 --method sghmc --seed 7 --resume part1.bnn
says 1 "weights: 135 here, 142 in the saved fit" fit train.csv --target y --hidden 19 --method sghmc --seed 7 --resume part1.bnn
# gaps: what stands for them in a fold comes from the fold's own rows
awk -F, 'BEGIN { OFS = "," } NR > 1 && NR % 9 == 0 { $2 = "NA" } { print }' train.csv >gaps.csv
for m in nuts hmc ensemble laplace; do
    ./bnn fit gaps.csv --target y --hidden 5 --method $m --budget 60000 --folds 2 --missing indicator -o o.bnn --json >out 2>err
    c=$?
    { [ $c -eq 0 ] || [ $c -eq 3 ]; } && grep -q "\"method\": \"$m\"" out && grep -q '"nll, folds": [0-9-]' out
    check $? "fit by $m: $c $(cat err out)"
    ./bnn info o.bnn | grep -q "^method  *$m$"
    check $? "info says $m"
done
printf 'a,y\n1,0\n2,0\n3,0\n4,0\n5,100\n6,0\n7,0\n8,0\n' >jump.csv
./bnn fit jump.csv --target y --hidden 0 --method laplace --budget 500 --folds 8 -o o.bnn >out 2>err
awk '/^rmse, folds/ { seen = $3 > 30 } END { exit !seen }' out
check $? "rmse of folds of one row is that of all rows: $(grep '^rmse' out)"
# what NumPy wrote, deflated: read where there is stb_image
cp "$npy/table.npz" .
if printf '#include <stb/stb_image.h>\n' | ${CC:-gcc} -E - >/dev/null 2>&1; then
    code 0 npz fit table.npz --target price --hidden 5 --method laplace -o npz.bnn
    ./bnn predict npz.bnn table.npz -o npz.csv 2>err && [ "$(wc -l <npz.csv)" -eq 61 ]
    check $? "predictions for the rows of an npz: $(cat err)"
    ./bnn info npz.bnn | grep -q 'x_2'
    check $? "columns of an npz have names"
    { head -c 60 table.npz; printf XXXX; tail -c +65 table.npz; } >hurt.npz
    says 1 'member "x.npy" does not inflate to the size it says' fit hurt.npz --target price
else
    says 1 'member "x.npy" is deflated' fit table.npz --target price
fi
says 1 '"price" has 2 rows, "x" has 3' fit "$npy/uneven.npz" --target price
says 1 'there is no column "y"' fit "$npy/types.npz" --target y
printf 'y\n1\n2\n' >one.csv
says 1 "of 1 columns none is left for x" fit one.csv --target y
printf 'a,y\n1,2\n3,2\n' >same.csv
says 1 "column 2 (y) is the same in all rows: a target must vary" fit same.csv --target y
awk 'BEGIN { print "c,y"; for (i = 0; i < 1000; i++) printf "word%d,%d\n", i, i % 7 }' >words.csv
says 1 "column 1 (c) has too many classes: --skip it, or raise --max-classes" fit words.csv --target y
says 1 "column 1 (c) has too many classes" fit words.csv --target c
printf 'a;y\n1.234,5;1\n2,5;2\n3,5;3\n' >marks.csv
says 1 '"1.234,5" is not a number: say --decimal , and --thousands .' fit marks.csv --target y
says 1 'say --thousands .' fit marks.csv --target y --decimal ,
printf 'd,y\n1/2/2024,1\n3/4/2024,2\n5/6/2024,3\n' >dates.csv
says 1 'in either order: say --date-order, or --skip it' fit dates.csv --target y
printf 'a,a,y\n1,2,3\n2,3,4\n' >twice.csv
says 1 'column 2 (a) has the name of an earlier column' fit twice.csv --target y
fits() { # what must be in the output or the notes, arguments
    want=$1
    shift
    ./bnn fit "$@" --hidden 2 --method laplace --budget 500 -o g.bnn >out 2>err
    c=$?
    { [ $c -eq 0 ] || [ $c -eq 3 ]; } && grep -q "$want" out err
    check $? "fit $*: $c, $(head -n 1 err), not: $want"
}
fits '^rows  *3$' marks.csv --target y --decimal , --thousands .
fits '^columns of x  *1$' dates.csv --target y --date-order month
fits '^columns of x  *1000$' words.csv --target y --max-classes 1000
printf '"a,b",c\n1,2\n2,5\n1,3\n2,4\n' >comma.csv
fits '^task  *classes$' comma.csv --target a,b --task classes
tail -n +2 train.csv >bare.csv
fits 'the first row is numbers, so the columns are 1, 2 ...; if it is names: --header yes' bare.csv --target 6
fits '^rows  *200$' bare.csv --target 6 --header no
tr ,. ';,' <bare.csv >bare2.csv
fits '^rows  *200$' bare2.csv --target 6 --decimal ,
head -n 1 bare.csv | cut -d, -f1-5 >one.csv
./bnn predict g.bnn one.csv -o - >out 2>err && [ "$(wc -l <out)" -eq 2 ]
check $? "a row without names is predicted: $(head -n 1 err)"
fits '^columns of x  *6$' gaps.csv --target y --missing indicator
printf '"a\t""b\351",y\n1,2\n2,3\n4,4\n' >odd.csv
fits '^columns of x  *1$' odd.csv --target y
./bnn info g.bnn --json >out && grep -qF '"input 1": "a\u0009\"b\ufffd",' out
check $? "control characters, and bytes that are no UTF-8, in JSON: $(cat out)"
code 0 "a student of many weights" distill m.bnn test.csv --hidden 1100,1100 --steps 1 -o big.bnn
grep -q '^weights  *1[0-9]*$' out
check $? "counts have all digits: $(cat out)"
rm -f big.bnn
printf 'a,c,y\n1,u,2\n2,v,3\n3,u,5\n4,v,6\n' >new.csv
fits '^columns of x  *3$' new.csv --target y
printf 'a,c\n1,w\nNA,u\n' >later.csv
says 1 '"w" is a class that the recipe does not have' predict g.bnn later.csv
says 1 '"NA" is missing: say --missing' predict g.bnn later.csv --unknown zero
code 0 "gaps and new classes, as asked" predict g.bnn later.csv --unknown zero --missing mean
[ "$(wc -l <out)" -eq 3 ]
check $? "a row for each"
printf '\0\0\0\0\0\0\0\200{"a":{}}' >far.safetensors
says 1 'a header of 9.22337e18 bytes is promised, there are 8' fit far.safetensors --target y
says 1 "the name must be an identifier" emit s.bnn --name "../x"
code 2 "no command" nothing
code 2 "no target" fit train.csv
code 2 "bad option" fit train.csv --target y --nothing
says 2 "not an option of this command: --missing" distill m.bnn train.csv --missing drop
says 2 "not an option of this command: --seed" predict m.bnn train.csv --seed 3
for command in "fit train.csv --target y" "distill m.bnn" "prune s.bnn --fraction 0.5" "export m.bnn"; do
    # shellcheck disable=SC2086
    says 2 "what this command makes is no text: it needs a file behind -o" $command -o -
done
for bad in "--folds 2.5" "--folds 1e30" "--seed inf" "--decimal x" "--decimal ,," "--thousands ''" "--budget nan"; do
    eval "code 2 'fit $bad' fit train.csv --target y $bad"
done
for task in regression counts; do
    says 1 "the target is classes, which are no numbers: --task classes" fit kinds.csv --decimal , --target kind --task $task
done
code 2 "bad widths" fit train.csv --target y --hidden 5,x
echo old >old.html
(
    trap '' XFSZ
    ulimit -f 8
    ./bnn report m.bnn test.csv -o old.html >out 2>err
)
c=$?
[ $c -eq 1 ] && [ "$(cat old.html)" = old ] && [ ! -e old.html.part ]
check $? "a report that cannot be written leaves the old one: $c $(cat err)"
if [ -c /dev/full ]; then
    for command in --help "info s.bnn" "predict s.bnn test.csv" "report s.bnn test.csv -o -" "emit s.bnn -o -"; do
        # shellcheck disable=SC2086
        ./bnn $command >/dev/full 2>err
        c=$?
        [ $c -eq 1 ] && grep -q 'cannot write' err
        check $? "$command on a full disk: $c"
    done
fi
for place in . none/m.bnn; do # found before the fit, which would take hours
    timeout 60 ./bnn fit train.csv --target y --budget 1e9 -o $place >/dev/null 2>err
    c=$?
    [ $c -eq 1 ] && grep -q "$place: cannot write" err && ls ./*.try none 2>/dev/null | grep -q . && c=9
    [ $c -eq 1 ]
    check $? "fit -o $place: $c $(cat err)"
done
code 1 "no such column" fit train.csv --target nope
code 1 "no such file" fit none.csv --target y
code 1 "no model" info train.csv
code 1 "another table" predict m.bnn kinds.csv --decimal ,
code 1 "a keyword" emit s.bnn --name int
printf 'a,y\n1,2\n3,x\n' >bad.csv
code 1 "a word among numbers" fit bad.csv --target a --skip none
finish
