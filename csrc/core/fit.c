/* fit.c - gradient descent in batches: nnc_fit.
 *
 * A step on a wide batch has three phases: panels go forward and back; then the gradients by the
 * weights, task by task; then each thread updates its share of the parameters. Between phases there
 * is a barrier. Which thread takes which panel or task is open, as no result depends on it. Other
 * batches belong to one thread, and their gradients are computed on the way back. */
#include <math.h>
#include <string.h>

#include "core/custom.h"
#include "core/deck.h"
#include "core/phases.h"
#include "core/step.h"

typedef struct {
    const nnc_fitting *fitting;
    nnc_batch batch;
    nnc_panel_scratch *scratch; /* one a thread */
    nnc_pacer *pacers;          /* one a thread; that of rank 0 asks */
    nnc_pacer calm;             /* never says stop */
    size_t n_threads;           /* asked for: a team may have fewer */
    bool fused;                 /* the way back updates the parameters: steps are short */
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
    nnc_batch batch;     /* of the step that this thread is at */
    size_t start;        /* its first sample */
    void *params, *next; /* before and after it: one block, but in the first step of an epoch that
                          * is not fused */
} member;

/* What turns a sum of gradients over the batch, which is loaded, into the gradient of the loss. Any
 * number does where all weights are 0. */
static double mean_of(const member *self)
{
    const nnc_net *net = self->batch.net;
    size_t n_out = net->layers[net->n_layers - 1].n_out;
    double weight = nnc_batch_weight(&self->batch);
    return weight == 0 ? 1 : 1 / nnc_loss_divisor(self->batch.loss, weight, n_out);
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
        double rate = r->fused ? rate_of(self) * mean_of(self) : 0;
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

static bool whole_phase(member *self, nnc_phase phase, bool (*work)(void *))
{
    run *r = self->run;
    return nnc_whole_phase(&r->phases, phase, self->team, self->rank, r->pacers, work, self);
}

/* One step; false where it broke off, with the parameters untouched. Rank 0 rewinds each
 * phase in the other. */
static bool step(member *self)
{
    run *r = self->run;
    bool first = self->rank == 0;
    if (!whole_phase(self, NNC_PANELS, panel_phase)) return false;
    if (first) nnc_rewind_phase(&r->phases, NNC_PANELS);
    if (first) nnc_descent_begin(&r->descent, rate_of(self), mean_of(self));
    for (size_t p = 0; first && p < nnc_batch_panels(&self->batch); p++) {
        r->loss += self->batch.costs[p];
        if (r->accuracy) r->hits += self->batch.hits[p];
    }
    if (first) r->weight += nnc_batch_weight(&self->batch);
    size_t *bad = r->fitting->bad_batch;
    if (first && bad && *bad == SIZE_MAX && !isfinite(r->loss))
        *bad = self->start / r->fitting->batch;
    if (self->batch.wide && !whole_phase(self, NNC_WEIGHTS, weight_phase)) return false;
    if (first) nnc_rewind_phase(&r->phases, NNC_WEIGHTS);
    if (first && self->batch.coupled)
        nnc_move_moments(&self->batch, r->fitting->stepper, self->next, self->params);
    if (!r->fused)
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

static void run_epochs(void *context, nnc_team *team, size_t rank)
{
    run *r = context;
    const nnc_fitting *f = r->fitting;
    member self = {.run = r, .team = team, .rank = rank, .batch = r->batch};
    for (size_t epoch = 0; epoch < f->epochs; epoch++) {
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
            self.batch.n = nnc_min(f->batch, f->data.m - start);
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

static void lay_out(run *r, nnc_arena *arena)
{
    const nnc_fitting *f = r->fitting;
    size_t n_params = f->net->n_params, item = nnc_dtype_size(f->dtype);
    size_t n_threads = nnc_max(nnc_min(f->n_threads, NNC_MAX_THREADS), 1);
    nnc_batch_lay_out(&r->batch, arena, f->net, f->dtype, nnc_min(f->batch, f->data.m), n_threads);
    r->batch.seed = f->seed;
    r->batch.step = f->stepper->steps;
    nnc_batch_judge(&r->batch, f->loss, f->loss_parameter, &f->data);
    size_t pieces =
        nnc_max(r->batch.capacity, r->batch.n_tasks); /* more threads have nothing to do */
    r->n_threads = r->batch.wide ? nnc_max(nnc_min(n_threads, pieces), 1) : 1;
    nnc_custom_lay_out(&r->custom, arena, f->custom, &r->batch, nnc_min(f->batch, f->data.m));
    nnc_descent_lay_out(&r->descent, arena, f->dtype, n_params, f->stepper);
    r->fused = !r->batch.wide && nnc_descent_is_plain(&r->descent);
    for (int i = 0; i < 3; i++) r->blocks[i] = nnc_arena_piece(arena, block_of(f->net), item, 1);
    r->params = r->blocks[0];
    r->grads = r->fused ? NULL : nnc_arena_piece(arena, n_params, item, 1);
    r->scratch = nnc_arena_piece(arena, r->n_threads, sizeof *r->scratch, 1);
    r->pacers = nnc_arena_piece(arena, r->n_threads, sizeof *r->pacers, 1);
    r->descent.pacer = r->pacers;
    for (size_t rank = 0; rank < r->n_threads; rank++) {
        nnc_panel_scratch scratch;
        nnc_scratch_lay_out(&scratch, arena, &r->batch, f->outputs || f->custom);
        if (!arena->block) continue;
        r->pacers[rank] = (nnc_pacer){.hurry = &r->hurry};
        r->calm = (nnc_pacer){.hurry = &r->never};
        scratch.pacer = r->batch.wide ? &r->pacers[rank] : &r->calm;
        r->scratch[rank] = scratch;
    }
}

nnc_status nnc_fit(const nnc_fitting *fitting, void *params, double *cost, double *accuracy,
                   size_t *done)
{
    const nnc_net *net = fitting->net;
    size_t size = block_of(net) * nnc_dtype_size(fitting->dtype);
    run r = {.fitting = fitting, .cost = cost, .accuracy = accuracy};
    nnc_arena arena = {0};
    nnc_memory own = {0};
    *done = 0;
    nnc_status status = nnc_check_softmax(net, fitting->loss);
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
    memcpy(r.params, params, size);
    r.pacers[0] = nnc_pacer_begin(&fitting->monitor, &r.hurry);
    nnc_team_run(r.n_threads, run_epochs, &r);
    nnc_pacer_end(&r.pacers[0]);
    memcpy(params, r.params, size);
    if (fitting->before && r.done > 0) memcpy(fitting->before, r.blocks[(r.done - 1) % 3], size);
    *done = r.done;
    nnc_arena_free(&arena);
    nnc_memory_free(&own);
    return r.verdict;
}
