/* fit.c - gradient descent in batches: nnc_fit.
 *
 * A step on a wide batch has three phases: panels go forward and back; then the gradients by the
 * weights, task by task; then each thread updates its share of the parameters. Between phases there
 * is a barrier. Which thread takes which panel or task is open, as no result depends on it. Slices
 * come with their gradients from the first phase; the second adds them up. Other batches belong to
 * one thread, and their gradients are computed on the way back. */
#include "core/fit.h"

#include <math.h>
#include <string.h>

#include "core/custom.h"
#include "core/deck.h"
#include "core/phases.h"
#include "core/slices.h"
#include "core/step.h"

/* What an epoch of a tiny network costs, in multiply-adds. */
enum { TINY_WORK = 1 << 10 };

typedef struct {
    const nnc_fitting *fitting;
    const nnc_fit_start *from;
    nnc_batch batch;
    bool sliced; /* batches go in slices: of batch only the size and the count of steps are used */
    nnc_slices slices;
    nnc_panel_scratch *scratch; /* one a thread */
    nnc_pacer *pacers;          /* one a thread; that of rank 0 asks */
    nnc_pacer calm;             /* never says stop */
    size_t n_threads;           /* asked for: a team may have fewer */
    bool direct;                /* gradients move the parameters where they are added up */
    bool fused;                 /* and that is on the way back: steps are short */
    nnc_descent descent;
    nnc_custom custom;
    nnc_deck *deck; /* or NULL */
    const size_t *order;
    void *grads;
    void *blocks[3]; /* parameters: epoch e starts from block e % 3 and works on the next, so
                      * that the start of the epoch before is still there */
    void *params;    /* in the end */
    double *cost, *accuracy;   /* the histories */
    double loss, hits, weight; /* of the epoch so far */
    double penalty;            /* likewise, of L1 and L2 */
    bool begun;                /* the epoch: nobody stopped it before */
    nnc_phases phases;
    atomic_bool hurry;  /* set by rank 0 at any time: phases may break off */
    atomic_bool never;  /* false */
    nnc_status verdict; /* of rank 0 on an epoch */
    size_t done;
} run;

/* One thread's view of the run. */
typedef struct {
    run *run;
    nnc_team *team;
    size_t rank, epoch;
    nnc_batch batch;          /* of the step that this thread is at */
    nnc_network_plan network; /* likewise, in slices */
    size_t start;             /* its first sample */
    void *params, *next; /* before and after it: one block, but in the first step of an epoch that
                          * is not fused */
} member;

/* The batch's samples, or the sum of their weights. It is loaded. */
static double weight_of(const member *self)
{
    if (!self->run->sliced) return nnc_batch_weight(&self->batch);
    if (!self->network.weighted) return (double)self->batch.n;
    return nnc_sum_slices(&self->network.plan, self->run->slices.sums);
}

/* What the sum of gradients over the batch is divided by to get the gradient of the loss. Any
 * number does where all weights are 0. */
static double divisor_of(const member *self)
{
    const nnc_fitting *f = self->run->fitting;
    size_t n_out = f->net->layers[f->net->n_layers - 1].n_out;
    double weight = weight_of(self);
    return weight == 0 ? 1 : nnc_loss_divisor(f->loss, weight, n_out);
}

/* The learning rate of the step that begins. */
static double rate_of(const member *self)
{
    const nnc_fitting *f = self->run->fitting;
    if (!f->rates) return f->stepper->learning_rate;
    return f->rates[self->epoch * f->n_rates + (f->n_rates > 1 ? self->start / f->batch : 0)];
}

static bool vanishes(const nnc_batch *batch, double rate)
{
    return batch->dtype == NNC_F32 ? (float)rate == 0 : rate == 0;
}

/* What the last epoch loaded is still there, and would be loaded again. */
static bool is_loaded(const member *self)
{
    const nnc_fitting *f = self->run->fitting;
    return self->epoch > 0 && f->batch >= f->data.m && !f->shuffle;
}

