/* Multicast filtering: IGMP and MLD messages of ports and routers are reported to the control plane, which keeps the
 * memberships. Filters hold only as long as it extends them: without a daemon no new member would be heard. */
#ifndef ESFERA_LISTEN_H
#define ESFERA_LISTEN_H

#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include "account.h"
#include "frame.h"
#include "maps.h"

#define PROTOCOL_IGMP 2
#define PROTOCOL_HOP_BY_HOP 0
#define PROTOCOL_ICMPV6 58
#define IGMP_QUERY 0x11
#define IGMP_V1_REPORT 0x12
#define IGMP_V2_REPORT 0x16
#define IGMP_V2_LEAVE 0x17
#define IGMP_V3_REPORT 0x22
#define MLD_QUERY 130
#define MLD_V1_REPORT 131
#define MLD_V1_DONE 132
#define MLD_V2_REPORT 143

/* The receivers of a frame to a group. */
enum audience {
	AUDIENCE_ALL = 0,
	/* The members of the group, if the place has filters. */
	AUDIENCE_MEMBERS,
	/* Only ports that get everything: a host that receives another's report would suppress its own, and then not be
	 * a member (RFC 4541, 2.1.1). */
	AUDIENCE_PROMISCUOUS,
};

/* As `is_always_flooded` in crates/vswitch/src/snoop/mod.rs. Frames other than IP multicast are never filtered: other
 * protocols use such MACs too, and hosts do not report them. */
static __always_inline bool is_filtered(__u16 protocol, const __u8 *mac)
{
	if (protocol == bpf_htons(ETH_P_IP))
		return mac[0] == 0x01 && mac[1] == 0x00 && mac[2] == 0x5e && !(mac[3] & 0x80) && (mac[3] || mac[4]);
	if (protocol != bpf_htons(ETH_P_IPV6) || mac[0] != 0x33 || mac[1] != 0x33 || mac[2] == 0xff)
		return false;
	return mac[2] || mac[3] > 1 || mac[4];
}

/* The kind of message in a frame. */
enum said {
	SAID_NOTHING = 0,
	/* Of an unknown kind: it goes to all (RFC 4541, 2.1.1). */
	SAID_UNKNOWN,
	SAID_QUERY,
	SAID_REPORT,
};

static __always_inline enum said what_is_said(struct __sk_buff *skb, __u16 protocol)
{
	struct ipv6hdr ipv6;
	__u8 next[2], kind;
	struct iphdr ip;

	if (protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.protocol != PROTOCOL_IGMP)
			return SAID_NOTHING;
		if (bpf_skb_load_bytes(skb, ETH_HLEN + 4 * ip.ihl, &kind, sizeof(kind)))
			return SAID_NOTHING;
		if (kind == IGMP_QUERY)
			return SAID_QUERY;
		return kind == IGMP_V1_REPORT || kind == IGMP_V2_REPORT || kind == IGMP_V2_LEAVE ||
		       kind == IGMP_V3_REPORT ? SAID_REPORT : SAID_UNKNOWN;
	}
	if (protocol != bpf_htons(ETH_P_IPV6))
		return SAID_NOTHING;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ipv6, sizeof(ipv6)) || ipv6.nexthdr != PROTOCOL_HOP_BY_HOP)
		return SAID_NOTHING;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(ipv6), next, sizeof(next)) || next[0] != PROTOCOL_ICMPV6)
		return SAID_NOTHING;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(ipv6) + 8 * (1 + (__u32)next[1]), &kind, sizeof(kind)))
		return SAID_NOTHING;
	if (kind == MLD_QUERY)
		return SAID_QUERY;
	return kind == MLD_V1_REPORT || kind == MLD_V1_DONE || kind == MLD_V2_REPORT ? SAID_REPORT : SAID_NOTHING;
}

static __always_inline void tell(struct __sk_buff *skb, struct listening *listening, __u32 number, __u32 vlan)
{
	__u32 zero = 0, taken = skb->len < MAX_HEARD ? skb->len : MAX_HEARD;
	struct storm *said = bpf_map_lookup_elem(&talk, &number);
	struct heard_room *room = bpf_map_lookup_elem(&heard_rooms, &zero);
	__u64 *muted_ns = bpf_map_lookup_elem(&muted, &number);

	if (!said || !room || !muted_ns)
		return;
	if (is_beyond(&said->window_ns, &said->frames, LISTEN_WINDOW_NS, LISTEN_LIMIT)) {
		*muted_ns = bpf_ktime_get_ns();
		__sync_fetch_and_add(&listening->ignored, 1);
		return;
	}
	room->head = (struct heard){
		.time_ns = bpf_ktime_get_ns(), .number = number, .taken = taken, .vlan = vlan,
	};
	/* The verifier must see both bounds. */
	asm volatile("" : "+r"(taken));
	if (taken == 0 || taken > MAX_HEARD || bpf_skb_load_bytes(skb, 0, room->bytes, taken))
		return;
	if (bpf_ringbuf_output(&heard, room, sizeof(room->head) + taken, 0))
		__sync_fetch_and_add(&listening->lost, 1);
}

/* The audience of a frame to a group, from a port or an uplink with the flag. Reports are kept from ports from the
 * query on that makes filters, so that all hosts answer it. The query counts only if it is remembered here. */
__noinline int listen(struct __sk_buff *skb, __u32 number, __u32 flags, __u32 network, __u32 vlan)
{
	struct place_key place = { .network = network, .vlan = vlan };
	__u32 zero = 0;
	struct listening *state = bpf_map_lookup_elem(&listening, &zero);
	__u64 *until_ns = bpf_map_lookup_elem(&filters_hold, &zero), now = bpf_ktime_get_ns(), *asked_ns;
	__u8 mac[ETH_BYTES];
	__u16 protocol;
	enum said said;

	if (!state || !until_ns || bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)) ||
	    bpf_skb_load_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &protocol, sizeof(protocol)))
		return AUDIENCE_ALL;
	place.protocol = protocol;
	said = what_is_said(skb, protocol);
	switch (said) {
	case SAID_NOTHING:
		return is_filtered(protocol, mac) && now < *until_ns ? AUDIENCE_MEMBERS : AUDIENCE_ALL;
	case SAID_UNKNOWN:
		return AUDIENCE_ALL;
	case SAID_QUERY:
		if (flags & PORT_UPLINK && now < *until_ns && !bpf_map_update_elem(&asked, &place, &now, BPF_ANY))
			tell(skb, state, number, vlan);
		return AUDIENCE_ALL;
	case SAID_REPORT:
		tell(skb, state, number, vlan);
		asked_ns = bpf_map_lookup_elem(&asked, &place);
		return asked_ns && now < *until_ns && now < *asked_ns + ASKED_NS ? AUDIENCE_PROMISCUOUS : AUDIENCE_ALL;
	}
	return AUDIENCE_ALL;
}

#endif
