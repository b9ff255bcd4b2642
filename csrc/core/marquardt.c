/* marquardt.c - Levenberg-Marquardt: Hagan and Menhaj, "Training feedforward networks with the
 * Marquardt algorithm" (1994).
 *
 * Errors e = output - label; J, their derivatives by the parameters, comes a panel of samples and
 * an output at a time: a gradient of 1 at the output goes back through the network. What is solved
 * is (J^T J + mu I) step = -J^T e, the penalties added; rows of J and e are multiplied by the roots
 * of their samples' weights. All sums run in the order of the panels,
 * outputs and samples. */
#include <math.h>
#include <string.h>

#include "core/objective.h"

/* The least mu: below it a matrix that is singular would need many rises to be solved again. */
#define LEAST_DAMPING 1e-20

/* Blocks of the matrix that the first two caches hold. */
enum { BLOCK_ROWS = 32, BLOCK_COLUMNS = 128 };

void nnc_marquardt_lay_out(nnc_marquardt *work, nnc_arena *arena, const nnc_minimizing *problem)
{
    const nnc_net *net = problem->net;
    size_t n = net->n_params, item = nnc_dtype_size(problem->dtype), inputs = 0;
    for (size_t l = 0; l < net->n_layers; l++) inputs += net->layers[l].n_in;
    nnc_batch_lay_out(&work->batch, arena, net, problem->dtype, NNC_PANEL, 1);
    nnc_batch_judge(&work->batch, problem->loss, problem->loss_parameter, &problem->data);
    nnc_scratch_lay_out(&work->scratch, arena, &work->batch, false);
    work->kept = nnc_arena_piece(arena, inputs, NNC_PANEL, item);
    work->ones = nnc_arena_piece(arena, NNC_PANEL, item, 1);
    work->grads = nnc_arena_piece(arena, n, item, 1);
    work->rows = nnc_arena_piece(arena, NNC_PANEL, n, sizeof(double));
    size_t n_out = net->layers[net->n_layers - 1].n_out;
    work->errors = nnc_arena_piece(arena, n_out, NNC_PANEL, sizeof(double));
    work->squares = nnc_arena_piece(arena, n, n + 1, sizeof(double));
    work->slopes = nnc_arena_piece(arena, n, sizeof(double), 1);
    work->step = nnc_arena_piece(arena, n, sizeof(double), 1);
}

static void *at(const nnc_batch *b, void *x, size_t i)
{
    return (char *)x + i * b->item;
}

/* y (n) += factors[0] x[0] + … + factors[3] x[3], added one after the other. */
static NNC_ALWAYS_INLINE void add_four(double *y, const double *factors, const double *x,
                                       size_t x_stride, size_t n)
{
    const double *x0 = x, *x1 = x + x_stride, *x2 = x1 + x_stride, *x3 = x2 + x_stride;
    for (size_t j = 0; j < n; j++)
        y[j] = (((y[j] + factors[0] * x0[j]) + factors[1] * x1[j]) + factors[2] * x2[j]) +
               factors[3] * x3[j];
}

/* ----------------------------------------------------------------------------- Jacobian */

/* The panel forward; keeps the inputs of all layers and the errors. */
static bool forward_panel(nnc_marquardt *work, const void *params)
{
    nnc_batch *b = &work->batch;
    const nnc_net *net = b->net;
    char *kept = work->kept;
    if (!nnc_forward_panels(b, 0, 1, params, &work->scratch, NNC_FOR_STEP)) return false;
    for (size_t l = 0; l < net->n_layers; l++) {
        size_t bytes = net->layers[l].n_in * NNC_PANEL * b->item;
        memcpy(kept, b->a[l], bytes);
        kept += bytes;
    }
    size_t n_out = net->layers[net->n_layers - 1].n_out;
    const void *out = b->a[net->n_layers];
    for (size_t i = 0; i < n_out * NNC_PANEL; i++) {
        double error = nnc_widened(b->dtype, out, i) - nnc_widened(b->dtype, b->y, i);
        work->errors[i] = i % NNC_PANEL < b->n ? error * work->roots[i % NNC_PANEL] : 0;
    }
    return true;
}

