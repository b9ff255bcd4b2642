/* status.c - the vocabulary's names, and what its lists say of each. */
#include "core/base.h"
#include "nnc.h"

/* entry function(type value), from a list of nnc.h and what FIELD makes of its lines. */
#define LOOK_UP(entry, function, type, LIST, FIELD)   \
    entry function(type value)                        \
    {                                                 \
        static entry const entries[] = {LIST(FIELD)}; \
        return entries[value];                        \
    }

#define NAME(suffix, name, ...) #name,
#define ACTIVATIONS(X) NNC_ACTIVATION_LIST(X) NNC_SOFTMAX_LIST(X)
#define SENTENCE(name, sentence) sentence,
#define SIZE(name, type, numpy_name) sizeof(type),
#define STATE(suffix, name, state) state,

typedef const char *text;

LOOK_UP(text, nnc_status_text, nnc_status, NNC_STATUS_LIST, SENTENCE)
LOOK_UP(text, nnc_activation_name, nnc_activation, ACTIVATIONS, NAME)
LOOK_UP(text, nnc_loss_name, nnc_loss, NNC_LOSS_LIST, NAME)
LOOK_UP(text, nnc_optimizer_name, nnc_optimizer, NNC_OPTIMIZER_LIST, NAME)
LOOK_UP(text, nnc_minimizer_name, nnc_minimizer, NNC_MINIMIZER_LIST, NAME)
LOOK_UP(text, nnc_ending_name, nnc_ending, NNC_ENDING_LIST, NAME)
LOOK_UP(text, nnc_function_name, nnc_function, NNC_FUNCTION_LIST, NAME)
LOOK_UP(size_t, nnc_optimizer_state, nnc_optimizer, NNC_OPTIMIZER_LIST, STATE)
LOOK_UP(size_t, nnc_dtype_size, nnc_dtype, NNC_DTYPE_LIST, SIZE)

bool nnc_is_softmax(nnc_activation activation)
{
    return activation >= NNC_ACT_COUNT;
}

bool nnc_is_of_z(nnc_activation activation)
{
#define OF_A false
#define OF_Z true
#define ORIGIN(suffix, name, length, origin) [NNC_ACT_##suffix] = origin,
    static const bool of_z[] = {NNC_ACTIVATION_LIST(ORIGIN)};
    return activation < NNC_ACT_COUNT && of_z[activation];
}
