// SPDX-License-Identifier: BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpcopy/options.h"

static struct tcpcopy_options o;
static struct opts_fault fault;

/* Words are separated by single spaces. */
static bool parse(const char *line)
{
	static char copy[1024]; /* the options borrow their values */
	char *argv[64] = {(char *)"tcpcopy"};
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
		argv[argc++] = w;
	return tcpcopy_options_parse(&o, argc, argv, &fault);
}

#define X "-x 80-192.0.2.2:8080 "

static void test_defaults(void **state)
{
	(void)state;
	assert_true(parse(X));
	assert_int_equal(o.copies, 1);
	assert_int_equal(o.port_slice, 0);
	assert_int_equal(o.sample_percent, 100);
	assert_int_equal(o.memory_mb, 512);
	assert_int_equal(o.mtu_bytes, 1500);
	assert_int_equal(o.mss_bytes, 0);
	assert_int_equal(o.links, 3);
	assert_int_equal(o.timeout_us, 60000000);
	assert_int_equal(o.idle_us, 3600000000);
	assert_int_equal(o.max_hold_us, 60000000);
	assert_true(o.resend);
	assert_int_equal(o.port, 36524);
	assert_int_equal(o.buffer_mb, 0);
	assert_false(o.capture_pcap);
	assert_int_equal(o.max_sessions, 0);
	assert_int_equal(o.max_packets, 0);
	assert_int_equal(o.max_megabits, 0);
	assert_int_equal(o.max_cpu_percent, 0);
	assert_int_equal(o.nice_steps, 10);
	assert_null(o.file);
	assert_null(o.dry_run);
	assert_true(addr_is_none(&o.trace.addr));
	assert_int_equal(o.intercept_count, 0);
	assert_int_equal(o.clients.count, 0);
	assert_int_equal(o.device_count, 0);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_true(parse(X
			  "-n 1023 -f 1023 -r 1 -m 1000 -M 9000 -S 1000 -C 16 "
			  "-t 1.5 -k 7200 --max-hold 0.25 -p 1 --buffer 64 "
			  "--no-resend --nice 19"));
	assert_int_equal(o.copies, 1023);
	assert_int_equal(o.port_slice, 1023);
	assert_int_equal(o.sample_percent, 1);
	assert_int_equal(o.memory_mb, 1000);
	assert_int_equal(o.mtu_bytes, 9000);
	assert_int_equal(o.mss_bytes, 1000);
	assert_int_equal(o.links, 16);
	assert_int_equal(o.timeout_us, 1500000);
	assert_int_equal(o.idle_us, 7200000000);
	assert_int_equal(o.max_hold_us, 250000);
	assert_int_equal(o.port, 1);
	assert_int_equal(o.buffer_mb, 64);
	assert_int_equal(o.nice_steps, 19);
	assert_false(o.resend);
	assert_true(parse(X "-m 1048576 -k 604800 --max-hold 86400 "
			    "--buffer 4096 --stats 86400"));
	assert_int_equal(o.memory_mb, 1048576);
	assert_int_equal(o.idle_us, 604800000000);
	assert_int_equal(o.max_hold_us, 86400000000);
	assert_int_equal(o.buffer_mb, 4096);
	assert_int_equal(o.service.stats_us, 86400000000);
	assert_true(parse(X "-i f -a 1000 -I 3600000"));
	assert_true(o.accelerate > 999.9);
	assert_int_equal(o.skip_idle_ms, 3600000);
}

static void test_limits(void **state)
{
	(void)state;
	assert_true(parse(X "--max-sessions 10000000 --max-cpu 100 "
			    "--max-rate 100000000"));
	assert_int_equal(o.max_sessions, 10000000);
	assert_int_equal(o.max_cpu_percent, 100);
	assert_int_equal(o.max_packets, 100000000);
	assert_int_equal(o.max_megabits, 0);
	assert_true(parse(X "--max-rate 1000000M"));
	assert_int_equal(o.max_packets, 0);
	assert_int_equal(o.max_megabits, 1000000);
	assert_true(parse(X "--max-rate 200M,50000"));
	assert_int_equal(o.max_packets, 50000);
	assert_int_equal(o.max_megabits, 200);
	/* the last one holds, as with any option */
	assert_true(parse(X "--max-rate 200M --max-rate 7"));
	assert_int_equal(o.max_packets, 7);
	assert_int_equal(o.max_megabits, 0);
}

