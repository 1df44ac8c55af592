/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ctrl/access.h"
#include "ctrl/mail.h"
#include "ctrl/spawn.h"
#include "ctrl/supervisor_internal.h"

#define DELAY_MIN_MS  100
#define DELAY_MAX_MS  30000
#define STABLE_US     (10 * 1000000ull)
#define START_MAX_US  (30 * 1000000ull)
#define STOP_MAX_MS   2000
#define PREPARE_RETRY 200 /* ms */

static void child_spawn(struct supervised *s);
static int mailbox_open(struct supervised *s);

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static void __attribute__((format(printf, 2, 3)))
say(const struct supervisor *sup, const char *format, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	sup->hooks.say(sup->hooks.ctx, line);
}

static void
source_drop(sd_event_source **source)
{
	*source = sd_event_source_disable_unref(*source);
}

static void
descriptor_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Forget the process; the counters stay mapped. */
static void
child_clear(struct supervised *s)
{
	source_drop(&s->timer);
	source_drop(&s->pid_source);
	source_drop(&s->mail_source);
	descriptor_drop(&s->pidfd);
	descriptor_drop(&s->mail);
	s->pid = 0;
	s->adopted = false;
}

static void
timer_set(struct supervised *s, uint64_t us, sd_event_time_handler_t handler)
{
	source_drop(&s->timer);
	sd_event_add_time_relative(s->sup->event, &s->timer, CLOCK_MONOTONIC,
		us, 1000, handler, s);
}

static int
on_delay_over(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	child_spawn(arg);
	return 0;
}

/*
 * How a dead process ended, in words. Its exit status, or -1 if it has none
 * or is no child of ours.
 */
static int
death_describe(const struct supervised *s, char *buf, size_t len)
{
	siginfo_t info = { 0 };

	if (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED | WNOHANG) != 0 ||
		info.si_pid == 0)
		snprintf(buf, len, "ended");
	else if (info.si_code == CLD_EXITED)
		snprintf(buf, len, "ended with status %d", info.si_status);
	else
		snprintf(buf, len, "was killed by signal %d (%s)",
			info.si_status, strsignal(info.si_status));
	return info.si_code == CLD_EXITED ? info.si_status : -1;
}

static uint32_t
delay_next(const struct supervised *s)
{
	uint32_t next;

	if (s->lost || now_us() - s->spawned_us >= STABLE_US)
		return 0;
	next = s->delay_ms == 0 ? DELAY_MIN_MS : s->delay_ms * 2;
	return next > DELAY_MAX_MS ? DELAY_MAX_MS : next;
}

static void
death_say(const struct supervised *s, const char *how)
{
	if (s->lost)
		say(s->sup, "%s (pid %d) found its store damaged", s->title,
			s->pid);
	else if (s->delay_ms == 0)
		say(s->sup, "%s (pid %d) %s; starting it again", s->title,
			s->pid, how);
	else
		say(s->sup, "%s (pid %d) %s; starting it again in %u ms",
			s->title, s->pid, how, s->delay_ms);
}

static void
child_died(struct supervised *s)
{
	struct supervisor *sup = s->sup;
	char how[96];
	int status = death_describe(s, how, sizeof(how));

	/* Only recovery ends like this: one that serves is past it. */
	s->lost = status == INSTANCE_EXIT_DAMAGED &&
		  s->state == SUPERVISOR_STARTING;
	s->delay_ms = delay_next(s);
	death_say(s, how);
	child_clear(s);
	s->state = SUPERVISOR_WAITING;
	s->restarts++;
	sup->hooks.died(sup->hooks.ctx, s->index);
	if (s->delay_ms == 0)
		child_spawn(s);
	else
		timer_set(s, s->delay_ms * 1000ull, on_delay_over);
}

static int
on_death(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	child_died(arg);
	return 0;
}

/* `pidfd` is the supervisor's from here on. */
static int
process_watch(struct supervised *s, pid_t pid, int pidfd)
{
	int rc;

	if (pidfd < 0)
		return pidfd;
	source_drop(&s->pid_source);
	descriptor_drop(&s->pidfd);
	s->pidfd = pidfd;
	s->pid = pid;
	rc = sd_event_add_io(
		s->sup->event, &s->pid_source, s->pidfd, EPOLLIN, on_death, s);
	return rc < 0 ? rc : 0;
}

static int
process_open(pid_t pid)
{
	int fd = pidfd_open(pid, 0);

	return fd < 0 ? -errno : fd;
}

/*
 * The answer to the first hello says: attached, confined, in the loop. An
 * adopted one may be on an older grant than the file: one that it refused, or
 * that the former control plane had no time left to send.
 */
