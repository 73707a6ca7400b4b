/* torch.h -- beside PyTorch: leaves from its numbers, a value and gradients against its own.
 * TIGHT, the tolerance, is defined by who includes this. */
#ifndef TORCH_H
#define TORCH_H
#include "build.h"
#include "world.h"
#include "oracles/torch_images.inc"

static const bnn_prior flat = { .kind = BNN_PRIOR_FLAT };

static bnn_mat values(size_t rows, size_t cols, const double *v) {
    bnn_mat m = bnn_mat_new(&mem, rows, cols);
    for (size_t i = 0; i < rows * cols; i++) m.data[i] = (float)v[i];
    return m;
}
static void near_all(bnn_mat m, const double *v, size_t n) {
    CHECK(m.rows * m.cols == n && m.data != NULL);
    for (size_t i = 0; i < n && m.data != NULL; i++) CHECK_NEAR(m.data[i], v[i], TIGHT);
}

#define LEAF(name, rows, cols) bnn_leaf(&tape, values(rows, cols, name))
#define AGAINST(y, name)                                                                           \
    near_all(y->val, name##_out, COUNT(name##_out));                                               \
    bnn_backward_from(y, values(y->val.rows, y->val.cols, name##_g))
#define GRAD(v, name) near_all(v->grad, name, COUNT(name))

#endif
