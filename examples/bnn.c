/* bnn.c -- Bayesian neural networks from the command line: fit, predict, report, distill, prune,
 * emit, info, export. One file on one header.
 *     cc -O2 -I.. bnn.c -o bnn -lm && ./bnn fit train.csv --target price -o model.bnn
 * `bnn --help` has the commands, docs/bnn.1 is the manual page. Any CSV with a header goes in; out
 * come predictions with error bars, a report in one HTML file, or the net as C source. */
#ifdef __has_include
#if __has_include(<stb/stb_image.h>) /* its zlib reads what np.savez_compressed writes */
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_SIMD
#include <stb/stb_image.h>
#include <stdlib.h>
#include <string.h>
static int inflated(void *to, size_t n, const void *from, size_t size) {
    char *copy = calloc(size + 4, 1); /* it wants the checksum that a zlib stream ends with */
    int made = 0;
    if (copy != NULL)
        memcpy(copy, from, size), made = stbi_zlib_decode_noheader_buffer(to, (int)n, copy,
                                                                          (int)size + 4);
    free(copy);
    return n > 0 && made == (int)n;
}
#define BNN_INFLATE inflated
#endif
#endif
#define BNN_STATIC
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "svg.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OK, FAILED, USAGE, ROUGH, CANCELED = 130 }; /* exit codes */

static const char help[] =
    "bnn: Bayesian neural networks on tables (CSV, .npy, .npz, .safetensors)\n"
    "  bnn fit TRAIN.csv --target COLUMN [-o MODEL]     a posterior; -o model.bnn\n"
    "      --task auto|regression|classes|counts        default: by the target's values\n"
    "      --hidden 50,50  --method M  --budget N  --seed N  --folds K  --skip a,b\n"
    "      without --hidden: the better of a line, 50 units, noise by row; 0: a line\n"
    "      M: auto nuts hmc sghmc sgld sgnht ensemble dropout meanfield laplace swag\n"
    "      --missing refuse|drop|mean|indicator  --decimal ,  --thousands .\n"
    "      --classes a,b  --max-classes N  --date-order day|month  --header yes|no\n"
    "      --resume MODEL                               goes on where Ctrl-C ended it\n"
    "  bnn predict MODEL NEW.csv [-o OUT.csv]           mean, sd, 5 and 95 percent, or class,\n"
    "                                                   probabilities, doubt (nats)\n"
    "  bnn report MODEL TEST.csv [-o REPORT.html]       how good it is, in one file\n"
    "      --unknown zero: a new class has no column; --missing as above; also in predict\n"
    "  bnn distill MODEL [DATA.csv] [-o SMALL] [--hidden 32] [--steps N]\n"
    "                                                   one net for all draws\n"
    "  bnn prune MODEL --fraction F [-o SMALL]          the weakest weights become 0; of one\n"
    "                                                   net, as distill makes it\n"
    "  bnn emit MODEL [DATA.csv] [-o MODEL.c] [--name F] [--storage float|half|int8]\n"
    "      [--draws N]                                  C source; its error on DATA\n"
    "  bnn info MODEL                                   what is in it\n"
    "  bnn export MODEL [-o DRAWS.npz]                  draws for NumPy and ArviZ\n"
    "--json: for machines. -o - is the standard output for CSV, HTML and C.\n"
    "Exit: 0 well, 1 failed, 2 usage, 3 fitted but see its notes, 130 interrupted and saved.\n";

static bnn_arena mem;
static bnn_tape tape;
static volatile sig_atomic_t stop;

typedef struct options {
    char **words; /* as they were given */
    int command;
    const char *files[2], *out, *resume, *target, *task, *hidden, *method, *skip,
        *missing, *name, *storage, *decimal, *thousands, *classes, *dates, *header, *unknown;
    int n_words, n_files, json;
    double budget, fraction;
    size_t folds, seed, steps, draws, max_classes;
} options;

typedef struct model {
    bnn_net net;
    bnn_ensemble post; /* count 0: one net */
    bnn_recipe recipe;
    bnn_bytes recipe_bytes, about, unfinished; /* the last: the states of fits */
    size_t chains;
    char method[16], kept[24], why[200]; /* the last two: of the models that were compared */
    struct { bnn_mat elpd, k_hat; double limit; size_t step; int finite; } loo; /* each step rows */
} model;

/* A page is made in a file without a name, or beside its place, and goes there when it is whole */
static FILE *page;
static char *page_path;

static void quit(int code) {
    if (page) (void)fclose(page), (void)(page_path ? remove(page_path) : 0);
    if ((fflush(stdout) != 0 || ferror(stdout)) && code != FAILED) {
        fputs("bnn: cannot write the standard output\n", stderr);
        code = FAILED;
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    exit(code);
}

/* A sentence of bnn.h, whose fields are options here: .max_classes is --max-classes, and
 * .decimal = ',' is --decimal , ; more gradients are a larger --budget */
static void put_sentence(const char *s) {
    static const char *const fields[] = { "missing", "skip", "classes", "max_classes", "decimal",
                                          "thousands", "date_order", "unknown", "header" };
    static const char *const calls[4][2] = {
        { "bnn_fit_more goes on", "--resume goes on" }, { "raise gradients", "a larger --budget" },
        { "bnn_fit_more, or raise gradients", "a larger --budget" },
        { "bnn_fit_more", "a larger --budget" } };
    for (; *s; s++) {
        size_t k = 0, n = 0, all = sizeof fields / sizeof *fields, c = 0;
        while (c < 4 && strncmp(s, calls[c][0], strlen(calls[c][0])) != 0) c++;
        if (c < 4) {
            fputs(calls[c][1], stderr);
            s += strlen(calls[c][0]) - 1;
            continue;
        }
        fputc(*s, stderr);
        if (*s != ' ' || s[1] != '.') continue;
        for (; k < all; k++) {
            n = strlen(fields[k]);
            if (strncmp(s + 2, fields[k], n) == 0 && strchr(" ,:;.)_", s[2 + n])) break;
        }
        if (k == all) continue;
        fputs("--", stderr);
        for (s += 2; n > 0; n--, s++) fputc(*s == '_' ? '-' : *s, stderr);
        if (strncmp(s, " = '", 4) == 0 && s[4] && s[5] == '\'')
            fprintf(stderr, " %c", s[4]), s += 6;
        s--;
    }
    fputc('\n', stderr);
}

static void die(const char *what) {
    fputs("bnn: ", stderr);
    put_sentence(what);
    quit(FAILED);
}

static void note(const char *what) {
    fputs("bnn: note: ", stderr);
    put_sentence(what);
}

static void usage(const char *what, const char *which) {
    fprintf(stderr, "bnn: %s%s; bnn --help has the commands\n", what, which);
    quit(USAGE);
}

static void check(void) {
    if (mem.err) die(mem.msg);
    if (tape.err) die(tape.msg);
}

/* ---- results for people and for machines */

static int json, items, quiet; /* quiet: the standard output is a file */

static void say_name(const char *name) {
    if (quiet) return;
    if (json) printf("%s\"%s\": ", items ? ", " : "{", name);
    else printf("%-22s ", name);
    items++;
}
static void say(const char *name, double v) {
    say_name(name);
    if (quiet) return;
    if (json && !(v - v == 0)) printf("null");
    else printf(fabs(v) < 1e15 && v == floor(v) ? "%.0f" : "%.6g", v); /* counts have all digits */
    if (!json) putchar('\n');
}
/* Bytes of the character at s; 0: it is not UTF-8 */
static size_t utf8(const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5
             ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
    return n;
}

static void say_text(const char *name, const char *text) {
    say_name(name);
    if (quiet) return;
    if (!json) { printf("%s\n", text); return; }
    putchar('"');
    for (size_t n; *text; text += n) {
        n = utf8(text);
        if (n == 0) n = 1, printf("\\ufffd"); /* bytes of another encoding */
        else if ((unsigned char)*text < 32) printf("\\u%04x", (unsigned)*text);
        else printf("%s%.*s", *text == '"' || *text == '\\' ? "\\" : "", (int)n, text);
    }
    putchar('"');
}
static void say_end(void) {
    if (json && !quiet) printf("%s}\n", items ? "" : "{");
    items = 0;
}

/* ---- options */

static const char *const commands[] = { "fit", "predict", "report", "distill", "prune", "emit",
                                        "info", "export" };
enum { FIT = 1, PREDICT = 2, REPORT = 4, DISTILL = 8, PRUNE = 16, EMIT = 32, INFO = 64,
       EXPORT = 128, ALL = 255, TABLE = FIT | PREDICT | REPORT | DISTILL | EMIT, COMMANDS = 8 };

static double number(const char *name, const char *text, double least) {
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= least)) usage("a number is needed behind ", name);
    return v;
}

