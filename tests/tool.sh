#!/bin/sh
# examples/bnn.c as a user meets it: each command on small tables, exit codes, errors, the report
# loaded by nothing from outside, C source that compiles. Ends with "N passed, M failed".
cd "$(dirname "$0")/.." || exit 1
out=build/tool
rm -rf $out
mkdir -p $out
passed=0
failed=0
check() { if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $2"; fi; }
code() { # expected code, what, arguments
    want=$1 what=$2
    shift 2
    ./bnn "$@" >out 2>err
    got=$?
    [ $got -eq "$want" ]
    check $? "$what: exit $got, not $want: $(head -n 1 err)"
}
${CC:-gcc} -std=c99 -O2 -Wall -Wextra -Werror -I. examples/bnn.c -o $out/bnn -lm
check $? "compiles"
table=$PWD/examples/data/friedman.csv
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
code 0 info info m.bnn
code 0 predict predict m.bnn test.csv -o p.csv
[ "$(wc -l <p.csv)" -eq "$(wc -l <test.csv)" ] && head -n 1 p.csv | grep -q '^y,sd,5 percent,95 percent$'
check $? "a row of predictions for each row"
code 0 report report m.bnn test.csv -o r.html --json
grep -q '"coverage90": 0\.[6-9]' out
check $? "report as JSON: $(cat out)"
code 0 distill distill m.bnn train.csv -o s.bnn --steps 2000
code 0 prune prune s.bnn --fraction 0.5 -o small.bnn
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
code 0 "report of classes" report k.bnn kinds.csv --decimal , -o k.html
for page in r.html k.html; do
    [ "$(grep -c '<svg' $page)" -eq "$(grep -c '</svg>' $page)" ] && [ "$(grep -c '<svg' $page)" -ge 3 ]
    check $? "figures of $page"
    ! grep -v 'xmlns="http://www.w3.org/2000/svg"' $page | grep -qiE '<script|<img|<link|src=|href=|@import|http'
    check $? "$page loads nothing"
done
! grep -q '<second>' k.html
check $? "names are escaped"
code 2 "no command" nothing
code 2 "no target" fit train.csv
code 2 "bad option" fit train.csv --target y --nothing
code 2 "bad widths" fit train.csv --target y --hidden 5,x
code 1 "no such column" fit train.csv --target nope
code 1 "no such file" fit none.csv --target y
code 1 "no model" info train.csv
code 1 "another table" predict m.bnn kinds.csv --decimal ,
code 1 "a keyword" emit s.bnn --name int
printf 'a,y\n1,2\n3,x\n' >bad.csv
code 1 "a word among numbers" fit bad.csv --target a --skip none
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
