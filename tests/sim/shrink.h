/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a failing history small. */
#ifndef KINFS_SIM_SHRINK_H
#define KINFS_SIM_SHRINK_H

#include "tests/sim/history.h"

/*
 * Leaves out actions as long as what is left fails in the same way; adds
 * them to o->skip. Returns how many actions are left, or -ENOENT: the
 * history does not fail.
 */
int history_shrink(struct history_options *o);
/* Actions as text, "1,4-7": from the command line (false: is none), and for
 * it. */
bool skip_parse(const char *text, bool ret[HISTORY_ACTIONS_MAX]);
void skip_print(const bool skip[HISTORY_ACTIONS_MAX]);

#endif
