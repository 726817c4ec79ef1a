/*
 * knarr-pause is the first process of a PID namespace that the containers of
 * a pod share. It reaps what they leave behind and ends on SIGTERM or SIGINT.
 *
 * The containers see it as process 1, so it keeps nothing that they should not
 * reach: an empty root, no privileges, and no way to trace it.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65535

static void must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		_exit(1);
	}
}

static void empty_root(void)
{
	must(unshare(CLONE_NEWNS), "knarr-pause: unshare");
	must(mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL), "knarr-pause: private mounts");
	must(mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=1,mode=0555"), "knarr-pause: empty root");
	must(chdir("/proc"), "knarr-pause: chdir");
	must(syscall(SYS_pivot_root, ".", "."), "knarr-pause: pivot_root");
	must(umount2(".", MNT_DETACH), "knarr-pause: leave the old root");
	must(chdir("/"), "knarr-pause: chdir");
}

static void drop_privileges(void)
{
	must(setgroups(0, NULL), "knarr-pause: setgroups");
	must(setresgid(NOBODY, NOBODY, NOBODY), "knarr-pause: setresgid");
	must(setresuid(NOBODY, NOBODY, NOBODY), "knarr-pause: setresuid");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "knarr-pause: no new privileges");
	must(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "knarr-pause: not dumpable");
}

int main(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	must(sigprocmask(SIG_BLOCK, &set, NULL), "knarr-pause: sigprocmask");
	empty_root();
	drop_privileges();
	for (;;) {
		if (sigwait(&set, &sig) != 0)
			continue;
		if (sig != SIGCHLD)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
