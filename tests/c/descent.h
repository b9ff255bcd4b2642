/* descent.h - the optimizers of nnc.h, and what a stepper does before and after them, as plain
 * loops in double. */
#ifndef NNC_TEST_DESCENT_H
#define NNC_TEST_DESCENT_H

#include <math.h>

#include "nnc.h"

/* The most blocks of state. */
enum { MOST_STATE = 3 };

static inline double sign_of(double x)
{
    return (x > 0) - (x < 0);
}

/* The range of parameter i, or NULL. */
static inline const nnc_range *range_of(const nnc_stepper *s, size_t i)
{
    for (size_t k = 0; k < s->n_ranges; k++)
        if (i >= s->ranges[k].start && i - s->ranges[k].start < s->ranges[k].n)
            return &s->ranges[k];
    return NULL;
}

/* What the loss gets. */
static inline double penalty_of(const nnc_stepper *s, const double *params, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const nnc_range *range = range_of(s, i);
        if (!range || range->frozen) continue;
        sum += range->l1 * fabs(params[i]) + range->l2 * params[i] * params[i] / 2;
    }
    return sum;
}

/* grads become what the optimizer sees: 0 where parameters are frozen. */
static inline void clip_of(const nnc_stepper *s, const double *params, double *grads,
                           double divisor, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) {
        const nnc_range *range = range_of(s, i);
        double g = grads[i] / divisor;
        if (range) g += range->l1 * sign_of(params[i]) + range->l2 * params[i];
        if (s->clip_value != 0) g = fmax(fmin(g, s->clip_value), -s->clip_value);
        if (range && range->frozen) g = 0;
        grads[i] = g;
        squares += g * g;
    }
    double length = sqrt(squares);
    for (size_t i = 0; s->clip_norm != 0 && length > s->clip_norm && i < n; i++)
        grads[i] *= s->clip_norm / length;
}

/* One parameter, t >= 1; a[0], a[1], a[2] are its state; product: of nadam's momenta up to t. */
static inline double moved(const nnc_stepper *s, double rate, double p, double g, double **a,
                           double product, double t)
{
    double bias_1 = 1 - pow(s->beta_1, t), bias_2 = 1 - pow(s->beta_2, t);
    double u = s->beta_1 * (1 - 0.5 * pow(0.96, 0.004 * t));
    double next = s->beta_1 * (1 - 0.5 * pow(0.96, 0.004 * (t + 1))), way, turn;
    switch (s->optimizer) {
        case NNC_OPTIMIZER_SGD:
            return p - rate * g;
        case NNC_OPTIMIZER_MOMENTUM:
            *a[0] = s->momentum * *a[0] + g;
            return p - rate * *a[0];
        case NNC_OPTIMIZER_NESTEROV:
            *a[0] = s->momentum * *a[0] + g;
            return p - rate * (g + s->momentum * *a[0]);
        case NNC_OPTIMIZER_ADAGRAD:
            *a[0] += g * g;
            return p - rate * g / (sqrt(*a[0]) + s->epsilon);
        case NNC_OPTIMIZER_RMSPROP:
            *a[0] = s->rho * *a[0] + (1 - s->rho) * g * g;
            *a[1] = s->momentum * *a[1] + g / (sqrt(*a[0]) + s->epsilon);
            return p - rate * *a[1];
        case NNC_OPTIMIZER_LION:
            way = s->beta_1 * *a[0] + (1 - s->beta_1) * g;
            *a[0] = s->beta_2 * *a[0] + (1 - s->beta_2) * g;
            return p - rate * sign_of(way);
        case NNC_OPTIMIZER_RPROP:
            turn = *a[0] * g;
            if (t == 1) *a[1] = rate;
            *a[1] *= turn > 0 ? 1.2 : turn < 0 ? 0.5 : 1;
            *a[1] = fmax(fmin(*a[1], 50), 1e-6);
            *a[0] = turn < 0 ? 0 : g;
            return p - *a[1] * sign_of(*a[0]);
        default:
            break;
    }
    *a[0] = s->beta_1 * *a[0] + (1 - s->beta_1) * g;
    *a[1] = s->beta_2 * *a[1] + (1 - s->beta_2) * g * g;
    double square = *a[1], mean = *a[0] / bias_1;
    if (s->optimizer == NNC_OPTIMIZER_AMSGRAD) square = *a[2] = fmax(*a[2], square);
    if (s->optimizer == NNC_OPTIMIZER_NADAM)
        mean = (1 - u) * g / (1 - product) + next * *a[0] / (1 - product * next);
    return p - rate * mean / (sqrt(square / bias_2) + s->epsilon);
}

/* One step at a learning rate: params, state (MOST_STATE, n) and average change. Returns what the
 * loss gets. */
static inline double descend_of(const nnc_stepper *s, double rate, double *params, double *state,
                                double *average, double *grads, double divisor, size_t n,
                                size_t step)
{
    double product = 1, penalty = penalty_of(s, params, n);
    for (size_t t = 1; t <= step; t++)
        product *= s->beta_1 * (1 - 0.5 * pow(0.96, 0.004 * (double)t));
    clip_of(s, params, grads, divisor, n);
    for (size_t i = 0; i < n; i++) {
        const nnc_range *range = range_of(s, i);
        double *a[] = {state + i, state + n + i, state + 2 * n + i};
        if (range && range->frozen) continue;
        if (range) params[i] -= rate * range->decay * params[i];
        params[i] = moved(s, rate, params[i], grads[i], a, product, (double)step);
    }
    for (size_t k = 0; k < s->n_ranges; k++) {
        const nnc_range *range = &s->ranges[k];
        for (size_t row = 0; row < range->n; row += range->row_length) {
            double squares = 0, *x = params + range->start + row;
            if (range->frozen || range->max_norm == 0) break;
            for (size_t i = 0; i < range->row_length; i++) squares += x[i] * x[i];
            for (size_t i = 0; i < range->row_length && sqrt(squares) > range->max_norm; i++)
                x[i] *= range->max_norm / sqrt(squares);
        }
    }
    for (size_t i = 0; s->average_decay != 0 && i < n; i++)
        average[i] = s->average_decay * average[i] + (1 - s->average_decay) * params[i];
    return penalty;
}

#endif