/* Groups of panels until none is left, all at once where the batch is not wide or is coupled:
 * forward, loss, backward. What is not wide breaks off before it begins, or it would leave half an
 * update. */
static bool panel_phase(void *member_)
{
    member *self = member_;
    run *r = self->run;
    nnc_batch *b = &self->batch;
    nnc_panel_scratch *scratch = &r->scratch[self->rank];
    size_t panels = nnc_batch_panels(b), most = panels;
    const bool custom = r->fitting->custom;
    if (custom && self->rank > 0) return true; /* what it calls belongs to rank 0 */
    if (b->wide && !b->coupled && !custom)
        most = nnc_panel_group(panels, r->n_threads);
    else if (!b->wide && !nnc_pacer_tick(&r->pacers[0], b->net->n_params * b->n))
        return false;
    for (;;) {
        size_t first = nnc_take_next(&r->phases, NNC_PANELS, most);
        if (first >= panels) return true;
        size_t end = nnc_min(first + most, panels);
        for (size_t p = first; !is_loaded(self) && p < end; p++)
            nnc_load_panel(b, p, &r->fitting->data, r->order, self->start);
        if (!nnc_forward_panels(b, first, end - first, self->params, scratch, NNC_FOR_STEP))
            return false;
        for (size_t p = first; r->fitting->outputs && p < end; p++)
            nnc_store_outputs(b, p, scratch, r->order, self->start, r->fitting->outputs);
        if (custom && !nnc_custom_judge(&r->custom, b, scratch, &r->pacers[0], r->order,
                                        self->start, r->fitting->data.m))
            return false;
        for (size_t p = first; !custom && p < end; p++)
            nnc_loss_panel(b, p, scratch, r->accuracy != NULL);
        double rate = r->fused ? rate_of(self) * (1 / divisor_of(self)) : 0;
        if (r->fused && vanishes(b, rate)) continue; /* 0 would ask for gradients */
        if (!nnc_backward_panels(b, first, end - first, self->params,
                                 r->fused ? self->params : r->grads, rate, scratch))
            return false;
    }
}

static bool weight_phase(void *member_)
{
    member *self = member_;
    run *r = self->run;
    return nnc_weight_tasks(&r->phases, &self->batch, r->grads, &r->scratch[self->rank]);
}

/* Slices, with their gradients, until none is left. */
static bool slice_phase(void *member_)
{
    member *self = member_;
    run *r = self->run;
    nnc_panel_scratch *scratch = &r->scratch[self->rank];
    for (;;) {
        nnc_slice_place place = {.network = &self->network,
                                 .index = nnc_take_next(&r->phases, NNC_PANELS, 1),
                                 .order = r->order,
                                 .start = self->start};
        if (place.index >= self->network.plan.n_slices) return true;
        if (!is_loaded(self)) nnc_load_slice(&r->slices, &place, &r->fitting->data);
        if (!nnc_run_slice(&r->slices, &place, &r->slices.works[self->rank], self->params,
                           r->accuracy != NULL, &scratch->rows, r->fitting->outputs,
                           &r->pacers[self->rank]))
            return false;
    }
}

/* The slices' gradients move the parameters, or become grads. Each member has its share: whole
 * cache lines. Nobody is asked meanwhile, as what has moved cannot be done again. */
static void add_slices(member *self)
{
    run *r = self->run;
    const nnc_plan *plan = &self->network.plan;
    const size_t n = r->fitting->net->n_params, members = nnc_team_size(self->team);
    const size_t share = nnc_ceil_div(nnc_ceil_div(n, plan->lanes), members) * plan->lanes;
    const size_t start = nnc_min(self->rank * share, n), count = nnc_min(share, n - start);
    const void *parts = nnc_at(plan, r->slices.grads, start);
    if (r->direct)
        plan->kernels->descend(nnc_at(plan, self->next, start), nnc_at(plan, self->params, start),
                               parts, plan->n_slices, n, rate_of(self) / divisor_of(self), count);
    else
        plan->kernels->add_slices(nnc_at(plan, r->grads, start), parts, plan->n_slices, n, count);
    nnc_team_barrier(self->team, NULL, NULL);
}

