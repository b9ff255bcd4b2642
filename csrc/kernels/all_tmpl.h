/* all_tmpl.h - every kernel of one ISA, and its tables for float and for double.
 *
 * Expects, from the ISA's file:
 *   NNC_ISA             the ISA's name
 *   NNC_VECTOR_BYTES    16, 32 or 64
 *   NNC_FMA             1 where the target region has fused multiply-add
 *   NNC_TILE_ROWS, _VECTORS, _GRID   the register tile of dense_forward and dense_backward
 *   NNC_DOT_ROWS, _GRID              the register tile of dense_weights (columns: 4)
 *
 * The templates see these words, which mean another type and function in each pass:
 *   real, vreal, vint   the element; a vector of them; a vector of integers as wide as them
 *   VLEN, PARTS         elements in a vector; vectors in a logical vector of NNC_LINE bytes
 *   v_fma, v_exp, …     operations on vectors: vec_tmpl.h, math_tmpl.h
 *   NNC_FN(name)        name_f32_avx2 and so on */
#define NNC_JOIN_(name, suffix, isa) name##_##suffix##_##isa
#define NNC_JOIN(name, suffix, isa) NNC_JOIN_(name, suffix, isa)
#define NNC_FN(name) NNC_JOIN(name, NNC_SUFFIX, NNC_ISA)

#define VLEN (NNC_VECTOR_BYTES / sizeof(real))
#define PARTS (NNC_LINE / NNC_VECTOR_BYTES)
#define LANES (NNC_LINE / sizeof(real))

#define vreal NNC_FN(vreal)
#define vint NNC_FN(vint)
#define vuint NNC_FN(vuint)
#define vunaligned NNC_FN(vunaligned)
#define v_first NNC_FN(v_first)
#define v_any NNC_FN(v_any)
#define v_load NNC_FN(v_load)
#define v_load_part NNC_FN(v_load_part)
#define v_store NNC_FN(v_store)
#define v_store_part NNC_FN(v_store_part)
#define at NNC_FN(at)
#define put NNC_FN(put)
#define v_set1 NNC_FN(v_set1)
#define v_select NNC_FN(v_select)
#define v_keep NNC_FN(v_keep)
#define v_abs NNC_FN(v_abs)
#define v_sqrt NNC_FN(v_sqrt)
#define v_fma NNC_FN(v_fma)
#define s_fma NNC_FN(s_fma)
#define v_fold_halves NNC_FN(v_fold_halves)
#define v_fold_quarters NNC_FN(v_fold_quarters)
#define v_fold_fours NNC_FN(v_fold_fours)
#define v_fold_twos NNC_FN(v_fold_twos)
#define v_fold_all NNC_FN(v_fold_all)
#define v_fold_parts NNC_FN(v_fold_parts)
#define v_fold4 NNC_FN(v_fold4)
#define v_polynomial NNC_FN(v_polynomial)
#define v_power_of_two NNC_FN(v_power_of_two)
#define v_sign_of NNC_FN(v_sign_of)
#define v_product_error NNC_FN(v_product_error)
#define v_sum_error NNC_FN(v_sum_error)
#define v_reduce NNC_FN(v_reduce)
#define v_exp_rest NNC_FN(v_exp_rest)
#define v_halve_power NNC_FN(v_halve_power)
#define v_exp NNC_FN(v_exp)
#define v_expm1 NNC_FN(v_expm1)
#define v_logistic NNC_FN(v_logistic)
#define v_sigmoid NNC_FN(v_sigmoid)
#define v_silu NNC_FN(v_silu)
#define v_tanh NNC_FN(v_tanh)
#define v_log_sum NNC_FN(v_log_sum)
#define v_split NNC_FN(v_split)
#define v_log_limits NNC_FN(v_log_limits)
#define v_log NNC_FN(v_log)
#define v_log1p NNC_FN(v_log1p)
#define v_log1p_unit NNC_FN(v_log1p_unit)
#define v_softplus_tail NNC_FN(v_softplus_tail)
#define v_softplus NNC_FN(v_softplus)
#define v_mills NNC_FN(v_mills)
#define v_erf NNC_FN(v_erf)
#define v_gelu NNC_FN(v_gelu)
#define v_gelu_slope NNC_FN(v_gelu_slope)

#define NNC_SUFFIX f32
#define NNC_REAL_IS_DOUBLE 0
#define real float
#include "kernels/dtype_tmpl.h"
#undef NNC_SUFFIX
#undef NNC_REAL_IS_DOUBLE
#undef real

#define NNC_SUFFIX f64
#define NNC_REAL_IS_DOUBLE 1
#define real double
#include "kernels/dtype_tmpl.h"
#undef NNC_SUFFIX
#undef NNC_REAL_IS_DOUBLE
#undef real
