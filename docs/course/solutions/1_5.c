/* 1_5.c -- lecture 1, exercise 5: the best network against the average over all.
 *     cc -O2 -I. docs/course/solutions/1_5.c -o s -lm && ./s
 * 400 worlds: weights from the prior, measurements from the weights, then a new one at x = 3. */
#include "../two_weights.h"

enum { WORLDS = 400, C = 80 };
static double cell(int i) { return -4 + 8 * (i + 0.5) / C; }

int main(void) {
    bnn_rng r = bnn_rng_seed(5);
    double h[C][N], far[C], sum[2] = { 0 }, gain = 0, square = 0;
    double ln = log(two_noise * sqrt(8 * atan(1)));
    for (int j = 0; j < C; j++) {
        for (int k = 0; k < N; k++) h[j][k] = tanh(cell(j) * (double)two_x[k]);
        far[j] = tanh(3 * cell(j));
    }
    for (int world = 0; world < WORLDS; world++) {
        double w = (double)bnn_rng_normal(&r), v = (double)bnn_rng_normal(&r), y[N], best = -1e300;
        double total = 0, mean_density = 0, plug_in = 0;
        for (int k = 0; k < N; k++)
            y[k] = v * tanh(w * (double)two_x[k]) + two_noise * (double)bnn_rng_normal(&r);
        double fresh = v * tanh(3 * w) + two_noise * (double)bnn_rng_normal(&r);
        for (int i = 0; i < C; i++)
            for (int j = 0; j < C; j++) {
                double u = -(cell(i) * cell(i) + cell(j) * cell(j)) / 2;
                for (int k = 0; k < N; k++) {
                    double z = (y[k] - cell(i) * h[j][k]) / two_noise;
                    u -= z * z / 2;
                }
                double z = (fresh - cell(i) * far[j]) / two_noise;
                total += exp(u);
                mean_density += exp(u - z * z / 2 - ln);
                if (u > best) best = u, plug_in = -z * z / 2 - ln;
            }
        double average = log(mean_density / total), d = average - plug_in;
        sum[0] += plug_in / WORLDS, sum[1] += average / WORLDS;
        gain += d / WORLDS, square += d * d / WORLDS;
    }
    printf("mean ln p(new y): best network %.3f, average over the posterior %.3f\n", sum[0],
           sum[1]);
    printf("the average is better by %.3f +- %.3f nats\n", gain,
           sqrt((square - gain * gain) / WORLDS));
    check(gain > 3 * sqrt((square - gain * gain) / WORLDS), "averaging wins");
    return course_wrong;
}
