#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -e
cd "$(dirname "$0")"
for tool in autoreconf:autoconf aclocal:automake pkg-config:pkg-config; do
	command -v "${tool%:*}" >/dev/null || {
		echo "autogen.sh: ${tool%:*} was not found: on Debian," \
			"apt-get install ${tool#*:}" >&2
		exit 1
	}
done
exec autoreconf --force --install