static void test_trace(void **state)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	assert_true(parse(X "--trace 192.0.2.7:4000"));
	assert_string_equal(endpoint_text(&o.trace, text), "192.0.2.7:4000");
	assert_true(parse(X "--trace 2001:db8::7"));
	assert_string_equal(endpoint_text(&o.trace, text), "[2001:db8::7]:0");
	assert_false(parse(X "--trace 0.0.0.0"));
	assert_false(parse(X "--trace 192.0.2.7:70000"));
}

static void test_hold_follows_timeout(void **state)
{
	(void)state;
	assert_true(parse(X "-t 5"));
	assert_int_equal(o.max_hold_us, 5000000);
}

static void test_long_forms(void **state)
{
	(void)state;
	assert_true(parse("--transfer 80-192.0.2.2:8080 --copies 2 "
			  "--port-slice 3 --sample 50 --memory 100 --mtu 1400 "
			  "--mss 1200 --links 1 --timeout 10 --idle 20 "
			  "--port 99 --client-addr 192.0.2.x "
			  "--local-addr 192.0.2.3 --intercept 192.0.2.9"));
	assert_int_equal(o.copies, 2);
	assert_int_equal(o.mss_bytes, 1200);
	assert_int_equal(o.clients.count, 1);
	assert_int_equal(o.intercept_count, 1);
	assert_int_equal(o.intercepts[0].port, 99);
	assert_false(addr_is_none(&o.local_v4));
	assert_true(addr_is_none(&o.local_v6));
}

static void test_intercepts(void **state)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	/* -p counts, wherever it stands. */
	assert_true(parse(X "-s 192.0.2.7,192.0.2.8:99,[2001:db8::1] -p 4000"));
	assert_int_equal(o.intercept_count, 3);
	assert_string_equal(endpoint_text(&o.intercepts[0], text),
			    "192.0.2.7:4000");
	assert_string_equal(endpoint_text(&o.intercepts[1], text),
			    "192.0.2.8:99");
	assert_string_equal(endpoint_text(&o.intercepts[2], text),
			    "[2001:db8::1]:4000");
}

static void test_workers(void **state)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)state;
	assert_true(parse(X));
	assert_int_equal(o.split.count, 1);
	assert_int_equal(o.port_last, 36524);
	assert_true(parse(X "--workers 4 --max-sessions 4 --max-rate 4,1M"));
	assert_int_equal(o.split.count, 4);
	assert_true(parse(X "--workers 1 -i in.pcap"));
	/* intercept's: each is one to connect to */
	assert_true(parse(X "-s 192.0.2.7,192.0.2.8:99 -p 4000-4002"));
	assert_int_equal(o.port, 4000);
	assert_int_equal(o.port_last, 4002);
	assert_int_equal(o.intercept_count, 4);
	assert_string_equal(endpoint_text(&o.intercepts[2], text),
			    "192.0.2.7:4002");
	assert_string_equal(endpoint_text(&o.intercepts[3], text),
			    "192.0.2.8:99");
	assert_true(parse(X "-p 65535-65535"));
	assert_true(parse(X "-p 1-32"));
}

static void test_files(void **state)
{
	(void)state;
	assert_true(parse(X "-i in.pcap -a 2.5 -I 100 --dry-run out.pcap"));
	assert_string_equal(o.file, "in.pcap");
	assert_string_equal(o.dry_run, "out.pcap");
	assert_true(o.accelerate > 2.4 && o.accelerate < 2.6);
	assert_int_equal(o.skip_idle_ms, 100);
}

#define DEVICES_16 "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"

