/* What the programs and the control half share. crates/vswitch/src/kernel/layout.rs holds the same, and a test compares
 * them. Values in host byte order. Every struct is a multiple of 4 bytes without holes. A change here is a new LAYOUT. */
#ifndef ESFERA_LAYOUT_H
#define ESFERA_LAYOUT_H

#include <linux/bpf.h>
#include <linux/types.h>

#define LAYOUT 7

#define ETH_BYTES 6
#define TEAM_SLOTS 32
/* VLAN of a port that takes every tag, as vSphere numbers it. */
#define VLAN_TRUNK 4095
/* VLAN of a key that stands for every VLAN. */
#define VLAN_ANY 4096
#define MAX_PORTS 4096
#define MAX_STATIONS 65536
#define MAX_GROUPS 16384
#define MAX_MEMBERS 262144
#define MAX_TEAMS 1024
/* Segments that a frame may have still to be cut into: 64 kB with the least that TCP sends, 48 bytes (TCP_MIN_SND_MSS of Linux), are 1,366. */
#define MAX_SEGMENTS 1400

enum port_flag {
	PORT_BLOCKED = 1 << 0,
	/* Forged transmits are accepted. */
	PORT_FORGED = 1 << 1,
	/* The guest took another MAC and may not: nothing is delivered to it. */
	PORT_DEAF = 1 << 2,
	/* A port of this VLAN is promiscuous: unicast is copied to it. For an uplink: a port of the switch is. */
	PORT_SNOOPED = 1 << 3,
	/* The switch has several uplinks: a copy is delivered only if it came by the member's own. In a port that learns: what it sends to
	 * groups may come back. */
	PORT_TEAMED = 1 << 4,
	PORT_UPLINK = 1 << 5,
	/* What costs nothing where it is not asked for. In a port it is about what the port sends, in a target about what the
	 * target gets. */
	PORT_SHAPED = 1 << 6,
	/* In an uplink: frames of some of its VLANs are mirrored. */
	PORT_MIRRORED = 1 << 7,
	/* Someone looks at its frames, at one point or another. */
	PORT_CAPTURED = 1 << 8,
	/* A port that takes tags takes some VLANs only; 0 stands for frames without a tag. */
	PORT_RANGES = 1 << 9,
	/* What it says about groups, or an uplink brings, is told to the control half, and groups are filtered. */
	PORT_LISTENED = 1 << 10,
	/* Its flows are watched. */
	PORT_WATCHED = 1 << 11,
	/* MACs that it sends from are learned. */
	PORT_LEARNS = 1 << 12,
	/* A port of the switch learns: a destination that is no station may have been learned. */
	PORT_LEARNED = 1 << 13,
};

/* Direction as a port's owner sees it: what it sends, and what is for it. */
enum way {
	WAY_FROM = 0,
	WAY_TO = 1,
	/* What an uplink brings in a VLAN. */
	WAY_VLAN = 2,
};

enum hashing {
	HASH_PORT = 0,
	HASH_SOURCE_MAC = 1,
	HASH_IP = 2,
};

struct port {
	__u32 number;
	__u32 network;
	__u32 team;
	__u32 flags;
	__u32 mtu;
	__u16 vlan;
	__u8 mac[ETH_BYTES];
	__u8 hashing;
	__u8 slot;
	/* Most broadcasts and multicasts that it may send in a window; 0 is no limit. */
	__u16 storm_limit;
};

struct station_key {
	__u32 network;
	__u16 vlan;
	__u8 mac[ETH_BYTES];
};

/* Where frames are delivered: all that it takes, so that no second look-up is needed. */
struct target {
	__u32 ifindex;
	__u32 number;
	__u32 flags;
	__u32 team;
	__u16 vlan;
	__u8 slot;
	__u8 hashing;
};

struct group {
	/* Number of the list in `members`. */
	__u32 list;
	/* Members without tags come first, then those that take tags. */
	__u32 untagged;
	__u32 tagged;
};

struct member_key {
	__u32 list;
	__u32 position;
};

struct uplink {
	__u32 ifindex;
	__u32 number;
	__u32 flags;
};

struct team {
	struct uplink slot[TEAM_SLOTS];
};

enum drop {
	DROP_NO_PORT = 0,
	DROP_BLOCKED,
	DROP_FORGED,
	DROP_TAGGED,
	DROP_OVERSIZE,
	DROP_MALFORMED,
	DROP_CONTROL,
	DROP_STORM,
	DROP_SHAPED,
	DROP_REFLECTION,
	DROP_UNKNOWN,
	DROP_NO_UPLINK,
	DROP_DEAF,
	DROP_SEND,
	DROP_UNLEARNED,
	DROP_REASONS,
};

