/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator's cluster, for directed tests of the core. */
#include "tests/sim/cluster.c"
#include "tests/sim/wires.c"
#include "tests/sim/check.c"
#include "tests/sim/plant.c"
#include "tests/sim/disk.c"
#include "tests/sim/disk_calls.c"
#include "tests/sim/backup.c"
#include "tests/sim/truth.c"
#include "tests/sim/truth_names.c"
