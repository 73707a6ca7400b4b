/* 5_teacher_prior.c -- lecture 5: what a teacher knows as the prior of its student. Two neurons,
 * where all is exact; a net that loses neurons and a layer; then digits, by the rows that a student
 * sees, and what happens if the same rows count again and again.
 *     cc -O2 -I. docs/course/5_teacher_prior.c -o teacher -lm && ./teacher [folder of the pictures]
 * Run it where the folder examples is. Change it: truth, noise, rows[], STUDENT_STEPS. */
#include "inherit.h"

enum { ROWS = 16, HALF = ROWS / 2, GRID = 121, SIZES = 8, WIDTH = 16 };
static const double truth[2] = { 0.6, 0.6 }, noise = 0.3; /* priors are N(0, 1) */

/* y = w1 tanh(x) + w2 tanh(2 x). The posterior is exactly normal: precision A, A mean = b */
typedef struct { double A[2][2], b[2]; } known;
typedef struct { double mean[2], cov[2][2]; } normal;

static void see(known *k, bnn_data d, int first, int count) {
    for (int i = first; i < first + count; i++)
        for (int a = 0; a < 2; a++) {
            double h = (double)d.x.data[2 * i + a] / (noise * noise);
            k->b[a] += h * (double)d.y.data[i];
            for (int b = 0; b < 2; b++) k->A[a][b] += h * (double)d.x.data[2 * i + b];
        }
}

static normal posterior_of(const known *k) {
    double det = k->A[0][0] * k->A[1][1] - k->A[0][1] * k->A[0][1];
    normal p = { { 0, 0 }, { { k->A[1][1] / det, -k->A[0][1] / det },
                             { -k->A[0][1] / det, k->A[0][0] / det } } };
    for (int i = 0; i < 2; i++) p.mean[i] = p.cov[i][0] * k->b[0] + p.cov[i][1] * k->b[1];
    return p;
}

static bnn_gaussian gaussian_of(bnn_arena *mem, const normal *p) {
    float mean[2], cov[4];
    for (int i = 0; i < 2; i++) mean[i] = (float)p->mean[i];
    for (int i = 0; i < 4; i++) cov[i] = (float)p->cov[i / 2][i % 2];
    return bnn_gaussian_new(mem, 2, mean, (bnn_mat){ 2, 2, cov });
}

static void show(const char *name, const normal *p) {
    double s1 = sqrt(p->cov[0][0]), s2 = sqrt(p->cov[1][1]);
    printf("%-38s %6.3f %6.3f %9.3f %6.3f %10.2f\n", name, p->mean[0], s1, p->mean[1], s2,
           p->cov[0][1] / (s1 * s2));
}

/* The highest posterior of a student of these rows under the prior, found by descent */
static void descend(bnn_arena *mem, bnn_tape *tape, bnn_gaussian *prior, bnn_data d, double *w) {
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 2, 1 }, .no_bias = 1,
                          .noise_std = (float)noise });
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 0.05f });
    for (size_t s = 0; s < 2000; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(0.05, s, 2000);
        bnn_batch b = bnn_batch_all(tape, d);
        bnn_var *prior_nll = bnn_gaussian_prior_nll(tape, net.params, prior);
        bnn_backward(bnn_add(bnn_net_nll(&net, b), bnn_scale(prior_nll, (float)(1 / b.n_data))));
        bnn_step(&adam, tape);
    }
    for (int i = 0; i < 2; i++) w[i] = (double)net.params->theta[i];
}

/* Root mean square of w1 tanh(x) + w2 tanh(2 x) minus the truth, x from -2 to 2 */
static double miss(double w1, double w2) {
    double sum = 0;
    for (int i = 0; i < 400; i++) {
        double x = -2 + 4 * (i + 0.5) / 400;
        double e = (w1 - truth[0]) * tanh(x) + (w2 - truth[1]) * tanh(2 * x);
        sum += e * e / 400;
    }
    return sqrt(sum);
}

