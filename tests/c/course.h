/* course.h - a network with data, ready for nnc_fit, and what nnc_fit should do as plain loops in
 * double. */
#ifndef NNC_TEST_COURSE_H
#define NNC_TEST_COURSE_H

#include "descent.h"
#include "nnc.h"
#include "reference.h"

enum { MOST_LAYERS = 8 };

/* A network, data and parameters for one training in batches. Samples are rows. */
typedef struct {
    nnc_dtype dtype;
    nnc_layer layers[MOST_LAYERS];
    nnc_net net;
    size_t m, n_in, n_out, epochs;
    void *x, *y, *params, *trained, *state, *average;
    double *cost, *accuracy;
    size_t done;
    bool shuffled;
    nnc_rng rng;
    nnc_stepper stepper;
    nnc_fitting fitting;
} course;

/* Elements in the parameter block, running moments included. */
static inline size_t block_of(const course *t)
{
    return t->net.n_params + t->net.n_state;
}

/* Parameters: norm layers scale and shift by something, and have seen something. */
static inline void scatter_parameters(course *t)
{
    size_t item = nnc_dtype_size(t->dtype);
    for (size_t l = 0; l < t->net.n_layers; l++) {
        const nnc_layer *layer = &t->layers[l];
        size_t end = l + 1 < t->net.n_layers ? t->layers[l + 1].w : t->net.n_params;
        bool dense = layer->kind == NNC_DENSE;
        double most = 1.5 / sqrt((double)layer->n_in);
        scatter(t->dtype, (char *)t->params + layer->w * item, end - layer->w, dense ? -most : 0.3,
                dense ? most : 1.4, t->m + l);
    }
    scatter(t->dtype, (char *)t->params + t->net.n_params * item, t->net.n_state, 0.2, 1.2, 5);
}

/* A network of these layers, with data. */
static inline course course_of(nnc_dtype dtype, nnc_loss loss, const nnc_layer *layers,
                               size_t n_layers, size_t m, size_t epochs)
{
    course t = {.dtype = dtype, .m = m, .n_in = layers[0].n_in, .epochs = epochs};
    if (n_layers > MOST_LAYERS) abort();
    memcpy(t.layers, layers, n_layers * sizeof *layers);
    t.n_out = layers[n_layers - 1].n_out;
    if (nnc_net_init(&t.net, t.layers, n_layers) != NNC_OK) abort();
    t.x = room(dtype, t.n_in * m);
    t.y = room(dtype, t.n_out * m);
    t.params = room(dtype, block_of(&t));
    t.trained = room(dtype, block_of(&t));
    t.state = room(dtype, MOST_STATE * t.net.n_params);
    t.average = room(dtype, t.net.n_params);
    t.cost = room(NNC_F64, epochs);
    t.accuracy = room(NNC_F64, epochs);
    scatter(dtype, t.x, t.n_in * m, -1, 1, m);
    if (loss == NNC_LOSS_BCE || loss == NNC_LOSS_FOCAL || loss == NNC_LOSS_HINGE)
        scatter_classes(dtype, t.y, t.n_out * m, m + 1);
    else
        scatter(dtype, t.y, t.n_out * m, loss == NNC_LOSS_POISSON ? 0 : -1, 1, m + 1);
    for (size_t j = 0; loss == NNC_LOSS_CCE && j < m; j++) /* the first is a sample's class */
        for (size_t i = 0; i < t.n_out; i++) set(dtype, t.y, j * t.n_out + i, i == j * 7 % t.n_out);
    scatter_parameters(&t);
    t.stepper = (nnc_stepper){.optimizer = NNC_OPTIMIZER_SGD,
                              .learning_rate = loss == NNC_LOSS_SSE ? 0.002 : 0.1,
                              .beta_1 = 0.9,
                              .beta_2 = 0.99,
                              .epsilon = 1e-3,
                              .momentum = 0.8,
                              .rho = 0.95};
    t.fitting = (nnc_fitting){.dtype = dtype,
                              .loss = loss,
                              .loss_parameter = nnc_loss_parameter(loss),
                              .data.x = t.x,
                              .data.y = t.y,
                              .data.x_feature = 1,
                              .data.x_sample = (ptrdiff_t)t.n_in,
                              .data.y_feature = 1,
                              .data.y_sample = (ptrdiff_t)t.n_out,
                              .data.m = m,
                              .epochs = epochs,
                              .batch = 32,
                              .n_threads = 1};
    return t;
}