static size_t whole_number(const char *name, const char *text) { /* 2^53 and less is exact */
    double v = number(name, text, 0), most = SIZE_MAX < 1ull << 53 ? SIZE_MAX : 1ull << 53;
    if (!(v <= most) || v > floor(v)) usage("a whole number is needed behind ", name);
    return (size_t)v;
}

static options parse(int argc, char **argv) {
    options o = { 0 };
    struct { const char *name; int of; const char **text; double *real; size_t *size; } table[] = {
        { "-o", ALL & ~INFO, &o.out, 0, 0 }, { "--target", FIT, &o.target, 0, 0 },
        { "--task", FIT, &o.task, 0, 0 }, { "--hidden", FIT | DISTILL, &o.hidden, 0, 0 },
        { "--method", FIT, &o.method, 0, 0 }, { "--skip", FIT, &o.skip, 0, 0 },
        { "--missing", FIT | PREDICT | REPORT, &o.missing, 0, 0 },
        { "--unknown", FIT | PREDICT | REPORT, &o.unknown, 0, 0 },
        { "--resume", FIT, &o.resume, 0, 0 }, { "--classes", FIT, &o.classes, 0, 0 },
        { "--date-order", FIT, &o.dates, 0, 0 }, { "--name", EMIT, &o.name, 0, 0 },
        { "--storage", EMIT, &o.storage, 0, 0 }, { "--decimal", TABLE, &o.decimal, 0, 0 },
        { "--thousands", TABLE, &o.thousands, 0, 0 }, { "--header", TABLE, &o.header, 0, 0 },
        { "--budget", FIT, 0, &o.budget, 0 }, { "--fraction", PRUNE, 0, &o.fraction, 0 },
        { "--max-classes", FIT, 0, 0, &o.max_classes }, { "--folds", FIT, 0, 0, &o.folds },
        { "--seed", FIT | DISTILL, 0, 0, &o.seed }, { "--steps", DISTILL, 0, 0, &o.steps },
        { "--draws", EMIT, 0, 0, &o.draws } };
    o.words = argv, o.n_words = argc;
    while (o.command < COMMANDS && strcmp(commands[o.command], argv[1]) != 0) o.command++;
    if (o.command == COMMANDS) usage("no such command: ", argv[1]);
    for (int i = 2; i < argc; i++) {
        size_t k, n = sizeof table / sizeof *table;
        if (strcmp(argv[i], "--json") == 0) { o.json = 1; continue; }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (o.n_files == 2) usage("one file too many: ", argv[i]);
            o.files[o.n_files++] = argv[i];
            continue;
        }
        for (k = 0; k < n && strcmp(table[k].name, argv[i]) != 0; k++) {}
        if (k == n) usage("no such option: ", argv[i]);
        if (!(table[k].of & 1 << o.command)) usage("not an option of this command: ", argv[i]);
        if (++i == argc) usage("something is needed behind ", table[k].name);
        if (table[k].text) *table[k].text = argv[i];
        if (table[k].real) *table[k].real = number(table[k].name, argv[i], 0);
        if (table[k].size) *table[k].size = whole_number(table[k].name, argv[i]);
    }
    if (o.thousands && strlen(o.thousands) != 1)
        usage("--thousands is one character and not ", o.thousands);
    if (o.out && strcmp(o.out, "-") == 0 && 1 << o.command & (FIT | DISTILL | PRUNE | EXPORT))
        usage("what this command makes is no text: it needs a file behind -o", "");
    json = o.json;
    quiet = o.out && strcmp(o.out, "-") == 0;
    return o;
}

/* The place of text in a list of n words, from 1; 0 if there is no text */
static int choice(const char *option, const char *text, const char *const *words, int n) {
    if (text == NULL) return 0;
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], text) == 0) return i + 1;
    usage(option, text);
    return 0;
}

static const char *const methods[] = { "auto", "nuts", "hmc", "sghmc", "sgld", "sgnht", "ensemble",
                                       "dropout", "meanfield", "laplace", "swag" };

/* 0-ended widths between d inputs and k outputs; "0": none */
static void sizes_of(size_t sizes[BNN_MAX_LAYERS + 1], const char *hidden, size_t d, size_t k) {
    size_t n = 0;
    sizes[n++] = d;
    for (const char *at = strcmp(hidden, "0") ? hidden : ""; *at; ) {
        char *end;
        long v = strtol(at, &end, 10);
        if (end == at || v < 1 || v > 100000 || (*end != ',' && *end != '\0') ||
            n + 2 > BNN_MAX_LAYERS)
            usage("--hidden wants widths like 50,50 and not ", hidden);
        sizes[n++] = (size_t)v;
        at = *end ? end + 1 : end;
    }
    sizes[n++] = k;
    sizes[n] = 0;
}

/* ---- tables and models */

static void cell(char **at, const char *text) { /* in quotes, which are doubled */
    char *p = *at;
    *p++ = '"';
    for (; *text; *p++ = *text++)
        if (*text == '"') *p++ = '"';
    *p++ = '"';
    *at = p;
}

/* Arrays as the text of a CSV: one column each, or NAME_1 .. NAME_k; c_1 .. c_k of an .npy */
static bnn_table table_of_arrays(const char *path) {
    bnn_table t = { 0 };
    bnn_arrays a = { 0 };
    char *text, *p, name[300], whole[340];
    size_t cols = 0, k, j;
    if (bnn_arrays_load(&mem, path, &a) != BNN_OK) die(mem.msg);
    for (k = 0; k < a.count; k++) {
        if (a.at[k].values.rows != a.at[0].values.rows) {
            snprintf(whole, sizeof whole, "%s: \"%.60s\" has %zu rows, \"%.60s\" has %zu", path,
                     a.at[k].name, a.at[k].values.rows, a.at[0].name, a.at[0].values.rows);
            die(whole);
        }
        cols += a.at[k].values.cols;
    }
    if (a.count == 0 || cols == 0 || a.at[0].values.rows > (SIZE_MAX / 16 - 640 * cols) / cols)
        die("arrays without columns, or too many");
    p = text = bnn_arena_alloc(&mem, (a.at[0].values.rows * 16 + 640) * cols + 1, 1);
    check();
    for (k = 0; k < a.count; k++)
        for (j = 0; j < a.at[k].values.cols; j++, *p++ = ',') {
            snprintf(name, sizeof name, "%.250s", a.at[k].name[0] ? a.at[k].name : "c");
            if (a.at[k].values.cols > 1 || a.at[k].name[0] == '\0')
                snprintf(whole, sizeof whole, "%s_%zu", name, j + 1);
            cell(&p, a.at[k].values.cols > 1 || a.at[k].name[0] == '\0' ? whole : name);
        }
    p[-1] = '\n';
    for (size_t i = 0; i < a.at[0].values.rows; i++, p[-1] = '\n')
        for (k = 0; k < a.count; k++)
            for (j = 0; j < a.at[k].values.cols; j++)
                p += sprintf(p, "%.9g,", (double)a.at[k].values.data[i * a.at[k].values.cols + j]);
    bnn_csv_desc d = { .header = 1 };
    if (bnn_table_parse(&mem, &t, text, (size_t)(p - text), d) != BNN_OK) die(mem.msg);
    snprintf(t.file, sizeof t.file, "%s", path);
    return t;
}

/* Names that are all numbers are the first row of a table that has none */
static int has_names(const bnn_table *t, bnn_csv_desc d) {
    for (size_t j = 0; j < t->cols; j++) {
        char text[64], *end;
        size_t n = 0;
        for (const char *s = t->columns[j].name; *s && n + 1 < sizeof text; s++)
            if (d.thousands == '\0' || *s != d.thousands)
                text[n++] = d.decimal && *s == d.decimal ? '.' : *s;
        text[n] = '\0';
        (void)strtod(text, &end);
        if (end == text || *end != '\0') return 1;
    }
    return 0;
}

static int all_numbers(const bnn_table *t) {
    size_t c = 0;
    while (c < t->cols && t->columns[c].kind == BNN_COLUMN_NUMBER) c++;
    return c == t->cols;
}

