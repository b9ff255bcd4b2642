/* test_team.c - teams of threads: ranks, barriers, what members inherit, nested and concurrent
 * calls, forks, ends. */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/fpmode.h"
#include "core/team.h"
#include "nnc.h"
#include "test.h"

enum { MOST = 16 };

/* Under TSan a child of a process with threads can start none: TSan keeps the records of those that
 * the parent had, and ends the child where their addresses come again. */
#if defined(__SANITIZE_THREAD__)
enum { TSAN = 1 };
#else
enum { TSAN = 0 };
#endif

/* ASan's allocator does not know of forks: a lock of it that another thread holds then is locked in
 * the child for ever. */
#if defined(__SANITIZE_ADDRESS__)
enum { ASAN = 1 };
#else
enum { ASAN = 0 };
#endif

__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* The number of threads that the system counts; sanitizers have some of their own. */
static int threads_now(void)
{
    DIR *folder = opendir("/proc/self/task");
    int n = 0;
    if (!folder) abort();
    while (readdir(folder)) n++;
    closedir(folder);
    return n - 2; /* . and .. */
}

/* The same after at most a second in which ended threads go away. */
static int threads_soon(int expected)
{
    for (int i = 0; i < 1000 && threads_now() != expected; i++) sleep_ms(1);
    return threads_now();
}

static int threads_of_others; /* at the start: this one, and what a sanitizer runs */

static void *do_nothing(void *argument)
{
    return argument;
}

/* --------------------------------------------------------------------------------- the work */

typedef struct {
    size_t size, rounds;
    int runs[MOST];                 /* of each rank; plain: a race would be seen by TSan */
    size_t cells[MOST], sums[MOST]; /* written between barriers by one, read by all */
} trace;

static void add_up(void *context, nnc_team *team, size_t rank)
{
    trace *t = context;
    size_t size = nnc_team_size(team);
    if (rank == 0) t->size = size;
    t->runs[rank]++;
    for (size_t round = 1; round <= t->rounds; round++) {
        t->cells[rank] = round * (rank + 1);
        nnc_team_barrier(team, NULL, NULL);
        for (size_t i = 0; i < size; i++) t->sums[rank] += t->cells[i];
        nnc_team_barrier(team, NULL, NULL);
    }
}

static void check_trace(const trace *t, size_t size)
{
    size_t rounds = t->rounds * (t->rounds + 1) / 2;
    CHECK(t->size == size);
    for (size_t rank = 0; rank < MOST; rank++) {
        CHECK(t->runs[rank] == (rank < size));
        CHECK(t->sums[rank] == (rank < size ? rounds * size * (size + 1) / 2 : 0));
    }
}

/* The size of the team that a call for n threads gets now. */
static size_t size_of_team(size_t n)
{
    trace t = {.rounds = 2};
    nnc_team_run(n, add_up, &t);
    return t.size;
}

TEST(each_rank_runs_once_and_barriers_hold)
{
    for (size_t n = 0; n <= MOST; n++) {
        CASE("%zu threads", n);
        trace t = {.rounds = n <= 3 ? 500 : 20};
        nnc_team_run(n, add_up, &t);
        check_trace(&t, n > 0 ? n : 1);
    }
}

TEST(many_calls_of_all_sizes_share_the_threads)
{
    CHECK(nnc_shutdown_threads());
    for (size_t call = 0; call < 20000; call++) {
        trace t = {.rounds = call % 3};
        size_t n = 1 + call * 7 % 4;
        if (call % 1000 == 0) sleep_ms(2); /* they fall asleep */
        nnc_team_run(n, add_up, &t);
        check_trace(&t, n);
    }
    CHECK(threads_now() == threads_of_others + 3);
}

static atomic_int idles;

static void count_idle(void *context)
{
    (void)context;
    atomic_fetch_add(&idles, 1);
}

static void come_late(void *context, nnc_team *team, size_t rank)
{
    (void)context;
    if (rank > 0) sleep_ms(100);
    nnc_team_barrier(team, rank == 0 ? count_idle : NULL, NULL);
}

