/* objective.h - what the second-order methods share: the cost of all samples with its gradient, as
 * a function of parameters in double, and the iterate that they move.
 *
 * Points are vectors of n_params doubles whatever the dtype, but always such as the dtype can
 * hold. */
#ifndef NNC_CORE_OBJECTIVE_H
#define NNC_CORE_OBJECTIVE_H

#include "core/phases.h"

typedef struct {
    const nnc_minimizing *problem;
    nnc_batch batch;
    nnc_panel_scratch *scratch; /* one a thread */
    nnc_pacer *pacers;          /* one a thread; that of rank 0 asks */
    size_t n_threads;           /* asked for: a team may have fewer */
    double divisor;             /* of the sum of losses */
    void *params, *grads;       /* of the dtype: the point, the sums over a part of the samples */
    double sum, *gradient;      /* over the samples so far; gradient may be NULL: not wanted */
    nnc_phases phases;
    atomic_bool hurry; /* set by rank 0 at any time: phases may break off */
} nnc_objective;

/* Where a minimization stands. */
typedef struct {
    nnc_objective objective;
    double *x, *gradient;         /* the iterate, and the gradient there */
    double *next, *next_gradient; /* another point */
    double cost, lowest;          /* of the iterate, of all iterates */
    double *costs;                /* the history */
    bool level;                   /* the last step lowered the cost too little */
    nnc_status status;
    nnc_minimum result;
} nnc_search;

void nnc_search_lay_out(nnc_search *descent, nnc_arena *arena, const nnc_minimizing *problem);

/* next = x + step * direction, rounded to the dtype; false where it is x. */
bool nnc_search_step(nnc_search *descent, double step, const double *direction);

/* *cost of a point, and its gradient unless that is NULL; one more evaluation. INFINITY, and a
 * gradient that is worthless, where the point or the cost is not finite. False where the monitor
 * stops. */
bool nnc_search_evaluate(nnc_search *descent, const double *point, double *cost, double *gradient);

/* Adds the penalties' share to the gradient of a mean, and makes it 0 where params are frozen. */
void nnc_penalize_gradient(const nnc_minimizing *problem, const double *x, double *gradient);

/* Whether the iterate, of a known gradient, is the last one; the result and status say why. */
bool nnc_search_ends(nnc_search *descent);
/* The iterate as elements of the dtype, until the next evaluation. */
void *nnc_search_elements(nnc_search *descent);
/* next becomes the iterate, is recorded and reported. */
void nnc_search_accept(nnc_search *descent, double cost);
/* Whether the evaluations are used up. */
bool nnc_search_spent(const nnc_search *descent);

static inline double nnc_widened(nnc_dtype dtype, const void *elements, size_t i)
{
    return dtype == NNC_F32 ? (double)((const float *)elements)[i] : ((const double *)elements)[i];
}

/* Sums in logical lanes, folded. */
double nnc_dot(const double *a, const double *b, size_t n);
/* y += factor * x */
void nnc_add_scaled(double *y, double factor, const double *x, size_t n);

/* --------------------------------------------------------------------------- the methods */

/* A point on the ray from the iterate along a direction. */
typedef struct {
    double step, cost, slope;
} nnc_ray_point;

typedef struct {
    double *direction;
    double *s, *y;              /* (history, n_params): steps, and changes of the gradient */
    double *rho, *alpha;        /* (history) */
    size_t kept, oldest;        /* of the ring */
    double *low, *low_gradient; /* the best point of a search, unless it is the last one seen */
} nnc_lbfgs;

void nnc_lbfgs_lay_out(nnc_lbfgs *work, nnc_arena *arena, const nnc_minimizing *problem);
void nnc_lbfgs_run(nnc_lbfgs *work, nnc_search *descent);

typedef enum { NNC_SEARCH_FOUND, NNC_SEARCH_FAILED, NNC_SEARCH_STOPPED } nnc_search_end;

/* A step along work->direction that satisfies the strong Wolfe conditions, or else the best one
 * seen that lowers the cost: next, next_gradient and *found. first: the step to try first. */
nnc_search_end nnc_line_search(nnc_search *descent, nnc_lbfgs *work, double first,
                               nnc_ray_point *found);

typedef struct {
    nnc_batch batch; /* of one panel */
    nnc_panel_scratch scratch;
    void *kept; /* the inputs of all layers */
    void *ones, *grads;
    double *rows;            /* (NNC_PANEL, n_params) of the Jacobian */
    double *errors;          /* (n_out, NNC_PANEL): output - label, times the root of the weight */
    double roots[NNC_PANEL]; /* of the samples' weights */
    double *squares; /* (n_params, n_params + 1): the lower triangle of J^T J, and from one column
                      * further on the upper triangular factor of what is solved */
    double *slopes;  /* J^T errors */
    double *step;
} nnc_marquardt;

void nnc_marquardt_lay_out(nnc_marquardt *work, nnc_arena *arena, const nnc_minimizing *problem);
void nnc_marquardt_run(nnc_marquardt *work, nnc_search *descent);

#endif
