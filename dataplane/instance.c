/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of an instance outside its loop: set-up, mail, end.
 *
 * Everything it needs comes as descriptors (enum instance_fd), so that it
 * opens nothing by name once it is confined. The grant is mapped read-only;
 * the counters are shared with whoever reads them and are never trusted
 * there. A grant is replaced only as a whole: the new one is checked and
 * handed to the function, and the old one stays if the function refuses.
 */
#include "dataplane/instance.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/access.h"
#include "dataplane/clock.h"
#include "dataplane/confine.h"

_Static_assert(sizeof(struct stats) < (1u << 20), "counters stay small");

static void *
map(int fd, size_t size, int prot)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) != 0 || (size_t)st.st_size < size)
		return NULL;
	p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static const struct grant *
grant_map(int fd, char *why, size_t len)
{
	const struct grant *g = map(fd, sizeof(*g), PROT_READ);

	if (g == NULL) {
		snprintf(why, len, "the grant cannot be mapped");
		return NULL;
	}
	if (g->magic != GRANT_MAGIC || g->version != GRANT_VERSION ||
		g->size != sizeof(*g)) {
		snprintf(why, len, "the grant is of another version");
		munmap((void *)(uintptr_t)g, sizeof(*g));
		return NULL;
	}
	return g;
}

static void
grant_unmap(const struct grant *g)
{
	munmap((void *)(uintptr_t)g, sizeof(*g));
}

static int
maps_init(struct instance *in, char *why, size_t len)
{
	in->env.grant = grant_map(INSTANCE_FD_GRANT, why, len);
	if (in->env.grant == NULL)
		return -EINVAL;
	in->env.nexthops =
		map(INSTANCE_FD_NEXTHOPS, sizeof(struct nexthops), PROT_READ);
	in->stats = map(INSTANCE_FD_STATS, sizeof(struct stats),
		PROT_READ | PROT_WRITE);
	if (in->env.nexthops == NULL || in->stats == NULL) {
		snprintf(why, len, "shared memory cannot be mapped");
		return -EINVAL;
	}
	/* With the descriptor open, an instance could cut the file short. */
	close(INSTANCE_FD_GRANT);
	close(INSTANCE_FD_NEXTHOPS);
	close(INSTANCE_FD_STATS);
	return 0;
}

/*
 * The access log's ring, if one was given; before any file is opened that
 * would get its number. Without it an instance serves as well.
 */
static struct access_ring *
access_map(void)
{
	struct access_ring *ring =
		map(INSTANCE_FD_ACCESS, sizeof(*ring), PROT_READ | PROT_WRITE);

	close(INSTANCE_FD_ACCESS);
	if (ring == NULL || access_valid(ring))
		return ring;
	munmap(ring, sizeof(*ring));
	return NULL;
}

static const char *const common_drops[] = {
	[NF_DROP_MALFORMED] = "malformed",
	[NF_DROP_NOT_IP] = "not_ip",
	[NF_DROP_NOT_OURS] = "not_ours",
	[NF_DROP_MISDIRECTED] = "misdirected",
	[NF_DROP_FRAGMENT] = "fragment",
	[NF_DROP_TTL] = "ttl",
	[NF_DROP_TX_FULL] = "tx_full",
};

static void
drop_names_fill(struct stats *s, const struct nf *nf)
{
	uint32_t n = 0;

	for (; n < NF_DROP_OWN; n++)
		snprintf(
			s->drop_name[n], GRANT_NAME_MAX, "%s", common_drops[n]);
	for (uint32_t i = 0; nf->drops != NULL && nf->drops[i] != NULL; i++)
		snprintf(s->drop_name[n++], GRANT_NAME_MAX, "%s", nf->drops[i]);
	s->n_drops = n;
}

/* Counters go on from the former instance's; gauges begin anew. */
static void
stats_begin(struct instance *in)
{
	struct stats *s = in->stats;

	if (s->magic != STATS_MAGIC || s->version != STATS_VERSION ||
		s->size != sizeof(*s))
		memset(s, 0, sizeof(*s));
	s->magic = STATS_MAGIC;
	s->version = STATS_VERSION;
	s->size = sizeof(*s);
	s->state = STATS_STARTING;
	s->pid = (uint32_t)getpid();
	s->connections = 0;
	s->half_open = 0;
	s->memory_bytes = 0;
	/* What it was doing last, and when, stays to be read at recovery. */
	s->log.capacity = s->log.used = s->log.live = s->log.held = 0;
	s->log.recover_us = s->log.recover_records = s->log.recovered = 0;
	s->log.end = s->log.damaged = 0;
	for (uint32_t i = 0; i < GRANT_SERVICES_MAX; i++)
		s->service[i].connections = s->http[i].tunnels = 0;
	for (uint32_t i = 0; i < GRANT_BACKENDS_MAX; i++) {
		s->backend[i].connections = 0;
		s->server[i].idle = s->server[i].active = 0;
	}
	s->tcp.established = s->tcp.time_wait = 0;
	drop_names_fill(s, in->nf);
	s->starts++;
}