/* From the outputs: rows, a sample each, = the derivatives of output k. */
static bool backward_output(nnc_marquardt *work, const void *params, size_t k)
{
    nnc_batch *b = &work->batch;
    const nnc_net *net = b->net;
    const nnc_layer *last = &net->layers[net->n_layers - 1];
    size_t n = net->n_params;
    char *out = b->a[net->n_layers], *row = at(b, out, k * NNC_PANEL);
    size_t row_bytes = NNC_PANEL * b->item;
    b->kernels->activate_backward[last->activation](
        row, work->ones, at(b, b->z[net->n_layers], k * NNC_PANEL), b->n);
    memset(at(b, row, b->n), 0, (NNC_PANEL - b->n) * b->item);
    memset(out, 0, k * row_bytes);
    memset(row + row_bytes, 0, (last->n_out - k - 1) * row_bytes);
    if (!nnc_backward_panels(b, 0, 1, params, work->grads, 0, &work->scratch)) return false;

    char *inputs = work->kept;
    for (size_t l = 0; l < net->n_layers; l++) {
        const nnc_layer *layer = &net->layers[l];
        for (size_t i = 0; i < layer->n_out; i++) {
            const void *dz = at(b, b->dz[l + 1], i * NNC_PANEL);
            double *w = work->rows + layer->w + i * layer->n_in, *bias = work->rows + layer->b + i;
            for (size_t s = 0; s < b->n; s++) {
                double d = nnc_widened(b->dtype, dz, s) * work->roots[s];
                for (size_t j = 0; j < layer->n_in; j++)
                    w[s * n + j] = d * nnc_widened(b->dtype, inputs, j * NNC_PANEL + s);
                if (layer->has_bias) bias[s * n] = d;
            }
        }
        inputs += layer->n_in * row_bytes;
    }
    return true;
}

/* Rows of what is frozen are 0, as are those that fill up to a multiple of four. */
static void clear_rows(nnc_marquardt *work, const nnc_minimizing *problem)
{
    size_t n = problem->net->n_params;
    for (size_t i = 0; i < problem->n_ranges; i++) {
        const nnc_range *r = &problem->ranges[i];
        for (size_t s = 0; r->frozen && s < work->batch.n; s++)
            memset(work->rows + s * n + r->start, 0, r->n * sizeof(double));
    }
    memset(work->rows + work->batch.n * n, 0, (NNC_PANEL - work->batch.n) * n * sizeof(double));
}

/* squares += rows^T rows, slopes += rows^T errors. */
static bool add_rows(nnc_marquardt *work, const double *errors)
{
    size_t n = work->batch.net->n_params, ld = n + 1;
    const double *rows = work->rows;
    for (size_t s = 0; s < work->batch.n; s += 4)
        add_four(work->slopes, errors + s, rows + s * n, n, n);
    for (size_t column = 0; column < n; column += BLOCK_COLUMNS) {
        for (size_t i = column; i < n; i++) {
            size_t columns = nnc_min(i + 1 - column, BLOCK_COLUMNS);
            double *target = work->squares + i * ld + column;
            for (size_t s = 0; s < work->batch.n; s += 4) {
                double factors[4];
                for (size_t k = 0; k < 4; k++) factors[k] = rows[(s + k) * n + i];
                add_four(target, factors, rows + s * n + column, n, columns);
            }
        }
        if (!nnc_pacer_tick(work->scratch.pacer, (n - column) * BLOCK_COLUMNS * NNC_PANEL))
            return false;
    }
    return true;
}

/* squares and slopes at the iterate, and the gradient of the cost; false where the monitor stops.
 */
static bool differentiate(nnc_marquardt *work, nnc_search *descent)
{
    const nnc_objective *o = &descent->objective;
    const nnc_minimizing *problem = o->problem;
    nnc_batch *b = &work->batch;
    size_t n = problem->net->n_params, m = problem->data.m;
    size_t n_out = problem->net->layers[problem->net->n_layers - 1].n_out;
    const void *params = nnc_search_elements(descent);
    for (size_t i = 0; i < n; i++) memset(work->squares + i * (n + 1), 0, (i + 1) * sizeof(double));
    memset(work->slopes, 0, n * sizeof(double));
    for (size_t start = 0; start < m; start += NNC_PANEL) {
        b->n = nnc_min(m - start, NNC_PANEL);
        nnc_load_panel(b, 0, &problem->data, NULL, start);
        for (size_t s = 0; s < b->n; s++)
            work->roots[s] = b->weighted ? sqrt(nnc_widened(b->dtype, b->weights, s)) : 1;
        for (size_t k = 0; k < n_out; k++) {
            if (!forward_panel(work, params) || !backward_output(work, params, k)) return false;
            clear_rows(work, problem);
            if (!add_rows(work, work->errors + k * NNC_PANEL)) return false;
        }
    }
    for (size_t i = 0; i < n; i++) descent->gradient[i] = work->slopes[i] * (2 / o->divisor);
    nnc_penalize_gradient(problem, descent->x, descent->gradient);
    return true;
}

/* ------------------------------------------------------------------------------ solving */

/* Row i of the factor, from its diagonal on. */
static double *factor_row(const nnc_marquardt *work, size_t i)
{
    size_t n = work->batch.net->n_params;
    return work->squares + i * (n + 1) + i + 1;
}

/* Rows [first, first + count) of the factor = those of squares + mu I + penalties. */
static void copy_rows(nnc_marquardt *work, const nnc_search *descent, double damping, size_t first,
                      size_t count)
{
    const nnc_minimizing *problem = descent->objective.problem;
    size_t n = problem->net->n_params;
    for (size_t j = first; j < n; j++)
        for (size_t i = first; i < nnc_min(first + count, j + 1); i++)
            factor_row(work, i)[j - i] = work->squares[j * (n + 1) + i];
    for (size_t i = first; i < first + count; i++) factor_row(work, i)[0] += damping;
    for (size_t k = 0; k < problem->n_ranges; k++) {
        const nnc_range *r = &problem->ranges[k];
        size_t end = nnc_min(r->start + r->n, first + count);
        for (size_t i = nnc_max(r->start, first); !r->frozen && i < end; i++)
            factor_row(work, i)[0] += r->l2 * (descent->objective.divisor / 2);
    }
}

