/* The suites of whole workers, which mostly wait: a program of its own. */
#include <stddef.h>

#include "unit.h"

void (*const unit_suites[])(void) = {
	suite_worker,
	suite_serve,
	NULL,
};
