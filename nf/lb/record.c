/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/record.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- writing --- */

static uint8_t
state_put(const struct flow *f)
{
	return f->state == FLOW_SYN_RCVD ? FLOW_SYN : f->state;
}

void
record_conn_put(
	void *at, const struct flow *f, uint32_t index, uint32_t idle_ms)
{
	const int v6 = f->flags & FLOW_F_V6;
	struct record_conn *r = at;

	*r = (struct record_conn){ .index = index,
		.idle_ms = idle_ms,
		.client_port = f->client_port,
		.snat_port = f->snat_port,
		.backend = f->backend,
		.snat = f->snat,
		.service = f->service,
		.state = state_put(f),
		.flags = f->flags };
	memcpy(r->client_mac, f->client_mac, sizeof(r->client_mac));
	if (v6)
		memcpy(r->tail, &f->client, 16);
	else
		r->tail[0] = f->client.w[3];
	if (f->flags & RECORD_F_FINS)
		memcpy(&r->tail[v6 ? 4 : 1], f->fin, sizeof(f->fin));
}

/* --- reading --- */

static int
state_is_good(const struct flow *f)
{
	switch (f->state) {
	case FLOW_SYN:
	case FLOW_UDP_NEW:
	case FLOW_UDP:
	case FLOW_ESTABLISHED:
		return 1;
	case FLOW_FIN:
		return (f->flags & RECORD_F_FINS) != 0;
	case FLOW_CLOSED:
		return record_may_return(f);
	default:
		return 0;
	}
}

static void
client_get(const struct record_conn *r, int v6, struct flow *f)
{
	if (v6)
		memcpy(&f->client, r->tail, 16);
	else
		f->client = ip_addr_from_v4(r->tail[0]);
	if (f->flags & RECORD_F_FINS)
		memcpy(f->fin, &r->tail[v6 ? 4 : 1], sizeof(f->fin));
}

int
record_conn_get(uint16_t kind, const void *data, size_t len, struct flow *f,
	uint32_t *index, uint32_t *idle_ms)
{
	const struct record_conn *r = data;

	if ((kind != RECORD_CONN4 && kind != RECORD_CONN6) || len < sizeof(*r))
		return -EINVAL;
	memset(f, 0, sizeof(*f));
	f->client_port = r->client_port;
	f->snat_port = r->snat_port;
	f->backend = r->backend;
	f->snat = r->snat;
	f->service = r->service;
	f->state = r->state;
	f->flags = r->flags;
	memcpy(f->client_mac, r->client_mac, sizeof(f->client_mac));
	if (record_conn_kind(f) != kind || record_conn_len(f) != len ||
		!state_is_good(f))
		return -EINVAL;
	client_get(r, kind == RECORD_CONN6, f);
	if (kind == RECORD_CONN6 && ip_addr_is_v4(&f->client))
		return -EINVAL;
	*index = r->index;
	*idle_ms = r->idle_ms;
	return 0;
}

/* --- telling --- */

static void
tell_addr(const struct nf_fields *out, const char *name,
	const struct ip_addr *a, uint16_t port)
{
	char addr[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + 10];
	const int v4 = ip_addr_is_v4(a);

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? (const void *)&a->w[3] : a,
		addr, sizeof(addr));
	if (port == 0)
		snprintf(text, sizeof(text), "%s", addr);
	else
		snprintf(text, sizeof(text), v4 ? "%s:%u" : "[%s]:%u", addr,
			ntohs(port));
	out->text(out->ctx, name, text);
}

static void
tell_mac(const struct nf_fields *out, const uint8_t mac[6])
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
		mac[1], mac[2], mac[3], mac[4], mac[5]);
	out->text(out->ctx, "mac", text);
}

static const char *const state_names[FLOW_STATES] = {
	[FLOW_SYN] = "syn",
	[FLOW_UDP_NEW] = "udp_new",
	[FLOW_CLOSED] = "closed",
	[FLOW_FIN] = "fin",
	[FLOW_ESTABLISHED] = "established",
	[FLOW_UDP] = "udp",
};

/* What has happened to a connection, by the state that it is in since. */
static const char *const event_names[FLOW_STATES] = {
	[FLOW_SYN] = "opened",
	[FLOW_UDP_NEW] = "opened",
	[FLOW_CLOSED] = "reset",
	[FLOW_FIN] = "closing",
	[FLOW_ESTABLISHED] = "established",
	[FLOW_UDP] = "established",
};

static const char *
tell_conn(uint16_t kind, const void *data, size_t len,
	const struct nf_fields *out)
{
	uint32_t index, idle_ms;
	struct flow f;

	if (record_conn_get(kind, data, len, &f, &index, &idle_ms) != 0)
		return NULL;
	out->number(out->ctx, "index", index);
	tell_addr(out, "client", &f.client, f.client_port);
	out->number(out->ctx, "service", f.service);
	out->number(out->ctx, "backend", f.backend);
	out->number(out->ctx, "snat", f.snat);
	out->number(out->ctx, "snat_port", ntohs(f.snat_port));
	out->text(out->ctx, "state", state_names[f.state]);
	tell_mac(out, f.client_mac);
	out->number(out->ctx, "idle_ms", idle_ms);
	return event_names[f.state];
}

static const char *
tell_server(uint16_t kind, const void *data, size_t len,
	const struct nf_fields *out)
{
	const struct record_server *r = data;

	if (len != sizeof(*r))
		return NULL;
	out->number(out->ctx, "slot", r->slot);
	tell_addr(out, "address", &r->addr, r->port);
	if (kind == RECORD_BACKEND) {
		out->number(out->ctx, "service", r->of);
		return "backend";
	}
	if (r->of == IPPROTO_TCP || r->of == IPPROTO_UDP)
		out->text(out->ctx, "protocol",
			r->of == IPPROTO_TCP ? "tcp" : "udp");
	else
		out->number(out->ctx, "protocol", r->of);
	return "service";
}

static const char *
tell_snat(const void *data, size_t len, const struct nf_fields *out)
{
	const struct record_snat *r = data;

	if (len != sizeof(*r))
		return NULL;
	out->number(out->ctx, "slot", r->slot);
	tell_addr(out, "address", &r->addr, 0);
	return "snat";
}

static const char *
tell_gone(const void *data, size_t len, const struct nf_fields *out)
{
	const struct record_gone *r = data;

	if (len != sizeof(*r))
		return NULL;
	out->number(out->ctx, "index", r->index);
	return "gone";
}

static const char *
tell_alive(const void *data, size_t len, const struct nf_fields *out)
{
	const struct record_alive *r = data;

	if (len != sizeof(*r))
		return NULL;
	out->number(out->ctx, "connections", r->connections);
	return "alive";
}

const char *
lb_record(uint16_t kind, const void *data, size_t len,
	const struct nf_fields *out)
{
	switch (kind) {
	case RECORD_SERVICE:
	case RECORD_BACKEND:
		return tell_server(kind, data, len, out);
	case RECORD_SNAT:
		return tell_snat(data, len, out);
	case RECORD_CONN4:
	case RECORD_CONN6:
		return tell_conn(kind, data, len, out);
	case RECORD_GONE:
		return tell_gone(data, len, out);
	case RECORD_ALIVE:
		return tell_alive(data, len, out);
	default:
		return NULL;
	}
}
