/* test_files.c -- CSV, IDX and checkpoints: what they accept, what they refuse and how, that nothing
 * is left behind after a failure, and that a resumed run continues bit for bit. */
#if defined(__unix__) || defined(__APPLE__)
#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define HAVE_POSIX 1
#endif
#include "build.h"

/* ---- helpers */

static void little(unsigned char *to, const void *from, size_t n) { /* a number as files have it */
    const uint16_t one = 1;
    int forward = *(const unsigned char *)&one == 1;
    size_t i;
    for (i = 0; i < n; i++) to[i] = ((const unsigned char *)from)[forward ? i : n - 1 - i];
}

typedef struct heap { /* an allocator that fails call number `fail` and counts what is out */
    long calls, fail;
    size_t out;
} heap;

static void *heap_fn(void *user, void *ptr, size_t old_size, size_t new_size) {
    heap *h = (heap *)user;
    void *p;
    if (new_size == 0) {
        if (ptr != NULL) h->out -= old_size;
        free(ptr);
        return NULL;
    }
    if (h->calls++ == h->fail) return NULL;
    p = realloc(ptr, new_size);
    if (p != NULL) h->out += new_size - (ptr != NULL ? old_size : 0);
    return p;
}

static bnn_arena heap_arena(heap *h, long fail) {
    bnn_arena mem;
    memset(&mem, 0, sizeof mem);
    h->calls = 0;
    h->fail = fail;
    h->out = 0;
    mem.alloc.fn = heap_fn;
    mem.alloc.user = h;
    return mem;
}

static char test_dir[256] = ".";

static const char *path_of(const char *name) { /* two live at a time */
    static char path[2][400];
    static int k;
    k = !k;
    snprintf(path[k], sizeof path[k], "%s/%s", test_dir, name);
    return path[k];
}

static void put_file(const char *path, const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    if (f == NULL) return;
    CHECK(fwrite(bytes, 1, size, f) == size);
    fclose(f);
}

static size_t get_file(const char *path, unsigned char *bytes, size_t room) { /* 0 = not there */
    FILE *f = fopen(path, "rb");
    size_t n = f == NULL ? 0 : fread(bytes, 1, room, f);
    if (f != NULL) fclose(f);
    return n;
}

static int has(const char *text, const char *part) {
    int found = strstr(text, part) != NULL;
    if (!found) printf("    \"%s\" does not say \"%s\"\n", text, part);
    return found;
}

static bnn_arena mem; /* of the test at hand */

static int csv(bnn_csv *out, const char *text, bnn_csv_desc desc) {
    memset(out, 0, sizeof *out);
    return bnn_csv_parse(&mem, out, text, strlen(text), desc);
}

static int csv_is(const char *text, bnn_csv_desc desc, size_t rows, size_t cols, const double *v) {
    bnn_csv c;
    size_t i;
    int ok = csv(&c, text, desc) == BNN_OK && c.values.rows == rows && c.values.cols == cols;
    for (i = 0; ok && i < rows * cols; i++)
        ok = v[i] == -999 ? c.values.data[i] != c.values.data[i]
                          : memcmp(&c.values.data[i], &(float){ (float)v[i] }, sizeof(float)) == 0;
    if (!ok) printf("    \"%.40s\": %s\n", text, mem.msg);
    return ok;
}

static int csv_fails(const char *text, bnn_csv_desc desc, int err, const char *sentence) {
    bnn_csv c, before;
    bnn_mark mark = bnn_arena_mark(&mem), now;
    int got;
    memset(&c, 0x55, sizeof c);
    before = c;
    got = bnn_csv_parse(&mem, &c, text, strlen(text), desc);
    now = bnn_arena_mark(&mem);
    return got == err && has(mem.msg, sentence) && mem.err == BNN_OK &&
           memcmp(&c, &before, sizeof c) == 0 && (mark.chunk == NULL || now.used == mark.used);
}

#define MISSING -999
static const bnn_csv_desc csv_auto = { 0 };

/* ---- numbers */

static double number(const char *s) {
    double d = 12345;
    const char *end = s + strlen(s);
    return bnn__number(s, end, &d) == end ? d : bnn__nan();
}

static void numbers_are_the_nearest_double_up_to_15_digits(void) {
    static const char *const text[] = {
        "0", "-0", "1", "+1", "-1.5", ".5", "5.", "3.14159265358979", "1e22", "1e-22", "123e20",
        "0.1", "1E5", "1e+5", "00012.500", "9007199254740992", "0.000001", "999999999999999",
        "1.0000000000000", "000000000000000000000000001", "0.3e1", "4e0", "1e00000000000000005" };
    size_t i;
    for (i = 0; i < sizeof text / sizeof *text; i++) CHECK_SAME(number(text[i]), strtod(text[i], NULL));
    CHECK_SAME(number("0e999999999999999999999"), 0);
    CHECK_SAME(number("-0.0e5"), -0.0);
    CHECK_SAME(number("1e-400"), 0);
    CHECK(number("1e400") > 1e308);
    CHECK(number("1e99999999999999999999999") > 1e308);
    CHECK_SAME(number("1e-99999999999999999999999"), 0);
}

static void numbers_of_any_length_are_within_5_units_in_the_last_place(void) {
    bnn_rng r = bnn_rng_seed(7);
    char text[400];
    double worst = 0;
    int k, exact = 0;
    for (k = 0; k < 200000; k++) {
        uint64_t bits = (uint64_t)bnn_rng_u32(&r) << 32 | bnn_rng_u32(&r);
        double d, got, ulp;
        memcpy(&d, &bits, sizeof d);
        if (!bnn__finite_d(d) || fabs(d) < 1e-290) continue;
        snprintf(text, sizeof text, k % 2 ? "%.17g" : "%.25e", d);
        d = strtod(text, NULL);
        got = number(text);
        ulp = nextafter(fabs(d), HUGE_VAL) - fabs(d);
        if (fabs(got - d) / ulp > worst) worst = fabs(got - d) / ulp;
        exact += got == d;
    }
    CHECK(worst < 5);
    CHECK(exact > 0);
    for (k = 0; k < 200000; k++) { /* floats as programs print them come back */
        double x = (double)bnn_rng_normal(&r) * pow(10, (double)bnn_rng_below(&r, 60) - 30);
        float got, want;
        snprintf(text, sizeof text, "%.9g", x);
        got = (float)number(text);
        want = (float)strtod(text, NULL);
        if (sizeof(float) != 4 || fabs(x) > 1e38 || fabs(x) < 1e-37) continue;
        if (!CHECK_SAME(got, want)) printf("    %s\n", text);
    }
    CHECK_NEAR(number("0.1000000000000000055511151231257827021181583404541015625"), 0.1, 5e-17);
    CHECK_NEAR(number("123456789012345678901234567890") / 123456789012345678901234567890.0, 1, 1e-15);
    memset(text, '0', sizeof text);
    memcpy(text, "0.", 2);
    memcpy(text + 350, "1e349", 6);
    CHECK_NEAR(number(text), 1, 1e-15); /* 0.000...1e349: 348 zeros */
}

static void what_is_not_a_decimal_number_is_refused(void) {
    static const char *const text[] = { "", "-", "+", ".", "-.", "e5", "1e", "1e+", "0x10", "1,5", "--1",
                                        "1.2.3", "1 2", "inf", "nan", "1f", "1_000", ".e1" };
    size_t i;
    for (i = 0; i < sizeof text / sizeof *text; i++) CHECK(number(text[i]) != number(text[i]));
}

/* ---- csv */

static void a_csv_has_rows_columns_and_names(void) {
    bnn_csv c;
    CHECK(csv(&c, "a,b c,\"d\"\n1,2,3\n4,5.5,-6e1\n", csv_auto) == BNN_OK);
    CHECK(c.values.rows == 2 && c.values.cols == 3 && c.missing == 0 && c.names != NULL);
    CHECK(strcmp(c.names[0], "a") == 0 && strcmp(c.names[1], "b c") == 0);
    CHECK(strcmp(c.names[2], "d") == 0);
    CHECK(c.values.data[4] == (float)5.5 && c.values.data[5] == -60);
    bnn_arena_free(&mem);
}

static void separators_are_found_in_the_first_line(void) {
    const double v[] = { 1, 2, 3, 4 }, gaps[] = { -999, -999, 3, 4 };
    bnn_csv_desc blanks = { .separator = ' ' }, bar = { .separator = '|' };
    CHECK(csv_is("1,2\n3,4\n", csv_auto, 2, 2, v));
    CHECK(csv_is("1;2\n3;4\n", csv_auto, 2, 2, v));
    CHECK(csv_is("1\t2\n3\t4\n", csv_auto, 2, 2, v));
    CHECK(csv_is("\"a,b,c\";x\n1;2\n3;4\n", csv_auto, 2, 2, v));
    CHECK(csv_is("1|2\n3|4\n", bar, 2, 2, v));
    CHECK(csv_is("1 2\n3 4\n", blanks, 2, 2, v));
    CHECK(csv_is("   1 \t  2 \t \n\t3\t4", blanks, 2, 2, v));
    CHECK(csv_is("1\n2\n3\n4\n", csv_auto, 4, 1, v));
    CHECK(csv_is("  \n \r\n1;2\n3;4\n", csv_auto, 2, 2, v)); /* a blank line has none */
    CHECK(csv_is("\t\n3\t4\n", csv_auto, 2, 2, gaps));       /* one of tabs has fields */
    bnn_arena_free(&mem);
}

static void line_ends_of_all_kinds_and_byte_order_marks_are_accepted(void) {
    const double v[] = { 1, 2, 3, 4 };
    CHECK(csv_is("1,2\r\n3,4\r\n", csv_auto, 2, 2, v));
    CHECK(csv_is("1,2\r3,4\r", csv_auto, 2, 2, v));
    CHECK(csv_is("1,2\r3,4", csv_auto, 2, 2, v));
    CHECK(csv_is("1,2\n3,4", csv_auto, 2, 2, v));
    CHECK(csv_is("\xef\xbb\xbf" "1,2\n3,4", csv_auto, 2, 2, v));
    CHECK(csv_is("\n\n1,2\n\n \t\n3,4\n\n\r\n", csv_auto, 2, 2, v)); /* blank lines do not count */
    CHECK(csv_is("  1 ,\t2\n 3,4  ", csv_auto, 2, 2, v));            /* nor blanks around numbers */
    bnn_arena_free(&mem);
}

static void quotes_hide_separators_line_ends_and_doubled_quotes(void) {
    const double v[] = { 1, 2 };
    bnn_csv c;
    CHECK(csv(&c, "\"a,\"\"b\"\"\",\"c\nd\"\n\"1\", \"2\" \n", csv_auto) == BNN_OK);
    CHECK(c.names != NULL && strcmp(c.names[0], "a,\"b\"") == 0 && strcmp(c.names[1], "c\nd") == 0);
    CHECK(c.values.rows == 1 && c.values.data[0] == 1 && c.values.data[1] == 2);
    CHECK(csv_is("x,\"\"\n1,2", csv_auto, 1, 2, v));
    CHECK(csv_is("x,\"\"\"\"\n1,2", csv_auto, 1, 2, v));
    CHECK(csv_fails("a\n\"1", csv_auto, BNN_EFORMAT, "csv: line 2, column 1: \"1\" has no closing quote"));
    CHECK(csv_fails("a\n\"1\"x", csv_auto, BNN_EFORMAT, "something behind its quote"));
    CHECK(csv_fails("\"a\nb\",c\n1,z\n", csv_auto, BNN_EFORMAT, "line 3, column 2"));
    CHECK(csv_fails("\"a\r\nb\r\",c\n1,z\n", csv_auto, BNN_EFORMAT, "line 4, column 2"));
    CHECK(csv_fails("1\"2,3\n", (bnn_csv_desc){ .header = -1 }, BNN_EFORMAT, "\"1\"2\" is not a number"));
    bnn_arena_free(&mem);
}

static void a_header_is_where_the_first_line_has_a_word_or_where_the_desc_says(void) {
    const double v[] = { 1, 2 }, w[] = { 0, 5, 1, 2 }, m[] = { MISSING, MISSING, 1, 2 };
    bnn_csv_desc yes = { .header = 1 }, no = { .header = -1 };
    bnn_csv c;
    CHECK(csv_is("year,setosa\n1,2\n", csv_auto, 1, 2, v));
    CHECK(csv_is("150,setosa\n1,2\n", yes, 1, 2, v));
    CHECK(csv_is("?,setosa\n1,2\n", csv_auto, 1, 2, v));
    CHECK(csv_is("0,5\n1,2\n", csv_auto, 2, 2, w));
    CHECK(csv_is("0,5\n1,2\n", yes, 1, 2, v));
    CHECK(csv(&c, "0,5\n1,2\n", yes) == BNN_OK && c.names != NULL && strcmp(c.names[1], "5") == 0);
    CHECK(csv_is("?,NA\n1,2\n", csv_auto, 2, 2, m)); /* missing is not a word */
    CHECK(csv_fails("a,b\n1,2\n", no, BNN_EFORMAT, "line 1, column 1: \"a\" is not a number"));
    CHECK(csv_fails("a,b\n", csv_auto, BNN_EFORMAT, "has a header and no rows"));
    bnn_arena_free(&mem);
}

