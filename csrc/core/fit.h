/* fit.h - the parts of nnc_fit that nnc_train wants, too. */
#ifndef NNC_CORE_FIT_H
#define NNC_CORE_FIT_H

#include "nnc.h"

typedef struct {
    bool in_slices; /* batches go in slices, whatever their size and that of the layers */
    bool long_way;  /* tiny networks, too, go step by step */
    nnc_rng *rng;   /* where not NULL, params start as nnc_init draws them from it */
    double scale;
} nnc_fit_start;

nnc_status nnc_fit_from(const nnc_fitting *fitting, const nnc_fit_start *from, void *params,
                        double *cost, double *accuracy, size_t *done);

/* nnc_train, which takes the short way for tiny networks, or else the long way for all. */
nnc_status nnc_train_either_way(const nnc_training *training, void *params, double *cost,
                                double *accuracy, size_t *done, bool short_way);

#endif
