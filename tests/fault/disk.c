/* What a power cut leaves; see disk.h.
 *
 * A list of changes and a list of nodes (files and directories).  A cut goes through
 * the changes in order, leaves out those that did not survive, and looks at what
 * they come to. */
#include "disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

#define NODES_MAX   512
#define CHANGES_MAX 1024

enum change_kind { CHANGE_ADD, CHANGE_REMOVE, CHANGE_WRITE, CHANGE_SYNC };

struct change {
	enum change_kind kind;
	int node; /* which is changed or synced: of names the directory */
	int target;
	char name[NAME_MAX + 1];
	char *p;
	size_t offset, n;
};

struct node {
	ino_t inode;
	bool is_dir;
};

/* A name in a directory, while a cut is looked at. */
struct entry {
	int dir, target;
	const char *name;
};

static bool is_on;
static struct node nodes[NODES_MAX];
static int node_count;
static struct change changes[CHANGES_MAX];
static size_t change_count;
static size_t base_count; /* of them: how it was before */

/* The node of an inode, -1: none of ours.  The newest: numbers come again. */
static int find_node(ino_t inode)
{
	for (int i = node_count - 1; i >= 0; i--)
		if (nodes[i].inode == inode)
			return i;
	return -1;
}

static int node_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -1 : find_node(st.st_ino);
}

static int add_node(ino_t inode, bool is_dir)
{
	assert(node_count < NODES_MAX);
	nodes[node_count] = (struct node){inode, is_dir};
	return node_count++;
}

static struct change *add_change(enum change_kind kind, int node)
{
	assert(change_count < CHANGES_MAX);
	changes[change_count] = (struct change){.kind = kind, .node = node};
	return &changes[change_count++];
}

static void add_name(enum change_kind kind, int dir, const char *name, int target)
{
	struct change *c = add_change(kind, dir);

	assert(strchr(name, '/') == NULL);
	c->target = target;
	(void)snprintf(c->name, sizeof(c->name), "%s", name);
}

