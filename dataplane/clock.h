/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel's clock as one number; no system call where the vDSO has it. */
#ifndef CARRYALL_CLOCK_H
#define CARRYALL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of `clock`. Thread: any. */
static inline uint64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The same in milliseconds. */
static inline uint64_t
clock_ms(clockid_t clock)
{
	return clock_ns(clock) / 1000000;
}

#endif
