/* MAC learning of ports: a guest that is itself a hypervisor sends from many MACs. Each port has a limit, and all limits together fit
 * into the map, so a guest that makes MACs up takes nothing from others. A static station is always stronger. */
#ifndef ESFERA_LEARN_H
#define ESFERA_LEARN_H

#include "deliver.h"

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

/* The port that owns an entry, if it still learns, as the one that it was then, in the place that the key says. */
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

/* The port that has learned this MAC, if there is one. */
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

/* The ports that get what nobody is known to have are a group whose address is this. */
static __always_inline struct group *find_flooded(__u32 network, __u16 vlan)
{
	struct station_key key = { .network = network, .vlan = vlan, .mac = { 0, 0, 0, 0, 0, 1 } };
	struct group *group = bpf_map_lookup_elem(&groups, &key);

	if (group)
		return group;
	key.vlan = VLAN_ANY;
	return bpf_map_lookup_elem(&groups, &key);
}

/* Removes an entry, unless it has got another owner meanwhile. */
static __always_inline void forget(const struct station_key *key, struct learned *known, __u64 owned_by)
{
	if (__sync_val_compare_and_swap(&known->owner, owned_by, 0) != owned_by)
		return;
	bpf_map_delete_elem(&learned, key);
	count_learned(owned_by, -1);
}

/* Learns whom a frame comes from that a port sends. Not 0 if the port may not send it, since it has learned as much as it may. */
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
	/* The room first, the entry then: there are never more entries than was counted. */
	if (__sync_fetch_and_add(count, 1) >= learner->limit) {
		__sync_fetch_and_add(count, -1);
		return learner->flags & LEARNER_DROPS;
	}
	if (!known) {
		if (bpf_map_update_elem(&learned, &key, &fresh, BPF_NOEXIST))
			__sync_fetch_and_add(count, -1);
		return 0;
	}
	/* It has moved here. One that is just being removed is learned with the next frame. */
	before = known->owner;
	if (before && __sync_val_compare_and_swap(&known->owner, before, fresh.owner) == before) {
		known->seen_ns = fresh.seen_ns;
		count_learned(before, -1);
	} else {
		__sync_fetch_and_add(count, -1);
	}
	return 0;
}

/* Whether what is for this MAC never leaves by an uplink, if a port sends it. */
static __always_inline bool stays_here(__u32 network, __u16 vlan, const __u8 *mac)
{
	return !is_group(mac) && (find_station(network, vlan, mac) || find_learned(network, vlan, mac));
}

/* Whether what an uplink brings was sent here, by a MAC that was learned. One that has been silent has moved away and is forgotten;
 * where there is no other uplink that it could have left by, and with a frame that would not have left, also one that has not. */
__noinline int is_own(struct __sk_buff *skb, __u32 network, __u32 vlan, __u32 flags)
{
	struct station_key key;
	struct learned *known;
	struct frame frame;
	__u64 owned_by;

	if (!read_frame(skb, &frame))
		return 0;
	station_key(&key, network, vlan, frame.source);
	known = bpf_map_lookup_elem(&learned, &key);
	if (!known)
		return 0;
	owned_by = known->owner;
	if (!owned_by)
		return 0;
	if (flags & PORT_TEAMED && bpf_ktime_get_ns() - known->seen_ns < REFLECTION_NS &&
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
	/* Nobody's, and still there: removing it has failed. Nobody counts it, and one that has sent lately may just be on its way out. */
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
