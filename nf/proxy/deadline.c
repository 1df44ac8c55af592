/* SPDX-License-Identifier: BSD-3-Clause */
/* When a session's time is up: one deadline each, moved lazily. */
#include <errno.h>

#include "nf/proxy/proxy.h"

/* Sessions that are looked at in one tick. */
#define SLICE 256

static uint32_t
index_of(const struct session *s)
{
	return (uint32_t)(s - s->proxy->session);
}

static uint32_t
now32(const struct proxy *p)
{
	return (uint32_t)p->now_ms;
}

void
deadline_end(struct session *s)
{
	s->deadline = 0;
	if (s->armed_at == 0)
		return;
	wheel_unlink(&s->proxy->wheel, index_of(s));
	s->armed_at = 0;
}

void
deadline_set(struct session *s, uint32_t ms)
{
	struct proxy *p = s->proxy;
	uint32_t at = now32(p) + ms;

	if (ms == 0) {
		s->deadline = 0;
		return;
	}
	/* 0 means none. */
	s->deadline = at | (at == 0);
	if (s->armed_at != 0 && (int32_t)(s->deadline - s->armed_at) >= 0)
		return;
	if (s->armed_at != 0)
		wheel_unlink(&p->wheel, index_of(s));
	wheel_arm(&p->wheel, index_of(s), p->now_ms, ms);
	s->armed_at = s->deadline;
}

/* Nothing that is still to come of it can be waited for any more. */
static void
late(struct session *s)
{
	s->deadline = 0;
	switch (s->state) {
	case SESSION_HEAD:
		answer_error(s, 408, HTTP_ERR_TIMEOUT, false);
		break;
	case SESSION_BUSY:
		exchange_late(s);
		break;
	case SESSION_TUNNEL:
		tunnel_lost(s, -ETIMEDOUT);
		break;
	case SESSION_PREFACE:
		session_drop(s);
		break;
	default:
		session_close(s, false);
		break;
	}
	if (s->state != SESSION_FREE)
		session_run(s);
}

bool
deadline_tick(struct proxy *p)
{
	for (uint32_t k = 0; k < SLICE; k++) {
		uint32_t i = wheel_pop(&p->wheel, p->now_ms);
		struct session *s = &p->session[i];
		int32_t left;

		if (i == WHEEL_NONE)
			return false;
		s->armed_at = 0;
		if (s->deadline == 0)
			continue;
		left = (int32_t)(s->deadline - now32(p));
		if (left > 0)
			deadline_set(s, (uint32_t)left);
		else
			late(s);
	}
	return true;
}

uint32_t
deadline_wait(const struct proxy *p, uint32_t max_ms)
{
	return wheel_wait(&p->wheel, p->now_ms, max_ms);
}
