/* plain.h - what nnc_fit and nnc_predict should do with layers of every kind, as plain loops in
 * double over whole batches. course.h has the same for dense layers, a sample at a time. */
#ifndef NNC_TEST_PLAIN_H
#define NNC_TEST_PLAIN_H

#include "course.h"
#include "nnc.h"

/* ------------------------------------------------------------------------------ networks */

static inline nnc_layer dense(size_t n_in, size_t n_out, nnc_activation f)
{
    return (nnc_layer){.n_in = n_in, .n_out = n_out, .activation = f, .has_bias = true};
}

static inline nnc_layer dropout(size_t n, double rate)
{
    return (nnc_layer){.n_in = n, .n_out = n, .kind = NNC_DROPOUT, .rate = rate};
}

static inline nnc_layer layer_norm(size_t n)
{
    return (nnc_layer){.n_in = n, .n_out = n, .kind = NNC_LAYER_NORM, .epsilon = 1e-2};
}

static inline nnc_layer batch_norm(size_t n)
{
    return (nnc_layer){
        .n_in = n, .n_out = n, .kind = NNC_BATCH_NORM, .epsilon = 1e-2, .momentum = 0.75};
}

/* Every kind, in several orders; `hidden` is the activation before softmax. */
enum { ORDERS = 8 };

static inline course small_course(size_t order, nnc_dtype dtype, nnc_activation hidden, size_t m,
                                  size_t epochs)
{
    const nnc_activation h = hidden, soft = NNC_ACT_SOFTMAX;
    const nnc_layer orders[ORDERS][MOST_LAYERS] = {
        {dense(5, 9, h), dropout(9, 0.25), dense(9, 3, soft)},
        {batch_norm(5), dense(5, 9, h), dense(9, 3, soft)},
        {layer_norm(5), dense(5, 9, h), layer_norm(9), dropout(9, 0.5), dense(9, 3, soft)},
        {dense(5, 18, h), batch_norm(18), dropout(18, 0.1), dense(18, 7, h), layer_norm(7),
         batch_norm(7), dense(7, 3, soft)},
        {dropout(5, 0.3), dense(5, 33, h), dropout(33, 0.3), dropout(33, 0.2), dense(33, 3, soft)},
        {dropout(5, 0.1), batch_norm(5), layer_norm(5), dense(5, 3, soft)},
        {dense(5, 4, NNC_ACT_IDENTITY), batch_norm(4), batch_norm(4), dense(4, 12, h),
         layer_norm(12), layer_norm(12), dropout(12, 0), dense(12, 3, soft)},
        {layer_norm(5), batch_norm(5), dense(5, 1, h), batch_norm(1), dense(1, 3, soft)},
    };
    size_t n = 0;
    while (n < MOST_LAYERS && orders[order][n].n_in > 0) n++;
    course t = course_of(dtype, NNC_LOSS_CCE, orders[order], n, m, epochs);
    t.fitting.seed = 0x123456789abcdefu + order;
    return t;
}

static inline course wide_course(nnc_dtype dtype, bool coupled, size_t m, size_t epochs)
{
    const nnc_layer layers[] = {coupled ? batch_norm(40) : layer_norm(40),
                                dense(40, 600, NNC_ACT_RELU),
                                coupled ? batch_norm(600) : dropout(600, 0.4),
                                dropout(600, 0.25),
                                dense(600, 300, NNC_ACT_SIGMOID),
                                layer_norm(300),
                                dropout(300, 0.5),
                                dense(300, 10, NNC_ACT_SOFTMAX)};
    course t = course_of(dtype, NNC_LOSS_CCE, layers, sizeof layers / sizeof *layers, m, epochs);
    t.fitting.seed = 42;
    return t;
}

/* -------------------------------------------------------------------------------- random */