static bool whole_phase(member *self, nnc_phase phase, bool (*work)(void *))
{
    run *r = self->run;
    return nnc_whole_phase(&r->phases, phase, self->team, self->rank, r->pacers, work, self);
}

/* What rank 0 does with the losses of a batch. */
static void gather_losses(member *self)
{
    run *r = self->run;
    const nnc_batch *b = &self->batch;
    if (r->sliced) {
        r->loss += nnc_sum_slices(&self->network.plan, r->slices.costs);
        if (r->accuracy) r->hits += nnc_sum_slices(&self->network.plan, r->slices.hits);
    }
    for (size_t p = 0; !r->sliced && p < nnc_batch_panels(b); p++) {
        r->loss += b->costs[p];
        if (r->accuracy) r->hits += b->hits[p];
    }
    r->weight += weight_of(self);
    size_t *bad = r->fitting->bad_batch;
    if (bad && *bad == SIZE_MAX && !isfinite(r->loss)) *bad = self->start / r->fitting->batch;
}

/* One step; false where it broke off, with the parameters untouched. Rank 0 rewinds each
 * phase in the other. */
static bool step(member *self)
{
    run *r = self->run;
    bool first = self->rank == 0;
    if (!whole_phase(self, NNC_PANELS, r->sliced ? slice_phase : panel_phase)) return false;
    if (first) {
        nnc_rewind_phase(&r->phases, NNC_PANELS);
        nnc_descent_begin(&r->descent, rate_of(self), 1 / divisor_of(self));
        gather_losses(self);
    }
    if (r->sliced) add_slices(self);
    if (self->batch.wide && !whole_phase(self, NNC_WEIGHTS, weight_phase)) return false;
    if (first) nnc_rewind_phase(&r->phases, NNC_WEIGHTS);
    if (first && self->batch.coupled)
        nnc_move_moments(&self->batch, r->fitting->stepper, self->next, self->params);
    if (!r->direct)
        nnc_descent_step(&r->descent, self->team, self->rank, self->next, self->params, r->grads);
    if (first) {
        r->penalty += nnc_descent_penalty(&r->descent);
        r->fitting->stepper->steps++;
    }
    self->batch.step++; /* its own: others may be ahead of rank 0 */
    self->params = self->next;
    return true;
}

/* ------------------------------------------------------------------------------ epochs */

/* Elements of parameters and what lies behind them. */
static size_t block_of(const nnc_net *net)
{
    return net->n_params + net->n_state;
}

/* False where the monitor stops it before its first step. */
static bool begin_epoch(run *r, size_t epoch)
{
    const nnc_fitting *f = r->fitting;
    const size_t n = block_of(f->net);
    r->loss = r->hits = r->weight = r->penalty = 0;
    if (f->bad_batch) *f->bad_batch = SIZE_MAX;
    if (r->fused || f->data.m == 0) {
        memcpy(r->blocks[(epoch + 1) % 3], r->blocks[epoch % 3], n * r->batch.item);
        if (!nnc_pacer_tick(&r->pacers[0], n)) return false;
    }
    return !r->deck || nnc_deck_shuffle(r->deck, f->first_epoch + epoch + 1, &r->pacers[0]);
}