static void a_first_row_of_numbers_and_words_is_not_guessed(void) {
    static const char *const mixed[] = {
        "5.1,n/b,2\n1,2,3\n4,5,6", "150,setosa\n1,2\n", "a,1\n1,2\n", "x;-inf\n1;2\n",
        "\"1\"\t\"a\"\n1\t2\n", "NA,3,b\n1,2,3\n", "\n\n1,2e5x\n1,2\n", "1e999,a\n1,2\n",
        "2020-01-01,1\n2020-01-02,2\n", "a,1\n", "\xef\xbb\xbfx,0\n1,2" };
    const double v[] = { 1, 2, 3, 4, 5, 6 }, w[] = { MISSING, 1, 2, 3 };
    bnn_csv_desc yes = { .header = 1 }, no = { .header = -1 };
    size_t i;
    for (i = 0; i < sizeof mixed / sizeof *mixed; i++)
        CHECK(csv_fails(mixed[i], csv_auto, BNN_EFORMAT, "csv: the first row has numbers and words: say .header"));
    CHECK(csv_is(mixed[0], yes, 2, 3, v));
    CHECK(csv_fails(mixed[0], no, BNN_EFORMAT, "line 1, column 2: \"n/b\" is not a number"));
    CHECK(csv_is(",1\n2,3\n", csv_auto, 2, 2, w)); /* missing is not a word */
    CHECK(csv_is("a,b,c\n1,2,3\n4,5,6", csv_auto, 2, 3, v));
    bnn_arena_free(&mem);
}

static void missing_fields_are_nan_and_counted_or_refused(void) {
    const double v[] = { 1, MISSING, MISSING, MISSING, MISSING, 6, MISSING, MISSING, MISSING };
    bnn_csv_desc reject = { .reject_missing = 1 };
    bnn_csv c;
    CHECK(csv_is("1,,NA\n?,nan,6\n-NaN,\"\", \n", csv_auto, 3, 3, v));
    CHECK(csv(&c, "1,,NA\n?,nan,6\n-NaN,\"\",\n", csv_auto) == BNN_OK && c.missing == 7);
    CHECK(csv_fails("1,2\n3,\n", reject, BNN_EFORMAT, "csv: line 2, column 2: \"\" is missing"));
    CHECK(csv_fails("1,2\n3,na\n", reject, BNN_EFORMAT, "\"na\" is missing"));
    bnn_arena_free(&mem);
}

static void bad_fields_are_named_by_line_and_column(void) {
    bnn_csv_desc quote = { .separator = '"' }, digit = { .separator = '3' };
    CHECK(csv_fails("1,2\n3,4\n5,abc\n", csv_auto, BNN_EFORMAT,
                    "csv: line 3, column 2: \"abc\" is not a number"));
    CHECK(csv_fails("1,2\n3\n", csv_auto, BNN_EFORMAT, "csv: line 2 has 1 columns, line 1 has 2"));
    CHECK(csv_fails("1,2\n3,4,\n", csv_auto, BNN_EFORMAT, "line 2 has 3 columns, line 1 has 2"));
    CHECK(csv_fails("1,2\n3,0123456789012345678901234567890123456789x\n", csv_auto, BNN_EFORMAT,
                    "\"012345678901234567890123...\" is not a number"));
    CHECK(csv_fails("1\na\tb\033[2J\n", (bnn_csv_desc){ .separator = ',' }, BNN_EFORMAT, "\"a b [2J\" is not"));
    CHECK(csv_fails("1\n0123456789012345678901\xc3\xa9\xc3\xa9\xc3\xa9\n", csv_auto, BNN_EFORMAT,
                    "\"0123456789012345678901\xc3\xa9...\"")); /* cut between characters */
    CHECK(csv_fails("1,inf\n", csv_auto, BNN_EFORMAT, "\"inf\" is not finite"));
    CHECK(csv_fails("1,-Infinity\n", csv_auto, BNN_EFORMAT, "is not finite"));
    CHECK(csv_fails("1,1e999\n", csv_auto, BNN_EFORMAT, "\"1e999\" is not finite"));
    if (sizeof(float) == 4) CHECK(csv_fails("1,1e39\n", csv_auto, BNN_EFORMAT, "not finite as a float"));
    CHECK(csv_fails("", csv_auto, BNN_EFORMAT, "csv: is empty"));
    CHECK(csv_fails(" \n\r\n\t", csv_auto, BNN_EFORMAT, "is empty"));
    CHECK(csv_fails("\xef\xbb\xbf", csv_auto, BNN_EFORMAT, "is empty"));
    CHECK(csv_fails("1,2", quote, BNN_EARG, "separator"));
    CHECK(csv_fails("1,2", digit, BNN_EARG, "separator"));
    bnn_arena_free(&mem);
}

static void a_zero_byte_is_not_text(void) {
    bnn_csv c;
    CHECK(bnn_csv_parse(&mem, &c, "1,2\n3,\0004\n", 9, csv_auto) == BNN_EFORMAT);
    CHECK(has(mem.msg, "byte 6 is zero: not a text file"));
    CHECK(bnn_csv_parse(&mem, &c, NULL, 0, csv_auto) == BNN_EFORMAT);
    CHECK(bnn_csv_parse(&mem, &c, NULL, 1, csv_auto) == BNN_EARG);
    CHECK(bnn_csv_parse(NULL, &c, "1", 1, csv_auto) == BNN_EARG);
    bnn_arena_free(&mem);
}

static void wide_first_rows_take_no_memory_for_rows_that_are_not_there(void) {
    static char text[60001];
    heap h;
    bnn_csv c;
    size_t i;
    for (i = 0; i < 30000; i++) text[i] = ',';
    for (; i < 60000; i += 2) memcpy(text + i, "\n1", 2);
    mem = heap_arena(&h, -1);
    CHECK(bnn_csv_parse(&mem, &c, text, 60000, csv_auto) == BNN_EFORMAT);
    CHECK(h.out == 0);
    bnn_arena_free(&mem);
    memset(&mem, 0, sizeof mem);
}

static void a_csv_in_an_arena_that_is_in_error_does_nothing(void) {
    bnn_csv c;
    mem.err = BNN_ESHAPE;
    CHECK(bnn_csv_parse(&mem, &c, "1", 1, csv_auto) == BNN_ESHAPE);
    mem.err = BNN_OK;
}

/* ---- idx */

static void idx_items_of_every_type_are_read(void) {
    const unsigned char u8[] = { 0, 0, 8, 1, 0, 0, 0, 3, 0, 127, 255 };
    const unsigned char s8[] = { 0, 0, 9, 1, 0, 0, 0, 3, 0, 127, 0x80 };
    const unsigned char s16[] = { 0, 0, 0x0b, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 0x80, 0, 0xff, 0xff };
    const unsigned char s32[] = { 0, 0, 0x0c, 1, 0, 0, 0, 2, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xfe };
    const unsigned char f32[] = { 0, 0, 0x0d, 1, 0, 0, 0, 3, 0xbf, 0xc0, 0, 0, 0, 0, 0, 1,
                                  0x7f, 0xc0, 0, 0 };
    const unsigned char f64[] = { 0, 0, 0x0e, 1, 0, 0, 0, 1, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0 };
    bnn_mat m;
    CHECK(bnn_idx_parse(&mem, &m, u8, sizeof u8) == BNN_OK);
    CHECK(m.rows == 3 && m.cols == 1 && m.data[1] == 127 && m.data[2] == 255);
    CHECK(bnn_idx_parse(&mem, &m, s8, sizeof s8) == BNN_OK && m.data[1] == 127 && m.data[2] == -128);
    CHECK(bnn_idx_parse(&mem, &m, s16, sizeof s16) == BNN_OK && m.rows == 1 && m.cols == 3);
    CHECK(m.data[0] == 258 && m.data[1] == -32768 && m.data[2] == -1);
    CHECK(bnn_idx_parse(&mem, &m, s32, sizeof s32) == BNN_OK && m.data[0] == 65536 && m.data[1] == -2);
    CHECK(bnn_idx_parse(&mem, &m, f32, sizeof f32) == BNN_OK && m.data[0] == (float)-1.5);
    CHECK(m.data[1] == (float)ldexp(1, -149) && m.data[2] != m.data[2]);
    CHECK(bnn_idx_parse(&mem, &m, f64, sizeof f64) == BNN_OK && m.data[0] == (float)-1.5);
    bnn_arena_free(&mem);
}

static void idx_images_become_one_row_each(void) {
    unsigned char b[16 + 24] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4 };
    unsigned char four[20 + 16] = { 0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2 };
    bnn_mat m;
    b[16 + 12] = 200;
    CHECK(bnn_idx_parse(&mem, &m, b, sizeof b) == BNN_OK && m.rows == 2 && m.cols == 12);
    CHECK(*bnn_mat_at(m, 1, 0) == 200);
    CHECK(bnn_idx_parse(&mem, &m, four, sizeof four) == BNN_OK && m.rows == 2 && m.cols == 8);
    bnn_arena_free(&mem);
}

static void bad_idx_files_are_refused_before_memory_is_taken(void) {
    static const struct { unsigned char b[24]; size_t n; const char *says; } bad[] = {
        { { 0 }, 0, "does not begin as an IDX" }, { { 0, 0, 8 }, 3, "does not begin" },
        { { 0x1f, 0x8b, 8, 0, 1, 2 }, 6, "is gzip: gunzip it first" },
        { { 0, 0, 8, 0 }, 4, "does not begin" }, { { 0, 0, 8, 5, 0 }, 24, "does not begin" },
        { { 0, 0, 10, 1, 0, 0, 0, 1, 7 }, 9, "does not begin" },
        { { 0, 0, 15, 1, 0, 0, 0, 1, 7 }, 9, "does not begin" },
        { { 0, 1, 8, 1, 0, 0, 0, 1, 7 }, 9, "does not begin" },
        { { 0, 0, 8, 1, 0, 0, 0 }, 7, "does not begin" },
        { { 0, 0, 8, 1, 0, 0, 0, 2, 7 }, 9, "array \"items\" promises 2 items of 1 bytes, there are 1 bytes" },
        { { 0, 0, 8, 1, 0, 0, 0, 1, 7, 7 }, 10, "promises 1 items of 1 bytes, there are 2 bytes" },
        { { 0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 0 }, 12, "array \"items\" is empty" },
        { { 0, 0, 14, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 },
          24, " promises " },
        { { 0, 0, 8, 4, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1 }, 20, " promises " } };
    heap h;
    bnn_mat m, before;
    size_t i;
    memset(&m, 0x55, sizeof m);
    before = m;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        mem = heap_arena(&h, -1);
        CHECK(bnn_idx_parse(&mem, &m, bad[i].b, bad[i].n) == BNN_EFORMAT);
        CHECK(has(mem.msg, bad[i].says));
        CHECK(h.calls == 0 && mem.err == BNN_OK && memcmp(&m, &before, sizeof m) == 0);
    }
    memset(&mem, 0, sizeof mem);
    if (sizeof(float) == 4) {
        const unsigned char big[] = { 0, 0, 14, 1, 0, 0, 0, 1, 0x7f, 0xe0, 0, 0, 0, 0, 0, 0 };
        CHECK(bnn_idx_parse(&mem, &m, big, sizeof big) == BNN_EFORMAT && has(mem.msg, "item 0"));
    }
    bnn_arena_free(&mem);
}

/* ---- checkpoints: a world with everything in it */

enum { N = 24 };
typedef struct world {
    bnn_arena mem;
    bnn_tape tape;
    float x[N], y[N];
    bnn_data data;
    bnn_net net;
    bnn_stepper step;
    bnn_ensemble post;
    bnn_checkpoint all;
} world;

