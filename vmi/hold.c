// SPDX-License-Identifier: GPL-2.0-only
#include "hold.h"

#include <string.h>
#include <sys/mman.h>

enum {
	/* include/net/tcp_states.h */
	TCP_ESTABLISHED = 1,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE_WAIT = 8,
	/* include/linux/tcp.h, TCP_WRITE_TIMER_DEFERRED */
	WRITE_TIMER_PUT_OFF = 1 << 3,
};

static const char tcp_type[] = "struct tcp_sock";

static size_t holds_bytes(void)
{
	return sizeof(struct ovm_holds) + OVM_HOLDS_MAX * sizeof(struct ovm_object);
}

struct ovm_error *ovm_holds_alloc(struct ovm_holds **ret)
{
	void *holds = mmap(NULL, holds_bytes(), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (holds == MAP_FAILED)
		return ovm_error_no_memory();
	*ret = holds;
	(*ret)->max = OVM_HOLDS_MAX;
	return NULL;
}

void ovm_holds_free(struct ovm_holds *holds)
{
	if (holds)
		munmap(holds, holds_bytes());
}

#define SK "inet_conn.icsk_inet.sk."

/* Kernels that have their timers elsewhere do without. */
static void find_timer(struct ovm_writer *writer, struct ovm_hold_members *ret)
{
	static const char timer[] = "inet_conn.icsk_retransmit_timer.entry.pprev";
	struct ovm_member pending, inner;
	struct ovm_error *err =
		ovm_writer_member(writer, tcp_type, SK "sk_tsq_flags", &ret->put_off);

	if (!err)
		err = ovm_writer_member(writer, "struct timer_list", "entry.pprev", &inner);
	if (!err)
		err = ovm_writer_member(writer, tcp_type, timer, &pending);
	if (!err) {
		ret->pending = pending;
		ret->timer_offset = pending.offset - inner.offset;
	}
	ovm_error_free(err);
}

struct ovm_error *ovm_hold_members_find(struct ovm_writer *writer, struct ovm_hold_members *ret)
{
	static const char rt_slock[] = SK "sk_lock.slock.lock.owner";
	struct ovm_error *err =
		ovm_writer_member(writer, tcp_type, SK "sk_lock.owned", &ret->owned);

	if (!err)
		err = ovm_writer_member(writer, tcp_type, SK "__sk_common.skc_state", &ret->state);
	if (!err)
		err = ovm_writer_member(writer, tcp_type, "repair", &ret->repair);
	if (err)
		return err;
	find_timer(writer, ret);
	err = ovm_writer_member(writer, tcp_type, SK "sk_lock.slock.rlock.raw_lock.val.counter",
				&ret->slock);
	if (!err)
		return NULL;
	ovm_error_free(err);
	return ovm_writer_member(writer, tcp_type, rt_slock, &ret->slock);
}

static struct ovm_error *locate(struct ovm_holds *holds, struct ovm_writer *writer,
				uint64_t address, struct ovm_object **ret)
{
	if (!holds->members.slock.type)
		return ovm_error_format(OVM_ERROR_KERNEL,
					"the guest's kernel has no TCP sockets that can be held");
	for (uint32_t i = 0; i < holds->nr; i++)
		if (holds->sockets[i].address == address) {
			*ret = &holds->sockets[i];
			return NULL;
		}
	if (holds->nr == holds->max)
		return ovm_error_format(OVM_ERROR_BUDGET,
					"there are more than %u connections to be held",
					holds->max);
	*ret = &holds->sockets[holds->nr];
	return ovm_writer_locate(writer, tcp_type, address, *ret);
}

static bool is_held(const struct ovm_holds *holds, const struct ovm_object *socket)
{
	return ovm_object_load(socket, &holds->members.owned) == OVM_REC_HELD;
}

struct ovm_error *ovm_hold_adopt(struct ovm_holds *holds, struct ovm_writer *writer,
				 uint64_t address)
{
	struct ovm_object *socket;
	struct ovm_error *err = locate(holds, writer, address, &socket);

	if (!err && socket == &holds->sockets[holds->nr])
		holds->nr++;
	return err;
}

struct ovm_error *ovm_hold(struct ovm_holds *holds, struct ovm_writer *writer, uint64_t address)
{
	const struct ovm_hold_members *m = &holds->members;
	struct ovm_object *socket;
	struct ovm_error *err = locate(holds, writer, address, &socket);

