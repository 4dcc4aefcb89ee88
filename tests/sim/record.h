/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a history down as it happens, for the reference model, which
 * executes it by its own rules and compares what is shown
 * (tests/model/README.md, "Histories in files"). What is written is what
 * programs did, which cut was merged where, and the numbers that were drawn;
 * never which versions were made of it.
 *
 * Not everything that a simulator does can be told so: profile_plain() leaves
 * out what cannot. What is met all the same (a full stream, a fork) ends the
 * file, with a comment that says so.
 *
 * There is one recorder in a process. It listens to the calls by which the
 * parts of the program use each other, which the linker leads to
 * record_calls.c (--wrap): so the shipping code knows nothing of it, and
 * each event is seen in the very operation that makes it.
 */
#ifndef KINFS_SIM_RECORD_H
#define KINFS_SIM_RECORD_H

#include <stdio.h>

#include "tests/sim/cluster.h"

/* The cluster is open, its first nodes have started. */
void record_begin(struct cluster *, FILE *);
/* Something was done at the node, and is done: its view, sometimes. */
void record_look(struct node *);
/* All is quiet: everybody's view. Closes nothing. */
void record_end(void);

#endif
