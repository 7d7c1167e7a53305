// SPDX-License-Identifier: BSD-2-Clause
#include "core/tuple_ports.h"

#define SLICE_PORTS (TUPLES_PORTS / TUPLES_SLICES)

static uint32_t own(const struct split *split, uint32_t first, uint32_t count)
{
	uint32_t ours = 0;

	if (split->count < 2)
		return count;
	for (uint32_t i = 0; i < count; i++)
		ours += split_is_ours(split, (uint16_t)(first + i));
	return ours;
}

/* Several targets may have one port. */
static uint32_t usable(const struct tuple_ports *p,
		       const struct tuple_span_ports *span)
{
	uint32_t first = TUPLES_PORT_MIN + span->first;
	uint32_t count = own(&p->split, first, span->count);

	for (size_t i = 0; i < p->barred_count; i++) {
		size_t same = 0;

		while (p->barred[same] != p->barred[i])
			same++;
		if (same == i && p->barred[i] - first < span->count &&
		    split_is_ours(&p->split, p->barred[i]))
			count--;
	}
	return count;
}

void tuple_ports_init(struct tuple_ports *p, unsigned slice, uint32_t count,
		      const uint16_t *barred, size_t barred_count,
		      const struct split *split)
{
	uint32_t all = count ? count : TUPLES_PORTS;
	uint32_t part = all < SLICE_PORTS ? all : SLICE_PORTS;
	uint32_t first = slice * SLICE_PORTS % (all - part + 1);

	*p = (struct tuple_ports){
		.spans = {[SPAN_SLICE] = {.first = first, .count = part},
			  [SPAN_WHOLE] = {.count = all, .cursor = first}},
		.barred = barred,
		.barred_count = barred_count,
		.split = *split,
	};
	for (int i = 0; i < SPANS; i++)
		p->spans[i].usable = usable(p, &p->spans[i]);
}

bool tuple_ports_usable(const struct tuple_ports *p, uint32_t port)
{
	if (!split_is_ours(&p->split, (uint16_t)port))
		return false;
	for (size_t i = 0; i < p->barred_count; i++)
		if (p->barred[i] == port)
			return false;
	return true;
}

bool tuple_ports_has(const struct tuple_ports *p, enum tuple_span span,
		     uint32_t port)
{
	const struct tuple_span_ports *s = &p->spans[span];

	return port - TUPLES_PORT_MIN - s->first < s->count;
}

uint16_t tuple_ports_next(struct tuple_ports *p, enum tuple_span span)
{
	struct tuple_span_ports *s = &p->spans[span];
	uint32_t number = s->first + s->cursor;

	s->cursor = (s->cursor + 1) % s->count;
	return (uint16_t)(TUPLES_PORT_MIN + number);
}

void tuple_ports_jump(struct tuple_ports *p, enum tuple_span span,
		      unsigned refusals)
{
	struct tuple_span_ports *s = &p->spans[span];
	uint32_t ports = 1u << (refusals < 17 ? refusals - 1 : 15);

	s->cursor = (s->cursor + ports) % s->count;
}
