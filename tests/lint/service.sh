#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What makes services of the programs is right.
# Usage: service.sh completion|unit PROGRAM
# The environment: TOP_SRCDIR, TOP_BUILDDIR.
set -u
files=$TOP_SRCDIR/tools/service
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# complete_words WORD...: what bash would offer for the last one.
complete_words() {
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_tcpcopy_nfq "$1"
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

same() {
	[ "$2" = "$3" ] && return
	printf 'completion of %s: expected\n%s\nbut got\n%s\n' "$1" "$2" "$3"
	return 1
}

# What it offers are the options of --help, and what fits those with a value.
completion() {
	local program rc=0
	program=$(cd "$TOP_BUILDDIR" && pwd)/$1
	# shellcheck source=tools/service/completion
	. "$files/completion"
	same options "$("$program" --help | grep -oE '^ +-.*' |
		sed -E 's/^ +//; s/  .*//' | tr -d , | tr ' ' '\n' |
		grep -e ^- | sort)" "$(complete_words "$program" -)" || rc=1
	same check check "$(complete_words "$program" ch)" || rc=1
	same '--log-l' --log-level \
		"$(complete_words "$program" --log-l)" || rc=1
	same '--log-level ' "$(printf 'debug\nerror\ninfo\nwarn')" \
		"$(complete_words "$program" --log-level '')" || rc=1
	same '--log-level=w' warn \
		"$(complete_words "$program" --log-level = w)" || rc=1
	same '--user roo' root "$(complete_words "$program" --user roo)" ||
		rc=1
	touch "$scratch/file"
	same '-l FILE' "$scratch/file" \
		"$(complete_words "$program" -l "$scratch/fi")" || rc=1
	same '--netns FILE' "$scratch/file" \
		"$(complete_words "$program" --netns "$scratch/fi")" || rc=1
	same '-p ' '' "$(complete_words "$program" -p '')" || rc=1
	return $rc
}

# The sandbox is as close as docs/service.md says, and systemd understands all
# of the unit.
unit() {
	local program=$1 unit=$scratch/$1@test.service rc=0
	command -v systemd-analyze >/dev/null || {
		echo 'systemd-analyze is needed: on Debian,' \
			'apt-get install systemd'
		return 1
	}
	sed "s,^ExecStart=[^ ]*,ExecStart=/bin/true," \
		"$TOP_BUILDDIR/tools/service/$program@.service" >"$unit"
	systemd-analyze security --offline=true --threshold=20 "$unit" |
		tail -n 1
	[ "${PIPESTATUS[0]}" = 0 ] || rc=1
	systemd-analyze verify --man=no "$unit" 2>&1 |
		grep -F "$program@" && rc=1
	grep -E '@[a-z]+@' "$unit" && rc=1
	return $rc
}

"$@"
