/* smtp/chunk: BDAT, each dialogue in every split of its bytes: what the client is told,
 * what is stored, what hooks and sink see, what the log is told of it. */
#include <stdint.h>

#include "rig.h"
#include "unit.h"

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

#define EHLO "EHLO client.example\r\n"
#define LHLO "LHLO client.example\r\n"
#define MAIL "MAIL FROM:<a@example.org>\r\n"
#define RCPT "RCPT TO:<b@example.org>\r\n"
#define FULL "RCPT TO:<full@example.org>\r\n"

/* As the rig counts transactions. */
#define STORED(n) "250 2.0.0 Ok: 0000000000000" #n "-000001-0000\r\n"
#define GOT(n)    "250 2.0.0 " #n " octets received\r\n"
#define SYNTAX    "501 5.5.4 Syntax: BDAT octets [LAST]\r\n"
#define DEAD      "503 5.5.1 The message has failed: RSET comes first\r\n"
#define MIXED     "503 5.5.1 Not within a message that comes by BDAT\r\n"
#define TOO_LARGE "552 5.3.4 Message is larger than the limit\r\n"
#define OK        "250 2.0.0 Ok\r\n"
#define BARE      "554 5.6.0 Message has a bare CR or LF\r\n"
#define REFUSED   "550 5.7.1 Message refused\r\n"
#define NO_SPACE  "452 4.3.1 Insufficient system storage\r\n"
#define NEXT      "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"

#define MAX 100 /* octets of a message, unless the case says otherwise */

/* A dialogue.  envelope: what comes before, and is accepted; NULL: EHLO MAIL RCPT.
 * texts: all messages stored, each followed by '|'.  outcomes, trace: NULL if they do
 * not matter. */
struct dialogue {
	const char *name;
	struct str say;
	const char *replies;
	struct str texts;
	const char *outcomes;
	const char *trace;
	const char *envelope;
	enum bare_newline bare_newline;
	struct rig_faults faults;
	/* Of this hook; of the command hook for BDAT alone. */
	enum rig_hook judged;
	struct sinkd_verdict verdict;
	bool is_over;
};

#define NO_FAULTS                                                                        \
	{                                                                                \
		.text_after = UINT64_MAX                                                 \
	}

static void judge(struct rig *r, enum rig_hook hook, struct sinkd_str argument,
	struct sinkd_verdict *verdict)
{
	const struct dialogue *d = r->user;

	if (hook != d->judged ||
		(hook == RIG_COMMAND &&
			!str_equal_nocase(
				(struct str){argument.data, argument.len}, STR("BDAT"))))
		return;
	*verdict = d->verdict;
}

static void add(struct buf *b, const char *what, struct str s)
{
	(void)buf_add_text(b, what);
	(void)buf_add_str(b, s);
}

static void play(const struct dialogue *d, size_t cut, bool is_bytewise, struct rig *r)
{
	struct str say = d->say;

	rig_init(r);
	r->settings.message_size_max = MAX;
	r->settings.bare_newline = d->bare_newline;
	r->judge = judge;
	r->user = (void *)(uintptr_t)d;
	r->faults = d->faults;
	if (d->envelope != NULL && str_starts_nocase(str_of(d->envelope), STR("LHLO")))
		r->peer.settings.protocol = LISTEN_LMTP;
	rig_start(r);
	rig_say(r, d->envelope != NULL ? d->envelope : EHLO MAIL RCPT);
	rig_forget(r);
	if (is_bytewise) {
		for (size_t i = 0; i < say.n; i++)
			rig_feed(r, say.p + i, 1);
		return;
	}
	rig_feed(r, say.p, cut);
	rig_feed(r, say.p + cut, say.n - cut);
}

static void texts_of(const struct rig *r, struct buf *out)
{
	for (size_t i = 0; i < r->message_count; i++) {
		(void)buf_add(out, r->messages[i].p, r->messages[i].n);
		(void)buf_add_text(out, "|");
	}
}

/* What came of it is the same whatever the split. */
static void sum_up(const struct rig *r, struct buf *out)
{
	add(out, "replies: ", rig_output(r));
	add(out, "\nanswers: ", buf_str(&r->answers));
	add(out, "\ntrace: ", rig_trace(r));
	add(out, "\ntold: ", buf_str(&r->told));
	add(out, "\noutcomes: ", buf_str(&r->outcomes));
	(void)buf_add_format(out, "\nover: %d %d\ntexts: ", r->is_over, r->is_dropped);
	texts_of(r, out);
}

