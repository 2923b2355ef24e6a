/* MAC learning of ports: a guest that is itself a hypervisor sends from many MACs. Each port has a limit, and all limits together fit
 * into the map, so a guest that makes MACs up takes nothing from others. A static station is always stronger. */
#ifndef ESFERA_LEARN_H
#define ESFERA_LEARN_H

#include "deliver.h"

#define UDP_CHECKSUM_AT 6

static __always_inline __u64 owner_of(__u32 ifindex, __u32 number)
{
	return (__u64)ifindex << 32 | number;
}

static __always_inline void count_learned(__u32 number, __s64 more)
{
	__u64 *count = bpf_map_lookup_elem(&learned_by, &number);

	if (count)
		__sync_fetch_and_add(count, more);
}

/* The port that owns an entry, if it still learns, is the same port as then, and is where the key says. */
static __always_inline struct learner *owner(const struct station_key *key, __u64 owned_by)
{
	__u32 number = owned_by;
	struct learner *learner = bpf_map_lookup_elem(&learners, &number);

	if (!learner || owned_by != owner_of(learner->target.ifindex, number) || learner->network != key->network)
		return NULL;
	if (learner->target.vlan != VLAN_TRUNK && learner->target.vlan != key->vlan)
		return NULL;
	if (unlikely(learner->target.flags & PORT_RANGES) && !takes_vlan(number, key->vlan))
		return NULL;
	return learner;
}

/* The port that has learned this MAC, if any. */
static __always_inline struct target *find_learned(__u32 network, __u16 vlan, const __u8 *mac)
{
	struct station_key key;
	struct learner *learner;
	struct learned *known;

	station_key(&key, network, vlan, mac);
	known = bpf_map_lookup_elem(&learned, &key);
	if (!known)
		return NULL;
	learner = owner(&key, known->owner);
	return learner ? &learner->target : NULL;
}

/* The ports that receive frames to unknown destinations are a group with this address. */
static __always_inline struct group *find_flooded(__u32 network, __u16 vlan)
{
	struct station_key key = { .network = network, .vlan = vlan, .mac = { 0, 0, 0, 0, 0, 1 } };
	struct group *group = bpf_map_lookup_elem(&groups, &key);

	if (group)
		return group;
	key.vlan = VLAN_ANY;
	return bpf_map_lookup_elem(&groups, &key);
}

/* Removes an entry, unless it has a new owner meanwhile. */
static __always_inline void forget(const struct station_key *key, struct learned *known, __u64 owned_by)
{
	if (__sync_val_compare_and_swap(&known->owner, owned_by, 0) != owned_by)
		return;
	bpf_map_delete_elem(&learned, key);
	count_learned(owned_by, -1);
}

/* Learns the source of a frame that a port sends. Not 0 if the port may not send it, since it is at its limit. */
__noinline int learn(struct __sk_buff *skb, __u32 number, __u32 network, __u32 vlan)
{
	struct learned fresh = { .owner = owner_of(skb->ifindex, number), .seen_ns = bpf_ktime_get_ns() };
	struct station_key key;
	struct learner *learner;
	struct learned *known;
	struct frame frame;
	__u64 *count, before;

	if (is_copy(skb) || !read_frame(skb, &frame))
		return 0;
	if (!*(__u32 *)frame.source && !*(__u16 *)(frame.source + 4))
		return 0;
	station_key(&key, network, vlan, frame.source);
	known = bpf_map_lookup_elem(&learned, &key);
	if (known && known->owner == fresh.owner) {
		if (fresh.seen_ns - known->seen_ns > LEARNED_EXACT_NS)
			known->seen_ns = fresh.seen_ns;
		return 0;
	}
	if (find_station(network, vlan, frame.source))
		return 0;
	learner = bpf_map_lookup_elem(&learners, &number);
	count = bpf_map_lookup_elem(&learned_by, &number);
	if (!learner || !count)
		return 0;
	/* Counted before the entry is made: there are never more entries than counted. */
	if (__sync_fetch_and_add(count, 1) >= learner->limit) {
		__sync_fetch_and_add(count, -1);
		return learner->flags & LEARNER_DROPS;
	}
	if (!known) {
		if (bpf_map_update_elem(&learned, &key, &fresh, BPF_NOEXIST))
			__sync_fetch_and_add(count, -1);
		return 0;
	}
	/* It has moved here. An entry that is just being removed is learned with the next frame. */
	before = known->owner;
	if (before && __sync_val_compare_and_swap(&known->owner, before, fresh.owner) == before) {
		known->seen_ns = fresh.seen_ns;
		count_learned(before, -1);
	} else {
		__sync_fetch_and_add(count, -1);
	}
	return 0;
}

/* The key by which a frame to a group is recognised when it comes back, without the parts that change on the way:
 * padding, checksums that the card or the driver fills in, and the class, which physical switches set. */