static int
nf_init(struct instance *in, char *why, size_t len)
{
	in->env.stats = in->stats;
	in->env.pool = in->vnic.pool;
	in->env.tx_offload = in->vnic.tx_offload;
	in->env.log = in->log.log;
	in->env.tsc_hz = rte_get_tsc_hz();
	in->env.emit_ctx = in;
	in->env.emit = instance_emit;
	in->env.room = instance_room;
	in->tsc_per_us = in->env.tsc_hz / 1000000;
	in->stats->tsc_hz = in->env.tsc_hz;
	in->nf_state = in->nf->create(&in->env, why, len);
	if (in->nf_state == NULL)
		return in->stats->log.end == PLOG_END_DAMAGED ? -EUCLEAN
							      : -ENOMEM;
	instance_log_start(&in->log);
	return 0;
}

static int
doors_init(struct instance *in, char *why, size_t len)
{
	bool rings = in->vnic.armed_by_us;
	int rc = mailbox_init(&in->mailbox, INSTANCE_FD_MAILBOX,
		rings ? -1 : in->vnic.doorbell);

	if (rc != 0)
		goto out;
	if (rings)
		rc = mailbox_watch(&in->mailbox, in->vnic.doorbell);
	if (rc == 0 && in->log.uring != NULL)
		rc = mailbox_watch(
			&in->mailbox, plog_uring_doorbell(in->log.uring));
	if (rc != 0)
		mailbox_fini(&in->mailbox);
out:
	if (rc != 0)
		snprintf(why, len, "mailbox: %s", strerror(-rc));
	return rc;
}

int
instance_init(struct instance *in, char *why, size_t len)
{
	const struct grant *g;
	bool confined = false;
	int rc;

	memset(in, 0, sizeof(*in));
	instance_log_inherit(&in->log);
	in->env.access = access_map();
	rc = confine_early(why, len);
	if (rc == 0)
		rc = maps_init(in, why, len);
	if (rc != 0)
		return rc;
	g = in->env.grant;
	in->nf = nf_find(g->type);
	if (in->nf == NULL) {
		snprintf(why, len, "no function of type \"%s\" in this build",
			g->type);
		return -ENOENT;
	}
	stats_begin(in);
	rc = vnic_open(&in->vnic, g,
		in->nf->buffers != NULL ? in->nf->buffers(g) : 0, why, len);
	if (rc != 0)
		return rc;
	rc = instance_log_open(&in->log, g, &in->stats->log, why, len);
	if (rc != 0)
		goto out_vnic;
	rc = doors_init(in, why, len);
	if (rc != 0)
		goto out_log;
	rc = confine(g->uid, g->gid, why, len);
	if (rc != 0)
		goto out_mailbox;
	confined = true;
	/* What is on the store was written by who had no privileges, either. */
	rc = nf_init(in, why, len);
	if (rc != 0)
		goto out_mailbox;
	in->spin_loops = instance_spin_loops(g, in->vnic.doorbell);
	in->stats->started_ns = clock_ns(CLOCK_MONOTONIC);
	in->stats->state = STATS_SERVING;
	return 0;

out_mailbox:
	mailbox_fini(&in->mailbox);
out_log:
	instance_log_close(&in->log);
out_vnic:
	/* Confined, it could not; the next start finds the VNIC as it is. */
	if (!confined)
		vnic_close(&in->vnic);
	return rc;
}

/* A refusal without a reason would not be seen as one. */
static int
nf_update(struct instance *in, char *why, size_t len)
{
	int rc;

	if (in->nf->update == NULL) {
		snprintf(why, len,
			"functions of type %s take no change while they run; "
			"stop and run again",
			in->nf->name);
		return -EOPNOTSUPP;
	}
	rc = in->nf->update(in->nf_state, why, len);
	if (rc != 0 && why[0] == '\0')
		snprintf(why, len, "%s", strerror(-rc));
	return rc;
}

static void
mail_update(struct instance *in, struct mail *mail, int fd)
{
	const struct grant *old = in->env.grant, *new;

	if (fd < 0) {
		snprintf(mail->why, sizeof(mail->why), "no grant attached");
		mail->status = -EINVAL;
		return;
	}
	new = grant_map(fd, mail->why, sizeof(mail->why));
	close(fd);
	if (new == NULL) {
		mail->status = -EINVAL;
		return;
	}
	in->env.grant = new;
	mail->status = nf_update(in, mail->why, sizeof(mail->why));
	if (mail->status != 0) {
		in->env.grant = old;
		grant_unmap(new);
		return;
	}
	grant_unmap(old);
}

static void
mail_handle(void *ctx, struct mail *mail, int fd)
{
	struct instance *in = ctx;

	switch (mail->op) {
	case MAIL_HELLO:
		break;
	case MAIL_UPDATE:
		mail_update(in, mail, fd);
		fd = -1;
		break;
	case MAIL_STOP:
		in->stop = 1;
		break;
	default:
		mail->status = -EOPNOTSUPP;
		snprintf(mail->why, sizeof(mail->why), "unknown request %u",
			mail->op);
	}
	if (fd >= 0)
		close(fd);
	mail->pid = in->stats->pid;
	mail->generation = in->env.grant->generation;
}

void
instance_mail(struct instance *in, uint32_t timeout_us)
{
	mailbox_poll(&in->mailbox, timeout_us, mail_handle, in);
}

void
instance_fini(struct instance *in)
{
	in->stats->state = STATS_STOPPED;
	in->nf->destroy(in->nf_state);
	in->n_out = 0;
	instance_log_close(&in->log);
	mailbox_fini(&in->mailbox);
	if (in->env.access != NULL)
		munmap(in->env.access, sizeof(*in->env.access));
	grant_unmap(in->env.grant);
}
