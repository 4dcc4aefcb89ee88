/* SPDX-License-Identifier: Apache-2.0 */
/* Time and chance, from the system. Any thread. */
#ifndef KINFS_NET_SYS_H
#define KINFS_NET_SYS_H

#include <stddef.h>
#include <stdint.h>

/* Grows while the machine sleeps too, so that after a sleep all is due. */
uint64_t sys_now_ms(void);
/* Wall clock, milliseconds since 1970: invitations and member records. */
uint64_t sys_wall_ms(void);
void sys_random(void *ret, size_t len);

#endif