/* Philox4x32-10, as its authors write it. */
static inline void plain_philox(uint32_t *counter, uint64_t key)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        if (round > 0) k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
        uint64_t p0 = (uint64_t)0xD2511F53u * counter[0], p1 = (uint64_t)0xCD9E8D57u * counter[2];
        uint32_t next[] = {(uint32_t)(p1 >> 32) ^ counter[1] ^ k0, (uint32_t)p1,
                           (uint32_t)(p0 >> 32) ^ counter[3] ^ k1, (uint32_t)p0};
        memcpy(counter, next, sizeof next);
    }
}

/* What kernels.h promises of dropout's choice. */
static inline bool plain_keeps(uint64_t seed, uint64_t step, size_t layer, size_t sample,
                               size_t feature, double rate)
{
    uint32_t counter[] = {(uint32_t)sample, (uint32_t)(feature / 4), (uint32_t)step,
                          (uint32_t)(layer << 16 | step >> 32)};
    plain_philox(counter, seed);
    return counter[feature % 4] >= rate * 0x1p32;
}

/* ------------------------------------------------------------------------------ one batch */

/* Matrices (samples, width): a[0] the input, a[l + 1] the output of layer l; of norm layers x_hat,
 * and by how much its argument was scaled, by sample or by feature. */
typedef struct {
    double *a[MOST_LAYERS + 1], *x_hat[MOST_LAYERS], *scale[MOST_LAYERS];
    double *da, *dz; /* (samples, the widest) */
} plain_batch;

static inline double *zeros(size_t n)
{
    double *x = calloc(n + 1, sizeof *x);
    if (!x) abort();
    return x;
}

static inline plain_batch make_plain_batch(const course *t, size_t n)
{
    plain_batch b = {0};
    size_t widest = t->n_in;
    b.a[0] = zeros(n * t->n_in);
    for (size_t l = 0; l < t->net.n_layers; l++) {
        const nnc_layer *layer = &t->layers[l];
        b.a[l + 1] = zeros(n * layer->n_out);
        b.x_hat[l] = zeros(n * layer->n_in);
        b.scale[l] = zeros(n + layer->n_in);
        widest = layer->n_out > widest ? layer->n_out : widest;
    }
    b.da = zeros(n * widest);
    b.dz = zeros(n * widest);
    return b;
}

static inline void free_plain_batch(plain_batch *b)
{
    for (size_t l = 0; l < MOST_LAYERS; l++) free(b->a[l]), free(b->x_hat[l]), free(b->scale[l]);
    free(b->a[MOST_LAYERS]), free(b->da), free(b->dz);
}

/* x_hat of n numbers `stride` apart, and the scale. */
static inline double standardise(double *x_hat, const double *x, size_t n, size_t stride,
                                 double mean, double variance, double epsilon)
{
    double scale = 1 / sqrt(variance + epsilon);
    for (size_t i = 0; i < n; i++) x_hat[i * stride] = (x[i * stride] - mean) * scale;
    return scale;
}

static inline void moments_of(const double *x, size_t n, size_t stride, double *mean,
                              double *variance)
{
    *mean = *variance = 0;
    for (size_t i = 0; i < n; i++) *mean += x[i * stride] / (double)n;
    for (size_t i = 0; i < n; i++)
        *variance += (x[i * stride] - *mean) * (x[i * stride] - *mean) / (double)n;
}

