/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/*
 * What the loop, the driver, the C library and DPDK's own (sleeping) thread
 * call once everything is set up. No socket(), open() or exec: descriptors
 * come with the grant or over the mailbox.
 */
static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_create), /* DPDK's thread, as descriptors come and go */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(accept), /* a NIC in software that was restarted comes back */
	SCMP_SYS(accept4),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(pread64),
	SCMP_SYS(io_uring_enter), /* what it may do: dataplane/log/uring.h */
	SCMP_SYS(getrandom),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(timerfd_settime), /* DPDK's alarms */
	SCMP_SYS(gettimeofday),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(sched_yield),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/*
 * What a library may try on a way that we do not go, such as writing to the
 * system's log: it is told no, and the instance lives on.
 */
static const int refused[] = {
	SCMP_SYS(socket),
	SCMP_SYS(getsockopt),
	SCMP_SYS(connect),
	SCMP_SYS(ioctl),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(lseek),
	SCMP_SYS(mremap),
};

int
confine_early(char *why, size_t len)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		snprintf(why, len, "no_new_privs: %s", strerror(errno));
		return -errno;
	}
	if (capng_get_caps_process() != 0) {
		snprintf(why, len, "cannot read the capabilities");
		return -EIO;
	}
	capng_clear(CAPNG_SELECT_BOUNDS);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) {
		snprintf(why, len, "cannot empty the bounding set");
		return -EPERM;
	}
	return 0;
}

static int
seccomp_apply(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc = -ENOMEM;

	if (ctx == NULL)
		return rc;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
		if (rc != 0)
			goto out;
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		rc = seccomp_rule_add(
			ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
		if (rc != 0)
			goto out;
	}
	/* Memory, but none that could be executed. */
	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect),
			1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* abort(), but no signal to another instance: they share a user. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	/* The C library asks a descriptor for its flags; DPDK sets them. */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, F_GETFL, 0));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, F_SETFL, 0));
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_load(ctx);
out:
	seccomp_release(ctx);
	return rc;
}

/* In all threads: the C library repeats setresuid and the like in each. */
static int
identity_drop(uint32_t uid, uint32_t gid)
{
	if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
		setresuid(uid, uid, uid) != 0)
		return -errno;
	return 0;
}

/*
 * Leaving uid 0 has emptied the permitted and effective sets of all threads;
 * this takes the inheritable set too and makes sure.
 */
static int
capabilities_drop(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return -EPERM;
	if (capng_get_caps_process() != 0)
		return -EIO;
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
		return -EPERM;
	return 0;
}

int
confine(uint32_t uid, uint32_t gid, char *why, size_t len)
{
	int rc = identity_drop(uid, gid);

	if (rc != 0) {
		snprintf(why, len, "cannot become uid %u gid %u: %s", uid, gid,
			strerror(-rc));
		return rc;
	}
	rc = capabilities_drop();
	if (rc != 0) {
		snprintf(why, len, "capabilities are left");
		return rc;
	}
	rc = seccomp_apply();
	if (rc != 0)
		snprintf(why, len, "seccomp: %s", strerror(-rc));
	return rc;
}
