/* The numbers of a server; see snapshot.h.
 *
 * Runs in sinkctl.  They come from a server of the same user or of root, but through a
 * file that may be cut or of another release: no count is used before it is known to
 * fit. */
#include "ctl/snapshot.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#define TERMINATE(field) ((field)[sizeof(field) - 1] = '\0')

static void terminate_all(struct control_status *status,
	struct control_listener *listeners, struct control_certificate *certificates,
	struct control_session *sessions, struct control_rule *rules)
{
	TERMINATE(status->release);
	TERMINATE(status->hostname);
	TERMINATE(status->config_file);
	for (uint32_t i = 0; i < status->listener_count; i++) {
		TERMINATE(listeners[i].name);
		TERMINATE(listeners[i].address);
	}
	for (uint32_t i = 0; i < status->certificate_count; i++) {
		TERMINATE(certificates[i].name);
		TERMINATE(certificates[i].subject);
		TERMINATE(certificates[i].fingerprint);
		TERMINATE(certificates[i].file);
	}
	for (uint32_t i = 0; i < status->session_count; i++) {
		TERMINATE(sessions[i].state);
		TERMINATE(sessions[i].client);
		TERMINATE(sessions[i].helo);
	}
	for (uint32_t i = 0; i < status->rule_count; i++) {
		TERMINATE(rules[i].name);
		TERMINATE(rules[i].stage);
	}
}

static bool is_our_layout(const struct control_status *s)
{
	return s->version == CONTROL_VERSION && s->status_bytes == sizeof(*s) &&
	       s->listener_bytes == sizeof(struct control_listener) &&
	       s->certificate_bytes == sizeof(struct control_certificate) &&
	       s->session_bytes == sizeof(struct control_session) &&
	       s->rule_bytes == sizeof(struct control_rule);
}

int snapshot_parse(void *p, size_t n, struct control_snapshot *ret)
{
	struct control_status *status = p;
	struct control_listener *listeners;
	struct control_certificate *certificates;
	struct control_session *sessions;
	struct control_rule *rules;
	uint64_t expected;

	/* Magic, version and sizes, which tell what else there is. */
	if (n < offsetof(struct control_status, listener_count) ||
		status->magic != CONTROL_MAGIC)
		return -EBADMSG;
	if (!is_our_layout(status))
		return -EPROTONOSUPPORT;
	if (n < sizeof(*status))
		return -EBADMSG;
	/* Counts have 32 bits, so that this cannot overflow. */
	expected = sizeof(*status) +
		   (uint64_t)status->listener_count * sizeof(*listeners) +
		   (uint64_t)status->certificate_count * sizeof(*certificates) +
		   (uint64_t)status->session_count * sizeof(*sessions) +
		   (uint64_t)status->rule_count * sizeof(*rules);
	if (n != expected)
		return -EBADMSG;
	listeners = (struct control_listener *)(status + 1);
	certificates = (struct control_certificate *)(listeners + status->listener_count);
	sessions = (struct control_session *)(certificates + status->certificate_count);
	rules = (struct control_rule *)(sessions + status->session_count);
	terminate_all(status, listeners, certificates, sessions, rules);
	*ret = (struct control_snapshot){.status = status,
		.listeners = listeners,
		.certificates = certificates,
		.sessions = sessions,
		.rules = rules,
		.listener_count = status->listener_count,
		.certificate_count = status->certificate_count,
		.session_count = status->session_count,
		.rule_count = status->rule_count};
	return 0;
}
