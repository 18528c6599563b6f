/* Who comes; see arrival.h.
 *
 * Runs in workers, on hostile bytes.  An address that a proxy told is believed, since the
 * configuration says so; but rights that belong to this machine need more than that: the
 * proxy has to be here, too, or what the client shows goes over the network all the same.
 * And a client that the proxy does not tell of has no right that an address gives. */
#include "proc/arrival.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "net/conn.h"
#include "net/proxy.h"
#include "proc/notices.h"
#include "proc/recorder.h"
#include "proc/serve.h"

/* How long those who cannot wait for the greeting are waited for. */
#define EARLY_TALKER_WAIT_MS 1000

/* What of their words is logged. */
#define EARLY_BYTES 64

/* A client on this machine; addresses of IPv4 never come as those of IPv6. */
static bool is_loopback(const struct sockaddr_storage *from)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

	if (from->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return from->ss_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Returns the port; 0 of a Unix socket. */
static uint16_t format_address(
	const struct sockaddr_storage *from, char text[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;

	if (from->ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN);
		return ntohs(in->sin_port);
	}
	if (from->ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN);
		return ntohs(in6->sin6_port);
	}
	(void)snprintf(text, INET6_ADDRSTRLEN, "unix");
	return 0;
}

void arrival_count(const struct arrival *a, bool is_here)
{
	counters_set_client(
		a->env->counters, a->env->worker_number - 1, is_here ? a->client_key : 0);
}

/* From here on the client is this one. */
static void describe(struct arrival *a, const struct listener *listener,
	const struct sockaddr_storage *from)
{
	const struct listen_settings *settings = listener->settings;

	a->peer = (struct smtp_peer){
		.port = format_address(from, a->address),
		.listener = str_of(settings->name),
		.settings = settings->smtp,
		.is_loopback = is_loopback(from),
		.may_xclient =
			networks_have(settings->xclients, settings->xclient_count, from),
	};
	/* The length of the text is known only now. */
	a->peer.address = str_of(a->address);
	a->client_key = counters_client_key(a->env->client_key_secret, from);
	slot_set_client(a->env->slot, from);
	setproctitle("worker %u [%s]", a->env->worker_number, a->address);
}

/* --- PROXY ---------------------------------------------------------------- */

/* Take what there is of the header.  Returns 0 when that is all of it, or -EAGAIN. */
static int take_header(struct arrival *a, char bytes[PROXY_HEADER_MAX], size_t *n,
	uint32_t wait_ms, struct proxy_header *ret, const char **ret_error)
{
	ssize_t got = conn_peek(a->conn, bytes + *n, PROXY_HEADER_MAX - *n, wait_ms);
	enum proxy_outcome outcome;
	int r;

	if (got <= 0)
		return got == 0 ? -ECONNRESET : (int)got;
	outcome = proxy_parse((struct str){bytes, *n + (size_t)got}, ret, ret_error);
	if (outcome == PROXY_BAD)
		return -EBADMSG;
	/* What is part of it is taken, so that the next look waits for more. */
	got = outcome == PROXY_DONE ? (ssize_t)(ret->length - *n) : got;
	r = conn_drop(a->conn, (size_t)got);
	*n += (size_t)got;
	return r < 0 ? r : outcome == PROXY_DONE ? 0 : -EAGAIN;
}

/* It has as much time as a handshake. */
static int read_header(struct arrival *a, uint64_t start_ms, struct proxy_header *ret,
	const char **ret_error)
{
	char bytes[PROXY_HEADER_MAX];
	uint64_t now_ms = start_ms, deadline_ms = start_ms;
	size_t n = 0;
	int r = -EAGAIN;

	while (r == -EAGAIN) {
		deadline_ms = start_ms + notices_handshake_ms(a->notices);
		slot_set_deadline(a->env->slot, deadline_ms);
		if (now_ms >= deadline_ms)
			r = -ETIMEDOUT;
		else
			r = take_header(a, bytes, &n,
				(uint32_t)number_min(deadline_ms - now_ms, CONN_TICK_MS),
				ret, ret_error);
		now_ms = clock_monotonic_ms();
		if (r == -EAGAIN && notices_look(a->notices, now_ms) != NOTICE_NONE)
			r = -ECANCELED;
	}
	return r;
}

/* Why there is no header, for who reads the log. */
static const char *header_failure(int r, const char *error)
{
	return r == -EBADMSG      ? error
	       : r == -ETIMEDOUT  ? "no PROXY header in time"
	       : r == -ECONNRESET ? "the peer has gone"
	       : r == -ECANCELED  ? "the server ends the session"
				  : strerror(-r);
}

static void note_destination(struct arrival *a, const struct sockaddr_storage *where)
{
	a->peer.proxy_port = format_address(where, a->destination);
	a->peer.proxy_address = str_of(a->destination);
}

