/* Flows for IPFIX: packets of ports with the flag are counted by the fields that they share. The control plane reads
 * and removes the flows of one turn while the programs fill the other, so reading loses nothing. */
#ifndef ESFERA_FLOWS_H
#define ESFERA_FLOWS_H

#include <linux/ip.h>
#include <linux/ipv6.h>

#include "account.h"
#include "maps.h"
#include "mirror.h"

#define IPV4_FRAGMENT 0x3fff
#define EXTENSIONS 6
#define NEXT_HOP_BY_HOP 0
#define NEXT_TCP 6
#define NEXT_UDP 17
#define NEXT_DCCP 33
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_AUTHENTICATION 51
#define NEXT_OPTIONS 60
#define NEXT_SCTP 132
#define NEXT_UDPLITE 136
#define TCP_FLAGS_AT 13
#define TCP_FIN_RST 0x05
#define UDP_BYTES 8

/* The other end of a frame: the number of a port plus one, and whether the port is on this host. */
#define OTHER_LOCAL 0x80000000U

static __always_inline __u32 other_end(__u32 number, bool is_local)
{
	return (number + 1) | (is_local ? OTHER_LOCAL : 0);
}

/* For `count_flow`: the VLAN of a frame, and its other end. */
static __always_inline __u64 ends(__u16 vlan, __u32 other)
{
	return (__u64)other << 32 | vlan;
}

/* The parts of a packet outside its key. */
struct packet {
	/* Offset of the payload of IP, from the Ethernet header on. */
	__u32 above;
	/* From the IP header on, of one packet or of all segments. */
	__u32 octets;
	bool is_fragment;
};

static __always_inline bool read_ipv4(struct __sk_buff *skb, struct flow_room *room, struct packet *packet)
{
	struct iphdr *ip = (struct iphdr *)room->header;
	struct flow_key *key = &room->key;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, ip, sizeof(*ip)) || ip->version != 4 || ip->ihl < 5)
		return false;
	__builtin_memcpy(key->source, &ip->saddr, sizeof(ip->saddr));
	__builtin_memcpy(key->destination, &ip->daddr, sizeof(ip->daddr));
	key->family = 4;
	key->protocol = ip->protocol;
	key->class = ip->tos;
	packet->above = ETH_HLEN + 4 * ip->ihl;
	packet->octets = bpf_ntohs(ip->tot_len);
	packet->is_fragment = ip->frag_off & bpf_htons(IPV4_FRAGMENT);
	return true;
}

/* Skips a limited number of extension headers (RFC 8200, 4). */
static __always_inline bool read_ipv6(struct __sk_buff *skb, struct flow_room *room, struct packet *packet)
{
	struct ipv6hdr *ip = (struct ipv6hdr *)room->header;
	struct flow_key *key = &room->key;
	__u8 next, extension[2];

	if (bpf_skb_load_bytes(skb, ETH_HLEN, ip, sizeof(*ip)) || ip->version != 6)
		return false;
	__builtin_memcpy(key->source, &ip->saddr, sizeof(ip->saddr));
	__builtin_memcpy(key->destination, &ip->daddr, sizeof(ip->daddr));
	key->family = 6;
	key->class = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	packet->above = ETH_HLEN + sizeof(*ip);
	packet->octets = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	next = ip->nexthdr;
	for (int at = 0; at < EXTENSIONS; at++) {
		if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_FRAGMENT &&
		    next != NEXT_AUTHENTICATION && next != NEXT_OPTIONS)
			break;
		if (bpf_skb_load_bytes(skb, packet->above, extension, sizeof(extension)))
			break;
		if (next == NEXT_FRAGMENT) {
			packet->is_fragment = true;
			packet->above += 8;
		} else if (next == NEXT_AUTHENTICATION) {
			packet->above += 4 * (2 + (__u32)extension[1]);
		} else {
			packet->above += 8 * (1 + (__u32)extension[1]);
		}
		next = extension[0];
	}
	key->protocol = next;
	return true;
}

static __always_inline bool has_ports(__u8 protocol)
{
	return protocol == NEXT_TCP || protocol == NEXT_UDP || protocol == NEXT_SCTP || protocol == NEXT_DCCP ||
	       protocol == NEXT_UDPLITE;
}