static bnn_table load_table(const options *o, const char *path) {
    static const char *const yes_no[] = { "yes", "no" }, *const marks[] = { ".", "," };
    static const char *const arrays[] = { ".npz", ".npy", ".safetensors" };
    bnn_table t = { 0 };
    int header = choice("--header is yes or no and not ", o->header, yes_no, 2);
    bnn_csv_desc d = { .header = header == 2 ? -1 : 1 };
    const char *end = strrchr(path, '.');
    for (int i = 0; i < 3 && end; i++)
        if (strcmp(end, arrays[i]) == 0) return table_of_arrays(path);
    if (choice("--decimal is . or , and not ", o->decimal, marks, 2) == 2) d.decimal = ',';
    if (o->thousands) d.thousands = o->thousands[0];
    if (bnn_table_load(&mem, path, &t, d) != BNN_OK) {
        bnn_arena again = { 0 }; /* a row of numbers and no more? */
        bnn_csv_desc plain = d;
        plain.header = -1;
        if (header != 0 || bnn_table_load(&again, path, &t, plain) != BNN_OK || t.rows != 1 ||
            !all_numbers(&t)) die(mem.msg);
        bnn_arena_free(&again);
        mem.err = BNN_OK, mem.msg[0] = '\0';
    } else if (header != 0 || has_names(&t, d)) return t;
    d.header = -1;
    if (bnn_table_load(&mem, path, &t, d) != BNN_OK) die(mem.msg);
    note("the first row is numbers, so the columns are 1, 2 ...; if it is names: .header yes");
    return t;
}

static void save_model(model *m, const char *path) {
    bnn_checkpoint c = { .nets = { &m->net } };
    char about[300];
    m->recipe_bytes = bnn_recipe_write(&mem, &m->recipe);
    snprintf(about, sizeof about, "%s %zu\n%s\n%s", m->method, m->chains, m->kept, m->why);
    if (m->unfinished.size) c.bytes[2] = &m->unfinished;
    m->about = (bnn_bytes){ about, strlen(about) + 1 };
    c.bytes[0] = &m->recipe_bytes, c.bytes[1] = &m->about;
    if (m->post.count) c.ensembles[0] = &m->post;
    check();
    if (bnn_checkpoint_save(&mem, path, &c) != BNN_OK) die(mem.msg);
}

/* Before the work of hours: is this a folder, or can no new file be made there? */
static void check_place(const char *path) {
    char text[400], *beside = (char *)bnn_arena_alloc(&mem, strlen(path) + 5, 1);
    check();
    FILE *f = fopen(path, "r+b");
    if (f) {
        fclose(f);
        return;
    }
    int error = errno;
    if (error == ENOENT) {
        f = fopen(strcat(strcpy(beside, path), ".try"), "wb");
        if (f) {
            fclose(f);
            remove(beside);
            return;
        }
        error = errno;
    } else if (error != EISDIR && error != ENOTDIR) return; /* one that is read-only is replaced */
    snprintf(text, sizeof text, "%s: cannot write: %s", path, strerror(error));
    die(text);
}

static model load_model(const char *path) {
    model m = { 0 };
    bnn_checkpoint c = { .nets = { &m.net }, .ensembles = { &m.post },
                         .bytes = { &m.recipe_bytes, &m.about } };
    int err = bnn_checkpoint_load(&mem, path, &c);
    if (err == BNN_EFORMAT || err == BNN_EARG) { /* perhaps one net, which has no ensemble */
        char first[BNN_MSG];
        memcpy(first, mem.msg, sizeof first);
        memset(&m, 0, sizeof m);
        c.ensembles[0] = NULL;
        err = bnn_checkpoint_load(&mem, path, &c);
        if (err != BNN_OK) die(first);
    }
    if (err != BNN_OK) die(mem.msg);
    if (bnn_recipe_read(&mem, &m.recipe, m.recipe_bytes) != BNN_OK) die(mem.msg);
    if (m.about.size > 0 && ((char *)m.about.data)[m.about.size - 1] == '\0')
        sscanf((char *)m.about.data, "%15s %zu\n%23[^\n]\n%199[^\n]", m.method, &m.chains, m.kept,
               m.why);
    if (strcmp(m.method, "unfinished") == 0)
        die("this fit was interrupted before its first draw: bnn fit with --resume goes on");
    if (m.net.params == NULL || m.net.mlp == NULL || m.net.mlp->desc.sizes[0] != m.recipe.x_cols)
        die("the recipe in this model is not that of its net");
    if (m.chains == 0 || m.post.count % m.chains != 0) m.chains = 1;
    return m;
}

/* A model for rows to come, which may have gaps or classes that those of the fit had not */
static model load_for(const options *o) {
    static const char *const missing[] = { "refuse", "drop", "mean" }, *const unknown[] =
        { "refuse", "zero" };
    int gaps = choice("--missing is refuse, drop or mean here and not ", o->missing, missing, 3);
    int other = choice("--unknown is refuse or zero and not ", o->unknown, unknown, 2);
    model m = load_model(o->files[0]);
    if (gaps) m.recipe.missing = gaps;
    if (other) m.recipe.unknown = other;
    return m;
}

static const bnn_ensemble *post_of(const model *m) { return m->post.count ? &m->post : NULL; }
static int is_classes(const model *m) { return m->net.likelihood == BNN_CATEGORICAL; }

/* The model's columns of a table; rows: which of it. Without target its fields are not looked at:
 * they may be missing in the rows to predict */
static bnn_data data_of(const model *m, const bnn_table *t, size_t **rows, int target) {
    bnn_data d;
    bnn_recipe r = m->recipe;
    if (!target) r.target.name = NULL;
    *rows = (size_t *)bnn_arena_alloc(&mem, t->rows, sizeof **rows);
    check();
    d = bnn_recipe_data(&mem, &r, t, *rows);
    check();
    if (target && d.y.rows == 0) die("the table has no values of the target, and they are needed");
    return d;
}

/* ---- fit */

static void interrupted(int which) { stop = 1, (void)signal(which, SIG_DFL); } /* again: at once */

static int is_terminal(void) {
#ifdef BNN__POSIX
    return isatty(2);
#else
    return 0;
#endif
}

enum { LINEAR, NET, BY_ROW, CHOSEN, FITS }; /* models, from the simplest; the best again */
static const char *const kind_names[] = { "linear", "net", "net, noise by row" };

typedef struct run { /* of fits: which, of how many, since when */
    size_t at, n;
    time_t start;
} run;

static int progress(void *user, size_t done, size_t total) { /* total: the budget at most */
    const run *r = (const run *)user;
    static time_t last;
    time_t now = time(NULL);
    if (now != last && done > 0 && is_terminal()) {
        double left = difftime(now, r->start) * ((double)total - (double)done) / (double)done;
        fputs("\r", stderr);
        if (r->n > 1) fprintf(stderr, "model %zu of %zu: ", r->at + 1, r->n);
        fprintf(stderr, "%3.0f %% of the budget, at most %.0f s left ",
                100 * (double)done / (double)total, left);
        last = now;
    }
    return stop;
}

static bnn_net make_net(const options *o, const bnn_recipe *r, int likelihood, int kind) {
    int classes = likelihood == BNN_CATEGORICAL;
    bnn_mlp_desc d = { .activation = classes ? BNN_RELU : BNN_TANH, .seed = o->seed,
                       .likelihood = kind == BY_ROW ? BNN_GAUSSIAN_HETERO : likelihood,
                       .prior = { .std = 1.5f, .fan_in = 1 },
                       .noise_learned = likelihood == BNN_GAUSSIAN && kind != BY_ROW };
    size_t k = classes ? r->target.n_classes : kind == BY_ROW ? 2 : 1;
    /* how far logits may go, the data say: classes apart need them large, noisy labels small */
    if (classes) d.prior.shape = d.prior.rate = 1;
    sizes_of(d.sizes, kind == LINEAR ? "" : o->hidden ? o->hidden : "50", r->x_cols, k);
    return bnn_mlp(bnn_params_new(&mem), d);
}

/* States of fits in one record: before each its size, 8 bytes with the lowest first */
static bnn_bytes pack_states(bnn_bytes one[FITS]) {
    bnn_bytes all = { 0 };
    unsigned char *p;
    for (int k = 0; k < FITS; k++) all.size += 8 + one[k].size;
    all.data = p = (unsigned char *)bnn_arena_alloc(&mem, all.size, 1);
    check();
    for (int k = 0; k < FITS; k++) {
        for (int i = 0; i < 8; i++) *p++ = (unsigned char)((uint64_t)one[k].size >> 8 * i & 255);
        if (one[k].size) memcpy(p, one[k].data, one[k].size);
        p += one[k].size;
    }
    return all;
}

