/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Divergences, planted behind the core's back: one node's row becomes
 * another set of versions although nobody changed anything, as a bug in the
 * merge would leave it. Indexes and sums agree with the row, K and the
 * row's place in the change stream stay.
 */
#ifndef KINFS_SIM_PLANT_H
#define KINFS_SIM_PLANT_H

#include "fs/tree/replica.h"

enum plant {
	PLANT_ROW_LOST,	     /* the whole row */
	PLANT_NAMES_LOST,    /* its LINKs: it looks removed */
	PLANT_CONTENT_LOST,  /* its CONTENTs */
	PLANT_VERSION_LOST,  /* the newest version of any register */
	PLANT_KINDS,
};

/* Errors: -ENODATA there is nothing of that kind in the row. */
must_check int plant(struct tree *, struct objid, enum plant);

#endif
