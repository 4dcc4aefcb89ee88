/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories whose files are acknowledged by other nodes: the extended
 * attribute user.kin.acks on a directory holds for its subtree, the nearest
 * wins. Below it fsync also waits until others hold durably what was
 * written (semi-synchronous replication).
 *
 *	value  = who [";timeout=" SECONDS] [";on-timeout=" ("ok" | "eio")]
 *	who    = NUMBER | LABEL *("," LABEL)
 *
 * A number asks for so many other nodes, whichever; 0 ends the policy of a
 * directory above. Labels ask for all of these; a label of digits only can
 * not be asked for. Without timeout it is 30 s. On a timeout fsync says ok
 * all the same (the write is durable here, and will spread), unless the
 * policy wants EIO.
 */
#ifndef KINFS_TREE_ACKS_H
#define KINFS_TREE_ACKS_H

#include "fs/tree/tree.h"

#define XATTR_ACKS "user.kin.acks"
/* Labels in one policy, and the longest wait: people are not patient. */
#define ACKS_LABELS_MAX 16
#define ACKS_TIMEOUT_S_DEFAULT 30
#define ACKS_TIMEOUT_S_MAX 3600

struct acks {
	uint32_t count;		/* any so many; 0: the labels */
	char labels[ACKS_LABELS_MAX][LABEL_BYTES_MAX + 1];
	size_t label_count;
	uint64_t timeout_ms;
	bool fail;		/* on timeout: EIO */
};

/* Errors: -EINVAL. */
must_check int acks_parse(struct slice value, struct acks *ret);
/*
 * The policy of an inode: 1 there is one, 0 none. Costs one look-up where no
 * directory of the volume has any.
 */
must_check int tree_acks(struct tree *, uint64_t ino, struct acks *ret);
/*
 * Makes unsent writes of the inode a version. ret_seq: everything that this
 * node did up to here has an operation number up to this.
 */
must_check int tree_cut_file(struct tree *, uint64_t ino, uint64_t *ret_seq);

#endif