static void load_states(const char *path, bnn_bytes one[FITS]) {
    bnn_bytes all = { 0 };
    bnn_checkpoint c = { .bytes = { [2] = &all } };
    int err = bnn_checkpoint_load(&mem, path, &c);
    if (err == BNN_EFORMAT && strstr(mem.msg, "but it was asked for"))
        die("what --resume names was not interrupted: there is nothing to resume");
    if (err != BNN_OK) die(mem.msg);
    unsigned char *p = (unsigned char *)all.data;
    for (int k = 0; k < FITS; k++) {
        uint64_t size = 0;
        for (int i = 0; i < 8 && all.size >= 8; i++) size |= (uint64_t)p[i] << 8 * i;
        if (all.size < 8 || size > all.size - 8) die("the state of the fit is not whole");
        one[k].data = p + 8, one[k].size = (size_t)size;
        p += 8 + one[k].size, all.size -= 8 + one[k].size;
    }
}

/* The command again, for a shell; folds are done */
static void say_resume(const options *o, const char *model) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=.,:/@%";
    fputs("bnn", stderr);
    for (int i = 1; i <= o->n_words; i++) {
        const char *word = i < o->n_words ? o->words[i] : model;
        int quote = word[strspn(word, plain)] != '\0' || *word == '\0';
        if (strcmp(word, "--folds") == 0 || strcmp(word, "--resume") == 0) { i++; continue; }
        fputs(i < o->n_words ? " " : " --resume ", stderr);
        if (quote) fputc('\'', stderr);
        for (; *word; word++) {
            if (*word == '\'') fputs("'\\'", stderr);
            fputc(*word, stderr);
        }
        if (quote) fputc('\'', stderr);
    }
    fputc('\n', stderr);
}

static bnn_posterior run_fit(const options *o, bnn_net *net, bnn_data data, bnn_bytes from,
                             double budget, run *r) {
    int method = choice("--method is none of those in the help: ", o->method, methods,
                        (int)(sizeof methods / sizeof *methods));
    bnn_fit_desc d = { .method = method > 1 ? method - 1 : 0, .gradients = budget,
                       .seed = o->seed, .progress = progress, .progress_user = r };
    r->start = time(NULL);
    bnn_posterior p = from.size ? bnn_fit_resume(&mem, net, data, from, d)
                                : bnn_fit(&mem, net, data, d);
    if (is_terminal()) fprintf(stderr, "\r%60s\r", "");
    return p;
}

/* elpd of each row left out by PSIS; k above its limit: the row's is too high. Of very many rows
 * every so many are enough to compare by. */
static void left_out(model *m, bnn_data d, size_t step) {
    size_t n = (d.x.rows - 1) / step + 1;
    if (m->loo.step == step) return; /* it was compared before */
    bnn_data some = { bnn_mat_new(&mem, n, d.x.cols), bnn_mat_new(&mem, n, d.y.cols) };
    m->loo.elpd = bnn_mat_new(&mem, 1, n), m->loo.k_hat = bnn_mat_new(&mem, 1, n);
    check();
    for (size_t i = 0; i < n; i++) {
        memcpy(some.x.data + i * d.x.cols, d.x.data + i * step * d.x.cols,
               d.x.cols * sizeof(float));
        memcpy(some.y.data + i * d.y.cols, d.y.data + i * step * d.y.cols,
               d.y.cols * sizeof(float));
    }
    bnn_mat lp = bnn_predict_log_lik_samples(&mem, &tape, &m->net, &m->post, some);
    check();
    bnn_loo l = bnn_diag_loo(&mem, m->loo.elpd, m->loo.k_hat, lp, 0);
    m->loo.limit = l.k_max, m->loo.step = step, m->loo.finite = l.elpd - l.elpd == 0;
}

static void explain(model *m, const char *who, const char *what) {
    size_t used = strlen(m->why);
    snprintf(m->why + used, sizeof m->why - used, "%s%s: %s", used ? "; " : "", who, what);
}

/* ln p of rows that were held out, in the place of left_out's */
static void held_out(model *m, bnn_data d) {
    bnn_mat lp = bnn_predict_log_lik(&mem, &tape, &m->net, &m->post, d);
    check();
    lp.cols = lp.rows, lp.rows = 1;
    m->loo.elpd = lp, m->loo.k_hat = bnn_mat_new(&mem, 1, lp.cols), m->loo.limit = 1;
    check();
    m->loo.finite = bnn_mat_finite(lp);
}

/* Is ln p of rows left out higher under the richer model b? Where its k-hat is too high, PSIS
 * flatters it: such a row may speak against it, not for it. held: d was held out of both fits. */
static int is_better(model *a, model *b, bnn_data d, int held) {
    const char *score = held ? "ln p of rows held out" : "elpd_loo";
    char who[64], what[96];
    size_t unsure = 0, most = a->post.count > b->post.count ? a->post.count : b->post.count;
    size_t step = most * d.x.rows / ((size_t)1 << 23) + 1; /* the same rows of both */
    if (held) held_out(a, d), held_out(b, d);
    else left_out(a, d, step), left_out(b, d, step);
    if (!a->loo.finite || !b->loo.finite) {
        snprintf(what, sizeof what, "%s is not finite", score);
        explain(a, b->loo.finite ? a->kept : b->kept, what);
        return b->loo.finite;
    }
    bnn_mat pa = a->loo.elpd, pb = bnn_mat_copy(&mem, b->loo.elpd); /* its own stay as they are */
    check();
    for (size_t i = 0; i < pb.cols; i++)
        if (!(b->loo.k_hat.data[i] <= (float)b->loo.limit) && pb.data[i] > pa.data[i])
            pb.data[i] = pa.data[i], unsure++;
    bnn_comparison c = bnn_diag_compare(pb, pa);
    int len = snprintf(what, sizeof what, "%s %+.1f, se %.1f", score, c.difference, c.se);
    if (unsure) snprintf(what + len, sizeof what - (size_t)len, " (%zu rows not counted)", unsure);
    snprintf(who, sizeof who, "%s over %s", b->kept, a->kept);
    explain(a, who, what);
    return c.difference > 0;
}

/* Fits one model, or a few and keeps one of them. Samplers only: other draws are no posterior that
 * a row could be left out of. With minibatches the chains of a net do not mix well enough for PSIS,
 * and rows are many: a fifth is held out, and what is chosen is fitted again with all rows. On the
 * way what was interrupted is written, and what was made. */
