/* deck.h - the order of the samples, who change places before each epoch. */
#ifndef NNC_CORE_DECK_H
#define NNC_CORE_DECK_H

#include "core/pacer.h"

typedef struct {
    nnc_rng start, rng; /* before the first shuffle, and now */
    size_t m, begun;    /* samples, and shuffles that have begun */
    size_t left;        /* elements that the last of them has yet to shuffle */
    size_t order[];
} nnc_deck;

/* A deck of m samples that start shuffles `shuffles` times or more: the one in memory where it is
 * of that kind and has begun no more, or else a new one. NNC_ERR_MEMORY, _SIZE: nothing changes. */
nnc_status nnc_deck_take(nnc_deck **deck, nnc_memory *memory, const nnc_rng *start, size_t m,
                         size_t shuffles);

/* Goes on until it has seen so many shuffles; false where the monitor stops it amid that. */
bool nnc_deck_shuffle(nnc_deck *deck, size_t shuffles, nnc_pacer *pacer);

#endif