static void
child_serves(struct supervised *s)
{
	source_drop(&s->timer);
	s->state = SUPERVISOR_SERVING;
	s->serving_us = now_us();
	s->sup->hooks.serving(s->sup->hooks.ctx, s->index);
	if (s->adopted)
		image_catch_up(s);
}

static void
mail_answer(struct supervised *s, const struct mail *mail, pid_t sender)
{
	if (s->pid != sender &&
		process_watch(s, sender, process_open(sender)) != 0)
		return; /* died meanwhile: the mailbox will say so */
	s->generation = mail->generation;
	if (mail->op == MAIL_HELLO && s->state == SUPERVISOR_STARTING)
		child_serves(s);
	if (mail->op != MAIL_UPDATE)
		return;
	snprintf(s->refused, sizeof(s->refused), "%.*s",
		(int)sizeof(mail->why) - 1, mail->status == 0 ? "" : mail->why);
	if (mail->status != 0)
		say(s->sup, "%s refused the new configuration: %s", s->title,
			s->refused);
}

/*
 * It closed the mailbox. If it is dead, its pidfd tells; if it lives, it took
 * offence at something and listens on: reloads must reach it.
 */
static void
mailbox_closed(struct supervised *s)
{
	source_drop(&s->mail_source);
	descriptor_drop(&s->mail);
	if (s->pidfd < 0)
		child_died(s);
	else if (s->state == SUPERVISOR_SERVING && mailbox_open(s) == 0)
		say(s->sup, "%s closed its mailbox; opened it again", s->title);
}

static int
on_mail(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct supervised *s = arg;
	struct mail mail;
	pid_t sender;
	int rc;

	(void)source;
	(void)events;
	rc = mail_take(fd, &mail, &sender);
	if (rc == 0) {
		mail_answer(s, &mail, sender);
	} else if (rc != -EAGAIN) {
		mailbox_closed(s);
	}
	return 0;
}

static int
mailbox_open(struct supervised *s)
{
	int rc;

	s->mail = rundir_connect(s->sup->dir, s->name, SOCK_SEQPACKET);
	if (s->mail < 0)
		return s->mail;
	rc = mail_prepare(s->mail);
	if (rc == 0)
		rc = mail_send(s->mail, MAIL_HELLO, -1);
	if (rc == 0)
		rc = sd_event_add_io(s->sup->event, &s->mail_source, s->mail,
			EPOLLIN, on_mail, s);
	if (rc < 0)
		descriptor_drop(&s->mail);
	return rc < 0 ? rc : 0;
}

/*
 * How long it may still take. An instance that waits for a NIC which is not
 * there is not to blame: its time begins when the NIC serves.
 */
static uint64_t
start_left_us(const struct supervised *s)
{
	const struct supervised *nic = supervisor_get(s->sup, SUPERVISOR_NIC);
	uint64_t since = s->spawned_us, late;

	if (s->index != SUPERVISOR_NIC && nic != NULL) {
		if (nic->state != SUPERVISOR_SERVING)
			return START_MAX_US;
		if (nic->serving_us > since)
			since = nic->serving_us;
	}
	late = now_us() - since;
	return late < START_MAX_US ? START_MAX_US - late : 0;
}

static int
on_start_late(sd_event_source *source, uint64_t usec, void *arg)
{
	struct supervised *s = arg;

	uint64_t left = start_left_us(s);

	(void)source;
	(void)usec;
	if (left > 0) {
		timer_set(s, left, on_start_late);
		return 0;
	}
	say(s->sup, "%s does not serve after %llu s; killing it", s->title,
		START_MAX_US / 1000000);
	if (s->pidfd >= 0)
		pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
	else
		child_died(s); /* nobody knows who it is: start another */
	return 0;
}

/* The access log's ring: of a proxy, which has groups. -1: there is none. */
static int
ring_open(const struct supervised *s)
{
	const struct plan_instance *in = &s->sup->plan->instances[s->index];

	return in->grant->n_groups > 0 ? access_ring_open(s->sup->dir, s->name)
				       : -1;
}

/* Everything for a spawn. 0 or -errno. */
static int
spawn_prepare(struct supervised *s, struct spawn *spawn)
{
	struct supervisor *sup = s->sup;
	int rc = sup->hooks.prepare(sup->hooks.ctx, s->index);

	if (rc != 0)
		return rc;
	if (s->index == SUPERVISOR_NIC)
		return spawn_open_nic(spawn, sup->dir);
	rc = spawn_open_instance(spawn, sup->dir, s->name, sup->nexthops);
	if (rc != 0)
		return rc;
	spawn->fd[SPAWN_ACCESS] = ring_open(s);
	sup->hooks.store(sup->hooks.ctx, s->index, s->lost,
		&spawn->fd[SPAWN_STORE], &spawn->fd[SPAWN_DAMAGED]);
	return 0;
}

