/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a node's store, and what is done with them. */
#ifndef KINFS_SIM_BACKUP_H
#define KINFS_SIM_BACKUP_H

#include "tests/sim/cluster.h"

/* Ends a node cleanly; it comes back after so many ms. */
void node_stop(struct node *, uint64_t away_ms);
/* Copies the store of a node, in place of an older copy; it may run. */
void node_back_up(struct node *);
bool node_has_backup(const struct node *);
/* Puts the copy in the place of the store of a node that is down. */
void node_bring_back(struct node *);
/* Puts a copy of the store of one node where another has none. */
bool node_copy_store(const struct node *from, const struct node *to);

#endif
