// SPDX-License-Identifier: BSD-2-Clause
/* What the engine has to tell: a bit of the target until it is pulled. */
#include "core/replay_internal.h"

#define TOLD_ONCE                                                              \
	(1u << NOTICE_TLS | 1u << NOTICE_MEMORY | 1u << NOTICE_NO_TUPLE |      \
	 1u << NOTICE_MAX_SESSIONS | 1u << NOTICE_MAX_RATE |                   \
	 1u << NOTICE_MAX_CPU | 1u << NOTICE_LOOP)

void replay_tell(struct replay *r, enum replay_notice_type type,
		 uint32_t target)
{
	if (TOLD_ONCE & 1u << type && r->told & 1u << type)
		return;
	r->told |= (uint16_t)(1u << type);
	r->targets[target].notices |= (uint16_t)(1u << type);
}

bool replay_next_notice(struct replay *r, struct replay_notice *notice)
{
	for (uint32_t i = 0; i < r->cfg.target_count; i++) {
		struct target *t = &r->targets[i];

		if (!t->notices)
			continue;
		notice->target = i;
		notice->type =
			(enum replay_notice_type)__builtin_ctz(t->notices);
		t->notices &= (uint16_t)(t->notices - 1);
		return true;
	}
	return false;
}