enum { KINDS = 15 };
static bnn_stepper make_stepper(world *a, int kind) {
    bnn_params *w = a->net.params;
    switch (kind) {
    case 0: return bnn_sgd(w, (bnn_sgd_desc){ .lr = 0.01 });
    case 1: return bnn_sgd(w, (bnn_sgd_desc){ .lr = 0.01, .momentum = 0.9, .nesterov = 1 });
    case 2: return bnn_adam(w, (bnn_adam_desc){ .lr = 0.01 });
    case 3: return bnn_adam(w, (bnn_adam_desc){ .lr = 0.01, .amsgrad = 1, .weight_decay = 0.1 });
    case 4: return bnn_adam(w, (bnn_adam_desc){ .decoupled = 1, .weight_decay = 0.01, .clip = 1 });
    case 5: return bnn_rmsprop(w, (bnn_rmsprop_desc){ 0 });
    case 6: return bnn_rmsprop(w, (bnn_rmsprop_desc){ .centered = 1, .momentum = 0.5 });
    case 7: return bnn_adagrad(w, (bnn_adagrad_desc){ .lr_decay = 0.1 });
    case 8: return bnn_adadelta(w, (bnn_adadelta_desc){ 0 });
    case 9: return bnn_sgld(w, (bnn_sgld_desc){ .lr = 1e-3 });
    case 10: return bnn_psgld(w, (bnn_psgld_desc){ 0 });
    case 11: return bnn_sghmc(w, (bnn_sghmc_desc){ .lr = 1e-3 });
    case 12: return bnn_hmc(w, (bnn_hmc_desc){ .net = &a->net, .data = a->data, .step = 1e-3 });
    case 13: return bnn_hmc(w, (bnn_hmc_desc){ .net = &a->net, .data = a->data, .warmup = 30,
                                               .adapt_mass = 1, .leapfrog = 5 });
    default: return bnn_hmc(w, (bnn_hmc_desc){ .net = &a->net, .data = a->data, .warmup = 60,
                                               .adapt_mass = 1, .trajectory = 0.02 });
    }
}

static bnn_mlp_desc world_desc(uint64_t seed) {
    bnn_prior prior;
    memset(&prior, 0, sizeof prior);
    prior.std = 2;
    prior.fan_in = 1;
    prior.adapt_std = 1;
    return (bnn_mlp_desc){ .sizes = { 1, 5, 3, 1 }, .activation = BNN_TANH, .activations = { 0, BNN_SILU },
                           .noise_std = (float)0.3, .noise_learned = 1, .dropout = (float)0.1,
                           .prior = prior, .seed = seed };
}

static void world_data(world *a) {
    size_t i;
    for (i = 0; i < N; i++) {
        a->x[i] = (float)i / N * 4 - 2;
        a->y[i] = (float)sin((double)a->x[i]) + (float)((int)(i * 7 % 5) - 2) * (float)0.1;
    }
    a->data.x = (bnn_mat){ N, 1, a->x };
    a->data.y = (bnn_mat){ N, 1, a->y };
}

static void world_make(world *a, int kind, uint64_t seed) {
    memset(a, 0, sizeof *a);
    a->tape.rng = bnn_rng_seed(seed);
    world_data(a);
    a->net = bnn_mlp(bnn_params_new(&a->mem), world_desc(seed));
    CHECK(bnn_net_standardize(&a->net, a->data) == BNN_OK);
    a->step = make_stepper(a, kind);
    a->post = bnn_ensemble_new(a->net.params, 7);
    a->all = (bnn_checkpoint){ .nets = { &a->net }, .steppers = { &a->step },
                                .ensembles = { &a->post }, .rngs = { &a->tape.rng } };
    CHECK(a->mem.err == BNN_OK);
}

static void world_train(world *a, int steps) {
    int s;
    for (s = 0; s < steps; s++) {
        bnn_tape_reset(&a->tape);
        if (a->step.kind != BNN_HMC)
            bnn_backward(bnn_net_loss(&a->net, bnn_minibatch(&a->tape, a->data, 8)));
        bnn_step(&a->step, &a->tape);
        if (a->step.kind != BNN_HMC && s % 5 == 4) bnn_params_update_priors(a->net.params, NULL);
        if (s % 2 == 0) bnn_ensemble_reservoir(&a->post, &a->tape.rng);
    }
    CHECK(a->tape.err == BNN_OK);
    if (a->tape.err != BNN_OK) printf("    %s\n", a->tape.msg);
}

static void world_free(world *a) {
    bnn_tape_free(&a->tape);
    bnn_arena_free(&a->mem);
}

static int same_bits(const float *a, const float *b, size_t n) {
    if ((a == NULL) != (b == NULL)) return 0;
    return a == NULL || memcmp(a, b, n * sizeof *a) == 0;
}

static int world_same(const world *a, const world *b) {
    const bnn_params *v = a->net.params, *w = b->net.params;
    size_t i, n = v->n;
    int ok = w->n == n && v->n_blocks == w->n_blocks && same_bits(v->theta, w->theta, n);
    for (i = 0; ok && i < v->n_blocks; i++)
        ok = v->blocks[i].prior.std == w->blocks[i].prior.std &&
             v->blocks[i].prior.adapt_std == w->blocks[i].prior.adapt_std &&
             strcmp(v->blocks[i].name, w->blocks[i].name) == 0;
    ok = ok && a->step.t == b->step.t && a->step.lr == b->step.lr && a->step.n == b->step.n;
    ok = ok && same_bits(a->step.s1, b->step.s1, n) && same_bits(a->step.s2, b->step.s2, n);
    ok = ok && same_bits(a->step.s3, b->step.s3, n);
    if (ok && a->step.hmc != NULL)
        ok = same_bits(a->step.hmc->mass_inv, b->step.hmc->mass_inv, n) &&
             a->step.hmc->step == b->step.hmc->step && a->step.hmc->draws == b->step.hmc->draws &&
             a->step.hmc->accepted == b->step.hmc->accepted;
    ok = ok && a->post.count == b->post.count && a->post.seen == b->post.seen;
    ok = ok && same_bits(a->post.samples.data, b->post.samples.data, a->post.count * n);
    ok = ok && memcmp(&a->tape.rng, &b->tape.rng, sizeof(bnn_rng)) == 0;
    return ok && a->net.noise_std == b->net.noise_std && a->net.likelihood == b->net.likelihood &&
           a->net.scaling.x_mean.data[0] == b->net.scaling.x_mean.data[0] &&
           a->net.scaling.y_std.data[0] == b->net.scaling.y_std.data[0];
}

static void a_resumed_run_continues_bit_for_bit_with_every_stepper(void) {
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        world a, b, c;
        bnn_checkpoint only_net;
        void *bytes;
        size_t size;
        world_make(&a, kind, 1);
        world_train(&a, 20);
        CHECK(bnn_checkpoint_write(&a.mem, &a.all, &bytes, &size) == BNN_OK);
        world_make(&b, kind, 2); /* another seed: everything must come from the file */
        world_train(&b, 3);
        CHECK(!world_same(&a, &b));
        CHECK(bnn_checkpoint_read(&b.mem, &b.all, bytes, size) == BNN_OK);
        CHECK(world_same(&a, &b));
        memset(&c, 0, sizeof c); /* the net is made from the file */
        world_data(&c);
        memset(&only_net, 0, sizeof only_net);
        only_net.nets[0] = &c.net;
        CHECK(bnn_checkpoint_read(&c.mem, &only_net, bytes, size) == BNN_OK);
        c.step = make_stepper(&c, kind);
        c.post = bnn_ensemble_new(c.net.params, 7);
        c.all = (bnn_checkpoint){ .nets = { &c.net }, .steppers = { &c.step },
                                   .ensembles = { &c.post }, .rngs = { &c.tape.rng } };
        CHECK(bnn_checkpoint_read(&c.mem, &c.all, bytes, size) == BNN_OK);
        CHECK(world_same(&a, &c));
        world_train(&a, 20);
        world_train(&b, 20);
        world_train(&c, 20);
        if (!CHECK(world_same(&a, &b)) || !CHECK(world_same(&a, &c))) printf("    kind %d\n", kind);
        world_free(&a);
        world_free(&b);
        world_free(&c);
    }
}

static void writing_what_was_read_gives_the_same_bytes(void) {
    world a, b;
    void *one, *two;
    size_t n_one, n_two;
    world_make(&a, 3, 1);
    world_train(&a, 20);
    world_make(&b, 3, 5);
    CHECK(bnn_checkpoint_write(&a.mem, &a.all, &one, &n_one) == BNN_OK);
    CHECK(bnn_checkpoint_read(&b.mem, &b.all, one, n_one) == BNN_OK);
    CHECK(bnn_checkpoint_write(&b.mem, &b.all, &two, &n_two) == BNN_OK);
    CHECK(n_one == n_two && memcmp(one, two, n_one) == 0);
    world_free(&a);
    world_free(&b);
}

static void a_net_and_its_posterior_are_made_anew_and_predict_the_same(void) {
    world a;
    bnn_arena fresh;
    bnn_net net;
    bnn_ensemble post;
    bnn_checkpoint c;
    bnn_predictive p, q;
    void *bytes;
    size_t size;
    memset(&fresh, 0, sizeof fresh);
    memset(&net, 0, sizeof net);
    memset(&post, 0, sizeof post);
    memset(&c, 0, sizeof c);
    world_make(&a, 9, 1);
    world_train(&a, 20);
    CHECK(bnn_checkpoint_write(&a.mem, &a.all, &bytes, &size) == BNN_OK);
    c.nets[0] = &net;
    c.ensembles[0] = &post;
    CHECK(bnn_checkpoint_read(&fresh, &c, bytes, size) == BNN_OK);
    CHECK(post.params == net.params && post.count == 7 && post.seen == a.post.seen);
    memset(&post, 0, sizeof post);
    post.params = net.params; /* and no samples: they are made, too */
    CHECK(bnn_checkpoint_read(&fresh, &c, bytes, size) == BNN_OK && post.count == 7);
    CHECK(post.samples.data != NULL && post.weights != NULL && post.samples.rows == 7);
    CHECK(net.mlp != NULL && net.mlp->desc.dropout == (float)0.1 && net.mlp->desc.seed == 1);
    CHECK(net.mlp->desc.activations[0] == BNN_TANH && net.mlp->desc.activations[1] == BNN_SILU);
    CHECK(net.mlp->desc.init == a.net.mlp->desc.init && net.mlp->desc.priors == NULL);
    CHECK(memcmp(net.mlp->desc.sizes, a.net.mlp->desc.sizes, sizeof net.mlp->desc.sizes) == 0);
    bnn_tape_reset(&a.tape);
    p = bnn_predict(&a.mem, &a.tape, &a.net, &a.post, a.data.x);
    q = bnn_predict(&fresh, &a.tape, &net, &post, a.data.x);
    CHECK(p.mean.data != NULL && q.mean.data != NULL);
    if (p.mean.data != NULL && q.mean.data != NULL) {
        CHECK_SAME_ARRAY(p.mean.data, q.mean.data, N);
        CHECK_SAME_ARRAY(p.epistemic.data, q.epistemic.data, N);
        CHECK_SAME_ARRAY(p.aleatoric.data, q.aleatoric.data, N);
    }
    bnn_arena_free(&fresh);
    world_free(&a);
}

static bnn_var *raw_forward(bnn_tape *t, const bnn_net *net, bnn_var *x) {
    return bnn_affine(x, bnn_param(t, net->params, 0), bnn_param(t, net->params, 1));
}

static bnn_net raw_net(bnn_arena *space, size_t in, size_t out) {
    bnn_prior prior;
    bnn_net net;
    memset(&prior, 0, sizeof prior);
    memset(&net, 0, sizeof net);
    net.params = bnn_params_new(space);
    bnn_params_add(net.params, in, out, "weights", prior);
    bnn_params_add(net.params, 1, out, "a name too long to keep", prior);
    net.forward = raw_forward;
    net.noise_std = 1;
    return net;
}

static void a_net_of_the_users_is_loaded_into_one_of_equal_shapes_only(void) {
    bnn_arena space;
    bnn_net a, b, wrong, empty;
    bnn_checkpoint c;
    void *bytes;
    size_t size, i;
    int user = 0;
    memset(&space, 0, sizeof space);
    memset(&empty, 0, sizeof empty);
    memset(&c, 0, sizeof c);
    a = raw_net(&space, 3, 2);
    b = raw_net(&space, 3, 2);
    wrong = raw_net(&space, 2, 3);
    for (i = 0; i < a.params->n; i++) a.params->theta[i] = (float)i - (float)0.25;
    a.likelihood = BNN_DOUBLE_EXPONENTIAL;
    a.noise_std = (float)0.7;
    b.user = &user;
    c.nets[0] = &a;
    CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_OK);
    c.nets[0] = &b;
    CHECK(bnn_checkpoint_read(&space, &c, bytes, size) == BNN_OK);
    CHECK_SAME_ARRAY(a.params->theta, b.params->theta, a.params->n);
    CHECK(b.likelihood == BNN_DOUBLE_EXPONENTIAL && b.noise_std == (float)0.7 && b.forward == raw_forward);
    CHECK(b.user == &user);
    c.nets[0] = &wrong;
    CHECK(bnn_checkpoint_read(&space, &c, bytes, size) == BNN_ESHAPE);
    CHECK(has(space.msg, "block 0 (weights) is 3x2, expected 2x3"));
    CHECK(wrong.params->theta[0] == 0 && wrong.likelihood == 0);
    c.nets[0] = &empty;
    CHECK(bnn_checkpoint_read(&space, &c, bytes, size) == BNN_EARG);
    CHECK(has(space.msg, "net 0 must be made before it is loaded") && empty.params == NULL);
    bnn_arena_free(&space);
}