TEST(who_waits_may_do_other_things)
{
    nnc_team_run(2, come_late, NULL);
    CHECK(idles >= 4); /* about every 10 ms */
}

/* ------------------------------------------------------------------- what members compute in */

static void record_masks(void *context, nnc_team *team, size_t rank)
{
    (void)team;
    pthread_sigmask(SIG_SETMASK, NULL, &((sigset_t *)context)[rank]);
}

TEST(signals_are_for_the_caller)
{
    sigset_t masks[4], before;
    CHECK(nnc_shutdown_threads());
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    nnc_team_run(4, record_masks, masks);
    for (int signal = 1; signal < 32; signal++) {
        CASE("signal %d", signal);
        CHECK(sigismember(&masks[0], signal) == sigismember(&before, signal));
        if (signal == SIGKILL || signal == SIGSTOP) continue;
        for (int rank = 1; rank < 4; rank++) CHECK(sigismember(&masks[rank], signal) == 1);
    }
}

#if defined(__x86_64__)
static void record_modes(void *context, nnc_team *team, size_t rank)
{
    (void)team;
    ((unsigned *)context)[rank] = __builtin_ia32_stmxcsr() & ~0x3fu;
}

/* Neither the mode in which they were started nor that of the call matters to them. */
TEST(members_compute_in_the_standard_mode)
{
    const unsigned standard = 0x1f80, flush_and_round_up = 0xdfc0;
    unsigned modes[4];
    CHECK(nnc_shutdown_threads());
    for (int call = 0; call < 2; call++) {
        CASE("call %d", call);
        __builtin_ia32_ldmxcsr(flush_and_round_up);
        nnc_team_run(4, record_modes, modes);
        __builtin_ia32_ldmxcsr(standard);
        CHECK(modes[0] == flush_and_round_up);
        for (int rank = 1; rank < 4; rank++) CHECK(modes[rank] == standard);
    }
}
#else
TEST(members_compute_in_the_standard_mode) {}
#endif

static void record_cpus(void *context, nnc_team *team, size_t rank)
{
    (void)team;
    sched_getaffinity(0, sizeof(cpu_set_t), &((cpu_set_t *)context)[rank]);
}

static void check_cpus(const cpu_set_t *expected)
{
    cpu_set_t seen[3];
    nnc_team_run(3, record_cpus, seen);
    for (int rank = 0; rank < 3; rank++) CHECK(CPU_EQUAL(&seen[rank], expected));
}

TEST(members_run_where_the_caller_may)
{
    cpu_set_t all, one;
    CHECK(nnc_shutdown_threads());
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    check_cpus(&one); /* born there */
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
    check_cpus(&all);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    check_cpus(&one);
    CHECK(size_of_team(3) == 3); /* on one core, nobody spins for ever */
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
    check_cpus(&all);
}

/* ------------------------------------------------------------------------- one call at a time */

static void call_again(void *context, nnc_team *team, size_t rank)
{
    size_t *sizes = context;
    sizes[rank] = size_of_team(4);
    nnc_team_barrier(team, NULL, NULL);
    if (rank == 0) CHECK(!nnc_shutdown_threads());
    nnc_team_barrier(team, NULL, NULL);
}

TEST(nested_calls_run_alone)
{
    size_t sizes[3] = {0};
    nnc_team_run(3, call_again, sizes);
    for (int rank = 0; rank < 3; rank++) CHECK(sizes[rank] == 1);
    CHECK(size_of_team(4) == 4);
}

static atomic_bool holds, let_go;

static void hold(void *context, nnc_team *team, size_t rank)
{
    (void)context;
    (void)team;
    if (rank > 0) return;
    atomic_store(&holds, true);
    while (!atomic_load(&let_go)) sleep_ms(1);
}

static void *run_hold(void *argument)
{
    nnc_team_run(3, hold, argument);
    return NULL;
}

