/* fuzz_table.c -- any bytes as a table, a recipe of it over it, and any bytes as a recipe.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I../.. fuzz_table.c -lm
 *     ./a.out -max_len=4096 corpus/table        (or afl-clang-fast -DFUZZ_MAIN, or cc -DFUZZ_MAIN)
 * The first byte chooses the descs; if it is 255 the rest are the bytes of a recipe. What is made must
 * have the promised shape, survive a checkpoint's bytes and be written so that it reads back. */
#define BNN_IMPLEMENTATION
#include "bnn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) do { if (!(cond)) abort(); } while (0)

static void as_recipe(bnn_arena *mem, const uint8_t *data, size_t size, const bnn_table *t) {
    bnn_bytes bytes, again;
    bnn_recipe r, s;
    bnn_data d;
    memset(&r, 0, sizeof r);
    memset(&s, 0, sizeof s);
    bytes.data = malloc(size + 1); /* its own, so that ASan sees its end */
    bytes.size = size;
    memcpy(bytes.data, data, size);
    if (bnn_recipe_read(mem, &r, bytes) != BNN_OK) MUST(r.n_inputs == 0 && mem->err == BNN_OK);
    else {
        again = bnn_recipe_write(mem, &r);
        if (r.n_inputs != 0) MUST(bnn_recipe_read(mem, &s, again) == BNN_OK && s.x_cols == r.x_cols);
        d = bnn_recipe_data(mem, &r, t, NULL);
        MUST(d.x.data == NULL || d.x.cols == r.x_cols);
    }
    free(bytes.data);
}

static void through_a_recipe(bnn_arena *mem, const bnn_table *t, int control) {
    bnn_recipe_desc desc;
    bnn_recipe r;
    bnn_data d, e;
    size_t rows[4096], i;
    memset(&desc, 0, sizeof desc);
    desc.missing = control & 3 ? control & 3 : BNN_MISSING_INDICATOR;
    desc.target = control & 4 ? "1" : NULL;
    desc.date_order = control >> 3 & 1;
    desc.unknown = 1 + (control >> 4 & 1);
    desc.classes = control & 32 ? "2" : NULL;
    MUST(t->rows <= 4096);
    r = bnn_recipe_new(mem, t, desc);
    MUST((mem->err == BNN_OK) == (r.n_inputs != 0));
    if (mem->err != BNN_OK) return;
    d = bnn_recipe_data(mem, &r, t, rows);
    if (mem->err != BNN_OK) return;
    MUST(d.x.cols == r.x_cols && d.x.rows <= t->rows && bnn_mat_finite(d.x));
    for (i = 1; i < d.x.rows; i++) MUST(rows[i] > rows[i - 1]);
    for (i = 0; i < r.x_cols; i++) MUST(r.x_names[i] != NULL);
    {
        bnn_bytes bytes = bnn_recipe_write(mem, &r);
        MUST(bytes.data != NULL && bnn_recipe_read(mem, &r, bytes) == BNN_OK);
    }
    e = bnn_recipe_data(mem, &r, t, NULL);
    MUST(e.x.rows == d.x.rows && memcmp(e.x.data, d.x.data, d.x.rows * d.x.cols * sizeof(float)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bnn_arena mem;
    bnn_table t, back;
    bnn_csv_desc desc;
    void *bytes;
    size_t n, i, j;
    int control = size > 0 ? data[0] : 0, recipe = control == 255;
    if (size > 0) data++, size--;
    if (size > 4096) return 0;
    memset(&mem, 0, sizeof mem);
    memset(&t, 0, sizeof t);
    memset(&back, 0, sizeof back);
    memset(&desc, 0, sizeof desc);
    desc.decimal = control & 64 ? ',' : '\0';
    desc.thousands = control & 64 ? '.' : control & 32 ? ',' : '\0';
    if (recipe) {
        MUST(bnn_table_parse(&mem, &t, "a,b\n1,x\n2020-01-01,yes\n", 23, desc) == BNN_OK);
        as_recipe(&mem, data, size, &t);
    } else if (bnn_table_parse(&mem, &t, (const char *)data, size, desc) != BNN_OK)
        MUST(t.columns == NULL && mem.err == BNN_OK && mem.used == 0 && mem.msg[0] != '\0');
    else {
        MUST(bnn_table_write(&mem, &t, &bytes, &n) == BNN_OK);
        desc.separator = t.desc.separator;
        desc.header = -1; /* names that are numbers alone are not written */
        for (i = 0; i < t.cols; i++) {
            char number[24];
            snprintf(number, sizeof number, "%u", (unsigned)(i + 1));
            if (strcmp(t.columns[i].name, number) != 0) desc.header = 1;
        }
        MUST(bnn_table_parse(&mem, &back, (const char *)bytes, n, desc) == BNN_OK);
        MUST(back.rows == t.rows && back.cols == t.cols);
        for (i = 0; i < t.cols && t.cols > 1; i++)
            for (j = 0; j < t.rows; j++)
                MUST(strcmp(t.columns[i].cells[j], back.columns[i].cells[j]) == 0);
        through_a_recipe(&mem, &t, control);
    }
    bnn_arena_free(&mem);
    return 0;
}
#include "fuzz.h"
