/* Optional features of ports and targets. The fast path tests one mask and rarely comes here. */
#ifndef ESFERA_EXTRA_H
#define ESFERA_EXTRA_H

#include "account.h"
#include "flows.h"
#include "mirror.h"
#include "shape.h"

/* Features for frames that a port sends, once they are accepted. */
#define FROM_EXTRAS (PORT_SHAPED | PORT_MIRRORED)
/* Flags that keep a target from receiving, and features for received frames. */
#define TO_EXTRAS (PORT_BLOCKED | PORT_DEAF | PORT_SHAPED | PORT_MIRRORED | PORT_CAPTURED | \
		   PORT_RANGES | PORT_WATCHED)

/* The fate of a frame, if it is not the interface that it goes to. */
enum extra {
	EXTRA_GO_ON = 0,
	EXTRA_DEAF = -1,
	/* Dropped, and already counted. */
	EXTRA_DROPPED = -2,
};

/* Drops a frame that exceeds a port's rate. */
static __always_inline void drop_shaped(struct __sk_buff *skb, __u32 number, __u32 flags)
{
	struct origin origin = { .mine = counters_of(number), .number = number, .flags = flags };

	if (origin.mine)
		drop(skb, &origin, DROP_SHAPED);
}

/* Copies a frame as it is in the switch, with the tag of its VLAN. */
static __always_inline void mirror_port(struct __sk_buff *skb, __u32 number, __u32 way, __u16 vlan)
{
	if (!set_tag(skb, vlan))
		copy_to_mirrors(skb, number, 0, way);
}

/* For a frame that a port sends: the interface that it goes to instead, or an enum extra. A mirror's copy that enters
 * here does not count as the port's. */
__noinline int extras_from(struct __sk_buff *skb, struct frame *frame, __u32 number, __u32 flags)
{
	struct shaping shaping = {};

	if (!frame || is_copy(skb))
		return EXTRA_GO_ON;
	if (flags & PORT_SHAPED)
		shaping = shape(skb, number, WAY_FROM, now_of(frame));
	if (shaping.is_over) {
		drop_shaped(skb, number, flags);
		return EXTRA_DROPPED;
	}
	if (flags & PORT_MIRRORED)
		mirror_port(skb, number, WAY_FROM, frame->vlan);
	if (!shaping.queue)
		return EXTRA_GO_ON;
	enqueue(skb, &shaping);
	return shaping.queue;
}

/* The tag of a frame for a port. */
static __always_inline __u16 tag_for(const struct target *to, const struct frame *frame)
{
	return to->vlan == VLAN_TRUNK ? frame->vlan : 0;
}

/* For a frame that is about to be delivered to a port: the interface that it goes to, or an enum extra. A mirror's copy
 * is not shaped: its source was, and in a queue it would lose its mark. `from` is the other end. */
__noinline int extras_to(struct __sk_buff *skb, struct frame *frame, struct target *to, __u32 from)
{
	struct shaping shaping = {};
	__u32 flags;

	if (!frame || !to)
		return EXTRA_DROPPED;
	flags = to->flags;
	if (flags & (PORT_BLOCKED | PORT_DEAF) || (flags & PORT_RANGES && !takes_vlan(to->number, frame->vlan)))
		return EXTRA_DEAF;
	if (flags & PORT_SHAPED && !is_copy(skb))
		shaping = shape(skb, to->number, WAY_TO, now_of(frame));
	if (shaping.is_over) {
		drop_shaped(skb, to->number, flags);
		return EXTRA_DROPPED;
	}
	if (flags & PORT_MIRRORED)
		mirror_port(skb, to->number, WAY_TO, frame->vlan);
	if (set_tag(skb, tag_for(to, frame)))
		return EXTRA_DROPPED;
	if (flags & PORT_CAPTURED)
		capture(skb, to->number, POINT_TO, 0);
	if (flags & PORT_WATCHED)
		count_flow(skb, to->number, ends(frame->vlan, from), WAY_TO);
	if (!shaping.queue)
		return to->ifindex;
	enqueue(skb, &shaping);
	return shaping.queue;
}

#endif
