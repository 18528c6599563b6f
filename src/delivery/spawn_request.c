/* What a worker asks of the spawner, as bytes; see spawn_request.h.
 *
 *   question  = section client-port asked size *text recipient-count 1*recipient
 *   text      = length *OCTET, in the order of TEXTS; recipient likewise
 *
 * All numbers in the byte order of the machine, which both ends are on; section, lengths
 * and the count have 32 bits, the port 16, the time and the size 64.
 *
 * Encoded in workers, decoded in the spawner, which believes nothing of it.  Pure. */
#include "delivery/spawn_request.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define TEXTS(X)                                                                         \
	X(sender)                                                                        \
	X(client_address)                                                                \
	X(helo)                                                                          \
	X(user)                                                                          \
	X(listener)                                                                      \
	X(message_id)                                                                    \
	X(envid)                                                                         \
	X(protocol)                                                                      \
	X(tls_version)                                                                   \
	X(tls_cipher)                                                                    \
	X(tls_subject)                                                                   \
	X(local)                                                                         \
	X(domain)

static void put_u32(struct buf *out, size_t n)
{
	uint32_t number = (uint32_t)n;

	(void)buf_add(out, &number, sizeof(number));
}

static void put_text(struct buf *out, struct str s)
{
	put_u32(out, s.n);
	(void)buf_add_str(out, s);
}

void spawn_request_encode(const struct spawn_request *r, struct buf *out)
{
	put_u32(out, r->section);
	(void)buf_add(out, &r->client_port, sizeof(r->client_port));
	(void)buf_add(out, &r->asked_ms, sizeof(r->asked_ms));
	(void)buf_add(out, &r->size_bytes, sizeof(r->size_bytes));
#define PUT_TEXT(name) put_text(out, r->name);
	TEXTS(PUT_TEXT)
#undef PUT_TEXT
	put_u32(out, r->recipient_count);
	for (size_t i = 0; i < r->recipient_count; i++)
		put_text(out, r->recipients[i]);
}

/* Whatever is taken after there was too little is zero or empty. */
struct reader {
	struct str left;
	bool is_bad;
};

static void take(struct reader *r, void *ret, size_t n)
{
	r->is_bad = r->is_bad || r->left.n < n;
	if (r->is_bad) {
		memset(ret, 0, n);
		return;
	}
	memcpy(ret, r->left.p, n);
	r->left = str_skip(r->left, n);
}

static uint32_t take_u32(struct reader *r)
{
	uint32_t n;

	take(r, &n, sizeof(n));
	return n;
}

static struct str take_text(struct reader *r)
{
	struct str text = {NULL, take_u32(r)};

	text.p = r->left.p;
	/* What it is for ends with a NUL. */
	r->is_bad = r->is_bad || text.n > r->left.n ||
		    (text.n > 0 && memchr(text.p, '\0', text.n) != NULL);
	if (r->is_bad)
		return STR("");
	r->left = str_skip(r->left, text.n);
	return text;
}

int spawn_request_decode(struct str bytes, struct arena *arena, struct spawn_request *ret)
{
	struct reader r = {bytes, bytes.n > SPAWN_REQUEST_MAX};
	struct spawn_request request = {.section = take_u32(&r)};
	struct str *recipients;

	take(&r, &request.client_port, sizeof(request.client_port));
	take(&r, &request.asked_ms, sizeof(request.asked_ms));
	take(&r, &request.size_bytes, sizeof(request.size_bytes));
#define TAKE_TEXT(name) request.name = take_text(&r);
	TEXTS(TAKE_TEXT)
#undef TAKE_TEXT
	request.recipient_count = take_u32(&r);
	/* Each has its length, at least: so no more memory is asked for than what was
	 * sent is worth. */
	if (r.is_bad || request.recipient_count == 0 ||
		request.recipient_count > r.left.n / sizeof(uint32_t))
		return -EBADMSG;
	if (request.recipient_count > 1 && request.local.n + request.domain.n > 0)
		return -EBADMSG;
	recipients = arena_alloc(arena, request.recipient_count * sizeof(*recipients));
	if (recipients == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < request.recipient_count; i++) {
		recipients[i] = take_text(&r);
		r.is_bad = r.is_bad || recipients[i].n == 0;
	}
	if (r.is_bad || r.left.n > 0)
		return -EBADMSG;
	request.recipients = recipients;
	*ret = request;
	return 0;
}

static bool is_printable(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	for (size_t i = 0; i < n; i++)
		if (!str_is_printable(text[i]))
			return false;
	return n < size;
}

bool spawn_answer_is_right(const struct spawn_answer *a)
{
	if (a->code != 250 && (a->code < 400 || a->code > 599))
		return false;
	return is_printable(a->enhanced, sizeof(a->enhanced)) &&
	       is_printable(a->text, sizeof(a->text)) &&
	       reply_enhanced_fits(a->enhanced, a->code);
}