/* The client is the one that the header tells of, as far as it does. */
static void believe(struct arrival *a, const struct listener *listener,
	const struct proxy_header *header)
{
	char peer[INET6_ADDRSTRLEN];
	char destination[ENVELOPE_DESTINATION_MAX];
	bool is_proxy_here = a->peer.is_loopback;

	memcpy(peer, a->address, sizeof(peer));
	if (header->told == PROXY_TOLD_ADDRESSES) {
		describe(a, listener, &header->source);
		note_destination(a, &header->destination);
		a->peer.may_xclient &= is_proxy_here || !a->peer.is_loopback;
		a->peer.is_loopback &= is_proxy_here;
	} else if (header->told == PROXY_TOLD_NOTHING) {
		a->peer.may_xclient = false;
		a->peer.is_loopback = false;
	}
	log_event(LOG_INFO, EV_SESSION_PROXY, LOG_TEXT("peer", peer),
		LOG_STR("client", a->peer.address), LOG_NUM("port", a->peer.port),
		LOG_STR("destination", envelope_destination(a->peer.proxy_address,
					       a->peer.proxy_port, destination)));
}

int arrival_meet(struct arrival *a, const struct listener *listener,
	const struct sockaddr_storage *from, uint64_t start_ms)
{
	const struct listen_settings *settings = listener->settings;
	const char *error = NULL;
	struct proxy_header header;
	int r = 0;

	describe(a, listener, from);
	if (networks_have(settings->proxies, settings->proxy_count, from)) {
		slot_set_state(a->env->slot, SLOT_HANDSHAKE);
		r = read_header(a, start_ms, &header, &error);
		slot_set_deadline(a->env->slot,
			clock_monotonic_ms() + a->env->config->timeouts.data_ms);
		if (r == 0)
			believe(a, listener, &header);
		else
			/* Who looks whether we are there goes without a word. */
			log_event(r == -ECONNRESET ? LOG_INFO : LOG_WARN,
				EV_SESSION_PROXY, LOG_STR("client", a->peer.address),
				LOG_TEXT("error", header_failure(r, error)));
	}
	return r;
}

/* --- the door ------------------------------------------------------------- */

/* Whether the client has more sessions already than one may.  Of two that come at the
 * same moment both may be one too many. */
static bool is_over_limit(const struct arrival *a, unsigned *ret_sessions)
{
	unsigned limit = a->env->config->sessions_per_client;
	uint32_t slot_count =
		atomic_load_explicit(&a->env->board->slot_count, memory_order_relaxed);

	if (limit == 0)
		return false;
	*ret_sessions =
		counters_count_client(a->env->counters, slot_count, a->client_key);
	return *ret_sessions > limit;
}

/* The first line of what an early talker says.  More is not logged, nor AUTH: a password
 * is nobody's business. */
static struct str first_line(const char *bytes, size_t n)
{
	struct str line = {bytes, 0};

	while (line.n < n && bytes[line.n] != '\r' && bytes[line.n] != '\n')
		line.n++;
	return str_starts_nocase(str_trim_start(line), STR("AUTH")) ? STR("AUTH (hidden)")
								    : line;
}

/* Whether it speaks before it was spoken to, which is told.  Where TLS comes first
 * everyone does. */
static bool is_early(struct arrival *a)
{
	bool is_refused = a->env->config->early_talker == EARLY_TALKER_REFUSE;
	uint32_t wait_ms = 0;
	char bytes[EARLY_BYTES];
	ssize_t got;

	if (a->peer.settings.tls == LISTEN_TLS_IMPLICIT ||
		(!is_refused && !log_is_on(LOG_INFO)))
		return false;
	if (is_refused && !notices_is_stressed(a->notices))
		wait_ms = EARLY_TALKER_WAIT_MS;
	got = conn_peek(a->conn, bytes, sizeof(bytes), wait_ms);
	if (got <= 0)
		return false;
	if (is_refused)
		log_event(LOG_INFO, EV_SESSION_EARLY,
			LOG_STR("input", first_line(bytes, (size_t)got)),
			LOG_NUM("code", 554));
	else
		log_event(LOG_INFO, EV_SESSION_EARLY,
			LOG_STR("input", first_line(bytes, (size_t)got)));
	return is_refused;
}

bool arrival_admit(struct arrival *a, struct smtp *engine)
{
	unsigned sessions;

	arrival_count(a, true);
	log_event(LOG_INFO, EV_SESSION_START, LOG_STR("client", a->peer.address),
		LOG_NUM("port", a->peer.port), LOG_STR("listener", a->peer.listener));
	if (is_over_limit(a, &sessions)) {
		/* Or its own attempts would keep it out. */
		arrival_count(a, false);
		log_event(LOG_INFO, EV_SESSION_REFUSED,
			LOG_STR("client", a->peer.address), LOG_NUM("sessions", sessions),
			LOG_NUM("limit", a->env->config->sessions_per_client));
		smtp_refuse(engine, &a->peer, 421, "4.7.0",
			"Too many sessions from your address");
		return false;
	}
	if (is_early(a))
		smtp_refuse(
			engine, &a->peer, 554, "5.5.1", "You spoke before the greeting");
	else
		smtp_start(engine, &a->peer);
	return true;
}