/* Seen from the switch: `from` is what the port's owner sent. */
struct counters {
	__u64 from_packets;
	__u64 from_bytes;
	__u64 from_multicast;
	__u64 from_broadcast;
	__u64 to_packets;
	__u64 to_bytes;
	__u64 to_multicast;
	__u64 to_broadcast;
	__u64 drops[DROP_REASONS];
};

/* Costs are in nanoseconds per byte, times 2 to this. */
#define COST_SHIFT 16

/* Traffic shaping of a port in one direction, in the same place as its bucket: twice the port's number plus the way. A frame passes if
 * neither rate has been used up for further ahead than this. All zeroes where there is none. */
struct shaper {
	__u64 average_cost;
	__u64 average_ahead_ns;
	__u64 peak_cost;
	__u64 peak_ahead_ns;
	/* The interface whose queues delay what is early; 0 if there is none. */
	__u32 queue;
	/* The port's own. */
	__u32 ifindex;
};

/* Marks of frames on the switch's own interfaces: a kind, and a number that says more. */
#define MARK_KIND 0xff000000U
#define MARK_NUMBER 0x00ffffffU
/* Delayed; the number is that of its bucket. */
#define MARK_QUEUED 0xe5000000U
/* A copy of a mirror, whose number it is; with this added, of what was for the port. */
#define MARK_COPY 0xe6000000U
#define MARK_COPY_TO 0x00800000U

/* The class of the queues that a bucket has is 1: and its number plus this. */
#define QUEUE_MAJOR 0x00010000U
#define QUEUE_FIRST 1

/* Until when the bytes that have passed take up a rate. Each word is changed by itself, without a lock. */
struct bucket {
	/* Frames that are in the queue. */
	__u32 queued;
	__u32 reserved;
	__u64 average_ns;
	__u64 peak_ns;
};

#define VLAN_WORDS 64

/* A bit for each VLAN that a port takes. */
struct trunk {
	__u64 vlans[VLAN_WORDS];
};

#define MAX_MIRRORS 1024
#define MAX_COPIES 8

struct source_key {
	/* A port's number, or a network. */
	__u32 of;
	__u16 vlan;
	/* enum way */
	__u16 way;
};

/* What mirrors a source has. */
struct copies {
	/* The interface that copies are sent to. */
	__u32 ifindex;
	__u32 count;
	__u32 mirror[MAX_COPIES];
};

enum encapsulation {
	ENCAPSULATE_NOT = 0,
	ENCAPSULATE_GRE,
	ENCAPSULATE_ERSPAN2,
	ENCAPSULATE_ERSPAN3,
};

enum mirror_flag {
	/* The copy loses the tag of its VLAN. */
	MIRROR_STRIP = 1 << 0,
	/* It enters the switch at the interface, as if the port had sent it. */
	MIRROR_ENTER = 1 << 1,
	/* Times in units of 100 ns rather than 100 us. */
	MIRROR_FINE_TIME = 1 << 2,
	/* Of what came by several uplinks, only what came by that of this slot. */
	MIRROR_TEAMED = 1 << 3,
};

/* One destination of a session. */
struct mirror {
	__u32 ifindex;
	__u32 flags;
	/* One of so many frames. */
	__u32 every;
	/* Bytes that are kept; 0 for all. */
	__u32 snap;
	__u32 team;
	/* The tag that the copy gets; 0 for none. */
	__u16 vlan;
	/* Of ERSPAN, 10 bits. */
	__u16 session;
	__u8 encapsulation;
	__u8 class_of_service;
	__u8 slot;
	__u8 reserved;
	__u8 source_ip[4];
	__u8 destination_ip[4];
	__u8 source[ETH_BYTES];
	__u8 next_hop[ETH_BYTES];
};

/* What a mirror has done. */
struct mirrored {
	__u64 seen;
	__u64 sent;
};

#define MAX_CAPTURES 8
#define MAX_SNAP 9216
#define CAPTURE_BYTES (4 << 20)

enum point {
	/* What a port sends, or an uplink brings, before anything is decided. */
	POINT_FROM = 0,
	/* What leaves by a port or an uplink. */
	POINT_TO = 1,
	POINT_DROPPED = 2,
};

struct point_key {
	__u32 number;
	/* enum point */
	__u32 point;
};

/* Who looks at a point. */
struct capture {
	/* A bit for each capture. */
	__u32 captures;
	/* Most bytes of a frame that one of them wants. */
	__u32 snap;
};

#define CAPTURED_TAG 0x10000

/* What is told of a frame, before its bytes. */
struct captured {
	__u64 time_ns;
	__u32 captures;
	__u32 number;
	__u32 point;
	/* enum drop */
	__u32 reason;
	/* Of the frame without its tag, and how much of it follows. */
	__u32 length;
	__u32 taken;
	/* The tag, with CAPTURED_TAG if there is one. */
	__u32 tag;
	__u32 reserved;
};