static void nets_that_share_parameters_are_saved_once_and_share_again(void) {
    bnn_arena space, fresh;
    bnn_params *w;
    bnn_net enc, dec, e2, d2, other;
    bnn_checkpoint c;
    bnn_prior prior;
    void *bytes;
    size_t size;
    memset(&space, 0, sizeof space);
    memset(&fresh, 0, sizeof fresh);
    memset(&c, 0, sizeof c);
    memset(&prior, 0, sizeof prior);
    prior.kind = BNN_PRIOR_DOUBLE_EXPONENTIAL;
    w = bnn_params_new(&space);
    bnn_params_add(w, 1, 3, "alpha", prior);
    enc = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 4, 3, 2 }, .noise_std = 1, .seed = 3 });
    bnn_params_add(w, 2, 2, "between", prior);
    dec = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 2, 3, 4 }, .no_bias = 1, .likelihood = BNN_BERNOULLI });
    c.nets[0] = &enc;
    c.nets[2] = &dec;
    CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_OK);
    memset(&e2, 0, sizeof e2);
    memset(&d2, 0, sizeof d2);
    memset(&other, 0, sizeof other);
    c.nets[0] = &e2;
    c.nets[2] = &d2;
    CHECK(bnn_checkpoint_read(&fresh, &c, bytes, size) == BNN_OK);
    CHECK(e2.params != NULL && e2.params == d2.params && e2.params->n == w->n);
    if (e2.params == NULL) return;
    CHECK_SAME_ARRAY(e2.params->theta, w->theta, w->n);
    CHECK(e2.mlp->first == 1 && d2.mlp->first == 6 && d2.likelihood == BNN_BERNOULLI);
    CHECK(strcmp(e2.params->blocks[5].name, "between") == 0);
    CHECK(e2.params->blocks[0].prior.kind == BNN_PRIOR_DOUBLE_EXPONENTIAL);
    memset(&d2, 0, sizeof d2);
    c.nets[0] = NULL; /* one of the two alone: the rest of the parameters comes along */
    CHECK(bnn_checkpoint_read(&fresh, &c, bytes, size) == BNN_OK && d2.params->n == w->n);
    c.nets[0] = &enc; /* here they would not share */
    memset(&e2, 0, sizeof e2);
    other = bnn_mlp(bnn_params_new(&fresh), (bnn_mlp_desc){ .sizes = { 2, 3, 4 }, .noise_std = 1 });
    c.nets[2] = &other;
    CHECK(bnn_checkpoint_read(&fresh, &c, bytes, size) == BNN_EARG && has(fresh.msg, "share"));
    c.nets[1] = &enc;
    c.nets[2] = NULL;
    CHECK(bnn_checkpoint_read(&fresh, &c, bytes, size) == BNN_EFORMAT);
    CHECK(has(fresh.msg, "no section \"NET \" 1"));
    bnn_arena_free(&space);
    bnn_arena_free(&fresh);
}

static void objects_of_another_shape_or_kind_are_refused_untouched(void) {
    world a, b;
    bnn_checkpoint c;
    bnn_ensemble small;
    bnn_stepper none;
    void *bytes, *before;
    size_t size;
    int kind;
    world_make(&a, 2, 1);
    world_train(&a, 20);
    CHECK(bnn_checkpoint_write(&a.mem, &a.all, &bytes, &size) == BNN_OK);
    for (kind = 0; kind < KINDS; kind++) {
        int same = kind == 2 || kind == 4;
        world_make(&b, kind, 2);
        before = malloc(b.net.params->n * sizeof(float));
        memcpy(before, b.net.params->theta, b.net.params->n * sizeof(float));
        CHECK(bnn_checkpoint_read(&b.mem, &b.all, bytes, size) == (same ? BNN_OK : BNN_ESHAPE));
        CHECK((memcmp(before, b.net.params->theta, b.net.params->n * sizeof(float)) == 0) == !same);
        CHECK(b.mem.err == BNN_OK);
        free(before);
        world_free(&b);
    }
    world_make(&b, 2, 2);
    small = bnn_ensemble_new(b.net.params, 6);
    c = b.all;
    c.ensembles[0] = &small;
    CHECK(bnn_checkpoint_read(&b.mem, &c, bytes, size) == BNN_ESHAPE && small.count == 0);
    CHECK(has(b.mem.msg, "ensemble 0 has 7 samples of"));
    memset(&small, 0, sizeof small);
    memset(&c, 0, sizeof c);
    c.ensembles[0] = &small;
    CHECK(bnn_checkpoint_read(&b.mem, &c, bytes, size) == BNN_EARG && has(b.mem.msg, "ensemble 0 must"));
    memset(&none, 0, sizeof none);
    c.ensembles[0] = NULL;
    c.steppers[0] = &none;
    CHECK(bnn_checkpoint_read(&b.mem, &c, bytes, size) == BNN_EARG && has(b.mem.msg, "stepper 0 must"));
    CHECK(bnn_checkpoint_write(&b.mem, &c, &bytes, &size) == BNN_EARG);
    CHECK(has(b.mem.msg, "place 0 of \"STEP\" has no parameters"));
    CHECK(bnn_checkpoint_read(&b.mem, &c, NULL, 0) == BNN_EARG);
    CHECK(bnn_checkpoint_read(NULL, &c, bytes, size) == BNN_EARG);
    world_free(&a);
    world_free(&b);
}

static void parameters_that_are_not_finite_are_neither_saved_nor_loaded(void) {
    world a;
    bnn_checkpoint c;
    void *bytes;
    unsigned char *b, sought[8];
    size_t size, i;
    float *w, keep;
    world_make(&a, 0, 1);
    memset(&c, 0, sizeof c);
    c.nets[0] = &a.net;
    w = bnn_params_mat(a.net.params, 2).data;
    for (i = 0; i < 15; i++) w[i] = (float)12345.5;
    CHECK(bnn_checkpoint_write(&a.mem, &c, &bytes, &size) == BNN_OK);
    keep = w[3];
    w[3] = (float)bnn__nan();
    CHECK(bnn_checkpoint_write(&a.mem, &c, &bytes, &size) == BNN_ENONFINITE);
    CHECK(has(a.mem.msg, "w02") && a.mem.err == BNN_OK);
    w[3] = keep;
    b = (unsigned char *)bytes;
    little(sought, &keep, sizeof keep);
    for (i = 0; i + sizeof keep < size; i++) /* all bits of the first such number set: NaN */
        if (memcmp(b + i, sought, sizeof keep) == 0) {
            uint32_t crc;
            memset(b + i, 0xff, sizeof keep);
            crc = bnn__crc32(b, size - 4);
            b[size - 4] = (unsigned char)(crc & 255), b[size - 3] = (unsigned char)(crc >> 8 & 255);
            b[size - 2] = (unsigned char)(crc >> 16 & 255), b[size - 1] = (unsigned char)(crc >> 24);
            break;
        }
    w[0] = 7;
    CHECK(bnn_checkpoint_read(&a.mem, &c, b, size) == BNN_ENONFINITE);
    CHECK(has(a.mem.msg, "w02 of parameters is nan, expected a finite number") && w[0] == 7);
    world_free(&a);
}

/* Written by docs/format.md in Python: one user net of one block "w" of 1x2 = {1, -2.5}, no scaling,
 * and a generator; numbers of 4 bytes. */
static const unsigned char golden[] = {
    0x89, 0x42, 0x4e, 0x4e, 0x0d, 0x0a, 0x1a, 0x0a, 0x01, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
    0x48, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x53, 0x54, 0x4f, 0x52, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x77, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd0, 0x3f,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x20, 0xc0,
    0x4e, 0x45, 0x54, 0x20, 0x00, 0x00, 0x00, 0x00, 0x48, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x52, 0x4e, 0x47, 0x20, 0x03, 0x00, 0x00, 0x00,
    0x2c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x03, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00,
    0x03, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x0d, 0x0c, 0x0b, 0x0a,
    0x05, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00,
    0x03, 0x00, 0x00, 0x00, 0x58, 0x23, 0xf2, 0xec,
};

static void the_bytes_of_a_file_are_little_endian_and_as_documented(void) {
    bnn_arena space;
    bnn_net net;
    bnn_checkpoint c;
    bnn_prior prior;
    bnn_rng rng;
    void *bytes;
    size_t size;
    memset(&space, 0, sizeof space);
    memset(&c, 0, sizeof c);
    memset(&prior, 0, sizeof prior);
    memset(&net, 0, sizeof net);
    net.params = bnn_params_new(&space);
    bnn_params_add(net.params, 1, 2, "w", prior);
    net.forward = raw_forward;
    net.noise = (size_t)-1;
    rng = bnn_rng_seed(99);
    c.nets[0] = &net;
    c.rngs[3] = &rng;
    CHECK(bnn_checkpoint_read(&space, &c, golden, sizeof golden) == BNN_OK); /* in both builds */
    if (space.msg[0] != 0) printf("    %s\n", space.msg);
    CHECK(net.params->theta[0] == 1 && net.params->theta[1] == (float)-2.5);
    CHECK(net.noise_std == (float)0.5 && net.nu == 4 && net.likelihood == BNN_STUDENT);
    CHECK(rng.key[0] == 0x01020304 && rng.ctr[3] == 0x0a0b0c0d && rng.buf[2] == 7 && rng.left == 3);
    CHECK(net.params->blocks[0].prior.std == 2 && net.params->blocks[0].prior.kind == BNN_PRIOR_DOUBLE_EXPONENTIAL);
    CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_OK);
    if (sizeof(float) == 4) {
        CHECK(size == sizeof golden && memcmp(bytes, golden, size) == 0);
    } else {
        CHECK(size == sizeof golden + 2 * 4);
    }
    bnn_arena_free(&space);
}

/* The same file with numbers of 8 bytes, read by either build: floats are rounded. */
static const unsigned char golden8[] = {
    0x89, 0x42, 0x4e, 0x4e, 0x0d, 0x0a, 0x1a, 0x0a, 0x01, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00,
    0x50, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x53, 0x54, 0x4f, 0x52, 0x00, 0x00, 0x00, 0x00, 0x88, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x77, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd0, 0x3f,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0xc0, 0x4e, 0x45, 0x54, 0x20, 0x00, 0x00, 0x00, 0x00,
    0x48, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe0, 0x3f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x40,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x52, 0x4e, 0x47, 0x20, 0x03, 0x00, 0x00, 0x00, 0x2c, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x04, 0x03, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
    0x05, 0x00, 0x00, 0x00, 0x0d, 0x0c, 0x0b, 0x0a, 0x05, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00,
    0x07, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00, 0x7b, 0x3f, 0x02, 0x56,
};

static void a_file_of_doubles_is_read_with_one_rounding(void) {
    bnn_arena space;
    bnn_net net;
    bnn_checkpoint c;
    bnn_prior prior;
    memset(&space, 0, sizeof space);
    memset(&c, 0, sizeof c);
    memset(&prior, 0, sizeof prior);
    memset(&net, 0, sizeof net);
    net.params = bnn_params_new(&space);
    bnn_params_add(net.params, 1, 2, "w", prior);
    c.nets[0] = &net;
    CHECK(bnn_checkpoint_read(&space, &c, golden8, sizeof golden8) == BNN_OK);
    CHECK(net.params->theta[0] == (float)0.1 && net.params->theta[1] == (float)-2.5);
    bnn_arena_free(&space);
}

typedef struct small { /* a checkpoint that is small and still has every section */
    world a, b;
    unsigned char *bytes;
    size_t size;
    float *theta;
} small;

static void small_make(small *s) {
    void *bytes;
    world_make(&s->a, 13, 1);
    world_make(&s->b, 13, 2);
    world_train(&s->a, 10);
    CHECK(bnn_checkpoint_write(&s->a.mem, &s->a.all, &bytes, &s->size) == BNN_OK);
    s->bytes = (unsigned char *)malloc(s->size);
    memcpy(s->bytes, bytes, s->size);
    s->theta = (float *)malloc(s->b.net.params->n * sizeof(float));
    memcpy(s->theta, s->b.net.params->theta, s->b.net.params->n * sizeof(float));
}

static int small_untouched(const small *s) {
    return same_bits(s->theta, s->b.net.params->theta, s->b.net.params->n) && s->b.step.t == 0 &&
           s->b.post.count == 0 && s->b.mem.err == BNN_OK && s->b.tape.rng.left == 0;
}

static void small_free(small *s) {
    free(s->bytes);
    free(s->theta);
    world_free(&s->a);
    world_free(&s->b);
}

static void every_truncation_is_refused(void) {
    small s;
    size_t n;
    int bad = 0;
    small_make(&s);
    for (n = 0; n < s.size; n++) {
        unsigned char *cut = (unsigned char *)malloc(n == 0 ? 1 : n); /* so that ASan sees its end */
        memcpy(cut, s.bytes, n);
        bad += bnn_checkpoint_read(&s.b.mem, &s.b.all, cut, n) != BNN_EFORMAT || !small_untouched(&s);
        free(cut);
    }
    CHECK(bad == 0);
    CHECK(bnn_checkpoint_read(&s.b.mem, &s.b.all, s.bytes, s.size) == BNN_OK);
    small_free(&s);
}