static void test_capture(void **state)
{
	(void)state;
	assert_true(parse(X "--capture pcap --device eth0,lo --filter tcp"));
	assert_true(o.capture_pcap);
	assert_int_equal(o.device_count, 2);
	assert_string_equal(o.devices[0], "eth0");
	assert_string_equal(o.devices[1], "lo");
	assert_string_equal(o.filter, "tcp");
	assert_int_equal(o.path, PATH_AUTO);
	assert_true(parse(X "--device " DEVICES_16));
	assert_int_equal(o.device_count, DEVICES_MAX);
	assert_string_equal(o.devices[DEVICES_MAX - 1], "p");
	assert_true(parse(X "--path link"));
	assert_int_equal(o.path, PATH_LINK);
	assert_true(parse(X "--path relay"));
	assert_int_equal(o.path, PATH_RELAY);
	assert_true(parse(X "--path raw"));
	assert_int_equal(o.path, PATH_RAW);
	assert_true(parse(X "--path auto"));
	assert_int_equal(o.path, PATH_AUTO);
	assert_true(parse(X "--capture ring"));
	assert_false(o.capture_pcap);
}

static void test_service(void **state)
{
	(void)state;
	assert_true(parse(X "-l a.log -P a.pid -d --stats 0.5 --json - "
			    "--log-level debug"));
	assert_string_equal(o.service.log_path, "a.log");
	assert_string_equal(o.service.pid_path, "a.pid");
	assert_string_equal(o.service.json_path, "-");
	assert_true(o.service.daemon);
	assert_int_equal(o.service.stats_us, 500000);
	assert_int_equal(o.service.log_level, LOG_LEVEL_DEBUG);
	/* These need nothing else. */
	assert_true(parse("-v"));
	assert_true(o.service.version);
	assert_true(parse("--help"));
	assert_true(o.service.help);
}

