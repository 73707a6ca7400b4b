/* 4_3.c -- lecture 4, exercise 3: a student that never saw a 3 (Hinton et al. 2015).
 *     cc -O2 -I. docs/course/solutions/4_3.c -o s -lm && ./s        where the folder examples is */
#include "../teacher.h"

enum { NEVER = 3, SHIFTS = 25 };

/* Rows of d without a class */
static bnn_data without(bnn_arena *mem, bnn_data d, float label) {
    bnn_data r = { bnn_mat_copy(mem, d.x), bnn_mat_copy(mem, d.y) };
    size_t n = 0, row = d.x.cols;
    for (size_t i = 0; i < d.x.rows && !mem->err; i++) {
        if (d.y.data[i * d.y.cols] == label) continue;
        memcpy(r.x.data + n * row, d.x.data + i * row, row * sizeof(float));
        memcpy(r.y.data + n * d.y.cols, d.y.data + i * d.y.cols, d.y.cols * sizeof(float));
        n++;
    }
    return bnn_data_rows(r, 0, n);
}

/* Errors with the logit of NEVER raised; of those the threes, and the share that is called a 3 */
static int errors(bnn_mat z, bnn_mat y, float shift, int *threes, double *called) {
    int wrong = 0;
    *threes = 0, *called = 0;
    for (size_t i = 0; i < z.rows; i++) {
        const float *row = z.data + i * CLASSES;
        int best = 0;
        for (int k = 1; k < CLASSES; k++)
            if (row[k] + (k == NEVER ? shift : 0) > row[best] + (best == NEVER ? shift : 0))
                best = k;
        int miss = best != (int)y.data[i];
        wrong += miss, *threes += miss && (int)y.data[i] == NEVER;
        *called += (best == NEVER) / (double)z.rows;
    }
    return wrong;
}

/* Prints and returns the errors on threes, as trained and with the bias raised */
static int school(bnn_arena *mem, bnn_tape *tape, const char *name, bnn_data d, bnn_data fresh,
                  bnn_data test, bnn_soft_desc soft, int *mended) {
    bnn_mlp_desc small = { .sizes = { 64, HIDDEN, CLASSES }, .likelihood = BNN_CATEGORICAL,
                           .seed = 1 };
    bnn_net net = train_net(mem, tape, small, d, soft, STEPS);
    bnn_mat z = bnn_predict_samples(mem, tape, &net, NULL, test.x);
    bnn_mat u = bnn_predict_samples(mem, tape, &net, NULL, fresh.x);
    int threes, after, unused;
    float shift = 0;
    double called;
    if (mem->err || tape->err) return 0;
    for (int k = 0; k < SHIFTS; k++) { /* until a tenth of images without labels is called a 3 */
        shift = 0.5f * (float)k;
        errors(u, fresh.y, shift, &unused, &called);
        if (called >= 0.1) break;
    }
    int before = errors(z, test.y, 0, &threes, &called);
    int total = errors(z, test.y, shift, &after, &called);
    printf("%-28s %6d %10d %12.1f %8d %10d\n", name, before, threes, (double)shift, total, after);
    *mended = after;
    return threes;
}

int main(void) {
    bnn_arena mem = { 0 };
    bnn_tape tape = { .rng = bnn_rng_seed(3) };
    bnn_data all = course_digits(&mem, "train"), test = course_digits(&mem, "test");
    bnn_data train = bnn_data_rows(all, 0, LABELED);
    bnn_data fresh = bnn_data_rows(all, LABELED, all.x.rows - LABELED);
    bnn_net teacher = train_teacher(&mem, &tape, train);
    bnn_data d = { train.x, with_answers(&mem, &tape, train.y, &teacher, train.x) };
    bnn_soft_desc labels = { .lambda = 0 }, soft = { .lambda = 1, .temperature = 4 };
    int whole, none, mute, mended;
    printf("1797 digits, 183 threes      errors  of threes   bias of 3   errors  of threes\n");
    whole = school(&mem, &tape, "answers, all classes", d, fresh, test, soft, &mended);
    d = without(&mem, d, NEVER);
    mute = school(&mem, &tape, "labels, no 3", d, fresh, test, labels, &mended);
    none = school(&mem, &tape, "answers, no 3", d, fresh, test, soft, &mended);
    check(mute == 183, "labels without a 3 teach no 3");
    check(none < 150 && mended < none && whole < 30, "answers do, and the bias mends");
    return done(&mem, &tape);
}
