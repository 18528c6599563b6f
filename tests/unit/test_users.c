/* policy/users: what a users file may say, and whose password it is. */
#include "unit.h"

#include "policy/users.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"

/* "pencil", with the salt of RFC 7677, 3; keys as other programs make them. */
#define SCRAM_SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define SCRAM_LINE                                                                       \
	"user:{SCRAM-SHA-256}4096," SCRAM_SALT                                           \
	",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="                                  \
	",wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

/* "secret", as mkpasswd makes them. */
#define HASH_SHA512                                                                      \
	"$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y" \
	"77vwPZN.Pq.H91p5hVO1"
#define SALT22 "abcdefghijklmnopqrstuu"
#define A31    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A43    A31 "aaaaaaaaaaaa"
#define A50    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A255   A50 A50 A50 A50 A50 "aaaaa"
#define A511   A255 A255 "a"

#define BAD_COST "file:1: the cost of the hash is too small or too large\n"

/* Parse; what was told in *told, which the caller frees. */
static int parse(struct str text, struct users **ret, char **told)
{
	size_t n;
	FILE *errors = open_memstream(told, &n);
	int r;

	CU_ASSERT_FATAL(errors != NULL);
	r = users_parse(text, "file", errors, ret);
	CU_ASSERT_FATAL(fclose(errors) == 0);
	return r;
}

static struct users *parse_good(const char *text)
{
	struct users *u = NULL;
	char *told;

	CU_ASSERT_FATAL(parse(str_of(text), &u, &told) == 0);
	CHECK_STR(text, str_of(told), STR(""));
	free(told);
	return u;
}

