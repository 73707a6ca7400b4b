/* adanet.c -- boosting with networks: add a weak learner, of the same depth or one deeper.
 *     cc -O2 -I.. adanet.c -lm && ./a.out [table with the class last [repetitions]]
 * Two moons, labels +-1. Every round trains two candidates on the weighted data: a tanh network as
 * deep as the deepest so far and one deeper; the better one enters with the step that minimizes
 *     F = mean Phi(1 - y f) + penalty of the steps,   Phi(u) = ln(1 + e^u),
 * if F falls; the penalty of a learner is lambda r + b, r the Rademacher bound of its last layer.
 * You should see F fall every round, and fewer and shallower learners for a larger lambda. With a
 * table: its two largest classes, error on held-out tenths beside two plain networks. */
#define BNN_STATIC /* one file: what it does not call is not compiled */
#define BNN_IMPLEMENTATION
#include "bnn.h"
#include "example.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 200, ROUNDS = 12, STEPS = 100, DEEPEST = 3, FOLDS = 10, UNITS = 8, NET_STEPS = 1000 };
static const double RADIUS = 1; /* bound on the norm of a learner's last weights */

static double phi(double u) { return u > 30 ? u : log1p(exp(u)); }

static bnn_data moons(bnn_arena *mem, bnn_rng *rng) {
    bnn_data d = { bnn_mat_new(mem, N, 2), bnn_mat_new(mem, N, 1) };
    for (int i = 0; i < N; i++) {
        float a = 3.14159265f * bnn_rng_uniform(rng);
        d.x.data[2 * i] = (i % 2 ? 1 - cosf(a) : cosf(a)) + .25f * bnn_rng_normal(rng);
        d.x.data[2 * i + 1] = (i % 2 ? .5f - sinf(a) : sinf(a)) + .25f * bnn_rng_normal(rng);
        d.y.data[i] = i % 2 ? 1 : -1;
    }
    return d;
}

/* Data, the values f of the ensemble on it, and the values c of a candidate */
typedef struct { bnn_data data; double *f, *c[2]; } side;
typedef struct { bnn_net net; side train, test; size_t units; } booster;

static side side_new(bnn_arena *mem, bnn_data d) {
    side s = { d, bnn_arena_alloc(mem, d.x.rows, sizeof(double)),
               { bnn_arena_alloc(mem, d.x.rows, sizeof(double)),
                 bnn_arena_alloc(mem, d.x.rows, sizeof(double)) } };
    return s;
}

/* mean Phi(1 - y (f + h)), the learner h = tanh network, its last weights inside the ball */
static bnn_var *objective(bnn_tape *t, const booster *b) {
    bnn_mat x = b->train.data.x;
    bnn_var *h = b->net.forward(t, &b->net, bnn_input(t, x)), *y = bnn_input(t, b->train.data.y);
    bnn_var *f = bnn_op(t, x.rows, 1, NULL, 0, NULL);
    for (size_t i = 0; i < x.rows && f->val.data; i++) f->val.data[i] = (float)b->train.f[i];
    return bnn_mean(bnn_softplus(bnn_shift(bnn_neg(bnn_mul(y, bnn_add(f, h))), 1)));
}

static void values(bnn_tape *t, const bnn_net *net, side *s, int k) {
    bnn_tape_reset(t);
    bnn_var *h = net->forward(t, net, bnn_input(t, s->data.x));
    for (size_t i = 0; i < s->data.x.rows && h->val.data; i++) s->c[k][i] = h->val.data[i];
}

/* Trains a learner of this depth; c[k] = its values; returns the Rademacher bound (B/n) sqrt(sum
 * |z|^2) of its last layer over the values z that enter it. */