static void draw_cut(const normal *p, double cut, double cut_sd) {
    static double z[GRID * GRID];
    double a0 = -0.4, a1 = 2, b0 = -0.6, b1 = 1.6, sd = sqrt(p->cov[0][0]);
    double det = p->cov[0][0] * p->cov[1][1] - p->cov[0][1] * p->cov[0][1];
    for (int i = 0; i < GRID; i++)
        for (int j = 0; j < GRID; j++) {
            double u = a0 + (a1 - a0) * j / (GRID - 1) - p->mean[0];
            double v = b0 + (b1 - b0) * i / (GRID - 1) - p->mean[1];
            z[i * GRID + j] = (p->cov[1][1] * u * u - 2 * p->cov[0][1] * u * v +
                               p->cov[0][0] * v * v) / det;
        }
    svg s = picture("5_cut", "What is left of w1 if the second neuron goes");
    svg_axes(&s, a0, a1, b0, b1, "w1", "w2");
    float wide[2] = { (float)a0, (float)a1 }, zero[2] = { 0, 0 };
    svg_line(&s, 2, wide, zero, 4);
    svg_contour(&s, GRID, GRID, z, 4, 0);
    float x[3] = { (float)(cut - 2 * cut_sd), (float)cut, (float)(cut + 2 * cut_sd) };
    float y[3] = { 0, 0, 0 };
    svg_line(&s, 3, x, y, 5);
    svg_points(&s, 3, x, y, 5);
    for (int i = 0; i < 3; i++)
        x[i] = (float)(p->mean[0] + 2 * sd * (i - 1)), y[i] = (float)b0 + 0.12f;
    svg_line(&s, 3, x, y, 1);
    svg_points(&s, 3, x, y, 1);
    svg_note(&s, 0.6, 1.1, "the teacher, two sd around its mean");
    svg_note(&s, cut + 0.25, 0.06, "cut: w2 is 0");
    svg_note(&s, -0.3, b0 + 0.2, "shadow: w2 forgotten");
    picture_end(&s);
}

static void two_neurons(bnn_arena *mem, bnn_tape *tape) {
    bnn_data d = { bnn_mat_new(mem, ROWS, 2), bnn_mat_new(mem, ROWS, 1) };
    bnn_rng rng = bnn_rng_seed(5);
    for (int i = 0; i < ROWS; i++) { /* even rows are the first half */
        float x = -2 + 4 * ((float)((i % HALF) * 2 + i / HALF) + 0.5f) / ROWS;
        d.x.data[2 * i] = tanhf(x), d.x.data[2 * i + 1] = tanhf(2 * x);
        d.y.data[i] = (float)(truth[0] * tanh((double)x) + truth[1] * tanh(2 * (double)x) +
                              noise * (double)bnn_rng_normal(&rng));
    }
    const known start = { { { 1, 0 }, { 0, 1 } }, { 0, 0 } };
    known first = start, all = start, again = start, alone = start;
    see(&first, d, 0, HALF), see(&all, d, 0, ROWS);
    see(&again, d, 0, HALF), see(&again, d, 0, HALF);
    normal teacher = posterior_of(&first), whole = posterior_of(&all), twice = posterior_of(&again);
    printf("two neurons                             w1: mean  sd     w2: mean  sd   correlation\n");
    show("teacher: the first 8 rows", &teacher);
    show("all 16 rows at once, prior N(0, 1)", &whole);
    show("the first 8 rows twice", &twice);
    double w[2];
    bnn_gaussian prior = gaussian_of(mem, &teacher);
    descend(mem, tape, &prior, bnn_data_rows(d, HALF, HALF), w);
    printf("student: 8 other rows, by descent      %6.3f %16.3f\n", w[0], w[1]);
    check(near(w[0], whole.mean[0], 2e-3) && near(w[1], whole.mean[1], 2e-3), "in two steps");
    descend(mem, tape, &prior, bnn_data_rows(d, 0, HALF), w);
    printf("student: the teacher's rows            %6.3f %16.3f\n\n", w[0], w[1]);

    const unsigned char fix[2] = { BNN_KEEP, BNN_FIX }, drop[2] = { BNN_KEEP, BNN_DROP };
    bnn_gaussian g = gaussian_of(mem, &whole);
    bnn_gaussian cut = bnn_gaussian_reduce(mem, &g, fix, NULL);
    bnn_gaussian shadow = bnn_gaussian_reduce(mem, &g, drop, NULL);
    if (mem->err) return;
    see(&alone, d, 0, ROWS); /* a net that never had the second neuron */
    double one = alone.b[0] / alone.A[0][0], one_sd = 1 / sqrt(alone.A[0][0]);
    double c = (double)cut.mean[0], c_sd = sqrt((double)cut.pieces[0].cov.data[0]);
    double s = (double)shadow.mean[0], s_sd = sqrt((double)shadow.pieces[0].cov.data[0]);
    check(near(c, one, 1e-4) && near(c_sd, one_sd, 1e-4), "the cut is the smaller net");
    printf("the second neuron goes             w1: mean  sd      f misses the truth by\n");
    printf("teacher, with both neurons        %7.3f %6.3f %16.3f\n", whole.mean[0],
           sqrt(whole.cov[0][0]), miss(whole.mean[0], whole.mean[1]));
    printf("shadow: w2 integrated out         %7.3f %6.3f %16.3f\n", s, s_sd, miss(s, 0));
    printf("cut: w2 set to 0                  %7.3f %6.3f %16.3f\n", c, c_sd, miss(c, 0));
    printf("one neuron, taught by the 16 rows %7.3f %6.3f %16.3f\n\n", one, one_sd, miss(one, 0));
    draw_cut(&whole, c, c_sd);
}

