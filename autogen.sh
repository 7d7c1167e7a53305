#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
set -e
cd "$(dirname "$0")"
exec autoreconf --force --install