/* Where it diverged, r->params are those at the start of the last epoch recorded. */
static nnc_status end_epoch(run *r, size_t epoch)
{
    const nnc_fitting *f = r->fitting;
    const nnc_net *net = f->net;
    size_t n_out = net->layers[net->n_layers - 1].n_out, bad;
    double cost = r->loss / nnc_loss_divisor(f->loss, r->weight, n_out);
    if (f->data.m > 0) cost += r->penalty / (double)nnc_ceil_div(f->data.m, f->batch);
    double accuracy = r->accuracy ? r->hits / r->weight : NAN;
    if (r->weight != 0 && !isfinite(cost)) {
        void *first = f->before ? f->before : r->blocks[0];
        r->params = epoch > 0 ? r->blocks[(epoch - 1) % 3] : first;
        return NNC_DIVERGED;
    }
    r->cost[epoch] = cost;
    if (r->accuracy) r->accuracy[epoch] = accuracy;
    r->done = epoch + 1;
    r->batch.kernels->first_nonfinite(&bad, r->params, block_of(net));
    if (bad < block_of(net)) {
        r->params = r->blocks[epoch % 3];
        return NNC_DIVERGED;
    }
    r->pacers[0].epoch = epoch + 1;
    r->pacers[0].cost = cost;
    nnc_pacer_report(&r->pacers[0], &f->monitor, epoch, cost, accuracy, r->params);
    return r->pacers[0].status;
}

static void set_size(member *self, size_t n)
{
    self->batch.n = n;
    if (self->run->sliced && n != self->network.plan.m)
        (void)nnc_plan_slices(&self->network, self->run->fitting->dtype, n); /* it is smaller */
}

static void run_epochs(void *context, nnc_team *team, size_t rank)
{
    run *r = context;
    const nnc_fitting *f = r->fitting;
    member self = {
        .run = r, .team = team, .rank = rank, .batch = r->batch, .network = r->slices.network};
    for (size_t epoch = r->done; epoch < f->epochs; epoch++) {
        if (rank == 0) {
            r->begun = begin_epoch(r, epoch);
            nnc_team_lost_members(team); /* in a callback of begin_epoch */
        }
        nnc_team_barrier(team, NULL, NULL);
        bool whole = r->begun;
        self.epoch = epoch;
        self.next = r->blocks[(epoch + 1) % 3];
        self.params = r->fused || f->data.m == 0 ? self.next : r->blocks[epoch % 3];
        for (size_t start = 0; whole && start < f->data.m; start += self.batch.n) {
            self.start = start;
            set_size(&self, nnc_min(f->batch, f->data.m - start));
            whole = step(&self);
        }
        if (rank == 0) {
            r->params = self.params;
            r->verdict = whole ? end_epoch(r, epoch) : r->pacers[0].status;
            nnc_team_lost_members(team); /* in a callback of end_epoch */
        }
        nnc_team_barrier(team, NULL, NULL);
        if (r->verdict != NNC_OK) return;
    }
}

/* What one kernel does whole epochs of: nothing happens between them, or in another order. */
static bool is_tiny(const run *r)
{
    const nnc_fitting *f = r->fitting;
    return r->sliced && !r->from->long_way && nnc_is_tiny(&r->slices.network) &&
           f->batch >= f->data.m && !f->shuffle && !f->rates && !f->outputs && !f->data.weights &&
           f->data.smoothing == 0 && r->direct;
}

/* The epochs of a tiny network, up to some that diverge or that the monitor wants no more:
 * run_epochs goes on from there. */
static void run_tiny(run *r)
{
    const nnc_fitting *f = r->fitting;
    const nnc_network_plan *network = &r->slices.network;
    const nnc_monitor *monitor = &f->monitor;
    const size_t bytes = f->net->n_params * r->batch.item;
    nnc_slice_place place = {.network = network};
    if (r->done < f->epochs) nnc_load_slice(&r->slices, &place, &f->data);
    while (r->done < f->epochs) {
        double now[NNC_TINY_PARAMS], before[NNC_TINY_PARAMS]; /* of either dtype */
        size_t epoch = r->done, n = nnc_min(f->epochs - epoch, NNC_TINY_EPOCHS);
        if (monitor->at_epoch && monitor->every)
            n = nnc_min(n, (monitor->every - epoch % monitor->every) % monitor->every + 1);
        double *cost = r->cost + epoch, *accuracy = r->accuracy ? r->accuracy + epoch : NULL;
        memcpy(now, r->params, bytes);
        if (!nnc_pacer_tick(&r->pacers[0], n * TINY_WORK) ||
            !nnc_tiny_epochs(network, r->slices.xs, r->slices.ys, now, before,
                             f->stepper->learning_rate, n, cost, accuracy))
            return;
        r->done += n;
        f->stepper->steps += n;
        r->params = memcpy(r->blocks[r->done % 3], now, bytes);
        memcpy(r->blocks[(r->done - 1) % 3], before, bytes);
        r->pacers[0].epoch = r->done;
        r->pacers[0].cost = cost[n - 1];
        nnc_pacer_report(&r->pacers[0], monitor, r->done - 1, cost[n - 1],
                         accuracy ? accuracy[n - 1] : NAN, r->params);
    }
    r->verdict = r->pacers[0].status;
}

