/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/lwip_peer.h"

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

#define LIBRARY "liblwip.so.0"

/* What is used of it: functions, and variables by their address. */
#define SYMBOLS(S)                  \
	S(lwip_init)                \
	S(netif_add)                \
	S(netif_set_addr)           \
	S(netif_ip6_addr_set)       \
	S(netif_ip6_addr_set_state) \
	S(netif_set_default)        \
	S(netif_set_up)             \
	S(netif_set_link_up)        \
	S(ip_input)                 \
	S(pbuf_alloc)               \
	S(pbuf_take)                \
	S(pbuf_free)                \
	S(pbuf_copy_partial)        \
	S(tcp_tmr)                  \
	S(tcp_new_ip_type)          \
	S(tcp_arg)                  \
	S(tcp_recv)                 \
	S(tcp_sent)                 \
	S(tcp_err)                  \
	S(tcp_accept)               \
	S(tcp_bind)                 \
	S(tcp_connect)              \
	S(tcp_listen_with_backlog)  \
	S(tcp_recved)               \
	S(tcp_write)                \
	S(tcp_output)               \
	S(tcp_shutdown)             \
	S(tcp_close)                \
	S(tcp_abort)                \
	S(tcp_active_pcbs)          \
	S(tcp_tw_pcbs)              \
	S(tcp_bound_pcbs)           \
	S(tcp_listen_pcbs)

static struct {
#define S(name) __typeof__(name) *name;
	SYMBOLS(S)
#undef S
} lw;

/* A connection; the PCB is lwip's, and may go before it. */
struct lwip_conn {
	struct tcp_pcb *pcb;
	const struct lwip_events *events;
	void *user;
};

static struct netif lan;
static void (*link_output)(void *ctx, const uint8_t *ip, uint32_t n);
static void *link_ctx;

static struct tcp_pcb *listening;
static const struct lwip_events *listening_events;
static void *listening_user;

const char *
lwip_peer_load(void)
{
	void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	void *at;

	if (lib == NULL)
		return dlerror();
#define S(name)                                 \
	at = dlsym(lib, #name);                 \
	if (at == NULL)                         \
		return LIBRARY " lacks " #name; \
	memcpy(&lw.name, &at, sizeof(at));
	SYMBOLS(S)
#undef S
	lw.lwip_init();
	return NULL;
}

/* --- the link --- */

static err_t
output(struct pbuf *p)
{
	uint8_t ip[65536];

	ck_assert_uint_eq(
		lw.pbuf_copy_partial(p, ip, p->tot_len, 0), p->tot_len);
	if (link_output != NULL)
		link_output(link_ctx, ip, p->tot_len);
	return ERR_OK;
}

static err_t
output_v4(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
	(void)n;
	(void)to;
	return output(p);
}

static err_t
output_v6(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
	(void)n;
	(void)to;
	return output(p);
}

static err_t
link_init(struct netif *n)
{
	n->name[0] = 'l';
	n->name[1] = 'b';
	n->output = output_v4;
	n->output_ip6 = output_v6;
	return ERR_OK;
}

static ip_addr_t
address(const struct lwip_addr *a)
{
	ip_addr_t v4 = IPADDR4_INIT(a->word[3]);
	ip_addr_t v6 =
		IPADDR6_INIT(a->word[0], a->word[1], a->word[2], a->word[3]);

	return a->v4 ? v4 : v6;
}

void
lwip_peer_link(const struct lwip_addr *v4, const struct lwip_addr *v6,
	uint16_t mtu, void (*out)(void *ctx, const uint8_t *ip, uint32_t n),
	void *ctx)
{
	ip_addr_t a4 = address(v4), a6 = address(v6);
	ip4_addr_t mask = { PP_HTONL(0xff000000) }, none = { 0 };

	link_output = out;
	link_ctx = ctx;
	if (lan.output == NULL) {
		ck_assert_ptr_nonnull(lw.netif_add(&lan, ip_2_ip4(&a4), &mask,
			&none, NULL, link_init, lw.ip_input));
		lw.netif_set_default(&lan);
		lw.netif_set_link_up(&lan);
		lw.netif_set_up(&lan);
	}
	lan.mtu = lan.mtu6 = mtu;
	lw.netif_set_addr(&lan, ip_2_ip4(&a4), &mask, &none);
	lw.netif_ip6_addr_set(&lan, 0, ip_2_ip6(&a6));
	lw.netif_ip6_addr_set_state(&lan, 0, IP6_ADDR_PREFERRED);
}

void
lwip_peer_input(const uint8_t *ip, uint32_t n)
{
	struct pbuf *p = lw.pbuf_alloc(PBUF_LINK, (u16_t)n, PBUF_RAM);

	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(lw.pbuf_take(p, ip, (u16_t)n), ERR_OK);
	if (lan.input(p, &lan) != ERR_OK)
		lw.pbuf_free(p);
}

void
lwip_peer_tick(void)
{
	lw.tcp_tmr();
}

void
lwip_peer_clear(void)
{
	struct tcp_pcb *p;

	link_output = NULL;
	while ((p = *lw.tcp_active_pcbs) != NULL ||
		(p = *lw.tcp_tw_pcbs) != NULL ||
		(p = *lw.tcp_bound_pcbs) != NULL) {
		if (p->callback_arg != NULL)
			lwip_conn_release(p->callback_arg);
		lw.tcp_abort(p);
	}
	if (listening != NULL)
		lwip_peer_unlisten();
}

static unsigned int
count(const struct tcp_pcb *p)
{
	unsigned int n = 0;

	for (; p != NULL; p = p->next)
		n++;
	return n;
}

unsigned int
lwip_peer_connections(void)
{
	return count(*lw.tcp_active_pcbs) + count(*lw.tcp_tw_pcbs) +
	       count(*lw.tcp_bound_pcbs);
}

unsigned int
lwip_peer_listeners(void)
{
	return count(lw.tcp_listen_pcbs->pcbs);
}

/* --- events --- */

static err_t
on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t err)
{
	struct lwip_conn *c = arg;

	(void)pcb;
	ck_assert_int_eq(err, ERR_OK);
	if (data == NULL) {
		c->events->finished(c, c->user);
		return ERR_OK;
	}
	for (const struct pbuf *p = data; p != NULL; p = p->next)
		c->events->received(c, c->user, p->payload, p->len);
	lw.pbuf_free(data);
	return ERR_OK;
}

