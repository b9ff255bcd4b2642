/* target.h - the target region of an ISA's file, and the grids of tile shapes.
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

/* NNC_GRID_RxC(X): X(rows, columns) for every tile up to R x C. */
#define NNC_COLUMN_2(X, c) X(1, c) X(2, c)
#define NNC_COLUMN_3(X, c) NNC_COLUMN_2(X, c) X(3, c)
#define NNC_COLUMN_4(X, c) NNC_COLUMN_3(X, c) X(4, c)
#define NNC_COLUMN_5(X, c) NNC_COLUMN_4(X, c) X(5, c)
#define NNC_COLUMN_6(X, c) NNC_COLUMN_5(X, c) X(6, c)
#define NNC_GRID_2x4(X) NNC_COLUMN_2(X, 1) NNC_COLUMN_2(X, 2) NNC_COLUMN_2(X, 3) NNC_COLUMN_2(X, 4)
#define NNC_GRID_3x4(X) NNC_COLUMN_3(X, 1) NNC_COLUMN_3(X, 2) NNC_COLUMN_3(X, 3) NNC_COLUMN_3(X, 4)
#define NNC_GRID_4x2(X) NNC_COLUMN_4(X, 1) NNC_COLUMN_4(X, 2)
#define NNC_GRID_4x3(X) NNC_GRID_4x2(X) NNC_COLUMN_4(X, 3)
#define NNC_GRID_5x4(X) NNC_COLUMN_5(X, 1) NNC_COLUMN_5(X, 2) NNC_COLUMN_5(X, 3) NNC_COLUMN_5(X, 4)
#define NNC_GRID_5x5(X) NNC_GRID_5x4(X) NNC_COLUMN_5(X, 5)
#define NNC_GRID_6x4(X) NNC_COLUMN_6(X, 1) NNC_COLUMN_6(X, 2) NNC_COLUMN_6(X, 3) NNC_COLUMN_6(X, 4)

#endif
