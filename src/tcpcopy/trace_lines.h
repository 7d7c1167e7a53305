/* SPDX-License-Identifier: BSD-2-Clause */
/* The events of --trace in words. */
#ifndef TCPCOPY_TRACE_LINES_H
#define TCPCOPY_TRACE_LINES_H

#include "core/trace.h"

#define TRACE_LINE_MAX 256

/* One line without its end; returns buf. */
char *trace_line(const struct trace_event *e, char buf[TRACE_LINE_MAX]);

#endif
