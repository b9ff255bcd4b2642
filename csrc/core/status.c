/* status.c - the vocabulary's names. */
#include "core/base.h"
#include "nnc.h"

const char *nnc_status_text(nnc_status status)
{
#define SENTENCE(name, sentence) [name] = sentence,
    static const char *const texts[NNC_STATUS_COUNT] = {NNC_STATUS_LIST(SENTENCE)};
#undef SENTENCE
    return texts[status];
}

const char *nnc_activation_name(nnc_activation activation)
{
#define NAME(suffix, name, ...) [NNC_ACT_##suffix] = #name,
    static const char *const names[] = {NNC_ACTIVATION_LIST(NAME) NAME(SOFTMAX, softmax)};
#undef NAME
    return names[activation];
}

const char *nnc_loss_name(nnc_loss loss)
{
#define NAME(suffix, name) [NNC_LOSS_##suffix] = #name,
    static const char *const names[NNC_LOSS_COUNT] = {NNC_LOSS_LIST(NAME)};
#undef NAME
    return names[loss];
}

const char *nnc_optimizer_name(nnc_optimizer optimizer)
{
#define NAME(suffix, name, state) [NNC_OPTIMIZER_##suffix] = #name,
    static const char *const names[NNC_OPTIMIZER_COUNT] = {NNC_OPTIMIZER_LIST(NAME)};
#undef NAME
    return names[optimizer];
}

size_t nnc_optimizer_state(nnc_optimizer optimizer)
{
#define STATE(suffix, name, state) [NNC_OPTIMIZER_##suffix] = state,
    static const size_t states[NNC_OPTIMIZER_COUNT] = {NNC_OPTIMIZER_LIST(STATE)};
#undef STATE
    return states[optimizer];
}

const char *nnc_function_name(nnc_function function)
{
#define NAME(suffix, name) [NNC_FUNCTION_##suffix] = #name,
    static const char *const names[NNC_FUNCTION_COUNT] = {NNC_FUNCTION_LIST(NAME)};
#undef NAME
    return names[function];
}

const char *nnc_minimizer_name(nnc_minimizer minimizer)
{
#define NAME(suffix, name) [NNC_MINIMIZER_##suffix] = #name,
    static const char *const names[NNC_MINIMIZER_COUNT] = {NNC_MINIMIZER_LIST(NAME)};
#undef NAME
    return names[minimizer];
}

const char *nnc_ending_name(nnc_ending ending)
{
#define NAME(suffix, name) [NNC_ENDING_##suffix] = #name,
    static const char *const names[NNC_ENDING_COUNT] = {NNC_ENDING_LIST(NAME)};
#undef NAME
    return names[ending];
}

size_t nnc_dtype_size(nnc_dtype dtype)
{
#define SIZE(name, type, numpy_name) [name] = sizeof(type),
    static const size_t sizes[NNC_DTYPE_COUNT] = {NNC_DTYPE_LIST(SIZE)};
#undef SIZE
    return sizes[dtype];
}
