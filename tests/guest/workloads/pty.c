// SPDX-License-Identifier: GPL-2.0-only
/*
 * @property: pseudo-terminals keep their settings, sizes, modes and all files that lead to them
 * @pty
 */
#include "terminal.h"

static struct termios before, locked;

static void check_settings(int fd)
{
	struct termios now, now_locked;

	CHECK_CALL(!ioctl(fd, TCGETS, &now) && !ioctl(fd, TIOCGLCKTRMIOS, &now_locked));
	CHECK(now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag &&
		      now.c_lflag == before.c_lflag && now.c_cflag == before.c_cflag,
	      "flags of fd %d are %x %x %x %x", fd, now.c_iflag, now.c_oflag, now.c_lflag,
	      now.c_cflag);
	CHECK(!memcmp(now.c_cc, before.c_cc, 19), "control characters of fd %d differ", fd);
	CHECK(now_locked.c_lflag == locked.c_lflag && now_locked.c_cc[VEOF] == 1,
	      "locked settings of fd %d differ", fd);
}

static void change_settings(int fd)
{
	terminal_set(fd, IXON, IUTF8, 0, ONLRET, ECHOCTL, NOFLSH | ECHO);
	CHECK_CALL(!ioctl(fd, TCGETS, &before));
	before.c_cc[VERASE] = 8;
	before.c_cc[VEOF] = 5;
	before.c_cc[VMIN] = 7;
	before.c_cc[VTIME] = 3;
	before.c_cc[VEOL2] = 0xfe;
	before.c_cflag = (before.c_cflag & ~(tcflag_t)CSIZE) | CS7 | PARENB | HUPCL;
	CHECK_CALL(!ioctl(fd, TCSETS, &before) && !ioctl(fd, TCGETS, &before));
	locked.c_lflag = TOSTOP;
	locked.c_cc[VEOF] = 1;
	CHECK_CALL(!ioctl(fd, TIOCSLCKTRMIOS, &locked));
}

static void check_size(int fd, int rows, int columns)
{
	struct winsize size;

	CHECK_CALL(!ioctl(fd, TIOCGWINSZ, &size));
	CHECK(size.ws_row == rows && size.ws_col == columns && size.ws_xpixel == 640 &&
		      size.ws_ypixel == 480,
	      "fd %d has %d rows and %d columns", fd, size.ws_row, size.ws_col);
}

int main(int argc, char **argv)
{
	struct winsize size = {33, 121, 640, 480};
	int packets = 1, locks, index;
	char name[64];

	workload_start(argc, argv, NULL);

	struct terminal plain = terminal_open(10, "/dev/ptmx", O_RDWR | O_NONBLOCK);
	struct terminal packet = terminal_open(20, "/dev/pts/ptmx", O_RDWR | O_NONBLOCK);
	int again = open(plain.path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int unopened = open("/dev/ptmx", O_RDWR | O_NOCTTY);

	CHECK_CALL(again >= 0 && dup2(again, 30) == 30 && dup2(plain.slave, 31) == 31);
	CHECK_CALL(unopened >= 0 && dup2(unopened, 40) == 40);
	close(again);
	close(unopened);
	CHECK_CALL(!fchmod(plain.slave, 0621) && !fchown(plain.slave, 1234, 4321));
	change_settings(plain.slave);
	CHECK_CALL(!ioctl(plain.master, TIOCSWINSZ, &size));
	CHECK_CALL(!ioctl(packet.master, TIOCPKT, &packets));
	workload_ready();
	workload_wait();

	struct stat st;

	check_settings(plain.slave);
	check_settings(plain.master);
	check_settings(30);
	check_size(plain.slave, 33, 121);
	check_size(plain.master, 33, 121);
	CHECK_CALL(!fstat(plain.slave, &st));
	CHECK((st.st_mode & 07777) == 0621 && st.st_uid == 1234 && st.st_gid == 4321,
	      "%s has mode %o, user %d and group %d", plain.path, st.st_mode, st.st_uid, st.st_gid);
	CHECK(!ttyname_r(plain.slave, name, sizeof(name)) && !strcmp(name, plain.path),
	      "%s is called %s", plain.path, name);
	CHECK_CALL(!ioctl(packet.master, TIOCGPKT, &packets) && packets);
	CHECK_CALL(!ioctl(plain.master, TIOCGPKT, &packets) && !packets);
	CHECK_CALL(!ioctl(40, TIOCGPTLCK, &locks) && locks);
	CHECK_CALL(!ioctl(plain.master, TIOCGPTLCK, &locks) && !locks);
	CHECK_CALL(!ioctl(40, TIOCGPTN, &index));
	CHECK((fcntl(30, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_RDONLY | O_NONBLOCK) &&
		      (fcntl(40, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDWR,
	      "flags of files are lost");
	/* fd 31 has the file of the slave, not one of its own. */
	CHECK_CALL(!fcntl(31, F_SETFL, O_RDWR));
	CHECK(!(fcntl(plain.slave, F_GETFL) & O_NONBLOCK), "fd 31 and %d have parted", plain.slave);
	terminal_unblock(plain.slave);

	terminal_raw(packet.slave);
	terminal_read_all(packet.master, name, sizeof(name), 50);
	terminal_write(packet.slave, "abc", 3);
	TERMINAL_CHECK_READ(packet.master, "\0abc");
	terminal_write(packet.master, "de", 2);
	TERMINAL_CHECK_READ(packet.slave, "de");
	close(plain.slave);
	close(31);
	close(30);
	CHECK(read(plain.master, name, 1) == -1 && errno == EIO,
	      "the master doesn't tell that all slaves are closed");
	workload_pass();
}
