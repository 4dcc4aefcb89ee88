/* SPDX-License-Identifier: Apache-2.0 */
/* What was decided without asking, as commands print it. */
#ifndef KINFS_TOOLS_DECISIONS_H
#define KINFS_TOOLS_DECISIONS_H

#include "tools/control_client.h"

/* Fields of one, for help texts. */
#define DECISION_FIELDS \
"            {id, kind: rename|mode|owner|times|xattr|cycle|revived|\n" \
"            reverted|policy|settled, path, directory, automatic, xattr,\n" \
"            chosen, lost: {value, label, node, time}, why, can_undo}"

void decision_print(const struct subject *, const json_t *decision);
/* Asks for those at or below the subject's path, with what people settled or
 * without, and prints them. Returns an exit_code. */
int decisions_list(const struct subject *, bool settled, bool as_json);

#endif
