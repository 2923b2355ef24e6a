/* Multicast filtering: what ports and routers say about groups (IGMP and MLD) is told to the control half, which knows the members.
 * Its filters hold only as long as it says so again and again: a daemon that is not there hears nobody join. */
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
#define MLD_QUERY 130
#define MLD_V1_REPORT 131
#define MLD_V1_DONE 132
#define MLD_V2_REPORT 143

/* Who gets a frame to a group. */
enum audience {
	AUDIENCE_ALL = 0,
	/* The members of the group, if there is a filter where it is. */
	AUDIENCE_MEMBERS,
	/* No port but those that get all: a host that hears another's report would keep its own back (RFC 4541, 2.1.1). */
	AUDIENCE_PROMISCUOUS,
};

/* As `is_always_flooded` in crates/vswitch/src/snoop/mod.rs. What is no IP multicast is never filtered. */
static __always_inline bool is_filtered(const __u8 *mac)
{
	if (mac[0] == 0x01)
		return mac[1] == 0x00 && mac[2] == 0x5e && (mac[3] || mac[4]);
	if (mac[0] != 0x33 || mac[1] != 0x33 || mac[2] == 0xff)
		return false;
	return mac[2] || mac[3] > 1 || mac[4];
}

/* What a frame says: the audience that it needs, if it is about groups, or AUDIENCE_MEMBERS. */
static __always_inline int what_is_said(struct __sk_buff *skb)
{
	struct ipv6hdr ipv6;
	__u8 next[2], kind;
	__u16 protocol;
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &protocol, sizeof(protocol)))
		return AUDIENCE_MEMBERS;
	if (protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.protocol != PROTOCOL_IGMP)
			return AUDIENCE_MEMBERS;
		if (bpf_skb_load_bytes(skb, ETH_HLEN + 4 * ip.ihl, &kind, sizeof(kind)))
			return AUDIENCE_MEMBERS;
		return kind == IGMP_QUERY ? AUDIENCE_ALL : AUDIENCE_PROMISCUOUS;
	}
	if (protocol != bpf_htons(ETH_P_IPV6))
		return AUDIENCE_MEMBERS;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ipv6, sizeof(ipv6)) || ipv6.nexthdr != PROTOCOL_HOP_BY_HOP)
		return AUDIENCE_MEMBERS;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(ipv6), next, sizeof(next)) || next[0] != PROTOCOL_ICMPV6)
		return AUDIENCE_MEMBERS;
	if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(ipv6) + 8 * (1 + (__u32)next[1]), &kind, sizeof(kind)))
		return AUDIENCE_MEMBERS;
	if (kind == MLD_QUERY)
		return AUDIENCE_ALL;
	return kind == MLD_V1_REPORT || kind == MLD_V1_DONE || kind == MLD_V2_REPORT ? AUDIENCE_PROMISCUOUS :
										       AUDIENCE_MEMBERS;
}

static __always_inline void tell(struct __sk_buff *skb, struct listening *listening, __u32 number, __u32 vlan)
{
	__u32 zero = 0, taken = skb->len < MAX_HEARD ? skb->len : MAX_HEARD;
	struct storm *said = bpf_map_lookup_elem(&talk, &number);
	struct heard_room *room = bpf_map_lookup_elem(&heard_rooms, &zero);

	if (!said || !room)
		return;
	if (is_beyond(&said->window_ns, &said->frames, LISTEN_WINDOW_NS, LISTEN_LIMIT)) {
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

/* For a frame to a group that a port with the flag sends or an uplink with it brings: its audience. */
__noinline int listen(struct __sk_buff *skb, __u32 number, __u32 vlan)
{
	__u32 zero = 0;
	struct listening *state = bpf_map_lookup_elem(&listening, &zero);
	__u64 *until_ns = bpf_map_lookup_elem(&filters_hold, &zero);
	__u8 mac[ETH_BYTES];
	int audience;

	if (!state || !until_ns || bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)))
		return AUDIENCE_ALL;
	audience = what_is_said(skb);
	if (audience != AUDIENCE_MEMBERS) {
		tell(skb, state, number, vlan);
		return audience;
	}
	return is_filtered(mac) && bpf_ktime_get_ns() < *until_ns ? AUDIENCE_MEMBERS : AUDIENCE_ALL;
}

#endif
