/* peak.c - what this machine can do: multiply-adds, and bytes moved.
 *
 *     peak fma ISA DTYPE THREADS         GFLOP/s; ISA is baseline, generic, avx2 or avx512
 *     peak read|copy BYTES THREADS       GB/s over so many bytes a thread, read ones and written
 *
 *     cc -std=gnu11 -O2 -ffp-contract=fast -pthread peak.c */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, REPEATS = 50, CHAINS = 12, STREAMS = 8 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* TARGET: a function's instruction set; VECTOR_REGISTER: the constraint that asm knows one by. */
#if defined(__x86_64__)
#define TARGET(isa) __attribute__((target(isa)))
#define VECTOR_REGISTER "v"
#define SMALLEST "sse2"
#else
#define TARGET(isa)
#define VECTOR_REGISTER "w"
#define SMALLEST ""
#endif

/* A loop over an array of vectors, which stays in registers only if the loop is unrolled. */
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < n; i++)

/* name(n): n rounds of CHAINS independent multiply-adds; returns flops. The asm keeps the chains in
 * registers and the compiler from seeing through them. */
#define FMA_LOOP(name, real, bytes, isa)                                        \
    TARGET(isa) static double name(size_t n)                                    \
    {                                                                           \
        typedef real vec __attribute__((vector_size(bytes)));                   \
        vec acc[CHAINS], x = (vec){0} + (real)0.999, y = (vec){0} + (real)1e-3; \
        __asm__("" : "+" VECTOR_REGISTER(x), "+" VECTOR_REGISTER(y));           \
        EACH(i, CHAINS) acc[i] = (vec){0} + (real)i;                            \
        for (size_t k = 0; k < n; k++) {                                        \
            EACH(i, CHAINS)                                                     \
            {                                                                   \
                acc[i] = acc[i] * x + y;                                        \
                __asm__ volatile("" : "+" VECTOR_REGISTER(acc[i]));             \
            }                                                                   \
        }                                                                       \
        return 2.0 * CHAINS * (double)n * (double)(bytes / sizeof(real));       \
    }

#if defined(__x86_64__)
FMA_LOOP(baseline_f32, float, 16, "sse2")
FMA_LOOP(baseline_f64, double, 16, "sse2")
FMA_LOOP(generic_f32, float, 16, "avx,fma")
FMA_LOOP(generic_f64, double, 16, "avx,fma")
FMA_LOOP(avx2_f32, float, 32, "avx2,fma")
FMA_LOOP(avx2_f64, double, 32, "avx2,fma")
FMA_LOOP(avx512_f32, float, 64, "avx512f")
FMA_LOOP(avx512_f64, double, 64, "avx512f")
#define HAVE(feature) __builtin_cpu_supports(feature)
#define ISAS(X)    \
    X(baseline, 1) \
    X(generic, HAVE("fma")) X(avx2, HAVE("avx2") && HAVE("fma")) X(avx512, HAVE("avx512f"))
#else
FMA_LOOP(baseline_f32, float, 16, "")
FMA_LOOP(baseline_f64, double, 16, "")
#define ISAS(X) X(baseline, 1)
#endif

typedef double (*loop)(size_t n);
typedef void (*memory_pass)(char *to, const char *from, size_t n);

