/* team.c - see team.h. */
#define _GNU_SOURCE 1 /* pthread_sigmask, nanosleep under -std=c11 */
#include "core/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"

enum { MAX_THREADS = 64, STACK_BYTES = 1 << 20 };

struct nnc_team {
    void (*work)(void *context, nnc_team *team, size_t rank);
    void *context;
    size_t size;
    pid_t process;
    atomic_bool ready; /* size is known: members may start */
    atomic_size_t waiting, round;
};

typedef struct {
    nnc_team *team;
    size_t rank;
    pthread_t thread;
} member;

/* A wait's cost grows with its length: spin while the others are likely to arrive at once, then
 * offer the core to them, then sleep. */
enum { SPINS = 2000, YIELDS = 4000 };

static void pause_once(size_t *turns)
{
    ++*turns;
    if (*turns < SPINS) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    } else if (*turns < YIELDS) {
        sched_yield();
    } else {
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}

static void *run_member(void *argument)
{
    member *self = argument;
    for (size_t turns = 0; !atomic_load_explicit(&self->team->ready, memory_order_acquire);)
        pause_once(&turns);
    self->team->work(self->team->context, self->team, self->rank);
    return NULL;
}

void nnc_team_run(size_t n, void (*work)(void *context, nnc_team *team, size_t rank), void *context)
{
    nnc_team team = {.work = work, .context = context, .size = 1, .process = getpid()};
    member members[MAX_THREADS];
    n = nnc_min(n, MAX_THREADS);

    /* Signals are for the caller: members are born with all of them blocked. */
    sigset_t all, before;
    pthread_attr_t attributes;
    if (n > 1 && pthread_attr_init(&attributes) == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        for (; team.size < n; team.size++) {
            member *next = &members[team.size];
            next->team = &team;
            next->rank = team.size;
            if (pthread_create(&next->thread, &attributes, run_member, next) != 0) break;
        }
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    atomic_store_explicit(&team.ready, true, memory_order_release);
    work(context, &team, 0);
    for (size_t rank = 1; rank < team.size; rank++) pthread_join(members[rank].thread, NULL);
}

size_t nnc_team_size(const nnc_team *team)
{
    return team->size;
}

bool nnc_team_lost_members(nnc_team *team)
{
    if (team->size == 1 || getpid() == team->process) return false;
    team->size = 1;
    return true;
}

void nnc_team_barrier(nnc_team *team, void (*idle)(void *context), void *context)
{
    if (team->size == 1) return;
    size_t round = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team->waiting, 1, memory_order_acq_rel) + 1 == team->size) {
        atomic_store_explicit(&team->waiting, 0, memory_order_relaxed);
        atomic_store_explicit(&team->round, round + 1, memory_order_release);
        return;
    }
    for (size_t turns = 0; atomic_load_explicit(&team->round, memory_order_acquire) == round;) {
        pause_once(&turns);
        if (!idle || turns <= SPINS) continue;
        idle(context);
        if (getpid() != team->process) return; /* nobody else will come */
    }
}
