/* test_deck.c - decks: the orders of plain shuffles, from call to call and after breaking off. */
#include <string.h>

#include "core/deck.h"
#include "test.h"

enum { MOST = 100000 };

static size_t expected[MOST];

/* expected (m), after so many shuffles */
static void shuffle(uint32_t seed, size_t m, size_t shuffles)
{
    nnc_rng rng;
    nnc_rng_seed(&rng, seed);
    for (size_t i = 0; i < m; i++) expected[i] = i;
    for (size_t i = 0; i < shuffles; i++) nnc_rng_shuffle(&rng, expected, m);
}

static nnc_deck *take(nnc_memory *memory, uint32_t seed, size_t m, size_t shuffles)
{
    nnc_rng start;
    nnc_deck *deck = NULL;
    nnc_rng_seed(&start, seed);
    CHECK(nnc_deck_take(&deck, memory, &start, m, shuffles) == NNC_OK);
    return deck;
}

static void check_order(const nnc_deck *deck, uint32_t seed, size_t m, size_t shuffles)
{
    shuffle(seed, m, shuffles);
    CHECK(deck->begun == shuffles && deck->left == 0);
    CHECK(memcmp(deck->order, expected, m * sizeof *expected) == 0);
}

TEST(goes_on_where_it_can)
{
    static const struct {
        uint32_t seed;
        size_t m, shuffles, begun; /* when it is taken */
    } cases[] = {
        {3, 100, 1, 0}, {3, 100, 2, 1}, {3, 100, 2, 2}, {3, 100, 7, 2},  {3, 100, 6, 0},
        {3, 100, 6, 6}, {4, 100, 6, 0}, {3, 100, 6, 0}, {3, 60, 6, 0},   {3, 60, 8, 6},
        {3, 0, 8, 0},   {3, 0, 9, 8},   {3, 1, 9, 0},   {3, 1000, 9, 0}, {3, 1000, 10, 9},
    };
    nnc_memory memory = {0};
    atomic_bool hurry = false;
    nnc_pacer pacer = {.hurry = &hurry};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t m = cases[i].m, shuffles = cases[i].shuffles;
        CASE("call %zu", i);
        nnc_deck *deck = take(&memory, cases[i].seed, m, shuffles);
        CHECK(deck->begun == cases[i].begun);
        CHECK(nnc_deck_shuffle(deck, shuffles, &pacer));
        check_order(deck, cases[i].seed, m, shuffles);
    }
    nnc_memory_free(&memory);
}

TEST(goes_on_after_breaking_off)
{
    nnc_memory memory = {0};
    atomic_bool hurry = true;
    nnc_pacer pacer = {.hurry = &hurry};
    size_t calls = 1;
    while (!nnc_deck_shuffle(take(&memory, 3, MOST, 3), 3, &pacer) && calls < 99) calls++;
    CHECK(calls > 3 * 3 && calls < 99);
    check_order(take(&memory, 3, MOST, 3), 3, MOST, 3);
    nnc_deck *deck = take(&memory, 3, MOST, 4);
    CHECK(!nnc_deck_shuffle(deck, 4, &pacer));
    CHECK(deck->begun == 4 && deck->left > 0);
    CHECK(take(&memory, 3, MOST, 3)->begun == 0); /* the fourth has moved some */
    nnc_memory_free(&memory);
}

TEST(too_many_samples_change_nothing)
{
    nnc_memory memory = {0};
    atomic_bool hurry = false;
    nnc_pacer pacer = {.hurry = &hurry};
    nnc_deck *deck = take(&memory, 3, 100, 2), *other;
    nnc_rng start = deck->start;
    CHECK(nnc_deck_shuffle(deck, 2, &pacer));
    CHECK(nnc_deck_take(&other, &memory, &start, SIZE_MAX / 4, 2) == NNC_ERR_SIZE);
    CHECK(nnc_deck_take(&other, &memory, &start, SIZE_MAX / 64, 2) == NNC_ERR_MEMORY);
    CHECK(memory.block == deck);
    check_order(deck, 3, 100, 2);
    nnc_memory_free(&memory);
}

SUITE()
{
    RUN(goes_on_where_it_can);
    RUN(goes_on_after_breaking_off);
    RUN(too_many_samples_change_nothing);
}