static void every_flipped_bit_is_refused(void) {
    small s;
    size_t i;
    int bad = 0;
    small_make(&s);
    for (i = 0; i < s.size * 8; i++) {
        s.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        bad += bnn_checkpoint_read(&s.b.mem, &s.b.all, s.bytes, s.size) != BNN_EFORMAT;
        bad += !small_untouched(&s);
        s.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    CHECK(bad == 0);
    small_free(&s);
}

static void set_crc(unsigned char *b, size_t size) {
    uint32_t crc = bnn__crc32(b, size - 4);
    size_t i;
    for (i = 0; i < 4; i++) b[size - 4 + i] = (unsigned char)(crc >> 8 * i & 255);
}

static void a_flipped_bit_with_a_right_checksum_is_refused_whole_or_harmless(void) {
    small s;
    size_t i;
    int refused = 0, bad = 0;
    small_make(&s);
    for (i = 0; i < (s.size - 4) * 8; i++) {
        bnn_net net;
        bnn_ensemble post;
        bnn_checkpoint c;
        bnn_arena fresh;
        memset(&net, 0, sizeof net);
        memset(&post, 0, sizeof post);
        memset(&c, 0, sizeof c);
        memset(&fresh, 0, sizeof fresh);
        s.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
        set_crc(s.bytes, s.size);
        c.nets[0] = &net;
        c.ensembles[0] = &post;
        if (bnn_checkpoint_read(&fresh, &c, s.bytes, s.size) != BNN_OK)
            refused++, bad += net.params != NULL || post.params != NULL || fresh.err != BNN_OK;
        else bad += net.params == NULL || net.params->n == 0;
        bnn_arena_free(&fresh);
        s.bytes[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    CHECK(bad == 0 && refused > 1000);
    small_free(&s);
}

/* ---- hostile values behind a right checksum */

static int set_double(unsigned char *b, size_t size, double old, double now) { /* all of them */
    unsigned char sought[8];
    size_t i;
    int n = 0;
    little(sought, &old, 8);
    for (i = 0; i + 8 <= size; i++)
        if (memcmp(b + i, sought, 8) == 0) little(b + i, &now, 8), n++;
    set_crc(b, size);
    return n;
}

static void values_that_no_constructor_takes_are_not_loaded(void) {
    static const struct { double old, now; const char *says; } craft[] = {
        { 0.8125, 1e30, "momentum of a stepper is 1e30, expected 0 to 1" }, { 0.8125, 1, "momentum" },
        { 0.8125, -0.5, "momentum" }, { 0.8125, HUGE_VAL, "momentum of a stepper is inf" },
        { 0.8125, NAN, "momentum of a stepper is nan" }, { 0.8125, 1e300, "momentum" },
        { 3.25, HUGE_VAL, "std of a prior is inf" }, { 3.25, 0, "std of a prior is 0, expected more" },
        { 3.25, -1, "std of a prior is -1" }, { 3.25, 1e-320, "std of a prior" }, { 3.25, NAN, "std" },
        { 0.6875, 1, "accept of HMC" }, { 0.6875, -1, "accept of HMC" },
        { 0.9375, -0.25, "lr of a stepper is -0.25, expected 0 or more" }, { 0.9375, 1e39, "lr" },
        { 0.9375, HUGE_VAL, "lr" }, { 0.71875, 1.5, "beta1" }, { 0.71875, -1e-9, "beta1" },
        { 0.84375, 1, "beta2" }, { 0.03125, -1, "eps" }, { 1.625, -1, "clip" },
        { 1.75, -1, "temperature" }, { 1.75, NAN, "temperature" },
        { 0.28125, 1, "dropout of a net" }, { 0.28125, -1, "dropout of a net" },
        { 0.40625, -2, "noise_std of a net" }, { 0.40625, HUGE_VAL, "noise_std of a net" },
        { 2.125, -1, "weight of an ensemble" }, { 2.125, HUGE_VAL, "weight of an ensemble is inf" },
        { 5.5, -3, "step of HMC" }, { 6.5, -1, "accept_sum" }, { -7.5, 2, "log_accept" },
        { 8.5, -1, "sum of squares of HMC" }, { 9.5, NAN, "mean of HMC" },
        { 0.15625, 0, "log_rate of a mean field" }, { 0.15625, -1, "log_rate" },
        { 0.21875, -0.5, "kl_weight of a mean field" }, { 0.59375, -1, "nu of a net" } };
    static float x[2] = { 0, 1 };
    bnn_arena space;
    bnn_params *w;
    bnn_net net;
    bnn_stepper hmc, sgd, adam;
    bnn_ensemble post;
    bnn_meanfield q;
    bnn_checkpoint c;
    bnn_hmc_desc hd;
    void *bytes;
    unsigned char *b, sought[8];
    const uint64_t beyond = (uint64_t)1 << (sizeof(size_t) < 8 ? 31 : 60); /* a size of this machine */
    uint64_t words[6][2] = { { 23, beyond }, { 23, 0 }, { 29, beyond }, { 31, beyond }, { 31, 0 },
                             { 37, 41 } };
    const char *says[6] = { sizeof(size_t) < 8 ? "leapfrog of HMC is 2" : "leapfrog of HMC is 1.15292e18",
                            "leapfrog of HMC is 0", "warmup of HMC",
                            "draws of a mean field", "draws of a mean field is 0", "accepted more" };
    size_t size, i, k;
    memset(&space, 0, sizeof space);
    memset(&c, 0, sizeof c);
    memset(&hd, 0, sizeof hd);
    w = bnn_params_new(&space);
    net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { 1, 4, 1 }, .prior = { .std = (float)3.25 }, .dropout = (float)0.28125,
                                     .noise_std = (float)0.40625, .nu = (float)0.59375 });
    hd.net = &net;
    hd.data.x = hd.data.y = (bnn_mat){ 2, 1, x };
    hd.leapfrog = 23;
    hd.warmup = 29;
    hd.adapt_mass = 1;
    hd.accept = (float)0.6875;
    hmc = bnn_hmc(w, hd);
    CHECK(hmc.hmc != NULL);
    if (hmc.hmc == NULL) return;
    hmc.temperature = (float)1.75;
    hmc.hmc->step = 5.5;
    hmc.hmc->accept_sum = 6.5;
    hmc.hmc->log_accept = -7.5;
    for (i = 0; i < w->n; i++) hmc.hmc->m2[i] = 8.5, hmc.hmc->mean[i] = 9.5;
    hmc.hmc->draws = 37;
    hmc.hmc->accepted = 37;
    sgd = bnn_sgd(w, (bnn_sgd_desc){ .momentum = (float)0.8125, .lr = (float)0.9375 });
    adam = bnn_adam(w, (bnn_adam_desc){ .beta1 = (float)0.71875, .beta2 = (float)0.84375, .eps = (float)0.03125,
                                        .clip = (float)1.625 });
    post = bnn_ensemble_new(w, 3);
    CHECK(bnn_ensemble_push_from(&post, w, 2.125) == BNN_OK);
    q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .scale = BNN_SCALE_LOG, .log_rate = (float)0.15625,
                                                   .kl_weight = (float)0.21875, .draws = 31, .init_std = (float)0.9 });
    c.nets[0] = &net;
    c.steppers[0] = &hmc;
    c.steppers[1] = &sgd;
    c.steppers[2] = &adam;
    c.ensembles[0] = &post;
    c.meanfields[0] = &q;
    CHECK(space.err == BNN_OK);
    if (!CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_OK)) printf("    %s\n", space.msg);
    else {
        b = (unsigned char *)malloc(size);
        for (i = 0; i < sizeof craft / sizeof *craft; i++) {
            if (sizeof(float) == 8 && (craft[i].now == 1e39 || craft[i].now == 1e-320)) continue;
            memcpy(b, bytes, size);
            CHECK(set_double(b, size, craft[i].old, craft[i].now) > 0);
            CHECK(bnn_checkpoint_read(&space, &c, b, size) != BNN_OK && has(space.msg, craft[i].says));
            CHECK(space.err == BNN_OK && sgd.momentum == (float)0.8125 && w->blocks[0].prior.std == (float)3.25);
        }
        for (i = 0; i < 6; i++) {
            memcpy(b, bytes, size);
            little(sought, &words[i][0], 8);
            for (k = 0; k + 8 <= size; k++)
                if (memcmp(b + k, sought, 8) == 0) {
                    little(b + k + (i == 5 ? 8 : 0), &words[i][1], 8); /* accepted is behind draws */
                    break;
                }
            set_crc(b, size);
            CHECK(bnn_checkpoint_read(&space, &c, b, size) == BNN_EFORMAT && has(space.msg, says[i]));
            CHECK(hmc.hmc->desc.leapfrog == 23 && q.draws == 31);
        }
        CHECK(bnn_checkpoint_read(&space, &c, bytes, size) == BNN_OK);
        free(b);
    }
    sgd.momentum = 2; /* what could not be read is not written */
    CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_EARG);
    CHECK(has(space.msg, "checkpoint: momentum of a stepper is 2, expected 0 to 1"));
    sgd.momentum = 0;
    adam.s2[1] = -1;
    CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_EARG);
    CHECK(has(space.msg, "state of a stepper is -1, expected 0 or more"));
    bnn_arena_free(&space);
}

typedef struct part { /* stands for a struct that grew in version 3 */
    float old;
    int kind;
    float added;
    size_t more;
} part;

static size_t part_io(part *p, int version, unsigned char *file, int writing) {
    static const bnn__field fields[] = {
        { BNN__FIELD(part, old), BNN__IO_FLOAT, 0, 0, 10 },
        { BNN__FIELD(part, added), BNN__IO_FLOAT, 3, 0, 10 },
        { BNN__FIELD(part, kind), BNN__IO_INT, 0, 1, 3 },
        { BNN__FIELD(part, more), BNN__IO_SIZE, 3, 0, 10 } };
    bnn__io io;
    memset(&io, 0, sizeof io);
    io.mem = &mem;
    io.name = io.of = "part";
    io.needed = 1;
    io.version = version;
    io.end = 100;
    if (writing) io.out = file;
    else io.in = file;
    BNN__FIELDS(&io, p, fields);
    if (io.err != BNN_OK) return 0;
    return writing ? (size_t)io.needed * 1000 + io.pos : io.pos;
}

static void fields_of_a_later_version_are_written_where_they_are_set_and_read_where_they_are(void) {
    part p = { 2, 0, 0, 0 }, got = { 0, 3, 7, 8 };
    unsigned char file[100];
    CHECK(part_io(&p, 1, file, 1) == 1012); /* version 1 can hold it */
    CHECK(part_io(&got, 1, file, 0) == 12 && got.old == 2 && got.kind == 1);
    CHECK(got.added == 7 && got.more == 8); /* as they were */
    p.added = 5;
    CHECK(part_io(&p, 1, file, 1) == 3012);
    CHECK(part_io(&p, 3, file, 1) == 1028);
    CHECK(part_io(&got, 3, file, 0) == 28 && got.added == 5 && got.more == 0 && got.kind == 1);
    p.added = 11;
    CHECK(part_io(&p, 3, file, 1) == 0 && has(mem.msg, "added of part is 11, expected 0 to 10"));
    p.added = 0;
    p.more = 9;
    CHECK(part_io(&p, 1, file, 1) == 3012);
}

/* Some settings lie in the places that version 1 gave to others: they come back all the same. */
static void settings_of_every_method_come_back(void) {
    for (int k = 0; k < 3; k++) {
        bnn_arena a = { 0 };
        bnn_params *w = bnn_params_new(&a);
        bnn_stepper s, back;
        bnn_checkpoint c = { .steppers = { &s } };
        void *bytes;
        size_t size;
        bnn_params_add(w, 1, 3, "w", (bnn_prior){ 0 });
        for (int which = 0; which < 2; which++) { /* the one that is saved, the one that is read into */
            bnn_stepper m = k == 0 ? bnn_sghmc(w, (bnn_sghmc_desc){ .friction = (float)(which ? 0.5 : 0.25),
                                                                    .noise_estimate = (float)(which ? 0 : 0.125) })
                          : k == 1 ? bnn_adagrad(w, (bnn_adagrad_desc){ .lr_decay = (float)(which ? 0 : 0.75) })
                          : bnn_psgld(w, (bnn_psgld_desc){ .lambda = (float)(which ? 0 : 0.375),
                                                           .burn_in = which ? 0 : 77 });
            if (which) back = m;
            else s = m;
        }
        CHECK(bnn_checkpoint_write(&a, &c, &bytes, &size) == BNN_OK);
        c.steppers[0] = &back;
        CHECK(bnn_checkpoint_read(&a, &c, bytes, size) == BNN_OK);
        CHECK(back.friction == s.friction && back.noise_estimate == s.noise_estimate);
        CHECK(back.lr_decay == s.lr_decay && back.lambda == s.lambda && back.burn_in == s.burn_in);
        CHECK(back.momentum == s.momentum && back.dampening == s.dampening && back.eps == s.eps);
        bnn_arena_free(&a);
    }
}

