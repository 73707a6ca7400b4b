/* 4_distillation.c -- lecture 4: a large network teaches a small one. What its answers hold at
 * several temperatures, what students make of them, and the two directions of KL.
 *     cc -O2 -I. docs/course/4_distillation.c -o distill -lm && ./distill [folder of the pictures]
 * Run it where the folder examples is. Change it: LABELED, HIDDEN, DIGIT, the temperatures. */
#include "teacher.h"

enum { DIGIT = 782, HEATS = 5, PUPILS = 4, GRID = 401, FITS = 3 };

/* p_k = softmax(v/T)_k in double */
static void softmax(const float *v, double T, double *p) {
    double top = (double)v[0], sum = 0;
    for (int k = 1; k < CLASSES; k++) top = fmax(top, (double)v[k]);
    for (int k = 0; k < CLASSES; k++) sum += p[k] = exp(((double)v[k] - top) / T);
    for (int k = 0; k < CLASSES; k++) p[k] /= sum;
}

/* The digit itself, gray by ink, in the upper right of a picture */
static void draw_digit(const svg *s, const float *x) {
    for (int i = 0; i < 64; i++) {
        int gray = (int)(255.5f - 255 * x[i]);
        fprintf(s->f, "<rect x=\"%d\" y=\"%d\" width=\"11\" height=\"11\" fill=\"#%02x%02x%02x\" "
                      "stroke=\"#ddd\"/>\n", SVG_W - SVG_RIGHT - 90 + 11 * (i % 8),
                SVG_TOP + 4 + 11 * (i / 8), (unsigned)gray, (unsigned)gray, (unsigned)gray);
    }
}

/* One answer of the teacher: as it is, and heated */
static void one_answer(const float *x, const float *v, double label) {
    static const double heat[3] = { 1, 4, 16 };
    double p[3][CLASSES];
    printf("a %.0f; class         ", label);
    for (int k = 0; k < CLASSES; k++) printf("%7d", k);
    printf("\nlogit                ");
    for (int k = 0; k < CLASSES; k++) printf("%7.1f", (double)v[k]);
    svg s = picture("4_answer", "What a teacher says of one digit");
    svg_axes(&s, -0.5, 9.5, 0, 1, "class", "probability");
    for (int t = 0; t < 3; t++) {
        char key[64];
        softmax(v, heat[t], p[t]);
        printf("\nprobability at T = %2.0f", heat[t]);
        for (int k = 0; k < CLASSES; k++) {
            float at[2], height[2] = { 0, (float)p[t][k] };
            at[0] = at[1] = (float)k + 0.22f * (float)(t - 1);
            svg_line(&s, 2, at, height, t);
            svg_points(&s, 1, at, height + 1, t);
            printf(" %.4f", p[t][k]);
        }
        snprintf(key, sizeof key, "temperature %.0f", heat[t]);
        svg_key(&s, key, t, 1);
    }
    printf("\n\n");
    draw_digit(&s, x);
    picture_end(&s);
}

/* Errors, nll and ECE of PUPILS students; the nll of each goes to all. Prints a row */
static double students(bnn_arena *mem, bnn_tape *tape, const char *name, bnn_data d,
                       bnn_soft_desc soft, bnn_data test, float *all) {
    double errors = 0, nll = 0, ece = 0;
    for (int k = 0; k < PUPILS; k++) {
        bnn_mark mark = bnn_arena_mark(mem);
        bnn_mlp_desc small = { .sizes = { 64, HIDDEN, CLASSES }, .likelihood = BNN_CATEGORICAL };
        small.seed = (uint64_t)k;
        bnn_net net = train_net(mem, tape, small, d, soft, STEPS);
        bnn_mat p = bnn_predict(mem, tape, &net, NULL, test.x).mean;
        double loss = bnn_metric_nll(p, test.y);
        errors += 100 * bnn_metric_error(p, test.y) / PUPILS, nll += loss / PUPILS;
        ece += 100 * bnn_metric_ece(p, test.y, 15) / PUPILS;
        if (all) all[k] = (float)loss;
        bnn_arena_rewind(mem, mark);
    }
    printf("%-34s %5.2f %7.3f %7.2f\n", name, errors, nll, ece);
    return nll;
}

/* A level across the picture */
static void level(const svg *s, double height, int color) {
    float x[2] = { -1, 9 }, y[2];
    y[0] = y[1] = (float)height;
    svg_line(s, 2, x, y, color);
}