	if (err)
		return err;
	if (ovm_object_load(socket, &m->slock))
		return ovm_error_address(OVM_ERROR_INCONSISTENT, address,
					 "the guest's kernel is working on a connection, at");
	/* Known first, then held: the guardian lets go what it finds held of what is known. */
	if (socket == &holds->sockets[holds->nr])
		holds->nr++;
	return is_held(holds, socket) ? NULL
				      : ovm_write(writer, socket, &m->owned, 0, OVM_REC_HELD);
}

/*
 * What arrives between this and the closing must not be acknowledged: it is in no image. After a
 * FIN there is nothing more to come, so that in CLOSE_WAIT the kernel drops what comes without a
 * word. In repair mode, closing drops the connection in the same manner.
 */
static bool silence_one(const struct ovm_holds *holds, const struct ovm_object *socket,
			const struct ovm_release *how)
{
	const struct ovm_hold_members *m = &holds->members;
	uint64_t state = ovm_object_load(socket, &m->state);
	bool receives =
		state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2;

	return (ovm_object_load(socket, &m->repair) ||
		how->write(how->arg, socket, &m->repair, 0, 1)) &&
	       (!receives || how->write(how->arg, socket, &m->state, state, TCP_CLOSE_WAIT));
}

static bool has_timer(const struct ovm_holds *holds, const struct ovm_object *socket)
{
	const struct ovm_hold_members *m = &holds->members;

	return m->pending.type && ovm_object_load(socket, &m->put_off) & WRITE_TIMER_PUT_OFF &&
	       !ovm_object_load(socket, &m->pending);
}

/*
 * A retransmission timer that found the socket owned has left its work, and its reference, to
 * whoever owns it. What was sent may be lost, and nobody else would send it again: the timer is
 * given both back, and expires at once.
 */
static bool start_timer(const struct ovm_holds *holds, const struct ovm_object *socket,
			const struct ovm_release *how)
{
	const struct ovm_member *put_off = &holds->members.put_off;
	uint64_t from = ovm_object_load(socket, put_off);
	uint64_t to = from & ~(uint64_t)WRITE_TIMER_PUT_OFF;

	if (!how->write(how->arg, socket, put_off, from, to))
		return false;
	if (ovm_remote_add_timer(how->calls, how->cpu,
				 socket->address + holds->members.timer_offset, how->write,
				 how->arg))
		return true;
	how->write(how->arg, socket, put_off, to, from);
	return false;
}

static bool release_one(const struct ovm_holds *holds, const struct ovm_object *socket,
			const struct ovm_release *how)
{
	if (ovm_object_load(socket, &holds->members.slock))
		return false;
	if (how->silence && !silence_one(holds, socket, how))
		return false;
	if (!how->silence && how->cpu && has_timer(holds, socket) &&
	    !start_timer(holds, socket, how))
		return false;
	return how->write(how->arg, socket, &holds->members.owned, OVM_REC_HELD, 0);
}

uint32_t ovm_holds_count(const struct ovm_holds *holds)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < holds->nr; i++)
		nr += is_held(holds, &holds->sockets[i]);
	return nr;
}

bool ovm_holds_have_timers(const struct ovm_holds *holds)
{
	for (uint32_t i = 0; i < holds->nr; i++)
		if (is_held(holds, &holds->sockets[i]) && has_timer(holds, &holds->sockets[i]))
			return true;
	return false;
}

uint32_t ovm_holds_release(struct ovm_holds *holds, const struct ovm_release *how)
{
	uint32_t nr_left = 0;

	for (uint32_t i = 0; i < holds->nr; i++)
		if (is_held(holds, &holds->sockets[i]))
			nr_left += !release_one(holds, &holds->sockets[i], how);
	return nr_left;
}
