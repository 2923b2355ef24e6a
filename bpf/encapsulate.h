/* A mirrored frame in IPv4 and GRE: plain (RFC 2784, transparent Ethernet), or with an ERSPAN header of type II or III
 * (draft-foschiano-erspan-03) and a sequence number. */
#ifndef ESFERA_ENCAPSULATE_H
#define ESFERA_ENCAPSULATE_H

#include <linux/ip.h>

#include "frame.h"
#include "maps.h"

#define PROTOCOL_GRE 47
#define GRE_ETHERNET 0x6558
#define GRE_ERSPAN2 0x88be
#define GRE_ERSPAN3 0x22eb
#define GRE_HAS_SEQUENCE 0x1000
#define MIRROR_TTL 64
#define DONT_FRAGMENT 0x4000
#define TAG_INSIDE 3
#define ADDRESSES (2 * ETH_BYTES)

/* Padded in front, so that everything behind the Ethernet header is aligned to four bytes. */
struct outer {
	__u16 pad;
	__u8 destination[ETH_BYTES];
	__u8 source[ETH_BYTES];
	__u16 protocol;
	struct iphdr ip;
	__u16 gre_flags;
	__u16 gre_protocol;
	/* Sequence, then the header of ERSPAN: two words for type II, three for type III. */
	__u32 words[4];
};

#define OUTER_PAD 2
#define OUTER_BARE (ETH_HLEN + sizeof(struct iphdr) + 4)

static __always_inline __u16 ip_checksum(const struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int word = 0; word < (int)sizeof(*ip) / 2; word++)
		sum += words[word];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* The first word of both types of ERSPAN: version, VLAN, class of service, whether the tag is inside, whether the frame
 * is cut, session. */
static __always_inline __u32 erspan_word(__u32 version, const struct mirror *mirror, __u32 vlan, bool tagged, bool cut)
{
	__u32 inside = version == 1 && tagged ? TAG_INSIDE : 0;

	return version << 28 | vlan << 16 | (__u32)(mirror->class_of_service & 7) << 13 | inside << 11 |
	       (__u32)cut << 10 | (mirror->session & 0x3ff);
}

/* Wraps the frame in an outer one. A tag to be kept goes into the inner frame. */
static __always_inline int encapsulate(struct __sk_buff *skb, const struct mirror *mirror, __u64 sequence, bool to,
				       bool cut)
{
	__u32 tag = skb->vlan_present ? skb->vlan_tci : 0, vlan = tag & VLAN_ID_MASK, length = OUTER_BARE;
	bool tagged = tag && !(mirror->flags & MIRROR_STRIP);
	struct outer outer = {};
	__u8 inner[ADDRESSES + VLAN_TAG_BYTES];
	__u32 head;

	/* An inner tag would take the place of the removed one, and would be the outer frame's. */
	if (skb->vlan_present && (bpf_skb_vlan_pop(skb) || skb->vlan_present))
		return -1;
	switch (mirror->encapsulation) {
	case ENCAPSULATE_GRE:
		outer.gre_protocol = bpf_htons(GRE_ETHERNET);
		break;
	case ENCAPSULATE_ERSPAN2:
		outer.gre_protocol = bpf_htons(GRE_ERSPAN2);
		outer.words[1] = bpf_htonl(erspan_word(1, mirror, vlan, tagged, cut));
		length += 12;
		break;
	case ENCAPSULATE_ERSPAN3:
		outer.gre_protocol = bpf_htons(GRE_ERSPAN3);
		outer.words[1] = bpf_htonl(erspan_word(2, mirror, vlan, tagged, cut));
		outer.words[2] = bpf_htonl(bpf_ktime_get_ns() / (mirror->flags & MIRROR_FINE_TIME ? 100 : 100000));
		/* An Ethernet frame, its direction, and the unit of times. */
		outer.words[3] = bpf_htonl(1 << 15 | (__u32)to << 3 |
					   (mirror->flags & MIRROR_FINE_TIME ? 1 : 0) << 1);
		length += 16;
		break;
	default:
		return -1;
	}
	if (mirror->encapsulation != ENCAPSULATE_GRE) {
		outer.gre_flags = bpf_htons(GRE_HAS_SEQUENCE);
		outer.words[0] = bpf_htonl(sequence);
	}
	head = length + (tagged ? VLAN_TAG_BYTES : 0);
	outer.protocol = bpf_htons(ETH_P_IP);
	__builtin_memcpy(outer.destination, mirror->next_hop, ETH_BYTES);
	__builtin_memcpy(outer.source, mirror->source, ETH_BYTES);
	outer.ip.version = 4;
	outer.ip.ihl = sizeof(outer.ip) / 4;
	outer.ip.tot_len = bpf_htons(head - ETH_HLEN + skb->len);
	outer.ip.id = bpf_htons(sequence);
	outer.ip.frag_off = bpf_htons(DONT_FRAGMENT);
	outer.ip.ttl = MIRROR_TTL;
	outer.ip.protocol = PROTOCOL_GRE;
	__builtin_memcpy(&outer.ip.saddr, mirror->source_ip, sizeof(outer.ip.saddr));
	__builtin_memcpy(&outer.ip.daddr, mirror->destination_ip, sizeof(outer.ip.daddr));
	outer.ip.check = ip_checksum(&outer.ip);

	if (bpf_skb_change_head(skb, head, 0))
		return -1;
	if (tagged) {
		if (bpf_skb_load_bytes(skb, head, inner, ADDRESSES))
			return -1;
		*(__u16 *)(inner + ADDRESSES) = bpf_htons(ETH_P_8021Q);
		*(__u16 *)(inner + ADDRESSES + 2) = bpf_htons(tag);
		if (bpf_skb_store_bytes(skb, length, inner, sizeof(inner), 0))
			return -1;
	}
	/* The verifier needs constant lengths. */
	if (length == OUTER_BARE)
		return bpf_skb_store_bytes(skb, 0, outer.destination, OUTER_BARE, 0);
	if (length == OUTER_BARE + 12)
		return bpf_skb_store_bytes(skb, 0, outer.destination, OUTER_BARE + 12, 0);
	return bpf_skb_store_bytes(skb, 0, outer.destination, OUTER_BARE + 16, 0);
}

#endif
