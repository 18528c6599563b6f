/* Commands of pipe deliveries: their programs, and what their arguments are made of. */
#ifndef SINKD_CONFIG_PROGRAM_H
#define SINKD_CONFIG_PROGRAM_H

#include <limits.h>
#include <stdint.h>

/* Find a program: an absolute path is taken as it is; a name without "/" is looked for
 * where commands look for theirs; a relative path stands for one below directory, or
 * with NULL is wrong.  Returns NULL and the absolute path, or what is wrong (static
 * text). */
const char *program_find(const char *name, const char *directory, char ret[PATH_MAX]);

/* The macros that the arguments of a command have; they were checked, its program is
 * first, and NULL is last. */
uint32_t program_macros(const char *const *command);

#endif
