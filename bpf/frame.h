/* The parts of a frame that the programs use: addresses, protocol and tag. The kernel has moved an outer tag of either
 * kind from the frame into its metadata, so offsets are those of an untagged frame. */
#ifndef ESFERA_FRAME_H
#define ESFERA_FRAME_H

#include "base.h"

struct frame {
	/* When it arrived, on the monotonic clock; 0 until it is needed, since reading the clock takes as long as two
	 * look-ups. */
	__u64 now_ns;
	/* MACs are read by four and two bytes, so they must be aligned for that. */
	__u8 destination[ETH_BYTES];
	/* In network order. */
	__u16 protocol;
	__u8 source[ETH_BYTES];
	/* 0 for none, also if a tag carries only a priority. */
	__u16 vlan;
};

static __always_inline bool read_frame(struct __sk_buff *skb, struct frame *frame)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	/* The frame begins at an even address; a packed struct would be read byte by byte. */
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

/* When the frame arrived, the same for all callers. */
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

/* Whether a frame has another tag behind its own. Removing the outer tag would make the inner one the frame's, and so
 * its VLAN. */
static __always_inline bool has_inner_tag(const struct frame *frame)
{
	return is_tag(frame->protocol);
}

/* Whether the switch must refuse the outer tag: one of another kind, or one without a VLAN around another tag, which
 * would become the outer one when the first is removed. */
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

/* Addresses reserved for switches: 01:80:c2:00:00:00 to 0f (IEEE 802.1Q, table 8-1) and Cisco's 01:00:0c:cc:cc:cc. */
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

/* Among frames to those addresses, the protocols of the control plane: LLDP, beacons, and those without an EtherType,
 * such as CDP. Any other frame would reach the host's own stack, which accepts an IP packet whatever MAC it was sent
 * to. */
static __always_inline bool is_for_control_plane(const struct frame *frame)
{
	__u16 protocol = bpf_ntohs(frame->protocol);

	return protocol == ETH_P_LLDP || protocol == ETH_P_BEACON || protocol < ETH_P_802_3_MIN;
}

/* Whether a frame is larger than a link of this MTU carries. Of a frame to be segmented the segments count, but there
 * may not be more than a stack makes, since segmenting takes time and a guest chooses the size. */
static __always_inline bool is_oversize(struct __sk_buff *skb, __u32 mtu)
{
	__u32 size = skb->gso_size;

	if (size)
		return size > mtu || size * MAX_SEGMENTS < skb->len;
	return skb->len > mtu + ETH_HLEN + VLAN_TAG_BYTES;
}

/* Gives the frame this tag and no other; 0 for none. A frame with an inner tag must keep its own. Pointers into the
 * frame are invalid afterwards. */
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
