/* Unit tests of net/proxy: headers good and bad, in every split. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "net/proxy.h"
#include "unit.h"

#define V2        "\r\n\r\n\0\r\nQUIT\n"
#define FROM      "\xc0\0\2\7"
#define TO        "\xc6\x33\x64\1"
#define PORTS     "\x09\xdd\0\x19"
#define FROM6     "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
#define MAPPED    "\0\0\0\0\0\0\0\0\0\0\xff\xff" FROM
#define TCP4_TOLD "192.0.2.7 2525 198.51.100.1 25"
#define TCP6_TOLD "2001:db8::7 2525 2001:db8::7 25"

/* What is told, or NULL for a mistake. */
struct header_case {
	const char *name;
	struct str bytes;
	const char *told;
};

static const struct header_case good[] = {
	{"v1", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525 25\r\n"), TCP4_TOLD},
	{"v1, ports", STR("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"),
		"0.0.0.0 0 255.255.255.255 65535"},
	{"v1, six", STR("PROXY TCP6 2001:db8::7 2001:DB8:0::7 2525 25\r\n"), TCP6_TOLD},
	{"v1, longest six",
		STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"},
	{"v1, mapped", STR("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c633:6401 2525 25\r\n"),
		TCP4_TOLD},
	{"v1, unknown", STR("PROXY UNKNOWN\r\n"), "nothing"},
	{"v1, unknown and more", STR("PROXY UNKNOWN ffff:f...f:ffff 1 2 3\r\n"),
		"nothing"},
	{"v1, unknown, 107 octets",
		STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		"nothing"},
	{"v2", STR(V2 "\x21\x11\0\x0c" FROM TO PORTS), TCP4_TOLD},
	{"v2, datagrams", STR(V2 "\x21\x12\0\x0c" FROM TO PORTS), TCP4_TOLD},
	{"v2, more", STR(V2 "\x21\x11\0\x10" FROM TO PORTS "\4\0\1x"), TCP4_TOLD},
	{"v2, more that makes no sense",
		STR(V2 "\x21\x11\0\x0f" FROM TO PORTS "\4\xff\xff"), TCP4_TOLD},
	{"v2, six", STR(V2 "\x21\x21\0\x24" FROM6 FROM6 PORTS), TCP6_TOLD},
	{"v2, six, datagrams", STR(V2 "\x21\x22\0\x24" FROM6 FROM6 PORTS), TCP6_TOLD},
	{"v2, mapped", STR(V2 "\x21\x21\0\x24" MAPPED FROM6 PORTS),
		"192.0.2.7 2525 2001:db8::7 25"},
	{"v2, local", STR(V2 "\x20\0\0\0"), "local"},
	{"v2, local, whatever", STR(V2 "\x20\x77\0\2xy"), "local"},
	{"v2, unspecified", STR(V2 "\x21\0\0\0"), "nothing"},
	{"v2, unspecified and more", STR(V2 "\x21\0\0\2xy"), "nothing"},
};

static const struct header_case bad[] = {
	{"empty lines", STR("\r\n\r\nEHLO"), NULL},
	{"EHLO", STR("EHLO there\r\n"), NULL},
	{"P", STR("PIPELINING"), NULL},
	{"lower case", STR("proxy TCP4 192.0.2.7 198.51.100.1 2525 25\r\n"), NULL},
	{"a blank in front", STR(" PROXY UNKNOWN\r\n"), NULL},
	{"two blanks", STR("PROXY  TCP4 192.0.2.7 198.51.100.1 2525 25\r\n"), NULL},
	{"two later", STR("PROXY TCP4 192.0.2.7  198.51.100.1 2525 25\r\n"), NULL},
	{"a tab", STR("PROXY\tUNKNOWN\r\n"), NULL},
	{"a blank at the end", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525 25 \r\n"),
		NULL},
	{"one more", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525 25 1\r\n"), NULL},
	{"one less", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525\r\n"), NULL},
	{"none", STR("PROXY TCP4\r\n"), NULL},
	{"nothing", STR("PROXY \r\n"), NULL},
	{"protocol", STR("PROXY UDP4 192.0.2.7 198.51.100.1 2525 25\r\n"), NULL},
	{"protocol, longer", STR("PROXY UNKNOWNS\r\n"), NULL},
	{"protocol, case", STR("PROXY tcp4 192.0.2.7 198.51.100.1 2525 25\r\n"), NULL},
	{"bare LF", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525 25\n"), NULL},
	{"LF CR", STR("PROXY UNKNOWN\n\r\n"), NULL},
	{"CR within", STR("PROXY TCP4 192.0.2.7 198.51.100.1\r2525 25\r\n"), NULL},
	{"port 65536", STR("PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n"), NULL},
	{"port of many digits",
		STR("PROXY TCP4 192.0.2.7 198.51.100.1 18446744073709551641 25\r\n"),
		NULL},
	{"port 025", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525 025\r\n"), NULL},
	{"port 00", STR("PROXY TCP4 192.0.2.7 198.51.100.1 00 25\r\n"), NULL},
	{"port +25", STR("PROXY TCP4 192.0.2.7 198.51.100.1 2525 +25\r\n"), NULL},
	{"port -1", STR("PROXY TCP4 192.0.2.7 198.51.100.1 -1 25\r\n"), NULL},
	{"port in hex", STR("PROXY TCP4 192.0.2.7 198.51.100.1 0x19 25\r\n"), NULL},
	{"no port", STR("PROXY TCP4 192.0.2.7 198.51.100.1  25\r\n"), NULL},
	{"address 256", STR("PROXY TCP4 192.0.2.256 198.51.100.1 2525 25\r\n"), NULL},
	{"address 07", STR("PROXY TCP4 192.0.2.07 198.51.100.1 2525 25\r\n"), NULL},
	{"address short", STR("PROXY TCP4 192.0.2 198.51.100.1 2525 25\r\n"), NULL},
	{"address and NUL", STR("PROXY TCP4 192.0.2.7\0x 198.51.100.1 2525 25\r\n"),
		NULL},
	{"a name", STR("PROXY TCP4 localhost 198.51.100.1 2525 25\r\n"), NULL},
	{"six as four", STR("PROXY TCP4 2001:db8::7 198.51.100.1 2525 25\r\n"), NULL},
	{"four as six", STR("PROXY TCP6 192.0.2.7 198.51.100.1 2525 25\r\n"), NULL},
	{"six in brackets", STR("PROXY TCP6 [::1] [::1] 2525 25\r\n"), NULL},
	{"six with a zone", STR("PROXY TCP6 fe80::1%lo ::1 2525 25\r\n"), NULL},
	{"108 octets",
		STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n"),
		NULL},
	{"v2, signature",
		STR("\r\n\r\n\0\r\nQUIT\r"
		    "\x21\0\0\0"),
		NULL},
	{"v2, version 1", STR(V2 "\x11\x11\0\x0c" FROM TO PORTS), NULL},
	{"v2, version 3", STR(V2 "\x31\x11\0\x0c" FROM TO PORTS), NULL},
	{"v2, command", STR(V2 "\x22\x11\0\x0c" FROM TO PORTS), NULL},
	{"v2, family 4", STR(V2 "\x21\x41\0\x0c" FROM TO PORTS), NULL},
	{"v2, protocol 3", STR(V2 "\x21\x13\0\x0c" FROM TO PORTS), NULL},
	{"v2, no protocol", STR(V2 "\x21\x10\0\x0c" FROM TO PORTS), NULL},
	{"v2, no family", STR(V2 "\x21\1\0\0"), NULL},
	{"v2, too short", STR(V2 "\x21\x11\0\x0b" FROM TO PORTS), NULL},
	{"v2, too short for six", STR(V2 "\x21\x21\0\x0c" FROM TO PORTS), NULL},
	{"v2, too short for Unix", STR(V2 "\x21\x31\0\xd7"), NULL},
	{"v2, too long", STR(V2 "\x21\x11\x10\1"), NULL},
	{"v2, local, too long", STR(V2 "\x20\0\xff\xff"), NULL},
};

static size_t add_address(char *out, size_t size, const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
	bool is_v6 = ss->ss_family == AF_INET6;
	char text[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(ss->ss_family,
		is_v6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, text,
		sizeof(text));
	return (size_t)snprintf(out, size, "%s %u", text,
		(unsigned)ntohs(is_v6 ? in6->sin6_port : in->sin_port));
}

static void check_told(const char *name, const struct proxy_header *h, const char *told)
{
	char text[200] = "local";
	size_t n;

	if (h->told == PROXY_TOLD_NOTHING)
		(void)snprintf(text, sizeof(text), "nothing");
	if (h->told == PROXY_TOLD_ADDRESSES) {
		n = add_address(text, sizeof(text), &h->source);
		text[n++] = ' ';
		(void)add_address(text + n, sizeof(text) - n, &h->destination);
	}
	CHECK_STR(name, str_of(text), str_of(told));
}

/* Every beginning of it wants more; with anything behind it, it is the same. */
static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct header_case *c = &good[i];
		char more[256];
		struct proxy_header h = {0};
		const char *error = NULL;

		for (size_t n = 0; n < c->bytes.n; n++)
			CHECK(c->name, proxy_parse((struct str){c->bytes.p, n}, &h,
					       &error) == PROXY_MORE);
		CHECK(c->name, h.length == 0 && error == NULL);
		memcpy(more, c->bytes.p, c->bytes.n);
		memcpy(more + c->bytes.n, "PROXY UNKNOWN\r\nEHLO", 19);
		for (size_t extra = 0; extra <= 19; extra++) {
			CHECK(c->name, proxy_parse((struct str){more, c->bytes.n + extra},
					       &h, &error) == PROXY_DONE);
			CHECK(c->name, h.length == c->bytes.n);
			check_told(c->name, &h, c->told);
		}
	}
}

/* Somewhere it becomes bad, and it stays so. */
static void test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct header_case *c = &bad[i];
		struct proxy_header h = {0};
		bool is_bad = false;

		for (size_t n = 0; n <= c->bytes.n; n++) {
			const char *error = NULL;
			enum proxy_outcome outcome =
				proxy_parse((struct str){c->bytes.p, n}, &h, &error);

			CHECK(c->name, outcome != PROXY_DONE);
			CHECK(c->name, !is_bad || outcome == PROXY_BAD);
			is_bad = outcome == PROXY_BAD;
			CHECK(c->name, is_bad == (error != NULL));
		}
		CHECK(c->name, is_bad && h.length == 0);
	}
}

/* Unix sockets, and all the room there is. */
static void test_long(void)
{
	static const struct {
		const char *name;
		unsigned char family;
		size_t length;
		const char *told;
	} cases[] = {
		{"Unix", 0x31, 216, "nothing"},
		{"Unix, datagrams", 0x32, 216, "nothing"},
		{"Unix and more", 0x31, 300, "nothing"},
		{"the longest", 0x11, 4096, "0.0.0.0 0 0.0.0.0 0"},
	};
	static char bytes[PROXY_HEADER_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = cases[i].length;
		struct proxy_header h;
		const char *error;

		memcpy(bytes, V2 "\x21", 13);
		bytes[13] = (char)cases[i].family;
		bytes[14] = (char)(length >> 8);
		bytes[15] = (char)(length & 0xff);
		CHECK(cases[i].name, proxy_parse((struct str){bytes, 15 + length}, &h,
					     &error) == PROXY_MORE);
		CHECK(cases[i].name, proxy_parse((struct str){bytes, 17 + length}, &h,
					     &error) == PROXY_DONE);
		CHECK(cases[i].name, h.length == 16 + length);
		check_told(cases[i].name, &h, cases[i].told);
	}
}

void suite_proxy(void)
{
	CU_pSuite s = CU_add_suite("proxy", NULL, NULL);

	CU_add_test(s, "good headers", test_good);
	CU_add_test(s, "bad headers", test_bad);
	CU_add_test(s, "long headers", test_long);
}
