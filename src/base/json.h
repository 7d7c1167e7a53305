/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes JSON, one object a line. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	bool comma; /* something stands before the next member */
};

/* key NULL: an element of an array, or the line's own object. */
void json_object(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);
void json_uint(struct json *j, const char *key, uint64_t value);
void json_decimal(struct json *j, const char *key, double value, int places);
void json_bool(struct json *j, const char *key, bool value);
/* Bytes that are not printable ASCII are escaped one by one. */
void json_string(struct json *j, const char *key, const char *value);
/* Ends the line and writes it out. */
void json_line_end(struct json *j);

#endif
