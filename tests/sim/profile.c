/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profiles, as differences from the usual weights: a new operation or
 * fault is in all of them once it has a usual weight. Each profile is meant
 * for a part of the rules, and names nothing that this part does not need.
 */
#include "tests/sim/profile.h"

#include <string.h>

#include "fs/base/macro.h"
#include "tests/sim/rng.h"

/* In a profile's table: 0 stands for the usual weight. */
#define NONE 255

static const uint8_t usual_ops[OP_COUNT] = {
	[OP_create] = 16,     [OP_mkdir] = 8,	       [OP_symlink] = 3,
	[OP_save] = 16,	      [OP_save_sibling] = 6,   [OP_patch] = 6,
	[OP_truncate] = 3,    [OP_unlink] = 7,	       [OP_unlink_sibling] = 4,
	[OP_rmdir] = 4,	      [OP_rename] = 8,	       [OP_rename_dir] = 5,
	[OP_rename_over] = 4, [OP_rename_sibling] = 3, [OP_sibling_over] = 3,
	[OP_resolve] = 3,     [OP_attributes] = 5,     [OP_handle] = 8,
	[OP_settle] = 1,      [OP_save_by_rename] = 5, [OP_save_by_backup] = 5,
	[OP_sync] = 2,	      [OP_link] = 4,	       [OP_exchange] = 3,
	[OP_xattr] = 3,
};

static const uint8_t usual_faults[FAULT_COUNT] = {
	[FAULT_kill] = 6,      [FAULT_cut] = 4,	    [FAULT_mend] = 6,
	[FAULT_partition] = 2, [FAULT_stumble] = 2, [FAULT_one_way] = 1,
	[FAULT_lose_rest] = 2, [FAULT_clock] = 1,   [FAULT_reshape] = 1,
	[FAULT_join] = 2,      [FAULT_power] = 3,   [FAULT_kill_inside] = 4,
	[FAULT_full] = 2,      [FAULT_broken] = 2,  [FAULT_room] = 4, [FAULT_away] = 2,
};

