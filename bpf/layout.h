/* Definitions that the programs and the control plane share. crates/vswitch/src/layout.rs holds the same, and a test
 * compares them. Values are in host byte order. Every struct is a multiple of 4 bytes without padding. A change here
 * needs a new LAYOUT. */
#ifndef ESFERA_LAYOUT_H
#define ESFERA_LAYOUT_H

#include <linux/bpf.h>
#include <linux/types.h>

#define LAYOUT 7

#define ETH_BYTES 6
#define TEAM_SLOTS 32
/* VLAN of a trunk port with all VLANs, as vSphere numbers it. */
#define VLAN_TRUNK 4095
/* VLAN of a key that stands for every VLAN. */
#define VLAN_ANY 4096
#define MAX_PORTS 4096
#define MAX_STATIONS 65536
#define MAX_GROUPS 16384
#define MAX_MEMBERS 262144
#define MAX_TEAMS 1024
/* Most segments of a frame: 64 kB with TCP's smallest segments, 48 bytes (TCP_MIN_SND_MSS of Linux), are 1,366. */
#define MAX_SEGMENTS 1400

enum port_flag {
	PORT_BLOCKED = 1 << 0,
	/* Forged transmits are accepted. */
	PORT_FORGED = 1 << 1,
	/* The guest uses another MAC although it may not: nothing is delivered to it. */
	PORT_DEAF = 1 << 2,
	/* A port of this VLAN is promiscuous: unicast is copied to it. For an uplink: a port of the switch is. */
	PORT_SNOOPED = 1 << 3,
	/* The switch has several uplinks: a copy is delivered only if it came by the member's own. In a learning port:
	 * its frames to groups may come back. */
	PORT_TEAMED = 1 << 4,
	PORT_UPLINK = 1 << 5,
	/* Features that cost nothing unless they are on. In a port the flag concerns sent frames, in a target received
	 * ones. */
	PORT_SHAPED = 1 << 6,
	/* In an uplink: frames of some of its VLANs are mirrored. */
	PORT_MIRRORED = 1 << 7,
	/* A capture looks at its frames, at one point or another. */
	PORT_CAPTURED = 1 << 8,
	/* The trunk port accepts only some VLANs; 0 stands for untagged frames. */
	PORT_RANGES = 1 << 9,
	/* The control plane hears IGMP and MLD messages of the port, or from the uplink, and groups are filtered. */
	PORT_LISTENED = 1 << 10,
	/* Its flows are counted. */
	PORT_WATCHED = 1 << 11,
	/* MACs that it sends from are learned. */
	PORT_LEARNS = 1 << 12,
	/* A port of the switch learns: a destination that is not a station may have been learned. */
	PORT_LEARNED = 1 << 13,
};

/* Direction as the port's owner sees it: sent, and received. */
enum way {
	WAY_FROM = 0,
	WAY_TO = 1,
	/* Arriving at an uplink in a VLAN. */
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
	/* Most broadcasts and multicasts that it may send in a window; 0 for no limit. */
	__u16 storm_limit;
};

struct station_key {
	__u32 network;
	__u16 vlan;
	__u8 mac[ETH_BYTES];
};

/* The destination of frames, with everything that delivery needs, so that no second look-up is necessary. */
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
	/* Members that receive untagged frames come first, then those that take tags. */
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

/* Seen from the switch: `from` counts frames that the port's owner sent. */
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

/* Costs are in nanoseconds per byte, times 2 to the power of this. */
#define COST_SHIFT 16

/* Traffic shaping of a port in one direction, at the same index as its bucket: twice the port's number plus the
 * direction. A frame passes if neither rate is used up further ahead than this. All zeroes if the direction is not
 * shaped. */
struct shaper {
	__u64 average_cost;
	__u64 average_ahead_ns;
	__u64 peak_cost;
	__u64 peak_ahead_ns;
	/* The interface whose queues delay early frames; 0 if there are none. */
	__u32 queue;
	/* The port's interface. */
	__u32 ifindex;
};

/* Marks of frames on the switch's internal interfaces: a kind, and a number. */
#define MARK_KIND 0xff000000U
#define MARK_NUMBER 0x00ffffffU
/* A delayed frame; the number is its bucket's. */
#define MARK_QUEUED 0xe5000000U
/* A mirror's copy; the number is the mirror's. The added bit says that the port received the frame. */
#define MARK_COPY 0xe6000000U
#define MARK_COPY_TO 0x00800000U

/* The class of a bucket's queue is 1: and its index plus this. */
#define QUEUE_MAJOR 0x00010000U
#define QUEUE_FIRST 1

/* Until when the bytes that have passed take up a rate. Each word is changed separately, without a lock. */
struct bucket {
	/* Frames in the queue. */
	__u32 queued;
	__u32 reserved;
	__u64 average_ns;
	__u64 peak_ns;
};

#define VLAN_WORDS 64

/* A bit for each VLAN that a port accepts. */
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

/* The mirrors of a source. */
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
	/* The copy loses its VLAN tag. */
	MIRROR_STRIP = 1 << 0,
	/* It enters the switch at the interface, as if the port had sent it. */
	MIRROR_ENTER = 1 << 1,
	/* Times in units of 100 ns rather than 100 us. */
	MIRROR_FINE_TIME = 1 << 2,
	/* Of frames that arrive by several uplinks, only the one by this slot's uplink. */
	MIRROR_TEAMED = 1 << 3,
};

