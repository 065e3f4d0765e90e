// SPDX-License-Identifier: GPL-2.0-only
#include "sk_opts.h"

#include <string.h>

enum { INSN_SIZE = 8 };

/*
 * An instruction of classic BPF (struct sock_filter): code of 16 bits, jt and jf of 8, k of 32. The
 * image has them in one number, beginning with the highest bits.
 */
static uint64_t encode_insn(const uint8_t insn[INSN_SIZE])
{
	uint16_t code;
	uint32_t k;

	memcpy(&code, insn, sizeof(code));
	memcpy(&k, insn + 4, sizeof(k));
	return (uint64_t)code << 48 | (uint64_t)insn[2] << 40 | (uint64_t)insn[3] << 32 | k;
}

static struct ovm_error *fill_filter(struct ovm_image_pool *pool,
				     const struct ovm_rec_bytes *filter, SkOptsEntry *entry)
{
	size_t nr = filter->len / INSN_SIZE;

	if (!nr)
		return NULL;
	entry->so_filter = ovm_image_alloc(pool, nr, sizeof(*entry->so_filter));
	if (!entry->so_filter)
		return ovm_error_no_memory();
	entry->n_so_filter = nr;
	for (size_t i = 0; i < nr; i++)
		entry->so_filter[i] = encode_insn(filter->data + i * INSN_SIZE);
	return NULL;
}

#define FILL(member, value)                 \
	({                                  \
		entry->has_##member = true; \
		entry->member = (value);    \
	})

static void fill_switches(const struct ovm_rec_sock_opts *opts, SkOptsEntry *entry)
{
	FILL(reuseaddr, opts->reuseaddr);
	FILL(so_reuseport, opts->reuseport);
	FILL(so_passcred, opts->passcred);
	FILL(so_passsec, opts->passsec);
	FILL(so_dontroute, opts->dontroute);
	FILL(so_no_check, opts->no_check);
	FILL(so_broadcast, opts->broadcast);
	FILL(so_keepalive, opts->keepalive);
	FILL(so_oobinline, opts->oobinline);
}

struct ovm_error *ovm_image_fill_sk_opts(struct ovm_image_pool *pool,
					 const struct ovm_rec_sock_opts *opts, SkOptsEntry *entry)
{
	entry->so_sndbuf = opts->sndbuf;
	entry->so_rcvbuf = opts->rcvbuf;
	entry->so_snd_tmo_sec = opts->snd_timeout.sec;
	entry->so_snd_tmo_usec = opts->snd_timeout.usec;
	entry->so_rcv_tmo_sec = opts->rcv_timeout.sec;
	entry->so_rcv_tmo_usec = opts->rcv_timeout.usec;
	FILL(so_priority, opts->priority);
	FILL(so_rcvlowat, (uint32_t)opts->rcvlowat);
	FILL(so_mark, opts->mark);
	if (opts->has_buf_lock)
		FILL(so_buf_lock, opts->buf_lock);
	if (opts->linger)
		FILL(so_linger, opts->linger_seconds);
	fill_switches(opts, entry);
	return fill_filter(pool, &opts->filter, entry);
}
