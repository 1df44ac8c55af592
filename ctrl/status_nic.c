/* SPDX-License-Identifier: BSD-3-Clause */
/* What the NIC in software does, in the status. */
#include "ctrl/status.h"

static json_t *
count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* Totals of its uplinks; what it lost is told of each uplink and VNIC. */
static void
add_totals(json_t *o, const struct softnic_stats *s, uint32_t n)
{
	uint64_t rx = 0, rx_bytes = 0, tx = 0, tx_bytes = 0, injected = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct softnic_uplink_stats *u = &s->uplink[i];

		rx += u->rx_packets;
		rx_bytes += u->rx_bytes;
		tx += u->tx_packets;
		tx_bytes += u->tx_bytes;
		injected += u->injected;
	}
	json_object_set_new(o, "rx_packets", count(rx));
	json_object_set_new(o, "rx_bytes", count(rx_bytes));
	json_object_set_new(o, "tx_packets", count(tx));
	json_object_set_new(o, "tx_bytes", count(tx_bytes));
	json_object_set_new(o, "injected", count(injected));
}

static unsigned int
attached(const struct softnic_stats *s, uint32_t n)
{
	unsigned int sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += s->vnic[i].attached != 0;
	return sum;
}

json_t *
status_nic_json(const struct status_source *src)
{
	const struct supervised *n =
		supervisor_get(src->supervisor, SUPERVISOR_NIC);
	const struct softnic_stats *s;
	json_t *o;

	if (n == NULL)
		return NULL;
	s = n->nic_stats;
	o = json_pack("{s:i, s:i, s:s, s:b, s:i, s:f, s:i}", "pid", (int)n->pid,
		"core", (int)src->plan->config->nic_core, "state",
		status_state_name(n->state), "adopted", n->adopted, "restarts",
		(int)n->restarts, "busy_percent", src->nic_load->busy_percent,
		"attached", (int)attached(s, src->plan->n_instances));
	if (o == NULL)
		return NULL;
	add_totals(o, s, src->plan->config->n_uplinks);
	json_object_set_new(o, "sleeps", count(s->sleeps));
	json_object_set_new(o, "no_buffers", count(s->no_buffers));
	json_object_set_new(o, "generation", count(n->generation));
	if (n->refused[0] != '\0')
		json_object_set_new(o, "refused", json_string(n->refused));
	if (n->state == SUPERVISOR_WAITING)
		json_object_set_new(o, "back_off_ms", count(n->delay_ms));
	return o;
}
