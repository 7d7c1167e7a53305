// SPDX-License-Identifier: BSD-2-Clause
#include "tcpcopy/room.h"

#include "core/tuple_ports.h"
#include "tcpcopy/transfer.h"

/* Of one address. */
static uint32_t usable_ports(const struct replay_config *cfg)
{
	const struct split all = {.count = 1}; /* workers together */
	uint16_t barred[TRANSFERS_MAX];
	struct tuple_ports ports;

	for (size_t i = 0; i < cfg->target_count; i++)
		barred[i] = cfg->targets[i].at.port;
	tuple_ports_init(&ports, 0, 0, barred, cfg->target_count, &all);
	return ports.spans[SPAN_WHOLE].usable;
}

struct room room_towards(const struct replay_config *cfg, size_t target)
{
	bool v4 = addr_is_v4(&cfg->targets[target].at.addr);
	struct room room = {0};
	uint64_t ports = usable_ports(cfg);

	for (size_t i = 0; i < cfg->client_count; i++)
		if (addr_is_v4(&cfg->clients[i].first) == v4)
			room.addrs += cfg->clients[i].count;
	if (room.addrs)
		ports *= room.addrs;
	room.connections = ports / cfg->copies;
	room.is_small = room.connections <
			(room.addrs ? ROOM_SHARED_LEAST : ROOM_EACH_LEAST);
	return room;
}
