#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every C file is as .clang-format (clang-format 14) wants it.
# Usage: format.sh SOURCE-ROOT
set -eu
cd "$1"
tool=clang-format-14
command -v $tool >/dev/null || tool=clang-format
$tool --version | grep -q 'version 14\.' || {
	echo "format: clang-format 14 is needed: apt-get install clang-format-14"
	exit 1
}
files=$(find src tests -name '*.[ch]')
# shellcheck disable=SC2086
$tool --dry-run -Werror $files
echo "format: $(echo "$files" | wc -l) files"
