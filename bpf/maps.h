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

/* By twice the port's number plus the direction, like `buckets`. */
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

/* Frames for which the ring had no room, by capture. */
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

/* A buffer for one frame, for this program only. */
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

/* Whether a port with some VLANs accepts this one. */
static __always_inline bool takes_vlan(__u32 number, __u16 vlan)
{
	struct trunk *trunk = bpf_map_lookup_elem(&trunks, &number);
	__u32 word = vlan / 64;

	/* The compiler may not fold this into an index that the verifier cannot follow. */
	asm volatile("%0 &= 63" : "+r"(word));
	return trunk && trunk->vlans[word] >> (vlan % 64) & 1;
}

/* Stations behind uplinks. Not pinned: it shows the present only, and a new daemon begins afresh. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SIGHTED_BYTES);
} sightings SEC(".maps");

/* Reports in the current window, by uplink and VLAN. Different uplinks may share an index, and then its limit; the
 * VLANs of one uplink do not. */
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

/* Filters hold until this moment of the monotonic clock: the control plane, which knows the members, extends it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} filters_hold SEC(".maps");

/* Messages of each port in the current window. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, struct storm);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} talk SEC(".maps");

/* When a port last exceeded its limit of messages. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PORTS);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} muted SEC(".maps");

/* A switch, a VLAN and an IP protocol in a frame's notation. */
struct place_key {
	__u32 network;
	__u16 vlan;
	__u16 protocol;
};

/* When a query last arrived there by an uplink. Nothing is removed: the map has room for the VLANs of all switches, and a query
 * that does not fit does not count. */
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

/* A buffer for one flow, which does not fit on the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_room);
} flow_rooms SEC(".maps");

/* The turn that is being filled. */
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

/* Learned MACs, under the same keys as stations. */
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

/* A frame to a group as it left by an uplink, without the parts that may differ when it comes back. */
struct sent_key {
	__u32 network;
	__u16 vlan;
	__u16 length;
	__u8 bytes[SENT_BYTES];
};

/* When learning ports last sent it. The oldest entries give way, so nothing has to be removed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SENT);
	__type(key, struct sent_key);
	__type(value, __u64);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} sent SEC(".maps");

/* A buffer for such a frame, which does not fit on the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sent_key);
} sent_rooms SEC(".maps");

#endif