static double rmse(bnn_arena *mem, bnn_tape *tape, const bnn_net *net, bnn_data d) {
    bnn_mark mark = bnn_arena_mark(mem);
    double e = bnn_metric_rmse(bnn_predict(mem, tape, net, NULL, d.x).mean, d.y);
    bnn_arena_rewind(mem, mark);
    return e;
}

/* 2-16-16-1 relu learns a hilly plane; neurons of its second layer go one by one; then the layer */
static void shrink(bnn_arena *mem, bnn_tape *tape) {
    enum { N = 400, STEPS = 3000 };
    bnn_data d = { bnn_mat_new(mem, N, 2), bnn_mat_new(mem, N, 1) };
    bnn_rng rng = bnn_rng_seed(2);
    bnn_rng_fill_normal(&rng, 2 * N, d.x.data);
    for (int i = 0; i < N; i++)
        d.y.data[i] = sinf(2 * d.x.data[2 * i]) + d.x.data[2 * i] * d.x.data[2 * i + 1] / 2 +
                      0.1f * bnn_rng_normal(&rng);
    bnn_net net = bnn_mlp(bnn_params_new(mem), (bnn_mlp_desc){ .sizes = { 2, WIDTH, WIDTH, 1 },
                          .noise_std = 0.1f, .seed = 3 });
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 0.01f });
    for (size_t s = 0; s < STEPS; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(0.01, s, STEPS);
        bnn_backward(bnn_net_loss(&net, bnn_minibatch(tape, d, 100)));
        bnn_step(&adam, tape);
    }
    bnn_laplace last = bnn_laplace_new(mem, tape, &net, d, BNN_LAPLACE_LAST);
    bnn_gaussian g = bnn_gaussian_laplace(mem, &last, BNN_COV_LAYERS), out = { 0 };
    bnn_laplace rough = bnn_laplace_new(mem, tape, &net, d, BNN_LAPLACE_DIAGONAL);
    bnn_gaussian free = bnn_gaussian_laplace(mem, &rough, BNN_COV_DIAGONAL);
    size_t order[WIDTH];
    float removed[WIDTH], error[2][WIDTH];
    if (bnn_drop_order(mem, order, &net, &g, 2, BNN_ORDER_RATIO, NULL, NULL) || tape->err) return;
    printf("neurons removed of 16, rmse        0      4      6      8     10     12     14\n");
    for (int k = 0; k < 2; k++) {
        printf("%-30s", k ? "conditioned on 0" : "deleted, the rest as it was");
        for (size_t j = 0; j < WIDTH; j++) {
            bnn_net small = bnn_drop_neurons(bnn_params_new(mem), &out, &net, k ? &g : &free, 2, j,
                                             order, 0);
            removed[j] = (float)j;
            error[k][j] = small.params ? (float)rmse(mem, tape, &small, d) : 0;
            if (j % 2 == 0 && j != 2) printf(" %6.3f", (double)error[k][j]);
        }
        printf("\n");
    }
    bnn_net flat = bnn_drop_layer(bnn_params_new(mem), &out, &net, &free, 2);
    double mean = bnn_mat_sum(d.y) / N, square = 0;
    for (int i = 0; i < N; i++) square += pow((double)d.y.data[i] - mean, 2) / N;
    printf("the second layer removed: rmse %.3f; the mean of y alone: %.3f\n\n",
           flat.params ? rmse(mem, tape, &flat, d) : 0, sqrt(square));
    svg s = picture("5_removed", "Neurons go: with and without a word to the others");
    svg_axes(&s, 0, WIDTH - 1, 0, 2, "neurons removed of 16", "root mean square error");
    for (int k = 0; k < 2; k++) {
        svg_line(&s, WIDTH, removed, error[k], 1 - k);
        svg_points(&s, WIDTH, removed, error[k], 1 - k);
    }
    svg_key(&s, "squares: deleted, the rest as it was", 1, 0);
    svg_key(&s, "circles: conditioned on 0", 0, 0);
    picture_end(&s);
}

