/* SPDX-License-Identifier: BSD-3-Clause */
/* What the proxy answers itself, and how a response is broken off. */
#include "nf/proxy/head.h"

/*
 * The client has a part of a response, and cannot be told more than that it
 * ends: by the end of the connection where that is too early to be the
 * response's, else by a reset.
 */
static void
cut(struct session *s)
{
	struct exchange *x = &s->x;

	server_end(s, true);
	x->flags &= (uint16_t)~EXCHANGE_KEEP;
	x->flags |= EXCHANGE_ANSWERED;
	if ((x->flags & EXCHANGE_DECHUNK) ||
		x->from_backend.framing == HTTP_BODY_CLOSE)
		x->flags |= EXCHANGE_CUT;
	if (s->out.bytes == 0)
		exchange_end(s);
}

static struct rte_mbuf *
make(struct session *s, uint16_t status, bool keep)
{
	struct proxy *p = s->proxy;
	const struct service *v = service_of(s);
	const struct grant_text body = v->conf.error_body;
	const char *text = v->live && body.len > 0
				   ? grant_text(p->env->grant, body)
				   : NULL;
	ssize_t n = http_write_error(status, text, body.len, keep,
		s->x.method == HTTP_HEAD, p->scratch, sizeof(p->scratch));

	return n > 0 ? relay_copy(p, p->scratch, (size_t)n) : NULL;
}

/* May the connection go on after it? */
static bool
goes_on(const struct exchange *x)
{
	return (x->flags & EXCHANGE_KEEP) && x->minor == 1 &&
	       (x->from_client.framing == HTTP_BODY_NONE ||
		       (x->flags & EXCHANGE_ASKED));
}

void
answer_error(struct session *s, uint16_t status, enum stats_http_error error,
	bool keep)
{
	struct exchange *x = &s->x;
	struct rte_mbuf *m;

	report_error(s, error);
	if (x->flags & EXCHANGE_HEADED) {
		cut(s);
		return;
	}
	server_end(s, true);
	head_drop(s);
	keep = keep && goes_on(x);
	if (!keep)
		x->flags &= (uint16_t)~EXCHANGE_KEEP;
	x->status = status;
	x->flags |= EXCHANGE_HEADED | EXCHANGE_ANSWERED;
	s->state = SESSION_BUSY;
	m = make(s, status, keep);
	if (m == NULL) {
		report_end(s);
		session_abort(s);
		return;
	}
	response_send(s, m);
	if (s->out.bytes == 0)
		exchange_end(s);
	else
		deadline_set(s, service_of(s)->conf.idle_ms);
}
