/* pacer.c - see pacer.h. */
#define _GNU_SOURCE 1 /* clock_gettime under -std=c11 */
#include "core/pacer.h"

#include <time.h>

/* Seconds between questions to the monitor, and multiply-adds between looks at the clock. */
#define POLL_SECONDS 0.03 /* Ctrl-C must be felt within 100 ms, freeing memory included */
enum { CLOCK_WORK = 1 << 21 };

/* What a kernel call costs besides its multiply-adds, in multiply-adds. */
enum { CALL_WORK = 1 << 10 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

nnc_pacer nnc_pacer_begin(const nnc_monitor *monitor, atomic_bool *hurry)
{
    return (nnc_pacer){.monitor = monitor->poll ? monitor : NULL,
                       .hurry = hurry,
                       .caller = nnc_fpmode_enter(),
                       .next = monitor->poll ? seconds() + POLL_SECONDS : 0};
}

void nnc_pacer_end(nnc_pacer *pacer)
{
    nnc_fpmode_leave(pacer->caller);
}

void nnc_pacer_poll(void *context)
{
    nnc_pacer *pacer = context;
    double now = seconds();
    if (now < pacer->next || atomic_load(pacer->hurry)) return;
    nnc_fpmode_leave(pacer->caller);
    pacer->status = pacer->monitor->poll(pacer->monitor->context, pacer->epoch, pacer->cost);
    pacer->caller = nnc_fpmode_enter();
    pacer->next = seconds() + POLL_SECONDS;
    if (pacer->status != NNC_OK) atomic_store(pacer->hurry, true);
}

bool nnc_pacer_tick(nnc_pacer *pacer, size_t work)
{
    pacer->pending += work + CALL_WORK;
    if (pacer->monitor && pacer->pending >= CLOCK_WORK) {
        pacer->pending = 0;
        nnc_pacer_poll(pacer);
    }
    return !atomic_load_explicit(pacer->hurry, memory_order_relaxed);
}

void nnc_pacer_report(nnc_pacer *pacer, const nnc_monitor *monitor, size_t epoch, double cost,
                      double accuracy, void *params)
{
    if (!monitor->at_epoch || !monitor->every || epoch % monitor->every != 0) return;
    if (pacer->status != NNC_OK) return;
    nnc_fpmode_leave(pacer->caller);
    pacer->status = monitor->at_epoch(monitor->context, epoch, cost, accuracy, params);
    pacer->caller = nnc_fpmode_enter();
    if (pacer->status != NNC_OK) atomic_store(pacer->hurry, true);
}
