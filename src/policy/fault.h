/* The fault that an address names, where a rule lets it.  The local part, or what of it
 * stands before a "+", in any case:
 *
 *   452          refuse with that code, 400 to 599; 421 also closes
 *   452-4.2.2    and with that enhanced code, which must be of the same class
 *   disconnect   what the action of a rule does that has this name; so do
 *   reset, stall, drop
 *   delay5       wait 5 seconds; or another time up to 1h, "delay250ms"
 *   delay5-452   wait, then what stands behind the hyphen: any of the above
 */
#ifndef SINKD_POLICY_FAULT_H
#define SINKD_POLICY_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "policy/rule.h"

struct fault {
	uint32_t delay_ms;
	enum rule_action action;
	int code;          /* with RULE_REPLY; 0: nothing but the delay */
	char enhanced[12]; /* empty: the one of the stage */
};

/* address: a mailbox as it was sent.  Returns false, and leaves *ret alone, if it names
 * no fault. */
bool fault_of_address(struct str address, struct fault *ret);

#endif
