/* objective.c - see objective.h.
 *
 * Samples go through the panel engine in parts of PART, one after the other, and the sums over each
 * are added in double: memory does not grow with the data. */
#include "core/objective.h"

#include <math.h>
#include <string.h>

enum { PART = 2048 };

/* --------------------------------------------------------------------------- arithmetic */

double nnc_dot(const double *a, const double *b, size_t n)
{
    enum { LANES = 8 };
    double lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) lanes[k] += a[i + k] * b[i + k];
    for (size_t k = 0; i + k < n; k++) lanes[k] += a[i + k] * b[i + k];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t k = 0; k < half; k++) lanes[k] += lanes[k + half];
    return lanes[0];
}

void nnc_add_scaled(double *y, double factor, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += factor * x[i];
}

/* The largest |x|, or NaN where there is one. */
static double largest_of(const double *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) return NAN;
        if (fabs(x[i]) > most) most = fabs(x[i]);
    }
    return most;
}

static void to_elements(nnc_dtype dtype, void *elements, const double *x, size_t n)
{
    float *narrow = elements;
    if (dtype == NNC_F64) memcpy(elements, x, n * sizeof *x);
    for (size_t i = 0; dtype == NNC_F32 && i < n; i++) narrow[i] = (float)x[i];
}

/* ------------------------------------------------------------------- the sum over samples */

/* One thread's view of an evaluation. */
typedef struct {
    nnc_objective *objective;
    nnc_team *team;
    size_t rank;
    nnc_batch batch; /* the part that this thread is at */
    size_t start;    /* its first sample */
} member;

/* Groups of panels until none is left, all at once where the batch is not wide. */
static bool panel_phase(void *member_)
{
    member *self = member_;
    nnc_objective *o = self->objective;
    nnc_batch *b = &self->batch;
    nnc_panel_scratch *scratch = &o->scratch[self->rank];
    size_t panels = nnc_batch_panels(b), most = panels;
    if (b->wide) most = nnc_panel_group(panels, o->n_threads);
    for (;;) {
        size_t first = nnc_take_next(&o->phases, NNC_PANELS, most);
        if (first >= panels) return true;
        size_t end = nnc_min(first + most, panels);
        for (size_t p = first; p < end; p++)
            nnc_load_panel(b, p, &o->problem->data, NULL, self->start);
        if (!nnc_forward_panels(b, first, end - first, o->params, scratch, NNC_FOR_STEP))
            return false;
        for (size_t p = first; p < end; p++) nnc_loss_panel(b, p, scratch, false);
        if (o->gradient &&
            !nnc_backward_panels(b, first, end - first, o->params, o->grads, 0, scratch))
            return false;
    }
}

static bool weight_phase(void *member_)
{
    member *self = member_;
    nnc_objective *o = self->objective;
    return nnc_weight_tasks(&o->phases, &self->batch, o->grads, &o->scratch[self->rank]);
}

static bool whole_phase(member *self, nnc_phase phase, bool (*work)(void *))
{
    nnc_objective *o = self->objective;
    return nnc_whole_phase(&o->phases, phase, self->team, self->rank, o->pacers, work, self);
}

/* What rank 0 does with the sums over a part. */
static void gather_part(member *self)
{
    nnc_objective *o = self->objective;
    const nnc_batch *b = &self->batch;
    for (size_t p = 0; p < nnc_batch_panels(b); p++) o->sum += b->costs[p];
    for (size_t i = 0; o->gradient && i < b->net->n_params; i++)
        o->gradient[i] += nnc_widened(b->dtype, o->grads, i);
    nnc_rewind_phase(&o->phases, NNC_PANELS);
    nnc_rewind_phase(&o->phases, NNC_WEIGHTS);
}

static void run_parts(void *context, nnc_team *team, size_t rank)
{
    nnc_objective *o = context;
    member self = {.objective = o, .team = team, .rank = rank, .batch = o->batch};
    for (; self.start < o->problem->data.m; self.start += self.batch.n) {
        self.batch.n = nnc_min(PART, o->problem->data.m - self.start);
        if (!whole_phase(&self, NNC_PANELS, panel_phase)) return;
        if (o->gradient && self.batch.wide && !whole_phase(&self, NNC_WEIGHTS, weight_phase))
            return;
        if (rank == 0) gather_part(&self);
        nnc_team_barrier(team, NULL, NULL);
    }
}

/* --------------------------------------------------------------------------- penalties */

static double penalty(const nnc_minimizing *problem, const double *x)
{
    double sum = 0;
    for (size_t i = 0; i < problem->n_ranges; i++) {
        const nnc_range *r = &problem->ranges[i];
        if (r->l2 != 0) sum += r->l2 / 2 * nnc_dot(x + r->start, x + r->start, r->n);
    }
    return sum;
}

