/* reference.h - what the tests compare with: elements of either dtype as long double, errors in
 * ulps, and the verbs of nnc.h as plain loops. */
#ifndef NNC_TEST_REFERENCE_H
#define NNC_TEST_REFERENCE_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "nnc.h"

typedef long double wide;

/* Whether the CPU has no such type, and software computes it. */
#define SLOW_WIDE (LDBL_MANT_DIG == 113)

/* ------------------------------------------------------------------------------ elements */

static inline wide get(nnc_dtype dtype, const void *x, size_t i)
{
    return dtype == NNC_F32 ? (wide)((const float *)x)[i] : (wide)((const double *)x)[i];
}

static inline void set(nnc_dtype dtype, void *x, size_t i, wide value)
{
    if (dtype == NNC_F32)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = (double)value;
}

/* value, rounded to the dtype */
static inline wide rounded(nnc_dtype dtype, wide value)
{
    return dtype == NNC_F32 ? (wide)(float)value : (wide)(double)value;
}

/* a - b of two elements, rounded once */
static inline wide minus(nnc_dtype dtype, wide a, wide b)
{
    return dtype == NNC_F32 ? (wide)((float)a - (float)b) : (wide)((double)a - (double)b);
}

/* a * b, likewise */
static inline wide times(nnc_dtype dtype, wide a, wide b)
{
    return dtype == NNC_F32 ? (wide)((float)a * (float)b) : (wide)((double)a * (double)b);
}

/* half the distance from 1 to the next number */
static inline wide epsilon(nnc_dtype dtype)
{
    return dtype == NNC_F32 ? 0x1p-24L : 0x1p-53L;
}

/* |x - expected| in units of the last place of `expected`; 0 where both are NaN or equal. */
static inline wide ulps(nnc_dtype dtype, wide x, wide expected)
{
    int exponent, digits = dtype == NNC_F32 ? 24 : 53, least = dtype == NNC_F32 ? -149 : -1074;
    if (x == expected || (isnan(x) && isnan(expected))) return 0;
    if (!isfinite(x) || !isfinite(expected)) return INFINITY;
    frexpl(expected, &exponent);
    exponent = exponent - digits > least && expected != 0 ? exponent - digits : least;
    return fabsl(x - expected) / ldexpl(1, exponent);
}

/* Bit for bit. */
static inline bool same(nnc_dtype dtype, const void *x, const void *y, size_t n)
{
    return n == 0 || memcmp(x, y, n * nnc_dtype_size(dtype)) == 0;
}

/* Room for n elements, at least one, aligned as the core's own blocks. The caller frees it. */
static inline void *room(nnc_dtype dtype, size_t n)
{
    void *x = aligned_alloc(64, (n * nnc_dtype_size(dtype) + 64) / 64 * 64);
    if (!x) abort();
    return memset(x, 0, n * nnc_dtype_size(dtype));
}

/* Uniform on [low, high), rounded: a 64-bit linear congruential generator (Knuth's MMIX). */
static inline void scatter(nnc_dtype dtype, void *x, size_t n, double low, double high,
                           uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        set(dtype, x, i, low + (high - low) * (double)(seed >> 11) * 0x1p-53);
    }
}

/* 0 or 1 */
static inline void scatter_classes(nnc_dtype dtype, void *y, size_t n, uint64_t seed)
{
    scatter(dtype, y, n, 0, 1, seed);
    for (size_t i = 0; i < n; i++) set(dtype, y, i, get(dtype, y, i) > 0.5L);
}

/* ---------------------------------------------------------------------------------- ISAs */

/* body(dtype), for each ISA of this CPU and each dtype; the fastest ISA is left chosen. */
static inline void for_each_isa(void (*body)(nnc_dtype dtype))
{
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t i = 0; cpu.available[i]; i++) {
        if (!nnc_select_isa(cpu.available[i])) abort();
        for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) body((nnc_dtype)dtype);
    }
    nnc_select_isa(NULL);
}

static inline const char *dtype_name(nnc_dtype dtype)
{
    return dtype == NNC_F32 ? "f32" : "f64";
}

/* --------------------------------------------------------------------------------- verbs */

static inline wide sigmoid(wide z)
{
    return z < 0 ? expl(z) / (1 + expl(z)) : 1 / (1 + expl(-z));
}

