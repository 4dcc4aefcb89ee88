/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a history is made of: how often each operation and each fault is
 * drawn. A seed draws its profile, unless the command line names one.
 */
#ifndef KINFS_SIM_PROFILE_H
#define KINFS_SIM_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Operations: ops_files.c, ops_names.c, ops_links.c, ops_saves.c,
 * ops_decided.c, ops_answers.c. A new one needs its name here, a weight in
 * profile.c, and a function op_NAME(). */
#define OPS(X)                                                                 \
	X(create)                                                              \
	X(mkdir)                                                               \
	X(symlink)                                                             \
	X(save)                                                                \
	X(save_sibling)                                                        \
	X(patch)                                                               \
	X(truncate)                                                            \
	X(unlink)                                                              \
	X(unlink_sibling)                                                      \
	X(rmdir)                                                               \
	X(rename)                                                              \
	X(rename_dir)                                                          \
	X(rename_over)                                                         \
	X(rename_sibling)                                                      \
	X(sibling_over)                                                        \
	X(resolve)                                                             \
	X(attributes)                                                          \
	X(handle)                                                              \
	X(settle)                                                              \
	X(save_by_rename)                                                      \
	X(save_by_backup)                                                      \
	X(link)                                                                \
	X(exchange)                                                            \
	X(xattr)                                                               \
	X(policy)                                                              \
	X(sync)                                                                \
	X(undo)                                                                \
	X(swap)                                                                \
	X(answer)                                                              \
	X(merge)                                                                \
	X(rm_tree)

/* Faults: faults.c, in the same way fault_NAME(). */
#define FAULTS(X)                                                              \
	X(kill)                                                                \
	X(cut)                                                                 \
	X(mend)                                                                \
	X(partition)                                                           \
	X(stumble)                                                             \
	X(one_way)                                                             \
	X(lose_rest)                                                           \
	X(clock)                                                               \
	X(reshape)                                                             \
	X(away)                                                                \
	X(join)                                                                \
	X(power)                                                               \
	X(kill_inside)                                                         \
	X(full)                                                                \
	X(broken)                                                              \
	X(room)                                                                \
	X(backup)                                                              \
	X(restore)                                                             \
	X(clone)

#define OP_ENUM(name) OP_##name,
enum op_kind { OPS(OP_ENUM) OP_COUNT };
#define FAULT_ENUM(name) FAULT_##name,
enum fault_kind { FAULTS(FAULT_ENUM) FAULT_COUNT };

struct profile {
	const char *name;
	/* Of 100 seeds that draw their profile, so many draw this. 0: it is
	 * for what all of them do now and then, and has to be named. */
	uint8_t share;
	/* Weights where they are not the usual ones. NONE: never. */
	uint8_t ops[OP_COUNT];
	uint8_t faults[FAULT_COUNT];
	/* A fault in so many steps; a seed in four has next to none. 0: the
	 * usual number. */
	uint16_t calm;
	bool disks; /* always with disks that fail */
	bool groups; /* the store commits after a few operations */
	bool slices; /* always with large cuts, in slices */
	bool narrow; /* always with links that take their time */
	bool lapse; /* always with members that lapse, and a quick purge */
	/* Stores are copied: one number of an origin may have two histories,
	 * which truth.h cannot tell apart. It looks away then. */
	bool forks;
	/* One content in so many is one of four. 0: the usual number. */
	uint8_t same;
	bool large;	/* most contents lie in segments */
	bool space;	/* always with rounds that give back space */
	/* Names to choose from. 0: all. */
	uint8_t names;
	/* Only what a recorded history can tell (record.h). */
	bool plain;
};

extern const struct profile profiles[];
extern const size_t profile_count;
extern const char *const fault_names[FAULT_COUNT];

const struct profile *profile_find(const char *name);
const struct profile *profile_draw(uint64_t seed);
/* The same without what cannot be told. Returns ret. */
const struct profile *profile_plain(const struct profile *,
				    struct profile *ret);
/* Draw one by weight, with a random number. */
enum op_kind profile_op(const struct profile *, uint64_t random);
enum fault_kind profile_fault(const struct profile *, uint64_t random);

#endif