const struct profile profiles[] = {
	{.name = "plain", .share = 15},
	/* Editors, on few names. */
	{
		.name = "saves",
		.share = 5,
		.names = 3,
		.ops = {[OP_mkdir] = 2,
			[OP_symlink] = 1,
			[OP_rmdir] = 1,
			[OP_rename_dir] = 1,
			[OP_save_by_rename] = 25,
			[OP_save_by_backup] = 25},
	},
	{
		.name = "dirs",
		.share = 20,
		.ops = {[OP_create] = 6,
			[OP_mkdir] = 18,
			[OP_symlink] = 1,
			[OP_save] = 6,
			[OP_save_sibling] = 2,
			[OP_patch] = 2,
			[OP_truncate] = 1,
			[OP_unlink] = 5,
			[OP_unlink_sibling] = 2,
			[OP_rmdir] = 9,
			[OP_rename] = 6,
			[OP_rename_dir] = 28,
			[OP_rename_over] = 3,
			[OP_rename_sibling] = 1,
			[OP_sibling_over] = 1,
			[OP_resolve] = 1,
			[OP_attributes] = 3,
			[OP_handle] = 3},
	},
	{
		.name = "conflicts",
		.share = 25,
		.names = 2,
		.ops = {[OP_create] = 6,
			[OP_mkdir] = 3,
			[OP_symlink] = 1,
			[OP_save] = 30,
			[OP_save_sibling] = 12,
			[OP_patch] = 8,
			[OP_unlink] = 5,
			[OP_unlink_sibling] = 7,
			[OP_rmdir] = 2,
			[OP_rename] = 6,
			[OP_rename_dir] = 2,
			[OP_rename_over] = 5,
			[OP_rename_sibling] = 5,
			[OP_sibling_over] = 5,
			[OP_resolve] = 6,
			[OP_attributes] = 3},
	},
	{
		.name = "deletes",
		.share = 20,
		.ops = {[OP_create] = 14,
			[OP_mkdir] = 12,
			[OP_symlink] = 2,
			[OP_save] = 14,
			[OP_save_sibling] = 3,
			[OP_patch] = 4,
			[OP_truncate] = 2,
			[OP_unlink] = 22,
			[OP_rmdir] = 16,
			[OP_rename] = 6,
			[OP_rename_dir] = 6,
			[OP_rename_sibling] = 2,
			[OP_sibling_over] = 2,
			[OP_resolve] = 2,
			[OP_attributes] = 3,
			[OP_handle] = 4},
	},
	/* Contents that lie in segments, and often lay there before. */
	{
		.name = "space",
		.share = 0,
		.same = 3,
		.names = 3,
		.large = true,
		.space = true,
		.groups = true,
		.ops = {[OP_create] = 14,
			[OP_mkdir] = 2,
			[OP_symlink] = 1,
			[OP_save] = 30,
			[OP_save_sibling] = 6,
			[OP_patch] = 14,
			[OP_truncate] = 6,
			[OP_unlink] = 16,
			[OP_rmdir] = 2,
			[OP_rename_dir] = 1,
			[OP_handle] = 14},
	},
	/* What was written before is written again, and so undone. */
	{
		.name = "again",
		.share = 0,
		.same = 2,
		.names = 2,
		.ops = {[OP_create] = 6,
			[OP_mkdir] = 2,
			[OP_symlink] = 1,
			[OP_save] = 40,
			[OP_save_sibling] = 16,
			[OP_unlink] = 3,
			[OP_unlink_sibling] = 4,
			[OP_rmdir] = 1,
			[OP_rename] = 2,
			[OP_rename_dir] = 1,
			[OP_rename_over] = 1,
			[OP_rename_sibling] = 2,
			[OP_sibling_over] = 2,
			[OP_resolve] = 3,
			[OP_attributes] = 1,
			[OP_exchange] = 1},
	},
	/* Files with several names, names that change places. */
	{
		.name = "links",
		.share = 10,
		.names = 4,
		.ops = {[OP_mkdir] = 5,
			[OP_symlink] = 2,
			[OP_unlink] = 14,
			[OP_rename] = 10,
			[OP_rename_over] = 6,
			[OP_link] = 24,
			[OP_exchange] = 12},
	},
	/* Something breaks all the time. */
	{.name = "faults", .share = 10, .calm = 3},
	/* Machines fail, links do not. */
	{
		.name = "disks",
		.share = 10,
		.calm = 4,
		.disks = true,
		.faults = {[FAULT_cut] = 1,
			   [FAULT_mend] = 2,
			   [FAULT_partition] = NONE,
			   [FAULT_power] = 6,
			   [FAULT_kill_inside] = 12},
	},
	/* The same, with commits all the time. */
	{
		.name = "commits",
		.share = 0,
		.calm = 4,
		.disks = true,
		.groups = true,
		.faults = {[FAULT_cut] = 1,
			   [FAULT_mend] = 2,
			   [FAULT_partition] = NONE,
			   [FAULT_power] = 6,
			   [FAULT_kill_inside] = 12},
	},
	/* Large cuts, and nodes and links that fall in the middle of them. */
	{
		.name = "slices",
		.share = 0,
		.calm = 4,
		.slices = true,
		.faults = {[FAULT_kill] = 12,
			   [FAULT_stumble] = 8,
			   [FAULT_lose_rest] = 6,
			   [FAULT_away] = 6,
			   [FAULT_kill_inside] = 12},
	},
	/* Conflicts, and every node answers them in its own way. */
	{
		.name = "answers",
		.share = 0,
		.names = 2,
		.ops = {[OP_create] = 6,
			[OP_mkdir] = 2,
			[OP_symlink] = 1,
			[OP_save] = 40,
			[OP_save_sibling] = 5,
			[OP_unlink] = 3,
			[OP_unlink_sibling] = 3,
			[OP_rmdir] = 1,
			[OP_rename] = 4,
			[OP_rename_dir] = 1,
			[OP_resolve] = 1,
			[OP_answer] = 60,
			[OP_merge] = 8,
			[OP_save_by_rename] = 1,
			[OP_save_by_backup] = 1,
			[OP_xattr] = 1,
			[OP_attributes] = 1},
		.faults = {[FAULT_cut] = 8, [FAULT_mend] = 10},
	},
	/* Few names, renamed everywhere; and what came of it is taken back. */
	{
		.name = "decided",
		.share = 0,
		.names = 4,
		.ops = {[OP_mkdir] = 12,
			[OP_rename] = 16,
			[OP_rename_dir] = 16,
			[OP_attributes] = 12,
			[OP_xattr] = 10,
			[OP_undo] = 25,
			[OP_swap] = 10},
		.faults = {[FAULT_cut] = 10, [FAULT_mend] = 14},
	},
	/* Conflicts that are settled, and opened again, and settled again. */
	{
		.name = "reopened",
		.share = 0,
		.names = 2,
		.ops = {[OP_create] = 4,
			[OP_mkdir] = 1,
			[OP_symlink] = NONE,
			[OP_save] = 50,
			[OP_save_sibling] = 8,
			[OP_unlink] = 2,
			[OP_unlink_sibling] = 12,
			[OP_rmdir] = NONE,
			[OP_rename] = 3,
			[OP_rename_dir] = NONE,
			[OP_sibling_over] = 12,
			[OP_resolve] = 16,
			[OP_save_by_backup] = NONE,
			[OP_answer] = 8,
			[OP_merge] = 8,
			[OP_undo] = 30},
		.faults = {[FAULT_cut] = 10, [FAULT_mend] = 16},
	},
	/* Conflicts that come under policies, and out of them again. */
	{
		.name = "policies",
		.share = 0,
		.names = 3,
		.ops = {[OP_mkdir] = 10,
			[OP_save] = 34,
			[OP_save_sibling] = 10,
			[OP_patch] = 8,
			[OP_rename] = 10,
			[OP_rename_dir] = 12,
			[OP_handle] = 14,
			[OP_save_by_rename] = 8,
			[OP_undo] = 3,
			[OP_policy] = 16},
		.faults = {[FAULT_cut] = 8, [FAULT_mend] = 14},
	},
	/* Removed, purged, and then somebody comes back. */
	{
		.name = "lapse",
		.share = 0,
		.calm = 8,
		.lapse = true,
		.ops = {[OP_mkdir] = 12,
			[OP_unlink] = 22,
			[OP_rmdir] = 14},
		.faults = {[FAULT_cut] = 8,
			   [FAULT_mend] = 10,
			   [FAULT_partition] = 6,
			   [FAULT_away] = 16},
	},
	/* The same, and they come back by streams that do not end. */
	{
		.name = "returns",
		.share = 0,
		.calm = 4,
		.slices = true,
		.lapse = true,
		.narrow = true,
		.ops = {[OP_create] = 24,
			[OP_unlink] = 22,
			[OP_rmdir] = 6,
			[OP_rm_tree] = 4},
		.faults = {[FAULT_kill] = 2,
			   [FAULT_cut] = 12,
			   [FAULT_mend] = 20,
			   [FAULT_away] = 10,
			   [FAULT_power] = 1,
			   [FAULT_kill_inside] = 1},
	},
	/* Whole directories are removed, while somebody who is away works in
	 * them. */
	{
		.name = "trees",
		.share = 0,
		.calm = 6,
		.lapse = true,
		.names = 4,
		.ops = {[OP_create] = 12,
			[OP_mkdir] = 16,
			[OP_symlink] = 1,
			[OP_save] = 28,
			[OP_patch] = 8,
			[OP_unlink] = 3,
			[OP_rmdir] = 2,
			[OP_rename] = 5,
			[OP_rename_dir] = 5,
			[OP_rm_tree] = 12},
		.faults = {[FAULT_cut] = 8,
			   [FAULT_mend] = 14,
			   [FAULT_partition] = 6,
			   [FAULT_away] = 16},
	},
	/* Backups that are brought back, stores that are copied. */
	{
		.name = "forks",
		.share = 0,
		.calm = 8,
		.forks = true,
		.faults = {[FAULT_backup] = 12,
			   [FAULT_restore] = 10,
			   [FAULT_clone] = 4,
			   [FAULT_away] = 5,
			   [FAULT_partition] = 4,
			   [FAULT_mend] = 10},
	},
};

