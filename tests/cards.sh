#!/bin/sh
# cards.sh -- glossary and cards beside the header: no name in the documents that does not exist.
#     sh tests/cards.sh        from anywhere
# Every bnn_ and BNN_ name in README.md, docs/ and docs/course/ stands in bnn.h (docs/renames.md has
# old ones; a name that ends in _ begins one). Every call in the left column of docs/card_api.md
# compiles, and every public function is there. Words of the glossary are in order and once. Links
# lead somewhere.
cd "$(dirname "$0")/.." || exit 1
top=$(pwd)
header=${BNN:-.}/bnn.h
dir=$top/build/cards
mkdir -p "$dir"
. tests/links.sh

# Names that documents may use: those that the declarations have outside of comments, options that
# the implementation asks for, and private names, of which docs/design.md tells.
awk '/^#if defined\(BNN_IMPLEMENTATION\)/ { exit } { print }' "$header" | tr '\n' '\001' |
    sed 's|/\*[^*]*\**\([^/*][^*]*\*\**\)*/| |g' | tr '\001' '\n' >"$dir/api.h"
{
    grep -oE '\b(bnn|BNN)_[A-Za-z0-9_]+|\bBNNDEF\b' "$dir/api.h"
    grep -E '^ *# *(if|ifdef|ifndef|elif)' "$header" | grep -oE '\bBNN_[A-Z0-9_]+'
    grep -oE '\b(bnn|BNN)__[A-Za-z0-9_]+' "$header"
} | sort -u >"$dir/names"
tr '\n' ' ' <"$dir/api.h" | grep -oE 'BNNDEF [^;(]*\(' | grep -oE 'bnn_[a-z0-9_]+\($' | tr -d '(' |
    sort -u >"$dir/functions"
[ "$(wc -l <"$dir/functions")" -gt 300 ] || result "$header" "few functions found"

# No names, but written like one: who speaks in an error of bnn_soft_nll and of bnn_soft_mix
grep -oE '"bnn_soft"|"bnn_soft:' "$header" | tr -d '":' | sort -u >>"$dir/names"
for page in README.md docs/*.md docs/course/*.md docs/course/solutions/*.md; do
    [ "$page" = docs/renames.md ] && continue
    wrong=
    for name in $(grep -oE '\b(bnn|BNN)_[A-Za-z0-9_]+' "$page" | sort -u); do
        case $name in
        *_) grep -q "^$name" "$dir/names" && continue ;;
        *) grep -qx "$name" "$dir/names" && continue ;;
        esac
        wrong="$wrong $name"
    done
    result "$page" "${wrong:+names that are not in bnn.h:$wrong}"
    links "$page"
done

# The card of the API: functions, then calls, each compiled in a block of its own
for name in $(cat "$dir/functions"); do
    if grep -qE "\b$name\(" docs/card_api.md; then passed=$((passed + 1))
    else result docs/card_api.md "$name is not there"; fi
done
cat >"$dir/card.c" <<'C'
#include "bnn.h"
static bnn_arena mem;
static bnn_tape tape;
static bnn_rng rng;
static bnn_params *w, *v;
static bnn_net net, student, teacher;
static bnn_data d;
static bnn_ensemble post;
static bnn_stepper s;
static bnn_meanfield q;
static bnn_laplace la;
static bnn_gaussian g, h;
static bnn_posterior fit;
static bnn_swag swag;
static bnn_ladder ladder;
static bnn_two_level two;
static bnn_epoch e;
static bnn_batch batch;
static bnn_mark mark;
static bnn_mat A, B, C, L, P, S, U, V, X, Y, values, vectors, seed, matrices[4];
static bnn_var *x, *y, *z, *a, *b, *u, *mu, *sd, *log_var, *loss, *state, *a_sd, *b_sd, *a_noise;
static bnn_var *b_noise, *f_x, *log_q, *nodes[2];
static bnn_image image;
static bnn_window window;
static bnn_csv csv;
static bnn_table table;
static bnn_recipe r;
static bnn_bytes packed;
static bnn_checkpoint c;
static bnn_arrays arrays;
static bnn_emitted file;
static bnn_edge edges[2];
static size_t n, k, i, size, chain, *index;
static float numbers[6], alpha[3], p[3], out[3];
static double alphas[3], beta, energies[3], steps[3], curve[3], other[3];
static int sampling;
static unsigned char keep[3];
static void *user, *memory;
static const void *bytes;
static const char *text;
static char *texts[3];
static void backward(bnn_var *self) { (void)self; }
static bnn_var *f(bnn_tape *t, void *p_) { (void)p_; return bnn_scalar(t, 0); }
static double cdf(void *p_, double t, const double *theta) { return (void)p_, t + theta[0]; }
static double statistic(void *p_, bnn_mat m) { return (void)p_, m.data[0]; }
void card(void);
void card(void) {
C
awk -F ' [|] ' '/^\| `/ { print NR " " $1 }' docs/card_api.md | while read -r line cell; do
    echo "$cell" | grep -o '`[^`]*`' | tr -d '`' | while read -r call; do
        printf '#line %d "docs/card_api.md"\n{ %s; }\n' "$line" "$call"
    done
done >>"$dir/card.in"
cat "$dir/card.in" >>"$dir/card.c"
echo '}' >>"$dir/card.c"
calls=$(grep -c '^{' "$dir/card.in")
rm -f "$dir/card.in"
wrong=
${CC:-cc} -std=c99 -Wall -Werror -Wno-unused -I"${BNN:-.}" -c "$dir/card.c" -o "$dir/card.o" 2>"$dir/error" ||
    wrong=$(grep error "$dir/error" | head -n 20)
result "the $calls calls of docs/card_api.md" "$wrong"
[ "$calls" -gt 300 ] || result docs/card_api.md "only $calls calls found"

# The glossary: in order, each word once
wrong=$(grep -o '^| <a id="[^"]*"></a>\*\*[^*]*\*\*' docs/glossary.md | sed 's/.*>\*\*//; s/\*\*$//' |
    awk '{ k = tolower($0); gsub(/[^a-z0-9 ]/, " ", k); if (k "" <= last "") print $0 " out of order"; last = k }
         END { if (NR < 60) print NR " words" }')
result "docs/glossary.md, order" "$wrong"
wrong=$(anchors docs/glossary.md | sort | uniq -d)
result "docs/glossary.md, anchors" "${wrong:+twice: $wrong}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
