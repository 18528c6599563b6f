/* The suite of whole workers, which mostly waits: a program of its own. */
#include <stddef.h>

#include "unit.h"

void (*const unit_suites[])(void) = {
	suite_worker,
	NULL,
};
