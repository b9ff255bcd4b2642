/* team.c - see team.h.
 *
 * A worker waits for its mailbox to hold a team, works as the rank that is its place in the pool,
 * and counts itself out of the team. Who waits spins for a while, then sleeps. Where threads
 * outnumber cores nobody spins: who is waited for may need the core. */
#define _GNU_SOURCE 1 /* sched_getaffinity, pthread_setaffinity_np, pthread_setname_np */
#include "core/team.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "core/base.h"
#include "core/budget.h"
#include "core/fpmode.h"
#include "nnc.h"

enum { STACK_BYTES = 1 << 20 };

struct nnc_team {
    void (*work)(void *context, nnc_team *team, size_t rank);
    void *context;
    size_t size;
    size_t generation; /* of the pool, when the call began */
    size_t cores;      /* that the team may run on */
    atomic_size_t waiting, round;
    atomic_size_t running; /* workers that have not returned */
};

typedef struct {
    _Alignas(NNC_LINE) _Atomic(nnc_team *) mail; /* what to work on next; NULL: nothing yet */
    atomic_bool asleep;
    bool spins; /* first, while it waits: the next call may follow at once */
    size_t rank;
    pthread_t thread;
    pthread_cond_t wake;
} worker;

/* Belongs to whoever made `busy` true, but for the counts of callers and nappers, the lock and the
 * gate, and the mailboxes. */
static struct {
    atomic_bool busy;
    atomic_bool watches_forks; /* reset_child is registered */
    atomic_size_t callers;     /* calls under way, with a team or alone */
    size_t generation;         /* the number of forks between the first process and this one */
    size_t cores;
    size_t n_workers;
    bool has_locks;
    pthread_mutex_t lock;  /* of all who fall asleep */
    pthread_cond_t gate;   /* of members who wait for others */
    atomic_size_t nappers; /* before the gate */
#if defined(__linux__)
    cpu_set_t cpus; /* where the workers may run */
#endif
    nnc_team farewell; /* in a mailbox: end */
    worker workers[NNC_MAX_THREADS - 1];
} pool;

/* ----------------------------------------------------------------------------------- waiting */

/* Spinning lasts about as long as it takes to fall asleep and be woken, some 30 us: whichever would
 * have been right, the wait costs at most twice as much. Yielding is for crowds only: beside
 * another busy process it costs a whole time slice, where a sleeper gets its core back at once. */
enum { SPINS = 1000, YIELDS = 100, NAP_MS = 10 };

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Whether this process alone has more threads at work than the team has cores. */
static bool is_crowded(const nnc_team *team)
{
    size_t callers = atomic_load_explicit(&pool.callers, memory_order_relaxed);
    return callers + team->size - 1 > team->cores;
}

/* Sleeps until open_gate, or NAP_MS, unless the counter is no longer `old`. */
static void nap(const atomic_size_t *counter, size_t old)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_nsec += NAP_MS * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.nappers, 1);
    if (atomic_load(counter) == old) pthread_cond_timedwait(&pool.gate, &pool.lock, &end);
    atomic_fetch_sub(&pool.nappers, 1);
    pthread_mutex_unlock(&pool.lock);
}

/* One turn of a member's wait until the counter is no longer `old`. */
static void wait_for_members(const nnc_team *team, const atomic_size_t *counter, size_t old,
                             size_t *turns)
{
    if (*turns == 0 && is_crowded(team)) *turns = SPINS;
    if (++*turns <= SPINS)
        relax();
    else if (*turns <= SPINS + YIELDS && is_crowded(team))
        sched_yield();
    else
        nap(counter, old);
}

/* After the counter that members may wait for has changed. */
static void open_gate(void)
{
    if (atomic_load(&pool.nappers) == 0) return;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_broadcast(&pool.gate);
    pthread_mutex_unlock(&pool.lock);
}

/* ----------------------------------------------------------------------------------- workers */

static void send(worker *to, nnc_team *team)
{
    atomic_store(&to->mail, team);
    if (!atomic_load(&to->asleep)) return; /* it looks once more before it sleeps */
    pthread_mutex_lock(&pool.lock);
    pthread_cond_signal(&to->wake);
    pthread_mutex_unlock(&pool.lock);
}

static nnc_team *receive(worker *self)
{
    nnc_team *team;
    size_t turns = self->spins ? 0 : SPINS;
    while (!(team = atomic_load_explicit(&self->mail, memory_order_acquire)) && turns++ < SPINS)
        relax();
    if (!team) {
        pthread_mutex_lock(&pool.lock);
        atomic_store(&self->asleep, true);
        while (!(team = atomic_load(&self->mail))) pthread_cond_wait(&self->wake, &pool.lock);
        atomic_store(&self->asleep, false);
        pthread_mutex_unlock(&pool.lock);
    }
    atomic_store_explicit(&self->mail, NULL, memory_order_relaxed);
    return team;
}

static void *serve(void *argument)
{
    worker *self = argument;
    nnc_fpmode_enter(); /* the creator may have been in another one */
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "nnc worker");
#endif
    for (nnc_team *team; (team = receive(self)) != &pool.farewell;) {
        team->work(team->context, team, self->rank);
        self->spins = team->size <= team->cores;
        if (atomic_fetch_sub(&team->running, 1) == 1) open_gate();
    }
    return NULL;
}

/* The workers move to where the caller may run. Returns the number of cores there. */
static size_t follow_caller(void)
{
#if defined(__linux__)
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) CPU_ZERO(&cpus);
    if (pool.cores > 0 && CPU_EQUAL(&cpus, &pool.cpus)) return pool.cores;
    for (size_t i = 0; i < pool.n_workers; i++)
        pthread_setaffinity_np(pool.workers[i].thread, sizeof cpus, &cpus);
    pool.cpus = cpus;
