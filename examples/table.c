/* table.c -- a CSV as people write it: words, dates, yes and no, gaps, decimal commas. A recipe
 * makes numbers of it, a net learns them, and the next table, in another order, goes the same way.
 *     cc -O2 -I.. table.c -lm && ./a.out
 * You should see what became of each column, and prices of three flats with their error bars. */
#define BNN_STATIC /* one file: functions that it does not call are not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include <stdio.h>
#include <string.h>

enum { ROWS = 300 };

static int failed(const bnn_arena *mem, const bnn_tape *tape) {
    if (mem->err) fprintf(stderr, "table: %s\n", mem->msg);
    else if (tape->err) fprintf(stderr, "table: %s\n", tape->msg);
    return mem->err || tape->err;
}

/* A made-up market: price = 30 + 4 area + 60 in the center + 25 with a lift - 1 per year of age */
static size_t write_market(char *to, size_t room, bnn_rng *rng) {
    static const char *const quarters[] = { "center", "harbor", "hills" };
    size_t n = (size_t)snprintf(to, room, "id;area;quarter;lift;built;price\n");
    for (int i = 0; i < ROWS; i++) {
        int area = 20 + (int)bnn_rng_below(rng, 100), year = 1960 + (int)bnn_rng_below(rng, 60);
        int q = (int)bnn_rng_below(rng, 3), lift = (int)bnn_rng_below(rng, 2);
        double price = 30 + 4 * area + 60 * (q == 0) + 25 * lift - (2020 - year) +
                       10 * (double)bnn_rng_normal(rng);
        char size[16] = "n/a";
        if (i % 20 != 7) snprintf(size, sizeof size, "%d,%d", area, i % 10);
        n += (size_t)snprintf(to + n, room - n, "F%d;%s;%s;%s;%d-06-01;%d,%02d\n", i, size,
                              quarters[q], lift ? "yes" : "no", year, (int)price, i % 100);
    }
    return n;
}

int main(void) {
    static const char next[] = "built;quarter;lift;area\n2015-01-31;center;yes;80,5\n"
                               "1965-07-15;hills;no;80,5\n1990-03-01;harbor;yes;n/a\n";
    static char text[ROWS * 64];
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    bnn_csv_desc comma = { .header = 1, .decimal = ',' };
    bnn_table market, flats;
    size_t size = write_market(text, sizeof text, &tape.rng);

    bnn_table_parse(&mem, &market, text, size, comma);
    bnn_recipe recipe = bnn_recipe_new(&mem, &market, (bnn_recipe_desc){
        .target = "price", .skip = "id", .missing = BNN_MISSING_INDICATOR });
    bnn_data train = bnn_recipe_data(&mem, &recipe, &market, NULL);
    if (failed(&mem, &tape)) return 1;
    printf("%zu rows; x: ", train.x.rows);
    for (size_t i = 0; i < recipe.x_cols; i++) printf("%s%s", i ? ", " : "", recipe.x_names[i]);

    bnn_table_parse(&mem, &flats, next, strlen(next), comma);
    bnn_data ask = bnn_recipe_data(&mem, &recipe, &flats, NULL);
    if (failed(&mem, &tape)) return 1;
    printf("\nnote: %s\n", mem.note); /* of the order of the columns */

    bnn_net net = bnn_mlp(bnn_params_new(&mem), (bnn_mlp_desc){ .sizes = { recipe.x_cols, 10, 1 },
        .activation = BNN_TANH, .noise_learned = 1 });
    bnn_posterior p = bnn_fit(&mem, &net, train, (bnn_fit_desc){ 0 }); /* no number to choose */

    bnn_predictive y = bnn_predict(&mem, &tape, &net, &p.post, ask.x);
    if (failed(&mem, &tape)) return 1;
    puts("\nbuilt       quarter  lift   area   price     sd  of these");
    for (size_t i = 0; i < flats.rows; i++) {
        for (size_t c = 0; c < flats.cols; c++) printf("%-6s  ", flats.columns[c].cells[i]);
        printf("%6.0f  %5.1f  %5.1f by the net\n", (double)y.mean.data[i],
               sqrt((double)(y.aleatoric.data[i] + y.epistemic.data[i])),
               sqrt((double)y.epistemic.data[i]));
    }
    bnn_tape_free(&tape);
    bnn_arena_free(&mem);
    return 0;
}