static double learner(bnn_tape *t, booster *b, int depth, uint64_t seed, int k) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_mlp_desc d = { .noise_std = 1, .activation = BNN_TANH, .seed = seed, .no_bias = 0 };
    double n = (double)b->train.data.x.rows;
    d.sizes[0] = b->train.data.x.cols;
    for (int l = 1; l <= depth; l++) d.sizes[l] = b->units;
    d.sizes[depth + 1] = 1;
    b->net = bnn_mlp(w, d);
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = .05f });
    bnn_mat last = bnn_params_mat(w, w->n_blocks - 2);
    for (int s = 0; s < STEPS; s++) {
        double norm = 0;
        bnn_tape_reset(t);
        bnn_backward(objective(t, b));
        bnn_step(&adam, t);
        for (size_t i = 0; i < b->units; i++) norm += pow(last.data[i], 2);
        if (sqrt(norm) > RADIUS) bnn_mat_scale(last, last, (float)(RADIUS / sqrt(norm)));
    }
    values(t, &b->net, &b->train, k);
    if (b->test.f) values(t, &b->net, &b->test, k);
    bnn_arena_free(&mem);
    /* tanh values: |z|^2 <= units; deeper classes multiply by 2 RADIUS per layer (Cortes et al.) */
    return RADIUS / n * sqrt(n * (double)b->units) * pow(2 * RADIUS, depth - 1);
}

static double value(const side *d, int k, double step) {
    double s = 0, n = (double)d->data.x.rows;
    for (size_t i = 0; i < d->data.x.rows; i++)
        s += phi(1 - d->data.y.data[i] * (d->f[i] + step * d->c[k][i])) / n;
    return s;
}

/* The step that minimizes value + penalty |step|: golden section on each side; 0 if within it */
static double best_step(const side *d, int k, double penalty) {
    double best = 0, low = value(d, k, 0), g = .6180339887;
    for (int sign = -1; sign <= 1; sign += 2) {
        double a = 0, b = 4;
        while (b - a > 1e-6) {
            double p = b - g * (b - a), q = a + g * (b - a);
            double at_p = value(d, k, sign * p) + penalty * p;
            if (at_p < value(d, k, sign * q) + penalty * q) b = q;
            else a = p;
        }
        if (value(d, k, sign * a) + penalty * a < low - 1e-9)
            low = value(d, k, sign * a) + penalty * a, best = sign * a;
    }
    return best;
}

static double error(const side *s) { /* percent */
    double wrong = 0;
    for (size_t i = 0; i < s->data.x.rows; i++) wrong += s->data.y.data[i] * s->f[i] <= 0;
    return 100 * wrong / (double)s->data.x.rows;
}

typedef struct { int rounds, deepest, falling; double objective; } outcome;

static outcome boost(bnn_tape *t, booster *b, double lambda, uint64_t seed, int show) {
    outcome o = { 0, 1, 1, 0 };
    double penalty = 0;
    for (size_t i = 0; i < b->train.data.x.rows; i++) b->train.f[i] = 0;
    for (size_t i = 0; b->test.f && i < b->test.data.x.rows; i++) b->test.f[i] = 0;
    o.objective = value(&b->train, 0, 0);
    for (; o.rounds < ROUNDS; o.rounds++) {
        double step[2], total[2], price[2];
        int better, depth[2];
        for (int k = 0; k < 2; k++) {
            depth[k] = o.deepest + k > DEEPEST ? DEEPEST : o.deepest + k;
            price[k] = lambda * learner(t, b, depth[k], seed + (uint64_t)(2 * o.rounds + k), k) +
                       1e-4;
            step[k] = best_step(&b->train, k, price[k]);
            total[k] = value(&b->train, k, step[k]) + penalty + price[k] * fabs(step[k]);
        }
        better = total[1] < total[0];
        if (!(total[better] < o.objective - 1e-4) || t->err) break;
        o.falling &= total[better] < o.objective;
        for (int s = 0; s < 2; s++) {
            side *to = s ? &b->test : &b->train;
            for (size_t i = 0; to->f && i < to->data.x.rows; i++)
                to->f[i] += step[better] * to->c[better][i];
        }
        penalty += price[better] * fabs(step[better]);
        o.objective = total[better];
        o.deepest = depth[better] > o.deepest ? depth[better] : o.deepest;
        if (show) printf("%5d %7d %7.3f %8.4f\n", o.rounds + 1, depth[better], step[better],
                         o.objective);
    }
    if (!o.rounds) o.deepest = 0;
    return o;
}