static void check_splits(const struct dialogue *d, struct str whole)
{
	for (size_t cut = 0; cut <= d->say.n; cut++) {
		struct buf got;
		struct rig r;
		bool is_same;

		buf_init(&got, 1 << 20);
		/* In the place of the cut that changes nothing. */
		play(d, cut, cut == 0, &r);
		sum_up(&r, &got);
		is_same = CHECK_STR(d->name, buf_str(&got), whole);
		rig_end(&r);
		rig_done(&r);
		buf_done(&got);
		if (!is_same)
			return;
	}
}

static void check_dialogue(const struct dialogue *d)
{
	struct buf whole, texts;
	struct rig r;

	buf_init(&whole, 1 << 20);
	buf_init(&texts, 1 << 20);
	play(d, d->say.n, false, &r);
	CHECK_STR(d->name, rig_output(&r), str_of(d->replies));
	texts_of(&r, &texts);
	CHECK_STR(d->name, buf_str(&texts), d->texts);
	if (d->trace != NULL)
		CHECK_STR(d->name, rig_trace(&r), str_of(d->trace));
	CHECK(d->name, r.is_over == d->is_over);
	sum_up(&r, &whole);
	rig_end(&r);
	if (d->outcomes != NULL)
		CHECK_STR(d->name, buf_str(&r.outcomes), str_of(d->outcomes));
	rig_done(&r);
	check_splits(d, buf_str(&whole));
	buf_done(&whole);
	buf_done(&texts);
}

static void check_dialogues(const struct dialogue *dialogues, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_dialogue(&dialogues[i]);
}

#define STORED_TO "250 1 b@example.org\n"
#define LOST      "0 1 b@example.org\n"