static bnn_posterior fit_models(const options *o, model *m, bnn_data d, int likelihood,
                                bnn_bytes states[FITS]) {
    int method = choice("", o->method, methods, (int)(sizeof methods / sizeof *methods));
    int sampler = method > 1 ? method - 1 : 0, last = likelihood == BNN_GAUSSIAN ? BY_ROW : NET;
    int one = o->hidden != NULL || sampler > BNN_FIT_SGNHT;
    bnn_net *net = (bnn_net *)bnn_arena_alloc(&mem, FITS, sizeof *net); /* as long as the fits */
    bnn_posterior p[FITS], best = { 0 };
    bnn_data train = d, test = d;
    int from = one ? NET : LINEAR, to = one ? NET : last, held = 0, chosen = from;
    run r = { .n = (size_t)(to - from + 1) };
    check();
    for (int kind = from; kind <= to; kind++) net[kind] = make_net(o, &m->recipe, likelihood, kind);
    check();
    double budget = o->budget / (double)r.n;
    if (!one && sampler != BNN_FIT_NUTS && sampler != BNN_FIT_HMC &&
        (double)d.x.rows * (double)net[NET].params->n > 2e6) { /* as bnn_fit chooses minibatches */
        bnn_rng rng = bnn_rng_seed(o->seed);
        size_t *fold = bnn_data_folds(&mem, d, 5, likelihood == BNN_CATEGORICAL, &rng);
        check();
        test = bnn_data_fold(&mem, d, fold, 0, 0), train = bnn_data_fold(&mem, d, fold, 0, 1);
        check();
        held = 1, budget = (o->budget > 0 ? o->budget : 4e5) / (2 * (double)r.n), r.n++;
    }
    for (int kind = from; kind <= to; kind++, r.at++) {
        model next = *m;
        p[kind] = run_fit(o, &net[kind], train, states[kind], budget, &r);
        check();
        next.net = net[kind], next.post = p[kind].post, next.chains = p[kind].chains;
        next.loo.step = 0;
        if (!one) snprintf(next.kept, sizeof next.kept, "%s", kind_names[kind]);
        int canceled = p[kind].err == BNN_ECANCEL, first = best.post.count == 0;
        if (!one && !canceled && p[kind].post.count == 0)
            explain(m, next.kept, "no draws in its part of the budget");
        if (first || (!canceled && p[kind].post.count && is_better(m, &next, test, held))) {
            snprintf(next.why, sizeof next.why, "%s", m->why);
            *m = next, best = p[kind], chosen = kind;
        }
        if (!canceled) continue;
        for (int k = from; k <= kind; k++) states[k] = bnn_fit_write(&mem, &p[k]);
        check();
        best.err = BNN_ECANCEL;
        return best;
    }
    if (!held) return best;
    if (best.post.count == 0) chosen = NET; /* nothing was compared */
    snprintf(m->kept, sizeof m->kept, "%s", kind_names[chosen]);
    net[CHOSEN] = make_net(o, &m->recipe, likelihood, chosen);
    check();
    best = run_fit(o, &net[CHOSEN], d, states[CHOSEN], o->budget / 2, &r);
    check();
    m->net = net[CHOSEN], m->post = best.post, m->chains = best.chains;
    if (best.err != BNN_ECANCEL) return best;
    for (int k = from; k <= to; k++) states[k] = bnn_fit_write(&mem, &p[k]);
    states[CHOSEN] = bnn_fit_write(&mem, &best);
    check();
    return best;
}

/* Error of classes or root mean square, and ln p per row */
static void score(const model *m, bnn_data d, double *error, double *nll) {
    bnn_mat mean = bnn_predict(&mem, &tape, &m->net, post_of(m), d.x).mean;
    bnn_mat lp = bnn_predict_log_lik(&mem, &tape, &m->net, post_of(m), d);
    check();
    *error = is_classes(m) ? bnn_metric_error(mean, d.y) : bnn_metric_rmse(mean, d.y);
    *nll = -bnn_mat_sum(lp) / (double)d.y.rows;
}

/* What stands for missing fields comes from the rows that train */
static int folds(const options *o, model *m, const bnn_table *t, bnn_data d, const size_t *rows,
                 int likelihood) { /* 1: interrupted */
    bnn_rng rng = bnn_rng_seed(o->seed);
    size_t *fold = bnn_data_folds(&mem, d, o->folds, likelihood == BNN_CATEGORICAL, &rng);
    size_t *train = (size_t *)bnn_arena_alloc(&mem, d.x.rows, sizeof *train);
    double error = 0, nll = 0, n = 0;
    for (size_t k = 0; k < o->folds; k++) {
        model one = *m;
        size_t used = 0, *ignored;
        double e, l;
        check();
        for (size_t i = 0; i < d.x.rows; i++)
            if (fold[i] != k) train[used++] = rows[i];
        bnn_recipe_means(&mem, &one.recipe, t, train, used);
        bnn_data all = data_of(&one, t, &ignored, 1), test = bnn_data_fold(&mem, all, fold, k, 0);
        bnn_bytes none[FITS] = { { 0 } };
        bnn_data rest = bnn_data_fold(&mem, all, fold, k, 1);
        bnn_posterior p = fit_models(o, &one, rest, likelihood, none);
        if (p.err == BNN_ECANCEL) return 1;
        if (p.post.count == 0) die(p.n_notes ? p.notes[0] : "no draws");
        score(&one, test, &e, &l);
        error += (likelihood == BNN_CATEGORICAL ? e : e * e) * (double)test.y.rows;
        nll += l * (double)test.y.rows;
        n += (double)test.y.rows;
    }
    bnn_recipe_means(&mem, &m->recipe, t, NULL, t->rows);
    say("folds", (double)o->folds);
    if (likelihood == BNN_CATEGORICAL) say("error, folds", error / n);
    else say("rmse, folds", sqrt(error / n)); /* of all rows; in folds of one row it is |error| */
    say("nll, folds", nll / n);
    return 0;
}

static int fit(const options *o) {
    static const char *const tasks[] = { "auto", "regression", "classes", "counts" };
    static const char *const missing[] = { "refuse", "drop", "mean", "indicator" };
    time_t start = time(NULL);
    model m = { 0 };
    bnn_bytes states[FITS] = { { 0 } };
    const char *out = o->out ? o->out : o->resume ? o->resume : "model.bnn";
    size_t *rows;
    int task = choice("--task is none of those in the help: ", o->task, tasks, 4), likelihood;
    static const char *const orders[] = { "day", "month" }, *const unknown[] = { "refuse", "zero" };
    int gaps = choice("--missing is none of those in the help: ", o->missing, missing, 4);
    int order = choice("--date-order is day or month and not ", o->dates, orders, 2);
    if (o->target == NULL || o->n_files != 1) usage("fit wants a table and --target", "");
    bnn_table t = load_table(o, o->files[0]);
    const char *target = o->target;
    char place[24], *classes = (char *)bnn_arena_alloc(&mem, sizeof place + strlen(target) + 2 +
                                            (o->classes ? strlen(o->classes) : 0), 1);
    check();
    strcpy(classes, o->classes ? o->classes : "");
    for (size_t c = 0; c < t.cols && strchr(target, ','); c++) /* which ends a name in a list */
        if (strcmp(t.columns[c].name, o->target) == 0)
            snprintf(place, sizeof place, "%zu", c + 1), target = place;
    if (task == 3) strcat(strcat(classes, ","), target);
    m.recipe = bnn_recipe_new(&mem, &t, (bnn_recipe_desc){ .target = o->target, .skip = o->skip,
        .missing = gaps, .classes = classes, .max_classes = o->max_classes, .date_order = order,
        .unknown = choice("--unknown is refuse or zero and not ", o->unknown, unknown, 2) });
    check();
    if (task < 2)
        task = m.recipe.target.kind == BNN_COLUMN_CLASS ||
               m.recipe.target.kind == BNN_COLUMN_YESNO ? 3 : 2;
    likelihood = task == 3 ? BNN_CATEGORICAL : task == 4 ? BNN_POISSON : BNN_GAUSSIAN;
    if (likelihood == BNN_CATEGORICAL && m.recipe.target.n_classes < 2)
        die("the target has fewer than two classes");
    if (likelihood != BNN_CATEGORICAL && m.recipe.target.kind == BNN_COLUMN_CLASS)
        die("the target is classes, which are no numbers: --task classes");
    bnn_data d = data_of(&m, &t, &rows, 1);
    if (o->resume) load_states(o->resume, states);
    check_place(out);
    (void)signal(SIGINT, interrupted);
    if (o->folds > 0 && folds(o, &m, &t, d, rows, likelihood)) {
        fprintf(stderr, "bnn: interrupted in the folds, before the fit: nothing is saved\n");
        return CANCELED;
    }
    bnn_posterior p = fit_models(o, &m, d, likelihood, states);
    int canceled = p.err == BNN_ECANCEL;
    snprintf(m.method, sizeof m.method, "%s", p.post.count ? methods[p.method] : "unfinished");
    if (p.post.count == 0 && !canceled) die(p.n_notes ? p.notes[0] : "no draws");
    if (canceled) m.unfinished = pack_states(states);
    save_model(&m, out);
    say_text("model", out);
    say_text("task", tasks[task - 1]);
    say("rows", (double)d.x.rows);
    say("columns of x", (double)d.x.cols);
    if (m.why[0]) say_text("kept", m.kept), say_text("why", m.why);
    say("weights", (double)m.net.params->n);
    say_text("method", m.method);
    say("draws", (double)m.post.count);
    say("R-hat", p.rhat);
    say("ESS", p.ess_bulk < p.ess_tail ? p.ess_bulk : p.ess_tail);
    say("seconds", difftime(time(NULL), start));
    say_end();
    for (size_t i = 0; i < p.n_notes; i++) note(p.notes[i]);
    if (!canceled) return p.reached ? OK : ROUGH;
    fprintf(stderr, "bnn: interrupted; %zu draws and the state of the fit are saved. This goes "
            "on:\n", m.post.count);
    say_resume(o, out);
    return CANCELED;
}

/* ---- predict */