/* MAC learning. What ports may learn together is never more, so no port can fill the map. */
#define MAX_LEARNED 262144
/* Entries that one run of `forget_learned` looks at: no packet passes its processor meanwhile. */
#define MAX_SWEPT 256
/* The time of an entry is as exact as this. */
#define LEARNED_EXACT_NS 100000000ULL
/* What comes back by another uplink within this time was sent here. */
#define REFLECTION_NS 500000000ULL
/* Frames to groups that are remembered for that, at least 40 ms of ten ports that send as many as they may, and their bytes. */
#define MAX_SENT 4096
#define SENT_BYTES 256

enum learner_flag {
	/* At its limit, frames from MACs that it does not know are dropped. */
	LEARNER_DROPS = 1 << 0,
};

/* A port that learns, by its number. */
struct learner {
	struct target target;
	__u32 network;
	__u32 limit;
	/* enum learner_flag */
	__u32 flags;
};

/* A MAC that a port has sent from. Only who changes `owner` from one value to another counts it there and here, so counts are
 * exact without a lock. */
struct learned {
	/* The interface in the upper half, the number of the port in the lower. 0 while it is being removed. */
	__u64 owner;
	/* When it last sent. */
	__u64 seen_ns;
};

#define STORM_WINDOW_NS 100000000ULL

/* What a port has sent to groups in the current window. */
struct storm {
	__u64 window_ns;
	__u64 frames;
};

/* Stations that uplinks bring word of: what is told of a frame with ARP, the ring's size, how many frames of one uplink and VLAN are told in a
 * window, and for how many of these that is counted apart. */
#define SIGHTED_FRAME 42
#define SIGHTED_BYTES (1 << 14)
#define SIGHT_WINDOW_NS 1000000000ULL
#define SIGHT_LIMIT 32
#define MAX_SIGHTS 4096

struct sighted {
	__u32 ifindex;
	/* 0 for none. */
	__u16 vlan;
	__u8 frame[SIGHTED_FRAME];
};

/* Multicast filtering: most of a frame that is told, the ring's size, and how many messages of one port are told in a window. */
#define MAX_HEARD 9216
#define HEARD_BYTES (1 << 20)
#define LISTEN_WINDOW_NS 1000000000ULL
#define LISTEN_LIMIT 256
/* Places where queries are heard, and how long a querier is taken to be there: SNOOP_QUERIER of crates/vswitch/src/limits.rs. */
#define MAX_ASKED 65536
#define ASKED_NS 255000000000ULL

/* What is told of an IGMP or MLD message, before its bytes. */
struct heard {
	__u64 time_ns;
	__u32 number;
	/* Of the bytes that follow. */
	__u32 taken;
	__u16 vlan;
	__u16 reserved;
	__u32 reserved2;
};

/* What listening has missed. */
struct listening {
	/* Messages that found no room in the ring. */
	__u64 lost;
	/* Messages beyond LISTEN_LIMIT. */
	__u64 ignored;
};

/* IPFIX: flows of one turn, and new ones of one port in a window. */
#define MAX_FLOWS 16384
#define FLOW_WINDOW_NS 1000000000ULL
#define FLOW_LIMIT 4096

/* What packets of a flow have in common. */
struct flow_key {
	/* IPv4 addresses are in the first four bytes. */
	__u8 source[16];
	__u8 destination[16];
	/* The port that watches. */
	__u32 number;
	/* The port at the other end, and one more, so that 0 is an unknown one. */
	__u32 other;
	/* In host order; 0 for protocols that have none, and for fragments. */
	__u16 source_port;
	__u16 destination_port;
	__u16 vlan;
	__u8 protocol;
	__u8 class;
	/* 4 or 6 */
	__u8 family;
	/* enum way */
	__u8 way;
	/* Of two turns: one is filled while the other is read. */
	__u8 turn;
	__u8 reserved;
};

enum flow_flag {
	/* FIN or RST was seen. */
	FLOW_ENDS = 1 << 0,
};

struct flow {
	__u64 packets;
	/* From the IP header on. */
	__u64 octets;
	/* On the monotonic clock. */
	__u64 first_ns;
	__u64 last_ns;
	__u32 flags;
	__u32 reserved;
};

enum watch_flag {
	/* Only flows whose both ends are ports of this host. */
	WATCH_INTERNAL = 1 << 0,
};

/* How a port's flows are watched. */
struct watch {
	/* One of so many packets. */
	__u32 every;
	/* enum watch_flag */
	__u32 flags;
};

/* What watching a port has done. */
struct watched {
	/* Packets by way, for sampling. */
	__u64 seen[2];
	/* Packets whose flow found no room. */
	__u64 lost;
	/* New flows in the current window. */
	__u64 window_ns;
	__u64 flows;
};

#endif
