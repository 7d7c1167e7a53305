// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Two open hash tables: what is new goes into the young one; when that is half
 * full it becomes the old one, and what the old one had is forgotten.
 */
#include "io/link_seen.h"

#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

struct slot {
	uint8_t id[LINK_SEEN_ID_BYTES]; /* all zero: free */
};

struct link_seen {
	struct slot *young, *old;
	uint32_t slots; /* of each */
	uint32_t young_count;
};

struct link_seen *link_seen_new(uint32_t min)
{
	struct link_seen *seen = calloc(1, sizeof(*seen));

	if (!seen)
		return NULL;
	seen->slots = 2 * min;
	seen->young = calloc(seen->slots, sizeof(*seen->young));
	seen->old = calloc(seen->slots, sizeof(*seen->old));
	if (seen->young && seen->old)
		return seen;
	link_seen_free(seen);
	return NULL;
}

void link_seen_free(struct link_seen *seen)
{
	free(seen->young);
	free(seen->old);
	free(seen);
}

/* Its slot, or the free one where it would be. */
static struct slot *find(const struct link_seen *seen, struct slot *table,
			 const uint8_t *id, bool *found)
{
	static const struct slot none;
	uint32_t at = load_be32(id) % seen->slots;

	for (;; at = (at + 1) % seen->slots) {
		*found = !memcmp(table[at].id, id, sizeof(table[at].id));
		if (*found || !memcmp(&table[at], &none, sizeof(none)))
			return &table[at];
	}
}

static void turn_over(struct link_seen *seen)
{
	struct slot *young = seen->old;

	seen->old = seen->young;
	seen->young = young;
	seen->young_count = 0;
	memset(young, 0, seen->slots * sizeof(*young));
}

bool link_seen_add(struct link_seen *seen, const uint8_t id[LINK_SEEN_ID_BYTES])
{
	struct slot *slot;
	bool found;

	find(seen, seen->old, id, &found);
	if (found)
		return false;
	slot = find(seen, seen->young, id, &found);
	if (found)
		return false;
	memcpy(slot->id, id, sizeof(slot->id));
	if (++seen->young_count == seen->slots / 2)
		turn_over(seen);
	return true;
}