/* Fork and exec, and open the mailbox. What fails is tried again later. */
static int
child_start(struct supervised *s)
{
	struct supervisor *sup = s->sup;
	struct spawn spawn;
	pid_t pid;
	int rc = spawn_prepare(s, &spawn);

	if (rc != 0)
		return rc;
	s->lost = false;
	pid = spawn_run(&spawn);
	spawn_close(&spawn);
	if (pid < 0)
		return (int)pid;
	s->spawned_us = now_us();
	spawn_remember(sup->dir, s->name, pid);
	rc = process_watch(s, pid, process_open(pid));
	if (rc != 0) {
		kill(pid, SIGKILL);
		return rc;
	}
	s->state = SUPERVISOR_STARTING;
	timer_set(s, START_MAX_US, on_start_late);
	return mailbox_open(s);
}

static void
child_spawn(struct supervised *s)
{
	int rc;

	source_drop(&s->timer);
	rc = child_start(s);
	if (rc == 0)
		return;
	say(s->sup, "%s cannot be started now: %s", s->title, strerror(-rc));
	if (s->pidfd >= 0) {
		pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
		return; /* its death starts the next try */
	}
	s->state = SUPERVISOR_WAITING;
	timer_set(s, PREPARE_RETRY * 1000ull, on_delay_over);
}

/* Map the counters for reading; a fresh file is all zero. */
static int
stats_map(struct supervised *s)
{
	bool fresh, nic = s->index == SUPERVISOR_NIC;
	size_t size = nic ? sizeof(*s->nic_stats) : sizeof(*s->stats);
	int fd = rundir_file(s->sup->dir, s->name, "stats", size, &fresh);
	void *p;

	if (fd < 0)
		return fd;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -errno;
	if (nic)
		s->nic_stats = p;
	else
		s->stats = p;
	return 0;
}

static int
child_init(struct supervisor *sup, struct supervised *s, uint32_t index)
{
	bool nic = index == SUPERVISOR_NIC;

	s->sup = sup;
	s->index = index;
	s->pidfd = s->mail = -1;
	snprintf(s->name, sizeof(s->name), "%s",
		nic ? SPAWN_NIC : sup->plan->instances[index].name);
	s->title = nic ? "the NIC" : s->name;
	return stats_map(s);
}

int
supervisor_create(struct supervisor **out, sd_event *event,
	const struct rundir *dir, const struct plan *plan,
	struct softnic_tables *nic, const struct supervisor_hooks *hooks)
{
	struct supervisor *sup = calloc(1, sizeof(*sup));
	unsigned int n = plan->n_instances + (nic != NULL);
	bool fresh;
	int rc = -ENOMEM;

	if (sup == NULL)
		return rc;
	sup->event = event;
	sup->dir = dir;
	sup->plan = plan;
	sup->nic = nic;
	sup->hooks = *hooks;
	sup->nexthops = rundir_file(
		dir, "nexthops", "", sizeof(struct nexthops), &fresh);
	sup->s = calloc(n, sizeof(*sup->s));
	if (sup->s == NULL || sup->nexthops < 0)
		goto fail;
	for (rc = 0; rc == 0 && sup->n < n; sup->n++)
		rc = child_init(sup, &sup->s[sup->n],
			sup->n < plan->n_instances ? sup->n : SUPERVISOR_NIC);
	if (rc != 0)
		goto fail;
	*out = sup;
	return 0;
fail:
	supervisor_free(sup);
	return rc;
}

/* Wait for a death until `deadline_us`; true if it is dead. */
static bool
death_await(const struct supervised *s, uint64_t deadline_us)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };
	uint64_t now = now_us();
	int ms = now >= deadline_us ? 0 : (int)((deadline_us - now) / 1000);

	return poll(&p, 1, ms) == 1;
}

/*
 * Take over a running instance; its answer to hello completes it. One that
 * hangs gives none: the file says who it is. One without a mailbox is ended,
 * so that never two serve one VNIC.
 */
static int
child_adopt(struct supervised *s)
{
	pid_t pid;
	int rc, pidfd = spawn_find(s->sup->dir, s->name, &pid);

	if (pidfd >= 0)
		process_watch(s, pid, pidfd);
	rc = mailbox_open(s);
	if (rc != 0) {
		if (s->pidfd >= 0) {
			pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
			death_await(s, now_us() + STOP_MAX_MS * 1000ull);
		}
		child_clear(s);
		return rc;
	}
	s->adopted = true;
	s->state = SUPERVISOR_STARTING;
	s->spawned_us = 0; /* it has proved itself */
	timer_set(s, START_MAX_US, on_start_late);
	return 0;
}