void nnc_penalize_gradient(const nnc_minimizing *problem, const double *x, double *gradient)
{
    for (size_t i = 0; i < problem->n_ranges; i++) {
        const nnc_range *r = &problem->ranges[i];
        if (r->frozen)
            memset(gradient + r->start, 0, r->n * sizeof *gradient);
        else
            nnc_add_scaled(gradient + r->start, r->l2, x + r->start, r->n);
    }
}

/* ----------------------------------------------------------------------------- descents */

bool nnc_search_step(nnc_search *descent, double step, const double *direction)
{
    const nnc_batch *b = &descent->objective.batch;
    bool moved = false;
    for (size_t i = 0; i < b->net->n_params; i++) {
        double place = descent->x[i] + step * direction[i];
        descent->next[i] = b->dtype == NNC_F32 ? (double)(float)place : place;
        moved |= descent->next[i] != descent->x[i];
    }
    return moved;
}

bool nnc_search_spent(const nnc_search *descent)
{
    return descent->result.evaluations >= descent->objective.problem->evaluations;
}

bool nnc_search_evaluate(nnc_search *descent, const double *point, double *cost, double *gradient)
{
    nnc_objective *o = &descent->objective;
    const nnc_minimizing *problem = o->problem;
    size_t n = problem->net->n_params, bad;
    *cost = INFINITY;
    descent->result.evaluations++;
    if (gradient) memset(gradient, 0, n * sizeof *gradient);
    to_elements(problem->dtype, o->params, point, n);
    o->batch.kernels->first_nonfinite(&bad, o->params, n);
    if (bad < n) return true;
    o->sum = 0;
    o->gradient = gradient;
    nnc_team_run(o->n_threads, run_parts, o);
    if (o->pacers[0].status != NNC_OK) return false;
    *cost = o->sum / o->divisor + penalty(problem, point);
    if (!isfinite(*cost)) *cost = INFINITY;
    for (size_t i = 0; gradient && i < n; i++) gradient[i] /= o->divisor;
    if (gradient) nnc_penalize_gradient(problem, point, gradient);
    return true;
}

static void end(nnc_search *descent, nnc_status status, nnc_ending ending)
{
    descent->status = status;
    descent->result.ending = ending;
}

bool nnc_search_ends(nnc_search *descent)
{
    const nnc_minimizing *problem = descent->objective.problem;
    nnc_status asked = descent->objective.pacers[0].status;
    double most = largest_of(descent->gradient, problem->net->n_params);
    descent->result.gradient = most;
    if (asked != NNC_OK)
        end(descent, asked, NNC_ENDING_BROKEN_OFF);
    else if (!isfinite(descent->cost) || !isfinite(most))
        end(descent, NNC_DIVERGED, NNC_ENDING_BROKEN_OFF);
    else if (most <= problem->gradient)
        end(descent, NNC_OK, NNC_ENDING_GRADIENT);
    else if (descent->level)
        end(descent, NNC_OK, NNC_ENDING_DECREASE);
    else if (descent->result.iterations >= problem->iterations)
        end(descent, NNC_OK, NNC_ENDING_ITERATIONS);
    else if (nnc_search_spent(descent))
        end(descent, NNC_OK, NNC_ENDING_EVALUATIONS);
    else
        return false;
    return true;
}

void *nnc_search_elements(nnc_search *descent)
{
    nnc_objective *o = &descent->objective;
    to_elements(o->problem->dtype, o->params, descent->x, o->problem->net->n_params);
    return o->params;
}

void nnc_search_accept(nnc_search *descent, double cost)
{
    nnc_objective *o = &descent->objective;
    const nnc_minimizing *problem = o->problem;
    double *x = descent->x, *gradient = descent->gradient;
    size_t iteration = descent->result.iterations++;
    descent->x = descent->next, descent->next = x;
    descent->gradient = descent->next_gradient, descent->next_gradient = gradient;
    descent->level =
        problem->decrease > 0 && descent->cost - cost <= problem->decrease * fabs(descent->cost);
    descent->cost = descent->result.cost = descent->costs[iteration + 1] = cost;
    if (cost < descent->lowest) descent->lowest = cost;
    o->pacers[0].epoch = iteration + 1;
    o->pacers[0].cost = cost;
    nnc_pacer_report(&o->pacers[0], &problem->monitor, iteration, cost, NAN,
                     nnc_search_elements(descent));
}

/* The number of samples, or the sum of their weights. */
static double weight_of(const nnc_data *data)
{
    double sum = 0;
    if (!data->weights) return (double)data->m;
    for (size_t i = 0; i < data->m; i++) sum += data->weights[i];
    return sum;
}