static void digits(bnn_arena *mem, bnn_tape *tape) {
    enum { PRIORS = 4, HALVES = 1900 };
    static const size_t rows[SIZES] = { 10, 20, 50, 100, 200, 500, 1000, HALVES };
    static const char *name[PRIORS] = { "squares: N(0, 1)", "triangles: N(teacher's means, 1)",
                                        "circles: the teacher's posterior",
                                        "posterior of a teacher in the mirror" };
    static const int color[PRIORS] = { 1, 2, 0, 3 };
    bnn_data train = course_digits(mem, "train"), test = course_digits(mem, "test");
    bnn_data first = bnn_data_rows(train, 0, HALVES), second = bnn_data_rows(train, HALVES, HALVES);
    bnn_net big, small, other;
    bnn_gaussian all, full, prior[PRIORS];
    prior[2] = teach(mem, tape, first, &big, &all, &small);
    prior[3] = teach(mem, tape, mirrored(mem, first), &other, &full, &other);
    if (mem->err || tape->err) return;
    prior[0] = same_sd(mem, prior[2].n, NULL, 1);
    prior[1] = same_sd(mem, prior[2].n, prior[2].mean, 1);
    grade t = examine(mem, tape, &big, &all, test);
    grade u = examine(mem, tape, &small, &prior[2], test);
    printf("test: nats per digit, error   teacher %.3f %.1f %%, cut to 12 neurons %.3f %.1f %%\n",
           t.nll, t.error, u.nll, u.error);
    printf("rows       N(0, 1)      N(means, 1)      posterior   mirrored teacher\n");
    float at[SIZES], nll[PRIORS][SIZES];
    for (int k = 0; k < SIZES; k++) {
        printf("%4d", (int)rows[k]);
        at[k] = log10f((float)rows[k]);
        for (int m = 0; m < PRIORS; m++) {
            grade g = student(tape, &prior[m], m ? prior[m].mean : NULL,
                              bnn_data_rows(second, 0, rows[k]), test, NULL);
            nll[m][k] = (float)g.nll;
            printf("%9.3f %4.1f %%", g.nll, g.error);
        }
        printf("\n");
    }
    printf("\n1900 rows          test nats   error   width of a weight\n");
    for (int k = 0; k < 4; k++) {
        double sd;
        grade g = student(tape, &prior[k % 2 ? 2 : 0], prior[2].mean, k < 2 ? second : first, test,
                          &sd);
        printf("%6s, %-9s %12.3f %5.1f %% %12.3f\n", k < 2 ? "others" : "same",
               k % 2 ? "posterior" : "N(0, 1)", g.nll, g.error, sd);
    }
    svg s = picture("5_rows", "A student on digits, by the rows it sees");
    svg_axes(&s, 1, 3.4, 0, 3.6, "log10 of the student's rows", "test nats per digit");
    for (int m = 0; m < PRIORS; m++) {
        svg_line(&s, SIZES, at, nll[m], color[m]);
        if (m < 3) svg_points(&s, SIZES, at, nll[m], color[m]);
        svg_key(&s, name[m], color[m], 0);
    }
    picture_end(&s);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    if (argc > 1) course_folder = argv[1];
    two_neurons(&mem, &tape);
    shrink(&mem, &tape);
    digits(&mem, &tape);
    return done(&mem, &tape);
}
