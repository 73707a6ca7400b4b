/* teacher.h -- lecture 4: a large network that reads digits, and its answers for a small one. */
#ifndef TEACHER_H
#define TEACHER_H
#include "course.h"

enum { CLASSES = 10, LABELED = 1000, HIDDEN = 12, STEPS = 3000, BATCH = 100 };

/* Adam on minibatches of d. Columns of d.y: the label, and behind it the teacher's logits if
 * soft.lambda > 0: the share of the answers in the loss; the rest is that of the labels */
static inline bnn_net train_net(bnn_arena *mem, bnn_tape *tape, bnn_mlp_desc shape, bnn_data d,
                                bnn_soft_desc soft, size_t steps) {
    bnn_net net = bnn_mlp(bnn_params_new(mem), shape);
    bnn_stepper adam = bnn_adam(net.params, (bnn_adam_desc){ .lr = 1e-2f });
    for (size_t s = 0; s < steps && !tape->err; s++) {
        bnn_tape_reset(tape);
        adam.lr = (float)bnn_lr_cosine(1e-2, s, steps);
        bnn_batch b = bnn_minibatch(tape, d, BATCH);
        tape->training = 1; /* dropout, where the shape has it */
        bnn_var *z = bnn_net_forward(&net, b.x), *target = NULL;
        tape->training = 0;
        if (soft.lambda > 0) {
            bnn_var *v = bnn_cols(b.y, 1, d.y.cols - 1);
            target = bnn_soft_target(tape, 1, &v, NULL, soft.temperature);
        }
        bnn_backward(bnn_mean(bnn_soft_nll(z, bnn_cols(b.y, 0, 1), target, NULL, soft)));
        bnn_step(&adam, tape);
    }
    return net;
}

/* 7510 weights, half of the hidden units off at each step, so that it does not learn by heart */
static inline bnn_net train_teacher(bnn_arena *mem, bnn_tape *tape, bnn_data d) {
    bnn_mlp_desc big = { .sizes = { 64, 100, CLASSES }, .likelihood = BNN_CATEGORICAL,
                         .dropout = 0.5f, .dropout_input = 0.1f, .seed = 1 };
    bnn_soft_desc labels_only = { .lambda = 0 };
    return train_net(mem, tape, big, d, labels_only, STEPS);
}

/* Labels and, behind them, what the teacher says of x: logits, before softmax */
static inline bnn_mat with_answers(bnn_arena *mem, bnn_tape *tape, bnn_mat label,
                                   const bnn_net *teacher, bnn_mat x) {
    bnn_mat v = bnn_predict_samples(mem, tape, teacher, NULL, x);
    bnn_mat y = bnn_mat_new(mem, label.rows, 1 + v.cols);
    for (size_t i = 0; i < v.rows && y.data; i++) {
        y.data[i * y.cols] = label.data[i];
        memcpy(y.data + i * y.cols + 1, v.data + i * v.cols, v.cols * sizeof(float));
    }
    return y;
}
#endif
