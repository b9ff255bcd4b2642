/* step.c - see step.h. */
#include "core/step.h"

#include <math.h>
#include <string.h>

/* Elements whose sums are added up on their own. */
enum { CHUNK = 4096 };

/* Elements after which the monitor may be asked: some milliseconds. A multiple of CHUNK. */
enum { ROUND = 1 << 22 };

void nnc_descent_lay_out(nnc_descent *descent, nnc_arena *arena, nnc_dtype dtype, size_t n,
                         const nnc_stepper *stepper)
{
    nnc_descent d = {.kernels = nnc_kernels_for(dtype),
                     .stepper = stepper,
                     .n = n,
                     .item = nnc_dtype_size(dtype),
                     .slopes = stepper->clip_value != 0 || stepper->clip_norm != 0};
    for (size_t i = 0; i < stepper->n_ranges; i++) {
        const nnc_range *range = &stepper->ranges[i];
        if (range->frozen) continue;
        d.slopes |= range->l1 != 0 || range->l2 != 0;
        d.lengths |= range->max_norm != 0;
    }
    size_t chunks = d.slopes ? nnc_ceil_div(n, CHUNK) : 0;
    d.squares = nnc_arena_piece(arena, chunks, sizeof *d.squares, 1);
    d.penalties = nnc_arena_piece(arena, chunks, sizeof *d.penalties, 1);
    *descent = d;
}

bool nnc_descent_is_plain(const nnc_descent *descent)
{
    const nnc_stepper *s = descent->stepper;
    return s->optimizer == NNC_OPTIMIZER_SGD && s->n_ranges == 0 && !descent->slopes &&
           s->average_decay == 0;
}

void nnc_descent_begin(nnc_descent *descent, double rate, double scale)
{
    descent->rate = rate;
    descent->scale = scale;
}

/* ------------------------------------------------------------------------------- numbers */

/* base^n by squaring: libm's pow differs between CPUs. */
static double power(double base, uint64_t n)
{
    double result = 1;
    for (; n > 0; n /= 2, base *= base)
        if (n % 2) result *= base;
    return result;
}

/* u(t) of nadam. */
static double nadam_momentum(double beta_1, uint64_t t)
{
    const double root = 0.9998367253526753; /* 0.96^0.004 */
    return beta_1 * (1 - 0.5 * power(root, t));
}

/* 1 - u(1) … u(t). The first factors are hardly more than a half, so that those after the 64th
 * change no bit, and nothing has to be remembered. */
static double nadam_rest(double beta_1, uint64_t t)
{
    double product = 1;
    for (uint64_t i = 1; i <= t && i <= 64; i++) product *= nadam_momentum(beta_1, i);
    return 1 - product;
}

/* Of a step along `scale` times the gradients. */
static nnc_step numbers_of(const nnc_descent *d, double scale)
{
    const nnc_stepper *s = d->stepper;
    const uint64_t t = s->steps + 1;
    nnc_step step = {.scale = scale,
                     .rate = d->rate,
                     .beta_1 = s->beta_1,
                     .beta_2 = s->beta_2,
                     .epsilon = s->epsilon,
                     .momentum = s->momentum,
                     .rho = s->rho};
    switch (s->optimizer) {
        case NNC_OPTIMIZER_SGD: /* as the way back does it */
            step.rate *= scale;
            step.scale = 1;
            break;
        case NNC_OPTIMIZER_ADAM:
        case NNC_OPTIMIZER_AMSGRAD:
            step.rate /= 1 - power(s->beta_1, t);
            step.correction = 1 / sqrt(1 - power(s->beta_2, t));
            break;
        case NNC_OPTIMIZER_NADAM:
            step.ahead = d->rate * (1 - nadam_momentum(s->beta_1, t)) / nadam_rest(s->beta_1, t);
            step.rate *= nadam_momentum(s->beta_1, t + 1) / nadam_rest(s->beta_1, t + 1);
            step.correction = 1 / sqrt(1 - power(s->beta_2, t));
            break;
        default:
            break;
    }
    return step;
}

static double sum_chunks(const nnc_descent *d, const double *parts)
{
    double sum = 0;
    for (size_t i = 0; i < nnc_ceil_div(d->n, CHUNK); i++) sum += parts[i];
    return sum;
}

double nnc_descent_penalty(const nnc_descent *descent)
{
    return descent->slopes ? sum_chunks(descent, descent->penalties) : 0;
}

/* What the gradients are multiplied by, so that they are no longer than clip_norm. */
static double shortening(const nnc_descent *d)
{
    double most = d->stepper->clip_norm;
    if (most == 0) return 1;
    double length = sqrt(sum_chunks(d, d->squares));
    return length > most ? most / length : 1;
}

/* -------------------------------------------------------------------------------- pieces */

/* What one member sees of a step. */
typedef struct {
    const nnc_descent *descent;
    char *next, *grads;
    const char *params;
    nnc_step numbers;
} view;

/* Elements [start, end), all of one range or of none. */
typedef struct {
    size_t start, end;
    const nnc_range *range;
    size_t index; /* of the range, or of the next one */
} piece;

static const nnc_range ordinary;

/* The piece that begins at start: an empty one where end is reached. */
static piece piece_at(const nnc_descent *d, size_t start, size_t end, size_t index)
{
    const nnc_stepper *s = d->stepper;
    while (index < s->n_ranges && s->ranges[index].start + s->ranges[index].n <= start) index++;
    piece p = {start, end, &ordinary, index};
    if (index == s->n_ranges) return p;
    const nnc_range *range = &s->ranges[index];
    if (start < range->start) {
        p.end = nnc_min(end, range->start);
    } else {
        p.end = nnc_min(end, range->start + range->n);
        p.range = range;
    }
    return p;
}

