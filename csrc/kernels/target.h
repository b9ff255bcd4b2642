/* target.h - the target region of an ISA's file, and lists of tile shapes.
 *
 * NNC_TARGET_BEGIN(features) … NNC_TARGET_END compiles what is between for those CPU features.
 * System headers must come before the region, or their inline functions would belong to it. */
#ifndef NNC_KERNELS_TARGET_H
#define NNC_KERNELS_TARGET_H

#define NNC_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define NNC_TARGET_BEGIN(features) \
    NNC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define NNC_TARGET_END NNC_PRAGMA(clang attribute pop)
#else
#define NNC_TARGET_BEGIN(features) NNC_PRAGMA(GCC push_options) NNC_PRAGMA(GCC target(features))
#define NNC_TARGET_END NNC_PRAGMA(GCC pop_options)
#endif

/* NNC_ROWS_R(X, c): X(rows, c) for every number of rows up to R. */
#define NNC_ROWS_2(X, c) X(1, c) X(2, c)
#define NNC_ROWS_3(X, c) NNC_ROWS_2(X, c) X(3, c)
#define NNC_ROWS_4(X, c) NNC_ROWS_3(X, c) X(4, c)
#define NNC_ROWS_5(X, c) NNC_ROWS_4(X, c) X(5, c)
#define NNC_ROWS_6(X, c) NNC_ROWS_5(X, c) X(6, c)
#define NNC_ROWS_8(X, c) NNC_ROWS_6(X, c) X(7, c) X(8, c)
#define NNC_ROWS_12(X, c) NNC_ROWS_8(X, c) X(9, c) X(10, c) X(11, c) X(12, c)

#endif
