/* delivery/mailbox: what a client may put into an address, and where it leads. */
#include "unit.h"

#include "delivery/mailbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/envelope.h"

#define A10  "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10

static void check_template(void)
{
	static const struct {
		const char *template;
		bool is_good;
	} cases[] = {
		{"Maildir", true},
		{"Maildir/", true},
		{"./Maildir", true},
		{".", true},
		{"/var/mail", true},
		{"/var/spool/%{recipient.domain}/%{recipient.local}", true},
		{"mail/%{recipient}", true},
		{"mail/x..y/..z/...", true},
		{"100%%/%{recipient}", true},
		{"mail/..%{recipient}", true},
		{"", false},
		{"/", false},
		{"//", false},
		{"..", false},
		{"../mail", false},
		{"/var/../etc", false},
		{"mail/%{recipient}/..", false},
		{"%{recipient}", false},
		{"/%{recipient}", false},
		{"//x%{recipient}", false},
		{"mail/%{recipient", false},
		{"mail/%{sender}", false},
		{"mail/%{recipient.}", false},
		{"mail/%{}", false},
		{"mail/%", false},
		{"mail/%d", false},
		{"mail/%{recipient.local}.%{recipient.domain}", false},
		{"mail/in-%{recipient}-box", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].template, *error = NULL;
		int r = mailbox_template_check(name, &error);

		CHECK(name, r == (cases[i].is_good ? 0 : -EINVAL));
		CHECK(name, (error == NULL) == cases[i].is_good);
	}
}

static void split(void)
{
	static const struct {
		const char *template, *root, *below;
		bool is_per_recipient;
	} cases[] = {
		{"Maildir", "", "Maildir", false},
		{"Maildir//", "", "Maildir", false},
		{"./Maildir", "./", "Maildir", false},
		{"/Maildir", "/", "Maildir", false},
		{"/var/mail/all", "/var/mail/", "all", false},
		{"/var//all", "/var//", "all", false},
		{"m/%{recipient}", "m/", "%{recipient}", true},
		{"/m/x%{recipient.domain}/%{recipient.local}/", "/m/",
			"x%{recipient.domain}/%{recipient.local}", true},
		{"/100%%/%{recipient}", "/100%%/", "%{recipient}", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].template;
		struct mailbox_template t = mailbox_template_split(name);

		CHECK_STR(name, t.root, str_of(cases[i].root));
		CHECK_STR(name, t.below, str_of(cases[i].below));
		CHECK(name, t.is_per_recipient == cases[i].is_per_recipient);
	}
}

static void path_piece(void)
{
	static const struct {
		const char *name;
		struct str raw, piece;
	} cases[] = {
		{"plain", STR("Jane_Doe+x=1@y.z-0"), STR("Jane_Doe+x=1@y.z-0")},
		{"empty", STR(""), STR("%")},
		{"dot", STR("."), STR("%2E")},
		{"dot dot", STR(".."), STR("%2E.")},
		{"hidden", STR(".ssh"), STR("%2Essh")},
		{"option", STR("-rf"), STR("%2Drf")},
		{"traversal", STR("../../etc/passwd"), STR("%2E.%2F..%2Fetc%2Fpasswd")},
		{"absolute", STR("/etc"), STR("%2Fetc")},
		{"NUL", STR("a\0b"), STR("a%00b")},
		{"percent", STR("%2E"), STR("%252E")},
		{"percent alone", STR("%"), STR("%25")},
		{"line end", STR("a\r\nb"), STR("a%0D%0Ab")},
		{"unicode", STR("j\xc3\xa4ger"), STR("j%C3%A4ger")},
		{"a hyphen that is none", STR("\xe2\x80\x90rf"), STR("%E2%80%90rf")},
		{"no UTF-8", STR("\xc3.\xff"), STR("%C3.%FF")},
		{"shell", STR("$(x) `y` *?~"), STR("%24%28x%29%20%60y%60%20%2A%3F%7E")},
		{"200 bytes", STR(A100 A100), STR(A100 A100)},
		{"201 bytes", STR(A100 A100 "a"), STR(A100 A100 "%9a253eda0ce95884")},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out;

		buf_init(&out, 1000);
		CHECK(cases[i].name, mailbox_path_piece(cases[i].raw, &out));
		CHECK_STR(cases[i].name, buf_str(&out), cases[i].piece);
		buf_done(&out);
	}
}

/* Any byte at any length: one component, of bounded length, never a dot one. */
static void path_piece_is_safe(void)
{
	char raw[1000];

	for (int byte = 0; byte < 256; byte++) {
		memset(raw, byte, sizeof(raw));
		for (size_t n = 0; n <= sizeof(raw); n = n < 5 ? n + 1 : n * 3) {
			struct buf out;
			struct str s;

			buf_init(&out, 300);
			CU_ASSERT_TRUE(mailbox_path_piece((struct str){raw, n}, &out));
			s = buf_str(&out);
			CU_ASSERT_TRUE(s.n > 0 && s.n <= 217);
			CU_ASSERT_TRUE(s.p[0] != '.' && s.p[0] != '-');
			for (size_t i = 0; i < s.n; i++)
				CU_ASSERT_TRUE(str_is_printable(s.p[i]) && s.p[i] != '/');
			buf_done(&out);
		}
	}
}

/* Long texts that begin alike, and the cut form of one spelled out by a client,
 * keep to themselves. */