static piece first_piece(const nnc_descent *d, size_t start, size_t end)
{
    return piece_at(d, start, end, 0);
}

static piece next_piece(const nnc_descent *d, piece p, size_t end)
{
    return piece_at(d, p.end, end, p.index);
}

/* ------------------------------------------------------------------------------- a share */

/* The gradients of some whole chunks, as the ranges and clip_value will have them. */
static void change_gradients(const view *v, size_t start, size_t end)
{
    const nnc_descent *d = v->descent;
    const double clip = d->stepper->clip_value;
    for (size_t chunk = start / CHUNK; start < end; chunk++, start += CHUNK) {
        d->squares[chunk] = d->penalties[chunk] = 0;
        const size_t last = nnc_min(start + CHUNK, end);
        for (piece p = first_piece(d, start, last); p.start < p.end; p = next_piece(d, p, last)) {
            if (p.range->frozen) continue;
            nnc_slope slope = {.scale = d->scale,
                               .l1 = p.range->l1,
                               .l2 = p.range->l2,
                               .most = clip != 0 ? clip : INFINITY};
            d->kernels->regularize(&d->squares[chunk], &d->penalties[chunk],
                                   v->grads + p.start * d->item, v->params + p.start * d->item,
                                   &slope, p.end - p.start);
        }
    }
}

/* Some parameters of one range, at most a chunk of them where they decay. */
static void move_elements(const view *v, const nnc_range *range, size_t start, size_t n)
{
    const nnc_descent *d = v->descent;
    const size_t offset = start * d->item;
    const void *params = v->params + offset;
    char *next = v->next + offset, *state = d->stepper->state;
    if (range->decay != 0) {
        d->kernels->scale(next, params, 1 - d->rate * range->decay, n);
        params = next;
    }
    d->kernels->step[d->stepper->optimizer](next, params, state ? state + offset : NULL, d->n,
                                            v->grads + offset, &v->numbers, n);
}

static void move(const view *v, size_t start, size_t end)
{
    const nnc_descent *d = v->descent;
    for (piece p = first_piece(d, start, end); p.start < p.end; p = next_piece(d, p, end)) {
        const size_t n = p.end - p.start, offset = p.start * d->item;
        if (p.range->frozen) {
            if (v->next != v->params) memcpy(v->next + offset, v->params + offset, n * d->item);
            continue;
        }
        nnc_split parts = nnc_split_evenly(n, p.range->decay != 0 ? CHUNK : n);
        while (nnc_split_next(&parts))
            move_elements(v, p.range, p.start + parts.start, parts.length);
    }
}

/* The rows that begin in [start, end) get no longer than their range's max_norm. */
static void shorten_rows(const view *v, size_t start, size_t end)
{
    const nnc_descent *d = v->descent;
    for (piece p = first_piece(d, start, end); p.start < p.end; p = next_piece(d, p, end)) {
        const nnc_range *range = p.range;
        if (range->frozen || range->max_norm == 0) continue;
        size_t row = nnc_ceil_div(p.start - range->start, range->row_length) * range->row_length;
        for (; range->start + row < p.end; row += range->row_length) {
            void *x = v->next + (range->start + row) * d->item;
            double squares;
            d->kernels->squares(&squares, x, range->row_length);
            double length = sqrt(squares);
            if (length > range->max_norm)
                d->kernels->scale(x, x, range->max_norm / length, range->row_length);
        }
    }
}

static void follow(const view *v, size_t start, size_t end)
{
    const nnc_descent *d = v->descent;
    d->kernels->average((char *)d->stepper->average + start * d->item, v->next + start * d->item,
                        d->stepper->average_decay, end - start);
}

/* ------------------------------------------------------------------------------ the team */

/* work on all parameters; each member does its share, of whole chunks or cache lines. Between
 * rounds, while nobody is at work, the monitor may be asked: a child that a callback forked has
 * lost the other members, but none of their work. */
static void in_rounds(const view *v, nnc_team *team, size_t rank, bool chunks,
                      void (*work)(const view *v, size_t start, size_t end))
{
    const nnc_descent *d = v->descent;
    const size_t unit = chunks ? CHUNK : NNC_LINE / d->item;
    for (size_t start = 0; start < d->n; start += ROUND) {
        size_t n = nnc_min(d->n - start, ROUND);
        size_t share = nnc_ceil_div(nnc_ceil_div(n, unit), nnc_team_size(team)) * unit;
        size_t first = nnc_min(rank * share, n), end = nnc_min(first + share, n);
        work(v, start + first, start + end);
        nnc_team_barrier(team, NULL, NULL);
        if (d->n <= ROUND) return;
        if (rank == 0) {
            nnc_pacer_tick(d->pacer, n);
            nnc_team_lost_members(team);
        }
        nnc_team_barrier(team, NULL, NULL);
    }
}

void nnc_descent_step(const nnc_descent *descent, nnc_team *team, size_t rank, void *next,
                      const void *params, void *grads)
{
    view v = {.descent = descent, .next = next, .params = params, .grads = grads};
    if (descent->slopes) in_rounds(&v, team, rank, true, change_gradients);
    v.numbers = numbers_of(descent, descent->slopes ? shortening(descent) : descent->scale);
    in_rounds(&v, team, rank, false, move);
    if (descent->lengths) in_rounds(&v, team, rank, false, shorten_rows);
    if (descent->stepper->average_decay != 0) in_rounds(&v, team, rank, false, follow);
}