static const struct {
	const char *name, *text, *told; /* told NULL: nothing */
	size_t count;
} line_cases[] = {
	{"empty file", "", NULL, 0},
	{"comments and empty lines", "# a:b\n\n \t\n#", NULL, 0},
	{"plain", "joe:{PLAIN}secret\n", NULL, 1},
	{"without the last line end", "joe:{PLAIN}secret", NULL, 1},
	{"colons in a password", "joe:{PLAIN}a:b:{PLAIN}", NULL, 1},
	{"blanks inside and behind", "joe doe:{PLAIN} a b ", NULL, 1},
	{"not ASCII", "j\xc3\xb6:{PLAIN}\xc3\xb6", NULL, 1},
	{"an address as name", "joe@example.org:{PLAIN}x", NULL, 1},
	{"longest name", A255 ":{PLAIN}x", NULL, 1},
	{"longest password", "joe:{PLAIN}" A511, NULL, 1},
	{"scram", SCRAM_LINE, NULL, 1},
	{"sha512", "joe:" HASH_SHA512, NULL, 1},
	{"yescrypt", "joe:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$" A43, NULL, 1},
	{"bcrypt", "joe:$2b$05$" SALT22 A31, NULL, 1},
	{"several", "a:{PLAIN}x\nb:{PLAIN}x\n\nA:{PLAIN}x\n", NULL, 3},
	{"no colon", "secret\n", "file:1: a line is 'name:proof'\n", 0},
	{"no name", "\n:{PLAIN}x", "file:2: the name is empty\n", 0},
	{"name too long", A255 "a:{PLAIN}x",
		"file:1: the name is longer than 255 bytes\n", 0},
	{"name with a control character", "a\tb:{PLAIN}x",
		"file:1: the name has a control character in it\n", 0},
	{"blank behind the name", "joe :{PLAIN}x",
		"file:1: the name begins or ends with a blank\n", 0},
	{"blank before the name", " joe:{PLAIN}x",
		"file:1: the name begins or ends with a blank\n", 0},
	{"no proof", "joe:",
		"file:1: the proof is neither a hash of crypt(3) nor {PLAIN} nor "
		"{SCRAM-SHA-256}\n",
		0},
	{"a bare password", "joe:secret",
		"file:1: the proof is neither a hash of crypt(3) nor {PLAIN} nor "
		"{SCRAM-SHA-256}\n",
		0},
	{"another case", "joe:{plain}secret",
		"file:1: the proof is neither a hash of crypt(3) nor {PLAIN} nor "
		"{SCRAM-SHA-256}\n",
		0},
	{"no password", "joe:{PLAIN}", "file:1: the password is empty\n", 0},
	{"password too long", "joe:{PLAIN}" A511 "a",
		"file:1: the password is longer than 511 bytes\n", 0},
	{"password with a tab", "joe:{PLAIN}a\tb",
		"file:1: the password has a control character in it\n", 0},
	{"from another system", "joe:{PLAIN}x\r\n",
		"file:1: the line ends in CR LF, not in LF\n", 0},
	{"unknown method", "joe:$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
		"file:1: crypt(3) of this machine does not know this kind of "
		"hash\n",
		0},
	{"a setting alone", "joe:$6$saltsalt$", "file:1: the hash is not whole\n", 0},
	{"a setting without its end", "joe:$6$saltsalt",
		"file:1: the hash is not whole\n", 0},
	{"a hash cut short", "joe:$y$j9T$F5Jx5fExrKuPp53xLKQ..1$aaa",
		"file:1: the hash is not whole\n", 0},
	{"bcrypt cut short", "joe:$2b$05$" SALT22 "aaa",
		"file:1: the hash is not whole\n", 0},
	{"bcrypt broken", "joe:$2b$05$@bcdefghijklmnopqrstuu" A31,
		"file:1: the hash has a character that its kind has not\n", 0},
	{"yescrypt broken", "joe:$y$j9T$F5Jx5fExr=uPp53xLKQ..1$" A43,
		"file:1: the hash has a character that its kind has not\n", 0},
	{"sha512 with an odd salt", "joe:$6$a+b=c$" A43 A43, NULL, 1},
	{"sha512 with a cost", "joe:$6$rounds=10000000$salt$" A43 A43, NULL, 1},
	{"sha512 with a cost in the salt", "joe:$6$Rounds=1$" A43 A43, NULL, 1},
	{"sha512 for minutes", "joe:$6$rounds=10000001$salt$" A43 A43, BAD_COST, 0},
	{"sha256 for minutes", "joe:$5$rounds=999999999$salt$" A43, BAD_COST, 0},
	{"sha256 for ever", "joe:$5$rounds=99999999999999999999$salt$" A43, BAD_COST, 0},
	{"sha512 for nothing", "joe:$6$rounds=999$salt$" A43 A43, BAD_COST, 0},
	{"sha512 without a number", "joe:$6$rounds=x$salt$" A43 A43, BAD_COST, 0},
	{"bcrypt, highest", "joe:$2y$17$" SALT22 A31, NULL, 1},
	{"bcrypt for minutes", "joe:$2b$18$" SALT22 A31, BAD_COST, 0},
	{"bcrypt for nothing", "joe:$2b$03$" SALT22 A31, BAD_COST, 0},
	{"bcrypt without a number", "joe:$2b$x5$" SALT22 A31, BAD_COST, 0},
	{"scram without fields", "u:{SCRAM-SHA-256}",
		"file:1: {SCRAM-SHA-256} has four fields\n", 0},
	{"scram with a field more", SCRAM_LINE ",",
		"file:1: {SCRAM-SHA-256} has four fields\n", 0},
	{"few iterations", "u:{SCRAM-SHA-256}4095," SCRAM_SALT ",a,b",
		"file:1: the iterations are not a number from 4096 to 10000000\n", 0},
	{"no iterations", "u:{SCRAM-SHA-256}," SCRAM_SALT ",a,b",
		"file:1: the iterations are not a number from 4096 to 10000000\n", 0},
	{"no salt", "u:{SCRAM-SHA-256}4096,,a,b",
		"file:1: the salt is not 1 to 64 bytes in base64\n", 0},
	{"salt not in base64", "u:{SCRAM-SHA-256}4096,W22,a,b",
		"file:1: the salt is not 1 to 64 bytes in base64\n", 0},
	{"key too short", "u:{SCRAM-SHA-256}4096,W22Z,W22Z,W22Z",
		"file:1: a key is not 32 bytes in base64\n", 0},
	{"twice", "joe:{PLAIN}a\nann:{PLAIN}b\njoe:{PLAIN}c\n",
		"file:3: line 1 has a user 'joe' already\n", 0},
	{"several mistakes", "a\nb\njoe:{PLAIN}x\n",
		"file:1: a line is 'name:proof'\nfile:2: a line is "
		"'name:proof'\n",
		0},
};

