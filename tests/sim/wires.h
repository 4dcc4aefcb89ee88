/* SPDX-License-Identifier: Apache-2.0 */
/* The network between the nodes; for cluster.c. */
#ifndef KINFS_SIM_WIRES_H
#define KINFS_SIM_WIRES_H

#include "tests/sim/cluster.h"

#define NEVER UINT64_MAX

/* Nothing is on its way. */
void wire_clear(struct wire *);
/* core_env.send and .close of a node. */
void wire_send(void *node, link_id, struct slice frame);
void wire_close(void *node, link_id, const char *why);
/* The connection breaks: what was on its way is lost. */
void wire_down(struct cluster *, struct wire *);
/* When something happens on it next; does what is due. */
uint64_t wire_due(const struct cluster *, const struct wire *);
void wire_run(struct cluster *, struct wire *);
/* Is a connection up that loses what is sent, and nobody noticed? */
bool wires_losing(const struct cluster *);

#endif
