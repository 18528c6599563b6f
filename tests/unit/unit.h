/* What every unit suite shares: the list of suites, and checks that name the
 * case they belong to.
 *
 * A suite lives in test_<module>.c and registers itself with plain CUnit calls
 * (CU_add_suite, CU_add_test) in suite_<module>.  A table of cases goes through
 * one loop; CHECK puts the name of the case into the failure. */
#ifndef SINKD_TESTS_UNIT_H
#define SINKD_TESTS_UNIT_H

#include <CUnit/CUnit.h>
#include <stdbool.h>

#include "base/str.h"

/* Protocol engine: linked with libsinkproto.a alone (suites_proto.c). */
void suite_arena(void);
void suite_base64(void);
void suite_buf(void);
void suite_date(void);
void suite_str(void);
void suite_utf8(void);
void suite_line(void);
void suite_data(void);
void suite_chunk(void);
void suite_chunk_limits(void);
void suite_address(void);
void suite_command(void);
void suite_envelope(void);
void suite_extensions(void);
void suite_reply(void);
void suite_actions(void);
void suite_hooks(void);
void suite_host(void);
void suite_session(void);
void suite_mail(void);
void suite_parameters(void);
void suite_lmtp(void);
void suite_auth(void);
void suite_auth_secrets(void);
void suite_starttls(void);
void suite_siphash(void);
void suite_xclient(void);

/* All the rest (suites.c). */
void suite_log(void);
void suite_ipc(void);
void suite_signer(void);
void suite_keyring(void);
void suite_verdict(void);
void suite_command_line(void);
void suite_spawner(void);
void suite_spawner_questions(void);
void suite_helper(void);
void suite_macro(void);
void suite_module(void);
void suite_module_backend(void);
void suite_module_examples(void);
void suite_pattern(void);
void suite_fault(void);
void suite_rule(void);
void suite_rules(void);
void suite_rules_faults(void);
void suite_stack(void);
void suite_service_text(void);
void suite_service(void);
void suite_connector(void);
void suite_mailbox(void);
void suite_headers(void);
void suite_maildir(void);
void suite_spawn_request(void);
void suite_pipe(void);
void suite_delivery(void);
void suite_delivery_several(void);
void suite_delivery_routes(void);
void suite_leftovers(void);
void suite_conf(void);
void suite_conf_deliver(void);
void suite_conf_listen(void);
void suite_conf_rules(void);
void suite_conf_deciders(void);
void suite_conf_tls(void);
void suite_option(void);
void suite_listener(void);
void suite_certificate(void);
void suite_tls(void);
void suite_tls_end(void);
void suite_conn(void);
void suite_pool(void);
void suite_pool_life(void);
void suite_runtime(void);
void suite_inherit(void);
void suite_network(void);
void suite_proxy(void);
void suite_ready(void);
void suite_upgrade(void);
void suite_slots(void);
void suite_notices(void);
void suite_counters(void);
void suite_rulebook(void);
void suite_arrival(void);
void suite_users(void);
void suite_sasl(void);
void suite_sasl_clients(void);

/* Whole workers (suites_worker.c). */
void suite_worker(void);
void suite_serve(void);
void suite_control(void);
void suite_show(void);

/* The suites of one program, ended by NULL. */
extern void (*const unit_suites[])(void);

/* Check a claim about the case `name` and go on.  Yields whether it held. */
#define CHECK(name, claim) unit_check((claim), (name), #claim, __FILE__, __LINE__)

/* Check that two slices hold the same bytes; a failure shows both. */
#define CHECK_STR(name, got, expected)                                                   \
	unit_check_str((got), (expected), (name), #got, __FILE__, __LINE__)

bool unit_check(
	bool holds, const char *name, const char *claim, const char *file, unsigned line);
bool unit_check_str(struct str got, struct str expected, const char *name,
	const char *claim, const char *file, unsigned line);

#endif
