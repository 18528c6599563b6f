/* delivery/spawn_request: what is written is read, and nothing else is. */
#include "unit.h"

#include "delivery/spawn_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the first text begins, and how many texts there are. */
#define FIXED      22
#define TEXT_COUNT 13

static const struct str joe[] = {STR("joe@example.test")};
static const struct str three[] = {STR("a@x"), STR("\"b c\"@[192.0.2.1]"), STR("\n")};

static const struct spawn_request full = {
	.section = 7,
	.client_port = 65535,
	.asked_ms = UINT64_MAX - 1,
	.size_bytes = UINT64_C(1) << 40,
	.sender = STR("from@example.test"),
	.client_address = STR("2001:db8::1"),
	.helo = STR("-oops; \x01\xff"),
	.user = STR("ann"),
	.listener = STR("mx"),
	.message_id = STR("00064b1e2f3a5c-00126f-9a3b"),
	.envid = STR("$(id)"),
	.protocol = STR("ESMTPSA"),
	.tls_version = STR("TLSv1.3"),
	.tls_cipher = STR("TLS_AES_256_GCM_SHA384"),
	.tls_subject = STR("CN=joe"),
	.local = STR("joe"),
	.domain = STR("example.test"),
	.recipients = joe,
	.recipient_count = 1,
};

static void encode(const struct spawn_request *r, struct buf *out)
{
	buf_init(out, SPAWN_REQUEST_MAX);
	spawn_request_encode(r, out);
	CU_ASSERT_FALSE(out->has_overflowed);
}

/* Without a byte behind it, so that a checker sees a read past the end. */
static int decode(struct str bytes, struct spawn_request *ret, struct arena *arena)
{
	char *exact = malloc(bytes.n + (bytes.n == 0));
	int r;

	CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
	if (bytes.n > 0)
		memcpy(exact, bytes.p, bytes.n);
	r = spawn_request_decode((struct str){exact, bytes.n}, arena, ret);
	free(exact);
	return r;
}

static int decode_quietly(struct str bytes)
{
	struct spawn_request r = {.section = 99};
	struct arena arena;
	int result;

	arena_init(&arena, SIZE_MAX);
	result = decode(bytes, &r, &arena);
	CHECK("untouched on failure", result == 0 || r.section == 99);
	arena_done(&arena);
	return result;
}

static void check_equal(
	const char *name, const struct spawn_request *a, const struct spawn_request *b)
{
	CHECK(name, a->section == b->section);
	CHECK(name, a->client_port == b->client_port);
	CHECK(name, a->asked_ms == b->asked_ms);
	CHECK(name, a->size_bytes == b->size_bytes);
	CHECK_STR(name, a->sender, b->sender);
	CHECK_STR(name, a->client_address, b->client_address);
	CHECK_STR(name, a->helo, b->helo);
	CHECK_STR(name, a->user, b->user);
	CHECK_STR(name, a->listener, b->listener);
	CHECK_STR(name, a->message_id, b->message_id);
	CHECK_STR(name, a->envid, b->envid);
	CHECK_STR(name, a->protocol, b->protocol);
	CHECK_STR(name, a->tls_version, b->tls_version);
	CHECK_STR(name, a->tls_cipher, b->tls_cipher);
	CHECK_STR(name, a->tls_subject, b->tls_subject);
	CHECK_STR(name, a->local, b->local);
	CHECK_STR(name, a->domain, b->domain);
	CU_ASSERT_EQUAL_FATAL(a->recipient_count, b->recipient_count);
	for (size_t i = 0; i < a->recipient_count; i++)
		CHECK_STR(name, a->recipients[i], b->recipients[i]);
}

static void round_trip(void)
{
	const struct spawn_request several = {.recipients = three, .recipient_count = 3};
	const struct spawn_request least = {.recipients = joe, .recipient_count = 1};
	const struct {
		const char *name;
		const struct spawn_request *request;
	} cases[] = {{"full", &full}, {"several", &several}, {"least", &least}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct spawn_request got;
		struct arena arena;
		struct buf bytes;

		arena_init(&arena, SIZE_MAX);
		encode(cases[i].request, &bytes);
		CU_ASSERT_EQUAL_FATAL(
			spawn_request_decode(buf_str(&bytes), &arena, &got), 0);
		check_equal(cases[i].name, &got, cases[i].request);
		buf_done(&bytes);
		arena_done(&arena);
	}
}

/* Every beginning is refused, and so is a byte too many. */
static void cut(void)
{
	struct buf bytes;

	encode(&full, &bytes);
	for (size_t n = 0; n < bytes.len; n++)
		CU_ASSERT_EQUAL(decode_quietly((struct str){bytes.p, n}), -EBADMSG);
	CU_ASSERT_EQUAL(decode_quietly(buf_str(&bytes)), 0);
	CU_ASSERT_TRUE(buf_add(&bytes, "", 1));
	CU_ASSERT_EQUAL(decode_quietly(buf_str(&bytes)), -EBADMSG);
	buf_done(&bytes);
}

/* Each length, and the count, says something else. */
static void check_lengths(const struct spawn_request *r)
{
	static const uint32_t values[] = {
		0, 1, 2, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff};
	struct buf bytes;
	size_t at = FIXED;

	encode(r, &bytes);
	for (size_t i = 0; i < TEXT_COUNT + 1 + r->recipient_count; i++) {
		uint32_t right;

		memcpy(&right, bytes.p + at, sizeof(right));
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			memcpy(bytes.p + at, &values[k], sizeof(values[k]));
			CU_ASSERT_EQUAL(decode_quietly(buf_str(&bytes)),
				values[k] == right ? 0 : -EBADMSG);
		}
		memcpy(bytes.p + at, &right, sizeof(right));
		/* The count is followed by the first recipient. */
		at += sizeof(right) + (i == TEXT_COUNT ? 0 : right);
	}
	CU_ASSERT_EQUAL(at, bytes.len);
	buf_done(&bytes);
}

