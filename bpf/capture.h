/* Capture of frames at a point. A frame is assembled in a buffer per processor, since the length to capture is known
 * only at run time. */
#ifndef ESFERA_CAPTURE_H
#define ESFERA_CAPTURE_H

#include "maps.h"

static __always_inline void count_lost(__u32 captures)
{
	for (__u32 capture = 0; capture < MAX_CAPTURES; capture++) {
		__u32 key = capture;
		__u64 *lost;

		if (!(captures & 1U << capture))
			continue;
		lost = bpf_map_lookup_elem(&captures_lost, &key);
		if (lost)
			__sync_fetch_and_add(lost, 1);
	}
}

/* For a port or an uplink that has the flag. */
__noinline int capture(struct __sk_buff *skb, __u32 number, __u32 point, __u32 reason)
{
	struct point_key key = { .number = number, .point = point };
	struct capture *wanted = bpf_map_lookup_elem(&captures, &key);
	__u32 zero = 0, length = skb->len, taken;
	struct capture_room *room;

	if (!wanted)
		return 0;
	room = bpf_map_lookup_elem(&capture_rooms, &zero);
	if (!room)
		return 0;
	taken = length < wanted->snap ? length : wanted->snap;
	room->head = (struct captured){
		.time_ns = bpf_ktime_get_ns(),
		.captures = wanted->captures,
		.number = number,
		.point = point,
		.reason = reason,
		.length = length,
		.taken = taken,
		.tag = skb->vlan_present ? CAPTURED_TAG | skb->vlan_tci : 0,
	};
	/* The verifier must see both bounds. */
	asm volatile("" : "+r"(taken));
	if (taken == 0 || taken > MAX_SNAP)
		return 0;
	if (bpf_skb_load_bytes(skb, 0, room->bytes, taken))
		return 0;
	if (bpf_ringbuf_output(&captured, room, sizeof(room->head) + taken, 0))
		count_lost(wanted->captures);
	return 0;
}

#endif