void nnc_search_lay_out(nnc_search *descent, nnc_arena *arena, const nnc_minimizing *problem)
{
    nnc_objective *o = &descent->objective;
    size_t n = problem->net->n_params, item = nnc_dtype_size(problem->dtype);
    size_t n_threads = nnc_max(nnc_min(problem->n_threads, NNC_MAX_THREADS), 1);
    o->problem = problem;
    nnc_batch_lay_out(&o->batch, arena, problem->net, problem->dtype,
                      nnc_min(problem->data.m, PART), n_threads);
    nnc_batch_judge(&o->batch, problem->loss, problem->loss_parameter, &problem->data);
    size_t pieces = nnc_max(o->batch.capacity, o->batch.n_tasks);
    o->n_threads = o->batch.wide ? nnc_max(nnc_min(n_threads, pieces), 1) : 1;
    size_t n_out = problem->net->layers[problem->net->n_layers - 1].n_out;
    o->divisor = nnc_loss_divisor(problem->loss, weight_of(&problem->data), n_out);
    o->params = nnc_arena_piece(arena, n, item, 1);
    o->grads = nnc_arena_piece(arena, n, item, 1);
    o->scratch = nnc_arena_piece(arena, o->n_threads, sizeof *o->scratch, 1);
    o->pacers = nnc_arena_piece(arena, o->n_threads, sizeof *o->pacers, 1);
    for (size_t rank = 0; rank < o->n_threads; rank++) {
        nnc_panel_scratch scratch;
        nnc_scratch_lay_out(&scratch, arena, &o->batch, false);
        if (!arena->block) continue;
        o->pacers[rank] = (nnc_pacer){.hurry = &o->hurry};
        scratch.pacer = &o->pacers[rank];
        o->scratch[rank] = scratch;
    }
    double **vectors[] = {&descent->x, &descent->gradient, &descent->next, &descent->next_gradient};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = nnc_arena_piece(arena, n, sizeof(double), 1);
}

/* ---------------------------------------------------------------------------- nnc_minimize */

static nnc_status check_problem(const nnc_minimizing *problem)
{
    const nnc_net *net = problem->net;
    bool marquardt = problem->minimizer == NNC_MINIMIZER_MARQUARDT;
    if (marquardt && problem->loss != NNC_LOSS_SSE && problem->loss != NNC_LOSS_MSE)
        return NNC_ERR_SQUARES;
    if (marquardt && net->n_params > NNC_MARQUARDT_PARAMS) return NNC_ERR_PARAMS;
    for (size_t l = 0; l < net->n_layers; l++) {
        nnc_layer_kind kind = net->layers[l].kind;
        if (kind != NNC_DENSE && (marquardt || kind != NNC_LAYER_NORM)) return NNC_ERR_LAYERS;
    }
    return nnc_check_softmax(net, problem->loss);
}

typedef struct {
    nnc_search descent;
    nnc_lbfgs lbfgs;
    nnc_marquardt marquardt;
} minimization;

static void lay_out(minimization *all, nnc_arena *arena, const nnc_minimizing *problem)
{
    nnc_search_lay_out(&all->descent, arena, problem);
    if (problem->minimizer == NNC_MINIMIZER_LBFGS)
        nnc_lbfgs_lay_out(&all->lbfgs, arena, problem);
    else
        nnc_marquardt_lay_out(&all->marquardt, arena, problem);
}

nnc_status nnc_minimize(const nnc_minimizing *problem, void *params, double *cost,
                        nnc_minimum *minimum)
{
    minimization all = {.descent.costs = cost};
    nnc_search *descent = &all.descent;
    size_t n = problem->net->n_params;
    nnc_arena arena = {0};
    nnc_status status = check_problem(problem);
    if (status != NNC_OK) return status;
    lay_out(&all, &arena, problem);
    status = nnc_arena_allocate_in(&arena, problem->memory);
    if (status != NNC_OK) return status;
    lay_out(&all, &arena, problem);

    nnc_pacer *pacer = &descent->objective.pacers[0];
    *pacer = nnc_pacer_begin(&problem->monitor, &descent->objective.hurry);
    for (size_t i = 0; i < n; i++) descent->x[i] = nnc_widened(problem->dtype, params, i);
    bool lbfgs = problem->minimizer == NNC_MINIMIZER_LBFGS;
    if (nnc_search_evaluate(descent, descent->x, &descent->cost,
                            lbfgs ? descent->gradient : NULL)) {
        descent->lowest = descent->result.cost = cost[0] = pacer->cost = descent->cost;
        if (lbfgs)
            nnc_lbfgs_run(&all.lbfgs, descent);
        else
            nnc_marquardt_run(&all.marquardt, descent);
    } else {
        end(descent, pacer->status, NNC_ENDING_BROKEN_OFF);
        descent->result.cost = descent->result.gradient = cost[0] = NAN;
    }
    nnc_pacer_end(pacer);
    to_elements(problem->dtype, params, descent->x, n);
    *minimum = descent->result;
    nnc_arena_free(&arena);
    return descent->status;
}