static const struct dialogue good[] = {
	{"one chunk", STR("BDAT 6 LAST\r\ntext\r\n"), STORED(1), STR("text\r\n|"),
		STORED_TO,
		"command BDAT\ndata_command\nserver_domain\n"
		"begin a@example.org b@example.org\ndata_chunk\nchunk\nmessage\n"
		"prepare\ncommit\ntransaction\n",
		.faults = NO_FAULTS},
	{"chunks", STR("BDAT 2\r\nteBDAT 1\r\nxBDAT 3 LAST\r\nt\r\nNOOP\r\n"),
		GOT(2) GOT(1) STORED(1) OK, STR("text\r\n|"), STORED_TO,
		"command BDAT\ndata_command\nserver_domain\n"
		"begin a@example.org b@example.org\ndata_chunk\nchunk\n"
		"command BDAT\ndata_chunk\nchunk\n"
		"command BDAT\ndata_chunk\nchunk\nmessage\nprepare\ncommit\n"
		"transaction\ncommand NOOP\n",
		.faults = NO_FAULTS},
	{"nothing last", STR("BDAT 6\r\ntext\r\nBDAT 0 LAST\r\n"), GOT(6) STORED(1),
		STR("text\r\n|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"nothing first and between",
		STR("BDAT 0\r\nBDAT 4\r\ntextBDAT 0\r\nBDAT 2 LAST\r\n\r\n"),
		GOT(0) GOT(4) GOT(0) STORED(1), STR("text\r\n|"), STORED_TO, NULL,
		.faults = NO_FAULTS},
	{"nothing at all", STR("BDAT 0 LAST\r\n"), STORED(1), STR("|"), STORED_TO,
		"command BDAT\ndata_command\nserver_domain\n"
		"begin a@example.org b@example.org\nmessage\nprepare\ncommit\n"
		"transaction\n",
		.faults = NO_FAULTS},
	{"nothing often", STR("BDAT 0\r\nBDAT 0\r\nBDAT 0 LAST\r\n"),
		GOT(0) GOT(0) STORED(1), STR("|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"no end of line", STR("BDAT 4 LAST\r\ntext"), STORED(1), STR("text|"), STORED_TO,
		NULL, .faults = NO_FAULTS},
	{"dots", STR("BDAT 11\r\n.\r\n..\r\n.a\r\nBDAT 3 LAST\r\n.\r\n"),
		GOT(11) STORED(1), STR(".\r\n..\r\n.a\r\n.\r\n|"), STORED_TO, NULL,
		.faults = NO_FAULTS},
	{"a command in it", STR("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), STORED(1) OK,
		STR("QUIT\r\n|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"NUL and all that", STR("BDAT 7 LAST\r\n\0\xff\x80\x01 \r\n"), STORED(1),
		STR("\0\xff\x80\x01 \r\n|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"forms",
		STR("bdat 1\r\naBDat 0000000000000000001  \r\nb"
		    "BDAT\t1 \t lAsT \r\nc"),
		GOT(1) GOT(1) STORED(1), STR("abc|"), STORED_TO, NULL,
		.faults = NO_FAULTS},
	{"two messages",
		STR("BDAT 1 LAST\r\na" MAIL RCPT "DATA\r\nx\r\n.\r\n" MAIL RCPT
		    "BDAT 1\r\nbBDAT 1 LAST\r\nc"),
		STORED(1) NEXT "354 End data with <CR><LF>.<CR><LF>\r\n" STORED(2)
			NEXT GOT(1) STORED(3),
		STR("a|x\r\n|bc|"), STORED_TO STORED_TO STORED_TO, NULL,
		.faults = NO_FAULTS},
	{"commands between", STR("BDAT 1\r\naNOOP\r\nHELP\r\nVRFY b\r\nBDAT 1 LAST\r\nb"),
		GOT(1) OK
		"214 2.0.0 Commands: MAIL RCPT DATA BDAT EHLO HELO RSET NOOP "
		"QUIT VRFY EXPN ETRN HELP\r\n"
		"252 2.5.0 Cannot verify, but send some mail and see\r\n" STORED(1),
		STR("ab|"), STORED_TO, NULL, .faults = NO_FAULTS},
};

static void test_good(void)
{
	check_dialogues(good, COUNT_OF(good));
}

/* Refused commands: the octets are read, and nothing else happens. */
static const struct dialogue out_of_order[] = {
	{"before all", STR("BDAT 6 LAST\r\nQUIT\r\nBDAT 0\r\nBDAT 2\r\n\r\nNOOP\r\n"),
		"503 5.5.1 MAIL comes first\r\n503 5.5.1 MAIL comes first\r\n"
		"503 5.5.1 MAIL comes first\r\n" OK,
		STR(""), "",
		"command BDAT\ncommand BDAT\ncommand BDAT\n"
		"command NOOP\n",
		.envelope = "NOOP\r\n", .faults = NO_FAULTS},
	{"before MAIL", STR("BDAT 6 LAST\r\nQUIT\r\n" MAIL RCPT "BDAT 1 LAST\r\na"),
		"503 5.5.1 MAIL comes first\r\n" NEXT STORED(1), STR("a|"), STORED_TO,
		NULL, .envelope = EHLO, .faults = NO_FAULTS},
	{"before RCPT", STR("BDAT 6\r\nQUIT\r\nBDAT 1 LAST\r\na" RCPT),
		"503 5.5.1 RCPT comes first\r\n" DEAD DEAD, STR(""), "", NULL,
		.envelope = EHLO MAIL, .faults = NO_FAULTS},
	{"no good RCPT",
		STR("BDAT 6 LAST\r\nQUIT\r\nRSET\r\n" MAIL RCPT "BDAT 1 LAST\r\na"),
		"554 5.5.1 No valid recipients\r\n" OK NEXT STORED(2), STR("a|"),
		STORED_TO, NULL, .envelope = EHLO MAIL "RCPT TO:<x y>\r\n",
		.faults = NO_FAULTS},
	{"after LAST", STR("BDAT 1 LAST\r\naBDAT 6\r\nQUIT\r\nNOOP\r\n"),
		STORED(1) "503 5.5.1 MAIL comes first\r\n" OK, STR("a|"), STORED_TO, NULL,
		.faults = NO_FAULTS},
	{"DATA among chunks", STR("BDAT 1\r\naDATA\r\nBDAT 1 LAST\r\nb"),
		GOT(1) MIXED STORED(1), STR("ab|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"RCPT among chunks", STR("BDAT 1\r\na" RCPT "BDAT 1 LAST\r\nb"),
		GOT(1) MIXED STORED(1), STR("ab|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"MAIL among chunks", STR("BDAT 1\r\na" MAIL "BDAT 1 LAST\r\nb"),
		GOT(1) "503 5.5.1 MAIL was given already\r\n" STORED(1), STR("ab|"),
		STORED_TO, NULL, .faults = NO_FAULTS},
	{"DATA for binary", STR("DATA\r\nBDAT 2 LAST\r\n\n\r"),
		"503 5.5.1 BODY=BINARYMIME needs BDAT\r\n" STORED(1), STR("\n\r|"),
		STORED_TO, NULL,
		.envelope = EHLO "MAIL FROM:<a@example.org> BODY=BINARYMIME\r\n" RCPT,
		.faults = NO_FAULTS},
	{"RSET among chunks",
		STR("BDAT 1\r\naRSET\r\nBDAT 1 LAST\r\nb" MAIL RCPT "BDAT 1 LAST\r\nc"),
		GOT(1) OK "503 5.5.1 MAIL comes first\r\n" NEXT STORED(2), STR("c|"),
		LOST STORED_TO,
		"command BDAT\ndata_command\nserver_domain\n"
		"begin a@example.org b@example.org\ndata_chunk\nchunk\n"
		"command RSET\nabort\ntransaction\nreset\ncommand BDAT\n"
		"command MAIL\nsender a@example.org\n"
		"command RCPT\nrecipient b@example.org\n"
		"command BDAT\ndata_command\nserver_domain\n"
		"begin a@example.org b@example.org\ndata_chunk\nchunk\nmessage\n"
		"prepare\ncommit\ntransaction\n",
		.faults = NO_FAULTS},
	{"EHLO among chunks", STR("BDAT 1\r\naHELO x\r\nBDAT 1 LAST\r\nb"),
		GOT(1) "250 sink.example.test\r\n503 5.5.1 MAIL comes first\r\n", STR(""),
		LOST, NULL, .faults = NO_FAULTS},
	{"bad EHLO among chunks", STR("BDAT 1\r\naEHLO\r\nBDAT 1 LAST\r\nb"),
		GOT(1) "501 5.5.4 Syntax: EHLO domain\r\n" STORED(1), STR("ab|"),
		STORED_TO, NULL, .faults = NO_FAULTS},
	{"QUIT among chunks", STR("BDAT 1\r\naQUIT\r\n"), GOT(1) "221 2.0.0 Bye\r\n",
		STR(""), LOST, NULL, .faults = NO_FAULTS, .is_over = true},
	/* As in CVE-2017-16943 and 16944: an error between chunks, text that
	 * looks like an end of data, and on in another way. */
	{"bad BDAT among chunks",
		STR("BDAT 1\r\naBDAT x\r\nBDAT "
		    "5\r\n\r\n.\r\nDATA\r\nRSET\r\n" MAIL RCPT "BDAT 1 LAST\r\nb"),
		GOT(1) SYNTAX DEAD DEAD OK NEXT STORED(2), STR("b|"), LOST STORED_TO,
		NULL, .faults = NO_FAULTS},
	{"dot as chunk, then an error",
		STR("BDAT 10\r\n.\r\nab\r\nc\r\n\x7f\x7f\r\nBDAT 3 "
		    "LAST\r\n.\r\n"),
		GOT(10) "500 5.5.2 Bad command syntax\r\n" STORED(1),
		STR(".\r\nab\r\nc\r\n.\r\n|"), STORED_TO, NULL, .faults = NO_FAULTS},
	{"refused by a hook", STR("BDAT 6 LAST\r\nQUIT\r\nDATA\r\nNOOP\r\n"),
		"550 5.7.1 Command refused\r\n" DEAD OK, STR(""), "", NULL,
		.faults = NO_FAULTS, .judged = RIG_COMMAND,
		.verdict = {.code = SINKD_REFUSE}},
	{"closed by a hook", STR("BDAT 6 LAST\r\nQUIT\r\n"),
		"421 4.3.2 Command refused\r\n", STR(""), "", NULL, .faults = NO_FAULTS,
		.judged = RIG_COMMAND, .verdict = {.code = 421}, .is_over = true},
};

static void test_out_of_order(void)
{
	check_dialogues(out_of_order, COUNT_OF(out_of_order));
}

/* Failures wait for the end of their chunk; without LAST the message is dead then. */
static const struct dialogue failures[] = {
	{"data_command", STR("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
		REFUSED DEAD OK, STR(""), "",
		"command BDAT\ndata_command\ncommand BDAT\ncommand NOOP\n",
		.faults = NO_FAULTS, .judged = RIG_DATA_COMMAND,
		.verdict = {.code = SINKD_REFUSE}},
	{"data_command, LAST", STR("BDAT 6 LAST\r\nQUIT\r\n" MAIL "NOOP\r\n"),
		REFUSED "250 2.1.0 Ok\r\n" OK, STR(""), "",
		"command BDAT\ndata_command\ntransaction\ncommand MAIL\n"
		"sender a@example.org\ncommand NOOP\n",
		.faults = NO_FAULTS, .judged = RIG_DATA_COMMAND,
		.verdict = {.code = SINKD_REFUSE}},
	{"data_command, empty LAST", STR("BDAT 0 LAST\r\nNOOP\r\n"), REFUSED OK, STR(""),
		"", NULL, .faults = NO_FAULTS, .judged = RIG_DATA_COMMAND,
		.verdict = {.code = SINKD_REFUSE}},
	{"data_command closes", STR("BDAT 6\r\nQUIT\r\nNOOP\r\n"),
		"421 4.3.2 Message refused\r\n", STR(""), "", NULL, .faults = NO_FAULTS,
		.judged = RIG_DATA_COMMAND, .verdict = {.code = 421}, .is_over = true},
	{"data_command drops", STR("BDAT 6\r\nQUIT\r\nNOOP\r\n"), "", STR(""), "", NULL,
		.faults = NO_FAULTS, .judged = RIG_DATA_COMMAND,
		.verdict = {.action = SINKD_DISCONNECT}, .is_over = true},
	{"data_command waits", STR("BDAT 2\r\n\r\nBDAT 1 LAST\r\na"), GOT(2) STORED(1),
		STR("\r\na|"), STORED_TO, NULL, .faults = NO_FAULTS,
		.judged = RIG_DATA_COMMAND, .verdict = {.delay_ms = 5}},
	{"begin", STR("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n" MAIL),
		NO_SPACE DEAD OK "250 2.1.0 Ok\r\n", STR(""), "", NULL,
		.faults = {.begin = true, .text_after = UINT64_MAX}},
	{"begin, LAST", STR("BDAT 6 LAST\r\nQUIT\r\n" MAIL), NO_SPACE "250 2.1.0 Ok\r\n",
		STR(""), "", NULL, .faults = {.begin = true, .text_after = UINT64_MAX}},
	{"data_chunk", STR("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nRSET\r\n"),
		REFUSED DEAD OK, STR(""), "550 1 b@example.org\n",
		"command BDAT\ndata_command\nserver_domain\n"
		"begin a@example.org b@example.org\ndata_chunk\nabort\n"
		"command BDAT\ncommand RSET\ntransaction\nreset\n",
		.faults = NO_FAULTS, .judged = RIG_DATA_CHUNK,
		.verdict = {.code = SINKD_REFUSE}},
	{"data_chunk, LAST", STR("BDAT 6 LAST\r\nQUIT\r\n" MAIL),
		REFUSED "250 2.1.0 Ok\r\n", STR(""), "550 1 b@example.org\n", NULL,
		.faults = NO_FAULTS, .judged = RIG_DATA_CHUNK,
		.verdict = {.code = SINKD_REFUSE}},
	{"data_chunk closes", STR("BDAT 6\r\nQUIT\r\nBDAT 1 LAST\r\nx"),
		"421 4.3.2 Message refused\r\n", STR(""), "421 1 b@example.org\n", NULL,
		.faults = NO_FAULTS, .judged = RIG_DATA_CHUNK, .verdict = {.code = 421},
		.is_over = true},
	{"data_chunk drops", STR("BDAT 1\r\nxBDAT 1 LAST\r\nx"), "", STR(""), LOST, NULL,
		.faults = NO_FAULTS, .judged = RIG_DATA_CHUNK,
		.verdict = {.action = SINKD_DISCONNECT}, .is_over = true},
	{"message", STR("BDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\n" MAIL),
		GOT(6) REFUSED "250 2.1.0 Ok\r\n", STR(""), "550 1 b@example.org\n", NULL,
		.faults = NO_FAULTS, .judged = RIG_MESSAGE,
		.verdict = {.code = SINKD_REFUSE}},
	{"message dropped", STR("BDAT 0 LAST\r\n" MAIL), "", STR(""),
		"0 1 b@example.org\n", NULL, .faults = NO_FAULTS, .judged = RIG_MESSAGE,
		.verdict = {.action = SINKD_DISCONNECT}, .is_over = true},
	{"text", STR("BDAT 4\r\ntextBDAT 4\r\ntextBDAT 0\r\nBDAT 1 LAST\r\nx"),
		GOT(4) NO_SPACE DEAD DEAD, STR(""), "452 1 b@example.org\n", NULL,
		.faults = {.text_after = 4}},
	{"prepare", STR("BDAT 4 LAST\r\ntext" MAIL), NO_SPACE "250 2.1.0 Ok\r\n", STR(""),
		"452 1 b@example.org\n", NULL,
		.faults = {.prepare = 1, .text_after = UINT64_MAX}},
	{"dead until EHLO",
		STR("BDAT 4\r\ntextDATA\r\n" RCPT MAIL "BDAT 3\r\n\r\n\r"
		    "HELO x\r\n" MAIL),
		NO_SPACE DEAD DEAD "503 5.5.1 MAIL was given already\r\n" DEAD
				   "250 sink.example.test\r\n250 2.1.0 Ok\r\n",
		STR(""), "452 1 b@example.org\n", NULL, .faults = {.text_after = 0}},
};

static void test_failures(void)
{
	check_dialogues(failures, COUNT_OF(failures));
}

static const struct dialogue line_ends[] = {
	{"lone LF", STR("BDAT 4\r\na\nb\nBDAT 1 LAST\r\n\n"), GOT(4) STORED(1),
		STR("a\r\nb\r\n\r\n|"), .faults = NO_FAULTS},
	{"CR LF cut", STR("BDAT 2\r\na\rBDAT 2 LAST\r\n\nb"), GOT(2) STORED(1),
		STR("a\r\nb|"), .faults = NO_FAULTS},
	{"CR LF cut by nothing", STR("BDAT 2\r\na\rBDAT 0\r\nBDAT 2 LAST\r\n\nb"),
		GOT(2) GOT(0) STORED(1), STR("a\r\nb|"), .faults = NO_FAULTS},
	{"lone CR", STR("BDAT 4 LAST\r\na\rb\r"), STORED(1), STR("a\rb\r|"),
		.faults = NO_FAULTS},
	{"none, rejected", STR("BDAT 4 LAST\r\n\r\n\r\n"), STORED(1), STR("\r\n\r\n|"),
		STORED_TO, .faults = NO_FAULTS, .bare_newline = BARE_NEWLINE_REJECT},
	{"CR LF cut, rejected", STR("BDAT 2\r\na\rBDAT 0\r\nBDAT 2 LAST\r\n\nb"),
		GOT(2) GOT(0) STORED(1), STR("a\r\nb|"), STORED_TO, .faults = NO_FAULTS,
		.bare_newline = BARE_NEWLINE_REJECT},
	{"lone LF, rejected", STR("BDAT 2\r\na\nBDAT 2 LAST\r\n\r\n" MAIL),
		GOT(2) BARE "250 2.1.0 Ok\r\n", STR(""), "554 1 b@example.org\n",
		.faults = NO_FAULTS, .bare_newline = BARE_NEWLINE_REJECT},
	{"lone LF last, rejected", STR("BDAT 2\r\n\r\nBDAT 2 LAST\r\na\n"), GOT(2) BARE,
		STR(""), "554 1 b@example.org\n", .faults = NO_FAULTS,
		.bare_newline = BARE_NEWLINE_REJECT},
	{"lone CR, rejected", STR("BDAT 3\r\na\rbBDAT 0 LAST\r\n"), GOT(3) BARE, STR(""),
		"554 1 b@example.org\n", .faults = NO_FAULTS,
		.bare_newline = BARE_NEWLINE_REJECT},
	{"lone CR cut, rejected", STR("BDAT 2\r\na\rBDAT 1 LAST\r\nb"), GOT(2) BARE,
		STR(""), "554 1 b@example.org\n", .faults = NO_FAULTS,
		.bare_newline = BARE_NEWLINE_REJECT},
	{"lone CR last, rejected", STR("BDAT 2\r\na\rBDAT 0 LAST\r\n"), GOT(2) BARE,
		STR(""), "554 1 b@example.org\n", .faults = NO_FAULTS,
		.bare_newline = BARE_NEWLINE_REJECT},
	{"preserved", STR("BDAT 5\r\na\nb\r\rBDAT 4 LAST\r\n\n\n\r."), GOT(5) STORED(1),
		STR("a\nb\r\r\n\n\r.|"), .faults = NO_FAULTS,
		.bare_newline = BARE_NEWLINE_PRESERVE},
};

static void test_line_ends(void)
{
	check_dialogues(line_ends, COUNT_OF(line_ends));
}

/* BODY=BINARYMIME: nothing is changed, and nothing is refused. */
static void test_binary(void)
{
	static const enum bare_newline modes[] = {
		BARE_NEWLINE_NORMALIZE, BARE_NEWLINE_REJECT, BARE_NEWLINE_PRESERVE};
	struct dialogue d = {"binary", STR("BDAT 5\r\na\nb\r\rBDAT 5 LAST\r\n\n\n\r\0\n"),
		GOT(5) STORED(1), STR("a\nb\r\r\n\n\r\0\n|"), STORED_TO,
		.envelope = EHLO "MAIL FROM:<a@example.org> BODY=BINARYMIME\r\n" RCPT,
		.faults = NO_FAULTS};

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		d.bare_newline = modes[i];
		check_dialogue(&d);
	}
	/* Text comes next, and is text again. */
	d.say = STR("BDAT 1 LAST\r\n\n" MAIL RCPT "BDAT 2 LAST\r\n\n\n");
	d.replies = STORED(1) NEXT STORED(2);
	d.texts = STR("\n|\r\n\r\n|");
	d.outcomes = STORED_TO STORED_TO;
	d.bare_newline = BARE_NEWLINE_NORMALIZE;
	check_dialogue(&d);
}

#define LMTP LHLO MAIL RCPT FULL RCPT

static const struct dialogue lmtp[] = {
	{"a result for each", STR("BDAT 1\r\naBDAT 1 LAST\r\nbNOOP\r\n"),
		GOT(1) STORED(1) "452 4.2.2 Mailbox full\r\n" STORED(1) OK, STR("ab|"),
		"250 2 b@example.org\n452 1 full@example.org\n", .envelope = LMTP,
		.faults = NO_FAULTS},
	{"too large",
		STR("BDAT 101 LAST\r\n"
		    "1234567890123456789012345678901234567890123456789x"
		    "1234567890123456789012345678901234567890123456789x"
		    "xNOOP\r\n"),
		TOO_LARGE TOO_LARGE TOO_LARGE OK, STR(""), "", .envelope = LMTP,
		.faults = NO_FAULTS},
	{"data_command", STR("BDAT 2\r\n\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n"),
		REFUSED DEAD OK, STR(""), "", .envelope = LMTP, .faults = NO_FAULTS,
		.judged = RIG_DATA_COMMAND, .verdict = {.code = SINKD_REFUSE}},
	{"data_command, LAST", STR("BDAT 2 LAST\r\n\r\nNOOP\r\n"),
		REFUSED REFUSED REFUSED OK, STR(""), "", .envelope = LMTP,
		.faults = NO_FAULTS, .judged = RIG_DATA_COMMAND,
		.verdict = {.code = SINKD_REFUSE}},
	{"text", STR("BDAT 2\r\n\r\nBDAT 2\r\n\r\nBDAT 0 LAST\r\nNOOP\r\n"),
		GOT(2) NO_SPACE DEAD OK, STR(""),
		"452 1 b@example.org\n452 1 full@example.org\n"
		"452 1 b@example.org\n",
		.envelope = LMTP, .faults = {.text_after = 2}},
	{"text, LAST", STR("BDAT 2\r\n\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n"),
		GOT(2) NO_SPACE NO_SPACE NO_SPACE OK, STR(""), NULL, .envelope = LMTP,
		.faults = {.text_after = 2}},
	{"no recipients", STR("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"),
		"503 5.5.1 No valid recipients\r\n" OK, STR(""), "",
		.envelope = LHLO MAIL "RCPT TO:<x y>\r\n", .faults = NO_FAULTS},
};

static void test_lmtp(void)
{
	check_dialogues(lmtp, COUNT_OF(lmtp));
}

void suite_chunk(void)
{
	CU_pSuite s = CU_add_suite("chunk", NULL, NULL);

	CU_add_test(s, "good", test_good);
	CU_add_test(s, "out of order", test_out_of_order);
	CU_add_test(s, "failures", test_failures);
	CU_add_test(s, "line ends", test_line_ends);
	CU_add_test(s, "binary", test_binary);
	CU_add_test(s, "LMTP", test_lmtp);
}
