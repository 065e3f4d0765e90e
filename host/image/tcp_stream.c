// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcp-stream-INO.img: connections.
 */
#include <string.h>

#include "file.h"
#include "file_table.h"
#include "inet_socket.h"
#include "proto/tcp-stream.pb-c.h"
#include "socket_table.h"
#include "vmi/cleanup.h"
#include "write.h"

enum {
	/* linux/tcp.h */
	OPT_TIMESTAMPS = 1,
	OPT_SACK = 2,
	OPT_WSCALE = 4,
	OPT_ECN = 8,
	OPT_SYN_DATA = 32,
	NS_PER_MS = 1000000,
	NS_PER_US = 1000,
};

/*
 * What TCP_TIMESTAMP takes: the clock of the timestamps, which must not go back. Since 614e8316aa4c
 * (v6.7), the lowest bit tells that it counts microseconds; elsewhere it has no meaning.
 */
static uint32_t timestamp_of(const struct ovm_rec_tcp *tcp, uint64_t now)
{
	uint32_t clock = (uint32_t)(now / (tcp->usec_timestamps ? NS_PER_US : NS_PER_MS));

	clock += tcp->tsoffset + 1;
	clock &= ~(uint32_t)1;
	return clock | tcp->usec_timestamps;
}

/* A FIN is told by the state, and is no part of the queue. */
static uint32_t unsent_of(const struct ovm_rec_tcp *tcp)
{
	uint32_t unsent = tcp->write_seq - tcp->snd_nxt;

	return unsent && tcp->fin_queued ? unsent - 1 : unsent;
}

/* The last four bytes tell IPv4 addresses apart, mapped ones too. */
static const uint8_t *short_address(const struct ovm_rec_socket *socket, const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool is_mapped =
		socket->family == OVM_IMAGE_AF_INET6 && !memcmp(address, mapped, sizeof(mapped));

	return is_mapped			     ? address + sizeof(mapped)
	       : socket->family == OVM_IMAGE_AF_INET ? address
						     : NULL;
}

static bool is_same_address(const struct ovm_rec_socket *a, const uint8_t *first,
			    const struct ovm_rec_socket *b, const uint8_t *second)
{
	const uint8_t *short_first = short_address(a, first);
	const uint8_t *short_second = short_address(b, second);

	if (short_first && short_second)
		return !memcmp(short_first, short_second, 4);
	return !short_first && !short_second && !memcmp(first, second, sizeof(a->inet->src));
}

static bool are_ends(const struct ovm_rec_socket *a, const struct ovm_rec_socket *b)
{
	return a->inet->src_port == b->inet->dst_port && a->inet->dst_port == b->inet->src_port &&
	       is_same_address(a, a->inet->src, b, b->inet->dst) &&
	       is_same_address(a, a->inet->dst, b, b->inet->src);
}

static const struct ovm_rec_socket *stream_of(const struct ovm_image_file_ref *ref)
{
	return ref->use == OVM_IMAGE_FILE_DESCRIPTOR && ovm_image_file_is_inet_socket(ref->file) &&
			       ovm_image_has_tcp_stream(ref->file->socket)
		       ? ref->file->socket
		       : NULL;
}

static bool has_other_end(const struct ovm_image_file_table *files,
			  const struct ovm_rec_socket *socket)
{
	for (size_t i = 0; i < files->nr; i++)
		if (stream_of(files->by_id[i]) && are_ends(stream_of(files->by_id[i]), socket))
			return true;
	return false;
}

static void fill_options(const struct ovm_rec_tcp *tcp, uint64_t now, TcpStreamEntry *entry)
{
	entry->mss_clamp = tcp->mss_clamp;
	entry->opt_mask = (tcp->timestamps ? OPT_TIMESTAMPS : 0) | (tcp->sack ? OPT_SACK : 0) |
			  (tcp->window_scaling ? OPT_WSCALE : 0) | (tcp->ecn ? OPT_ECN : 0) |
			  (tcp->syn_data ? OPT_SYN_DATA : 0);
	if (tcp->window_scaling) {
		entry->snd_wscale = tcp->snd_wscale;
		entry->has_rcv_wscale = true;
		entry->rcv_wscale = tcp->rcv_wscale;
	}
	if (tcp->timestamps) {
		entry->has_timestamp = true;
		entry->timestamp = timestamp_of(tcp, now);
	}
	entry->has_nodelay = entry->nodelay = tcp->nodelay;
	entry->has_cork = entry->cork = tcp->cork;
}

static void fill_window(const struct ovm_rec_tcp *tcp, TcpStreamEntry *entry)
{
	entry->has_snd_wl1 = entry->has_snd_wnd = entry->has_max_window = true;
	entry->has_rcv_wnd = entry->has_rcv_wup = true;
	entry->snd_wl1 = tcp->snd_wl1;
	entry->snd_wnd = tcp->snd_wnd;
	entry->max_window = tcp->max_window;
	entry->rcv_wnd = tcp->rcv_wnd;
	entry->rcv_wup = tcp->rcv_wup;
}

static struct ovm_error *append_packets(struct ovm_image_file *image,
					const struct ovm_rec_packet *packet)
{
	struct ovm_error *err = NULL;

	for (; packet && !err; packet = packet->next)
		for (const struct ovm_rec_piece *p = packet->pieces; p && !err; p = p->next)
			err = ovm_image_file_append(image, p->bytes.data, p->bytes.len);
	return err;
}

/*
 * What was never sent is sent in the midst of restore, and answered with a reset if the other end
 * is of this set and not there yet; what was sent before is sent again when all are there.
 */
static struct ovm_error *write_stream(const struct ovm_image_file_table *files,
				      const struct ovm_rec_file *file, uint64_t now, int dir_fd)
{
	const struct ovm_rec_tcp *tcp = file->socket->inet->tcp;
	bool is_over = file->socket->state == OVM_IMAGE_TCP_CLOSE;
	_cleanup_image_file_ struct ovm_image_file *image = NULL;
	TcpStreamEntry entry = TCP_STREAM_ENTRY__INIT;
	struct ovm_error *err =
		ovm_image_file_create(dir_fd, OVM_IMAGE_TCP_STREAM, file->ino, &image);

	entry.inq_len = tcp->in_len;
	entry.inq_seq = tcp->rcv_nxt;
	entry.outq_len = is_over ? 0 : tcp->out_len;
	entry.outq_seq = tcp->write_seq;
	entry.has_unsq_len = true;
	entry.unsq_len = is_over ? 0 : unsent_of(tcp);
	if (entry.unsq_len && has_other_end(files, file->socket))
		entry.unsq_len = 0;
	fill_options(tcp, now, &entry);
	fill_window(tcp, &entry);
	if (!err)
		err = ovm_image_file_put(image, &entry.base);
	if (!err)
		err = append_packets(image, file->socket->packets);
	if (!err && !is_over)
		err = append_packets(image, tcp->sent);
	if (err)
		return err;
	return ovm_image_file_finish(ovm_take_pointer(image));
}

struct ovm_error *ovm_image_write_tcp_streams(const struct ovm_image_set *set,
					      const struct ovm_image_file_table *files, int dir_fd)
{
	struct ovm_error *err = NULL;

	for (size_t i = 0; i < files->nr && !err; i++) {
		const struct ovm_image_file_ref *ref = files->by_id[i];

		if (stream_of(ref))
			err = write_stream(files, ref->file, set->clock_monotonic, dir_fd);
	}
	return err;
}