/* In training, `step` decides what dropout keeps, and running moments in params move on. */
static inline void plain_keeper(const course *t, plain_batch *b, size_t l, double *params, size_t n,
                                uint64_t step, bool training)
{
    const nnc_layer *layer = &t->layers[l];
    size_t width = layer->n_in;
    double *x = b->a[l], *out = b->a[l + 1], *x_hat = b->x_hat[l], *running = params + layer->state;
    if (layer->kind == NNC_DROPOUT) {
        for (size_t i = 0; i < n * width; i++) {
            bool kept = !training ||
                        plain_keeps(t->fitting.seed, step, l, i / width, i % width, layer->rate);
            out[i] = !training ? x[i] : kept ? x[i] / (1 - layer->rate) : 0;
        }
        return;
    }
    for (size_t j = 0; layer->kind == NNC_LAYER_NORM && j < n; j++) {
        double mean, variance;
        moments_of(x + j * width, width, 1, &mean, &variance);
        b->scale[l][j] =
            standardise(x_hat + j * width, x + j * width, width, 1, mean, variance, layer->epsilon);
    }
    for (size_t i = 0; layer->kind == NNC_BATCH_NORM && i < width; i++) {
        double mean = running[i], variance = running[width + i];
        if (training) {
            moments_of(x + i, n, width, &mean, &variance);
            running[i] = layer->momentum * running[i] + (1 - layer->momentum) * mean;
            running[width + i] =
                layer->momentum * running[width + i] + (1 - layer->momentum) * variance;
        }
        b->scale[l][i] = standardise(x_hat + i, x + i, n, width, mean, variance, layer->epsilon);
    }
    for (size_t i = 0; i < n * width; i++)
        out[i] = x_hat[i] * params[layer->w + i % width] + params[layer->b + i % width];
}

static inline void plain_forward(const course *t, plain_batch *b, double *params, size_t n,
                                 uint64_t step, bool training)
{
    for (size_t l = 0; l < t->net.n_layers; l++) {
        course one = *t; /* of this layer alone */
        if (t->layers[l].kind != NNC_DENSE) {
            plain_keeper(t, b, l, params, n, step, training);
            continue;
        }
        one.net.n_layers = 1;
        one.layers[0] = t->layers[l];
        for (size_t j = 0; j < n; j++)
            forward_of(&one, params,
                       (double *[]){b->a[l] + j * one.layers[0].n_in,
                                    b->a[l + 1] + j * one.layers[0].n_out});
    }
}

/* b->da by the output of a norm layer becomes that by its argument: m numbers that share a mean,
 * `stride` apart, of which gamma's are gamma_stride apart. */
static inline void destandardise(double *da, const double *x_hat, const double *gamma, size_t m,
                                 size_t stride, size_t gamma_stride, double scale)
{
    double mean = 0, product = 0;
    for (size_t i = 0; i < m; i++) {
        double g = da[i * stride] * gamma[i * gamma_stride];
        mean += g / (double)m;
        product += g * x_hat[i * stride] / (double)m;
    }
    for (size_t i = 0; i < m; i++) {
        double g = da[i * stride] * gamma[i * gamma_stride];
        da[i * stride] = scale * (g - mean - x_hat[i * stride] * product);
    }
}

static inline void plain_keeper_back(const course *t, plain_batch *b, size_t l,
                                     const double *params, size_t n, uint64_t step, double *grads)
{
    const nnc_layer *layer = &t->layers[l];
    size_t width = layer->n_in;
    const double *gamma = params + layer->w;
    for (size_t i = 0; i < n * width; i++) {
        if (layer->kind == NNC_DROPOUT) {
            bool kept = plain_keeps(t->fitting.seed, step, l, i / width, i % width, layer->rate);
            b->da[i] = kept ? b->da[i] / (1 - layer->rate) : 0;
            continue;
        }
        grads[layer->w + i % width] += b->da[i] * b->x_hat[l][i];
        grads[layer->b + i % width] += b->da[i];
    }
    for (size_t j = 0; layer->kind == NNC_LAYER_NORM && j < n; j++)
        destandardise(b->da + j * width, b->x_hat[l] + j * width, gamma, width, 1, 1,
                      b->scale[l][j]);
    for (size_t i = 0; layer->kind == NNC_BATCH_NORM && i < width; i++)
        destandardise(b->da + i, b->x_hat[l] + i, gamma + i, n, width, 0, b->scale[l][i]);
}

