/* lbfgs.c - L-BFGS: Nocedal and Wright, "Numerical optimization" (2006), algorithms 7.4 and 7.5. */
#include <math.h>

#include "core/objective.h"

void nnc_lbfgs_lay_out(nnc_lbfgs *work, nnc_arena *arena, const nnc_minimizing *problem)
{
    size_t n = problem->net->n_params, history = nnc_max(problem->history, 1);
    work->s = nnc_arena_piece(arena, history, n, sizeof(double));
    work->y = nnc_arena_piece(arena, history, n, sizeof(double));
    work->rho = nnc_arena_piece(arena, history, sizeof(double), 1);
    work->alpha = nnc_arena_piece(arena, history, sizeof(double), 1);
    double **vectors[] = {&work->direction, &work->low, &work->low_gradient};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = nnc_arena_piece(arena, n, sizeof(double), 1);
}

/* The place of the i-th oldest step. */
static size_t place(const nnc_lbfgs *work, const nnc_search *descent, size_t i)
{
    return (work->oldest + i) % nnc_max(descent->objective.problem->history, 1);
}

/* direction = -H gradient: algorithm 7.4, from H = gamma I. */
static void choose_direction(nnc_lbfgs *work, const nnc_search *descent)
{
    size_t n = descent->objective.problem->net->n_params;
    double *q = work->direction, gamma = 1;
    for (size_t i = 0; i < n; i++) q[i] = -descent->gradient[i];
    for (size_t i = work->kept; i-- > 0;) {
        size_t at = place(work, descent, i);
        const double *s = work->s + at * n, *y = work->y + at * n;
        if (i + 1 == work->kept) gamma = 1 / (work->rho[at] * nnc_dot(y, y, n));
        work->alpha[at] = work->rho[at] * nnc_dot(s, q, n);
        nnc_add_scaled(q, -work->alpha[at], y, n);
    }
    for (size_t i = 0; i < n; i++) q[i] *= gamma;
    for (size_t i = 0; i < work->kept; i++) {
        size_t at = place(work, descent, i);
        double beta = work->rho[at] * nnc_dot(work->y + at * n, q, n);
        nnc_add_scaled(q, work->alpha[at] - beta, work->s + at * n, n);
    }
}

/* Remembers the step to next, unless its curvature is not positive or drowns in rounding. */
static void remember(nnc_lbfgs *work, const nnc_search *descent)
{
    size_t n = descent->objective.problem->net->n_params;
    size_t history = nnc_max(descent->objective.problem->history, 1);
    bool full = work->kept == history;
    /* where the ring is full, the oldest is given up before it is clear that this one is kept */
    size_t at = full ? work->oldest : place(work, descent, work->kept);
    double *s = work->s + at * n, *y = work->y + at * n;
    for (size_t i = 0; i < n; i++) s[i] = descent->next[i] - descent->x[i];
    for (size_t i = 0; i < n; i++) y[i] = descent->next_gradient[i] - descent->gradient[i];
    if (full) {
        work->oldest = (work->oldest + 1) % history;
        work->kept--;
    }
    double curvature = nnc_dot(s, y, n);
    if (!(curvature > 0x1p-52 * nnc_dot(y, y, n)) || !isfinite(1 / curvature)) return;
    work->rho[at] = 1 / curvature;
    work->kept++;
}

void nnc_lbfgs_run(nnc_lbfgs *work, nnc_search *descent)
{
    size_t n = descent->objective.problem->net->n_params;
    nnc_ray_point found;
    while (!nnc_search_ends(descent)) {
        choose_direction(work, descent);
        if (!(nnc_dot(work->direction, descent->gradient, n) < 0)) {
            work->kept = 0;
            choose_direction(work, descent);
        }
        /* the first step has no scale but this: one unit of length */
        double first = work->kept > 0 ? 1 : 1 / sqrt(nnc_dot(work->direction, work->direction, n));
        nnc_search_end end = nnc_line_search(descent, work, first, &found);
        if (end == NNC_SEARCH_FOUND) {
            remember(work, descent);
            nnc_search_accept(descent, found.cost);
        } else if (end == NNC_SEARCH_FAILED && !nnc_search_spent(descent)) {
            if (work->kept == 0) {
                descent->result.ending = NNC_ENDING_NO_STEP;
                return;
            }
            work->kept = 0; /* once more, along the gradient */
        }
    }
}