static void what_a_newer_minor_version_adds_is_skipped(void) {
    small s;
    unsigned char *b;
    uint32_t total, length;
    size_t size;
    void *bytes;
    int minor;
    small_make(&s);
    s.a.step.burn_in = s.b.step.burn_in = 7; /* a field since version 3 */
    CHECK(bnn_checkpoint_write(&s.a.mem, &s.a.all, &bytes, &s.size) == BNN_OK);
    free(s.bytes);
    s.bytes = (unsigned char *)malloc(s.size);
    memcpy(s.bytes, bytes, s.size);
    for (minor = 0; minor <= 4; minor++) { /* 24 bytes more in the last section, and a section more */
        size = s.size + 24 + 21;
        b = (unsigned char *)calloc(size, 1);
        memcpy(b, s.bytes, s.size - 4);
        b[8] = 3;
        b[28] = (unsigned char)minor;
        b[24]++;
        total = (uint32_t)size, length = 44 + 24; /* of the generator */
        little(b + 16, &total, 4), little(b + s.size - 4 - 44 - 8, &length, 4);
        memcpy(b + s.size - 4 + 24, "NEW\0\7\0\0\0\5\0\0\0\0\0\0\0hello", 21);
        set_crc(b, size);
        CHECK(bnn_checkpoint_read(&s.b.mem, &s.b.all, b, size) ==
              (minor == 4 ? BNN_OK : BNN_EFORMAT)); /* 1 to 3 are known here */
        CHECK(minor == 4 ? world_same(&s.a, &s.b) : small_untouched(&s));
        b[8] = 1; /* versions 1 and 2 have no minor one */
        set_crc(b, size);
        CHECK(bnn_checkpoint_read(&s.b.mem, &s.b.all, b, size) == BNN_EFORMAT);
        free(b);
    }
    small_free(&s);
}

static void foreign_files_are_named_as_such(void) {
    small s;
    bnn_arena *m;
    small_make(&s);
    m = &s.b.mem;
    CHECK(bnn_checkpoint_read(m, &s.b.all, "hello", 5) == BNN_EFORMAT);
    CHECK(has(m->msg, "checkpoint: byte 0: not a checkpoint of bnn.h"));
    s.bytes[8] = 9;
    CHECK(bnn_checkpoint_read(m, &s.b.all, s.bytes, s.size) == BNN_EFORMAT);
    CHECK(has(m->msg, "byte 8: version 9, expected 1"));
    s.bytes[8] = 1;
    s.bytes[12] = 16;
    CHECK(bnn_checkpoint_read(m, &s.b.all, s.bytes, s.size) == BNN_EFORMAT);
    CHECK(has(m->msg, "byte 12: numbers of 16 bytes, expected 4 or 8"));
    s.bytes[12] = (unsigned char)sizeof(float);
    CHECK(bnn_checkpoint_read(m, &s.b.all, s.bytes, s.size - 1) == BNN_EFORMAT);
    CHECK(has(m->msg, "byte 16: length") && has(m->msg, "truncated"));
    s.bytes[100] ^= 1;
    CHECK(bnn_checkpoint_read(m, &s.b.all, s.bytes, s.size) == BNN_EFORMAT);
    CHECK(has(m->msg, "checksum is wrong"));
    small_free(&s);
}

static void many_blocks_are_read_in_linear_time(void) {
    bnn_arena space;
    bnn_net net, again;
    bnn_prior prior;
    bnn_checkpoint c;
    void *bytes;
    size_t size, i;
    memset(&space, 0, sizeof space);
    memset(&prior, 0, sizeof prior);
    memset(&c, 0, sizeof c);
    memset(&again, 0, sizeof again);
    net.params = bnn_params_new(&space);
    for (i = 0; i < 20000; i++) bnn_params_add(net.params, i % 3, 1, "k", prior);
    net = bnn_mlp(net.params, (bnn_mlp_desc){ .sizes = { 1, 1 }, .noise_std = 1 });
    c.nets[0] = &net;
    CHECK(bnn_checkpoint_write(&space, &c, &bytes, &size) == BNN_OK);
    c.nets[0] = &again;
    CHECK(bnn_checkpoint_read(&space, &c, bytes, size) == BNN_OK);
    CHECK(again.params != NULL && again.params->n_blocks == 20002);
    bnn_arena_free(&space);
}

static void crc32_is_that_of_zlib(void) {
    CHECK(bnn__crc32((const unsigned char *)"123456789", 9) == 0xcbf43926u);
    CHECK(bnn__crc32((const unsigned char *)"", 0) == 0);
}

/* ---- files */

#ifndef BNN_NO_STDIO
static void files_are_loaded_with_their_names_in_the_sentences(void) {
    char path[400];
    bnn_csv c;
    bnn_mat m;
    const unsigned char u8[] = { 0, 0, 8, 1, 0, 0, 0, 3, 0, 127, 255 };
    strcpy(path, path_of("data.csv"));
    put_file(path, "a,b\n1,2\n3,abc\n", 14);
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_EFORMAT);
    CHECK(has(mem.msg, "data.csv: line 3, column 2: \"abc\" is not a number"));
    put_file(path, "a,b\n1,2\n3,4\n", 12);
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_OK && c.values.rows == 2 && c.values.data[3] == 4);
    put_file(path, u8, sizeof u8);
    CHECK(bnn_idx_load(&mem, path, &m) == BNN_OK && m.rows == 3 && m.data[2] == 255);
    put_file(path, "", 0);
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_EFORMAT && has(mem.msg, "is empty"));
    CHECK(bnn_idx_load(&mem, path, &m) == BNN_EFORMAT && has(mem.msg, "does not begin"));
    remove(path);
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_EIO);
    CHECK(has(mem.msg, "data.csv: cannot open: ") && has(mem.msg, strerror(ENOENT)));
    CHECK(mem.err == BNN_OK);
    CHECK(bnn_csv_load(&mem, NULL, &c, csv_auto) == BNN_EARG);
    bnn_arena_free(&mem);
}

static void a_net_is_loaded_from_a_file_that_holds_more(void) {
    char path[400];
    world a;
    bnn_net net = { 0 };
    bnn_arena of_net = { 0 };
    bnn_checkpoint nets = { .nets = { &a.net } };
    void *bytes = NULL;
    size_t size = 0, i, other = 0;
    strcpy(path, path_of("more.bnn"));
    world_make(&a, BNN_HMC, 3);
    world_train(&a, 10);
    CHECK(bnn_checkpoint_save(&mem, path, &a.all) == BNN_OK);
    CHECK(bnn_load(&of_net, path, &net) == BNN_OK && of_net.err == BNN_OK);
    CHECK(net.params != NULL && net.params->n == a.net.params->n);
    CHECK(net.params != NULL && same_bits(net.params->theta, a.net.params->theta, net.params->n));
    CHECK(bnn_save(path, &a.net) == BNN_OK); /* the same bytes as a checkpoint of the net alone */
    CHECK(bnn_checkpoint_write(&mem, &nets, &bytes, &size) == BNN_OK);
    FILE *f = fopen(path, "rb");
    CHECK(f != NULL);
    for (i = 0; f != NULL && i < size; i++) other += fgetc(f) != ((unsigned char *)bytes)[i];
    CHECK(other == 0 && f != NULL && fgetc(f) == EOF);
    if (f != NULL) fclose(f);
    remove(path);
    bnn_arena_free(&of_net);
    bnn_arena_free(&mem);
    world_free(&a);
}

static void long_paths_lose_their_front_in_sentences(void) {
    char path[600];
    bnn_mat m;
    memset(path, 'x', sizeof path);
    memcpy(path, "/no/", 4);
    memcpy(path + sizeof path - 9, "/end.idx", 9);
    CHECK(bnn_idx_load(&mem, path, &m) == BNN_EIO);
    CHECK(has(mem.msg, "...xxx") && has(mem.msg, "x/end.idx: cannot open: "));
    bnn_arena_free(&mem);
}

static void a_large_file_leaves_only_its_values_in_the_arena(void) {
    const char *path = path_of("large.csv");
    FILE *f = fopen(path, "wb");
    heap h;
    bnn_csv c;
    int i;
    CHECK(f != NULL);
    if (f == NULL) return;
    for (i = 0; i < 100000; i++) fprintf(f, "%d.123456789,%d\n", i, i * 7);
    fclose(f);
    mem = heap_arena(&h, -1);
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_OK && c.values.rows == 100000);
    CHECK(c.values.data[2 * 99999 + 1] == 99999 * 7);
    CHECK(h.out <= 200000 * sizeof(float) + 4096 && h.out == bnn_arena_size(&mem));
    bnn_arena_free(&mem);
    CHECK(h.out == 0);
    memset(&mem, 0, sizeof mem);
    remove(path);
}

static void everything_works_in_a_callers_buffer(void) {
    static unsigned char room[1 << 16];
    char path[400];
    bnn_csv c;
    bnn_net net, again;
    float *p;
    size_t before, n;
    strcpy(path, path_of("buffer.bin"));
    mem.buffer = room;
    mem.capacity = sizeof room;
    put_file(path, "1,2\n3,4\n5,6\n", 12);
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_OK && c.values.data[5] == 6);
    CHECK(mem.used == 64); /* six values in one unit: the text is gone */
    p = (float *)bnn_arena_alloc(&mem, (sizeof room - mem.used) / sizeof(float) - 64, sizeof(float));
    CHECK(p != NULL); /* and its place is free */
    bnn_arena_free(&mem);
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 8, 1 }, .noise_std = 1 });
    before = mem.used;
    CHECK(bnn_save(path, &net) == BNN_OK && mem.used == before);
    memset(&again, 0, sizeof again);
    CHECK(bnn_load(&mem, path, &again) == BNN_OK);
    CHECK(again.params != NULL && same_bits(again.params->theta, net.params->theta, net.params->n));
    for (n = 0; mem.err == BNN_OK && n < 100; n++) { /* until the buffer is full */
        bnn_mark mark = bnn_arena_mark(&mem);
        memset(&again, 0, sizeof again);
        if (bnn_load(&mem, path, &again) == BNN_OK) continue;
        CHECK(mem.err == BNN_OK && mem.used == mark.used && again.params == NULL);
        break;
    }
    CHECK(n > 2 && n < 100);
    CHECK(bnn_arena_alloc(&mem, 1, 1) != NULL);
    bnn_arena_free(&mem);
    memset(&mem, 0, sizeof mem);
    remove(path);
}

static void what_a_likelihood_cannot_use_is_refused_both_ways(void) {
    bnn_net net;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_learned = 1 });
    net.likelihood = BNN_DOUBLE_EXPONENTIAL; /* found by the fuzzer: the loss of such a net read a null pointer */
    CHECK(bnn_save(path_of("laplace.bnn"), &net) == BNN_EARG && has(mem.msg, "net 0 learns noise"));
    net.noise_learned = 0;
    CHECK(bnn_save(path_of("laplace.bnn"), &net) == BNN_OK);
    remove(path_of("laplace.bnn"));
    bnn_arena_free(&mem);
}

static void priors_set_by_hand_need_only_what_they_use(void) {
    bnn_net net, again;
    float tiny = 1;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    memset(&again, 0, sizeof again);
    memset(&net.params->blocks[0].prior, 0, sizeof(bnn_prior));
    net.params->blocks[0].prior.std = 3;
    net.params->blocks[1].prior.kind = BNN_PRIOR_FLAT;
    net.params->blocks[1].prior.std = (float)bnn__inf();
    CHECK(bnn_save(path_of("hand.bnn"), &net) == BNN_OK);
    CHECK(bnn_load(&mem, path_of("hand.bnn"), &again) == BNN_OK && again.params != NULL);
    CHECK(again.params != NULL && again.params->blocks[0].prior.std == 3);
    CHECK(again.params != NULL && again.params->blocks[1].prior.kind == BNN_PRIOR_FLAT);
    net.params->blocks[0].prior.kind = BNN_PRIOR_MIXTURE;
    CHECK(bnn_save(path_of("hand.bnn"), &net) != BNN_OK && has(mem.msg, "std2 of a prior is 0"));
    while (tiny / 2 > 0) tiny /= 2; /* found by the fuzzer: 1e-300 was > 0 and became 0 */
    net.params->blocks[0].prior.std2 = tiny;
    CHECK(bnn_save(path_of("hand.bnn"), &net) == BNN_OK);
    remove(path_of("hand.bnn"));
    bnn_arena_free(&mem);
}

