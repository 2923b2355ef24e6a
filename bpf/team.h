/* Choosing a frame's uplink. */
#ifndef ESFERA_TEAM_H
#define ESFERA_TEAM_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "frame.h"
#include "maps.h"

/* The top five bits are a slot. */
#define GOLDEN 0x9e3779b1U
#define SLOT_SHIFT 27

static __always_inline __u32 slot_of(__u32 folded)
{
	return (folded * GOLDEN) >> SLOT_SHIFT;
}

static __always_inline __u32 hash_mac(const __u8 *mac)
{
	return slot_of((*(__u16 *)(mac + 2) | *(__u16 *)(mac + 4) << 16) ^ *(__u16 *)mac);
}

/* By source and destination address; the same for both directions. Frames other than IP go by the port. */
static __always_inline __u32 hash_ip(struct __sk_buff *skb, const struct frame *frame, __u32 otherwise)
{
	if (frame->protocol == bpf_htons(ETH_P_IP)) {
		__u32 pair[2];

		if (bpf_skb_load_bytes(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, saddr), pair, sizeof(pair)))
			return otherwise;
		return slot_of(pair[0] ^ pair[1]);
	}
	if (frame->protocol == bpf_htons(ETH_P_IPV6)) {
		__u32 pair[8];

		if (bpf_skb_load_bytes(skb, ETH_HLEN + __builtin_offsetof(struct ipv6hdr, saddr), pair, sizeof(pair)))
			return otherwise;
		return slot_of(pair[0] ^ pair[1] ^ pair[2] ^ pair[3] ^ pair[4] ^ pair[5] ^ pair[6] ^ pair[7]);
	}
	return otherwise;
}

static __always_inline struct uplink *choose_uplink(struct __sk_buff *skb, const struct port *port,
						    const struct frame *frame)
{
	__u32 key = port->team, slot = port->slot;
	struct team *team = bpf_map_lookup_elem(&teams, &key);

	if (!team)
		return NULL;
	if (port->hashing == HASH_SOURCE_MAC)
		slot = hash_mac(frame->source);
	else if (port->hashing == HASH_IP)
		slot = hash_ip(skb, frame, slot);
	/* The compiler may not fold this into an index that the verifier cannot follow. */
	asm volatile("%0 &= 31" : "+r"(slot));
	return team->slot[slot].ifindex ? &team->slot[slot] : NULL;
}

/* Whether a slot of a team has this uplink. */
static __always_inline bool is_slot_of(__u32 key, __u32 slot, __u32 uplink)
{
	struct team *team = bpf_map_lookup_elem(&teams, &key);

	if (!team)
		return false;
	asm volatile("%0 &= 31" : "+r"(slot));
	return team->slot[slot].ifindex == uplink;
}

/* Whether a member gets group frames by this uplink: if two uplinks reach one segment, each delivers to the ports that
 * send by it. With IP hash the physical switch sends one copy, by either uplink. */
static __always_inline bool is_reverse_path(const struct target *member, __u32 uplink)
{
	return member->hashing == HASH_IP || is_slot_of(member->team, member->slot, uplink);
}

#endif
