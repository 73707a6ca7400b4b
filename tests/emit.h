/* emit.h -- an emitted net beside the answers that a program of test_emit.c has written into it */
#include <stdio.h>
static int far_off(const char *what, float a, float b, float top, int bits) { /* of the largest */
    double d = (double)a - (double)b;
    if (d < 0) d = -d;
    if (bits ? memcmp(&a, &b, sizeof a) == 0 : d <= (double)TOLERANCE * (double)top) return 0;
    printf("%s is %.9g, not %.9g\n", what, (double)a, (double)b);
    return 1;
}
static float largest(const float *x, int n) {
    float top = 1;
    int i;
    for (i = 0; i < n; i++) top = x[i] > top ? x[i] : -x[i] > top ? -x[i] : top;
    return top;
}
int main(void) {
    float mean[K], aleatoric[A], epistemic[A], x[D], top[3];
    int i, j, bad = 0;
    top[0] = largest(MEAN, N * K);
    top[1] = largest(ALEATORIC, N * A), top[2] = largest(EPISTEMIC, N * A);
    for (i = 0; i < N && bad < 3; i++) {
        if (NET(X + i * D, mean, aleatoric, epistemic) != 0) return 1;
        for (j = 0; j < K; j++)
            bad += far_off("mean", mean[j], MEAN[i * K + j], top[0], BITS);
        for (j = 0; j < A && TOLERANCE < 1e-5; j++) {
            bad += far_off("noise", aleatoric[j], ALEATORIC[i * A + j], 3 * top[1], 0);
            bad += far_off("doubt", epistemic[j], EPISTEMIC[i * A + j], 3 * top[2], 0);
        }
    }
    for (j = 0; j < D; j++) x[j] = j == 3 ? (float)(top[0] * 0) / (float)(top[1] * 0) : 0;
    bad += NET(x, mean, NULL, NULL) != 1; /* NaN, and nobody asks for the rest */
    x[3] = 0;
    bad += NET(x, mean, NULL, NULL) != 0;
    return bad != 0;
}