static void every_failed_allocation_leaves_nothing_behind(void) {
    char path[400], table[400];
    long fail;
    int err = 1, k;
    strcpy(path, path_of("alloc.bnn"));
    strcpy(table, path_of("alloc.csv"));
    put_file(table, "a,b\n1,2\n3,4\n", 12);
    for (k = 0; k < 6; k++) {
        for (fail = 0; fail < 500; fail++) {
            static unsigned char old[4096], now[4096];
            world a;
            heap h;
            bnn_arena *m;
            bnn_csv c;
            bnn_mat idx;
            bnn_net net;
            bnn_mark mark;
            void *bytes;
            size_t size, n_old;
            const unsigned char u8[] = { 0, 0, 8, 1, 0, 0, 0, 1, 7 };
            world_make(&a, 9, 1);
            world_train(&a, 5);
            CHECK(bnn_save(path, &a.net) == BNN_OK);
            n_old = get_file(path, old, sizeof old);
            memset(&net, 0, sizeof net);
            memset(&c, 0, sizeof c);
            memset(&idx, 0, sizeof idx);
            bytes = NULL;
            mem = heap_arena(&h, fail);
            m = &mem;
            if (k >= 4) { /* into the arena of the world: all its chunks are full */
                m = &a.mem;
                m->alloc = mem.alloc;
                h.calls = 0;
                h.out = 1 << 20; /* it will free what it did not take */
            }
            mark = bnn_arena_mark(m);
            switch (k) {
            case 0: err = bnn_csv_parse(m, &c, "a\n1\n2\n", 6, csv_auto); break;
            case 1: err = bnn_idx_parse(m, &idx, u8, sizeof u8); break;
            case 2: err = bnn_csv_load(m, table, &c, csv_auto); break;
            case 3: err = bnn_load(m, path, &net); break;
            case 4: a.net.params->theta[0] += 1; err = bnn_save(path, &a.net); break;
            default: err = bnn_checkpoint_write(m, &a.all, &bytes, &size); break;
            }
            if (err != BNN_OK) {
                CHECK(err == BNN_ENOMEM && m->err == BNN_OK && m->msg[0] != '\0');
                CHECK(c.values.data == NULL && idx.data == NULL && net.params == NULL && bytes == NULL);
                CHECK(bnn_arena_mark(m).used == (mark.chunk == NULL ? 0 : mark.used));
                CHECK(get_file(path, now, sizeof now) == n_old && memcmp(old, now, n_old) == 0);
            }
            if (k < 4) {
                bnn_arena_free(m);
                CHECK(h.out == 0);
            }
            a.mem.alloc.fn = bnn__default_alloc;
            world_free(&a);
            if (err == BNN_OK) break;
        }
        CHECK(err == BNN_OK && (fail > 0 || k == 5));
    }
    memset(&mem, 0, sizeof mem);
    remove(path);
    remove(table);
}

static void a_failed_save_keeps_the_old_file_and_leaves_no_other(void) {
    static unsigned char old[4096], now[4096];
    char path[400], tmp[420];
    bnn_net net;
    size_t n;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    strcpy(path, path_of("net.bnn"));
    strcpy(tmp, path_of("bnn-0000.tmp"));
    CHECK(bnn_save(path, &net) == BNN_OK && get_file(tmp, now, sizeof now) == 0);
    n = get_file(path, old, sizeof old);
    CHECK(n > 0);
    net.params->theta[0] = (float)bnn__nan();
    CHECK(bnn_save(path, &net) == BNN_ENONFINITE && has(mem.msg, "net.bnn: w01 of parameters is"));
    net.params->theta[0] = 3;
    CHECK(bnn_save(path_of("no/such/folder.bnn"), &net) == BNN_EIO);
    CHECK(has(mem.msg, "folder.bnn: cannot make a temporary file") && has(mem.msg, strerror(ENOENT)));
    CHECK(get_file(path, now, sizeof now) == n && memcmp(old, now, n) == 0);
    CHECK(bnn_save(path, &net) == BNN_OK); /* and now it works */
    CHECK(get_file(path, now, sizeof now) == n && memcmp(old, now, n) != 0);
    CHECK(mem.err == BNN_OK);
    bnn_arena_free(&mem);
    remove(path);
}

/* ---- tests/files: written by version 1 with floats of 4 bytes; all values follow a rule */

static const char *v1_file(int k) {
    static char name[500];
    const char *here = __FILE__, *slash = strrchr(here, '/');
    snprintf(name, sizeof name, "%.*sfiles/v1_%d.bnn", slash == NULL ? 0 : (int)(slash + 1 - here), here, k);
    return name;
}

static int follows(const float *x, size_t n, double from, double step) {
    size_t i;
    for (i = 0; x != NULL && i < n; i++)
        if (x[i] != (float)(from + step * (double)i)) return 0;
    return 1;
}

static void files_of_version_1_are_read(void) {
    static float x[8] = { 0, 1, 2, 3, 4, 5, 6, 8 }, y[4] = { 1, 2, 3, 5 };
    bnn_arena space;
    bnn_net n[4];
    bnn_checkpoint c;
    bnn_ensemble e;
    bnn_rng r = bnn_rng_seed(0);
    bnn_params *w;
    bnn_data data = { { 4, 2, x }, { 4, 1, y } };
    bnn_meanfield q;
    bnn_stepper s[12];
    unsigned char probe[8];
    size_t i, k;
    if (get_file(v1_file(0), probe, 8) != 8) { /* a machine without these files */
        printf("    %s is not here\n", v1_file(0));
        return;
    }
    memset(&space, 0, sizeof space);
    memset(n, 0, sizeof n);
    memset(&c, 0, sizeof c);
    memset(&e, 0, sizeof e);
    for (i = 0; i < 4; i++) c.nets[i] = &n[i];
    c.ensembles[0] = &e;
    c.rngs[0] = &r;
    if (!CHECK(bnn_checkpoint_load(&space, v1_file(0), &c) == BNN_OK)) printf("    %s\n", space.msg);
    w = n[0].params;
    if (w == NULL) return;
    CHECK(w->n == 9 + 8 + 3 + 1 && w->n_blocks == 7 && follows(w->theta, w->n, -1, 0.125));
    CHECK(follows(n[1].params->theta, 4, 3, 0.5) && follows(n[2].params->theta, 9, 4, 0.5));
    CHECK(follows(n[3].params->theta, 6, 5, 0.5));
    CHECK(w->blocks[0].prior.kind == BNN_PRIOR_DOUBLE_EXPONENTIAL && w->blocks[0].prior.adapt_std == 1);
    CHECK_NEAR(w->blocks[0].prior.std, sqrt(2.0), 1e-7);
    CHECK(w->blocks[6].prior.kind == BNN_PRIOR_FLAT && n[0].noise == 6 && n[0].noise_learned);
    CHECK(n[1].params->blocks[0].prior.kind == BNN_PRIOR_MIXTURE && n[1].params->blocks[0].prior.std2 == (float)0.25);
    CHECK(n[1].params->blocks[0].prior.weight == (float)0.75);
    CHECK(n[2].params->blocks[1].prior.kind == BNN_PRIOR_STUDENT && n[2].params->blocks[1].prior.nu == 3);
    CHECK(n[3].params->blocks[0].prior.kind == BNN_PRIOR_FLAT); /* of infinite width */
    CHECK(n[0].likelihood == BNN_GAUSSIAN && n[1].likelihood == BNN_DOUBLE_EXPONENTIAL);
    CHECK(n[2].likelihood == BNN_CATEGORICAL && n[3].likelihood == BNN_STUDENT && n[3].nu == 5);
    CHECK(n[1].noise_std == 3 && n[3].noise_std == (float)0.25 && n[1].mlp->desc.no_bias == 1);
    CHECK(n[0].mlp->desc.activations[0] == BNN_TANH && n[0].mlp->desc.activations[1] == BNN_ELU);
    CHECK(n[0].mlp->desc.dropout == (float)0.125 && n[0].mlp->desc.seed == 7 && n[2].mlp->desc.init == BNN_INIT_ZERO);
    CHECK(n[0].scaling.x_mean.data[0] == 3 && n[1].scaling.x_mean.data == NULL);
    CHECK_NEAR(n[0].scaling.x_std.data[0], sqrt(5.0), 1e-6);
    CHECK(e.params == w && e.count == 2 && e.seen == 2 && e.weights[1] == 2.5);
    CHECK(follows(e.samples.data, w->n, -1, 0.125) && e.samples.data[w->n] == 9);
    CHECK(r.key[0] == 5 && r.ctr[0] == 2 && r.left == 3 && bnn_rng_u32(&r) == 57572703);
    q = bnn_meanfield_new(w, (bnn_meanfield_desc){ .estimator = BNN_ESTIMATE_PRICE });
    s[0] = bnn_sgd(w, (bnn_sgd_desc){ .momentum = (float)0.5 });
    s[1] = bnn_adam(w, (bnn_adam_desc){ .amsgrad = 1 });
    s[2] = bnn_adam(w, (bnn_adam_desc){ .decoupled = 1 });
    s[3] = bnn_rmsprop(w, (bnn_rmsprop_desc){ .centered = 1 });
    s[4] = bnn_adagrad(w, (bnn_adagrad_desc){ 0 });
    s[5] = bnn_adadelta(w, (bnn_adadelta_desc){ 0 });
    s[6] = bnn_sgld(w, (bnn_sgld_desc){ 0 });
    s[7] = bnn_psgld(w, (bnn_psgld_desc){ 0 });
    s[8] = bnn_sghmc(w, (bnn_sghmc_desc){ 0 });
    s[9] = bnn_hmc(w, (bnn_hmc_desc){ .net = &n[0], .data = data, .adapt_mass = 1 });
    s[10] = bnn_hmc(w, (bnn_hmc_desc){ .net = &n[0], .data = data });
    s[11] = bnn_sgd(w, (bnn_sgd_desc){ 0 });
    CHECK(space.err == BNN_OK);
    for (k = 0; k < 3; k++) {
        memset(&c, 0, sizeof c);
        c.nets[0] = &n[0];
        for (i = 0; i < 4; i++) c.steppers[i] = &s[4 * k + i];
        if (k == 2) c.meanfields[0] = &q;
        if (!CHECK(bnn_checkpoint_load(&space, v1_file((int)k), &c) == BNN_OK)) printf("    %s\n", space.msg);
    }
    for (k = 0; k < 12; k++) {
        CHECK(s[k].t == 100 + k && follows(s[k].s1, w->n, 0.5 + (double)k, 0.25));
        CHECK(follows(s[k].s2, w->n, 1.5 + (double)k, 0.25) && follows(s[k].s3, w->n, 2.5 + (double)k, 0.25));
    }
    CHECK(s[0].lr == (float)0.5 && s[0].momentum == (float)0.75 && s[0].nesterov && s[0].weight_decay == (float)0.25);
    CHECK(s[1].beta1 == (float)0.5 && s[1].clip == 2 && s[2].weight_decay == (float)0.5 && s[2].decoupled);
    CHECK(s[5].beta2 == (float)0.5 && s[6].lr == (float)0.125 && s[6].temperature == (float)0.5);
    CHECK(s[9].hmc->desc.leapfrog == 23 && s[9].hmc->desc.warmup == 50 && s[9].hmc->draws == 10);
    CHECK(s[9].hmc->step == 0.375 && s[9].hmc->accepted == 7 && follows(s[9].hmc->mass_inv, w->n, 1, 0.5));
    CHECK(s[9].hmc->mean[3] == 3 && s[9].hmc->m2[3] == 6 && s[9].hmc->mass_count == 4);
    CHECK(s[10].hmc->desc.trajectory == (float)1.5 && s[9].hmc->desc.net == &n[0]);
    CHECK(q.scale == BNN_SCALE_LOG && q.log_rate == 2 && q.kl_weight == (float)0.5 && q.draws == 3);
    CHECK(q.ard == BNN_ARD_WEIGHT && q.estimator == BNN_ESTIMATE_PRICE && q.posterior == BNN_POSTERIOR_GAUSSIAN);
    CHECK(follows(q.params->theta, 2 * w->n, -2, 0.0625));
    for (k = 0; k < 9; k++) { /* and they go on */
        bnn_tape t;
        memset(&t, 0, sizeof t);
        for (i = 0; i < w->n; i++) w->theta[i] = (float)0.1;
        bnn_backward(bnn_net_loss(&n[0], bnn_batch_all(&t, data)));
        bnn_step(&s[k], &t);
        CHECK(t.err == BNN_OK);
        if (t.err != BNN_OK) printf("    %zu: %s\n", k, t.msg);
        bnn_tape_free(&t);
    }
    bnn_arena_free(&space);
}

#ifdef HAVE_POSIX
static int files_in_folder(void) {
    DIR *d = opendir(test_dir);
    int n = 0;
    if (d == NULL) return -1;
    while (readdir(d) != NULL) n++;
    closedir(d);
    return n - 2; /* . and .. */
}

static int mode_of(const char *path) { /* of what is there, not of what it names */
    struct stat s;
    memset(&s, 0, sizeof s); /* MemorySanitizer does not know lstat */
    return lstat(path, &s) != 0 ? -1 : (int)(s.st_mode & (S_IFMT | 07777));
}

static int is_checkpoint(const char *path) {
    unsigned char b[8] = { 0 };
    return get_file(path, b, sizeof b) == 8 && memcmp(b, bnn__cp_magic(), 8) == 0;
}

