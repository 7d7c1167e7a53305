// SPDX-License-Identifier: BSD-2-Clause
/*
 * Theory of operation
 *
 * Which ways there are is known when all links are up: an intercept offers in
 * its HELLO to inject packets. With --path auto that way is taken if every
 * target's intercept offers it, since it costs this host the least and no
 * network can object. It is left for good when one offers it no longer, or when
 * nothing has ever come back by it: a port that intercept does not serve, or a
 * firewall on the target, looks like that.
 */
#include "base/clock.h"
#include "io/sender_relay.h"
#include "tcpcopy/app.h"

static unsigned link_of_packet(void *ctx)
{
	return replay_packet_link(((struct app *)ctx)->replay);
}

static int link_guess(void *ctx)
{
	return replay_packet_link_guess(((struct app *)ctx)->replay);
}

static void on_room(void *ctx, unsigned link_id, bool room)
{
	replay_on_link_room(((struct app *)ctx)->replay, link_id, room);
}

int app_open_relay(struct app *a)
{
	const struct replay_config *replay = &a->plan.replay;
	const struct sender_relay_config cfg = {
		.slot_bytes = replay->relay_bytes,
		.links_count = replay->group_count * replay->links_per_group,
		.link_of = link_of_packet,
		.link_guess = link_guess,
		.room = on_room,
		.ctx = a,
	};

	return sender_relay_open(&a->relay, &cfg)
		       ? app_refuse(OPTS_EXIT_ENVIRONMENT, "no memory")
		       : 0;
}

static bool relays_by(const struct app *a, unsigned group)
{
	for (size_t i = 0; i < a->plan.replay.target_count; i++)
		if (a->plan.targets[i].relay_group == group)
			return true;
	return false;
}

static bool takes_packets(const struct app *a, unsigned link_id)
{
	struct link_state state;

	link_client_state(a->links, link_id, &state);
	return !relays_by(a, state.group) ||
	       state.features & WIRE_FEATURE_RELAY;
}

static bool all_take_packets(const struct app *a)
{
	for (unsigned i = 0; i < link_client_count(a->links); i++)
		if (!takes_packets(a, i))
			return false;
	return true;
}

static void use_relay(struct app *a)
{
	char at[ENDPOINT_TEXT_MAX];

	a->sender = a->relay;
	replay_set_relay(a->replay, true, clock_us());
	for (size_t i = 0; i < a->plan.replay.target_count; i++)
		log_info("target %s: path relay: its intercept takes packets",
			 endpoint_text(&a->plan.targets[i].at, at));
}

void app_choose_path(struct app *a)
{
	if (a->relay && a->own && all_take_packets(a))
		use_relay(a);
	else if (a->own)
		app_tell_path(a);
}

/* false: there is no other way. */
static bool leave_relay(struct app *a)
{
	if (!a->own)
		return false;
	a->sender = a->own;
	replay_set_relay(a->replay, false, clock_us());
	app_tell_path(a);
	return true;
}

bool app_leave_silent_relay(struct app *a)
{
	if (a->sender != a->relay || a->relay_answered || !a->own)
		return false;
	log_warn("path relay is left: nothing has come back by it in 5 s; is "
		 "the target's port in --relay of its intercept");
	return leave_relay(a);
}

bool app_check_relay(struct app *a, unsigned link_id, const char *intercept)
{
	if (a->sender != a->relay || takes_packets(a, link_id))
		return true;
	if (a->ready) {
		log_warn("path relay: intercept at %s takes no packets any "
			 "more: start it with --relay",
			 intercept);
		leave_relay(a);
		return true;
	}
	if (!a->exit_code)
		app_refuse(0,
			   "--path relay: intercept at %s takes no packets: "
			   "start it with --relay and the target's port",
			   intercept);
	app_end(a, OPTS_EXIT_ENVIRONMENT);
	return false;
}