#endif
    pool.cores = nnc_usable_cpus();
    return pool.cores;
}

/* The number of workers, n at most, after an attempt to have n. */
static size_t hire(size_t n)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    if (pool.n_workers < n && pthread_attr_init(&attributes) == 0) {
        /* Signals are for the caller: workers are born with all of them blocked. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        for (; pool.n_workers < n; pool.n_workers++) {
            worker *next = &pool.workers[pool.n_workers];
            next->rank = pool.n_workers + 1;
            next->spins = true;
            atomic_store(&next->mail, NULL);
            atomic_store(&next->asleep, false);
            pthread_cond_init(&next->wake, NULL);
            if (pthread_create(&next->thread, &attributes, serve, next) != 0) break;
        }
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return nnc_min(pool.n_workers, n);
}

/* -------------------------------------------------------------------------------------- pool */

static void make_locks(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool.gate, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&pool.lock, NULL);
    pool.has_locks = true;
}

/* In a child, just after the fork: its only thread is the one that forked. The others may have
 * been anywhere, so that nothing of the pool is to be trusted. Calls that this thread had under way
 * see that the generation is no longer theirs. */
static void reset_child(void)
{
    pool.generation++;
    pool.n_workers = 0;
    pool.cores = 0;
    make_locks();
    atomic_store(&pool.nappers, 0);
    atomic_store(&pool.callers, 0);
    atomic_store(&pool.busy, false);
}

/* Takes the pool; false where another call has it. */
static bool claim(void)
{
    if (!atomic_load(&pool.watches_forks)) {
        /* Before the first claim, so that no child finds the pool claimed for ever. Two threads may
         * come here at once: a second reset does no harm. */
        if (pthread_atfork(NULL, NULL, reset_child) != 0) return false;
        atomic_store(&pool.watches_forks, true);
    }
    if (atomic_load_explicit(&pool.busy, memory_order_relaxed)) return false;
    if (atomic_exchange(&pool.busy, true)) return false;
    if (!pool.has_locks) make_locks();
    return true;
}

static void release(void)
{
    atomic_store_explicit(&pool.busy, false, memory_order_release);
}

bool nnc_shutdown_threads(void)
{
    if (!atomic_load(&pool.watches_forks)) return true; /* there has been no call */
    if (!claim()) return false;
    for (size_t i = 0; i < pool.n_workers; i++) send(&pool.workers[i], &pool.farewell);
    while (pool.n_workers > 0) {
        worker *last = &pool.workers[--pool.n_workers];
        pthread_join(last->thread, NULL);
        pthread_cond_destroy(&last->wake);
    }
    release();
    return true;
}

/* At exit, and before the library is unloaded: no worker may run code that goes away. */
__attribute__((destructor)) static void shut_down_at_exit(void)
{
    nnc_shutdown_threads();
}

/* -------------------------------------------------------------------------------------- team */

static bool forked(const nnc_team *team)
{
    return team->generation != pool.generation;
}

/* Foreign code ends the caller's thread from within the work, as some versions of Python do to
 * daemon threads at exit. The team's members still use this thread's stack: it has to stay. */
static void stay(void *argument)
{
    const nnc_team *team = argument;
    while (team->size > 1 && !forked(team)) pause();
}

static void work_as_caller(nnc_team *team)
{
    pthread_cleanup_push(stay, team);
    team->work(team->context, team, 0);
    pthread_cleanup_pop(0);
}

void nnc_team_run(size_t n, void (*work)(void *context, nnc_team *team, size_t rank), void *context)
{
    nnc_team team = {
        .work = work, .context = context, .size = 1, .generation = pool.generation, .cores = 1};
    atomic_fetch_add_explicit(&pool.callers, 1, memory_order_relaxed);
    bool claimed = n > 1 && claim();
    if (claimed) {
        team.cores = follow_caller();
        size_t workers = hire(nnc_min(n, NNC_MAX_THREADS) - 1);
        team.size = 1 + workers;
        atomic_store_explicit(&team.running, workers, memory_order_relaxed);
        for (size_t i = 0; i < workers; i++) send(&pool.workers[i], &team);
    }
    work_as_caller(&team);
    size_t turns = 0, running;
    while (!forked(&team) && (running = atomic_load(&team.running)) > 0)
        wait_for_members(&team, &team.running, running, &turns);
    if (forked(&team)) return;
    if (claimed) release();
    atomic_fetch_sub_explicit(&pool.callers, 1, memory_order_relaxed);
}

size_t nnc_team_size(const nnc_team *team)
{
    return team->size;
}

bool nnc_team_lost_members(nnc_team *team)
{
    if (team->size == 1 || !forked(team)) return false;
    team->size = 1;
    return true;
}

void nnc_team_barrier(nnc_team *team, void (*idle)(void *context), void *context)
{
    if (team->size == 1) return;
    size_t round = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&team->waiting, 1, memory_order_acq_rel) + 1 == team->size) {
        atomic_store_explicit(&team->waiting, 0, memory_order_relaxed);
        atomic_store(&team->round, round + 1);
        open_gate();
        return;
    }
    for (size_t turns = 0; atomic_load_explicit(&team->round, memory_order_acquire) == round;) {
        wait_for_members(team, &team->round, round, &turns);
        if (!idle || turns <= SPINS) continue;
        idle(context);
        if (forked(team)) return; /* nobody else will come */
    }
}
