/* Traffic shaping: decides whether a frame exceeds its port's rate. Queues on one of the switch's internal interfaces delay early
 * frames (`from_queue` runs at its other end); without queues the same decision is a policer. A bucket holds the time until
 * which the bytes that have passed take up the rate: a frame passes while that time is at most the burst ahead, and
 * then moves it by the frame's cost. So a frame of 64 kB that is still to be segmented passes like any other, and later frames
 * pay for it. A port below its rates bypasses the queue, unless one of its frames is still in there. */
#ifndef ESFERA_SHAPE_H
#define ESFERA_SHAPE_H

#include "base.h"
#include "maps.h"

/* Ethernet, IPv4 and TCP with timestamps: the headers that each further segment repeats. */
#define SEGMENT_HEADERS 66

/* Bytes on the wire: at least as many as the guest sends, and at most what `is_oversize` allows, for any segment size that the guest
 * claims. */
static __always_inline __u64 wire_bytes(struct __sk_buff *skb)
{
	__u64 bytes = skb->len;
	__u32 size = skb->gso_size;

	if (size)
		bytes += (skb->len / size) * SEGMENT_HEADERS;
	return bytes;
}

/* A frame is not early if the frames before it take up a rate for no longer than this from now. */
#define NOT_EARLY_NS 100000
/* The count of a queue is wrong if the queue is not empty this long after all of it should have left: frames were lost
 * in it. (Where the control plane makes or changes a queue it clears the count itself.) */
#define QUEUE_LOST_NS 1000000000ULL

struct shaping {
	/* Even the queue has no room for the frame. */
	bool is_over;
	/* The interface with its queue; 0 if it passes at once. */
	__u32 queue;
	/* Its bucket. */
	__u32 place;
};

/* Takes up a rate for more time, from now on if it is free. Another processor that begins at once has set it to about
 * now, to which this is added, so every frame is paid for. */
static __always_inline void take_up(__u64 *until_ns, __u64 now, __u64 cost)
{
	__u64 before = *until_ns;

	if (before >= now || __sync_val_compare_and_swap(until_ns, before, now + cost) != before)
		__sync_fetch_and_add(until_ns, cost);
}

/* Pays for a frame. Processors that decide at once may each let one pass, but all are paid for: the rate is exact. */
static __always_inline struct shaping shape(struct __sk_buff *skb, __u32 number, __u32 way, __u64 now)
{
	__u32 place = 2 * number + way;
	struct shaper *shaper = bpf_map_lookup_elem(&shapers, &place);
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &place);
	struct shaping shaping = { .place = place };
	__u64 bytes, average, peak, ahead;

	if (!shaper || !bucket)
		return shaping;
	average = bucket->average_ns;
	peak = bucket->peak_ns;
	shaping.is_over = average > now + shaper->average_ahead_ns || peak > now + shaper->peak_ahead_ns;
	if (shaping.is_over)
		return shaping;
	ahead = average > peak ? average : peak;
	if (unlikely(bucket->queued) && ahead + QUEUE_LOST_NS < now)
		bucket->queued = 0;
	if (shaper->queue && unlikely(bucket->queued || ahead > now + NOT_EARLY_NS)) {
		shaping.queue = shaper->queue;
		__sync_fetch_and_add(&bucket->queued, 1);
	}
	bytes = wire_bytes(skb);
	take_up(&bucket->average_ns, now, bytes * shaper->average_cost >> COST_SHIFT);
	take_up(&bucket->peak_ns, now, bytes * shaper->peak_cost >> COST_SHIFT);
	return shaping;
}

/* Counts a frame that has left its queue. If the queue was declared empty meanwhile, the count stays 0. */
static __always_inline void dequeued(__u32 place)
{
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &place);

	if (bucket && !__sync_fetch_and_add(&bucket->queued, -1))
		__sync_fetch_and_add(&bucket->queued, 1);
}

/* Marks a frame for its queue. */
static __always_inline void enqueue(struct __sk_buff *skb, const struct shaping *shaping)
{
	skb->mark = MARK_QUEUED | shaping->place;
	skb->priority = QUEUE_MAJOR | (QUEUE_FIRST + shaping->place);
}

#endif
