/* The maps, pinned by name so that they outlive the daemon. */
#ifndef ESFERA_MAPS_H
#define ESFERA_MAPS_H

#include "base.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct port);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_STATIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct station_key);
	__type(value, struct target);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} stations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_GROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct station_key);
	__type(value, struct group);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} groups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MEMBERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct member_key);
	__type(value, struct target);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_TEAMS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct team);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} teams SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct counters);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct storm);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} storms SEC(".maps");

/* By twice the port's number plus the way, like `buckets`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * MAX_PORTS);
	__type(key, __u32);
	__type(value, struct shaper);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shapers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * MAX_PORTS);
	__type(key, __u32);
	__type(value, struct bucket);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_MIRRORS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct mirror);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} mirrors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct source_key);
	__type(value, struct copies);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_MIRRORS);
	__type(key, __u32);
	__type(value, struct mirrored);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} mirrored_by SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3 * MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct point_key);
	__type(value, struct capture);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} captures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CAPTURE_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} captured SEC(".maps");

/* Frames that found no room, by capture. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CAPTURES);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} captures_lost SEC(".maps");

struct capture_room {
	struct captured head;
	__u8 bytes[MAX_SNAP];
};

/* Where a frame is put together; of no interest to anyone else. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture_room);
} capture_rooms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct trunk);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} trunks SEC(".maps");

/* Whether a port that takes some VLANs takes this one. */
static __always_inline bool takes_vlan(__u32 number, __u16 vlan)
{
	struct trunk *trunk = bpf_map_lookup_elem(&trunks, &number);
	__u32 word = vlan / 64;

	/* The compiler may not fold this into an index that the verifier cannot follow. */
	asm volatile("%0 &= 63" : "+r"(word));
	return trunk && trunk->vlans[word] >> (vlan % 64) & 1;
}

/* Stations that uplinks bring word of. Not pinned: it is what passes now, and whoever starts begins anew. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SIGHTED_BYTES);
} sightings SEC(".maps");

/* What was told in the current window, by uplink and VLAN. Some may share a place, and then its limit; the VLANs of one uplink do not. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SIGHTS);
	__type(key, __u32);
	__type(value, struct storm);
} sights SEC(".maps");

/* Multicast filtering and IPFIX. */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, HEARD_BYTES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} heard SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct listening);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} listening SEC(".maps");

/* Filters hold until then on the monotonic clock: the control half, which knows who is a member, moves it on. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} filters_hold SEC(".maps");

/* What each port has said in the current window. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct storm);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} talk SEC(".maps");

/* When a port last said more than is told. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} muted SEC(".maps");

/* A switch, a VLAN and a protocol of IP, as frames name it. */
struct place_key {
	__u32 network;
	__u16 vlan;
	__u16 protocol;
};

/* When an uplink last brought a query there. Nothing is removed: there are no more than switches have VLANs, and one that finds no room
 * counts for nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ASKED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct place_key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} asked SEC(".maps");

struct heard_room {
	struct heard head;
	__u8 bytes[MAX_HEARD];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct heard_room);
} heard_rooms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * MAX_FLOWS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct flow_key);
	__type(value, struct flow);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flows SEC(".maps");

struct flow_room {
	struct flow_key key;
	struct flow more;
	/* An IPv4 or an IPv6 header. */
	__u8 header[40];
};

/* Where a flow is put together: there is no room for it on the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_room);
} flow_rooms SEC(".maps");

/* The turn that is filled. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} flow_turn SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct watch);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} watches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct watched);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} watched_by SEC(".maps");

/* MAC learning. */

/* What ports have learned, by the key that a station has. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LEARNED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct station_key);
	__type(value, struct learned);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct learner);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} learners SEC(".maps");

/* How many entries a port owns, by its number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} learned_by SEC(".maps");

/* A frame to a group as it left for an uplink, without what may be another when it comes back. */
struct sent_key {
	__u32 network;
	__u16 vlan;
	__u16 length;
	__u8 bytes[SENT_BYTES];
};

/* When ports that learn have last sent it. The oldest give way, so nothing has to be removed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SENT);
	__type(key, struct sent_key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sent SEC(".maps");

/* Where such a frame is put together: there is no room for it on the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sent_key);
} sent_rooms SEC(".maps");

#endif
