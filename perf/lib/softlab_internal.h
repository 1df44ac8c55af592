/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the files of softlab. */
#ifndef PERF_SOFTLAB_INTERNAL_H
#define PERF_SOFTLAB_INTERNAL_H

#include "perf/lib/softlab.h"

/* The tables, and what of grants depends on pages and paths: 0 or -1. */
int softlab_fill(struct softlab *lab);

#endif
