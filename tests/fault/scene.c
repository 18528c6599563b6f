/* A directory to fail in; see scene.h. */
#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"

#define FATES (DISK_CHANCE + 8)

static void check_made(bool is_made, const char *what)
{
	if (is_made)
		return;
	perror(what);
	exit(99);
}

/* A hash, so that there is something to work for. */
static void write_users(const struct scene *s)
{
	char path[PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/users", s->dir);
	f = fopen(path, "w");
	check_made(f != NULL && fchmod(fileno(f), 0600) == 0, path);
	(void)fprintf(f,
		"joe:$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5kn"
		"V8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1\n");
	check_made(fclose(f) == 0, path);
}

static void write_section(FILE *f, const char *name, const struct scene *s,
	const struct scene_settings *settings, const char *path)
{
	(void)fprintf(f,
		"deliver \"%s\" { type = \"maildir\" path = \"%s/mail/%s\" "
		"sync = \"%s\" headers = {%s} file-mode = \"%s\" }\n",
		name, s->dir, path, settings->sync, settings->headers,
		settings->file_mode == NULL ? "0600" : settings->file_mode);
}

static void write_config(const struct scene *s, const struct scene_settings *settings)
{
	char path[PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf", s->dir);
	f = fopen(path, "w");
	check_made(f != NULL, path);
	(void)fprintf(f,
		"hostname = \"mx.example.test\"\n"
		"workers { max = 2 }\n"
		"log { target = \"%s/log\" }\n"
		"timeouts { grace = \"2s\" }\n"
		"listen \"test\" { address = {\"unix:%s/socket\"} auth = \"%s\" }\n",
		s->dir, s->dir, settings->has_auth ? "optional" : "off");
	if (settings->has_auth)
		(void)fprintf(f, "auth { users-file = \"%s/users\" }\n", s->dir);
	if (settings->has_pair)
		(void)fprintf(f,
			"tls { certificate = {\"%s/certificate\"} key = {\"%s/key\"} }\n",
			s->dir, s->dir);
	if (settings->is_discard)
		(void)fprintf(f, "deliver \"null\" { type = \"discard\" }\n");
	else
		write_section(f, "inbox", s, settings, settings->path);
	if (settings->second != NULL)
		write_section(f, "archive", s, settings, settings->second);
	if (settings->has_pipe)
		(void)fprintf(f, "deliver \"handler\" { type = \"pipe\" "
				 "command = {\"/bin/true\"} }\n");
	check_made(fclose(f) == 0, path);
}

void scene_open(struct scene *s, const struct scene_settings *settings)
{
	char path[PATH_MAX];

	/* In memory if we can: the thousands of runs are not to wait for a disk. */
	(void)snprintf(s->dir, sizeof(s->dir), "%s/sinkd-fault-XXXXXX",
		access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
	check_made(mkdtemp(s->dir) != NULL, s->dir);
	write_users(s);
	write_config(s, settings);
	/* Where a server that runs on this machine does not have its own. */
	(void)snprintf(path, sizeof(path), "%s/run", s->dir);
	check_made(setenv("RUNTIME_DIRECTORY", path, 1) == 0, path);
	(void)snprintf(path, sizeof(path), "%s/conf", s->dir);
	check_made(config_load(path, NULL, stderr, &s->config) == 0, path);
	scene_clear(s, true);
}

static int remove_any(
	const char *path, const struct stat *st, int type, struct FTW *position)
{
	(void)st;
	(void)type;
	(void)position;
	return remove(path);
}

static int remove_file(
	const char *path, const struct stat *st, int type, struct FTW *position)
{
	(void)st;
	(void)position;
	return type == FTW_F ? remove(path) : 0;
}

void scene_close(struct scene *s)
{
	config_free(s->config);
	(void)nftw(s->dir, remove_any, 8, FTW_DEPTH | FTW_PHYS);
}

void scene_clear(const struct scene *s, bool with_mailboxes)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/mail", s->dir);
	(void)nftw(
		path, with_mailboxes ? remove_any : remove_file, 8, FTW_DEPTH | FTW_PHYS);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/log", s->dir);
	check_made(truncate(path, 0) == 0 || errno == ENOENT, path);
}

/* The whole of a file, terminated; NULL: it cannot be read. */
static char *read_file(const char *path, size_t *ret_n)
{
	struct stat st;
	FILE *f = fopen(path, "r");
	char *p = NULL;

	if (f == NULL)
		return NULL;
	if (fstat(fileno(f), &st) == 0 && (p = calloc(1, (size_t)st.st_size + 1)) != NULL)
		*ret_n = fread(p, 1, (size_t)st.st_size, f);
	(void)fclose(f);
	return p;
}

static bool is_whole(const char *path, const char *p, size_t n, const char *text)
{
	const char *size = strstr(path, ",S=");
	size_t length = strlen(text);

	return size != NULL && strtoumax(size + 3, NULL, 10) == n && n >= length &&
	       memcmp(p + n - length, text, length) == 0 && strlen(p) == n;
}

/* For nftw, which hands nothing on. */
static struct tally counted;
static const char *counted_text;

static int count_file(
	const char *path, const struct stat *st, int type, struct FTW *position)
{
	const char *parent = path + position->base - 4;
	size_t n = 0;
	char *p;

	(void)st;
	if (type != FTW_F)
		return 0;
	counted.tmp += strncmp(parent, "tmp/", 4) == 0;
	if (strncmp(parent, "new/", 4) != 0)
		return 0;
	counted.delivered++;
	p = read_file(path, &n);
	counted.whole += p != NULL && is_whole(path, p, n, counted_text);
	free(p);
	return 0;
}

struct tally scene_count(const struct scene *s, const char *text)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/mail", s->dir);
	counted = (struct tally){0};
	counted_text = text;
	(void)nftw(path, count_file, 8, FTW_PHYS);
	return counted;
}

struct survivors {
	const struct scene *scene;
	const char *text;
	unsigned whole, broken;
};

/* A survivor has to be, byte by byte, the file that was in new when it was promised;
 * a file that is there no more was taken back. */
static void look_at_survivor(void *user, const char *path, const char *p, size_t n)
{
	struct survivors *s = user;
	char full[PATH_MAX * 2];
	size_t real_n = 0;
	char *real;

	(void)snprintf(full, sizeof(full), "%s/mail/%s", s->scene->dir, path);
	real = read_file(full, &real_n);
	if (is_whole(path, p, n, s->text) &&
		(real == NULL || (real_n == n && memcmp(real, p, n) == 0)))
		s->whole += real != NULL;
	else
		s->broken++;
	free(real);
}

unsigned scene_survivors(const struct scene *s, const char *text, size_t changes,
	unsigned fate, unsigned *ret_broken)
{
	struct survivors found = {.scene = s, .text = text};

	disk_cut(changes, fate, look_at_survivor, &found);
	*ret_broken = found.broken;
	return found.whole;
}

bool scene_is_durable(const struct scene *s, const char *text, unsigned count)
{
	for (unsigned fate = 0; fate < FATES; fate++) {
		unsigned broken;

		if (scene_survivors(s, text, disk_changes(), fate, &broken) < count)
			return false;
	}
	return true;
}

static char *read_ours(const struct scene *s, const char *name)
{
	char path[PATH_MAX];
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	return read_file(path, &n);
}

static unsigned count_in(const struct scene *s, const char *name, const char *what)
{
	char *text = read_ours(s, name);
	unsigned count = 0;

	for (const char *p = text; p != NULL && (p = strstr(p, what)) != NULL; p++)
		count++;
	free(text);
	return count;
}

unsigned scene_logged(const struct scene *s, const char *what)
{
	return count_in(s, "log", what);
}

void scene_catch_errors(const struct scene *s)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/errors", s->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check_made(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0, path);
	(void)close(fd);
}

unsigned scene_told(const struct scene *s, const char *what)
{
	return count_in(s, "errors", what);
}

void scene_show_errors(const struct scene *s)
{
	char *text = read_ours(s, "errors");

	printf("%s\n", text == NULL ? "" : text);
	free(text);
}

unsigned scene_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	check_made(d != NULL, "/proc/self/fd");
	while (readdir(d) != NULL)
		n++;
	(void)closedir(d);
	return n;
}