const size_t profile_count = ARRAY_SIZE(profiles);

#define FAULT_NAME(name) #name,
const char *const fault_names[FAULT_COUNT] = {FAULTS(FAULT_NAME)};

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < profile_count; i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

const struct profile *profile_draw(uint64_t seed)
{
	unsigned int sum = 0, x;
	struct rng rng;
	size_t i = 0;

	rng_init(&rng, seed * 16 + 14);
	for (size_t k = 0; k < profile_count; k++)
		sum += profiles[k].share;
	x = (unsigned int)rng_below(&rng, sum);
	while (x >= profiles[i].share)
		x -= profiles[i++].share;
	return &profiles[i];
}

const struct profile *profile_plain(const struct profile *p,
				    struct profile *ret)
{
	static const enum op_kind ops[] = {OP_xattr, OP_policy,
					   OP_save_by_backup, OP_swap};
	static const enum fault_kind faults[] = {
		FAULT_power, FAULT_kill_inside, FAULT_full,  FAULT_broken,
		FAULT_room,  FAULT_backup,	FAULT_restore, FAULT_clone,
	};

	*ret = *p;
	ret->plain = true;
	ret->disks = ret->groups = ret->lapse = ret->forks = false;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		ret->ops[ops[i]] = NONE;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		ret->faults[faults[i]] = NONE;
	return ret;
}

static unsigned int weight(uint8_t own, uint8_t usual)
{
	return own == NONE ? 0 : own ? own : usual;
}

static int draw(const uint8_t *own, const uint8_t *usual, int count,
		uint64_t random)
{
	unsigned int sum = 0, x;
	int i = 0;

	for (int k = 0; k < count; k++)
		sum += weight(own[k], usual[k]);
	x = (unsigned int)(random % sum);
	while (x >= weight(own[i], usual[i])) {
		x -= weight(own[i], usual[i]);
		i++;
	}
	return i;
}

enum op_kind profile_op(const struct profile *p, uint64_t random)
{
	return (enum op_kind)draw(p->ops, usual_ops, OP_COUNT, random);
}

enum fault_kind profile_fault(const struct profile *p, uint64_t random)
{
	return (enum fault_kind)draw(p->faults, usual_faults, FAULT_COUNT,
				     random);
}