static void names_of_temporary_files_are_nobodys(void) {
    char path[400], planted[8][420], victim[420];
    unsigned char text[32];
    bnn_net net;
    int i;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    strcpy(path, path_of("net.bnn"));
    strcpy(victim, path_of("victim"));
    for (i = 0; i < 5; i++) snprintf(planted[i], 420, "%s/bnn-%04d.tmp", test_dir, i);
    snprintf(planted[5], 420, "%s.tmp", path);
    put_file(victim, "victim", 6);
    mkdir(planted[0], 0700);
    put_file(planted[1], "notes", 5);
    CHECK(symlink("victim", planted[2]) == 0 && symlink("nowhere", planted[3]) == 0);
    CHECK(mkfifo(planted[4], 0600) == 0); /* opening it would wait forever */
    put_file(planted[5], "notes", 5);
    CHECK(bnn_save(path, &net) == BNN_OK && is_checkpoint(path));
    CHECK(mode_of(planted[0]) == (S_IFDIR | 0700) && get_file(planted[1], text, 32) == 5);
    CHECK((mode_of(planted[2]) & S_IFMT) == S_IFLNK && (mode_of(planted[3]) & S_IFMT) == S_IFLNK);
    CHECK(get_file(victim, text, 32) == 6 && mode_of(path_of("nowhere")) == -1);
    CHECK(mode_of(planted[4]) == (S_IFIFO | 0600) && get_file(planted[5], text, 32) == 5);
    CHECK(files_in_folder() == 8);
    for (i = 1; i < 6; i++) remove(planted[i]);
    rmdir(planted[0]);
    remove(path);
    remove(victim);
    bnn_arena_free(&mem);
}

static void a_save_goes_to_the_file_that_links_name(void) {
    static const char *const target[] = { "real.bnn", "sub/real.bnn", "sub/new.bnn" };
    char link[420], second[420], absolute[420], file[420], sub[420];
    bnn_net net;
    size_t i;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    snprintf(sub, 420, "%s/sub", test_dir);
    snprintf(link, 420, "%s/link", test_dir);
    snprintf(second, 420, "%s/sub/second", test_dir);
    snprintf(absolute, 420, "%s/absolute", test_dir);
    mkdir(sub, 0700);
    for (i = 0; i < 3; i++) { /* absolute -> sub/second -> ../link -> target */
        snprintf(file, 420, "%s/%s", test_dir, target[i]);
        if (i < 2) put_file(file, "old", 3);
        CHECK(symlink(target[i], link) == 0 && symlink("../link", second) == 0);
        CHECK(symlink(second, absolute) == 0);
        CHECK(bnn_save(i == 1 ? link : absolute, &net) == BNN_OK);
        CHECK(is_checkpoint(file) && (mode_of(file) & S_IFMT) == S_IFREG);
        CHECK((mode_of(link) & S_IFMT) == S_IFLNK && (mode_of(absolute) & S_IFMT) == S_IFLNK);
        remove(link), remove(second), remove(absolute), remove(file);
    }
    CHECK(symlink("link", link) == 0); /* round in a circle */
    CHECK(bnn_save(link, &net) == BNN_EIO && has(mem.msg, "cannot follow the link: "));
    CHECK(has(mem.msg, strerror(ELOOP)) && (mode_of(link) & S_IFMT) == S_IFLNK);
    remove(link);
    CHECK(symlink("sub", link) == 0); /* a folder */
    CHECK(bnn_save(link, &net) == BNN_EIO && has(mem.msg, "not a regular file"));
    remove(link);
    CHECK(rmdir(sub) == 0 && files_in_folder() == 0);
    bnn_arena_free(&mem);
}

static void a_save_keeps_the_mode_of_the_file_and_a_new_one_has_the_users(void) {
    static const int modes[] = { 0600, 0644, 0640, 0400, 0666, 0755, 01644 };
    char path[400];
    bnn_net net;
    mode_t mask = umask(027);
    size_t i;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    strcpy(path, path_of("private.bnn"));
    CHECK(bnn_save(path, &net) == BNN_OK && mode_of(path) == (S_IFREG | 0640));
    for (i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct stat old, now;
        memset(&old, 0, sizeof old), memset(&now, 0, sizeof now);
        CHECK(chmod(path, (mode_t)modes[i]) == 0 && stat(path, &old) == 0);
        if (geteuid() == 0) CHECK(chown(path, 12, 34) == 0 && chmod(path, (mode_t)modes[i]) == 0);
        if (geteuid() == 0) old.st_uid = 12, old.st_gid = 34;
        CHECK(bnn_save(path, &net) == BNN_OK && mode_of(path) == (S_IFREG | modes[i]));
        CHECK(stat(path, &now) == 0 && now.st_uid == old.st_uid && now.st_gid == old.st_gid);
    }
    remove(path);
    umask(mask);
    bnn_arena_free(&mem);
}

static void what_is_not_a_regular_file_is_left_alone(void) {
    char path[400], inside[420];
    bnn_net net;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    strcpy(path, path_of("special"));
    CHECK(mkfifo(path, 0600) == 0);
    CHECK(bnn_save(path, &net) == BNN_EIO && has(mem.msg, "cannot replace what is not a regular file"));
    CHECK(mode_of(path) == (S_IFIFO | 0600));
    remove(path);
    mkdir(path, 0700);
    CHECK(bnn_save(path, &net) == BNN_EIO && has(mem.msg, "special: cannot replace what is not"));
    CHECK(has(mem.msg, strerror(EISDIR)) && mode_of(path) == (S_IFDIR | 0700));
    snprintf(inside, 420, "%s/", path);
    CHECK(bnn_save(inside, &net) == BNN_EIO);
    CHECK(bnn_load(&mem, path, &net) == BNN_EIO && has(mem.msg, "special: cannot read: "));
    CHECK(files_in_folder() == 1);
    rmdir(path);
    CHECK(symlink("/dev/full", path) == 0); /* a device is looked at, never opened */
    CHECK(bnn_save(path, &net) == BNN_EIO && has(mem.msg, "not a regular file"));
    remove(path);
    CHECK(mem.err == BNN_OK && bnn_save("", &net) == BNN_EIO);
    bnn_arena_free(&mem);
}

static void a_name_as_long_as_a_name_may_be_is_saved(void) {
    char path[700];
    bnn_net net;
    size_t n = strlen(test_dir) + 1;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 1, 3, 1 }, .noise_std = 1 });
    memset(path, 'x', sizeof path);
    memcpy(path, test_dir, n - 1);
    path[n - 1] = '/';
    path[n + 255] = '\0';
    CHECK(bnn_save(path, &net) == BNN_OK && is_checkpoint(path));
    remove(path);
    bnn_arena_free(&mem);
}

#ifndef __EMSCRIPTEN__ /* which has no fork */
static void two_who_save_at_once_leave_a_whole_file(void) {
    char path[400];
    bnn_net net, again;
    int i, status = 1;
    pid_t child;
    net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { 8, 30, 1 }, .noise_std = 1 });
    strcpy(path, path_of("both.bnn"));
    fflush(stdout);
    child = fork();
    for (i = 0; i < 300; i++) {
        int bad = bnn_save(path, &net) != BNN_OK;
        memset(&again, 0, sizeof again);
        bad |= bnn_load(&mem, path, &again) != BNN_OK;
        bad |= !same_bits(again.params->theta, net.params->theta, net.params->n);
        if (child == 0 && (bad || i == 299)) _exit(bad);
        if (!CHECK(!bad)) break;
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(files_in_folder() == 1);
    remove(path);
    bnn_arena_free(&mem);
}
#endif
#endif

static void nets_without_parameters_are_not_saved(void) {
    bnn_net dead;
    memset(&dead, 0, sizeof dead);
    CHECK(bnn_save(path_of("dead.bnn"), &dead) == BNN_EARG);
    CHECK(bnn_save(path_of("dead.bnn"), NULL) == BNN_EARG);
    CHECK(bnn_load(&mem, path_of("dead.bnn"), NULL) == BNN_EARG);
}

#if defined(HAVE_POSIX) && !defined(__EMSCRIPTEN__) /* which has no fork */
static void a_pipe_can_be_read(void) {
    char path[400];
    bnn_csv c;
    strcpy(path, path_of("pipe"));
    CHECK(mkfifo(path, 0700) == 0);
    if (fork() == 0) {
        FILE *f = fopen(path, "wb");
        int i;
        for (i = 0; f != NULL && i < 50000; i++) fprintf(f, "%d,1\n", i);
        _exit(f == NULL || fclose(f) != 0);
    }
    CHECK(bnn_csv_load(&mem, path, &c, csv_auto) == BNN_OK && c.values.rows == 50000);
    bnn_arena_free(&mem);
    remove(path);
}
#endif
#endif /* BNN_NO_STDIO */

int main(void) {
#ifdef HAVE_POSIX
    char dir[] = "/tmp/bnn_test_files_XXXXXX";
    if (mkdtemp(dir) != NULL) strcpy(test_dir, dir);
#endif
    RUN(numbers_are_the_nearest_double_up_to_15_digits);
    RUN(numbers_of_any_length_are_within_5_units_in_the_last_place);
    RUN(what_is_not_a_decimal_number_is_refused);
    RUN(a_csv_has_rows_columns_and_names);
    RUN(separators_are_found_in_the_first_line);
    RUN(line_ends_of_all_kinds_and_byte_order_marks_are_accepted);
    RUN(quotes_hide_separators_line_ends_and_doubled_quotes);
    RUN(a_header_is_where_the_first_line_has_a_word_or_where_the_desc_says);
    RUN(a_first_row_of_numbers_and_words_is_not_guessed);
    RUN(missing_fields_are_nan_and_counted_or_refused);
    RUN(bad_fields_are_named_by_line_and_column);
    RUN(a_zero_byte_is_not_text);
    RUN(wide_first_rows_take_no_memory_for_rows_that_are_not_there);
    RUN(a_csv_in_an_arena_that_is_in_error_does_nothing);
    RUN(idx_items_of_every_type_are_read);
    RUN(idx_images_become_one_row_each);
    RUN(bad_idx_files_are_refused_before_memory_is_taken);
    RUN(crc32_is_that_of_zlib);
    RUN(a_resumed_run_continues_bit_for_bit_with_every_stepper);
    RUN(writing_what_was_read_gives_the_same_bytes);
    RUN(a_net_and_its_posterior_are_made_anew_and_predict_the_same);
    RUN(a_net_of_the_users_is_loaded_into_one_of_equal_shapes_only);
    RUN(nets_that_share_parameters_are_saved_once_and_share_again);
    RUN(objects_of_another_shape_or_kind_are_refused_untouched);
    RUN(parameters_that_are_not_finite_are_neither_saved_nor_loaded);
    RUN(the_bytes_of_a_file_are_little_endian_and_as_documented);
    RUN(a_file_of_doubles_is_read_with_one_rounding);
    RUN(every_truncation_is_refused);
    RUN(every_flipped_bit_is_refused);
    RUN(a_flipped_bit_with_a_right_checksum_is_refused_whole_or_harmless);
    RUN(values_that_no_constructor_takes_are_not_loaded);
    RUN(fields_of_a_later_version_are_written_where_they_are_set_and_read_where_they_are);
    RUN(settings_of_every_method_come_back);
    RUN(what_a_newer_minor_version_adds_is_skipped);
    RUN(foreign_files_are_named_as_such);
    RUN(many_blocks_are_read_in_linear_time);
#ifndef BNN_NO_STDIO
    RUN(files_are_loaded_with_their_names_in_the_sentences);
    RUN(a_net_is_loaded_from_a_file_that_holds_more);
    RUN(long_paths_lose_their_front_in_sentences);
    RUN(a_large_file_leaves_only_its_values_in_the_arena);
    RUN(everything_works_in_a_callers_buffer);
    RUN(what_a_likelihood_cannot_use_is_refused_both_ways);
    RUN(priors_set_by_hand_need_only_what_they_use);
    RUN(every_failed_allocation_leaves_nothing_behind);
    RUN(a_failed_save_keeps_the_old_file_and_leaves_no_other);
#ifdef HAVE_POSIX
    RUN(names_of_temporary_files_are_nobodys);
    RUN(a_save_goes_to_the_file_that_links_name);
    RUN(a_save_keeps_the_mode_of_the_file_and_a_new_one_has_the_users);
    RUN(what_is_not_a_regular_file_is_left_alone);
    RUN(a_name_as_long_as_a_name_may_be_is_saved);
#ifndef __EMSCRIPTEN__
    RUN(two_who_save_at_once_leave_a_whole_file);
#endif
#endif
    RUN(files_of_version_1_are_read);
    RUN(nets_without_parameters_are_not_saved);
#if defined(HAVE_POSIX) && !defined(__EMSCRIPTEN__)
    RUN(a_pipe_can_be_read);
#endif
#ifdef HAVE_POSIX
    rmdir(test_dir);
#endif
#endif
    return check_done();
}
