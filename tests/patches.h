/* patches.h -- a linear convolution as a regression: its inputs, written out. After world.h. */
#ifndef PATCHES_H
#define PATCHES_H

enum { PIXELS = 4, WEIGHTS = 5 }; /* of an answer; of a 2x2 kernel, and the bias */

static bnn_mat patches(bnn_mat x) { /* 3x3 images, a 2x2 kernel, and 1 for the bias */
    bnn_mat p = bnn_mat_new(&mem, x.rows * PIXELS, WEIGHTS);
    for (size_t i = 0; i < p.rows; i++) {
        const float *image = x.data + i / PIXELS * 9 + i % PIXELS / 2 * 3 + i % 2;
        float *to = p.data + i * WEIGHTS;
        to[0] = image[0], to[1] = image[1], to[2] = image[3], to[3] = image[4], to[4] = 1;
    }
    return p;
}

#endif
