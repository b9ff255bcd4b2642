/* lesson.h - a small network with data, ready for nnc_train. */
#ifndef NNC_TEST_LESSON_H
#define NNC_TEST_LESSON_H

#include "nnc.h"
#include "reference.h"

/* A network, data and parameters for one training. Layers are 4 - 6 - 5 - n_out. */
typedef struct {
    nnc_dtype dtype;
    nnc_layer layers[3];
    nnc_net net;
    size_t m, n_out;
    void *x, *y, *params, *trained;
    double *cost, *accuracy;
    size_t done, epochs;
    nnc_training training;
} lesson;

enum { N_IN = 4 };

static inline lesson make_lesson(nnc_dtype dtype, nnc_loss loss, nnc_activation last, bool bias,
                                 size_t n_out, size_t m, size_t epochs)
{
    lesson t = {.dtype = dtype, .m = m, .n_out = n_out, .epochs = epochs};
    t.layers[0] = (nnc_layer){.n_in = N_IN, .n_out = 6, .activation = NNC_ACT_RELU};
    t.layers[1] = (nnc_layer){.n_in = 6, .n_out = 5, .activation = NNC_ACT_SIGMOID};
    t.layers[2] = (nnc_layer){.n_in = 5, .n_out = n_out, .activation = last};
    for (int l = 0; l < 3; l++) t.layers[l].has_bias = bias;
    if (nnc_net_init(&t.net, t.layers, 3) != NNC_OK) abort();
    t.x = room(dtype, N_IN * m);
    t.y = room(dtype, n_out * m);
    t.params = room(dtype, t.net.n_params);
    t.trained = room(dtype, t.net.n_params);
    t.cost = room(NNC_F64, epochs);
    t.accuracy = room(NNC_F64, epochs);
    scatter(dtype, t.x, N_IN * m, -1, 1, m);
    scatter_classes(dtype, t.y, n_out * m, m + 1);
    scatter(dtype, t.params, t.net.n_params, -0.8, 0.8, m + 2);
    t.training = (nnc_training){.dtype = dtype,
                                .loss = loss,
                                .data.x = t.x,
                                .data.y = t.y,
                                .data.x_feature = (ptrdiff_t)m,
                                .data.x_sample = 1,
                                .data.y_feature = (ptrdiff_t)m,
                                .data.y_sample = 1,
                                .data.m = m,
                                .epochs = epochs,
                                .learning_rate = 0.1,
                                .n_threads = 1};
    return t;
}

static inline void free_lesson(lesson *t)
{
    free(t->x), free(t->y), free(t->params), free(t->trained), free(t->cost), free(t->accuracy);
}

/* Trains a copy of params. */
static inline nnc_status train(lesson *t)
{
    t->net.layers = t->layers; /* the lesson may have moved */
    t->training.net = &t->net;
    memcpy(t->trained, t->params, t->net.n_params * nnc_dtype_size(t->dtype));
    memset(t->cost, 0, t->epochs * sizeof *t->cost);
    memset(t->accuracy, 0, t->epochs * sizeof *t->accuracy);
    return nnc_train(&t->training, t->trained, t->cost, t->accuracy, &t->done);
}

#endif
