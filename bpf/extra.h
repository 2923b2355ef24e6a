/* What a port or a target has only if it is asked for. The fast path tests one mask and comes here seldom. */
#ifndef ESFERA_EXTRA_H
#define ESFERA_EXTRA_H

#include "account.h"
#include "mirror.h"
#include "shape.h"

/* Extras of what a port sends, once it is accepted. */
#define FROM_EXTRAS (PORT_SHAPED | PORT_MIRRORED)
/* What keeps a target from getting a frame, and its extras. */
#define TO_EXTRAS (PORT_BLOCKED | PORT_DEAF | PORT_SHAPED | PORT_MIRRORED)

/* What becomes of a frame, if not an interface that it goes to. */
enum extra {
	EXTRA_GO_ON = 0,
	EXTRA_DEAF = -1,
	/* Dropped, and counted where it was dropped. */
	EXTRA_DROPPED = -2,
};

/* Copies a frame as it is in the switch, with the tag of its VLAN. */
static __always_inline void mirror_port(struct __sk_buff *skb, __u32 number, __u32 way, __u16 vlan)
{
	if (!set_tag(skb, vlan))
		copy_to_mirrors(skb, number, 0, way);
}

/* For a frame that a port sends: the interface that it goes to instead, or an extra. A copy that enters here is not the port's. */
__noinline int extras_from(struct __sk_buff *skb, __u32 number, __u32 flags, __u32 vlan)
{
	struct shaping shaping = {};

	if (is_copy(skb))
		return EXTRA_GO_ON;
	if (flags & PORT_SHAPED)
		shaping = shape(skb, number, WAY_FROM);
	if (shaping.is_over) {
		drop(counters_of(number), DROP_SHAPED);
		return EXTRA_DROPPED;
	}
	if (flags & PORT_MIRRORED)
		mirror_port(skb, number, WAY_FROM, vlan);
	if (!shaping.queue)
		return EXTRA_GO_ON;
	enqueue(skb, &shaping);
	return shaping.queue;
}

/* For a frame that is about to be delivered to a port: the interface that it goes to, or an extra. Its tag may change. */
__noinline int extras_to(struct __sk_buff *skb, __u32 ifindex, __u32 number, __u32 flags, __u32 vlan)
{
	struct shaping shaping = {};

	if (flags & (PORT_BLOCKED | PORT_DEAF))
		return EXTRA_DEAF;
	if (flags & PORT_SHAPED)
		shaping = shape(skb, number, WAY_TO);
	if (shaping.is_over) {
		drop(counters_of(number), DROP_SHAPED);
		return EXTRA_DROPPED;
	}
	if (flags & PORT_MIRRORED)
		mirror_port(skb, number, WAY_TO, vlan);
	if (!shaping.queue)
		return ifindex;
	enqueue(skb, &shaping);
	return shaping.queue;
}

#endif
