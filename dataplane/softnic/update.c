/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * New tables, and the mail that brings them.
 *
 * The control thread maps and checks them, and stores the pointer; the loop
 * takes it as its next round begins. When the loop has been seen outside of
 * a round, nobody uses the old ones, which are then unmapped. The first ones
 * stay: ports and links were made by them, and that part never changes.
 */
#include <errno.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/softnic/nic.h"

#define MAIL_WAIT_US 60000000

/* --- tables -------------------------------------------------------------- */

const struct softnic_tables *
nic_tables_map(int fd, char *why, size_t len)
{
	const struct softnic_tables *t;
	struct stat st;

	if (fstat(fd, &st) != 0 || (size_t)st.st_size < sizeof(*t)) {
		snprintf(why, len, "the tables' file is too short");
		return NULL;
	}
	t = mmap(NULL, sizeof(*t), PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (t == MAP_FAILED) {
		snprintf(why, len, "the tables cannot be mapped: %s",
			strerror(errno));
		return NULL;
	}
	if (softnic_tables_check(t, why, len) != 0) {
		munmap((void *)(uintptr_t)t, sizeof(*t));
		return NULL;
	}
	return t;
}

static bool
same_uplink(const struct softnic_uplink *a, const struct softnic_uplink *b)
{
	return strcmp(a->name, b->name) == 0 &&
	       strcmp(a->devargs, b->devargs) == 0 &&
	       strcmp(a->tap, b->tap) == 0 && a->queues == b->queues;
}

static bool
same_vnic(const struct softnic_vnic *a, const struct softnic_vnic *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->path, b->path) == 0 &&
	       a->function == b->function && a->uplinks == b->uplinks;
}

/* What differs that must not, or NULL. */
static const char *
difference(const struct softnic_tables *a, const struct softnic_tables *b)
{
	if (strcmp(a->appliance, b->appliance) != 0)
		return "appliance";
	if (a->core != b->core || a->share_core != b->share_core)
		return "core";
	if (a->huge_mb != b->huge_mb || a->memory_mb != b->memory_mb)
		return "memory";
	if (a->n_uplinks != b->n_uplinks || a->n_functions != b->n_functions ||
		a->n_vnics != b->n_vnics || a->n_entries != b->n_entries)
		return "numbers of uplinks, functions, VNICs or entries";
	for (uint32_t u = 0; u < a->n_uplinks; u++)
		if (!same_uplink(&a->uplink[u], &b->uplink[u]))
			return "uplinks";
	for (uint32_t i = 0; i < a->n_vnics; i++)
		if (!same_vnic(&a->vnic[i], &b->vnic[i]))
			return "VNICs";
	return NULL;
}

int
softnic_update(struct softnic *nic, const struct softnic_tables *t, char *why,
	size_t len)
{
	const char *what;

	if (softnic_tables_check(t, why, len) != 0)
		return -EINVAL;
	what = difference(nic->first, t);
	if (what != NULL) {
		snprintf(why, len,
			"the NIC in software runs with other %s; "
			"stop and run again",
			what);
		return -EBUSY;
	}
	for (uint32_t u = 0; u < nic->n_uplinks; u++)
		port_set_mac(&nic->uplink[u].port, t->uplink[u].mac);
	__atomic_store_n(&nic->tables, t, __ATOMIC_RELEASE);
	nic_wake(nic);
	rte_rcu_qsbr_synchronize(nic->qsbr, RTE_QSBR_THRID_INVALID);
	return 0;
}

/* --- mail ---------------------------------------------------------------- */

static void
mail_update(struct softnic *nic, struct mail *mail, int fd)
{
	const struct softnic_tables *old = nic->tables, *new;

	if (fd < 0) {
		snprintf(mail->why, sizeof(mail->why), "no tables attached");
		mail->status = -EINVAL;
		return;
	}
	new = nic_tables_map(fd, mail->why, sizeof(mail->why));
	if (new == NULL) {
		mail->status = -EINVAL;
		return;
	}
	mail->status = softnic_update(nic, new, mail->why, sizeof(mail->why));
	if (mail->status != 0)
		old = new;
	if (old != nic->first)
		munmap((void *)(uintptr_t)old, sizeof(*old));
}

static void
mail_handle(void *ctx, struct mail *mail, int fd)
{
	struct softnic *nic = ctx;

	switch (mail->op) {
	case MAIL_HELLO:
		break;
	case MAIL_UPDATE:
		mail_update(nic, mail, fd);
		break;
	case MAIL_STOP:
		softnic_stop(nic);
		break;
	default:
		mail->status = -EOPNOTSUPP;
		snprintf(mail->why, sizeof(mail->why), "unknown request %u",
			mail->op);
	}
	if (fd >= 0)
		close(fd);
	mail->pid = nic->stats->pid;
	mail->generation = nic->tables->generation;
}

static void *
mail_run(void *ctx)
{
	struct softnic *nic = ctx;

	while (!__atomic_load_n(&nic->mail_ended, __ATOMIC_ACQUIRE))
		mailbox_poll(&nic->mailbox, MAIL_WAIT_US, mail_handle, nic);
	return NULL;
}

int
nic_mail_start(struct softnic *nic, char *why, size_t len)
{
	int rc = 0;

	nic->mail_quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nic->mail_quit < 0)
		rc = -errno;
	if (rc == 0)
		rc = mailbox_init(
			&nic->mailbox, SOFTNIC_FD_MAILBOX, nic->mail_quit);
	if (rc == 0) {
		/* Where the loop is not, if there is any other core. */
		rc = -rte_ctrl_thread_create(
			&nic->mail_thread, "softnic-mail", NULL, mail_run, nic);
		if (rc != 0)
			mailbox_fini(&nic->mailbox);
	}
	if (rc != 0) {
		snprintf(why, len, "mailbox: %s", strerror(abs(rc)));
		return -abs(rc);
	}
	nic->mail = true;
	return 0;
}

void
nic_mail_end(struct softnic *nic)
{
	const uint64_t one = 1;

	if (!nic->mail)
		return;
	__atomic_store_n(&nic->mail_ended, true, __ATOMIC_RELEASE);
	if (write(nic->mail_quit, &one, sizeof(one)) == sizeof(one))
		pthread_join(nic->mail_thread, NULL);
	mailbox_fini(&nic->mailbox);
	close(nic->mail_quit);
}
