/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/flow.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <rte_common.h>
#include <rte_hash.h>
#include <rte_malloc.h>

#include "dataplane/flow_keys.h"

static uint32_t
heads(void)
{
	return FLOW_LISTS + FLOW_WHEEL_SLOTS;
}

size_t
flow_table_memory(uint32_t n)
{
	return ((size_t)n + heads()) * sizeof(struct flow) +
	       flow_keys_memory(2 * n);
}

static void
make_lists(struct flow_table *t, uint64_t now_ms)
{
	wheel_init(&t->wheel, &t->flow->link, sizeof(struct flow),
		t->n + FLOW_LISTS, FLOW_WHEEL_SLOTS, FLOW_WHEEL_SHIFT, now_ms);
	for (uint32_t list = 0; list < FLOW_LISTS; list++)
		wheel_list_init(&t->wheel, t->n + list);
	for (uint32_t i = 0; i < t->n; i++)
		t->flow[i].link.next = i + 1;
	t->flow[t->n - 1].link.next = WHEEL_NONE;
	t->free = 0;
}

int
flow_table_init(
	struct flow_table *t, uint32_t n, const char *name, uint64_t now_ms)
{
	t->n = n;
	t->live = t->half = 0;
	if (getrandom(t->key, sizeof(t->key), 0) != sizeof(t->key))
		return -EIO;
	t->flow = rte_zmalloc(NULL, ((size_t)n + heads()) * sizeof(struct flow),
		sizeof(struct flow));
	if (t->flow == NULL)
		return -ENOMEM;
	t->hash = flow_keys_create(2 * n, name);
	if (t->hash == NULL)
		return -ENOMEM;
	make_lists(t, now_ms);
	return 0;
}

void
flow_table_fini(struct flow_table *t)
{
	rte_hash_free(t->hash);
	rte_free(t->flow);
	t->hash = NULL;
	t->flow = NULL;
}

struct flow *
flow_lookup(const struct flow_table *t, uint64_t key, enum flow_dir *dir)
{
	void *data;

	if (rte_hash_lookup_with_hash_data(
		    t->hash, &key, (hash_sig_t)key, &data) < 0)
		return NULL;
	return flow_of(t, (uintptr_t)data, dir);
}

void
flow_warm(const struct flow_table *t, const uint64_t *key, uint32_t n)
{
	const void *key_at[FLOW_WARM_MAX];
	hash_sig_t sig[FLOW_WARM_MAX];
	void *data[FLOW_WARM_MAX];
	uint64_t hits;

	for (uint32_t i = 0; i < n; i++) {
		key_at[i] = &key[i];
		sig[i] = (hash_sig_t)key[i];
	}
	if (n > 0)
		rte_hash_lookup_with_hash_bulk_data(
			t->hash, key_at, sig, n, &hits, data);
}

struct flow *
flow_alloc(struct flow_table *t)
{
	struct flow *f;

	if (t->free == WHEEL_NONE)
		return NULL;
	f = &t->flow[t->free];
	t->free = f->link.next;
	t->live++;
	memset(f, 0, sizeof(*f));
	return f;
}

void
flow_table_recount(struct flow_table *t)
{
	t->free = WHEEL_NONE;
	t->live = t->n;
	for (uint32_t i = t->n; i-- > 0;)
		if (t->flow[i].state == FLOW_FREE)
			flow_free(t, &t->flow[i]);
}

void
flow_free(struct flow_table *t, struct flow *f)
{
	f->link.next = t->free;
	t->free = flow_index(t, f);
	t->live--;
}

/* rte_hash would silently lead an old key to the new entry: look first. */
static int
add_key(struct flow_table *t, uint64_t key, uintptr_t data)
{
	hash_sig_t sig = (hash_sig_t)key;

	if (rte_hash_lookup_with_hash(t->hash, &key, sig) >= 0)
		return -EEXIST;
	if (rte_hash_add_key_with_hash_data(t->hash, &key, sig, (void *)data))
		return -ENOSPC;
	return 0;
}

static void
del_key(struct flow_table *t, uint64_t key)
{
	rte_hash_del_key_with_hash(t->hash, &key, (hash_sig_t)key);
}

int
flow_insert(struct flow_table *t, struct flow *f, uint64_t key0, uint64_t key1)
{
	uintptr_t data = (uintptr_t)flow_index(t, f) << 1;
	int rc;

	rc = add_key(t, key0, data | FLOW_CLIENT);
	if (rc != 0)
		return rc;
	rc = add_key(t, key1, data | FLOW_BACKEND);
	if (rc != 0)
		del_key(t, key0);
	return rc;
}

void
flow_erase(struct flow_table *t, uint64_t key0, uint64_t key1)
{
	del_key(t, key0);
	del_key(t, key1);
}

static int
is_half_open(enum flow_state s)
{
	return s == FLOW_SYN || s == FLOW_SYN_RCVD || s == FLOW_UDP_NEW;
}

void
flow_unlink(struct flow_table *t, struct flow *f)
{
	if (f->state == FLOW_FREE)
		return;
	wheel_unlink(&t->wheel, flow_index(t, f));
	t->half -= (uint32_t)is_half_open((enum flow_state)f->state);
	f->state = FLOW_FREE;
}

static void
append(struct flow_table *t, struct flow *f, enum flow_list list)
{
	wheel_list_append(&t->wheel, t->n + (uint32_t)list, flow_index(t, f));
}

void
flow_set_state(struct flow_table *t, struct flow *f, enum flow_state state,
	uint64_t now_ms, uint32_t timeout_ms)
{
	flow_unlink(t, f);
	f->state = (uint8_t)state;
	f->stamp = (uint32_t)now_ms;
	t->half += (uint32_t)is_half_open(state);
	switch (state) {
	case FLOW_SYN:
	case FLOW_SYN_RCVD:
		append(t, f, FLOW_LIST_HALF);
		break;
	case FLOW_UDP_NEW:
		f->queued = f->stamp;
		append(t, f, FLOW_LIST_UDP_NEW);
		break;
	case FLOW_CLOSED:
		append(t, f, FLOW_LIST_CLOSED);
		break;
	default:
		wheel_arm(&t->wheel, flow_index(t, f), now_ms, timeout_ms);
	}
}

struct flow *
flow_oldest(const struct flow_table *t, enum flow_list list)
{
	uint32_t i = wheel_list_first(&t->wheel, t->n + (uint32_t)list);

	return i == WHEEL_NONE ? NULL : &t->flow[i];
}