static void put_text(const char *path, const void *bytes, size_t size) {
    bnn_emitted c = { .size = size };
    if (path == NULL || strcmp(path, "-") == 0) {
        if (fwrite(bytes, 1, size, stdout) != size || fflush(stdout) != 0) die("cannot write");
        return;
    }
    memcpy(&c.text, &bytes, sizeof c.text);
    if (bnn_emit_save(&mem, path, &c) != BNN_OK) die(mem.msg);
}

static int predict(const options *o) {
    bnn_table out = { 0 };
    size_t *rows, size;
    void *bytes;
    if (o->n_files != 2) usage("predict wants a model and a table", "");
    model m = load_for(o);
    bnn_table t = load_table(o, o->files[1]);
    bnn_data d = data_of(&m, &t, &rows, 0);
    bnn_predictive p = bnn_predict(&mem, &tape, &m.net, post_of(&m), d.x);
    check();
    out.rows = d.x.rows;
    if (is_classes(&m)) {
        char **cells = (char **)bnn_arena_alloc(&mem, d.x.rows, sizeof *cells);
        for (size_t i = 0; cells && i < d.x.rows; i++)
            cells[i] = m.recipe.target.classes[bnn_mat_row_argmax(p.mean, i)];
        bnn_table_add_text(&mem, &out, m.recipe.target.name, cells);
        for (size_t k = 0; k < p.mean.cols; k++) {
            const char *label = bnn_recipe_label(&m.recipe, k);
            char *name = (char *)bnn_arena_alloc(&mem, strlen(label) + 4, 1);
            check();
            sprintf(name, "p(%s)", label);
            bnn_table_add(&mem, &out, name, p.mean, k);
        }
        bnn_table_add(&mem, &out, "doubt", p.mutual_information, 0);
    } else {
        bnn_mat sd = bnn_mat_new(&mem, d.x.rows, 1);
        bnn_mat lo = bnn_predict_quantile(&mem, &tape, &m.net, post_of(&m), d.x, 0.05f);
        bnn_mat hi = bnn_predict_quantile(&mem, &tape, &m.net, post_of(&m), d.x, 0.95f);
        check();
        for (size_t i = 0; i < d.x.rows; i++)
            sd.data[i] = sqrtf(p.aleatoric.data[i] + p.epistemic.data[i]);
        bnn_table_add(&mem, &out, m.recipe.target.name, p.mean, 0);
        bnn_table_add(&mem, &out, "sd", sd, 0);
        bnn_table_add(&mem, &out, "5 percent", lo, 0);
        bnn_table_add(&mem, &out, "95 percent", hi, 0);
    }
    check();
    if (bnn_table_write(&mem, &out, &bytes, &size) != BNN_OK) die(mem.msg);
    put_text(o->out, bytes, size);
    if (mem.note[0]) note(mem.note);
    return OK;
}

/* ---- report */

static void html_row(FILE *f, const char *name, double v) {
    fputs("<tr><td>", f);
    svg_escape(f, name);
    fprintf(f, "<td>%.4g</tr>\n", v);
}

