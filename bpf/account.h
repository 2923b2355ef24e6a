/* Counters and limits of a port. */
#ifndef ESFERA_ACCOUNT_H
#define ESFERA_ACCOUNT_H

#include "capture.h"
#include "frame.h"
#include "maps.h"

static __always_inline struct counters *counters_of(__u32 number)
{
	return bpf_map_lookup_elem(&counters, &number);
}

/* The port or uplink that a frame came from, which is charged for it. */
struct origin {
	struct counters *mine;
	__u32 number;
	__u32 flags;
};

static __always_inline bool begin(struct origin *origin, const struct port *port)
{
	origin->number = port->number;
	origin->flags = port->flags;
	origin->mine = counters_of(port->number);
	return origin->mine;
}

static __always_inline int drop(struct __sk_buff *skb, const struct origin *origin, enum drop reason)
{
	origin->mine->drops[reason]++;
	if (unlikely(origin->flags & PORT_CAPTURED))
		capture(skb, origin->number, POINT_DROPPED, reason);
	return TC_ACT_SHOT;
}

static __always_inline void count_from(struct counters *mine, struct __sk_buff *skb, const __u8 *destination)
{
	mine->from_packets++;
	mine->from_bytes += skb->len;
	if (unlikely(is_group(destination))) {
		if (is_broadcast(destination))
			mine->from_broadcast++;
		else
			mine->from_multicast++;
	}
}

static __always_inline void count_to(__u32 number, struct __sk_buff *skb, const __u8 *destination)
{
	struct counters *theirs = counters_of(number);

	if (!theirs)
		return;
	theirs->to_packets++;
	theirs->to_bytes += skb->len;
	if (unlikely(is_group(destination))) {
		if (is_broadcast(destination))
			theirs->to_broadcast++;
		else
			theirs->to_multicast++;
	}
}

/* Counts against a limit in a window; true if the limit was reached before. Two processors that begin a window at once
 * count a few frames twice or not at all, which is acceptable for a limit and cheaper than a lock. */
static __always_inline bool is_beyond(__u64 *window_ns, __u64 *count, __u64 window, __u64 limit)
{
	__u64 now = bpf_ktime_get_ns();

	if (now - *window_ns > window) {
		*window_ns = now;
		*count = 0;
	}
	return __sync_fetch_and_add(count, 1) >= limit;
}

/* Whether the port has sent more frames to groups than it may in this window. */
static __always_inline bool is_storm(const struct port *port)
{
	__u32 number = port->number;
	struct storm *storm;

	if (!port->storm_limit)
		return false;
	storm = bpf_map_lookup_elem(&storms, &number);
	return storm && is_beyond(&storm->window_ns, &storm->frames, STORM_WINDOW_NS, port->storm_limit);
}

#endif
