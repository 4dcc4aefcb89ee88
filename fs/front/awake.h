/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processors that do not sleep deeply while much is asked. For each request
 * a program and this process wake one another, mostly on a processor that is
 * idle just then. That takes the longer the deeper it sleeps: a microsecond
 * at best, twenty for the processor of a virtual machine, a hundred in the
 * deep states of a laptop; most answers take less. The kernel lets those who
 * may open /dev/cpu_dma_latency (root; Documentation/power/
 * pm_qos_interface.rst) say how long it may take, until they close it or are
 * no more. It costs power, so it is said only while it pays.
 */
#ifndef KINFS_FRONT_AWAKE_H
#define KINFS_FRONT_AWAKE_H

#include <stdbool.h>
#include <stdint.h>

#define AWAKE_DEVICE "/dev/cpu_dma_latency"

/* Of one thread. */
struct awake {
	int fd;			/* -1: they sleep as they like */
	int32_t quick;		/* what is asked for, in us */
	/* Looks until it is given up; 0: it is not asked for. */
	uint32_t rest;
};

/* With a device that may not be opened, or NULL, they sleep as they like. */
void awake_open(const char *device, struct awake *ret);
void awake_close(struct awake *);
/*
 * So many requests came in the millisecond since the last look. Returns
 * whether to look again though none may come.
 */
bool awake_look(struct awake *, uint32_t requests);

#endif