/* ------------------------------------------------------------------------------ memory */

static void lay_out_panels(run *r, nnc_arena *arena, size_t n_threads)
{
    const nnc_fitting *f = r->fitting;
    const size_t samples = nnc_min(f->batch, f->data.m);
    nnc_batch_lay_out(&r->batch, arena, f->net, f->dtype, samples, n_threads);
    nnc_batch_judge(&r->batch, f->loss, f->loss_parameter, &f->data);
    size_t pieces =
        nnc_max(r->batch.capacity, r->batch.n_tasks); /* more threads have nothing to do */
    r->n_threads = r->batch.wide ? nnc_max(nnc_min(n_threads, pieces), 1) : 1;
    nnc_custom_lay_out(&r->custom, arena, f->custom, &r->batch, samples);
}

static void lay_out_slices(run *r, nnc_arena *arena, size_t n_threads)
{
    const nnc_fitting *f = r->fitting;
    r->batch = (nnc_batch){.net = f->net, .dtype = f->dtype, .kernels = nnc_kernels_for(f->dtype)};
    r->batch.item = nnc_dtype_size(f->dtype);
    r->n_threads = nnc_slice_threads(&r->slices.network, n_threads);
    nnc_slices_lay_out(&r->slices, arena, &r->slices.network, r->n_threads);
}

static void lay_out(run *r, nnc_arena *arena)
{
    const nnc_fitting *f = r->fitting;
    size_t n_params = f->net->n_params, item = nnc_dtype_size(f->dtype);
    size_t n_threads = nnc_max(nnc_min(f->n_threads, NNC_MAX_THREADS), 1);
    if (r->sliced)
        lay_out_slices(r, arena, n_threads);
    else
        lay_out_panels(r, arena, n_threads);
    r->batch.seed = f->seed;
    r->batch.step = f->stepper->steps;
    nnc_descent_lay_out(&r->descent, arena, f->dtype, n_params, f->stepper);
    r->direct = (r->sliced || !r->batch.wide) && nnc_descent_is_plain(&r->descent);
    r->fused = r->direct && !r->sliced;
    for (int i = 0; i < 3; i++) r->blocks[i] = nnc_arena_piece(arena, block_of(f->net), item, 1);
    r->params = r->blocks[0];
    r->grads = r->direct ? NULL : nnc_arena_piece(arena, n_params, item, 1);
    r->scratch = nnc_arena_piece(arena, r->n_threads, sizeof *r->scratch, 1);
    r->pacers = nnc_arena_piece(arena, r->n_threads, sizeof *r->pacers, 1);
    r->descent.pacer = r->pacers;
    for (size_t rank = 0; rank < r->n_threads; rank++) {
        nnc_panel_scratch scratch; /* in slices only its place for outputs is used */
        nnc_scratch_lay_out(&scratch, arena, &r->batch, f->outputs || f->custom);
        if (!arena->block) continue;
        r->pacers[rank] = (nnc_pacer){.hurry = &r->hurry};
        r->calm = (nnc_pacer){.hurry = &r->never};
        scratch.pacer = r->batch.wide ? &r->pacers[rank] : &r->calm;
        r->scratch[rank] = scratch;
    }
}

