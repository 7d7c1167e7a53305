# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What tools/check and tools/demo share: packages, a copy of the tree, builds.

BUILD_PACKAGES="autoconf automake make gcc libc6-dev pkg-config
	libnetfilter-queue-dev libmnl-dev libnfnetlink-dev libpcap-dev
	libuv1-dev libsodium-dev libcap-ng-dev libseccomp-dev"
RUN_PACKAGES="iproute2 iptables procps nginx python3"

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
me=$(basename "$0")
# Where Debian has its programs of the administrator's, for any caller's PATH.
export PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C.UTF-8

say() {
	printf '[%4d s] %s\n' "$SECONDS" "$*"
}

need_root() {
	[ "$(id -u)" = 0 ] && return
	echo "$me: must run as root: it makes network namespaces" >&2
	exit 3
}

missing_packages() {
	local package
	for package; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null |
			grep -q '^ii' || echo "$package"
	done
}

# Installs those of the packages that are missing, and starts no service.
need_packages() {
	local missing policy=/usr/sbin/policy-rc.d made='' rc=0
	missing=$(missing_packages "$@" | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	say "installing: $missing"
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		made=1
	fi
	# shellcheck disable=SC2086
	{ apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		install --no-install-recommends $missing; } \
		</dev/null >"$work/packages.log" 2>&1 || rc=1
	[ -z "$made" ] || rm -f $policy
	[ $rc = 0 ] || tail -n 20 "$work/packages.log"
	return $rc
}

# The sources as they are here, without what was built here.
copy_tree() {
	mkdir -p "$1"
	tar -C "$top" -c --exclude=.git --exclude=autom4te.cache \
		--exclude=build-aux --exclude='*.o' --exclude='*.a' \
		--exclude=.deps --exclude=.dirstamp --exclude=__pycache__ \
		--exclude=Makefile --exclude=Makefile.in --exclude=configure \
		--exclude='config.*' . | tar -C "$1" -x
}

# build SOURCE DIR CONFIGURE-ARGUMENT...
build() {
	local source=$1 dir=$2
	shift 2
	mkdir -p "$dir" && cd "$dir" || return
	[ -e Makefile ] || "$source/configure" "$@" || return
	make -j"$(nproc)"
}
