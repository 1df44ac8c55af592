/* SPDX-License-Identifier: BSD-3-Clause */
#include "nf/lb/state.h"

#define SYN_ACK (PACKET_SYN | PACKET_ACK)

struct segment {
	uint32_t seq, ack;
	uint32_t end; /* sequence number after it, SYN and FIN counted */
};

static struct segment
segment_of(const struct packet *p)
{
	const uint8_t *tcp = p->data + p->l4;
	struct segment s;
	uint32_t payload = p->l4_len - (tcp[12] >> 4) * 4u;

	s.seq = rte_be_to_cpu_32(packet_get32(tcp + 4));
	s.ack = rte_be_to_cpu_32(packet_get32(tcp + 8));
	s.end = s.seq + payload + ((p->tcp_flags & PACKET_SYN) != 0) +
		((p->tcp_flags & PACKET_FIN) != 0);
	return s;
}

/* 1 if sequence number a is at or after b (RFC 9293 section 3.4). */
static int
seq_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

static enum flow_state
syn_ack_seen(struct flow *f, const struct segment *s)
{
	f->isn = s->seq;
	f->next = s->end;
	return FLOW_SYN_RCVD;
}

/* ESTABLISHED and FIN: note who has closed, and whose FIN is acked. */
static enum flow_state
track_fin(struct flow *f, enum flow_dir dir, const struct packet *p,
	const struct segment *s)
{
	const enum flow_dir other = (enum flow_dir) !dir;

	if (p->tcp_flags & PACKET_FIN) {
		f->flags |= FLOW_F_FIN(dir);
		f->fin[dir] = s->end;
	}
	if ((p->tcp_flags & PACKET_ACK) && (f->flags & FLOW_F_FIN(other)) &&
		seq_after(s->ack, f->fin[other]))
		f->flags |= FLOW_F_ACK(other);
	if ((f->flags & FLOW_F_ACK(0)) && (f->flags & FLOW_F_ACK(1)))
		return FLOW_CLOSED;
	if (f->flags & (FLOW_F_FIN(0) | FLOW_F_FIN(1)))
		return FLOW_FIN;
	return FLOW_ESTABLISHED;
}

/*
 * The client's ACK must name a byte that only the backend's SYN+ACK told: up
 * to `next`, which is beyond isn + 1 only with TCP Fast Open (RFC 7413).
 */
static enum flow_state
track_handshake(struct flow *f, enum flow_dir dir, const struct packet *p,
	const struct segment *s)
{
	if (dir == FLOW_BACKEND) {
		if ((p->tcp_flags & SYN_ACK) == SYN_ACK)
			return syn_ack_seen(f, s);
		if (seq_after(s->end, f->next) && s->end - f->isn < 1u << 20)
			f->next = s->end;
		return FLOW_SYN_RCVD;
	}
	if ((p->tcp_flags & SYN_ACK) != PACKET_ACK ||
		s->ack - (f->isn + 1) > f->next - (f->isn + 1))
		return FLOW_SYN_RCVD;
	f->flags |= FLOW_F_EST;
	return track_fin(f, dir, p, s);
}

/*
 * The log had no more than the opening of a recovered connection, but the
 * backend has the connection. A client's word alone would not do.
 */
static enum flow_state
track_recovered(struct flow *f, const struct packet *p, const struct segment *s)
{
	f->flags |= FLOW_F_EST;
	return track_fin(f, FLOW_BACKEND, p, s);
}

static enum flow_state
track_closed(struct flow *f, enum flow_dir dir, const struct packet *p,
	const struct segment *s)
{
	const uint8_t resets = FLOW_F_RST(0) | FLOW_F_RST(1);

	if (!(f->flags & resets))
		return FLOW_CLOSED;
	if ((p->tcp_flags & SYN_ACK) == SYN_ACK) {
		if (dir != FLOW_BACKEND)
			return FLOW_CLOSED;
		f->flags &= FLOW_F_V6;
		return syn_ack_seen(f, s);
	}
	if ((p->tcp_flags & PACKET_SYN) || !(f->flags & FLOW_F_EST) ||
		!(f->flags & FLOW_F_RST(dir)))
		return FLOW_CLOSED;
	f->flags &= (uint8_t)~resets;
	return track_fin(f, dir, p, s);
}

enum flow_state
state_tcp(struct flow *f, enum flow_dir dir, const struct packet *p)
{
	struct segment s = segment_of(p);

	if (p->tcp_flags & PACKET_RST) {
		f->flags |= FLOW_F_RST(dir);
		return FLOW_CLOSED;
	}
	switch (f->state) {
	case FLOW_SYN:
		if (dir == FLOW_BACKEND && (p->tcp_flags & SYN_ACK) == SYN_ACK)
			return syn_ack_seen(f, &s);
		if (f->grace > 0 && dir == FLOW_BACKEND &&
			(p->tcp_flags & SYN_ACK) == PACKET_ACK)
			return track_recovered(f, p, &s);
		return FLOW_SYN;
	case FLOW_SYN_RCVD:
		return track_handshake(f, dir, p, &s);
	case FLOW_CLOSED:
		return track_closed(f, dir, p, &s);
	default:
		return track_fin(f, dir, p, &s);
	}
}
