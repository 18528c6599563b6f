/* A model of a disk that loses power.
 *
 * It is told what is done to the files and directories below one root, and says
 * what of it is there after a power cut.  What was fsynced before the cut is: the
 * data of a file after fsync of the file, a name after fsync of the directory that
 * holds it, which POSIX promises and no more.  Of all else the fate decides. */
#ifndef SINKD_TESTS_DISK_H
#define SINKD_TESTS_DISK_H

#include <stddef.h>

/* What becomes of that which was not fsynced.  From DISK_CHANCE on each number is
 * another draw, for every write and name by itself. */
enum { DISK_LOSES_ALL, DISK_KEEPS_ALL, DISK_KEEPS_NAMES, DISK_KEEPS_DATA, DISK_CHANCE };

/* Start with what is there below root, as durable; forget what was before. */
void disk_start(const char *root);
void disk_stop(void);

/* How many changes there have been. */
size_t disk_changes(void);

/* Call fn for each file in a directory called "new" that is there after a cut behind
 * so many changes.  path is below root. */
typedef void (*disk_file_fn)(void *user, const char *path, const char *p, size_t n);
void disk_cut(size_t changes, unsigned fate, disk_file_fn fn, void *user);

/* For wraps.c: what has happened.  Whatever is not below root is left out.  p NULL:
 * the model reads what was written.  A rename is a link and an unlink, of which
 * either may be lost. */
void disk_note_mkdir(int dir, const char *name);
void disk_note_create(int dir, const char *name, int fd);
void disk_note_write(int fd, const void *p, size_t n);
void disk_note_sync(int fd);
void disk_note_link(int from, const char *name, int to, const char *new_name);
void disk_note_unlink(int dir, const char *name);

#endif