/* One destination of a session. */
struct mirror {
	__u32 ifindex;
	__u32 flags;
	/* One frame in this many. */
	__u32 every;
	/* Bytes that are kept; 0 for all. */
	__u32 snap;
	__u32 team;
	/* The copy's tag; 0 for none. */
	__u16 vlan;
	/* ERSPAN session, 10 bits. */
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

/* The counters of a mirror. */
struct mirrored {
	__u64 seen;
	__u64 sent;
};

#define MAX_CAPTURES 8
#define MAX_SNAP 9216
#define CAPTURE_BYTES (4 << 20)

enum point {
	/* Sent by a port, or arriving at an uplink, before any decision. */
	POINT_FROM = 0,
	/* Leaving by a port or an uplink. */
	POINT_TO = 1,
	POINT_DROPPED = 2,
};

struct point_key {
	__u32 number;
	/* enum point */
	__u32 point;
};

/* The captures at a point. */
struct capture {
	/* A bit for each capture. */
	__u32 captures;
	/* Most bytes of a frame that any of them wants. */
	__u32 snap;
};

#define CAPTURED_TAG 0x10000

/* The head of a captured frame; its bytes follow. */
struct captured {
	__u64 time_ns;
	__u32 captures;
	__u32 number;
	__u32 point;
	/* enum drop */
	__u32 reason;
	/* Length of the frame without its tag, and how much of it follows. */
	__u32 length;
	__u32 taken;
	/* The tag, with CAPTURED_TAG set if the frame has one. */
	__u32 tag;
	__u32 reserved;
};

/* MAC learning. The limits of all ports together never exceed this, so no port can fill the map. */
#define MAX_LEARNED 262144
/* Entries that one run of `forget_learned` checks: its processor handles no packet meanwhile. */
#define MAX_SWEPT 256
/* The precision of an entry's time. */
#define LEARNED_EXACT_NS 100000000ULL
/* A frame that comes back by another uplink within this time counts as a reflection. */
#define REFLECTION_NS 500000000ULL
/* Remembered frames to groups, at least 40 ms of ten ports that send as many as they may, and their bytes. */
#define MAX_SENT 4096
#define SENT_BYTES 256

enum learner_flag {
	/* At its limit, the port drops frames from unknown MACs. */
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

/* A MAC that a port has sent from. Only the program that changes `owner` from one value to another adjusts the counts,
 * so they are exact without a lock. */
struct learned {
	/* The interface in the upper half, the number of the port in the lower; 0 while the entry is being removed. */
	__u64 owner;
	/* When its last frame arrived. */
	__u64 seen_ns;
};

#define STORM_WINDOW_NS 100000000ULL

/* Frames to groups that a port has sent in the current window. */
struct storm {
	__u64 window_ns;
	__u64 frames;
};

/* Stations behind uplinks: how much of an ARP frame is reported, the ring's size, how many frames of one uplink and
 * VLAN are reported in a window, and for how many of these the count is separate. */
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

/* Multicast filtering: most bytes of a reported frame, the ring's size, and how many messages of one port are reported
 * in a window. */
#define MAX_HEARD 9216
#define HEARD_BYTES (1 << 20)
#define LISTEN_WINDOW_NS 1000000000ULL
#define LISTEN_LIMIT 256
/* Places with queriers, and how long a silent querier counts as present: SNOOP_QUERIER of crates/vswitch/src/limits.rs.
 * */
#define MAX_ASKED 65536
#define ASKED_NS 255000000000ULL

/* The head of a reported IGMP or MLD message; its bytes follow. */
struct heard {
	__u64 time_ns;
	__u32 number;
	/* Number of the bytes that follow. */
	__u32 taken;
	__u16 vlan;
	__u16 reserved;
	__u32 reserved2;
};

/* Messages about groups that were not reported. */
struct listening {
	/* Messages for which the ring had no room. */
	__u64 lost;
	/* Messages beyond LISTEN_LIMIT. */
	__u64 ignored;
};

/* IPFIX: flows of one turn, and new ones of one port in a window. */
#define MAX_FLOWS 16384
#define FLOW_WINDOW_NS 1000000000ULL
#define FLOW_LIMIT 4096

/* The fields that all packets of a flow share. */
struct flow_key {
	/* IPv4 addresses are in the first four bytes. */
	__u8 source[16];
	__u8 destination[16];
	/* The port whose flows are counted. */
	__u32 number;
	/* The port at the other end, plus one; 0 if unknown. */
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
	/* The turn (0 or 1): one is filled while the other is read. */
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

/* How a port's flows are counted. */
struct watch {
	/* One packet in this many. */
	__u32 every;
	/* enum watch_flag */
	__u32 flags;
};

/* The state of counting a port's flows. */
struct watched {
	/* Packets by direction, for sampling. */
	__u64 seen[2];
	/* Packets for whose flow the map had no room. */
	__u64 lost;
	/* New flows in the current window. */
	__u64 window_ns;
	__u64 flows;
};

#endif