static int by_float(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Numbers: what was measured over what was said, coverage, and the ranks of y */
static void report_numbers(FILE *f, const model *m, bnn_data d) {
    enum { Q = 19, BINS = 20 };
    size_t n = d.y.rows, count[BINS] = { 0 };
    float size[Q / 2], inside[Q / 2];
    bnn_mat quantile[Q], mean = bnn_predict(&mem, &tape, &m->net, post_of(m), d.x).mean;
    double rmse = bnn_metric_rmse(mean, d.y), lo = INFINITY, hi = -INFINITY;
    for (int q = 0; q < Q; q++)
        quantile[q] = bnn_predict_quantile(&mem, &tape, &m->net, post_of(m), d.x,
                                           (float)(q + 1) / (Q + 1));
    check();
    for (size_t i = 0; i < n; i++) {
        int q = 0;
        while (q < Q && quantile[q].data[i] < d.y.data[i]) q++;
        count[q]++;
        lo = fmin(lo, fmin((double)d.y.data[i], (double)quantile[0].data[i]));
        hi = fmax(hi, fmax((double)d.y.data[i], (double)quantile[Q - 1].data[i]));
    }
    for (int k = 0; k < Q / 2; k++) {
        size[k] = (float)(Q - 1 - 2 * k) / (Q + 1);
        inside[k] = (float)bnn_metric_coverage(quantile[k], quantile[Q - 1 - k], d.y);
    }
    html_row(f, "root mean square error", rmse);
    html_row(f, "90 percent intervals hold, percent", 100 * (double)inside[0]);
    html_row(f, "their width", bnn_metric_width(quantile[0], quantile[Q - 1]));
    say("rmse", rmse), say("coverage90", (double)inside[0]);
    fputs("</table>\n", f);
    svg s = svg_inline(f, "Said and measured, with 90 percent intervals");
    svg_axes(&s, lo, hi, lo, hi, "prediction", m->recipe.target.name);
    svg_diagonal(&s);
    for (size_t i = 0; i < n; i += n / 400 + 1) { /* of many rows every so many */
        fprintf(f, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#0072b2\" stroke-opacity=\"0.3\"/>\n",
                svg_x(&s, (double)mean.data[i]), svg_y(&s, (double)quantile[0].data[i]),
                svg_y(&s, (double)quantile[Q - 1].data[i]));
        svg_points(&s, 1, mean.data + i, d.y.data + i, 1);
    }
    svg_close(&s);
    s = svg_inline(f, "Coverage");
    svg_coverage(&s, Q / 2, size, inside);
    svg_close(&s);
    if (m->net.likelihood == BNN_POISSON) return; /* ranks of counts are not flat */
    s = svg_inline(f, "Ranks of what was measured (PIT)");
    svg_ranks(&s, BINS, count, "rank in its own prediction; gray: 99 percent of flat ones");
    svg_close(&s);
}

static void report_classes(FILE *f, const model *m, bnn_data d) {
    size_t n = d.y.rows, k = m->recipe.target.n_classes;
    bnn_predictive p = bnn_predict(&mem, &tape, &m->net, post_of(m), d.x);
    check();
    bnn_reliability r = bnn_metric_reliability(p.mean, d.y, 10);
    double error = bnn_metric_error(p.mean, d.y);
    html_row(f, "wrong, percent", 100 * error);
    html_row(f, "calibration error (ECE, 10 bins)", r.ece);
    say("error", error), say("ece", r.ece);
    fputs("</table>\n", f);
    svg s = svg_inline(f, "Reliability");
    svg_reliability(&s, 10, r.confidence, r.accuracy, r.count);
    svg_close(&s);
    if (k == 3) {
        const char *names[3] = { m->recipe.target.classes[0], m->recipe.target.classes[1],
                                 m->recipe.target.classes[2] };
        int *color = (int *)bnn_arena_alloc(&mem, n, sizeof *color);
        check();
        for (size_t i = 0; i < n; i++) color[i] = (int)d.y.data[i];
        s = svg_inline(f, "What was said, colored by what was true");
        svg_simplex(&s, n, p.mean.data, color, names);
        svg_close(&s);
    }
    /* errors left if the most doubtful rows are given to a human */
    float *share = (float *)bnn_arena_alloc(&mem, 2 * n, sizeof(float)), *left = share + n;
    float *key = (float *)bnn_arena_alloc(&mem, 2 * n, sizeof(float));
    check();
    for (size_t i = 0; i < n; i++) {
        key[2 * i] = p.entropy.data[i];
        key[2 * i + 1] = (float)(bnn_mat_row_argmax(p.mean, i) != (size_t)d.y.data[i]);
    }
    qsort(key, n, 2 * sizeof(float), by_float);
    double wrong = 0, top = 0.01;
    for (size_t i = 0; i < n; i++) {
        wrong += (double)key[2 * i + 1];
        share[i] = (float)(i + 1) / (float)n, left[i] = (float)(100 * wrong / (double)(i + 1));
        if (i >= n / 20) top = fmax(top, (double)left[i]);
    }
    s = svg_inline(f, "Errors among the surest answers");
    svg_axes(&s, 0, 1, 0, 1.1 * top, "share of rows that is answered", "wrong, percent");
    svg_line(&s, n, share, left, 0);
    svg_close(&s);
}

/* Where the draws of each chain stand among those of all: flat, if chains say the same */
static void report_chain_ranks(FILE *f, const model *m, bnn_mat y) {
    enum { BINS = 10 };
    size_t n = y.rows / m->chains;
    float *key = (float *)bnn_arena_alloc(&mem, 2 * y.rows, sizeof(float));
    check();
    for (size_t i = 0; i < y.rows; i++) key[2 * i] = y.data[i], key[2 * i + 1] = (float)i;
    qsort(key, y.rows, 2 * sizeof(float), by_float);
    for (size_t k = 0; m->chains > 1 && k < m->chains && k < 4; k++) {
        size_t count[BINS] = { 0 };
        char name[80];
        for (size_t i = 0; i < y.rows; i++)
            if ((size_t)key[2 * i + 1] / n == k) count[i * BINS / y.rows]++;
        snprintf(name, sizeof name, "Ranks of the same in chain %zu, among all draws", k + 1);
        svg s = svg_inline(f, name);
        svg_ranks(&s, BINS, count, "rank; gray: 99 percent of flat ones, if draws were apart");
        svg_close(&s);
    }
}

/* Draws of mean ln p, one line per chain */
static void report_traces(FILE *f, const model *m, bnn_data d) {
    size_t n = m->post.count / m->chains, k = 0;
    double lo = INFINITY, hi = -INFINITY;
    if (m->post.count < 2) return;
    bnn_mat lp = bnn_predict_log_lik_samples(&mem, &tape, &m->net, &m->post, d);
    bnn_mat y = bnn_mat_new(&mem, m->post.count, 1), x = bnn_mat_new(&mem, n, 1);
    check();
    bnn_mat_row_mean(y, lp);
    for (size_t i = 0; i < y.rows; i++) {
        lo = fmin(lo, (double)y.data[i]), hi = fmax(hi, (double)y.data[i]);
        if (i < n) x.data[i] = (float)i;
    }
    svg s = svg_inline(f, "Traces: mean ln p of these rows under each draw");
    svg_axes(&s, 0, (double)n, lo, hi + 0.25 * (hi - lo), "draw", "mean ln p");
    for (; k < m->chains && k < 5; k++) {
        char name[24];
        snprintf(name, sizeof name, "chain %zu", k + 1);
        svg_line(&s, n, x.data, y.data + k * n, (int)k);
        if (k < 4) svg_key(&s, name, (int)k, 0);
    }
    svg_close(&s);
    report_chain_ranks(f, m, y);
}

/* Which inputs matter: what is lost of mean ln p if a column's values change places */
static void report_inputs(FILE *f, const model *m, bnn_data d, double base) {
    bnn_rng rng = bnn_rng_seed(1);
    size_t n = d.x.rows, *order = (size_t *)bnn_arena_alloc(&mem, n, sizeof *order);
    fputs("<h2>Which inputs matter</h2><p>ln p lost per row if the values of a column change "
          "places</p><table>\n", f);
    for (size_t j = 0; j < m->recipe.n_inputs; j++) {
        const bnn_feature *in = &m->recipe.inputs[j];
        size_t first = in->first, width = in->width + (in->indicator != 0);
        bnn_mark mark = bnn_arena_mark(&mem);
        bnn_data moved = { bnn_mat_copy(&mem, d.x), d.y };
        check();
        bnn_rng_permutation(&rng, n, order);
        for (size_t i = 0; i < n; i++)
            memcpy(moved.x.data + i * d.x.cols + first, d.x.data + order[i] * d.x.cols + first,
                   width * sizeof(float));
        bnn_mat lp = bnn_predict_log_lik(&mem, &tape, &m->net, post_of(m), moved);
        check();
        html_row(f, in->name, base - bnn_mat_sum(lp) / (double)n);
        bnn_arena_rewind(&mem, mark);
    }
    fputs("</table>\n", f);
}

static void report_surprises(FILE *f, const bnn_table *t, const size_t *rows, bnn_mat lp) {
    fputs("<h2>Rows that surprise</h2><table><tr><th>line of the file<th>ln p</tr>\n", f);
    float *key = (float *)bnn_arena_alloc(&mem, 2 * lp.rows, sizeof(float));
    check();
    for (size_t i = 0; i < lp.rows; i++) key[2 * i] = lp.data[i], key[2 * i + 1] = (float)i;
    qsort(key, lp.rows, 2 * sizeof(float), by_float);
    for (size_t i = 0; i < 10 && i < lp.rows; i++) {
        size_t row = rows[(size_t)key[2 * i + 1]];
        fprintf(f, "<tr><td>%zu<td>%.3g</tr>\n", t->lines ? t->lines[row] : row + 1,
                (double)key[2 * i]);
    }
    fputs("</table>\n", f);
}

static FILE *open_page(const char *path) {
    char text[400];
    if (strcmp(path, "-") == 0) return stdout;
#ifdef BNN__POSIX
    page = tmpfile();
    if (page) return page;
#endif
    page_path = (char *)bnn_arena_alloc(&mem, strlen(path) + 6, 1);
    check();
    strcat(strcpy(page_path, path), ".part");
    page = fopen(page_path, "w+b");
    snprintf(text, sizeof text, "%s: cannot write: %s", page_path, page ? "" : strerror(errno));
    if (page == NULL) die(text);
    return page;
}

static void close_page(FILE *f, const char *path) {
    long size = f == stdout ? 0 : ftell(f);
    if (fflush(f) != 0 || ferror(f) || size < 0) die("cannot write");
    if (f == stdout) return;
    char *bytes = (char *)bnn_arena_alloc(&mem, (size_t)size, 1);
    check();
    rewind(f);
    if (fread(bytes, 1, (size_t)size, f) != (size_t)size) die("cannot read what was written");
    put_text(path, bytes, (size_t)size);
}

static int report(const options *o) {
    size_t *rows;
    const char *path = o->out ? o->out : "report.html";
    if (o->n_files != 2) usage("report wants a model and a table", "");
    model m = load_for(o);
    bnn_table t = load_table(o, o->files[1]);
    bnn_data d = data_of(&m, &t, &rows, 1);
    FILE *f = open_page(path);
    bnn_mat lp = bnn_predict_log_lik(&mem, &tape, &m.net, post_of(&m), d);
    check();
    double mean = bnn_mat_sum(lp) / (double)d.y.rows;
    fputs("<!doctype html><meta charset=\"utf-8\"><title>", f);
    svg_escape(f, m.recipe.target.name);
    fputs("</title><style>body{font-family:sans-serif;max-width:62em;margin:2em auto;color:#000}"
          "td,th{padding:.1em 1em .1em 0;text-align:left}svg{margin:.3em}</style>\n<h1>", f);
    svg_escape(f, m.recipe.target.name);
    fprintf(f, "</h1>\n<p>%zu rows, %zu columns of x, %zu weights, %zu draws of %zu chains by "
               "%s</p>\n<table>\n", d.y.rows, d.x.cols, m.net.params->n, m.post.count, m.chains,
            m.method);
    if (m.why[0]) {
        fputs("<tr><td>model kept<td>", f), svg_escape(f, m.kept);
        fputs("</tr>\n<tr><td>why<td>", f), svg_escape(f, m.why), fputs("</tr>\n", f);
    }
    html_row(f, "mean ln p per row, nats", mean);
    say("nll", -mean);
    if (is_classes(&m)) report_classes(f, &m, d);
    else report_numbers(f, &m, d);
    report_traces(f, &m, d);
    report_inputs(f, &m, d, mean);
    report_surprises(f, &t, rows, lp);
    close_page(f, path);
    say_end();
    return OK;
}

/* ---- distill, prune, emit, info, export */

/* Inputs like those that the net was trained on, as far as its scaling tells */
static bnn_mat inputs_like(const model *m, size_t n) {
    const bnn_scaling *s = &m->net.scaling;
    bnn_mat x = bnn_mat_new(&mem, n, m->recipe.x_cols);
    bnn_rng rng = bnn_rng_seed(1);
    check();
    bnn_rng_fill_normal(&rng, n * x.cols, x.data);
    for (size_t i = 0; i < n * x.cols && s->x_mean.data; i++)
        x.data[i] = s->x_mean.data[i % x.cols] + s->x_std.data[i % x.cols] * x.data[i];
    return x;
}

static int distill(const options *o) {
    size_t *rows;
    int likelihood;
    if (o->n_files < 1) usage("distill wants a model", "");
    model m = load_model(o->files[0]), s = m;
    bnn_mat x = inputs_like(&m, 4000);
    if (o->n_files == 2) {
        bnn_table t = load_table(o, o->files[1]);
        x = data_of(&m, &t, &rows, 0).x;
    }
    likelihood = m.net.likelihood == BNN_GAUSSIAN ? BNN_GAUSSIAN_HETERO : m.net.likelihood;
    if (likelihood == BNN_POISSON) die("counts have no student yet");
    bnn_mlp_desc d = { .likelihood = likelihood, .seed = o->seed };
    sizes_of(d.sizes, o->hidden ? o->hidden : "32", x.cols, is_classes(&m) ?
             m.recipe.target.n_classes : 2);
    s.net = bnn_mlp(bnn_params_new(&mem), d);
    s.post = (bnn_ensemble){ 0 };
    snprintf(s.method, sizeof s.method, "distilled"), s.chains = 1;
    s.kept[0] = s.why[0] = '\0'; /* that was the teacher */
    bnn_predictive p = bnn_predict(&mem, &tape, &m.net, post_of(&m), x);
    check();
    if (bnn_net_standardize(&s.net, (bnn_data){ x, p.mean }) != BNN_OK) die(mem.msg);
    bnn_distill(&tape, &s.net, &m.net, post_of(&m), x, (bnn_distill_desc){
        .steps = o->steps ? o->steps : 10000, .lr = 2e-3f, .inputs = { .noise = 0.1f } });
    bnn_predictive q = bnn_predict(&mem, &tape, &s.net, NULL, x);
    check();
    save_model(&s, o->out ? o->out : "small.bnn");
    say("weights before", (double)(m.net.params->n * (m.post.count ? m.post.count : 1)));
    say("weights", (double)s.net.params->n);
    if (is_classes(&m)) say("other class, share", 1 - bnn_metric_agreement(p.mean, q.mean));
    else say("rmse to the teacher", bnn_metric_rmse(q.mean, p.mean));
    say_end();
    return OK;
}

/* |mean|/sd over the draws around one optimum; of one net |w| times its input's scale, which
 * standardization has made 1 */
static int prune(const options *o) {
    size_t zeros = 0;
    if (o->n_files != 1 || !(o->fraction > 0 && o->fraction < 1))
        usage("prune wants a model and --fraction between 0 and 1", "");
    model m = load_model(o->files[0]);
    size_t n = m.net.params->n, draws = m.post.count ? m.post.count : 1;
    float *all = m.post.count ? m.post.samples.data : m.net.params->theta;
    if (m.post.count && (m.chains > 1 || strcmp(m.method, "meanfield") != 0))
        die("draws of several optima have no weights in common: distill, then prune that");
    float *score_of = (float *)bnn_arena_alloc(&mem, n, sizeof(float));
    float *sorted = (float *)bnn_arena_alloc(&mem, n, sizeof(float));
    check();
    for (size_t i = 0; i < n; i++) {
        double a = 0, b = 0;
        for (size_t s = 0; s < draws; s++)
            a += (double)all[s * n + i], b += (double)all[s * n + i] * (double)all[s * n + i];
        a /= (double)draws, b = fmax(b / (double)draws - a * a, 0);
        score_of[i] = (float)(draws > 1 ? fabs(a) / sqrt(b + 1e-30) : fabs(a));
    }
    for (size_t k = 0; k < m.net.params->n_blocks; k++) /* biases, the noise stay */
        if (m.net.params->blocks[k].rows == 1 && m.net.params->blocks[k].name[0] != 'w')
            for (size_t i = 0; i < m.net.params->blocks[k].cols; i++)
                score_of[m.net.params->blocks[k].offset + i] = INFINITY;
    memcpy(sorted, score_of, n * sizeof(float));
    qsort(sorted, n, sizeof(float), by_float);
    for (size_t i = 0; i < n; i++) {
        if (score_of[i] < sorted[(size_t)(o->fraction * (double)n)])
            for (size_t s = 0; s < draws; s++) all[s * n + i] = score_of[i] = 0;
        zeros += score_of[i] == 0;
    }
    save_model(&m, o->out ? o->out : "small.bnn");
    say("weights", (double)n), say("of them 0", (double)zeros);
    say_end();
    return OK;
}

static int emit(const options *o) {
    static const char *const kinds[] = { "float", "half", "int8" };
    size_t *rows;
    if (o->n_files < 1) usage("emit wants a model", "");
    model m = load_model(o->files[0]);
    bnn_ensemble few = m.post;
    size_t keep = o->draws ? o->draws : 20;
    bnn_emit_desc d = { .name = o->name, .storage = choice("--storage is none of float, half, "
        "int8: ", o->storage, kinds, 3), .inputs = (const char *const *)m.recipe.x_names,
        .classes = is_classes(&m) ? (const char *const *)m.recipe.target.classes : NULL };
    if (few.count > keep) { /* every so many */
        few = bnn_ensemble_new(m.net.params, keep);
        check();
        for (size_t i = 0; i < keep; i++) {
            bnn_params w = bnn_ensemble_sample(&m.post, i * m.post.count / keep);
            bnn_ensemble_push_from(&few, &w, 1);
        }
        fprintf(stderr, "bnn: note: %zu of %zu draws; --draws takes more, bnn distill makes one "
                "net of all\n", keep, m.post.count);
    }
    if (o->n_files == 2) {
        bnn_table t = load_table(o, o->files[1]);
        d.x = data_of(&m, &t, &rows, 0).x;
    }
    bnn_emitted c = bnn_emit_c(&mem, &tape, &m.net, few.count ? &few : NULL, d);
    check();
    put_text(o->out ? o->out : "model.c", c.text, c.size);
    say("bytes of constants", (double)c.flash), say("bytes of arrays", (double)c.ram);
    if (d.x.rows) say("error", c.error);
    if (d.x.rows && is_classes(&m)) say("other class, share", c.changed);
    say_end();
    return OK;
}

static int info(const options *o) {
    char text[40];
    static const char *const likelihoods[] = { "", "numbers", "numbers, noise by row",
        "numbers, double exponential noise", "numbers, Student noise", "yes and no", "classes",
        "counts" };
    if (o->n_files != 1) usage("info wants a model", "");
    model m = load_model(o->files[0]);
    say_text("target", m.recipe.target.name);
    say_text("task", likelihoods[m.net.likelihood]);
    say("classes", (double)m.recipe.target.n_classes);
    for (size_t i = 0; i < m.recipe.n_inputs; i++) {
        snprintf(text, sizeof text, "input %zu", i + 1);
        say_text(text, m.recipe.inputs[i].name);
    }
    say("columns of x", (double)m.recipe.x_cols);
    for (size_t l = 0; l + 1 < m.net.mlp->n_layers; l++) {
        snprintf(text, sizeof text, "hidden %zu", l + 1);
        say(text, (double)m.net.mlp->desc.sizes[l + 1]);
    }
    say("weights", (double)m.net.params->n);
    if (m.why[0]) say_text("kept", m.kept), say_text("why", m.why);
    say_text("method", m.method);
    say("draws", (double)m.post.count), say("chains", (double)m.chains);
    say_end();
    return OK;
}

static int export(const options *o) {
    bnn_arrays a = { 0 };
    const char *path = o->out ? o->out : "draws.npz";
    if (o->n_files != 1) usage("export wants a model", "");
    model m = load_model(o->files[0]);
    if (m.post.count == 0) die("one net has no draws");
    bnn_ensemble *chain = (bnn_ensemble *)bnn_arena_alloc(&mem, m.chains, sizeof *chain);
    check();
    for (size_t k = 0; k < m.chains; k++) {
        size_t n = m.post.count / m.chains;
        chain[k] = m.post;
        chain[k].samples = bnn_mat_rows(m.post.samples, k * n, n);
        chain[k].weights = m.post.weights + k * n;
        chain[k].count = n;
    }
    bnn_arrays_add_draws(&mem, &a, chain, m.chains);
    check();
    if (bnn_arrays_save(&mem, path, &a) != BNN_OK) die(mem.msg);
    say_text("file", path), say("chains", (double)m.chains);
    say("draws", (double)(m.post.count / m.chains));
    say_end();
    return OK;
}

int main(int argc, char **argv) {
    static int (*const run[COMMANDS])(const options *o) = { fit, predict, report, distill, prune,
                                                            emit, info, export };
    for (int i = 1; i < argc || i == 1; i++)
        if (i == argc || strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            quit(OK);
        }
    options o = parse(argc, argv);
    quit(run[o.command](&o));
}
