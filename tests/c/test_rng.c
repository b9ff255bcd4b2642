/* test_rng.c - the Mersenne Twister against its authors' published outputs, and the streams that
 * numpy.random.RandomState is known for. */
#include "nnc.h"
#include "reference.h"
#include "test.h"

/* The word that the generator gave last, from its state. */
static uint32_t last_word(const nnc_rng *rng)
{
    uint32_t y = rng->state[rng->position - 1];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* mt19937ar's genrand_res53 of two words */
static double res53(uint32_t high, uint32_t low)
{
    return ((high >> 5) * 67108864.0 + (low >> 6)) / 9007199254740992.0;
}

TEST(default_seed_gives_the_published_10000th_word)
{
    nnc_rng rng;
    double x[5000];
    nnc_rng_seed(&rng, 5489);
    nnc_rng_uniform(&rng, x, 5000);
    CHECK(last_word(&rng) == 4123659995u);
}

/* The first words and, after 1000 words, the first genrand_real2 of mt19937ar.out. */
TEST(array_seed_gives_the_published_words)
{
    static const uint32_t words[] = {0x123, 0x234, 0x345, 0x456};
    static const uint32_t first[] = {1067595299, 955945823, 477289528, 4107218783, 4228976476};
    static const double real2[] = {0.99000644, 0.10143112, 0.69867227, 0.03427201, 0.28180608};
    nnc_rng rng;
    double x[500];
    nnc_rng_seed_array(&rng, words, 4);
    nnc_rng_uniform(&rng, x, 2);
    CHECK(x[0] == res53(first[0], first[1]));
    CHECK(x[1] == res53(first[2], first[3]));
    nnc_rng_uniform(&rng, x, 1);
    CHECK((uint32_t)(x[0] * 0x1p27) == first[4] >> 5);
    nnc_rng_uniform(&rng, x, 497);
    for (int i = 0; i < 5; i++) { /* a uniform takes two words: we see every second one */
        CASE("word %d", 1000 + 2 * i + 1);
        nnc_rng_uniform(&rng, x, 1);
        CHECK(fabs(last_word(&rng) * 0x1p-32 - real2[i]) < 0.6e-8);
    }
}

/* RandomState(seed).rand(3) and .randn(4), as printed in countless documents. */
TEST(streams_of_random_state)
{
    static const struct {
        uint32_t seed;
        double uniform[3], normal[4];
    } known[] = {
        {0,
         {0.5488135039273248, 0.7151893663724195, 0.6027633760716439},
         {1.764052345967664, 0.4001572083672233, 0.9787379841057392, 2.240893199201458}},
        {42,
         {0.3745401188473625, 0.9507143064099162, 0.7319939418114051},
         {0.4967141530112327, -0.13826430117118466, 0.6476885381006925, 1.5230298564080254}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        nnc_rng rng;
        double x[4];
        CASE("seed %u", (unsigned)known[i].seed);
        nnc_rng_seed(&rng, known[i].seed);
        nnc_rng_uniform(&rng, x, 3);
        CHECK(memcmp(x, known[i].uniform, sizeof known[i].uniform) == 0);
        nnc_rng_seed(&rng, known[i].seed);
        nnc_rng_normal(&rng, x, 4);
        CHECK(memcmp(x, known[i].normal, sizeof known[i].normal) == 0);
    }
}

/* However a stream is cut into calls, it is the same stream: the second normal of a pair waits. */
TEST(streams_do_not_depend_on_the_calls)
{
    nnc_rng rng;
    double whole[999], cut[999];
    nnc_rng_seed(&rng, 7);
    nnc_rng_normal(&rng, whole, 999);
    nnc_rng_seed(&rng, 7);
    for (size_t i = 0, n = 0; i < 999; i += n) {
        n = i % 5 < 999 - i ? i % 5 + 1 : 999 - i;
        if (n > 999 - i) n = 999 - i;
        nnc_rng_normal(&rng, cut + i, n);
    }
    CHECK(memcmp(whole, cut, sizeof whole) == 0);
}

TEST(a_seed_forgets_the_waiting_normal)
{
    nnc_rng rng;
    double first, again;
    nnc_rng_seed(&rng, 3);
    nnc_rng_normal(&rng, &first, 1);
    nnc_rng_seed(&rng, 3);
    nnc_rng_normal(&rng, &again, 1);
    CHECK(first == again);
}

TEST(uniform_is_in_its_interval)
{
    enum { N = 200000 };
    static double x[N];
    nnc_rng rng;
    nnc_rng_seed(&rng, 1);
    nnc_rng_uniform(&rng, x, N);
    wide sum = 0, squares = 0;
    bool inside = true, whole = true;
    for (size_t i = 0; i < N; i++) {
        inside &= x[i] >= 0 && x[i] < 1;
        whole &= x[i] * 0x1p53 == floor(x[i] * 0x1p53);
        sum += x[i] - 0.5L;
        squares += (x[i] - 0.5L) * (x[i] - 0.5L);
    }
    CHECK(inside);
    CHECK(whole); /* a multiple of 2^-53 */
    /* within five standard deviations of 0 and 1/12 */
    CHECK(fabsl(sum / N) < 5 * sqrtl(1.0L / 12 / N));
    CHECK(fabsl(squares / N - 1.0L / 12) < 5 * sqrtl(1.0L / 180 / N));
}

TEST(init_scales_and_rounds_the_normals)
{
    enum { N = 1000 };
    nnc_rng rng;
    double draws[N], f64[N];
    float f32[N];
    nnc_rng_seed(&rng, 99);
    nnc_rng_normal(&rng, draws, N);
    nnc_rng_seed(&rng, 99);
    nnc_init(NNC_F64, f64, &rng, 0.1, N);
    nnc_rng_seed(&rng, 99);
    nnc_init(NNC_F32, f32, &rng, 0.1, N);
    bool scaled = true, narrowed = true;
    for (size_t i = 0; i < N; i++) {
        scaled &= f64[i] == draws[i] * 0.1;
        narrowed &= f32[i] == (float)(draws[i] * 0.1);
    }
    CHECK(scaled);
    CHECK(narrowed);
}

/* order (n) = 0, 1, … in the places that RandomState(seed).shuffle gives them */
static void check_shuffle(uint32_t seed, const size_t *expected, size_t n)
{
    size_t order[16];
    nnc_rng rng;
    CASE("seed %u n %zu", (unsigned)seed, n);
    for (size_t i = 0; i < n; i++) order[i] = i;
    nnc_rng_seed(&rng, seed);
    nnc_rng_shuffle(&rng, order, n);
    CHECK(n == 0 || memcmp(order, expected, n * sizeof *order) == 0);
}

/* numpy.random.seed(seed); numpy.random.permutation(n), as printed in countless documents */
TEST(shuffles_of_random_state)
{
    check_shuffle(42, (const size_t[]){8, 1, 5, 0, 7, 2, 9, 4, 3, 6}, 10);
    check_shuffle(0, (const size_t[]){2, 8, 4, 9, 1, 6, 7, 3, 0, 5}, 10);
    check_shuffle(0, (const size_t[]){0}, 1);
    check_shuffle(0, NULL, 0);
}

/* In pieces of any size: the same places, and the same numbers drawn. */
TEST(shuffles_in_pieces)
{
    enum { N = 700 };
    static size_t whole[N], pieces[N];
    for (size_t most = 1; most <= N + 1; most += 1 + most / 3) {
        nnc_rng rng, other;
        CASE("most %zu", most);
        for (size_t i = 0; i < N; i++) whole[i] = pieces[i] = i;
        nnc_rng_seed(&rng, 3), nnc_rng_seed(&other, 3);
        nnc_rng_shuffle(&rng, whole, N);
        for (size_t left = N; left > 0;) {
            size_t before = left;
            left = nnc_rng_shuffle_some(&other, pieces, left, most);
            CHECK(left == 0 || left == before - most);
        }
        CHECK(memcmp(whole, pieces, sizeof whole) == 0);
        CHECK(rng.position == other.position);
    }
}

TEST(shuffles_are_permutations_and_go_on)
{
    static const size_t lengths[] = {2, 3, 255, 256, 257, 1000, 1025};
    static size_t order[1025], once[1025];
    nnc_rng rng;
    for (size_t s = 0; s < sizeof lengths / sizeof *lengths; s++) {
        size_t n = lengths[s], sum = 0;
        bool there[1025] = {false}, all = true;
        CASE("n %zu", n);
        nnc_rng_seed(&rng, 3);
        for (size_t i = 0; i < n; i++) order[i] = i;
        nnc_rng_shuffle(&rng, order, n);
        memcpy(once, order, sizeof order);
        nnc_rng_shuffle(&rng, order, n);
        for (size_t i = 0; i < n; i++) there[order[i]] = true, sum += order[i];
        for (size_t i = 0; i < n; i++) all &= there[i];
        CHECK(all && sum == n * (n - 1) / 2);
        CHECK(n < 4 || memcmp(once, order, n * sizeof *order) != 0);
    }
}

SUITE()
{
    RUN(shuffles_of_random_state);
    RUN(shuffles_in_pieces);
    RUN(shuffles_are_permutations_and_go_on);
    RUN(default_seed_gives_the_published_10000th_word);
    RUN(array_seed_gives_the_published_words);
    RUN(streams_of_random_state);
    RUN(streams_do_not_depend_on_the_calls);
    RUN(a_seed_forgets_the_waiting_normal);
    RUN(uniform_is_in_its_interval);
    RUN(init_scales_and_rounds_the_normals);
}