static void lengths(void)
{
	const struct spawn_request several = {.recipients = three, .recipient_count = 3};

	check_lengths(&full);
	check_lengths(&several);
}

static void contents(void)
{
	static const struct str nul = {"a\0b", 3}, empty[] = {STR("")};
	static const struct str second[] = {STR("a@x"), STR("")};
	struct spawn_request cases[] = {full, full, full, full, full, full};
	static const char *const names[] = {"NUL in a text", "NUL in a recipient",
		"no recipients", "an empty recipient", "an empty recipient, the second",
		"several recipients, a local part of one"};

	cases[0].helo = nul;
	cases[1].recipients = &nul;
	cases[2].recipient_count = 0;
	cases[3].recipients = empty;
	cases[4].recipients = second;
	cases[4].recipient_count = 2;
	cases[4].local = cases[4].domain = STR("");
	cases[5].recipients = three;
	cases[5].recipient_count = 3;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf bytes;

		encode(&cases[i], &bytes);
		CHECK(names[i], decode_quietly(buf_str(&bytes)) == -EBADMSG);
		buf_done(&bytes);
	}
}

static void bounds(void)
{
	static char text[SPAWN_REQUEST_MAX];
	static struct str many[SPAWN_RECIPIENTS_MAX / (3 + SPAWN_RECIPIENT_EXTRA)];
	struct spawn_request r = full;
	struct arena arena;
	struct buf bytes;
	size_t room;

	memset(text, 'x', sizeof(text));
	r.helo = (struct str){text, 0};
	encode(&r, &bytes);
	room = SPAWN_REQUEST_MAX - bytes.len;
	buf_done(&bytes);
	r.helo.n = room;
	encode(&r, &bytes);
	CHECK("as long as may be", decode_quietly(buf_str(&bytes)) == 0);
	buf_done(&bytes);
	r.helo.n = room + 1;
	buf_init(&bytes, SPAWN_REQUEST_MAX);
	spawn_request_encode(&r, &bytes);
	CHECK("too long is seen", bytes.has_overflowed);
	buf_done(&bytes);
	buf_init(&bytes, 2 * SPAWN_REQUEST_MAX);
	spawn_request_encode(&r, &bytes);
	CHECK("too long is refused", decode_quietly(buf_str(&bytes)) == -EBADMSG);
	buf_done(&bytes);

	/* The most recipients for which a command line has room. */
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++)
		many[i] = STR("a@x");
	r = full;
	r.local = r.domain = STR("");
	r.recipients = many;
	r.recipient_count = sizeof(many) / sizeof(many[0]);
	encode(&r, &bytes);
	CHECK("many recipients", decode_quietly(buf_str(&bytes)) == 0);
	arena_init(&arena, 1000);
	CHECK("no memory", decode(buf_str(&bytes), &r, &arena) == -ENOMEM);
	arena_done(&arena);
	buf_done(&bytes);
}

static void answers(void)
{
	static const struct {
		const char *name;
		struct spawn_answer answer;
		bool is_right;
	} cases[] = {
		{"success", {250, "2.0.0", "Ok"}, true},
		{"temporary", {451, "4.3.0", "Try later"}, true},
		{"the channel closes", {421, "4.3.2", "Bye"}, true},
		{"permanent", {550, "5.1.1", "User unknown"}, true},
		{"bounds", {599, "5.999.999", ""}, true},
		{"bounds", {400, "4.0.0", " ~"}, true},
		{"another success", {251, "2.0.0", "Ok"}, false},
		{"go ahead", {354, "3.0.0", "Ok"}, false},
		{"below", {399, "3.0.0", "x"}, false},
		{"above", {600, "6.0.0", "x"}, false},
		{"zero", {0, "0.0.0", "x"}, false},
		{"negative", {-450, "4.0.0", "x"}, false},
		{"another class", {451, "5.3.0", "x"}, false},
		{"no enhanced code", {451, "", "x"}, false},
		{"short enhanced code", {451, "4.3", "x"}, false},
		{"long enhanced code", {451, "4.3.0000", "x"}, false},
		{"enhanced code and more", {451, "4.3.0 x", "x"}, false},
		{"new line", {451, "4.3.0", "a\r\n250 b"}, false},
		{"control", {451, "4.3.0", "a\x1b[2J"}, false},
		{"not ASCII", {451, "4.3.0", "\xe9"}, false},
	};
	struct spawn_answer open_end = {550, "5.1.1", ""};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cases[i].name,
			spawn_answer_is_right(&cases[i].answer) == cases[i].is_right);
	memset(open_end.text, 'x', sizeof(open_end.text));
	CHECK("text without an end", !spawn_answer_is_right(&open_end));
	open_end.text[sizeof(open_end.text) - 1] = '\0';
	CHECK("the longest text", spawn_answer_is_right(&open_end));
	memset(open_end.enhanced, '5', sizeof(open_end.enhanced));
	CHECK("code without an end", !spawn_answer_is_right(&open_end));
}

void suite_spawn_request(void)
{
	CU_pSuite s = CU_add_suite("spawn_request", NULL, NULL);

	CU_add_test(s, "round trip", round_trip);
	CU_add_test(s, "cut", cut);
	CU_add_test(s, "lengths", lengths);
	CU_add_test(s, "contents", contents);
	CU_add_test(s, "bounds", bounds);
	CU_add_test(s, "answers", answers);
}
