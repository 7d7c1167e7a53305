// SPDX-License-Identifier: BSD-2-Clause
#include "base/json.h"

#include <inttypes.h>
#include <math.h>

static void put_text(struct json *j, const char *text)
{
	putc('"', j->out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(j->out, "\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			fprintf(j->out, "\\u%04x", c);
		else
			putc(c, j->out);
	}
	putc('"', j->out);
}

static void put_key(struct json *j, const char *key)
{
	if (j->comma)
		putc(',', j->out);
	j->comma = true;
	if (key) {
		put_text(j, key);
		putc(':', j->out);
	}
}

static void begin(struct json *j, const char *key, char bracket)
{
	put_key(j, key);
	putc(bracket, j->out);
	j->comma = false;
}

static void end(struct json *j, char bracket)
{
	putc(bracket, j->out);
	j->comma = true;
}

void json_object(struct json *j, const char *key)
{
	begin(j, key, '{');
}

void json_object_end(struct json *j)
{
	end(j, '}');
}

void json_array(struct json *j, const char *key)
{
	begin(j, key, '[');
}

void json_array_end(struct json *j)
{
	end(j, ']');
}

void json_uint(struct json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void json_decimal(struct json *j, const char *key, double value, int places)
{
	put_key(j, key);
	if (isfinite(value))
		fprintf(j->out, "%.*f", places, value);
	else
		fputs("null", j->out);
}

void json_bool(struct json *j, const char *key, bool value)
{
	put_key(j, key);
	fputs(value ? "true" : "false", j->out);
}

void json_string(struct json *j, const char *key, const char *value)
{
	put_key(j, key);
	put_text(j, value);
}

void json_line_end(struct json *j)
{
	putc('\n', j->out);
	fflush(j->out);
	j->comma = false;
}
