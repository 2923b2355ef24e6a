/* Delivering a frame to one port or to many. */
#ifndef ESFERA_DELIVER_H
#define ESFERA_DELIVER_H

#include "account.h"
#include "extra.h"
#include "listen.h"
#include "team.h"

static __always_inline void station_key(struct station_key *key, __u32 network, __u16 vlan, const __u8 *mac)
{
	key->network = network;
	key->vlan = vlan;
	__builtin_memcpy(key->mac, mac, ETH_BYTES);
}

/* The local port with this MAC, if any. */
static __always_inline struct target *find_station(__u32 network, __u16 vlan, const __u8 *mac)
{
	struct station_key key;
	struct target *station;

	station_key(&key, network, vlan, mac);
	station = bpf_map_lookup_elem(&stations, &key);
	if (station)
		return station;
	key.vlan = VLAN_ANY;
	station = bpf_map_lookup_elem(&stations, &key);
	if (station && unlikely(station->flags & PORT_RANGES) && !takes_vlan(station->number, vlan))
		return NULL;
	return station;
}

/* The origin of a frame, as the receiver's other end. */
static __always_inline __u32 end_of(const struct origin *origin)
{
	return other_end(origin->number, !(origin->flags & PORT_UPLINK));
}

static __always_inline int deliver(struct __sk_buff *skb, struct target *to, struct frame *frame,
				   const struct origin *origin)
{
	__u16 tag = tag_for(to, frame);
	int out = to->ifindex;

	/* A port without tags must not get the inner one either. */
	if (unlikely(!tag && has_inner_tag(frame)))
		return drop(skb, origin, DROP_TAGGED);
	if (unlikely(to->flags & TO_EXTRAS)) {
		out = extras_to(skb, frame, to, end_of(origin));
		if (out == EXTRA_DEAF)
			return drop(skb, origin, DROP_DEAF);
		if (out <= 0)
			return TC_ACT_SHOT;
	}
	if (unlikely(set_tag(skb, tag)))
		return drop(skb, origin, DROP_SEND);
	count_to(to->number, skb, frame->destination);
	return bpf_redirect(out, 0);
}

/* Sends the frame by an uplink, tagged as on the wire. */
static __always_inline int send_up(struct __sk_buff *skb, const struct uplink *uplink, const struct frame *frame,
				   const struct origin *origin)
{
	__u32 ifindex, number, flags;

	if (!uplink)
		return drop(skb, origin, DROP_NO_UPLINK);
	ifindex = uplink->ifindex;
	number = uplink->number;
	flags = uplink->flags;
	if (unlikely(set_tag(skb, frame->vlan)))
		return drop(skb, origin, DROP_SEND);
	count_to(number, skb, frame->destination);
	if (unlikely(flags & PORT_CAPTURED))
		capture(skb, number, POINT_TO, 0);
	return bpf_redirect(ifindex, 0);
}

struct copying {
	struct __sk_buff *skb;
	__u32 list;
	__u32 first;
	/* Not to these: the origin of the frame, and a port that gets it anyway. */
	__u32 source;
	__u32 other;
	/* The uplink that it came by, if the reverse path matters. */
	__u32 uplink;
	/* The origin, as the receivers' other end. */
	__u32 from;
	struct frame frame;
};

static long copy_to_member(__u32 index, struct copying *copying)
{
	struct member_key key = { .list = copying->list, .position = copying->first + index };
	struct target *member = bpf_map_lookup_elem(&members, &key);
	__u32 out, mark = copying->skb->mark;

	if (!member)
		return 0;
	if (member->ifindex == copying->source || member->ifindex == copying->other)
		return 0;
	if (copying->uplink && !is_reverse_path(member, copying->uplink))
		return 0;
	out = member->ifindex;
	if (unlikely(member->flags & TO_EXTRAS)) {
		int extra = extras_to(copying->skb, &copying->frame, member, copying->from);

		if (extra <= 0)
			return 0;
		out = extra;
	}
	count_to(member->number, copying->skb, copying->frame.destination);
	bpf_clone_redirect(copying->skb, out, 0);
	if (unlikely(out != member->ifindex)) {
		copying->skb->mark = mark;
		copying->skb->priority = 0;
	}
	return 0;
}

/* Copies the frame to the members of a group, first to those without tags, which do not get a frame with an inner tag.
 * Afterwards its tag is that of the last members. */
static __always_inline void copy_to(struct __sk_buff *skb, const struct group *group, const struct frame *frame,
				    const struct origin *origin, __u32 source, __u32 other, __u32 uplink)
{
	__u32 untagged = group->untagged, tagged = group->tagged;
	struct copying copying = {
		.skb = skb, .list = group->list, .source = source, .other = other, .uplink = uplink,
		.from = end_of(origin), .frame = *frame,
	};

	if (untagged && likely(!has_inner_tag(frame))) {
		if (set_tag(skb, 0))
			return;
		bpf_loop(untagged, copy_to_member, &copying, 0);
	}
	if (tagged) {
		if (set_tag(skb, frame->vlan))
			return;
		copying.first = untagged;
		bpf_loop(tagged, copy_to_member, &copying, 0);
	}
}

/* The promiscuous ports of a VLAN are a group with an all-zero address. */
static __always_inline struct group *find_promiscuous(__u32 network, __u16 vlan)
{
	struct station_key key = { .network = network, .vlan = vlan };
	struct group *group = bpf_map_lookup_elem(&groups, &key);

	if (group)
		return group;
	key.vlan = VLAN_ANY;
	return bpf_map_lookup_elem(&groups, &key);
}

/* The receivers of a frame to a group address. Where there are filters, the receivers of groups without members are a
 * group whose address ends with zeroes. */
static __always_inline struct group *find_group(__u32 network, __u16 vlan, const __u8 *mac, int audience)
{
	struct station_key key;
	struct group *group;

	if (unlikely(audience == AUDIENCE_PROMISCUOUS))
		return find_promiscuous(network, vlan);
	station_key(&key, network, vlan, mac);
	if (unlikely(audience == AUDIENCE_MEMBERS)) {
		group = bpf_map_lookup_elem(&groups, &key);
		if (group)
			return group;
		if (mac[0] == 0x33)
			key.mac[2] = 0;
		key.mac[3] = key.mac[4] = key.mac[5] = 0;
		group = bpf_map_lookup_elem(&groups, &key);
		if (group)
			return group;
	}
	__builtin_memset(key.mac, 0xff, ETH_BYTES);
	group = bpf_map_lookup_elem(&groups, &key);
	if (group)
		return group;
	key.vlan = VLAN_ANY;
	return bpf_map_lookup_elem(&groups, &key);
}

#endif
