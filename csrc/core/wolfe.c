/* wolfe.c - a line search for the strong Wolfe conditions: Nocedal and Wright, "Numerical
 * optimization" (2006), algorithms 3.5 and 3.6.
 *
 * Three things are taken from others. Steps are minimizers of cubics, kept away from the ends of
 * their intervals as by Moré and Thuente (1994). An interval that shrinks too slowly is halved, as
 * there. And near a minimum, where costs differ by their rounding only, slopes decide: the
 * approximate Wolfe conditions of Hager and Zhang (2005). */
#include <math.h>

#include "core/objective.h"

/* Enough decrease, little enough slope; the slope that counts as decrease among equal costs. */
static const double enough = 1e-4, little = 0.9, approximate = 0.1;

/* Points that one search looks at. */
enum { MOST_POINTS = 40 };

typedef struct {
    nnc_search *descent;
    nnc_lbfgs *work;
    nnc_ray_point start;
    double noise; /* costs that differ by less are equal */
    size_t points;
    bool stopped; /* by the monitor */
} search;

/* The point at so long a step, in next and next_gradient; false where the search must end. */
static bool look(search *self, double step, nnc_ray_point *point)
{
    nnc_search *d = self->descent;
    if (self->points++ == MOST_POINTS || nnc_search_spent(d)) return false;
    if (!nnc_search_step(d, step, self->work->direction)) return false;
    self->stopped = !nnc_search_evaluate(d, d->next, &point->cost, d->next_gradient);
    point->step = step;
    point->slope =
        nnc_dot(d->next_gradient, self->work->direction, d->objective.problem->net->n_params);
    if (!isfinite(point->slope)) point->cost = INFINITY;
    return !self->stopped;
}

static bool is_low(const search *self, const nnc_ray_point *p)
{
    const nnc_ray_point *start = &self->start;
    if (p->cost <= start->cost + enough * p->step * start->slope) return true;
    return p->cost <= self->descent->lowest + self->noise &&
           p->slope <= (2 * approximate - 1) * start->slope;
}

static bool is_flat(const search *self, const nnc_ray_point *p)
{
    return fabs(p->slope) <= -little * self->start.slope;
}

/* The point just looked at becomes the one to fall back on. */
static void keep_low(search *self)
{
    nnc_search *d = self->descent;
    nnc_lbfgs *w = self->work;
    double *x = d->next, *gradient = d->next_gradient;
    d->next = w->low, w->low = x;
    d->next_gradient = w->low_gradient, w->low_gradient = gradient;
}

/* The step at the minimum of the cubic through two points with their slopes; NaN where it has none.
 */
static double cubic_step(const nnc_ray_point *a, const nnc_ray_point *b)
{
    double width = b->step - a->step;
    double d = a->slope + b->slope - 3 * (b->cost - a->cost) / width;
    double square = d * d - a->slope * b->slope;
    if (!(square >= 0)) return NAN;
    double root = width > 0 ? sqrt(square) : -sqrt(square);
    return b->step - width * ((b->slope + root - d) / (b->slope - a->slope + 2 * root));
}

/* x, or the nearer of two ends, whichever is the larger. */
static double within(double x, double end, double other)
{
    double least = end < other ? end : other, most = end < other ? other : end;
    return x < least ? least : x > most ? most : x;
}

/* Algorithm 3.6: low is low, and kept unless it is the start; the slope there points to high. */
static nnc_search_end zoom(search *self, nnc_ray_point low, nnc_ray_point high,
                           nnc_ray_point *found)
{
    double before = INFINITY, last = INFINITY; /* widths */
    nnc_ray_point p;
    for (;;) {
        double width = high.step - low.step, step = cubic_step(&low, &high);
        bool slow = fabs(width) > 0.66 * before;
        if (isnan(step) || slow) step = low.step + width / 2;
        step = within(step, low.step + 0.1 * width, high.step - 0.1 * width);
        before = last;
        last = fabs(width);
        if (!look(self, step, &p)) break;
        bool good = is_low(self, &p);
        if (good && is_flat(self, &p)) {
            *found = p;
            return NNC_SEARCH_FOUND;
        }
        if (!good || p.cost >= low.cost) {
            high = p;
            continue;
        }
        if (p.slope * width >= 0) high = low;
        low = p;
        keep_low(self);
    }
    if (self->stopped) return NNC_SEARCH_STOPPED;
    if (low.step == 0) return NNC_SEARCH_FAILED;
    keep_low(self); /* takes it back */
    *found = low;
    return NNC_SEARCH_FOUND;
}

/* Algorithm 3.5. */
nnc_search_end nnc_line_search(nnc_search *descent, nnc_lbfgs *work, double first,
                               nnc_ray_point *found)
{
    size_t n = descent->objective.problem->net->n_params;
    double epsilon = descent->objective.batch.dtype == NNC_F32 ? 0x1p-23 : 0x1p-52;
    search self = {.descent = descent,
                   .work = work,
                   .start.cost = descent->cost,
                   .start.slope = nnc_dot(descent->gradient, work->direction, n),
                   .noise = 8 * epsilon * fabs(descent->lowest)};
    nnc_ray_point before = self.start, p;
    double step = first;
    while (look(&self, step, &p)) {
        bool good = is_low(&self, &p);
        if (good && is_flat(&self, &p)) {
            *found = p;
            return NNC_SEARCH_FOUND;
        }
        if (!good || (before.step > 0 && p.cost >= before.cost))
            return zoom(&self, before, p, found);
        keep_low(&self);
        if (p.slope >= 0) return zoom(&self, p, before, found);
        double least = p.step + 1.1 * (p.step - before.step);
        double most = p.step + 4 * (p.step - before.step);
        step = cubic_step(&before, &p);
        step = step > p.step ? within(step, least, most) : most;
        before = p;
    }
    if (self.stopped) return NNC_SEARCH_STOPPED;
    if (before.step == 0) return NNC_SEARCH_FAILED;
    keep_low(&self);
    *found = before;
    return NNC_SEARCH_FOUND;
}