static pthread_t start_holding(void)
{
    pthread_t thread;
    atomic_store(&holds, false);
    atomic_store(&let_go, false);
    if (pthread_create(&thread, NULL, run_hold, NULL) != 0) abort();
    while (!atomic_load(&holds)) sleep_ms(1);
    return thread;
}

TEST(concurrent_calls_run_alone_and_start_no_threads)
{
    CHECK(nnc_shutdown_threads());
    pthread_t thread = start_holding();
    CHECK(threads_now() == threads_of_others + 3);
    for (size_t n = 1; n <= MOST; n++) CHECK(size_of_team(n) == 1);
    CHECK(!nnc_shutdown_threads());
    CHECK(threads_now() == threads_of_others + 3);
    atomic_store(&let_go, true);
    pthread_join(thread, NULL);
    CHECK(size_of_team(4) == 4);
}

static void *call_often(void *argument)
{
    (void)argument;
    for (size_t call = 0; call < 2000; call++) {
        trace t = {.rounds = 2};
        nnc_team_run(3, add_up, &t);
        check_trace(&t, t.size);
    }
    return NULL;
}

TEST(eight_threads_call_at_once)
{
    pthread_t threads[8];
    CHECK(nnc_shutdown_threads());
    for (int i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, call_often, NULL) != 0) abort();
    for (int i = 0; i < 100; i++) {
        CHECK(threads_now() <= threads_of_others + 8 + 2);
        nnc_shutdown_threads();
    }
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    CHECK(size_of_team(3) == 3);
}

/* --------------------------------------------------------------------------------------- ends */

TEST(idle_threads_end_and_come_back)
{
    for (int i = 0; i < 20; i++) {
        CHECK(size_of_team(4) == 4);
        CHECK(threads_now() == threads_of_others + 3);
        if (i % 2) sleep_ms(2);
        CHECK(nnc_shutdown_threads());
        CHECK(threads_soon(threads_of_others) == threads_of_others);
    }
    CHECK(nnc_shutdown_threads());
}

static void end_the_caller(void *context, nnc_team *team, size_t rank)
{
    (void)context;
    if (rank == 0) pthread_exit(NULL);
    for (int i = 0; i < 20; i++) {
        sleep_ms(1);
        if (nnc_team_size(team) != 3) _exit(9); /* the team lies on the caller's stack */
    }
    nnc_team_barrier(team, NULL, NULL);
}

/* The uppermost pages of a stack outlive their thread: the team has to lie below them. */
static void *run_end_the_caller(void *argument)
{
    volatile char depth[1 << 18];
    depth[0] = 0, (void)depth[0];
    nnc_team_run(3, end_the_caller, argument);
    return NULL;
}

/* The exit status of a child that does this and then returns from main, as it were. */
static int status_of_child(void (*body)(void))
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        test_now.failures = 0;
        body();
        exit(test_now.failures > 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    return status;
}

static void lose_the_caller(void)
{
    if (TSAN) return;
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_end_the_caller, NULL) != 0) abort();
    sleep_ms(50);
    CHECK(size_of_team(3) == 1);
    CHECK(!nnc_shutdown_threads());
}

TEST(a_caller_that_is_ended_within_its_work_keeps_its_stack)
{
    CHECK(status_of_child(lose_the_caller) == 0);
}

static void exit_meanwhile(void)
{
    if (!TSAN) start_holding();
}

TEST(the_process_ends_while_a_call_runs)
{
    CHECK(status_of_child(exit_meanwhile) == 0);
}

/* -------------------------------------------------------------------------------------- forks */

static void use_threads(void)
{
    if (TSAN) {
        CHECK(nnc_shutdown_threads()); /* it would wait for threads that are not there */
        return;
    }
    for (int i = 0; i < 3; i++) CHECK(size_of_team(3) == 3);
    CHECK(nnc_shutdown_threads());
    CHECK(size_of_team(4) == 4);
}

TEST(a_child_has_threads_of_its_own)
{
    CHECK(size_of_team(4) == 4);
    for (int i = 0; i < 10; i++) {
        CHECK(status_of_child(use_threads) == 0);
        CHECK(size_of_team(4) == 4);
    }
}