static __always_inline struct sent_key *sent_key(struct __sk_buff *skb, __u32 network, __u32 vlan)
{
	__u32 zero = 0, length = skb->len, taken = length < SENT_BYTES ? length : SENT_BYTES, above;
	struct sent_key *key = bpf_map_lookup_elem(&sent_rooms, &zero);
	__u8 *bytes;
	__u16 protocol;

	if (!key)
		return NULL;
	bytes = key->bytes;
	key->network = network;
	key->vlan = vlan;
	key->length = length > ETH_ZLEN ? length : ETH_ZLEN;
	__builtin_memset(bytes, 0, SENT_BYTES);
	/* The verifier must see both bounds. */
	asm volatile("" : "+r"(taken));
	if (taken < ETH_HLEN || taken > SENT_BYTES || bpf_skb_load_bytes(skb, 0, bytes, taken))
		return NULL;
	protocol = *(__u16 *)(bytes + __builtin_offsetof(struct ethhdr, h_proto));
	if (protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (struct iphdr *)(bytes + ETH_HLEN);

		ip->tos = 0;
		*(__u16 *)((__u8 *)ip + __builtin_offsetof(struct iphdr, check)) = 0;
		above = ETH_HLEN + 4 * (bytes[ETH_HLEN] & 0xf);
		if (ip->protocol != NEXT_UDP)
			return key;
	} else if (protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (struct ipv6hdr *)(bytes + ETH_HLEN);

		bytes[ETH_HLEN] &= 0xf0;
		bytes[ETH_HLEN + 1] &= 0x0f;
		above = ETH_HLEN + sizeof(*ip);
		if (ip->nexthdr != NEXT_UDP)
			return key;
	} else {
		return key;
	}
	bytes[above + UDP_CHECKSUM_AT] = 0;
	bytes[above + UDP_CHECKSUM_AT + 1] = 0;
	return key;
}

/* Remembers a frame that a port sends to a group and that may come back. */
__noinline int remember(struct __sk_buff *skb, __u32 network, __u32 vlan)
{
	struct sent_key *key = sent_key(skb, network, vlan);
	__u64 now = bpf_ktime_get_ns();

	if (key)
		bpf_map_update_elem(&sent, key, &now, BPF_ANY);
	return 0;
}

/* Whether a learning port sent exactly this frame to a group a moment ago. */
static __always_inline bool was_sent(struct __sk_buff *skb, __u32 network, __u32 vlan)
{
	struct sent_key *key = sent_key(skb, network, vlan);
	__u64 *sent_ns = key ? bpf_map_lookup_elem(&sent, key) : NULL;

	return sent_ns && bpf_ktime_get_ns() - *sent_ns < REFLECTION_NS;
}

/* Whether frames from ports to this MAC never leave by an uplink. */
static __always_inline bool stays_here(__u32 network, __u16 vlan, const __u8 *mac)
{
	return find_station(network, vlan, mac) || find_learned(network, vlan, mac);
}

/* Whether a frame from an uplink is a reflection, sent by a learning port. To a group it must be equal to a sent frame,
 * byte by byte: a port that forges a MAC hides no other frames from it. To an unknown MAC it may be one, if its source
 * has sent lately. Any other frame from a learned MAC shows that the MAC has moved away, and the entry is removed;
 * without another uplink every such frame does. */
__noinline int is_own(struct __sk_buff *skb, __u32 network, __u32 vlan, __u32 flags)
{
	struct station_key key;
	struct learned *known;
	struct frame frame;
	__u64 owned_by;
	bool to_group;

	if (!read_frame(skb, &frame))
		return 0;
	to_group = is_group(frame.destination);
	if (to_group && flags & PORT_TEAMED && was_sent(skb, network, vlan))
		return 1;
	station_key(&key, network, vlan, frame.source);
	known = bpf_map_lookup_elem(&learned, &key);
	if (!known)
		return 0;
	owned_by = known->owner;
	if (!owned_by)
		return 0;
	if (!to_group && flags & PORT_TEAMED && bpf_ktime_get_ns() - known->seen_ns < REFLECTION_NS &&
	    !stays_here(network, vlan, frame.destination))
		return 1;
	forget(&key, known, owned_by);
	return 0;
}

/* Removes an entry that is older than this, that its owner may not have any more, or that a static station hides. */
static long forget_one(void *map, const struct station_key *at, struct learned *known, const __u64 *oldest)
{
	struct station_key key = *at;
	__u64 owned_by = known->owner, *count;
	__u32 number = owned_by;
	struct learner *learner = owner(&key, owned_by);

	(void)map;
	/* An entry without an owner that still exists: removing it has failed. It is not counted, and one that has sent
	 * lately may be on its way out. */
	if (!owned_by) {
		if (known->seen_ns < *oldest)
			bpf_map_delete_elem(&learned, &key);
		return 0;
	}
	count = bpf_map_lookup_elem(&learned_by, &number);
	if (!learner || !count || known->seen_ns < *oldest || *count > learner->limit ||
	    find_station(key.network, key.vlan, key.mac))
		forget(&key, known, owned_by);
	return 0;
}

#endif
