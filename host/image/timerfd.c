// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timers behind descriptors.
 *
 * CRIU restores a timer that was set to a point in time (TFD_TIMER_ABSTIME) by adding the seconds
 * of the clock, but not their fraction, to the time left (3.17.1 and 4.2, criu/pie/restorer.c): it
 * ends up to a second early, and one that is off is started.  On clocks that nobody sets, the flag
 * has no effect once the timer is set, and is left out.
 */
#include <time.h>

#include "files.h"

enum {
	NSEC_PER_SEC = 1000000000,
	/* timerfd_settime(2) */
	K_TFD_TIMER_ABSTIME = 1,
	K_TFD_TIMER_CANCEL_ON_SET = 2,
};

/* What a timer would look like if the process had just read its settings. */
struct times {
	uint64_t ticks, remaining;
};

static uint64_t now(const struct ovm_image_set *set, int32_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return set->clock_realtime;
	case CLOCK_BOOTTIME:
		return set->clock_boottime;
	default:
		return set->clock_monotonic;
	}
}

/*
 * A periodic timer stands still after its first expiration until it is read, and then makes up for
 * those that it missed (timerfd_read()). CRIU would take it for one that is off.
 */
static struct times times(const struct ovm_rec_timerfd *timerfd, const struct ovm_image_set *set)
{
	uint64_t clock = now(set, timerfd->base_clock);
	uint64_t late = clock > timerfd->expires ? clock - timerfd->expires : 0;
	struct times ret = {.ticks = timerfd->ticks};

	if (timerfd->armed) {
		ret.remaining = late || timerfd->expires == clock ? 1 : timerfd->expires - clock;
	} else if (timerfd->expired && timerfd->interval) {
		ret.ticks += late / timerfd->interval;
		ret.remaining = timerfd->interval - late % timerfd->interval;
	}
	return ret;
}

const char *ovm_image_timerfd_problem(const struct ovm_rec_file *file)
{
	static const uint32_t cancelled_on_set = K_TFD_TIMER_ABSTIME | K_TFD_TIMER_CANCEL_ON_SET;
	const struct ovm_rec_timerfd *timerfd = file->timerfd;

	if (!timerfd)
		return "has no known content";
	if (timerfd->clock != CLOCK_REALTIME && timerfd->clock != CLOCK_MONOTONIC &&
	    timerfd->clock != CLOCK_BOOTTIME)
		return "counts on a clock that CRIU does not know";
	if (timerfd->cancelled)
		return "was cancelled when the clock was set: let it be read first";
	if (timerfd->clock == CLOCK_REALTIME && timerfd->settime_flags == cancelled_on_set &&
	    !timerfd->armed && !(timerfd->expired && timerfd->interval))
		return "is off, and still to be cancelled when the clock is set: CRIU would start "
		       "it";
	return NULL;
}

struct ovm_error *ovm_image_put_timerfd(struct ovm_image_file *image,
					struct ovm_image_file_parts *parts,
					const struct ovm_rec_timerfd *timerfd,
					const struct ovm_image_set *set)
{
	FileEntry entry = FILE_ENTRY__INIT;
	TimerfdEntry timer = TIMERFD_ENTRY__INIT;
	struct times t = times(timerfd, set);

	timer.id = parts->id;
	timer.flags = parts->flags;
	timer.fown = &parts->fown;
	timer.clockid = (uint32_t)timerfd->clock;
	timer.ticks = t.ticks;
	if (timerfd->clock == CLOCK_REALTIME && t.remaining)
		timer.settime_flags = timerfd->settime_flags;
	timer.vsec = t.remaining / NSEC_PER_SEC;
	timer.vnsec = t.remaining % NSEC_PER_SEC;
	timer.isec = timerfd->interval / NSEC_PER_SEC;
	timer.insec = timerfd->interval % NSEC_PER_SEC;
	entry.type = FD_TYPES__TIMERFD;
	entry.id = parts->id;
	entry.tfd = &timer;
	return ovm_image_file_put(image, &entry.base);
}