static int two_moons(void) {
    static const double lambdas[3] = { 0, 0.03, 0.2 };
    bnn_arena mem = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    bnn_data train = moons(&mem, &t.rng);
    double random = 0;
    for (int s = 0; s < 2000; s++) { /* the bound on a linear class, against random signs */
        double v[2] = { 0, 0 };
        for (int i = 0; i < N; i++)
            for (int j = 0; j < 2; j++)
                v[j] += (bnn_rng_u32(&t.rng) & 1 ? 1 : -1) * train.x.data[2 * i + j];
        random += RADIUS / N * sqrt(v[0] * v[0] + v[1] * v[1]) / 2000;
    }
    printf("Rademacher complexity of |w| <= 1 by random signs %.4f, bound %.4f\n", random,
           RADIUS / N * sqrt(bnn_mat_dot(train.x, train.x)));
    for (int l = 0; l < 3; l++) {
        booster b = { .train = side_new(&mem, train), .units = 2 };
        printf("\nlambda %g\nround   depth    step        F\n", lambdas[l]);
        outcome o = boost(&t, &b, lambdas[l], (uint64_t)(100 * l), 1);
        printf("RESULT adanet lambda=%g rounds=%d deepest=%d objective=%.4f falling=%d "
               "error=%.2f\n", lambdas[l], o.rounds, o.deepest, o.objective, o.falling,
               error(&b.train));
    }
    if (t.err) fprintf(stderr, "adanet: %s\n", t.msg);
    int failed = t.err || mem.err;
    bnn_tape_free(&t);
    bnn_arena_free(&mem);
    return failed;
}

/* ---- the two largest classes of a table */

static char *read_text(bnn_arena *mem, const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long length = -1;
    if (file && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0) {
        text = bnn_arena_alloc(mem, (size_t)length + 1, 1);
        rewind(file);
        *size = text ? fread(text, 1, (size_t)length, file) : 0;
    }
    if (file) fclose(file);
    return text;
}

/* Numbers of a table; a first line of another kind (names, counts) is skipped */
static bnn_mat read_table(bnn_arena *mem, const char *path) {
    bnn_csv csv = { { 0, 0, NULL }, NULL, 0 };
    size_t size = 0, line = 0;
    char *text = read_text(mem, path, &size);
    if (!text) return csv.values;
    bnn_csv_desc d = { .separator = ' ', .reject_missing = 1 };
    for (; line < size && text[line] != '\n'; line++)
        if (text[line] == ',' || text[line] == ';' || text[line] == '\t') d.separator = 0;
    if (bnn_csv_parse(mem, &csv, text, size, d) != BNN_OK && line < size) {
        d.header = -1;
        bnn_csv_parse(mem, &csv, text + line + 1, size - line - 1, d);
    }
    return csv.values;
}

/* A held-out copy of a training row would be known: copies count once */
static bnn_mat distinct(bnn_mat m) {
    size_t n = 0, bytes = m.cols * sizeof(float);
    for (size_t i = 0; i < m.rows; i++) {
        size_t j = 0;
        while (j < n && memcmp(m.data + j * m.cols, m.data + i * m.cols, bytes) != 0) j++;
        if (j == n) memmove(m.data + n++ * m.cols, m.data + i * m.cols, bytes);
    }
    m.rows = n;
    return m;
}