static err_t
on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct lwip_conn *c = arg;

	(void)pcb;
	(void)len;
	c->events->room(c, c->user);
	return ERR_OK;
}

/* lwip has freed the PCB. */
static void
on_error(void *arg, err_t err)
{
	struct lwip_conn *c = arg;

	c->pcb = NULL;
	c->events->closed(c, c->user,
		err == ERR_CLSD  ? 0
		: err == ERR_RST ? -ECONNRESET
				 : -ETIMEDOUT);
	free(c);
}

/* Peers that vanish must be noticed: what is reset may not hear of it. */
static struct lwip_conn *
adopt(struct tcp_pcb *pcb, const struct lwip_events *events, void *user)
{
	struct lwip_conn *c = calloc(1, sizeof(*c));

	ck_assert_ptr_nonnull(c);
	*c = (struct lwip_conn){ .pcb = pcb, .events = events, .user = user };
	lw.tcp_arg(pcb, c);
	lw.tcp_recv(pcb, on_received);
	lw.tcp_sent(pcb, on_sent);
	lw.tcp_err(pcb, on_error);
	pcb->so_options |= SOF_KEEPALIVE;
	pcb->keep_idle = 10000;
	pcb->keep_intvl = 2000;
	return c;
}

static err_t
on_accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct lwip_conn *c;

	(void)arg;
	ck_assert_int_eq(err, ERR_OK);
	c = adopt(pcb, listening_events, NULL);
	c->user = c->events->accepted(listening_user, c);
	return ERR_OK;
}

static err_t
on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct lwip_conn *c = arg;

	(void)pcb;
	ck_assert_int_eq(err, ERR_OK);
	c->events->connected(c, c->user);
	return ERR_OK;
}

/* --- calls --- */

static struct tcp_pcb *
make(bool v4, uint16_t port)
{
	struct tcp_pcb *pcb =
		lw.tcp_new_ip_type(v4 ? IPADDR_TYPE_V4 : IPADDR_TYPE_V6);
	ip_addr_t any4 = IPADDR4_INIT(0), any6 = IPADDR6_INIT(0, 0, 0, 0);

	ck_assert_ptr_nonnull(pcb);
	ck_assert_int_eq(lw.tcp_bind(pcb, v4 ? &any4 : &any6, port), ERR_OK);
	return pcb;
}

void
lwip_peer_listen(uint16_t port, bool v4, const struct lwip_events *events,
	void *listener)
{
	listening = lw.tcp_listen_with_backlog(make(v4, port), 255);
	ck_assert_ptr_nonnull(listening);
	listening_events = events;
	listening_user = listener;
	lw.tcp_accept(listening, on_accepted);
}

void
lwip_peer_unlisten(void)
{
	ck_assert_int_eq(lw.tcp_close(listening), ERR_OK);
	listening = NULL;
}

struct lwip_conn *
lwip_peer_connect(const struct lwip_addr *addr, uint16_t port, uint16_t lport,
	const struct lwip_events *events, void *user)
{
	struct tcp_pcb *pcb = make(addr->v4, lport);
	struct lwip_conn *c = adopt(pcb, events, user);
	ip_addr_t a = address(addr);

	ck_assert_int_eq(lw.tcp_connect(pcb, &a, port, on_connected), ERR_OK);
	return c;
}

uint16_t
lwip_conn_port(const struct lwip_conn *c, bool remote)
{
	return remote ? c->pcb->remote_port : c->pcb->local_port;
}

uint32_t
lwip_conn_room(const struct lwip_conn *c)
{
	return tcp_sndbuf(c->pcb);
}

bool
lwip_conn_send(struct lwip_conn *c, const uint8_t *data, uint16_t n)
{
	err_t err = lw.tcp_write(c->pcb, data, n, TCP_WRITE_FLAG_COPY);

	ck_assert_msg(err == ERR_OK || err == ERR_MEM, "tcp_write: %d", err);
	ck_assert_int_eq(lw.tcp_output(c->pcb), ERR_OK);
	return err == ERR_OK;
}

void
lwip_conn_consumed(struct lwip_conn *c, uint32_t n)
{
	for (uint32_t part; n > 0; n -= part) {
		part = n < 0xffff ? n : 0xffff;
		lw.tcp_recved(c->pcb, (u16_t)part);
	}
}

void
lwip_conn_shutdown(struct lwip_conn *c)
{
	ck_assert_int_eq(lw.tcp_shutdown(c->pcb, 0, 1), ERR_OK);
}

void
lwip_conn_release(struct lwip_conn *c)
{
	lw.tcp_arg(c->pcb, NULL);
	lw.tcp_recv(c->pcb, NULL);
	lw.tcp_sent(c->pcb, NULL);
	lw.tcp_err(c->pcb, NULL);
	free(c);
}

void
lwip_conn_close(struct lwip_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	lwip_conn_release(c);
	ck_assert_int_eq(lw.tcp_close(pcb), ERR_OK);
}

void
lwip_conn_abort(struct lwip_conn *c)
{
	struct tcp_pcb *pcb = c->pcb;

	lwip_conn_release(c);
	lw.tcp_abort(pcb);
}