/* Layers of sizes[0] - sizes[1] - … - 0; the last one has the activation `last`, those before relu
 * and sigmoid in turn. */
static inline course make_course(nnc_dtype dtype, nnc_loss loss, const size_t *sizes,
                                 nnc_activation last, bool bias, size_t m, size_t epochs)
{
    nnc_layer layers[MOST_LAYERS];
    size_t n = 0;
    for (; sizes[n + 1] > 0; n++) {
        nnc_activation f = n % 2 ? NNC_ACT_SIGMOID : NNC_ACT_RELU;
        layers[n] = (nnc_layer){.n_in = sizes[n],
                                .n_out = sizes[n + 1],
                                .activation = sizes[n + 2] ? f : last,
                                .has_bias = bias};
    }
    return course_of(dtype, loss, layers, n, m, epochs);
}

static inline void use_optimizer(course *t, nnc_optimizer optimizer)
{
    t->stepper.optimizer = optimizer;
    if (optimizer != NNC_OPTIMIZER_SGD) t->stepper.learning_rate = 0.01;
}

static inline void use_adam(course *t)
{
    use_optimizer(t, NNC_OPTIMIZER_ADAM);
}

static inline void free_course(course *t)
{
    free(t->x), free(t->y), free(t->params), free(t->trained), free(t->state);
    free(t->average), free(t->cost), free(t->accuracy);
}

static inline nnc_status make_predictor(course *t, nnc_predictor **predictor)
{
    t->net.layers = t->layers; /* the course may have moved */
    return nnc_predictor_new(predictor, &t->net, t->dtype);
}

/* Goes on with t->trained and the stepper. */
static inline nnc_status fit_on(course *t)
{
    t->net.layers = t->layers;
    t->fitting.net = &t->net;
    t->stepper.state = t->state;
    t->stepper.average = t->average;
    t->fitting.stepper = &t->stepper;
    t->fitting.shuffle = t->shuffled ? &t->rng : NULL;
    return nnc_fit(&t->fitting, t->trained, t->cost, t->accuracy, &t->done);
}

/* Trains a copy of params from the start. */
static inline nnc_status fit(course *t)
{
    size_t item = nnc_dtype_size(t->dtype);
    memcpy(t->trained, t->params, block_of(t) * item);
    memcpy(t->average, t->params, t->net.n_params * item);
    memset(t->state, 0, MOST_STATE * t->net.n_params * item);
    memset(t->cost, 0, t->epochs * sizeof *t->cost);
    memset(t->accuracy, 0, t->epochs * sizeof *t->accuracy);
    t->stepper.steps = 0;
    nnc_rng_seed(&t->rng, 11);
    return fit_on(t);
}

/* ---------------------------------------------------------------------- in plain loops */

static inline double *doubles(nnc_dtype dtype, const void *x, size_t n)
{
    double *copy = calloc(n + 1, sizeof *copy);
    if (!copy) abort();
    for (size_t i = 0; i < n; i++) copy[i] = (double)get(dtype, x, i);
    return copy;
}