/* Line, and what the fault begins with. */
static const char *const refused[][2] = {
	{"", "-x: must be given"},
	{"-x 80", "-x 80: must be [sourceIP:]sourcePort-targetIP:targetPort"},
	{X "-n 0", "-n 0: copies must be 1 to 1023"},
	{X "-n 2000", "-n 2000: copies must be 1 to 1023"},
	{X "-n two", "-n two: "},
	{X "-f 1024", "-f 1024: the port slice must be 0 to 1023"},
	{X "-r 0", "-r 0: the percentage must be 1 to 100"},
	{X "-r 101", "-r 101: "},
	{X "-m 15", "-m 15: megabytes must be 16 to 1048576"},
	{X "-m 1048577", "-m 1048577: megabytes must be 16 to 1048576"},
	{X "--max-sessions 0",
	 "--max-sessions 0: sessions must be 1 to 10000000"},
	{X "--max-sessions 10000001", "--max-sessions 10000001: sessions"},
	{X "--max-cpu 0", "--max-cpu 0: the percentage must be 1 to 100"},
	{X "--max-cpu 101", "--max-cpu 101: the percentage must be 1 to 100"},
	{X "--nice 20", "--nice 20: steps must be 0 to 19"},
	{X "--nice -1", "--nice -1: steps must be 0 to 19"},
	{X "--max-rate 0", "--max-rate 0: packets a second (megabits with M) "
			   "must be 1 to 100000000"},
	{X "--max-rate 0M",
	 "--max-rate 0M: megabits a second (with M) must be 1 to 1000000"},
	{X "--max-rate 1000001M",
	 "--max-rate 1000001M: megabits a second (with M) must be"},
	{X "--max-rate 100000001",
	 "--max-rate 100000001: packets a second (megabits with M) must be"},
	{X "--max-rate M",
	 "--max-rate M: packets a second (megabits with M) must be"},
	{X "--max-rate 2G",
	 "--max-rate 2G: packets a second (megabits with M) must be"},
	{X "--max-rate 5,6", "--max-rate 5,6: at most one rate of packets"},
	{X "--max-rate 5M,6M", "--max-rate 5M,6M: at most one rate of"},
	{X "--max-rate 5M,", "--max-rate 5M,: must be PACKETS"},
	{X "--max-rate ,", "--max-rate ,: must be PACKETS"},
	{X "-M 575", "-M 575: the MTU must be 576 to 65535"},
	{X "-M 65536", "-M 65536: "},
	{X "-S 63", "-S 63: the MSS must be 64 to 65495"},
	{X "-S 65496", "-S 65496: the MSS must be 64 to 65495"},
	{X "-C 0", "-C 0: links must be 1 to 16"},
	{X "-C 17", "-C 17: "},
	{X "-t 0.5", "-t 0.5: seconds must be 1 to 86400"},
	{X "-t 86401", "-t 86401: seconds must be 1 to 86400"},
	{X "-k 0", "-k 0: seconds must be 1 to 604800"},
	{X "-k 604801", "-k 604801: seconds must be 1 to 604800"},
	{X "--max-hold 0", "--max-hold 0: seconds must be 0.001 to 86400"},
	{X "--max-hold 86400.1",
	 "--max-hold 86400.1: seconds must be 0.001 to 86400"},
	{X "-p 0", "-p 0: a port must be 1 to 65535"},
	{X "-p 65536", "-p 65536: "},
	{X "-p 36524-36523",
	 "-p 36524-36523: the last port must be 36524 to 36555"},
	{X "-p 36524-36556", "-p 36524-36556: the last port must be 36524"},
	{X "-p 65530-65536", "-p 65530-65536: the last port must be 65530 to "
			     "65535"},
	{X "-p 36524-", "-p 36524-: the last port must be"},
	{X "-p -36524", "-p -36524: a port must be 1 to 65535"},
	{X "-p 000000080", "-p 000000080: a port must be 1 to 65535"},
	{X "-p 1-32 -s 192.0.2.7,192.0.2.8", "-s: at most 32 intercepts"},
	{X "--workers 0", "--workers 0: workers must be 1 to 32"},
	{X "--workers 33", "--workers 33: workers must be 1 to 32"},
	{X "--workers two", "--workers two: workers must be 1 to 32"},
	{X "--workers 2 -i f", "--workers: not together with -i"},
	{X "--workers 2 --capture pcap",
	 "--workers: not together with --capture pcap"},
	{X "--workers 3 --max-sessions 2",
	 "--max-sessions 2: must be at least 3, the copies of a connection for "
	 "each of --workers"},
	{"-x 80-192.0.2.1:80,80-192.0.2.2:80 --workers 2 --max-sessions 3",
	 "--max-sessions 3: must be at least 4"},
	{X "-n 5 --workers 3 --max-sessions 14",
	 "--max-sessions 14: must be at least 15"},
	{X "--workers 3 --max-rate 2",
	 "--max-rate: must be at least 3 packets, one for each of --workers"},
	{X "--workers 32 -C 3",
	 "--workers 32: with -C 3 more than the 64 links that an intercept"},
	{X "--buffer 0", "--buffer 0: megabytes must be 1 to 4096"},
	{X "--buffer 4097", "--buffer 4097: megabytes must be 1 to 4096"},
	{X "-i f -a 0.5", "-a 0.5: the factor must be 1 to 1000"},
	{X "-i f -a 1000.1", "-a 1000.1: the factor must be 1 to 1000"},
	{X "-i f -I 0", "-I 0: milliseconds must be 1 to 3600000"},
	{X "-i f -I 3600001", "-I 3600001: milliseconds must be 1 to 3600000"},
	{X "-a 2", "-a: only together with -i"},
	{X "-I 2", "-I: only together with -i"},
	{X "-i f --device eth0", "--device: not together with -i"},
	{X "-i f --capture ring", "--capture: not together with -i"},
	{X "-i f --buffer 9", "--buffer: not together with -i"},
	{X "--path air", "--path air: must be auto, link, raw or relay"},
	{X "--capture dpdk", "--capture dpdk: must be ring or pcap"},
	{X "--device a_name_that_is_too_long",
	 "--device a_name_that_is_too_long: must be names of devices"},
	{X "--device eth0,,lo", "--device eth0,,lo: "},
	{X "--device " DEVICES_16 ",q",
	 "--device " DEVICES_16 ",q: at most 16 devices"},
	{X "-c 192.0.2.", "-c 192.0.2.: "},
	{X "-c 2001:db8::1", "-c: target 192.0.2.2:8080 needs an IPv4 address"},
	{X "-H 127.0.0.1", "-H 127.0.0.1: must be the address of one host"},
	{X "-H name", "-H name: "},
	{X "-H 0.0.0.0", "-H 0.0.0.0: must be the address of one host"},
	{X "-H ::", "-H ::: must be the address of one host"},
	{X "-H 224.0.0.1", "-H 224.0.0.1: must be the address of one host"},
	{X "-H 239.1.2.3", "-H 239.1.2.3: must be the address of one host"},
	{X "-H ff02::1", "-H ff02::1: must be the address of one host"},
	{X "-H 255.255.255.255",
	 "-H 255.255.255.255: must be the address of one host"},
	{X "-s 0.0.0.0", "-s 0.0.0.0: 0.0.0.0 is not the address of a host"},
	{X "-s 192.0.2.9,[ff0e::2]:99",
	 "-s [ff0e::2]:99: [ff0e::2] is not the address of a host"},
	{X "-s 255.255.255.255:99", "-s 255.255.255.255:99: 255.255.255.255 "
				    "is not the address of a host"},
	{X "-c 224.0.0.0/24", "-c 224.0.0.0/24: 224.0.0.0/24 is not the "
			      "address of a host"},
	{X "-c 192.0.2.9,0.0.0.0", "-c 192.0.2.9,0.0.0.0: 0.0.0.0 is not"},
	{X "-c 255.255.255.255", "-c 255.255.255.255: "},
	{X "-c ff02::/120", "-c ff02::/120: ff02::/120 is not the address"},
	{"-x 80-224.0.0.5:80", "-x 80-224.0.0.5:80: 224.0.0.5 is not the "},
	{"-x 80-[::]:80", "-x 80-[::]:80: [::] is not the address of a host"},
	{"-x 80-255.255.255.255:80", "-x 80-255.255.255.255:80: "},
	{"-x 0.0.0.0:80-192.0.2.2:80", "-x 0.0.0.0:80-192.0.2.2:80: 0.0.0.0 "},
	{"-x [ff02::1]:80-[2001:db8::2]:80",
	 "-x [ff02::1]:80-[2001:db8::2]:80: [ff02::1] is not the address"},
	{X "-s 192.0.2.1:", "-s 192.0.2.1:: "},
	{X "-s ,", "-s ,: must be HOST[:PORT],..."},
	{X "--log-level loud",
	 "--log-level loud: must be error, warn, info or debug"},
	{X "--stats 0", "--stats 0: seconds between reports must be 0.1"},
	{X "--stats 86401",
	 "--stats 86401: seconds between reports must be 0.1 to 86400"},
	{X "extra", "extra: not an option"},
	{X "--frobnicate", "--frobnicate: no such option"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_false(parse(refused[i][0]));
		if (strncmp(fault.text, refused[i][1], strlen(refused[i][1])))
			fail_msg("\"%s\": \"%s\"", refused[i][0], fault.text);
		assert_null(strchr(fault.text, '\n'));
	}
}

static void test_help_fits(void **state)
{
	char *text = NULL;
	size_t len, line = 0, lines = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	opts_help(&tcpcopy_program, out);
	fclose(out);
	for (size_t i = 0; i < len; i++) {
		line = text[i] == '\n' ? 0 : line + 1;
		lines += text[i] == '\n';
		assert_true(line <= 80);
	}
	assert_in_range(lines, 10, 40);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_hold_follows_timeout),
		cmocka_unit_test(test_long_forms),
		cmocka_unit_test(test_intercepts),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_help_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
