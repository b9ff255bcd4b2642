/* train.c - full-batch gradient descent as the tutorial has it: a fit whose only batch is all
 * samples, in slices whatever its size. */
#include "core/base.h"
#include "core/fit.h"

nnc_status nnc_train(const nnc_training *training, void *params, double *cost, double *accuracy,
                     size_t *done)
{
    return nnc_train_either_way(training, params, cost, accuracy, done, true);
}

nnc_status nnc_train_either_way(const nnc_training *training, void *params, double *cost,
                                double *accuracy, size_t *done, bool short_way)
{
    const nnc_net *net = training->net;
    *done = 0;
    for (size_t l = 0; l < net->n_layers; l++)
        if (net->layers[l].kind != NNC_DENSE) return NNC_ERR_DENSE;
    nnc_stepper stepper = {.optimizer = NNC_OPTIMIZER_SGD,
                           .learning_rate = training->learning_rate};
    nnc_fitting fitting = {.net = net,
                           .dtype = training->dtype,
                           .loss = training->loss,
                           .loss_parameter = nnc_loss_parameter(training->loss),
                           .data = training->data,
                           .epochs = training->epochs,
                           .batch = nnc_max(training->data.m, 1),
                           .stepper = &stepper,
                           .n_threads = training->n_threads,
                           .monitor = training->monitor};
    nnc_fit_start from = {
        .in_slices = true, .long_way = !short_way, .rng = training->rng, .scale = training->scale};
    return nnc_fit_from(&fitting, &from, params, cost, accuracy, done);
}
