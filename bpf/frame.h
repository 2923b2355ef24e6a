/* What the programs look at in a frame: its addresses, its protocol and its tag. The kernel has moved an outer tag of either
 * kind out of the frame into its metadata, so offsets are those of an untagged frame. */
#ifndef ESFERA_FRAME_H
#define ESFERA_FRAME_H

#include "base.h"

struct frame {
	/* When it was looked at, on the monotonic clock; 0 if nobody has asked yet. Each look at the clock takes as long as two look-ups. */
	__u64 now_ns;
	/* MACs are read by four and two bytes, so they are where the stack may be read so. */
	__u8 destination[ETH_BYTES];
	/* In network order. */
	__u16 protocol;
	__u8 source[ETH_BYTES];
	/* 0 for none, also where a tag carries a priority only. */
	__u16 vlan;
};

static __always_inline bool read_frame(struct __sk_buff *skb, struct frame *frame)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	/* Which begins at an even address; as a packed struct it would be read byte by byte. */
	__u16 *words = data;

	if ((void *)((struct ethhdr *)data + 1) > end)
		return false;
	frame->now_ns = 0;
	__builtin_memcpy(frame->destination, words, ETH_BYTES);
	__builtin_memcpy(frame->source, words + 3, ETH_BYTES);
	frame->protocol = words[6];
	frame->vlan = skb->vlan_present ? skb->vlan_tci & VLAN_ID_MASK : 0;
	return true;
}

/* When the frame passes, for all that asks. */
static __always_inline __u64 now_of(struct frame *frame)
{
	if (!frame->now_ns)
		frame->now_ns = bpf_ktime_get_ns();
	return frame->now_ns;
}

static __always_inline bool is_tag(__u16 protocol)
{
	return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Whether a frame has another tag behind its own. Taking its own away would make that one its own, and so a VLAN. */
static __always_inline bool has_inner_tag(const struct frame *frame)
{
	return is_tag(frame->protocol);
}

/* Whether the outer tag is none that the switch takes: of another kind, or of no VLAN around another tag, which would be the
 * outer one when the first is removed. */
static __always_inline bool is_bad_tag(struct __sk_buff *skb, const struct frame *frame)
{
	if (skb->vlan_present && skb->vlan_proto != bpf_htons(ETH_P_8021Q))
		return true;
	return !frame->vlan && has_inner_tag(frame);
}

static __always_inline bool same_mac(const __u8 *a, const __u8 *b)
{
	return *(__u32 *)a == *(__u32 *)b && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline bool is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

static __always_inline bool is_broadcast(const __u8 *mac)
{
	return *(__u32 *)mac == 0xffffffff && *(__u16 *)(mac + 4) == 0xffff;
}

/* Addresses that a switch keeps for itself: 01:80:c2:00:00:00 to 0f (IEEE 802.1Q, table 8-1) and Cisco's 01:00:0c:cc:cc:cc. */
static __always_inline bool is_control(const struct frame *frame)
{
	const __u8 *mac = frame->destination;

	if (frame->protocol == bpf_htons(ETH_P_BEACON))
		return true;
	if (likely(!is_group(mac)))
		return false;
	if (*(__u32 *)mac == bpf_htonl(0x0180c200) && mac[4] == 0)
		return mac[5] <= 0x0f;
	return *(__u32 *)mac == bpf_htonl(0x01000ccc) && *(__u16 *)(mac + 4) == 0xcccc;
}

/* Of what comes to those addresses, the protocols that the control half speaks: LLDP, beacons, and those without an EtherType, as CDP.
 * Anything else would reach the host's own stack, which takes an IP packet whatever MAC it was sent to. */
static __always_inline bool is_for_control_half(const struct frame *frame)
{
	__u16 protocol = bpf_ntohs(frame->protocol);

	return protocol == ETH_P_LLDP || protocol == ETH_P_BEACON || protocol < ETH_P_802_3_MIN;
}

/* Whether a frame is larger than a link of this MTU carries. Segments that are still to be cut count one by one, but may not be more than
 * a stack makes, since whoever cuts them would be busy with it: a guest chooses their size. */
static __always_inline bool is_oversize(struct __sk_buff *skb, __u32 mtu)
{
	__u32 size = skb->gso_size;

	if (size)
		return size > mtu || size * MAX_SEGMENTS < skb->len;
	return skb->len > mtu + ETH_HLEN + VLAN_TAG_BYTES;
}

/* Makes the frame carry this tag and no other; 0 for none. No other than its own may be taken from one that has an inner tag. The pointers into the frame are void afterwards. */
static __always_inline int set_tag(struct __sk_buff *skb, __u16 vlan)
{
	if (skb->vlan_present) {
		if (vlan && (skb->vlan_tci & VLAN_ID_MASK) == vlan)
			return 0;
		if (bpf_skb_vlan_pop(skb))
			return -1;
	}
	return vlan ? bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vlan) : 0;
}

#endif