static void use_threads_and_fork(void)
{
    use_threads();
    CHECK(status_of_child(use_threads) == 0);
    use_threads();
}

TEST(a_grandchild_too)
{
    CHECK(status_of_child(use_threads_and_fork) == 0);
}

TEST(forks_while_another_thread_calls)
{
    if (ASAN) {
        printf("no forks beside other threads' work: ASan\n");
        return;
    }
    pthread_t thread = start_holding();
    for (int i = 0; i < 10; i++) CHECK(status_of_child(use_threads) == 0);
    atomic_store(&let_go, true);
    pthread_join(thread, NULL);
    if (pthread_create(&thread, NULL, call_often, NULL) != 0) abort();
    for (int i = 0; i < 20; i++) CHECK(status_of_child(use_threads) == 0);
    pthread_join(thread, NULL);
}

/* Rank 0 forks between two barriers; the child goes on alone, and then has teams again. */
static void fork_within(void *context, nnc_team *team, size_t rank)
{
    pid_t *child = context;
    nnc_team_barrier(team, NULL, NULL);
    if (rank == 0) {
        fflush(stdout);
        *child = fork();
        if (*child == 0) {
            alarm(20);
            CHECK(nnc_team_size(team) == 3);
            CHECK(nnc_team_lost_members(team));
            CHECK(nnc_team_size(team) == 1);
        }
        CHECK(!nnc_team_lost_members(team));
    }
    nnc_team_barrier(team, NULL, NULL);
}

TEST(a_child_forked_within_the_work_goes_on_alone)
{
    for (int i = 0; i < 5; i++) {
        pid_t child;
        int status;
        nnc_team_run(3, fork_within, &child);
        if (child == 0) {
            use_threads();
            exit(test_now.failures > 0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(size_of_team(3) == 3);
    }
}

static pid_t forked_while_idle;

static void fork_once(void *context)
{
    (void)context;
    if (forked_while_idle >= 0) return;
    fflush(stdout);
    forked_while_idle = fork();
    if (forked_while_idle == 0) alarm(20);
}

static void fork_while_waiting(void *context, nnc_team *team, size_t rank)
{
    (void)context;
    if (rank > 0) sleep_ms(50);
    nnc_team_barrier(team, rank == 0 ? fork_once : NULL, NULL);
    if (rank == 0) CHECK(nnc_team_lost_members(team) == (forked_while_idle == 0));
}

TEST(a_child_forked_while_waiting_waits_no_longer)
{
    int status;
    forked_while_idle = -1;
    nnc_team_run(3, fork_while_waiting, NULL);
    if (forked_while_idle == 0) {
        use_threads();
        exit(test_now.failures > 0);
    }
    CHECK(waitpid(forked_while_idle, &status, 0) == forked_while_idle && status == 0);
}

SUITE()
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0) abort();
    pthread_join(thread, NULL); /* with the first thread, TSan starts one */
    threads_of_others = threads_soon(1 + TSAN);
    if (TSAN) printf("children start no threads: TSan\n");
    RUN(each_rank_runs_once_and_barriers_hold);
    RUN(many_calls_of_all_sizes_share_the_threads);
    RUN(who_waits_may_do_other_things);
    RUN(signals_are_for_the_caller);
    RUN(members_compute_in_the_standard_mode);
    RUN(members_run_where_the_caller_may);
    RUN(nested_calls_run_alone);
    RUN(concurrent_calls_run_alone_and_start_no_threads);
    RUN(eight_threads_call_at_once);
    RUN(idle_threads_end_and_come_back);
    RUN(a_caller_that_is_ended_within_its_work_keeps_its_stack);
    RUN(the_process_ends_while_a_call_runs);
    RUN(a_child_has_threads_of_its_own);
    RUN(a_grandchild_too);
    RUN(forks_while_another_thread_calls);
    RUN(a_child_forked_within_the_work_goes_on_alone);
    RUN(a_child_forked_while_waiting_waits_no_longer);
}
