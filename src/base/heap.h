/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for the core: large tables cost nothing until they are touched. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "core/mem.h"

extern const struct mem heap_mem;

#endif
