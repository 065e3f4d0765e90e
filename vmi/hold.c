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
			ovm_remote_call_write *write, void *arg)
{
	const struct ovm_hold_members *m = &holds->members;
	uint64_t state = ovm_object_load(socket, &m->state);
	bool receives =
		state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2;
	uint64_t repair = ovm_object_load(socket, &m->repair);

	return (repair || write(arg, socket, &m->repair, 0, 1)) &&
	       (!receives || write(arg, socket, &m->state, state, TCP_CLOSE_WAIT));
}

static bool release_one(const struct ovm_holds *holds, const struct ovm_object *socket,
			bool silence, ovm_remote_call_write *write, void *arg)
{
	if (ovm_object_load(socket, &holds->members.slock))
		return false;
	return (!silence || silence_one(holds, socket, write, arg)) &&
	       write(arg, socket, &holds->members.owned, OVM_REC_HELD, 0);
}

uint32_t ovm_holds_count(const struct ovm_holds *holds)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < holds->nr; i++)
		nr += is_held(holds, &holds->sockets[i]);
	return nr;
}

uint32_t ovm_holds_release(struct ovm_holds *holds, bool silence, ovm_remote_call_write *write,
			   void *arg)
{
	uint32_t nr_left = 0;

	for (uint32_t i = 0; i < holds->nr; i++)
		if (is_held(holds, &holds->sockets[i]))
			nr_left += !release_one(holds, &holds->sockets[i], silence, write, arg);
	return nr_left;
}
