/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/lib/stage.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "perf/lib/bench_eal.h"
#include "perf/lib/softlab.h"

bool stage_quick;

static pid_t *pids; /* of the scene's instances; shared with it */
static volatile sig_atomic_t told;
static volatile pid_t player;

/* The scene dies at once; the rest is done where we wait for it. */
static void
on_end(int sig)
{
	told = sig;
	if (player > 0)
		kill(player, SIGKILL);
}

int
stage_init(int argc, char **argv)
{
	const struct sigaction end = { .sa_handler = on_end };
	const char *quick = getenv("PERF_QUICK");
	cpu_set_t all;

	stage_quick = (argc > 1 && strcmp(argv[1], "quick") == 0) ||
		      (quick != NULL && *quick != '\0');
	pids = mmap(NULL, SOFTNIC_VNICS_MAX * sizeof(*pids),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pids == MAP_FAILED)
		return -1;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	/* Whose parent has died become ours, to be ended and waited for. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* Each process takes its own core. */
	CPU_ZERO(&all);
	for (int i = 0; i <= softlab_core(); i++)
		CPU_SET(i, &all);
	return sched_setaffinity(0, sizeof(all), &all);
}

static int
act(struct softlab *lab, const struct scene *scene)
{
	int rc;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	rc = softlab_open(lab);
	if (rc == 0)
		rc = scene->play(lab, scene->argument);
	softlab_close(lab);
	fflush(stdout);
	return rc;
}

/* Also those that the scene has left, if it was ended in the middle. */
static void
clear_up(struct softlab *lab)
{
	for (int i = 0; i < SOFTNIC_VNICS_MAX; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	memset(pids, 0, SOFTNIC_VNICS_MAX * sizeof(*pids));
	softlab_dir_remove(lab);
	bench_huge_give();
	softlab_plan_free(lab);
}

int
stage_play(const struct scene *scene)
{
	struct softlab lab;
	int status = 1;
	pid_t pid;

	if (told || softlab_plan(&lab, scene->functions, scene->together) != 0)
		return -1;
	lab.pids = pids;
	softlab_memory(&lab, scene->memory_mb);
	lab.huge = bench_huge_take((long)lab.memory_mb);
	if (softlab_dir_make(&lab) != 0)
		goto out;
	pid = fork();
	if (pid == 0)
		_exit(act(&lab, scene) != 0);
	player = pid;
	if (told && pid > 0)
		kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	player = 0;
out:
	clear_up(&lab);
	return told || status != 0 ? -1 : 0;
}
