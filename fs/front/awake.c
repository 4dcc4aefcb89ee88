/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/front/awake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/base/log.h"
#include "fs/base/macro.h"

/* So many in a millisecond, and programs wait for processors rather than do
 * something themselves. */
#define DENSE_REQUESTS 4
/* Then it lasts for so many looks: to ask for it wakes all processors. */
#define LOOKS 20

/* A processor that is virtual halts by ending its turn on a real one, which
 * its kernel cannot know: only no halt is quick. Of others the first state is,
 * and takes little power. */
#define QUICK_VIRTUAL_US 0
#define QUICK_US 2
/* PM_QOS_CPU_LATENCY_DEFAULT_VALUE */
#define ANY_US 2000000000

/* Among the flags of the first processor, which are in the first part. */
#define FLAGS_FILE "/proc/cpuinfo"
#define FLAG_VIRTUAL " hypervisor"
#define FLAGS_BYTES_MAX 4096

static bool is_virtual(void)
{
	char flags[FLAGS_BYTES_MAX];
	autoclose int fd = open(FLAGS_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, flags, sizeof(flags));

	return n > 0 && memmem(flags, (size_t)n, FLAG_VIRTUAL,
			       strlen(FLAG_VIRTUAL));
}

void awake_open(const char *device, struct awake *ret)
{
	*ret = (struct awake){
		.fd = device ? open(device, O_WRONLY | O_CLOEXEC) : -1,
	};
	if (ret->fd >= 0)
		ret->quick = is_virtual() ? QUICK_VIRTUAL_US : QUICK_US;
	else if (device)
		log_debug("'%s' cannot be opened (%s): processors sleep as "
			  "they like", device, strerror(errno));
}

void awake_close(struct awake *awake)
{
	if (awake->fd >= 0)
		close(awake->fd);
	awake->fd = -1;
	awake->rest = 0;
}

/* If that cannot be done it is given up for good. */
static void ask_for(struct awake *awake, int32_t us)
{
	if (write(awake->fd, &us, sizeof(us)) != sizeof(us))
		awake_close(awake);
}

bool awake_look(struct awake *awake, uint32_t requests)
{
	bool held = awake->rest;

	if (awake->fd < 0)
		return false;
	if (requests >= DENSE_REQUESTS)
		awake->rest = LOOKS;
	else if (held)
		awake->rest--;
	if (held != (awake->rest > 0))
		ask_for(awake, held ? ANY_US : awake->quick);
	return awake->rest;
}