static void read_tree(const char *path, int node)
{
	DIR *d = opendir(path);

	assert(d != NULL);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		char below[PATH_MAX];
		struct stat st;
		int child;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
		if (lstat(below, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		child = add_node(st.st_ino, true);
		add_name(CHANGE_ADD, node, e->d_name, child);
		read_tree(below, child);
	}
	(void)closedir(d);
}

void disk_stop(void)
{
	for (size_t i = 0; i < change_count; i++)
		free(changes[i].p);
	change_count = 0;
	node_count = 0;
	is_on = false;
}

void disk_start(const char *root)
{
	struct stat st;

	disk_stop();
	if (stat(root, &st) < 0)
		abort();
	read_tree(root, add_node(st.st_ino, true));
	base_count = change_count;
	is_on = true;
}

size_t disk_changes(void)
{
	return change_count - base_count;
}

/* ------------------------------------------------------------ what happens */

void disk_note_mkdir(int dir, const char *name)
{
	int parent = is_on ? node_of(dir) : -1;
	struct stat st;

	if (parent >= 0 && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		add_name(CHANGE_ADD, parent, name, add_node(st.st_ino, true));
}

void disk_note_create(int dir, const char *name, int fd)
{
	int parent = is_on ? node_of(dir) : -1;
	struct stat st;

	if (parent >= 0 && fstat(fd, &st) == 0)
		add_name(CHANGE_ADD, parent, name, add_node(st.st_ino, false));
}

void disk_note_write(int fd, const void *p, size_t n)
{
	int error = errno, node = is_on ? node_of(fd) : -1;
	struct change *c;

	if (node < 0)
		return;
	faults_pause(true);
	c = add_change(CHANGE_WRITE, node);
	c->offset = (size_t)lseek(fd, 0, SEEK_CUR) - n;
	c->n = n;
	c->p = malloc(n);
	if (c->p == NULL)
		abort();
	if (p != NULL)
		memcpy(c->p, p, n);
	else if (pread(fd, c->p, n, (off_t)c->offset) != (ssize_t)n)
		abort();
	faults_pause(false);
	errno = error;
}

void disk_note_sync(int fd)
{
	int node = is_on ? node_of(fd) : -1;

	if (node >= 0)
		(void)add_change(CHANGE_SYNC, node);
}

void disk_note_link(int from, const char *name, int to, const char *new_name)
{
	int dir = is_on ? node_of(to) : -1;
	struct stat st;

	(void)from;
	(void)name;
	if (dir >= 0 && fstatat(to, new_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		add_name(CHANGE_ADD, dir, new_name, find_node(st.st_ino));
}

void disk_note_unlink(int dir, const char *name)
{
	int node = is_on ? node_of(dir) : -1;

	if (node >= 0)
		add_name(CHANGE_REMOVE, node, name, -1);
}

/* --------------------------------------------------------------- power cut */

static bool is_synced(size_t i, size_t end)
{
	for (size_t k = i + 1; k < end; k++)
		if (changes[k].kind == CHANGE_SYNC && changes[k].node == changes[i].node)
			return true;
	return false;
}

static bool survives(size_t i, size_t end, unsigned fate)
{
	bool is_name = changes[i].kind != CHANGE_WRITE;
	uint32_t draw = ((uint32_t)i + 1) * 2654435761U ^ fate * 2246822519U;

	if (i < base_count || is_synced(i, end))
		return true;
	switch (fate) {
	case DISK_LOSES_ALL:
		return false;
	case DISK_KEEPS_ALL:
		return true;
	case DISK_KEEPS_NAMES:
		return is_name;
	case DISK_KEEPS_DATA:
		return !is_name;
	default:
		draw = (draw ^ draw >> 15) * 2654435761U;
		return (draw >> 16 & 1) != 0;
	}
}

static void apply(struct entry *entries, size_t *count, const struct change *c)
{
	size_t i = 0;

	while (i < *count &&
		(entries[i].dir != c->node || strcmp(entries[i].name, c->name) != 0))
		i++;
	if (i < *count)
		entries[i] = entries[--*count];
	if (c->kind == CHANGE_ADD)
		entries[(*count)++] = (struct entry){c->node, c->target, c->name};
}

/* The path of an entry below the root.  Returns false when a directory on the way
 * is not there. */
static bool make_path(const struct entry *entries, size_t count, const struct entry *e,
	char path[PATH_MAX])
{
	char below[PATH_MAX] = "";

	for (;;) {
		size_t i = 0;

		(void)snprintf(path, PATH_MAX, "%s%s%s", e->name,
			below[0] == '\0' ? "" : "/", below);
		if (e->dir == 0)
			return true;
		while (i < count && entries[i].target != e->dir)
			i++;
		if (i == count)
			return false;
		e = &entries[i];
		memcpy(below, path, PATH_MAX);
	}
}

static bool is_in_new(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash - path >= 4 && strncmp(slash - 4, "/new", 4) == 0;
}

/* The bytes of a node; the caller frees them.  What did not survive is zeros. */
static char *make_content(int node, size_t end, unsigned fate, size_t *ret_n)
{
	size_t n = 0;
	char *p;

	for (size_t i = 0; i < end; i++)
		if (changes[i].kind == CHANGE_WRITE && changes[i].node == node &&
			survives(i, end, fate) && changes[i].offset + changes[i].n > n)
			n = changes[i].offset + changes[i].n;
	p = calloc(1, n + 1);
	if (p == NULL)
		abort();
	for (size_t i = 0; i < end; i++)
		if (changes[i].kind == CHANGE_WRITE && changes[i].node == node &&
			survives(i, end, fate))
			memcpy(p + changes[i].offset, changes[i].p, changes[i].n);
	*ret_n = n;
	return p;
}

void disk_cut(size_t n, unsigned fate, disk_file_fn fn, void *user)
{
	static struct entry entries[CHANGES_MAX];
	size_t count = 0, end = base_count + n;

	assert(end <= change_count);
	for (size_t i = 0; i < end; i++)
		if ((changes[i].kind == CHANGE_ADD || changes[i].kind == CHANGE_REMOVE) &&
			survives(i, end, fate))
			apply(entries, &count, &changes[i]);
	for (size_t i = 0; i < count; i++) {
		char path[PATH_MAX], *p;
		size_t length;

		if (entries[i].target < 0 || nodes[entries[i].target].is_dir ||
			!make_path(entries, count, &entries[i], path) || !is_in_new(path))
			continue;
		p = make_content(entries[i].target, end, fate, &length);
		fn(user, path, p, length);
		free(p);
	}
}
