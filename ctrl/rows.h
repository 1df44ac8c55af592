/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the plan to the rows of the steering tables, whichever provider's they
 * are: services, SNAT addresses, and all addresses of ours (hosts).
 */
#ifndef CARRYALL_ROWS_H
#define CARRYALL_ROWS_H

#include <stddef.h>

#include "ctrl/plan.h"
#include "dataplane/steer_rows.h"

/* The longest key and value of the tables. */
#define ROWS_KEY_MAX   sizeof(struct steer_key)
#define ROWS_VALUE_MAX sizeof(struct steer_target)

/* A row as bytes: values are aligned by copying them out. */
struct row {
	unsigned char key[ROWS_KEY_MAX];
	unsigned char value[ROWS_VALUE_MAX];
};

/* Rows wanted in one table: keys of one size, values too; each key once. */
struct rows {
	size_t key_size, value_size;
	unsigned int n, max;
	struct row *row;
};

struct steer_rows {
	struct rows services; /* struct steer_key -> struct steer_target */
	struct rows snat;     /* struct ip_addr -> struct steer_target */
	struct rows hosts;    /* struct ip_addr -> struct steer_host */
};

struct steer_rows_max {
	unsigned int services, snat, hosts;
};

/*
 * The rows of `plan`, to be freed with steer_rows_free(). 0; -E2BIG when
 * there are more than `max`, or -ENOMEM: then nothing is to be freed.
 * Thread: any.
 */
int steer_rows_init(struct steer_rows *w, const struct plan *plan,
	const struct steer_rows_max *max);
void steer_rows_free(struct steer_rows *w);

/* The row of `key`, or NULL. */
struct row *rows_find(const struct rows *r, const void *key);

#endif