static void test_lines(void)
{
	for (size_t i = 0; i < sizeof(line_cases) / sizeof(line_cases[0]); i++) {
		const char *name = line_cases[i].name, *expected = line_cases[i].told;
		struct users *u = NULL;
		char *told;
		int r = parse(str_of(line_cases[i].text), &u, &told);

		CHECK(name, r == (expected == NULL ? 0 : -EINVAL));
		CHECK_STR(name, str_of(told), str_of(expected));
		CHECK(name, (u != NULL) == (expected == NULL));
		CHECK(name, users_count(u) == line_cases[i].count);
		users_free(u);
		free(told);
	}
}

static void test_not_text(void)
{
	struct users *u = NULL;
	char *told;

	CU_ASSERT(parse(STR("joe:{PLAIN}a\0b\n"), &u, &told) == -EINVAL);
	CHECK_STR("NUL", str_of(told), STR("file:1: not a text file\n"));
	CU_ASSERT(u == NULL);
	free(told);
}

static void test_find(void)
{
	struct users *u =
		parse_good("joe:{PLAIN}a\nJoe:{PLAIN}b\njo:{PLAIN}c\nann:" HASH_SHA512
			   "\n" SCRAM_LINE "\n");
	static const struct {
		struct str name;
		const char *secret; /* NULL: nobody */
	} cases[] = {
		{STR("joe"), "a"},
		{STR("Joe"), "b"},
		{STR("jo"), "c"},
		{STR("ann"), HASH_SHA512},
		{STR("JOE"), NULL},
		{STR("joe\0"), NULL},
		{STR("j"), NULL},
		{STR("zoe"), NULL},
		{STR(""), NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct user *user = users_find(u, cases[i].name);

		CHECK(cases[i].name.p, (user != NULL) == (cases[i].secret != NULL));
		if (user != NULL)
			CHECK_STR(cases[i].name.p, user->secret, str_of(cases[i].secret));
		CHECK(cases[i].name.p, users_find(NULL, cases[i].name) == NULL);
	}
	CU_ASSERT(users_have(u, USER_PLAIN) && users_have(u, USER_CRYPT));
	CU_ASSERT(users_have(u, USER_SCRAM_SHA_256));
	CU_ASSERT(!users_have(NULL, USER_PLAIN) && users_count(NULL) == 0);
	users_free(u);
	users_free(NULL);
}

static void test_check(void)
{
	struct users *u = parse_good(
		"plain:{PLAIN}a secret\ncrypt:" HASH_SHA512 "\n" SCRAM_LINE "\n");
	static const struct {
		const char *name;
		struct str password;
		int expected;
	} cases[] = {
		{"plain", STR("a secret"), 1},
		{"plain", STR("a secre"), 0},
		{"plain", STR("a secreta secret"), 0},
		{"plain", STR("a secret\0"), 0},
		{"plain", STR(""), 0},
		{"crypt", STR("secret"), 1},
		{"crypt", STR("Secret"), 0},
		{"crypt", STR("secret\0x"), 0},
		{"crypt", STR(""), 0},
		{"crypt", STR(HASH_SHA512), 0},
		{"user", STR("pencil"), 1},
		{"user", STR("pencil "), 0},
		{"user", STR("pencil\0"), 0},
		{"user", STR("\xff"), 0},
		{"nobody", STR("a secret"), 0},
		{"nobody", STR("secret"), 0},
		{"nobody", STR("pencil"), 0},
		{"plain", STR(A511 "a"), 0},
		{"crypt", STR(A511), 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct user *user = users_find(u, str_of(cases[i].name));

		CHECK(cases[i].name,
			users_check(u, user, cases[i].password) == cases[i].expected);
	}
	CU_ASSERT(users_check(NULL, NULL, STR("a secret")) == 0);
	users_free(u);
}

/* Whether the page of p would be in a core file. */
static bool is_dumped(const void *p)
{
	uintptr_t place = (uintptr_t)p, start, end;
	FILE *maps = fopen("/proc/self/smaps", "re");
	bool is_here = false, is_dumped = true;
	char line[512];

	CU_ASSERT_FATAL(maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			is_here = place >= start && place < end;
		else if (is_here && str_starts_nocase(str_of(line), STR("VmFlags:")))
			is_dumped = strstr(line, " dd") == NULL;
	}
	CU_ASSERT(fclose(maps) == 0);
	return is_dumped;
}

static void test_no_core(void)
{
	struct users *u = parse_good("joe:{PLAIN}secret\n" SCRAM_LINE "\n");
	const struct user *joe = users_find(u, STR("joe"));

	CU_ASSERT_FATAL(joe != NULL);
	CU_ASSERT(!is_dumped(joe->secret.p) && !is_dumped(joe) && !is_dumped(u));
	CU_ASSERT(is_dumped(&joe));
	users_free(u);
}

static void test_salts(void)
{
	struct users *u = parse_good(SCRAM_LINE), *plain = parse_good("a:{PLAIN}b");
	char salts[3][SCRAM_SALT_MAX] = {{0}};

	CU_ASSERT(users_make_salt(u, STR("joe"), salts[0]) == 16);
	CU_ASSERT(users_make_salt(u, STR("ann"), salts[1]) == 16);
	CU_ASSERT(users_make_salt(plain, STR("joe"), salts[2]) == SCRAM_SALT_BYTES);
	CU_ASSERT(memcmp(salts[0], salts[1], 16) != 0);
	/* A reload does not change it. */
	CU_ASSERT(memcmp(salts[0], salts[2], 16) == 0);
	CU_ASSERT(users_iterations(u) == 4096);
	CU_ASSERT(users_iterations(plain) == SCRAM_ITERATIONS);
	users_free(u);
	users_free(plain);
	u = parse_good("a:{SCRAM-SHA-256}5000,AAAA"
		       ",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
		       ",wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	CU_ASSERT(users_make_salt(u, STR("joe"), salts[1]) == 3);
	CU_ASSERT(memcmp(salts[0], salts[1], 3) == 0);
	CU_ASSERT(users_iterations(u) == 5000);
	users_free(u);
}

/* The exchange of RFC 7677, 3: what the keys make of it. */
static void test_scram_vector(void)
{
	static const char message[] =
		"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFI"
		"lj)hNlF$k0,s=" SCRAM_SALT ",i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWU"
		"a2RaTCAfuxFIlj)hNlF$k0";
	char salt[16], proof[33], signature[32], text[BASE64_ENCODED_SIZE(32)];
	unsigned char stored[32];
	struct scram_keys keys = {0};
	size_t n = 0;

	CU_ASSERT_FATAL(base64_decode(STR(SCRAM_SALT), salt, &n) == 0 && n == 16);
	CU_ASSERT_FATAL(
		scram_derive(STR("pencil"), (struct str){salt, n}, 4096, &keys) == 0);
	(void)gnutls_hmac_fast(GNUTLS_MAC_SHA256, keys.server, sizeof(keys.server),
		message, sizeof(message) - 1, signature);
	n = base64_encode((struct str){signature, sizeof(signature)}, text);
	CHECK_STR("v=", ((struct str){text, n}),
		STR("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
	(void)gnutls_hmac_fast(GNUTLS_MAC_SHA256, keys.stored, sizeof(keys.stored),
		message, sizeof(message) - 1, signature);
	CU_ASSERT_FATAL(base64_decode(STR("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
				proof, &n) == 0 &&
			n == 32);
	for (size_t i = 0; i < n; i++)
		signature[i] = (char)(signature[i] ^ proof[i]);
	(void)gnutls_hash_fast(GNUTLS_DIG_SHA256, signature, n, stored);
	CU_ASSERT(memcmp(stored, keys.stored, sizeof(stored)) == 0);
}

static void test_scram_preparation(void)
{
	struct scram_keys roman = {0}, ascii = {0}, none = {0};

	/* U+2168 is IX (RFC 4013, 3). */
	CU_ASSERT(scram_derive(STR("\xe2\x85\xa8"), STR("salt"), 1, &roman) == 0);
	CU_ASSERT(scram_derive(STR("IX"), STR("salt"), 1, &ascii) == 0);
	CU_ASSERT(memcmp(&roman, &ascii, sizeof(roman)) == 0);
	CU_ASSERT(scram_derive(STR("a\x07"), STR("salt"), 1, &none) == -EINVAL);
	CU_ASSERT(scram_derive(STR("a\0"), STR("salt"), 1, &none) == -EINVAL);
	CU_ASSERT(scram_derive(STR("\xff"), STR("salt"), 1, &none) == -EINVAL);
	CU_ASSERT(scram_derive(STR("\xc2\xad"), STR("salt"), 1, &none) == -EINVAL);
	CU_ASSERT(scram_derive(STR(""), STR("salt"), 1, &none) == -EINVAL);
}

static void test_make_line(void)
{
	static const struct {
		enum users_scheme scheme;
		const char *begins;
	} cases[] = {
		{USERS_YESCRYPT, "joe:$y$"},
		{USERS_SHA512, "joe:$6$"},
		{USERS_BCRYPT, "joe:$2b$10$"},
		{USERS_SCRAM_SHA_256, "joe:{SCRAM-SHA-256}10000,"},
		{USERS_PLAIN, "joe:{PLAIN}a secret"},
	};

	for (size_t i = 0; i < USERS_SCHEMES; i++) {
		const char *name = users_scheme_name(cases[i].scheme), *error = NULL;
		char line[USERS_LINE_SIZE];
		struct users *u;

		CHECK(name, users_scheme_find(str_of(name)) == cases[i].scheme);
		CHECK(name, users_make_line(cases[i].scheme, STR("joe"), STR("a secret"),
				    line, &error) == 0);
		CHECK(name, str_starts_nocase(str_of(line), str_of(cases[i].begins)));
		u = parse_good(line);
		CHECK(name,
			users_check(u, users_find(u, STR("joe")), STR("a secret")) == 1);
		CHECK(name,
			users_check(u, users_find(u, STR("joe")), STR("a Secret")) == 0);
		users_free(u);
	}
	CU_ASSERT(users_scheme_find(STR("md5")) == USERS_SCHEMES);
}

static void test_make_line_refuses(void)
{
	static const struct {
		const char *title;
		struct str name, password;
		enum users_scheme scheme;
		const char *error;
	} cases[] = {
		{"no name", STR(""), STR("x"), USERS_PLAIN, "the name is empty"},
		{"colon", STR("a:b"), STR("x"), USERS_PLAIN,
			"a name cannot begin with '#' or have ':' in it"},
		{"hash sign", STR("#a"), STR("x"), USERS_PLAIN,
			"a name cannot begin with '#' or have ':' in it"},
		{"no password", STR("a"), STR(""), USERS_SHA512, "the password is empty"},
		{"line end", STR("a"), STR("x\ny"), USERS_SHA512,
			"the password has a control character in it"},
		{"too long", STR("a"), STR(A511 "a"), USERS_SHA512,
			"the password is longer than 511 bytes"},
		{"too long for bcrypt", STR("a"), STR(A31 A31 "aaaaaaaaaaa"),
			USERS_BCRYPT,
			"bcrypt looks at the first 72 bytes of a password only"},
		{"not UTF-8", STR("a"), STR("\xff"), USERS_SCRAM_SHA_256,
			"the password has characters that SCRAM forbids (RFC 4013)"},
	};
	char line[USERS_LINE_SIZE];
	const char *error = NULL;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		error = NULL;
		CHECK(cases[i].title,
			users_make_line(cases[i].scheme, cases[i].name, cases[i].password,
				line, &error) == -EINVAL);
		CHECK_STR(cases[i].title, str_of(error), str_of(cases[i].error));
	}
	CU_ASSERT(users_make_line(USERS_PLAIN, STR(A255), STR(A511), line, &error) == 0);
	CU_ASSERT(strlen(line) == 255 + 8 + 511);
}

/* Read path, which is to fail with r and this text (with the path for %s). */
static void check_refused(const char *path, int r, const char *text)
{
	struct users *u = NULL;
	char *told, expected[256];
	size_t n;
	FILE *errors = open_memstream(&told, &n);

	CU_ASSERT_FATAL(errors != NULL);
	CHECK(text, users_read(path, errors, &u) == r);
	CU_ASSERT_FATAL(fclose(errors) == 0);
	(void)snprintf(
		expected, sizeof(expected), "sinkd: cannot read '%s': %s\n", path, text);
	CHECK_STR(text, str_of(told), str_of(expected));
	CHECK(text, u == NULL);
	free(told);
}

static void test_read(void)
{
	char dir[] = "/tmp/sinkd-unit-XXXXXX", path[64];
	struct users *u = NULL;
	FILE *file;

	CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/users", dir);
	check_refused(path, -ENOENT, "No such file or directory");
	check_refused(dir, -EINVAL, "it is not a file");
	CU_ASSERT(mkfifo(path, 0600) == 0);
	check_refused(path, -EINVAL, "it is not a file");
	CU_ASSERT(unlink(path) == 0);
	file = fopen(path, "w");
	CU_ASSERT_FATAL(file != NULL);
	(void)fputs("joe:{PLAIN}x\nann:{PLAIN}y\n", file);
	CU_ASSERT(fclose(file) == 0);
	CU_ASSERT(chmod(path, 0604) == 0);
	check_refused(path, -EINVAL,
		"it holds secrets and others may use it; chmod o= mends that");
	CU_ASSERT(chmod(path, 0640) == 0);
	CU_ASSERT(users_read(path, stderr, &u) == 0);
	CU_ASSERT(users_count(u) == 2 && users_find(u, STR("ann")) != NULL);
	users_free(u);
	CU_ASSERT(truncate(path, 16 * 1024 * 1024 + 1) == 0);
	check_refused(path, -EINVAL, "it is larger than 16 MiB");
	CU_ASSERT(unlink(path) == 0 && rmdir(dir) == 0);
}

void suite_users(void)
{
	CU_pSuite suite = CU_add_suite("users", NULL, NULL);

	(void)CU_add_test(suite, "lines", test_lines);
	(void)CU_add_test(suite, "not a text", test_not_text);
	(void)CU_add_test(suite, "find", test_find);
	(void)CU_add_test(suite, "check", test_check);
	(void)CU_add_test(suite, "no core", test_no_core);
	(void)CU_add_test(suite, "salts", test_salts);
	(void)CU_add_test(suite, "keys of RFC 7677", test_scram_vector);
	(void)CU_add_test(suite, "preparation of passwords", test_scram_preparation);
	(void)CU_add_test(suite, "make a line", test_make_line);
	(void)CU_add_test(suite, "lines that cannot be", test_make_line_refuses);
	(void)CU_add_test(suite, "read", test_read);
}
