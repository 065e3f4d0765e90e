// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink sockets: ports and groups.
 */
#include <net/sock.h>

#include "extract.h"

/* Private to net/netlink/af_netlink.h. */
struct netlink_sock___ovm {
	unsigned long flags;
	u32 portid, dst_portid, dst_group, ngroups;
	unsigned long *groups;
	bool cb_running;
};

enum { MAX_GROUPS = 1 << 16 };

static void groups(const struct netlink_sock___ovm *nlk, struct ovm_rec_netlink __host *rec)
{
	unsigned int nr = nlk->ngroups;

	if (!nlk->groups)
		return;
	if (nr > MAX_GROUPS)
		llv_fail(LLV_CORRUPT, nlk, "netlink socket has too many groups");
	for (unsigned int i = 0; i * BITS_PER_LONG < nr; i++) {
		u64 word = nlk->groups[i];

		if (!i)
			rec->groups = word;
		else if (word)
			rec->has_more_groups = 1;
	}
}

LLV_SHARED void ovm_netlink_socket(const struct sock *sk, struct ovm_rec_socket __host *socket)
{
	const struct netlink_sock___ovm *nlk = (const struct netlink_sock___ovm *)sk;
	struct ovm_rec_netlink __host *rec = llv_new(struct ovm_rec_netlink);

	socket->netlink = rec;
	rec->flags = nlk->flags;
	rec->portid = nlk->portid;
	rec->dst_portid = nlk->dst_portid;
	rec->dst_group = nlk->dst_group;
	rec->in_dump = nlk->cb_running;
	groups(nlk, rec);
}

LLV_SHARED bool ovm_has_netlink_sockets(void)
{
	return llv_type_exists(struct netlink_sock___ovm);
}
