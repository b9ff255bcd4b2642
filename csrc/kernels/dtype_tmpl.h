/* dtype_tmpl.h - the kernels of one ISA and dtype, in the order in which they build on each other,
 * and the table of them: nnc_kernels_f32_avx2 and so on. */
#include "kernels/vec_tmpl.h"
#include "kernels/math_tmpl.h"
#include "kernels/activation_tmpl.h"
#include "kernels/elementwise_tmpl.h"
#include "kernels/optimizer_tmpl.h"
#include "kernels/loss_tmpl.h"
#include "kernels/softmax_tmpl.h"
#include "kernels/dense_tmpl.h"
#include "kernels/weights_tmpl.h"
#include "kernels/random_tmpl.h"
#include "kernels/norm_tmpl.h"
#include "kernels/transpose_tmpl.h"
#include "kernels/outer_tmpl.h"
#include "kernels/row_tmpl.h"
#include "kernels/tiny_tmpl.h"

#define NNC_MAP(id, name) [NNC_FUNCTION_##id] = NNC_FN(map_##name),
#define NNC_ACTIVATE(id, name, ...) [NNC_ACT_##id] = NNC_FN(activate_##name),
#define NNC_ACTIVATE_BACKWARD(id, name, ...) [NNC_ACT_##id] = NNC_FN(activate_backward_##name),
#define NNC_LOSS(id, name, ...) [NNC_LOSS_##id] = NNC_FN(loss_##name),
#define NNC_LOGIT_LOSS(id, name) [NNC_LOSS_##id] = NNC_FN(logit_loss_##name),
#define NNC_STEP(id, name, ...) [NNC_OPTIMIZER_##id] = NNC_FN(step_##name),

const nnc_kernels NNC_FN(nnc_kernels) = {
    .map = {NNC_FUNCTION_LIST(NNC_MAP)},
    .activate = {NNC_ACTIVATION_LIST(NNC_ACTIVATE)},
    .activate_backward = {NNC_ACTIVATION_LIST(NNC_ACTIVATE_BACKWARD)},
    .dense_forward = NNC_FN(dense_forward),
    .dense_backward = NNC_FN(dense_backward),
    .dense_weights = NNC_FN(dense_weights),
    .dense_row = NNC_FN(dense_row),
    .dense_rest = NNC_FN(dense_rest),
    .outer = NNC_FN(outer),
    .transpose = NNC_FN(transpose),
    .turn_panel = NNC_FN(turn_panel),
    .gather = NNC_FN(gather),
    .dropout = NNC_FN(dropout),
    .layer_norm = NNC_FN(layer_norm),
    .layer_norm_backward = NNC_FN(layer_norm_backward),
    .moments = NNC_FN(moments),
    .batch_norm = NNC_FN(batch_norm),
    .batch_norm_backward = NNC_FN(batch_norm_backward),
    .norm_sums = NNC_FN(norm_sums),
    .blend = NNC_FN(blend),
    .loss = {NNC_LOSS_LIST(NNC_LOSS)},
    .loss_from_logits = {NNC_LOGIT_LOSS_LIST(NNC_LOGIT_LOSS)},
    .softmax = NNC_FN(softmax),
    .log_softmax = NNC_FN(log_softmax),
    .softmax_loss = NNC_FN(softmax_loss),
    .match = NNC_FN(match),
    .match_sides = NNC_FN(match_sides),
    .sum = NNC_FN(sum),
    .subtract = NNC_FN(subtract),
    .classify = NNC_FN(classify),
    .fill = NNC_FN(fill),
    .add_slices = NNC_FN(add_slices),
    .divide = NNC_FN(divide),
    .descend = NNC_FN(descend),
    .update = NNC_FN(update),
    .step = {NNC_OPTIMIZER_LIST(NNC_STEP)},
    .regularize = NNC_FN(regularize),
    .squares = NNC_FN(squares),
    .scale = NNC_FN(scale),
    .average = NNC_FN(average),
    .first_nonfinite = NNC_FN(first_nonfinite),
    .train_tiny = NNC_FN(train_tiny),
};
