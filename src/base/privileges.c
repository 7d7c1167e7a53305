// SPDX-License-Identifier: BSD-2-Clause
#include "base/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define SERVICE_USER "tcpcopy"
#define NOBODY_ID    65534 /* the kernel's, where no user is called so */

bool privileges_have(unsigned capability)
{
	return capng_get_caps_process() == 0 &&
	       capng_have_capability(CAPNG_EFFECTIVE, capability);
}

static bool user_of(const struct passwd *entry, struct privileges_user *out)
{
	if (entry)
		*out = (struct privileges_user){.uid = entry->pw_uid,
						.gid = entry->pw_gid};
	return entry != NULL;
}

static bool by_number(const char *text, struct privileges_user *out)
{
	unsigned long id;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	id = strtoul(text, &end, 10);
	/* The largest one means "leave as it is" to the kernel. */
	if (errno || *end || id >= UINT32_MAX)
		return false;
	if (!user_of(getpwuid((uid_t)id), out))
		*out = (struct privileges_user){.uid = (uid_t)id,
						.gid = (gid_t)id};
	return true;
}

bool privileges_user_find(const char *text, struct privileges_user *out)
{
	return user_of(getpwnam(text), out) || by_number(text, out);
}

void privileges_user_default(struct privileges_user *out)
{
	if (!user_of(getpwnam(SERVICE_USER), out) &&
	    !user_of(getpwnam("nobody"), out))
		*out = (struct privileges_user){.uid = NOBODY_ID,
						.gid = NOBODY_ID};
}

bool privileges_may_change_user(void)
{
	return privileges_have(CAP_SETUID) && privileges_have(CAP_SETGID);
}

void privileges_hand_down(void)
{
	if (capng_get_caps_process())
		return;
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			capng_update(CAPNG_ADD,
				     (capng_type_t)(CAPNG_INHERITABLE |
						    CAPNG_AMBIENT),
				     cap);
	/* Nothing is lost when the kernel will not: then a tool says less. */
	(void)!capng_apply(
		(capng_select_t)(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT));
}

/* The library changes what it was told in between by itself. */
static int change_user(const struct privileges_user *user, bool bounding)
{
	int flags = CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_AMBIENT;

	if (bounding)
		flags |= CAPNG_CLEAR_BOUNDING;
	errno = 0;
	if (capng_change_id((int)user->uid, (int)user->gid,
			    (capng_flags_t)flags) == 0)
		return 0;
	return errno ? -errno : -EPERM;
}

static int drop_capabilities(bool bounding)
{
	int set = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

	if (bounding)
		set |= CAPNG_SELECT_BOUNDS;
	errno = 0;
	if (capng_apply((capng_select_t)set) == 0)
		return 0;
	return errno ? -errno : -EPERM;
}

/* After the change of user, which sets it back. A limit alone does not hold
 * where cores go to a program, and this alone not for who may trace us. */
static int leave_no_core(void)
{
	static const struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		return -errno;
	return 0;
}

int privileges_drop(const struct privileges_user *user, int keep)
{
	bool bounding = privileges_have(CAP_SETPCAP);
	bool has = keep >= 0 && privileges_have((unsigned)keep);
	int err;

	capng_clear(CAPNG_SELECT_ALL);
	if (has)
		capng_update(CAPNG_ADD,
			     (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED),
			     (unsigned)keep);
	err = user ? change_user(user, bounding) : drop_capabilities(bounding);
	if (err)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return leave_no_core();
}