static inline wide softplus(wide z)
{
    return z > 0 ? z + log1pl(expl(-z)) : log1pl(expl(z));
}

#define SELU_SCALE 1.0507009873554804934193L
#define SELU_ALPHA 1.6732632423543772848170L

/* not of NNC_SOFTMAX_LIST */
static inline wide activation(nnc_activation f, wide z)
{
    if (isnan(z)) return z;
    switch (f) {
        case NNC_ACT_RELU:
            return z > 0 ? z : 0;
        case NNC_ACT_SIGMOID:
            return sigmoid(z);
        case NNC_ACT_HARD_SIGMOID:
            return fminl(fmaxl((z + 3) / 6, 0), 1);
        case NNC_ACT_TANH:
            return tanhl(z);
        case NNC_ACT_LEAKY_RELU:
            return z > 0 ? z : z / 100;
        case NNC_ACT_ELU:
            return z > 0 ? z : expm1l(z);
        case NNC_ACT_SELU:
            return SELU_SCALE * (z > 0 ? z : SELU_ALPHA * expm1l(z));
        case NNC_ACT_GELU:
            return z == -INFINITY ? 0 : z * erfcl(-z / sqrtl(2)) / 2;
        case NNC_ACT_SILU:
            return z == -INFINITY ? 0 : z * sigmoid(z);
        case NNC_ACT_MISH:
            return z == -INFINITY ? 0 : z * tanhl(softplus(z));
        case NNC_ACT_SOFTPLUS:
            return softplus(z);
        case NNC_ACT_SOFTSIGN:
            return isinf(z) ? copysignl(1, z) : z / (1 + fabsl(z));
        case NNC_ACT_HARD_SWISH:
            return z <= -3 ? 0 : z >= 3 ? z : z * (z + 3) / 6;
        case NNC_ACT_EXPONENTIAL:
            return expl(z);
        default:
            return z;
    }
}

/* f'(z) from x = f(z), or x = z for activations OF_Z */
static inline wide slope(nnc_activation f, wide x)
{
    const wide density = 0.3989422804014326779399L;
    wide w, s;
    switch (f) {
        case NNC_ACT_RELU:
            return x > 0;
        case NNC_ACT_SIGMOID:
            return x * (1 - x);
        case NNC_ACT_HARD_SIGMOID:
            return x > 0 && x < 1 ? 1 / 6.0L : 0;
        case NNC_ACT_TANH:
            return 1 - x * x;
        case NNC_ACT_LEAKY_RELU:
            return x > 0 ? 1 : 0.01L;
        case NNC_ACT_ELU:
            return x > 0 ? 1 : x + 1;
        case NNC_ACT_SELU:
            return x > 0 ? SELU_SCALE : x + SELU_SCALE * SELU_ALPHA;
        case NNC_ACT_GELU:
            if (isinf(x)) return x > 0;
            return erfcl(-x / sqrtl(2)) / 2 + x * density * expl(-x * x / 2);
        case NNC_ACT_SILU:
            s = sigmoid(x);
            return isinf(x) ? s : s + x * s * sigmoid(-x);
        case NNC_ACT_MISH:
            w = tanhl(softplus(x));
            return isinf(x) ? w : w + x * sigmoid(x) / powl(coshl(fminl(softplus(x), 500)), 2);
        case NNC_ACT_SOFTPLUS:
            return -expm1l(-x);
        case NNC_ACT_SOFTSIGN:
            return (1 - fabsl(x)) * (1 - fabsl(x));
        case NNC_ACT_HARD_SWISH:
            return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5L;
        case NNC_ACT_EXPONENTIAL:
            return x;
        default:
            return 1;
    }
}

/* What the slope is written from. */
static inline wide origin(nnc_activation f, wide z)
{
    return nnc_is_of_z(f) ? z : activation(f, z);
}