/* Rows of the two largest classes, in a random order, labels 1 for the larger and -1 */
static bnn_data two_largest(bnn_arena *mem, bnn_rng *rng, bnn_mat m, float *labels) {
    size_t best[2] = { 0, 0 }, n = 0, d = m.cols - 1;
    for (size_t i = 0; i < m.rows; i++) {
        size_t count = 0;
        float y = m.data[i * m.cols + d];
        for (size_t j = 0; j < m.rows; j++) count += m.data[j * m.cols + d] == y;
        if (best[0] && labels[0] == y) continue;
        if (count > best[0]) {
            best[1] = best[0], labels[1] = labels[0];
            best[0] = count, labels[0] = y;
        } else if (count > best[1]) {
            best[1] = count, labels[1] = y;
        }
    }
    bnn_data out = { bnn_mat_new(mem, best[0] + best[1], d),
                     bnn_mat_new(mem, best[0] + best[1], 1) };
    size_t *order = bnn_arena_alloc(mem, m.rows, sizeof *order);
    if (mem->err || !best[1]) return (bnn_data){ { 0, 0, NULL }, { 0, 0, NULL } };
    bnn_rng_permutation(rng, m.rows, order);
    for (size_t i = 0; i < m.rows; i++) {
        const float *row = m.data + order[i] * m.cols;
        if (row[d] != labels[0] && row[d] != labels[1]) continue;
        for (size_t j = 0; j < d; j++) out.x.data[n * d + j] = row[j];
        out.y.data[n++] = row[d] == labels[0] ? 1 : -1;
    }
    return out;
}

/* One fold: every FOLDS-th row is held out, the rest gives mean and standard deviation */
static void fold(bnn_arena *mem, bnn_data all, size_t which, bnn_data *train, bnn_data *test) {
    size_t d = all.x.cols, held = (all.x.rows - which + FOLDS - 1) / FOLDS, n[2] = { 0, 0 };
    bnn_mat mean = bnn_mat_new(mem, 1, d), sd = bnn_mat_new(mem, 1, d);
    bnn_data *to[2] = { train, test };
    for (int k = 0; k < 2; k++) {
        to[k]->x = bnn_mat_new(mem, k ? held : all.x.rows - held, d);
        to[k]->y = bnn_mat_new(mem, to[k]->x.rows, 1);
    }
    if (mem->err) return;
    for (size_t i = 0; i < all.x.rows; i++) {
        int k = i % FOLDS == which;
        for (size_t j = 0; j < d; j++) to[k]->x.data[n[k] * d + j] = all.x.data[i * d + j];
        to[k]->y.data[n[k]++] = all.y.data[i];
    }
    bnn_mat_col_mean(mean, train->x);
    bnn_mat_col_std(sd, train->x);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < to[k]->x.rows * d; i++)
            to[k]->x.data[i] = (to[k]->x.data[i] - mean.data[i % d]) /
                               (sd.data[i % d] > 0 ? sd.data[i % d] : 1);
}

/* A plain network: the mode of its posterior under N(0, 1), all units in one layer */
static void plain(bnn_tape *t, booster *b, size_t units, uint64_t seed) {
    bnn_arena mem = { 0 };
    bnn_params *w = bnn_params_new(&mem);
    bnn_net net = bnn_mlp(w, (bnn_mlp_desc){ .sizes = { b->train.data.x.cols, units, 1 },
        .activation = BNN_TANH, .likelihood = BNN_BERNOULLI, .seed = seed });
    bnn_data d = { b->train.data.x, bnn_mat_copy(&mem, b->train.data.y) };
    for (size_t i = 0; i < d.y.rows && !mem.err; i++) d.y.data[i] = d.y.data[i] > 0;
    bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = .01f });
    for (int s = 0; s < NET_STEPS; s++) {
        bnn_tape_reset(t);
        bnn_backward(bnn_net_loss(&net, bnn_batch_all(t, d)));
        bnn_step(&adam, t);
    }
    values(t, &net, &b->train, 0);
    values(t, &net, &b->test, 0);
    b->train.f = b->train.c[0], b->test.f = b->test.c[0];
    bnn_arena_free(&mem);
}