static void path_piece_is_distinct(void)
{
	char raw[3][1000];
	struct buf out[4];

	memset(raw, 'a', sizeof(raw));
	raw[1][999] = 'b';
	for (size_t i = 0; i < 3; i++) {
		buf_init(&out[i], 300);
		CU_ASSERT_TRUE(mailbox_path_piece(
			(struct str){raw[i], i == 2 ? 999 : 1000}, &out[i]));
	}
	buf_init(&out[3], 300);
	CU_ASSERT_TRUE(mailbox_path_piece(buf_str(&out[0]), &out[3]));
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < i; k++)
			CU_ASSERT_FALSE(str_equal(buf_str(&out[i]), buf_str(&out[k])));
	for (size_t i = 0; i < 4; i++)
		buf_done(&out[i]);
}

static void path_piece_when_full(void)
{
	struct buf out;

	buf_init(&out, 5);
	CU_ASSERT_FALSE(mailbox_path_piece(STR("too long"), &out));
	buf_done(&out);
}

static void expand(void)
{
	static const struct {
		const char *template;
		struct str local, domain;
		const char *path;
	} cases[] = {
		{"m/%{recipient}", STR("Joe"), STR("Example.TEST"), "m/Joe@example.test"},
		{"m/%{recipient.domain}/%{recipient.local}", STR("Joe"),
			STR("EXAMPLE.test"), "m/example.test/Joe"},
		{"m/%{recipient}", STR("postmaster"), STR(""),
			"m/postmaster@mx.example.test"},
		{"m/%{recipient.domain}", STR("postmaster"), STR(""),
			"m/mx.example.test"},
		{"m/%{recipient.local}/x", STR(""), STR("a.test"), "m/%/x"},
		{"m/%{recipient.domain}", STR("a"), STR("[IPv6:::1]"),
			"m/%5Bipv6%3A%3A%3A1%5D"},
		{"m/%{recipient.local}", STR("../../../etc/cron.d/x"), STR("a.test"),
			"m/%2E.%2F..%2F..%2Fetc%2Fcron.d%2Fx"},
		{"m/.%{recipient.local}", STR("."), STR("a.test"), "m/.%2E"},
		{"m/%{recipient.domain}/%{recipient.local}", STR("J\xc3\x84GER"),
			STR("B\xc3\x9c"
			    "CHER.Test"),
			"m/b%C3%9Ccher.test/J%C3%84GER"},
		{"m/%{recipient.local}%{recipient.local}", STR("."), STR("a.test"),
			"m/%2E%2E"},
		{"m/100%%/%{recipient.local}", STR("%{recipient}"), STR("a.test"),
			"m/100%/%25%7Brecipient%7D"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address a = {.local = cases[i].local, .domain = cases[i].domain};
		struct buf out;

		buf_init(&out, 1000);
		CHECK(cases[i].path, mailbox_expand(str_of(cases[i].template), &a,
					     "MX.example.test", &out));
		CHECK_STR(cases[i].path, buf_str(&out), str_of(cases[i].path));
		buf_done(&out);
	}
}

static void plan(void)
{
	static struct recipient recipients[] = {
		{.address = {.local = STR("b"), .domain = STR("x.test")}},
		{.address = {.local = STR("a"), .domain = STR("y.test")}},
		{.address = {.local = STR("b"), .domain = STR("X.TEST")}},
		{.address = {.local = STR("a"), .domain = STR("y.test")}},
		{.address = {.local = STR("b"), .domain = STR("x.test")}},
	};
	struct envelope envelope = {.recipients = recipients, .recipient_count = 5};
	struct mailbox_template t = mailbox_template_split("m/%{recipient}");
	struct mailbox_plan p;

	if (!CHECK("two mailboxes", mailbox_plan_init(&t, "h", &envelope, &p) == 0))
		return;
	CHECK("two mailboxes", p.count == 2);
	CHECK_STR("two mailboxes", str_of(p.mailboxes[0].path), STR("a@y.test"));
	CHECK("two mailboxes", p.mailboxes[0].recipient_count == 2);
	CHECK("two mailboxes", p.mailboxes[0].recipients[0] == 1);
	CHECK("two mailboxes", p.mailboxes[0].recipients[1] == 3);
	CHECK_STR("two mailboxes", str_of(p.mailboxes[1].path), STR("b@x.test"));
	CHECK("two mailboxes", p.mailboxes[1].recipient_count == 3);
	CHECK("two mailboxes", p.mailboxes[1].recipients[2] == 4);
	mailbox_plan_done(&p);

	t = mailbox_template_split("m/all");
	if (!CHECK("one for all", mailbox_plan_init(&t, "h", &envelope, &p) == 0))
		return;
	CHECK("one for all", p.count == 1);
	CHECK_STR("one for all", str_of(p.mailboxes[0].path), STR("all"));
	for (size_t i = 0; i < 5; i++)
		CHECK("one for all", p.mailboxes[0].recipients[i] == i);
	mailbox_plan_done(&p);
	mailbox_plan_done(NULL);
}

void suite_mailbox(void)
{
	CU_pSuite s = CU_add_suite("mailbox", NULL, NULL);

	CU_add_test(s, "template check", check_template);
	CU_add_test(s, "template split", split);
	CU_add_test(s, "path piece", path_piece);
	CU_add_test(s, "path piece is safe", path_piece_is_safe);
	CU_add_test(s, "path piece is distinct", path_piece_is_distinct);
	CU_add_test(s, "path piece when full", path_piece_when_full);
	CU_add_test(s, "expand", expand);
	CU_add_test(s, "plan", plan);
}
