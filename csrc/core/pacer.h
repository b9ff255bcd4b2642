/* pacer.h - when the monitor is asked whether to go on. */
#ifndef NNC_CORE_PACER_H
#define NNC_CORE_PACER_H

#include <stdatomic.h>

#include "core/base.h"
#include "core/fpmode.h"
#include "nnc.h"

/* Counts work, and asks the monitor about every 30 ms whether to go on. Each thread has one; that
 * of rank 0 asks, the others only look at the answer. */
typedef struct {
    const nnc_monitor *monitor; /* NULL: never asks */
    atomic_bool *hurry;         /* shared: the monitor wants to stop */
    nnc_fpmode caller;          /* the mode in which callbacks run */
    double next;                /* seconds: when to ask again */
    size_t pending;             /* multiply-adds since the clock was read */
    size_t epoch;
    double cost;
    nnc_status status;
} nnc_pacer;

/* The pacer of rank 0, in the floating-point mode of results. nnc_pacer_end restores the caller's
 * mode. */
nnc_pacer nnc_pacer_begin(const nnc_monitor *monitor, atomic_bool *hurry);
void nnc_pacer_end(nnc_pacer *pacer);

/* After `work` multiply-adds: false where the monitor wants to stop; status of rank 0 says why. */
bool nnc_pacer_tick(nnc_pacer *pacer, size_t work);

/* Asks the monitor where it is time to: for waits. context is the pacer of rank 0. */
void nnc_pacer_poll(void *context);

/* Calls at_epoch where it is due. A monitor that already wants to stop is asked nothing more. */
void nnc_pacer_report(nnc_pacer *pacer, const nnc_monitor *monitor, size_t epoch, double cost,
                      double accuracy, void *params);

/* n steps of `work` multiply-adds each, cut so that a kernel call lasts some milliseconds at most,
 * but has at least `least` steps: fewer would not fill its registers. */
static inline nnc_split nnc_chunks(size_t n, size_t work, size_t least)
{
    const size_t most = (size_t)1 << 24;
    if (n * work <= most) return nnc_split_evenly(n, n);
    return nnc_split_evenly(n, nnc_max(most / work, least));
}

#endif