static int table(const char *path, int repetitions) {
    enum { ALL = 5 };
    static const double lambdas[ALL] = { 0, 0.03, 0.2, -1, -1 }; /* the last two: plain networks */
    static const size_t units[ALL] = { UNITS, UNITS, UNITS, 16, 200 };
    bnn_arena file = { 0 };
    bnn_tape t = { .rng = bnn_rng_seed(1) };
    bnn_mat m = distinct(read_table(&file, path));
    double held[ALL] = { 0 }, train[ALL] = { 0 }, rounds[ALL] = { 0 }, deepest[ALL] = { 0 };
    double folds = 0;
    float labels[2] = { 0, 0 };
    int falling = 1, failed = 0;
    size_t rows = 0;
    for (int r = 0; r < repetitions && m.data; r++)
        for (size_t k = 0; k < FOLDS && !t.err; k++, folds++) {
            bnn_arena mem = { 0 };
            bnn_rng order = bnn_rng_stream(1, (uint64_t)r);
            bnn_data all = two_largest(&mem, &order, m, labels);
            booster b = { .units = UNITS };
            if (all.x.rows < 2 * FOLDS) bnn_tape_fail(&t, BNN_EARG, path, "too few rows");
            rows = all.x.rows;
            bnn_data in, out;
            if (!t.err) fold(&mem, all, k, &in, &out);
            for (int l = 0; l < ALL && !t.err && !mem.err; l++) {
                b.train = side_new(&mem, in), b.test = side_new(&mem, out);
                uint64_t seed = 1000 * ((uint64_t)r * FOLDS + k) + 100 * (uint64_t)l;
                outcome o = { 1, 1, 1, 0 };
                if (lambdas[l] < 0) plain(&t, &b, units[l], seed);
                else o = boost(&t, &b, lambdas[l], seed, 0);
                held[l] += error(&b.test) * (double)out.x.rows / 100;
                train[l] += error(&b.train);
                rounds[l] += o.rounds, deepest[l] += o.deepest, falling &= o.falling;
            }
            fprintf(stderr, "fold %zu of %d\r", (size_t)r * FOLDS + k + 1, repetitions * FOLDS);
            if (mem.err) bnn_tape_fail(&t, mem.err, path, mem.msg);
            bnn_arena_free(&mem);
        }
    if (!m.data) fprintf(stderr, "adanet: %s: %s\n", path,
                         file.msg[0] ? file.msg : "cannot be read, or is empty");
    else if (!t.err) printf("classes %g and %g, %zu rows\n", labels[0], labels[1], rows);
    for (int l = 0; l < ALL && m.data && !t.err; l++) {
        double n = (double)rows * repetitions, p = held[l] / n;
        if (lambdas[l] < 0) printf("RESULT adanet_table method=net units=%zu", units[l]);
        else printf("RESULT adanet_table method=adanet lambda=%g rounds=%.1f deepest=%.1f "
                    "falling=%d", lambdas[l], rounds[l] / folds, deepest[l] / folds, falling);
        printf(" train=%.2f error=%.2f se=%.2f\n", train[l] / folds, 100 * p,
               100 * sqrt(p * (1 - p) / (double)rows));
    }
    if (t.err) fprintf(stderr, "adanet: %s\n", t.msg);
    failed = t.err ? 1 : m.data ? 0 : 2;
    bnn_tape_free(&t);
    bnn_arena_free(&file);
    return failed;
}

int main(int argc, char **argv) {
    if (argc < 2) return two_moons();
    example_most("adanet", argc, argv, 2);
    return table(argv[1], argc > 2 ? (int)example_whole("adanet", "repetitions", argv[2], 1, 1e4)
                                   : 1);
}
