/* Unit tests of base/network: what is a network, how it is written, and who is in it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include <CUnit/CUnit.h>

#include "base/network.h"
#include "unit.h"

static const struct {
	const char *text;
	const char *form; /* NULL: a mistake */
} forms[] = {
	{"192.0.2.7", "192.0.2.7"},
	{"192.0.2.7/32", "192.0.2.7"},
	{"192.0.2.0/24", "192.0.2.0/24"},
	{"192.0.2.128/25", "192.0.2.128/25"},
	{"0.0.0.0/0", "0.0.0.0/0"},
	{"255.255.255.254/31", "255.255.255.254/31"},
	{"2001:DB8::/32", "2001:db8::/32"},
	{"2001:db8:0:0:0:0:0:1", "2001:db8::1"},
	{"::/0", "::/0"},
	{"::1/128", "::1"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	{"::ffff:192.0.2.0/120", "192.0.2.0/24"},
	{"::ffff:192.0.2.7", "192.0.2.7"},
	{"::ffff:0:0/96", "0.0.0.0/0"},
	{"::/80", "::/80"},
	{"unix", "unix"},
	{"UNIX", "unix"},
	{"", NULL},
	{"/", NULL},
	{"/24", NULL},
	{"unix/0", NULL},
	{"localhost", NULL},
	{"192.0.2", NULL},
	{"192.0.2.256", NULL},
	{"192.0.2.07", NULL},
	{"192.0.2.7/", NULL},
	{"192.0.2.7/33", NULL},
	{"192.0.2.0/024", NULL},
	{"192.0.2.0/+24", NULL},
	{"192.0.2.0/24/24", NULL},
	{"192.0.2.0/18446744073709551640", NULL},
	{"192.0.2.1/24", NULL},
	{"192.0.2.64/25", NULL},
	{"0.0.0.1/0", NULL},
	{" 192.0.2.7", NULL},
	{"192.0.2.7 ", NULL},
	{"2001:db8::/129", NULL},
	{"2001:db8::1/127", NULL},
	{"[::1]", NULL},
	{"fe80::1%lo", NULL},
	{"::ffff:192.0.2.1/120", NULL},
	{"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
	{"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
};

static void test_forms(void)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct network before = {.family = 77};
		char text[NETWORK_TEXT_MAX], again[NETWORK_TEXT_MAX];
		struct network network = before;
		const char *error = network_parse(forms[i].text, &network);

		CHECK(forms[i].text, (error == NULL) == (forms[i].form != NULL));
		if (error != NULL) {
			CHECK(forms[i].text,
				memcmp(&network, &before, sizeof(network)) == 0);
			continue;
		}
		network_format(&network, text);
		CHECK_STR(forms[i].text, str_of(text), str_of(forms[i].form));
		CHECK(forms[i].text, network_parse(text, &network) == NULL);
		network_format(&network, again);
		CHECK_STR(forms[i].text, str_of(again), str_of(text));
	}
}

static struct sockaddr_storage address_of(const char *text)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

	ss.ss_family = AF_UNIX;
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		ss.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		ss.ss_family = AF_INET6;
	return ss;
}

static void test_members(void)
{
	static const struct {
		const char *networks[3];
		const char *address; /* what is none is a Unix socket */
		bool is_in;
	} cases[] = {
		{{0}, "192.0.2.7", false},
		{{"192.0.2.7"}, "192.0.2.7", true},
		{{"192.0.2.7"}, "192.0.2.6", false},
		{{"192.0.2.0/24"}, "192.0.2.255", true},
		{{"192.0.2.0/24"}, "192.0.3.0", false},
		{{"192.0.2.0/23"}, "192.0.3.0", true},
		{{"192.0.2.128/25"}, "192.0.2.127", false},
		{{"192.0.2.128/25"}, "192.0.2.128", true},
		{{"0.0.0.0/0"}, "203.0.113.9", true},
		{{"0.0.0.0/0"}, "::ffff:203.0.113.9", true},
		{{"0.0.0.0/0"}, "2001:db8::1", false},
		{{"0.0.0.0/0"}, "unix", false},
		{{"::/0"}, "2001:db8::1", true},
		{{"::/0"}, "203.0.113.9", false},
		{{"::/0"}, "::ffff:203.0.113.9", false},
		{{"192.0.2.0/24"}, "::ffff:192.0.2.9", true},
		{{"::ffff:192.0.2.0/120"}, "192.0.2.9", true},
		{{"::1"}, "0.0.0.1", false},
		{{"2001:db8::/33"}, "2001:db8:7fff::1", true},
		{{"2001:db8::/33"}, "2001:db8:8000::1", false},
		{{"unix"}, "unix", true},
		{{"unix"}, "127.0.0.1", false},
		{{"10.0.0.0/8", "unix", "192.0.2.0/24"}, "192.0.2.1", true},
		{{"10.0.0.0/8", "unix", "192.0.2.0/24"}, "unix", true},
		{{"10.0.0.0/8", "unix", "192.0.2.0/24"}, "11.0.0.0", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct sockaddr_storage address = address_of(cases[i].address);
		struct network networks[3];
		size_t n = 0;

		for (; n < 3 && cases[i].networks[n] != NULL; n++)
			CU_ASSERT_FATAL(network_parse(cases[i].networks[n],
						&networks[n]) == NULL);
		CHECK(cases[i].address,
			networks_have(networks, n, &address) == cases[i].is_in);
	}
}

void suite_network(void)
{
	CU_pSuite s = CU_add_suite("network", NULL, NULL);

	CU_add_test(s, "what users write", test_forms);
	CU_add_test(s, "who is in it", test_members);
}
