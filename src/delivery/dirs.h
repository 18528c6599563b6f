/* Directories of mailboxes: opened without leaving their root, made when they
 * are missing.  All return a descriptor (close-on-exec) or 0, or a negative
 * errno; none logs. */
#ifndef SINKD_DELIVERY_DIRS_H
#define SINKD_DELIVERY_DIRS_H

#include <stdbool.h>

struct delivery_owner;

/* How directories are made. */
struct dirs_maker {
	const struct delivery_owner *owner; /* NULL: they stay ours */
	bool has_sync;                      /* fsync the parent of each */
};

/* Open the directory path, which is relative and has no "..", below root.
 * Symbolic links on the way are an error.  access: O_PATH or O_RDONLY. */
int dirs_open_below(int root, const char *path, int access);

/* The same for the directory name in path. */
int dirs_open_sub(int root, const char *path, const char *name, int access);

/* Make the directory path, which may be absolute, with its parents, mode 0700.
 * Links on the way are followed where they exist: this is the operator's text.
 * Of what is made only the last directory is given to the owner.
 * Returns a descriptor opened with O_PATH. */
int dirs_make(const char *path, const struct dirs_maker *maker);

/* Make path below root with its parents, and tmp, new and cur in it, mode 0700.
 * What is there already stays as it is. */
int dirs_make_maildir(int root, const char *path, const struct dirs_maker *maker);

/* The directories that a delivery to a mailbox needs; -1: not open. */
struct place {
	int tmp; /* O_PATH */
	int new; /* can be fsynced */
};

#define PLACE_CLOSED ((struct place){-1, -1})

/* Open those of the mailbox path below root.  -ENOENT: one of them is missing.
 * place_close takes closed ones too. */
int place_open(int root, const char *path, struct place *ret);
void place_close(struct place *place);

#endif