/*
 * The files are complete before the first process runs: whoever is killed
 * from there on leaves something that can be adopted. The NIC, which is the
 * last, is started first.
 */
int
supervisor_start(struct supervisor *sup, bool adopt)
{
	for (uint32_t i = 0; i < sup->n; i++) {
		int fd;

		if (adopt && child_adopt(&sup->s[i]) == 0)
			continue;
		fd = image_write(&sup->s[i]);
		if (fd < 0)
			return fd;
		close(fd);
	}
	for (uint32_t i = sup->n; i-- > 0;)
		if (sup->s[i].state == SUPERVISOR_DOWN)
			child_spawn(&sup->s[i]);
	return 0;
}

static int
update(struct supervised *s)
{
	int rc = image_send(s);

	if (rc != 0)
		say(s->sup, "%s has not heard of the new configuration: %s",
			s->title, strerror(-rc));
	return rc;
}

int
supervisor_update(struct supervisor *sup, const struct plan *plan)
{
	int rc = 0;

	sup->plan = plan;
	for (uint32_t i = 0; i < plan->n_instances; i++) {
		int err = update(&sup->s[i]);

		rc = err != 0 ? err : rc;
	}
	return rc;
}

int
supervisor_update_nic(struct supervisor *sup)
{
	if (sup->nic == NULL || image_known(&sup->s[sup->n - 1]))
		return 0;
	return update(&sup->s[sup->n - 1]);
}

bool
supervisor_all_serve(const struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->n; i++)
		if (sup->s[i].state != SUPERVISOR_SERVING)
			return false;
	return true;
}

const struct supervised *
supervisor_get(const struct supervisor *sup, uint32_t i)
{
	if (i != SUPERVISOR_NIC)
		return &sup->s[i];
	return sup->nic != NULL ? &sup->s[sup->n - 1] : NULL;
}

/* An adopted instance is no child of ours: its status is not known. */
static bool
ended_well(const char *how)
{
	return strcmp(how, "ended with status 0") == 0 ||
	       strcmp(how, "ended") == 0;
}

static void
stop_ask(struct supervised *s)
{
	source_drop(&s->timer);
	source_drop(&s->pid_source);
	source_drop(&s->mail_source);
	if (s->mail >= 0)
		mail_send(s->mail, MAIL_STOP, -1);
	if (s->pidfd >= 0)
		pidfd_send_signal(s->pidfd, SIGTERM, NULL, 0);
}

static void
stop_await(struct supervised *s, uint64_t deadline)
{
	char how[96];

	if (s->pidfd < 0)
		return;
	if (!death_await(s, deadline)) {
		say(s->sup, "%s does not stop; killing it", s->title);
		pidfd_send_signal(s->pidfd, SIGKILL, NULL, 0);
		death_await(s, now_us() + STOP_MAX_MS * 1000ull);
	}
	death_describe(s, how, sizeof(how));
	if (!ended_well(how))
		say(s->sup, "%s %s", s->title, how);
	child_clear(s);
	s->state = SUPERVISOR_DOWN;
}

/* Children [from, to). */
static void
stop_some(struct supervisor *sup, uint32_t from, uint32_t to)
{
	uint64_t deadline = now_us() + STOP_MAX_MS * 1000ull;

	for (uint32_t i = from; i < to; i++)
		stop_ask(&sup->s[i]);
	for (uint32_t i = from; i < to; i++)
		stop_await(&sup->s[i], deadline);
}

/* The NIC last: what instances send as they end is to leave. */
void
supervisor_stop(struct supervisor *sup)
{
	uint32_t instances = sup->n - (sup->nic != NULL);

	if (sup->nic != NULL)
		source_drop(&sup->s[instances].pid_source);
	stop_some(sup, 0, instances);
	stop_some(sup, instances, sup->n);
}

void
supervisor_free(struct supervisor *sup)
{
	if (sup == NULL)
		return;
	for (uint32_t i = 0; i < sup->n; i++) {
		struct supervised *s = &sup->s[i];

		child_clear(s);
		if (s->stats != NULL)
			munmap((void *)(uintptr_t)s->stats,
				sizeof(struct stats));
		if (s->nic_stats != NULL)
			munmap((void *)(uintptr_t)s->nic_stats,
				sizeof(struct softnic_stats));
	}
	descriptor_drop(&sup->nexthops);
	free(sup->s);
	free(sup);
}
