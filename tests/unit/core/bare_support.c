/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes without a network, and what people do on them. */
#include "tests/pairs/bare.c"
#include "tests/pairs/actions.c"