/* grads (n_params): sums over the batch, from what plain_forward made. */
static inline void plain_backward(const course *t, plain_batch *b, const double *params,
                                  const double *y, size_t n, uint64_t step, double *grads)
{
    nnc_loss loss = t->fitting.loss;
    memset(grads, 0, t->net.n_params * sizeof *grads);
    for (size_t l = t->net.n_layers; l-- > 0;) {
        const nnc_layer *layer = &t->layers[l];
        size_t n_in = layer->n_in, n_out = layer->n_out;
        bool out = l + 1 == t->net.n_layers;
        if (layer->kind != NNC_DENSE) {
            plain_keeper_back(t, b, l, params, n, step, grads);
            continue;
        }
        for (size_t i = 0; i < n * n_out; i++) {
            double p = b->a[l + 1][i];
            bool direct = loss == NNC_LOSS_CCE ||
                          (loss == NNC_LOSS_BCE && layer->activation == NNC_ACT_SIGMOID);
            if (out && direct)
                b->dz[i] = p - y[i];
            else
                b->dz[i] = (double)((out ? loss_slope(loss, p, y[i]) : b->da[i]) *
                                    slope(layer->activation, p));
        }
        memset(b->da, 0, n * n_in * sizeof *b->da);
        for (size_t j = 0; j < n; j++) {
            for (size_t i = 0; i < n_out; i++) {
                const double d = b->dz[j * n_out + i], *w = params + layer->w + i * n_in;
                double *dw = grads + layer->w + i * n_in;
                for (size_t k = 0; k < n_in; k++) dw[k] += d * b->a[l][j * n_in + k];
                for (size_t k = 0; k < n_in; k++) b->da[j * n_in + k] += d * w[k];
                grads[layer->b + i] += d;
            }
        }
    }
}

/* -------------------------------------------------------------------------- trainings */

/* What fit(t) should make of params (block_of) and cost (epochs). */
static inline void plain_fit(const course *t, double *params, double *cost)
{
    size_t n = t->net.n_params, most = t->fitting.batch < t->m ? t->fitting.batch : t->m;
    plain_batch b = make_plain_batch(t, most);
    double *x = doubles(t->dtype, t->x, t->n_in * t->m),
           *y = doubles(t->dtype, t->y, t->n_out * t->m);
    double *labels = zeros(most * t->n_out), *grads = zeros(n), *state = zeros(MOST_STATE * n);
    size_t *order = calloc(t->m + 1, sizeof *order), step = 0;
    nnc_rng rng;
    nnc_rng_seed(&rng, 11);
    if (!order) abort();
    for (size_t i = 0; i < t->m; i++) order[i] = i;
    for (size_t epoch = 0; epoch < t->epochs; epoch++) {
        double loss = 0;
        if (t->shuffled) nnc_rng_shuffle(&rng, order, t->m);
        for (size_t start = 0, count; start < t->m; start += count) {
            count = t->m - start < most ? t->m - start : most;
            for (size_t j = 0; j < count; j++) {
                size_t from = order[start + j];
                memcpy(b.a[0] + j * t->n_in, x + from * t->n_in, t->n_in * sizeof *x);
                memcpy(labels + j * t->n_out, y + from * t->n_out, t->n_out * sizeof *y);
            }
            plain_forward(t, &b, params, count, step, true);
            for (size_t i = 0; i < count * t->n_out; i++)
                loss += (double)loss_of(t->fitting.loss, b.a[t->net.n_layers][i], labels[i]);
            plain_backward(t, &b, params, labels, count, step, grads);
            descend_of(&t->stepper, t->stepper.learning_rate, params, state, NULL, grads,
                       (double)divisor_of(t->fitting.loss, t->n_out, count), n, ++step);
        }
        cost[epoch] = loss / divisor_of(t->fitting.loss, t->n_out, t->m);
    }
    free_plain_batch(&b);
    free(x), free(y), free(labels), free(grads), free(state), free(order);
}

#endif