static inline size_t largest(const double *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

/* Argument i of the activation of a layer with the input x (n_in). */
static inline double argument(const nnc_layer *layer, const double *params, const double *x,
                              size_t i)
{
    double z = layer->has_bias ? params[layer->b + i] : 0;
    for (size_t k = 0; k < layer->n_in; k++) z += params[layer->w + i * layer->n_in + k] * x[k];
    return z;
}

/* The probability that an output stands for. */
static inline double probability(const course *t, double output)
{
    return t->layers[t->net.n_layers - 1].activation == NNC_ACT_LOG_SOFTMAX ? exp(output) : output;
}

/* a[0] (n_in), a[l] the output of layer l - 1, for one sample */
static inline void forward_of(const course *t, const double *params, double **a)
{
    for (size_t l = 0; l < t->net.n_layers; l++) {
        const nnc_layer *layer = &t->layers[l];
        double sum = 0, most = -INFINITY;
        for (size_t i = 0; i < layer->n_out; i++) {
            double z = argument(layer, params, a[l], i);
            a[l + 1][i] = layer->activation == NNC_ACT_RELU ? fmax(z, 0)
                          : layer->activation == NNC_ACT_SIGMOID
                              ? 1 / (1 + exp(-z))
                              : (double)activation(layer->activation, z);
            most = fmax(most, z);
        }
        if (!nnc_is_softmax(layer->activation)) continue;
        for (size_t i = 0; i < layer->n_out; i++) sum += exp(a[l + 1][i] - most);
        for (size_t i = 0; i < layer->n_out; i++) {
            double log_p = a[l + 1][i] - most - log(sum);
            a[l + 1][i] = layer->activation == NNC_ACT_SOFTMAX ? exp(log_p) : log_p;
        }
    }
}

/* The labels (m, n_out): given, or of classes; as they are, or smoothed and rounded. */
static inline double *labels_of(const course *t, bool smooth)
{
    const nnc_data *data = &t->fitting.data;
    double *y = doubles(t->dtype, t->y, t->n_out * t->m), s = data->smoothing;
    double level = t->fitting.loss == NNC_LOSS_CCE ? 1 / (double)t->n_out : 0.5;
    smooth &= t->fitting.loss != NNC_LOSS_HINGE;
    for (size_t j = 0; j < t->m; j++) {
        for (size_t i = 0; i < t->n_out; i++) {
            double *label = y + j * t->n_out + i;
            if (data->classes && t->n_out == 1) *label = (double)data->classes[j];
            if (data->classes && t->n_out > 1) *label = data->classes[j] == (int64_t)i;
            if (smooth && s > 0) *label = (double)rounded(t->dtype, *label * (1 - s) + s * level);
        }
    }
    return y;
}

/* Whether outputs p are classified right; y: labels before smoothing. */
static inline bool right_of(const course *t, const double *p, const double *y)
{
    nnc_loss loss = t->fitting.loss;
    double middle = loss == NNC_LOSS_HINGE ? 0 : 0.5;
    bool hit = true;
    if (loss == NNC_LOSS_CCE) return largest(p, t->n_out) == largest(y, t->n_out);
    for (size_t i = 0; i < t->n_out; i++) hit &= (p[i] > middle) == y[i];
    return hit;
}

static inline double weight_of(const course *t, size_t sample)
{
    const double *weights = t->fitting.data.weights;
    return weights ? (double)rounded(t->dtype, weights[sample]) : 1;
}

/* Adds one sample's gradient to grads, from what forward_of made. */
static inline void backward_of(const course *t, const double *params, double **a, const double *y,
                               double weight, double *dz, double *da, double *grads)
{
    nnc_loss loss = t->fitting.loss;
    for (size_t l = t->net.n_layers; l-- > 0;) {
        const nnc_layer *layer = &t->layers[l];
        for (size_t i = 0; i < layer->n_out; i++) {
            double p = a[l + 1][i];
            bool out = l + 1 == t->net.n_layers;
            wide x = nnc_is_of_z(layer->activation) ? argument(layer, params, a[l], i) : p;
            if (out && (loss == NNC_LOSS_CCE || /* after softmax, of a y whose sum is 1 */
                        (loss == NNC_LOSS_BCE && layer->activation == NNC_ACT_SIGMOID)))
                dz[i] = probability(t, p) - y[i];
            else
                dz[i] = (double)((out ? slope_with(loss, t->fitting.loss_parameter, p, y[i])
                                      : (wide)da[i]) *
                                 slope(layer->activation, x));
            if (out) dz[i] *= weight;
        }
        for (size_t k = 0; k < layer->n_in; k++) da[k] = 0;
        for (size_t i = 0; i < layer->n_out; i++) {
            const double *w = params + layer->w + i * layer->n_in;
            double *dw = grads + layer->w + i * layer->n_in;
            for (size_t k = 0; k < layer->n_in; k++) dw[k] += dz[i] * a[l][k];
            for (size_t k = 0; k < layer->n_in; k++) da[k] += dz[i] * w[k];
            if (layer->has_bias) grads[layer->b + i] += dz[i];
        }
    }
}

/* The learning rate of step s of an epoch. */
static inline double rate_of(const course *t, size_t epoch, size_t s)
{
    const nnc_fitting *f = &t->fitting;
    if (!f->rates) return t->stepper.learning_rate;
    return f->rates[epoch * f->n_rates + (f->n_rates > 1 ? s : 0)];
}

/* What fit(t) should make of params and average (n_params), cost and accuracy (epochs), from t->x,
 * and of outputs (m, n_out), unless it is NULL. */
static inline void reference_fit(const course *t, double *params, double *average, double *cost,
                                 double *accuracy, double *outputs)
{
    size_t n = t->net.n_params, widest = t->n_in, step = 0;
    for (size_t l = 0; l < t->net.n_layers; l++)
        widest = t->layers[l].n_out > widest ? t->layers[l].n_out : widest;
    double *a[MOST_LAYERS + 1], *x = doubles(t->dtype, t->x, t->n_in * t->m);
    double *y = labels_of(t, true), *truth = labels_of(t, false),
           *state = calloc(MOST_STATE * n, sizeof *state);
    double *grads = calloc(n, sizeof *grads), *dz = calloc(2 * widest, sizeof *dz);
    size_t *order = calloc(t->m + 1, sizeof *order);
    if (!state || !grads || !dz || !order) abort();
    for (size_t l = 1; l <= t->net.n_layers; l++)
        if (!(a[l] = calloc(t->layers[l - 1].n_out, sizeof **a))) abort();
    nnc_rng rng;
    nnc_rng_seed(&rng, 11);
    for (size_t i = 0; i < t->m; i++) order[i] = i;
    for (size_t epoch = 0; epoch < t->epochs; epoch++) {
        double loss = 0, hits = 0, weights = 0, penalty = 0, batches = 0;
        if (t->shuffled) nnc_rng_shuffle(&rng, order, t->m);
        for (size_t start = 0, count; start < t->m; start += count) {
            count = t->m - start < t->fitting.batch ? t->m - start : t->fitting.batch;
            double in_batch = 0;
            memset(grads, 0, n * sizeof *grads);
            for (size_t j = start; j < start + count; j++) {
                const double *target = y + order[j] * t->n_out, *p = a[t->net.n_layers];
                double weight = weight_of(t, order[j]);
                a[0] = x + order[j] * t->n_in;
                forward_of(t, params, a);
                for (size_t i = 0; i < t->n_out; i++) {
                    loss += weight * (double)loss_with(t->fitting.loss, t->fitting.loss_parameter,
                                                       probability(t, p[i]), target[i]);
                    if (outputs) outputs[order[j] * t->n_out + i] = p[i];
                }
                hits += weight * right_of(t, p, truth + order[j] * t->n_out);
                in_batch += weight;
                backward_of(t, params, a, target, weight, dz, dz + widest, grads);
            }
            double divisor = (double)divisor_of(t->fitting.loss, t->n_out, in_batch);
            penalty += descend_of(&t->stepper, rate_of(t, epoch, (size_t)batches++), params, state,
                                  average, grads, in_batch > 0 ? divisor : 1, n, ++step);
            weights += in_batch;
        }
        cost[epoch] =
            loss / (double)divisor_of(t->fitting.loss, t->n_out, weights) + penalty / batches;
        accuracy[epoch] = hits / weights;
    }
    for (size_t l = 1; l <= t->net.n_layers; l++) free(a[l]);
    free(x), free(y), free(truth), free(state), free(grads), free(dz), free(order);
}

#endif
