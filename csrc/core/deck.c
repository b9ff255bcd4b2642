/* deck.c - see deck.h. */
#include "core/deck.h"

#include <string.h>

#include "core/arena.h"

static bool serves(const nnc_deck *deck, const nnc_rng *start, size_t m, size_t shuffles)
{
    return deck->m == m && deck->begun <= shuffles && deck->start.position == start->position &&
           memcmp(deck->start.state, start->state, sizeof start->state) == 0;
}

nnc_status nnc_deck_take(nnc_deck **deck, nnc_memory *memory, const nnc_rng *start, size_t m,
                         size_t shuffles)
{
    nnc_arena arena = {0};
    const size_t before = memory->size;
    nnc_arena_reserve(&arena, 1, sizeof **deck, 1);
    nnc_arena_reserve(&arena, m, sizeof *(*deck)->order, 1);
    nnc_status status = nnc_arena_allocate_in(&arena, memory);
    if (status != NNC_OK) return status;
    nnc_deck *d = *deck = memory->block;
    if (memory->size == before && serves(d, start, m, shuffles)) return NNC_OK;
    *d = (nnc_deck){.start = *start, .rng = *start, .m = m};
    for (size_t i = 0; i < m; i++) d->order[i] = i;
    return NNC_OK;
}

bool nnc_deck_shuffle(nnc_deck *deck, size_t shuffles, nnc_pacer *pacer)
{
    enum { MOVES = 1 << 15, MOVE_WORK = 1 << 4 };
    while (deck->left > 0 || deck->begun < shuffles) {
        if (deck->left == 0) {
            deck->begun++;
            deck->left = deck->m;
        }
        size_t work = nnc_min(deck->left, MOVES) * MOVE_WORK;
        deck->left = nnc_rng_shuffle_some(&deck->rng, deck->order, deck->left, MOVES);
        if (!nnc_pacer_tick(pacer, work)) return false;
    }
    return true;
}