/* of one output of one sample; c is the loss's parameter */
static inline wide loss_with(nnc_loss loss, wide c, wide p, wide y)
{
    wide right = y == 0 ? 0 : -y * logl(p), wrong = y == 1 ? 0 : -(1 - y) * log1pl(-p);
    wide e = p - y, far = fabsl(e);
    switch (loss) {
        case NNC_LOSS_BCE:
            return right + wrong;
        case NNC_LOSS_CCE:
            return right;
        case NNC_LOSS_MAE:
            return far;
        case NNC_LOSS_HUBER:
            return far <= c ? e * e / 2 : c * (far - c / 2);
        case NNC_LOSS_QUANTILE:
            return fmaxl(-c * e, (1 - c) * e);
        case NNC_LOSS_POISSON:
            return p - (y == 0 ? 0 : y * logl(p));
        case NNC_LOSS_FOCAL:
            return powl(y * (1 - p) + (1 - y) * p, c) * (right + wrong);
        case NNC_LOSS_HINGE:
            return fmaxl(0, 1 - (y > 0 ? p : -p));
        default:
            return e * e;
    }
}

/* its derivative by p */
static inline wide slope_with(nnc_loss loss, wide c, wide p, wide y)
{
    wide e = p - y, sign = (e > 0) - (e < 0), wrong = y * (1 - p) + (1 - y) * p;
    wide entropy = (1 - y) / (1 - p) - y / p;
    switch (loss) {
        case NNC_LOSS_BCE:
            return entropy;
        case NNC_LOSS_CCE:
            return -y / p;
        case NNC_LOSS_MAE:
            return sign;
        case NNC_LOSS_HUBER:
            return fabsl(e) <= c ? e : sign * c;
        case NNC_LOSS_QUANTILE:
            return e > 0 ? 1 - c : e < 0 ? -c : 0;
        case NNC_LOSS_POISSON:
            return 1 - y / p;
        case NNC_LOSS_FOCAL:
            return powl(wrong, c) * entropy +
                   c * powl(wrong, c - 1) * (1 - 2 * y) * loss_with(NNC_LOSS_BCE, 0, p, y);
        case NNC_LOSS_HINGE:
            return loss_with(loss, c, p, y) > 0 ? (y > 0 ? -1 : 1) : 0;
        default:
            return 2 * e;
    }
}

/* with their usual parameters */
static inline wide loss_of(nnc_loss loss, wide p, wide y)
{
    return loss_with(loss, nnc_loss_parameter(loss), p, y);
}

static inline wide loss_slope(nnc_loss loss, wide p, wide y)
{
    return slope_with(loss, nnc_loss_parameter(loss), p, y);
}

/* What the loss of samples with so much weight is divided by. */
static inline wide divisor_of(nnc_loss loss, size_t n_out, wide weight)
{
    if (loss == NNC_LOSS_SSE) return 1;
    return loss == NNC_LOSS_BCE || loss == NNC_LOSS_CCE ? weight : weight * (wide)n_out;
}

static inline wide cost_of(nnc_loss loss, const wide *p, const wide *y, size_t n, size_t m)
{
    wide sum = 0;
    for (size_t i = 0; i < n; i++) sum += loss_of(loss, p[i], y[i]);
    return sum / divisor_of(loss, m ? n / m : 0, (wide)m);
}

/* y_hat (n_out of the last layer, m) of the network with params, from x (n_in, m). */
static inline void predict(const nnc_net *net, const wide *params, const wide *x, wide *y_hat,
                           size_t m)
{
    for (size_t j = 0; j < m; j++) {
        wide a[64], z[64];
        for (size_t i = 0; i < net->layers[0].n_in; i++) a[i] = x[i * m + j];
        for (size_t l = 0; l < net->n_layers; l++) {
            const nnc_layer *layer = &net->layers[l];
            for (size_t i = 0; i < layer->n_out; i++) {
                z[i] = layer->has_bias ? params[layer->b + i] : 0;
                for (size_t k = 0; k < layer->n_in; k++)
                    z[i] += params[layer->w + i * layer->n_in + k] * a[k];
            }
            for (size_t i = 0; i < layer->n_out; i++) a[i] = activation(layer->activation, z[i]);
        }
        size_t n_out = net->layers[net->n_layers - 1].n_out;
        for (size_t i = 0; i < n_out; i++) y_hat[i * m + j] = a[i];
    }
}

static inline wide *widened(nnc_dtype dtype, const void *x, size_t n)
{
    wide *copy = calloc(n + 1, sizeof *copy);
    if (!copy) abort();
    for (size_t i = 0; i < n; i++) copy[i] = get(dtype, x, i);
    return copy;
}

#endif
