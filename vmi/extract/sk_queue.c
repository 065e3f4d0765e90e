// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits in the queues of sockets.
 *
 * A packet (struct sk_buff, linux/skbuff.h) has up to three parts, in this order: len - data_len
 * bytes at data; the pages in frags[] of the struct skb_shared_info that follows the linear part;
 * and the packets in its frag_list, which have no such list themselves.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/skbuff.h>

#include "extract.h"

/* 21d2e6737c97 ("net: add netmem to skb_frag_t", v6.9). */
struct skb_frag___netmem {
	unsigned long netmem;
	unsigned int len;
	unsigned int offset;
};

/* Not a page but memory of a device, which the kernel itself can't read. */
enum { NETMEM_IS_DEVICE = 1 };

/* Where the next bytes of a packet go. */
struct cursor {
	struct ovm_rec_packet __host *packet;
	struct ovm_rec_piece __host *__host *link;
	__u64 skip;
	/* Bytes that the packet still has to have. */
	__u64 left;
};

static void append(struct cursor __host *cursor, u64 address, u64 len)
{
	u64 skip = cursor->skip < len ? cursor->skip : len;

	if (len > cursor->left)
		llv_fail(LLV_CORRUPT, address, "packet has more bytes than it says");
	cursor->left -= len;
	cursor->skip -= skip;
	len -= skip;
	if (!len)
		return;
	struct ovm_rec_piece __host *piece = llv_new(struct ovm_rec_piece);

	llv_bytes(&piece->bytes, address + skip, len);
	cursor->packet->len += len;
	*cursor->link = piece;
	cursor->link = &piece->next;
}

static void append_page(struct cursor __host *cursor, const struct page *page, u64 offset, u64 len)
{
	append(cursor, page_offset_base + (ovm_page_frame(page) << PAGE_SHIFT) + offset, len);
}

static void append_frag(struct cursor __host *cursor, u64 frags, unsigned int i)
{
	if (!llv_field_exists(struct skb_frag___netmem, netmem)) {
		const struct bio_vec *bvec =
			(const struct bio_vec *)(frags + i * llv_sizeof(struct bio_vec));

		append_page(cursor, bvec->bv_page, bvec->bv_offset, bvec->bv_len);
		return;
	}
	const struct skb_frag___netmem *frag =
		(const struct skb_frag___netmem *)(frags +
						   i * llv_sizeof(struct skb_frag___netmem));

	if (frag->netmem & NETMEM_IS_DEVICE)
		llv_fail(LLV_CORRUPT, frag, "packet is in the memory of a device");
	append_page(cursor, (const struct page *)frag->netmem, frag->offset, frag->len);
}

static const struct skb_shared_info *shared_info(const struct sk_buff *skb)
{
	return (const struct skb_shared_info *)((u64)skb->head + skb->end);
}

static void append_parts(struct cursor __host *cursor, const struct sk_buff *skb)
{
	const struct skb_shared_info *info = shared_info(skb);
	u64 start = (u64)skb->data, end = (u64)info, linear = skb->len - skb->data_len;

	if (skb->data_len > skb->len || start < (u64)skb->head || start > end ||
	    linear > end - start)
		llv_fail(LLV_CORRUPT, skb, "packet lies beside its buffer");
	append(cursor, start, linear);
	if (info->nr_frags > llv_field_count(struct skb_shared_info, frags))
		llv_fail(LLV_CORRUPT, info, "packet has too many pages");
	for (unsigned int i = 0; i < info->nr_frags; i++)
		append_frag(cursor, (u64)&info->frags[0], i);
}

LLV_SHARED struct ovm_rec_packet __host *ovm_packet(const struct sk_buff *skb, __u64 skip)
{
	struct ovm_rec_packet __host *packet = llv_new(struct ovm_rec_packet);
	struct cursor __host *cursor = llv_new(struct cursor);

	cursor->packet = packet;
	cursor->link = &packet->pieces;
	cursor->skip = skip;
	cursor->left = skb->len;
	append_parts(cursor, skb);
	for (const struct sk_buff *frag = shared_info(skb)->frag_list; frag; frag = frag->next) {
		if (!frag->len || shared_info(frag)->frag_list)
			llv_fail(LLV_CORRUPT, frag, "packet has a part that is none");
		append_parts(cursor, frag);
	}
	if (cursor->left)
		llv_fail(LLV_CORRUPT, skb, "packet has fewer bytes than it says");
	return packet;
}

LLV_SHARED const struct sk_buff *ovm_next_packet(const struct sk_buff_head *queue,
						 const struct sk_buff *skb, __u64 nr)
{
	skb = skb ? skb->next : queue->next;
	if ((u64)skb == (u64)queue) {
		if (nr != queue->qlen)
			llv_fail(LLV_CORRUPT, queue, "queue has fewer packets than it says");
		return NULL;
	}
	if (nr >= queue->qlen)
		llv_fail(LLV_CORRUPT, queue, "queue has more packets than it says");
	return skb;
}
