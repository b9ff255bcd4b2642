/* init.c - initial parameters. */
#include "core/base.h"
#include "core/fpmode.h"
#include "nnc.h"

/* Drawn in double and then rounded, so that float32 starts at the rounded float64 weights. */
void nnc_init(nnc_dtype dtype, void *params, nnc_rng *rng, double scale, size_t n)
{
    double draws[256];
    float *as_f32 = params;
    double *as_f64 = params;
    nnc_fpmode caller = nnc_fpmode_enter();
    for (size_t start = 0; start < n; start += 256) {
        size_t count = nnc_min(n - start, 256);
        nnc_rng_normal(rng, draws, count);
        for (size_t i = 0; i < count; i++) {
            double value = draws[i] * scale;
            if (dtype == NNC_F32)
                as_f32[start + i] = (float)value;
            else
                as_f64[start + i] = value;
        }
    }
    nnc_fpmode_leave(caller);
}