/* By which way batches go. */
static nnc_status choose_way(run *r)
{
    const nnc_fitting *f = r->fitting;
    nnc_network_plan *network = &r->slices.network;
    *network = (nnc_network_plan){.net = f->net,
                                  .loss = f->loss,
                                  .loss_parameter = f->loss_parameter,
                                  .weighted = f->data.weights != NULL,
                                  .smoothed = f->data.smoothing != 0};
    const nnc_layer *last = &f->net->layers[f->net->n_layers - 1];
    network->loss_takes_logits =
        nnc_loss_takes_logits(f->loss, last->activation) || nnc_is_softmax(last->activation);
    nnc_status status = nnc_plan_slices(network, f->dtype, nnc_min(f->batch, f->data.m));
    r->sliced = r->from->in_slices || (!f->custom && nnc_goes_by_slices(network));
    return status;
}

/* The parameters to start from: given, or drawn. False where the monitor stops it. */
static bool start_parameters(run *r, const void *params)
{
    enum { CHUNK = 1 << 16, DRAW_WORK = 64 }; /* a normal costs as much as so many multiply-adds */
    const size_t n = r->fitting->net->n_params, item = r->batch.item;
    if (!r->from->rng) {
        memcpy(r->params, params, block_of(r->fitting->net) * item);
        return true;
    }
    nnc_split chunks = nnc_split_evenly(n, CHUNK);
    while (nnc_split_next(&chunks)) {
        nnc_init(r->fitting->dtype, (char *)r->params + chunks.start * item, r->from->rng,
                 r->from->scale, chunks.length);
        if (!nnc_pacer_tick(&r->pacers[0], chunks.length * DRAW_WORK)) return false;
    }
    return true;
}

nnc_status nnc_fit(const nnc_fitting *fitting, void *params, double *cost, double *accuracy,
                   size_t *done)
{
    const nnc_fit_start from = {0};
    *done = 0;
    nnc_status status = nnc_check_softmax(fitting->net, fitting->loss);
    if (status != NNC_OK) return status;
    return nnc_fit_from(fitting, &from, params, cost, accuracy, done);
}

nnc_status nnc_fit_from(const nnc_fitting *fitting, const nnc_fit_start *from, void *params,
                        double *cost, double *accuracy, size_t *done)
{
    const nnc_net *net = fitting->net;
    size_t size = block_of(net) * nnc_dtype_size(fitting->dtype);
    run r = {.fitting = fitting, .from = from, .cost = cost, .accuracy = accuracy};
    nnc_arena arena = {0};
    nnc_memory own = {0};
    *done = 0;
    nnc_status status = choose_way(&r);
    if (status != NNC_OK) return status;
    lay_out(&r, &arena);
    status = nnc_arena_allocate_in(&arena, fitting->memory);
    if (status == NNC_OK && fitting->shuffle)
        status = nnc_deck_take(&r.deck, fitting->deck ? fitting->deck : &own, fitting->shuffle,
                               fitting->data.m, fitting->first_epoch + 1);
    if (status != NNC_OK) {
        nnc_arena_free(&arena);
        return status;
    }
    lay_out(&r, &arena);
    r.order = r.deck ? r.deck->order : NULL;
    r.pacers[0] = nnc_pacer_begin(&fitting->monitor, &r.hurry);
    const bool started = start_parameters(&r, params);
    if (started && is_tiny(&r)) run_tiny(&r);
    if (!started)
        r.verdict = r.pacers[0].status;
    else if (r.done < fitting->epochs)
        nnc_team_run(r.n_threads, run_epochs, &r);
    nnc_pacer_end(&r.pacers[0]);
    if (started) memcpy(params, r.params, size);
    if (fitting->before && r.done > 0) memcpy(fitting->before, r.blocks[(r.done - 1) % 3], size);
    *done = r.done;
    nnc_arena_free(&arena);
    nnc_memory_free(&own);
    return r.verdict;
}
