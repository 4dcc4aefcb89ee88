/* SPDX-License-Identifier: Apache-2.0 */
#include "replication/net/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void dialer_init(struct dialer *d)
{
	memset(d, 0, sizeof(*d));
	LIST_INIT(&d->peers);
}

void dialer_release(struct dialer *d)
{
	struct dial_peer *p;

	while ((p = LIST_FIRST(&d->peers))) {
		LIST_REMOVE(p, entry);
		free(p);
	}
}

struct dial_peer *dialer_find(struct dialer *d, const struct device *device)
{
	struct dial_peer *p;

	LIST_FOREACH (p, &d->peers, entry)
		if (device_equal(&p->device, device))
			return p;
	return NULL;
}

int dialer_set(struct dialer *d, const struct device *device,
	       struct slice list, uint64_t now_ms)
{
	struct dial_peer *p = dialer_find(d, device);
	size_t len = MIN_OF(list.len, DIAL_LIST_BYTES_MAX);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->device = *device;
		LIST_INSERT_HEAD(&d->peers, p, entry);
	} else if (slice_equal(SLICE_STR(p->list), SLICE(list.data, len))) {
		return 0;
	}
	if (len)
		memcpy(p->list, list.data, len);
	p->list[len] = '\0';
	list.len = len;
	p->count = p->next = 0;
	while (p->count < DIAL_ADDRESSES_MAX &&
	       address_next(&list, p->addresses[p->count]))
		p->count++;
	p->rounds = 0;
	p->at_ms = now_ms;
	return 0;
}

void dialer_reset(struct dialer *d, uint64_t now_ms)
{
	struct dial_peer *p;

	memset(d->self, 0, sizeof(d->self));
	LIST_FOREACH (p, &d->peers, entry) {
		p->next = 0;
		p->rounds = 0;
		p->at_ms = now_ms;
	}
}

void dialer_note_self(struct dialer *d, const char *address)
{
	char *at = d->self[d->self_next++ % DIAL_SELF_MAX];

	memset(at, 0, ADDRESS_TEXT_BYTES);
	strncpy(at, address, ADDRESS_TEXT_BYTES - 1);
}

static bool is_self(const struct dialer *d, const char *address)
{
	for (size_t i = 0; i < DIAL_SELF_MAX; i++)
		if (!strcmp(d->self[i], address))
			return true;
	return false;
}

const char *dial_next(struct dialer *d, struct dial_peer *p)
{
	for (size_t i = 0; i < p->count; i++) {
		size_t at = (p->next + i) % p->count;

		if (is_self(d, p->addresses[at]))
			continue;
		p->next = at;
		return p->addresses[at];
	}
	return NULL;
}

static uint64_t delay_ms(unsigned int rounds, uint32_t chance)
{
	uint64_t ms = DIAL_DELAY_MS_MIN;

	while (rounds-- && ms < DIAL_DELAY_MS_MAX)
		ms *= 2;
	ms = MIN_OF(ms, DIAL_DELAY_MS_MAX);
	/* Between a half and the whole of it. */
	return ms / 2 + chance % (ms / 2 + 1);
}

void dial_failed(struct dial_peer *p, uint64_t now_ms, uint32_t chance)
{
	p->at_ms = now_ms;
	if (p->next + 1 < p->count) {
		p->next++; /* the others of this round at once */
		return;
	}
	p->next = 0;
	p->at_ms += delay_ms(p->rounds, chance);
	if (p->rounds < 16)
		p->rounds++;
}

void dial_lost(struct dial_peer *p, uint64_t now_ms, uint32_t chance)
{
	p->rounds = 0;
	p->at_ms = now_ms + delay_ms(0, chance);
}