/* Adds to a flow, or begins it. False if the map is full. */
static __always_inline bool add_to_flow(const struct flow_key *key, const struct flow *more, struct watched *watched)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, key);

	if (!flow) {
		if (is_beyond(&watched->window_ns, &watched->flows, FLOW_WINDOW_NS, FLOW_LIMIT))
			return false;
		if (!bpf_map_update_elem(&flows, key, more, BPF_NOEXIST))
			return true;
		/* Another processor may have begun it. */
		flow = bpf_map_lookup_elem(&flows, key);
		if (!flow)
			return false;
	}
	__sync_fetch_and_add(&flow->packets, more->packets);
	__sync_fetch_and_add(&flow->octets, more->octets);
	flow->last_ns = more->last_ns;
	if (unlikely(more->flags))
		flow->flags = more->flags;
	return true;
}

/* Counts a frame of a port with the flag, in the direction `way`. The other end is 0 if unknown. */
__noinline int count_flow(struct __sk_buff *skb, __u32 number, __u64 ends, __u32 way)
{
	struct watched *watched = bpf_map_lookup_elem(&watched_by, &number);
	struct watch *watch = bpf_map_lookup_elem(&watches, &number);
	__u32 zero = 0, other = ends >> 32, rest, size = skb->gso_size, segments = 1;
	__u32 *turn = bpf_map_lookup_elem(&flow_turn, &zero);
	struct flow_room *room = bpf_map_lookup_elem(&flow_rooms, &zero);
	struct packet packet = {};
	struct flow_key *key;
	struct flow *more;
	__u16 protocol;

	if (!watched || !watch || !turn || !room || skb->len < ETH_HLEN || is_copy(skb))
		return 0;
	if (watch->flags & WATCH_INTERNAL && !(other & OTHER_LOCAL))
		return 0;
	if (bpf_skb_load_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &protocol, sizeof(protocol)))
		return 0;
	key = &room->key;
	more = &room->more;
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memset(more, 0, sizeof(*more));
	if (protocol == bpf_htons(ETH_P_IP)) {
		if (!read_ipv4(skb, room, &packet))
			return 0;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		if (!read_ipv6(skb, room, &packet))
			return 0;
	} else {
		return 0;
	}
	if (watch->every > 1 && __sync_fetch_and_add(&watched->seen[way == WAY_TO], 1) % watch->every)
		return 0;
	if (!packet.is_fragment && has_ports(key->protocol)) {
		__u16 pair[2];

		if (!bpf_skb_load_bytes(skb, packet.above, pair, sizeof(pair))) {
			key->source_port = bpf_ntohs(pair[0]);
			key->destination_port = bpf_ntohs(pair[1]);
		}
	}
	/* Bytes after the packet are padding; bytes claimed beyond the frame do not exist. */
	rest = skb->len - ETH_HLEN;
	if (packet.octets > rest || size)
		packet.octets = rest;
	if (key->protocol == NEXT_TCP && !packet.is_fragment) {
		__u8 tcp[2];

		if (!bpf_skb_load_bytes(skb, packet.above + TCP_FLAGS_AT - 1, tcp, sizeof(tcp))) {
			if (tcp[1] & TCP_FIN_RST)
				more->flags = FLOW_ENDS;
			packet.above += (tcp[0] >> 4) * 4;
		}
	} else {
		packet.above += UDP_BYTES;
	}
	/* A frame to be segmented: each packet will repeat the headers. */
	if (size && skb->len > packet.above) {
		segments = (skb->len - packet.above + size - 1) / size;
		packet.octets += (segments - 1) * (packet.above - ETH_HLEN);
	}
	key->number = number;
	key->other = other & ~OTHER_LOCAL;
	key->vlan = ends;
	key->way = way;
	key->turn = *turn & 1;
	more->packets = segments;
	more->octets = packet.octets;
	more->first_ns = more->last_ns = bpf_ktime_get_ns();
	if (!add_to_flow(key, more, watched))
		__sync_fetch_and_add(&watched->lost, 1);
	return 0;
}

#endif