static void classroom(bnn_arena *mem, bnn_tape *tape) {
    bnn_data all = course_digits(mem, "train"), test = course_digits(mem, "test");
    bnn_data train = bnn_data_rows(all, 0, LABELED);
    bnn_net teacher = train_teacher(mem, tape, train);
    bnn_mat v = bnn_predict_samples(mem, tape, &teacher, NULL, test.x);
    bnn_mat p = bnn_predict(mem, tape, &teacher, NULL, test.x).mean;
    if (mem->err || tape->err) return;
    one_answer(test.x.data + DIGIT * 64, v.data + DIGIT * CLASSES, (double)test.y.data[DIGIT]);
    printf("on the test digits                error %%   nll   ECE %%\n");
    double t = bnn_metric_nll(p, test.y);
    printf("%-34s %5.2f %7.3f %7.2f\n", "teacher 64-100-10", 100 * bnn_metric_error(p, test.y), t,
           100 * bnn_metric_ece(p, test.y, 15));

    float heat[HEATS], mean[HEATS], every[PUPILS], same[PUPILS];
    bnn_data d = { train.x, with_answers(mem, tape, train.y, &teacher, train.x) };
    bnn_soft_desc soft = { 0 };
    char name[64];
    snprintf(name, sizeof name, "student 64-%d-10, labels", HIDDEN);
    double labels = students(mem, tape, name, d, soft, test, NULL);
    svg s = picture("4_temperature", "Students of one teacher by temperature");
    svg_axes(&s, -0.2, 4.2, 0.1, 1.3 * labels, "log2 of the temperature T (3 means T = 8)",
             "nll on test digits, nats per digit");
    for (int k = 0; k < HEATS; k++) {
        soft.lambda = 1, soft.temperature = (float)(1 << k);
        snprintf(name, sizeof name, "student 64-%d-10, answers, T = %d", HIDDEN, 1 << k);
        heat[k] = (float)k;
        mean[k] = (float)students(mem, tape, name, d, soft, test, every);
        for (int i = 0; i < PUPILS; i++) same[i] = heat[k];
        svg_points(&s, PUPILS, same, every, 0);
    }
    soft.temperature = 4; /* and on images that nobody has labeled */
    d = (bnn_data){ all.x, with_answers(mem, tape, all.y, &teacher, all.x) };
    students(mem, tape, "the same, T = 4, on all images", d, soft, test, NULL);
    svg_line(&s, HEATS, heat, mean, 0);
    level(&s, labels, 1);
    level(&s, t, 2);
    svg_key(&s, "students with labels only", 1, 0);
    svg_key(&s, "students with answers only", 0, 0);
    svg_key(&s, "the teacher", 2, 0);
    picture_end(&s);
}

static double normal(double x, double m, double v) {
    return exp(-(x - m) * (x - m) / (2 * v)) / sqrt(8 * atan(1) * v);
}

/* KL(p || q) or, reverse, KL(q || p) as a sum over the grid; w holds mean and ln sd of q */
static bnn_var *divergence(bnn_tape *t, bnn_params *w, bnn_mat x, bnn_mat p, bnn_mat ln_p,
                           int reverse) {
    bnn_var *q = bnn_param(t, w, 0), *m = bnn_cols(q, 0, 1), *a = bnn_cols(q, 1, 1);
    bnn_var *z = bnn_mul(bnn_sub(bnn_input(t, x), m), bnn_exp(bnn_neg(a)));
    bnn_var *ln_q = bnn_sub(bnn_scale(bnn_square(z), -0.5f), bnn_shift(a, 0.9189385f));
    bnn_var *d = bnn_sub(bnn_input(t, ln_p), ln_q);
    d = reverse ? bnn_mul(bnn_exp(ln_q), bnn_neg(d)) : bnn_mul(bnn_input(t, p), d);
    return bnn_scale(bnn_sum(d), x.data[1] - x.data[0]);
}

static void directions(bnn_arena *mem, bnn_tape *tape) {
    static const float start[FITS][2] = { { 0, 0.5f }, { -2, -0.3f }, { 2.5f, -0.3f } };
    static const char *name[FITS] = { "KL(p || q)", "KL(q || p), start at the left",
                                      "KL(q || p), start at the right" };
    static float y[GRID];
    bnn_mat x = bnn_mat_new(mem, GRID, 1), p = bnn_mat_new(mem, GRID, 1);
    bnn_mat ln_p = bnn_mat_new(mem, GRID, 1);
    for (size_t i = 0; i < GRID && ln_p.data; i++) {
        double at = -10 + 20.0 * (double)i / (GRID - 1);
        double v = (normal(at, -2, 0.36) + normal(at, 2.5, 1)) / 2;
        x.data[i] = (float)at, p.data[i] = (float)v, ln_p.data[i] = (float)log(v);
    }
    svg s = picture("4_directions", "One normal law for two hills");
    svg_axes(&s, -6, 7, 0, 1, "x", "density");
    svg_line(&s, GRID, x.data, p.data, 5);
    printf("\nnormal q for p of two hills         mean   variance   divergence\n");
    for (int f = 0; f < FITS && !mem->err; f++) {
        bnn_params *w = bnn_params_new(mem);
        bnn_params_add(w, 1, 2, "mean, ln sd", (bnn_prior){ .kind = BNN_PRIOR_FLAT });
        w->theta[0] = start[f][0], w->theta[1] = start[f][1];
        bnn_stepper adam = bnn_adam(w, (bnn_adam_desc){ .lr = 0.02f });
        float kl = 0;
        for (size_t k = 0; k < 1000; k++) {
            bnn_tape_reset(tape);
            adam.lr = (float)bnn_lr_cosine(0.02, k, 1000);
            bnn_var *loss = divergence(tape, w, x, p, ln_p, f > 0);
            kl = bnn_value(loss);
            bnn_backward(loss);
            bnn_step(&adam, tape);
        }
        double mean = (double)w->theta[0], var = exp(2 * (double)w->theta[1]);
        printf("%-32s %7.3f %10.3f %12.3f\n", name[f], mean, var, (double)kl);
        for (int i = 0; i < GRID; i++) y[i] = (float)normal((double)x.data[i], mean, var);
        svg_line(&s, GRID, x.data, y, f + 1);
    }
    svg_key(&s, "black: p, half of each hill", 5, 0);
    svg_key(&s, "KL(p || q): covers", 1, 0);
    svg_key(&s, "KL(q || p), left: seeks", 2, 0);
    svg_key(&s, "KL(q || p), right: seeks", 3, 0);
    picture_end(&s);
}

int main(int argc, char **argv) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(1) };
    if (argc > 1) course_folder = argv[1];
    classroom(&mem, &tape);
    directions(&mem, &tape);
    return done(&mem, &tape);
}
