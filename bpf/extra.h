/* What a port or a target has only if it is asked for. The fast path tests one mask and comes here seldom. */
#ifndef ESFERA_EXTRA_H
#define ESFERA_EXTRA_H

#include "account.h"
#include "shape.h"

/* Extras of what a port sends, once it is accepted. */
#define FROM_EXTRAS PORT_SHAPED
/* What keeps a target from getting a frame, and its extras. */
#define TO_EXTRAS (PORT_BLOCKED | PORT_DEAF | PORT_SHAPED)

/* What becomes of a frame, if not an interface that it goes to. */
enum extra {
	EXTRA_GO_ON = 0,
	EXTRA_DEAF = -1,
	/* Dropped, and counted where it was dropped. */
	EXTRA_DROPPED = -2,
};

/* For a frame that a port sends: the interface that it goes to instead, or an extra. */
static __noinline int extras_from(struct __sk_buff *skb, const struct port *port)
{
	if (port->flags & PORT_SHAPED) {
		struct shaping shaping = shape(skb, port->number, WAY_FROM);

		if (shaping.is_over) {
			drop(counters_of(port->number), DROP_SHAPED);
			return EXTRA_DROPPED;
		}
		if (shaping.queue)
			return shaping.queue;
	}
	return EXTRA_GO_ON;
}

/* For a frame that is about to be delivered to a port: the interface that it goes to, or an extra. */
static __noinline int extras_to(struct __sk_buff *skb, const struct target *to)
{
	if (to->flags & (PORT_BLOCKED | PORT_DEAF))
		return EXTRA_DEAF;
	if (to->flags & PORT_SHAPED) {
		struct shaping shaping = shape(skb, to->number, WAY_TO);

		if (shaping.is_over) {
			drop(counters_of(to->number), DROP_SHAPED);
			return EXTRA_DROPPED;
		}
		if (shaping.queue)
			return shaping.queue;
	}
	return to->ifindex;
}

#endif