/* The block's own rows of the factor, after those above have been subtracted. */
static bool factor_block(nnc_marquardt *work, size_t first, size_t count)
{
    size_t n = work->batch.net->n_params;
    for (size_t i = first; i < first + count; i++) {
        double *row = factor_row(work, i);
        for (size_t k = first; k < i; k++) {
            const double *above = factor_row(work, k) + (i - k);
            nnc_add_scaled(row, -above[0], above, n - i);
        }
        if (!(row[0] > 0)) return false;
        double root = sqrt(row[0]);
        for (size_t j = 0; j < n - i; j++) row[j] /= root;
    }
    return true;
}

/* Cholesky, U^T U = squares + mu I + penalties, row by row; each element is the chain of what the
 * rows above subtract. False where a pivot is not positive, or the monitor stops. */
static bool factorize(nnc_marquardt *work, const nnc_search *descent, double damping)
{
    size_t n = work->batch.net->n_params;
    for (size_t first = 0; first < n; first += BLOCK_ROWS) {
        size_t count = nnc_min(n - first, BLOCK_ROWS);
        copy_rows(work, descent, damping, first, count);
        for (size_t column = first; column < n; column += BLOCK_COLUMNS) {
            size_t end = nnc_min(column + BLOCK_COLUMNS, n);
            for (size_t k = 0; k < first; k += 4) { /* BLOCK_ROWS is a multiple of 4 */
                const double *above = work->squares + k * (n + 1) + 1;
                for (size_t i = first; i < nnc_min(first + count, end); i++) {
                    size_t start = nnc_max(column, i);
                    double factors[4];
                    for (size_t j = 0; j < 4; j++) factors[j] = -above[j * (n + 1) + i];
                    add_four(factor_row(work, i) + (start - i), factors, above + start, n + 1,
                             end - start);
                }
            }
        }
        if (!factor_block(work, first, count)) return false;
        if (!nnc_pacer_tick(work->scratch.pacer, count * (first + count) * (n - first)))
            return false;
    }
    return true;
}

/* step = -(U^T U)^-1 (slopes + penalties) */
static void solve(nnc_marquardt *work, const nnc_search *descent)
{
    size_t n = work->batch.net->n_params;
    double *z = work->step;
    for (size_t i = 0; i < n; i++) z[i] = descent->gradient[i] * -(descent->objective.divisor / 2);
    for (size_t i = 0; i < n; i++) {
        const double *row = factor_row(work, i);
        z[i] /= row[0];
        nnc_add_scaled(z + i + 1, -z[i], row + 1, n - i - 1);
    }
    for (size_t i = n; i-- > 0;) {
        const double *row = factor_row(work, i);
        z[i] = (z[i] - nnc_dot(row + 1, z + i + 1, n - i - 1)) / row[0];
    }
}

/* ------------------------------------------------------------------------------ descent */

/* The next iterate: *damping rises until the cost falls, and falls then. False where no damping
 * serves, or the evaluations are used up, or the monitor stops. */
static bool improve(nnc_marquardt *work, nnc_search *descent, double *damping)
{
    const nnc_minimizing *problem = descent->objective.problem;
    const nnc_pacer *pacer = work->scratch.pacer;
    for (; *damping <= problem->damping_most; *damping *= problem->damping_factor) {
        double cost;
        if (nnc_search_spent(descent)) return false;
        bool solved = factorize(work, descent, *damping);
        if (pacer->status != NNC_OK) return false;
        if (!solved) continue;
        solve(work, descent);
        if (!nnc_search_step(descent, 1, work->step)) return false;
        if (!nnc_search_evaluate(descent, descent->next, &cost, NULL)) return false;
        if (!(cost < descent->cost)) continue;
        nnc_search_accept(descent, cost);
        *damping /= problem->damping_factor;
        if (*damping < LEAST_DAMPING) *damping = LEAST_DAMPING;
        return true;
    }
    return false;
}

void nnc_marquardt_run(nnc_marquardt *work, nnc_search *descent)
{
    const nnc_minimizing *problem = descent->objective.problem;
    double damping = problem->damping;
    work->scratch.pacer = &descent->objective.pacers[0];
    work->batch.kernels->fill(work->ones, 1, NNC_PANEL);
    memset(descent->gradient, 0, problem->net->n_params * sizeof(double));
    for (;;) {
        bool whole = isfinite(descent->cost) && differentiate(work, descent);
        if (nnc_search_ends(descent) || !whole) return;
        if (improve(work, descent, &damping)) continue;
        if (nnc_search_ends(descent)) return;
        descent->result.ending = NNC_ENDING_NO_STEP;
        return;
    }
}
