/* The suites of the rooms that do I/O, read the clock or write the log. */
#include <stddef.h>

#include "unit.h"

void (*const unit_suites[])(void) = {
	suite_log,
	suite_ipc,
	suite_signer,
	suite_keyring,
	suite_helper,
	suite_mailbox,
	suite_maildir,
	suite_delivery,
	suite_delivery_several,
	suite_conf,
	suite_conf_tls,
	suite_option,
	suite_listener,
	suite_users,
	suite_sasl,
	suite_sasl_clients,
	suite_certificate,
	suite_tls,
	suite_tls_end,
	suite_conn,
	suite_pool,
	suite_pool_life,
	suite_runtime,
	suite_inherit,
	suite_ready,
	suite_upgrade,
	suite_slots,
	suite_notices,
	suite_counters,
	suite_control,
	suite_show,
	NULL,
};