static loop find_loop(const char *isa, const char *dtype)
{
    int wide = strcmp(dtype, "float64") == 0;
#define FIND(name, runs_here) \
    if (strcmp(isa, #name) == 0 && (runs_here)) return wide ? name##_f64 : name##_f32;
    ISAS(FIND)
    return NULL;
}

typedef struct {
    loop fma; /* or, where NULL, memory */
    memory_pass pass;
    int copy;
    size_t bytes;
    pthread_barrier_t barrier;
    double best; /* of all threads together, a second; over short repeats, of which some go
                    undisturbed */
} work;

typedef struct {
    work *shared;
    int rank, threads;
} thread;

/* One pass over a thread's own memory, with vectors of `bytes`. */
#define PASS(name, bytes, isa)                                               \
    TARGET(isa) static void name(char *to, const char *from, size_t n)       \
    {                                                                        \
        typedef uint64_t vec __attribute__((vector_size(bytes), may_alias)); \
        vec sum[STREAMS] = {{0}};                                            \
        for (size_t i = 0; i < n; i += sizeof sum) {                         \
            const vec *x = (const vec *)(from + i);                          \
            vec *y = (vec *)(to + i);                                        \
            if (to) {                                                        \
                EACH(j, STREAMS)                                             \
                {                                                            \
                    y[j] = x[j];                                             \
                }                                                            \
            } else {                                                         \
                EACH(j, STREAMS)                                             \
                {                                                            \
                    sum[j] ^= x[j];                                          \
                }                                                            \
            }                                                                \
        }                                                                    \
        EACH(j, STREAMS)                                                     \
        {                                                                    \
            __asm__ volatile("" : : VECTOR_REGISTER(sum[j]) : "memory");     \
        }                                                                    \
    }
PASS(pass_16, 16, SMALLEST)
#if defined(__x86_64__)
PASS(pass_32, 32, "avx2")
PASS(pass_64, 64, "avx512f")
#endif

static memory_pass widest_pass(void)
{
#if defined(__x86_64__)
    if (HAVE("avx512f")) return pass_64;
    if (HAVE("avx2")) return pass_32;
#endif
    return pass_16;
}

static void *run(void *context)
{
    thread *t = context;
    work *w = t->shared;
    char *from = NULL, *to = NULL;
    size_t rounds = 1 << 18, passes = 1;
    if (!w->fma) {
        from = aligned_alloc(4096, w->bytes);
        to = w->copy ? aligned_alloc(4096, w->bytes) : NULL;
        if (!from || (w->copy && !to)) {
            fprintf(stderr, "out of memory\n");
            exit(1);
        }
        memset(from, 1, w->bytes);
        if (to) memset(to, 1, w->bytes);
        passes = ((size_t)1 << 25) / w->bytes + 1;
    }
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double amount = 0;
        pthread_barrier_wait(&w->barrier);
        double start = seconds();
        if (w->fma) {
            amount = w->fma(rounds);
        } else {
            for (size_t p = 0; p < passes; p++) w->pass(to, from, w->bytes);
            amount = (double)passes * (double)w->bytes * (w->copy ? 2 : 1);
        }
        pthread_barrier_wait(&w->barrier);
        double rate = amount * t->threads / (seconds() - start);
        if (t->rank == 0 && rate > w->best) w->best = rate;
    }
    free(from);
    free(to);
    return NULL;
}

static int usage(void)
{
    fprintf(stderr, "usage: peak fma ISA DTYPE THREADS | peak read|copy BYTES THREADS\n");
    return 2;
}

int main(int argc, char **argv)
{
    work shared = {0};
    int threads = argc > 3 ? atoi(argv[argc - 1]) : 0;
    if (threads < 1 || threads > MAX_THREADS) return usage();
    if (strcmp(argv[1], "fma") == 0 && argc == 5) {
        shared.fma = find_loop(argv[2], argv[3]);
        if (!shared.fma) {
            fprintf(stderr, "this CPU does not run %s\n", argv[2]);
            return 1;
        }
    } else if (argc == 4) {
        shared.copy = strcmp(argv[1], "copy") == 0;
        shared.pass = widest_pass();
        shared.bytes = ((size_t)strtoull(argv[2], NULL, 10) + 4095) / 4096 * 4096;
    }
    if (!shared.fma && shared.bytes == 0) return usage();
    pthread_barrier_init(&shared.barrier, NULL, (unsigned)threads);
    pthread_t ids[MAX_THREADS];
    thread all[MAX_THREADS];
    for (int i = 0; i < threads; i++) {
        all[i] = (thread){&shared, i, threads};
        if (pthread_create(&ids[i], NULL, run, &all[i]) != 0) {
            fprintf(stderr, "no thread\n");
            return 1;
        }
    }
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    printf("%.2f\n", shared.best * 1e-9);
    return 0;
}
