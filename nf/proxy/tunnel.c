/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes both ways: mode tcp from the first byte on, and what an Upgrade has
 * led to.
 *
 *   client == s->in ==> backend       each way ends by itself: a FIN goes on
 *   client <== s->out == backend      when all before it has
 *
 * A reset of either side, and time, end both by a reset.
 */
#include <errno.h>

#include "nf/proxy/head.h"

static void
end(struct session *s)
{
	report_end(s);
	s->x.flags &= (uint16_t)~EXCHANGE_TUNNEL;
}

static void
begin(struct session *s)
{
	s->state = SESSION_TUNNEL;
	s->x.flags |= EXCHANGE_TUNNEL;
	service_of(s)->http->tunnels++;
}

/* --- opening ------------------------------------------------------------- */

static void
refuse(struct session *s)
{
	report_error(s, HTTP_ERR_NO_BACKEND);
	end(s);
	session_abort(s);
}

static bool
tries_again(struct session *s)
{
	struct service *v = service_of(s);

	s->x.except = s->x.backend;
	if (s->x.retries >= v->conf.retries)
		return false;
	s->x.retries++;
	v->http->retries++;
	return true;
}

static void
find_backend(struct session *s)
{
	do {
		uint32_t slot = upstream_pick(s);

		if (slot == PROXY_NONE)
			break;
		s->x.backend = slot;
		if (server_connect(s, slot) == 0)
			return;
	} while (tries_again(s));
	refuse(s);
}

void
tunnel_open(struct session *s)
{
	const struct service *v = service_of(s);

	exchange_reset(s);
	deadline_set(s, 0);
	begin(s);
	if (v->live)
		s->x.group = v->conf.default_group;
	find_backend(s);
}

void
tunnel_connected(struct session *s)
{
	s->x.connected_us = s->proxy->now_us;
	if (server_preface(s) != 0) {
		refuse(s);
		return;
	}
	s->x.flags |= EXCHANGE_SENT;
	deadline_set(s, service_of(s)->conf.tunnel_ms);
}

void
tunnel_not_connected(struct session *s, int error)
{
	(void)error;
	if (tries_again(s))
		find_backend(s);
	else
		refuse(s);
}

void
tunnel_begin(struct session *s)
{
	begin(s);
	deadline_set(s, service_of(s)->conf.tunnel_ms);
	tunnel_pump(s);
}

/* --- moving -------------------------------------------------------------- */

static uint32_t
pump_in(struct session *s, struct server *v)
{
	uint32_t n = relay_pump(s->proxy, &s->in, v->conn, s->conn);

	s->x.bytes_in += n;
	if ((s->flags & SESSION_FIN) && s->in.bytes == 0 && !v->shut) {
		tcp_shutdown(v->conn);
		v->shut = true;
	}
	return n;
}

static uint32_t
pump_out(struct session *s, struct server *v)
{
	uint32_t n = relay_pump(
		s->proxy, &s->out, s->conn, v == NULL ? NULL : v->conn);

	s->x.bytes_out += n;
	if ((v == NULL || v->fin) && s->out.bytes == 0 &&
		!(s->flags & SESSION_SHUT)) {
		tcp_shutdown(s->conn);
		s->flags |= SESSION_SHUT;
	}
	return n;
}

/* Both have said their last, and it is with TCP: it does the rest. */
static bool
is_over(const struct session *s, const struct server *v)
{
	return (s->flags & SESSION_FIN) && (s->flags & SESSION_SHUT) &&
	       (v == NULL || (v->fin && v->shut));
}

void
tunnel_pump(struct session *s)
{
	struct server *v = server_of(s);
	uint32_t moved = 0;

	if (!(s->x.flags & EXCHANGE_SENT))
		return;
	if (v != NULL)
		moved += pump_in(s, v);
	moved += pump_out(s, v);
	if (is_over(s, v)) {
		end(s);
		server_end(s, false);
		session_close(s, false);
	} else if (moved > 0) {
		deadline_set(s, service_of(s)->conf.tunnel_ms);
	}
}

void
tunnel_input(struct session *s, struct rte_mbuf *data)
{
	uint32_t bufs;

	if (unlikely(relay_flooded(s->proxy, &s->out))) {
		rte_pktmbuf_free(data);
		tunnel_lost(s, -ENOBUFS);
		return;
	}
	bufs = pipe_push(s->proxy, &s->out, data);
	if (server_of(s) != NULL)
		tcp_returned(server_of(s)->conn, bufs);
	tunnel_pump(s);
}

/* --- ending -------------------------------------------------------------- */

void
tunnel_lost(struct session *s, int error)
{
	/* In order: there may still be something for the client to read. */
	if (error == 0) {
		tunnel_pump(s);
		return;
	}
	report_error(s, error == -ETIMEDOUT ? HTTP_ERR_TIMEOUT : HTTP_ERR_CUT);
	end(s);
	session_abort(s);
}

void
tunnel_client_gone(struct session *s, int error)
{
	if (error != 0)
		report_error(s, HTTP_ERR_CLIENT_GONE);
	end(s);
	server_end(s, error != 0 || s->in.bytes > 0);
	session_free(s);
}
