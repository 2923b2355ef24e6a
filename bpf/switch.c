/* The data plane: `from_port` handles frames from a VM or a VMkernel adapter, `from_uplink` those from a physical
 * network. `from_queue` goes on with frames that traffic shaping has delayed, `from_mirror` with copies, and the
 * control plane runs `forget_learned`. docs/virtual-switch/README.md explains what they do and why. */
#include "deliver.h"
#include "encapsulate.h"
#include "learn.h"
#include "sight.h"

char LICENSE[] SEC("license") = "Apache-2.0";

/* Forwards a frame from a port, once it is accepted. */
static __always_inline int forward(struct __sk_buff *skb, const struct port *port, struct frame *frame,
				   __u32 ifindex, const struct origin *origin)
{
	struct target *station;
	struct group *group;

	if (unlikely(is_group(frame->destination))) {
		int audience = AUDIENCE_ALL;

		if (unlikely(port->flags & (PORT_LISTENED | PORT_WATCHED | PORT_TEAMED))) {
			if (port->flags & PORT_LISTENED)
				audience = listen(skb, port->number, port->flags, port->network, frame->vlan);
			if (port->flags & PORT_WATCHED)
				count_flow(skb, port->number, frame->vlan, WAY_FROM);
			if (port->flags & PORT_TEAMED && !same_mac(frame->source, port->mac))
				remember(skb, port->network, frame->vlan);
		}
		group = find_group(port->network, frame->vlan, frame->destination, audience);
		if (group)
			copy_to(skb, group, frame, origin, ifindex, 0, 0);
		return send_up(skb, choose_uplink(skb, port, frame), frame, origin);
	}
	station = find_station(port->network, frame->vlan, frame->destination);
	if (!station && unlikely(port->flags & PORT_LEARNED))
		station = find_learned(port->network, frame->vlan, frame->destination);
	if (unlikely(port->flags & (PORT_SNOOPED | PORT_WATCHED))) {
		if (port->flags & PORT_WATCHED) {
			__u32 other = station ? other_end(station->number, true) : 0;

			count_flow(skb, port->number, ends(frame->vlan, other), WAY_FROM);
		}
		group = port->flags & PORT_SNOOPED ? find_promiscuous(port->network, frame->vlan) : NULL;
		if (group)
			copy_to(skb, group, frame, origin, ifindex, station ? station->ifindex : 0, 0);
	}
	if (station) {
		if (unlikely(station->ifindex == ifindex))
			return drop(skb, origin, DROP_UNKNOWN);
		return deliver(skb, station, frame, origin);
	}
	if (unlikely(port->flags & PORT_LEARNED)) {
		group = find_flooded(port->network, frame->vlan);
		if (group)
			copy_to(skb, group, frame, origin, ifindex, 0, 0);
	}
	return send_up(skb, choose_uplink(skb, port, frame), frame, origin);
}

SEC("classifier")
int from_port(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct origin origin;
	struct frame frame;

	if (!port)
		return TC_ACT_SHOT;
	if (!begin(&origin, port))
		return TC_ACT_SHOT;
	if (unlikely(port->flags & (PORT_BLOCKED | PORT_CAPTURED))) {
		if (port->flags & PORT_CAPTURED)
			capture(skb, port->number, POINT_FROM, 0);
		if (port->flags & PORT_BLOCKED)
			return drop(skb, &origin, DROP_BLOCKED);
	}
	if (!read_frame(skb, &frame) || is_group(frame.source))
		return drop(skb, &origin, DROP_MALFORMED);
	if (!same_mac(frame.source, port->mac) && !(port->flags & PORT_FORGED))
		return drop(skb, &origin, DROP_FORGED);
	if (port->vlan != VLAN_TRUNK) {
		if (unlikely(skb->vlan_present || is_tag(frame.protocol)))
			return drop(skb, &origin, DROP_TAGGED);
		frame.vlan = port->vlan;
	} else if (unlikely(is_bad_tag(skb, &frame) ||
			    (port->flags & PORT_RANGES && !takes_vlan(port->number, frame.vlan)))) {
		return drop(skb, &origin, DROP_TAGGED);
	}
	if (unlikely(is_oversize(skb, port->mtu)))
		return drop(skb, &origin, DROP_OVERSIZE);
	if (unlikely(is_control(&frame)))
		return drop(skb, &origin, DROP_CONTROL);

	if (unlikely(is_group(frame.destination)) && is_storm(port))
		return drop(skb, &origin, DROP_STORM);
	if (unlikely(port->flags & (FROM_EXTRAS | PORT_LEARNS))) {
		int extra = EXTRA_GO_ON;

		if (port->flags & PORT_LEARNS && !same_mac(frame.source, port->mac) &&
		    learn(skb, port->number, port->network, frame.vlan))
			return drop(skb, &origin, DROP_UNLEARNED);
		if (port->flags & FROM_EXTRAS)
			extra = extras_from(skb, &frame, port->number, port->flags);
		if (extra < 0)
			return TC_ACT_SHOT;
		if (extra > 0) {
			count_from(origin.mine, skb, frame.destination);
			return bpf_redirect(extra, 0);
		}
	}
	count_from(origin.mine, skb, frame.destination);
	return forward(skb, port, &frame, ifindex, &origin);
}

SEC("classifier")
int from_uplink(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, reverse;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct origin origin;
	struct target *station;
	struct group *group;
	struct frame frame;

	if (!port)
		return TC_ACT_SHOT;
	if (!begin(&origin, port))
		return TC_ACT_SHOT;
	if (unlikely(port->flags & PORT_CAPTURED))
		capture(skb, port->number, POINT_FROM, 0);
	if (!read_frame(skb, &frame) || is_group(frame.source))
		return drop(skb, &origin, DROP_MALFORMED);
	if (unlikely(is_control(&frame))) {
		if (is_for_control_plane(&frame))
			return TC_ACT_OK;
		return drop(skb, &origin, DROP_CONTROL);
	}
	if (unlikely(is_bad_tag(skb, &frame)))
		return drop(skb, &origin, DROP_TAGGED);
	if (unlikely(is_oversize(skb, port->mtu)))
		return drop(skb, &origin, DROP_OVERSIZE);
	if (unlikely(port->flags & (PORT_BLOCKED | PORT_MIRRORED))) {
		if (port->flags & PORT_BLOCKED)
			return drop(skb, &origin, DROP_BLOCKED);
		copy_to_mirrors(skb, port->network, frame.vlan, WAY_VLAN);
	}
	if (unlikely(find_station(port->network, frame.vlan, frame.source)))
		return drop(skb, &origin, DROP_REFLECTION);
	if (unlikely(port->flags & PORT_LEARNED) && is_own(skb, port->network, frame.vlan, port->flags))
		return drop(skb, &origin, DROP_REFLECTION);
	count_from(origin.mine, skb, frame.destination);

	reverse = port->flags & PORT_TEAMED ? ifindex : 0;
	if (unlikely(is_group(frame.destination))) {
		int audience = AUDIENCE_ALL;

		if (frame.protocol == bpf_htons(ETH_P_ARP))
			sight(skb, port->number, frame.vlan);
		if (unlikely(port->flags & PORT_LISTENED))
			audience = listen(skb, port->number, port->flags, port->network, frame.vlan);
		group = find_group(port->network, frame.vlan, frame.destination, audience);
		if (group)
			copy_to(skb, group, &frame, &origin, ifindex, 0, reverse);
		return TC_ACT_SHOT;
	}
	station = find_station(port->network, frame.vlan, frame.destination);
	if (!station && unlikely(port->flags & PORT_LEARNED))
		station = find_learned(port->network, frame.vlan, frame.destination);
	if (unlikely(port->flags & PORT_SNOOPED)) {
		group = find_promiscuous(port->network, frame.vlan);
		if (group)
			copy_to(skb, group, &frame, &origin, ifindex, station ? station->ifindex : 0, reverse);
	}
	if (!station && unlikely(port->flags & PORT_LEARNED)) {
		group = find_flooded(port->network, frame.vlan);
		if (group) {
			copy_to(skb, group, &frame, &origin, ifindex, 0, reverse);
			return TC_ACT_SHOT;
		}
	}
	return station ? deliver(skb, station, &frame, &origin) : drop(skb, &origin, DROP_UNKNOWN);
}

SEC("classifier")
int from_queue(struct __sk_buff *skb)
{
	__u32 place = skb->mark & MARK_NUMBER, ifindex;
	struct shaper *shaper;
	struct origin origin;
	struct port *port;
	struct frame frame;

	if ((skb->mark & MARK_KIND) != MARK_QUEUED)
		return TC_ACT_SHOT;
	dequeued(place);
	shaper = bpf_map_lookup_elem(&shapers, &place);
	if (!shaper || !shaper->ifindex)
		return TC_ACT_SHOT;
	skb->mark = 0;
	ifindex = shaper->ifindex;
	if (place % 2 == WAY_TO)
		return bpf_redirect(ifindex, 0);
	port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!port || !begin(&origin, port) || !read_frame(skb, &frame))
		return TC_ACT_SHOT;
	if (port->vlan != VLAN_TRUNK)
		frame.vlan = port->vlan;
	return forward(skb, port, &frame, ifindex, &origin);
}

SEC("classifier")
int from_mirror(struct __sk_buff *skb)
{
	__u32 number = skb->mark & MARK_NUMBER & ~MARK_COPY_TO, ifindex;
	bool to = skb->mark & MARK_COPY_TO, cut = false;
	struct mirror *mirror = bpf_map_lookup_elem(&mirrors, &number);
	struct mirrored *mirrored = bpf_map_lookup_elem(&mirrored_by, &number);
	__u64 sequence;

	if (!is_copy(skb) || !mirror || !mirrored)
		return TC_ACT_SHOT;
	sequence = __sync_fetch_and_add(&mirrored->sent, 1);
	if (mirror->snap && skb->len > mirror->snap) {
		if (bpf_skb_change_tail(skb, mirror->snap, 0))
			return TC_ACT_SHOT;
		cut = true;
	}
	if (mirror->encapsulation != ENCAPSULATE_NOT) {
		if (encapsulate(skb, mirror, sequence, to, cut))
			return TC_ACT_SHOT;
	} else if (mirror->flags & MIRROR_STRIP && skb->vlan_present) {
		/* An inner tag may stay inside, but must not become the VLAN of the copy. */
		if (bpf_skb_vlan_pop(skb) || (skb->vlan_present && !mirror->vlan))
			return TC_ACT_SHOT;
	}
	if (mirror->vlan && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), mirror->vlan))
		return TC_ACT_SHOT;
	ifindex = mirror->ifindex;
	/* A copy that enters the switch keeps its mark, so that it is not mirrored again. */
	if (mirror->flags & MIRROR_ENTER)
		return bpf_redirect(ifindex, BPF_F_INGRESS);
	skb->mark = 0;
	return bpf_redirect(ifindex, 0);
}

struct sweep {
	struct __sk_buff *skb;
	__u64 oldest;
};

static long forget_next(__u32 index, struct sweep *sweep)
{
	struct station_key key;
	struct learned *known;

	if (bpf_skb_load_bytes(sweep->skb, ETH_HLEN + index * sizeof(key), &key, sizeof(key)))
		return 1;
	known = bpf_map_lookup_elem(&learned, &key);
	return known ? forget_one(&learned, &key, known, &sweep->oldest) : 0;
}

/* Removes expired learned MACs. It is never attached: the control plane runs it. The mark is the age in milliseconds
 * after which an unused entry expires; the keys of the entries to check follow an Ethernet header. */
SEC("classifier")
int forget_learned(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_ns(), age = (__u64)skb->mark * 1000000;
	struct sweep sweep = { .skb = skb, .oldest = now > age ? now - age : 0 };

	bpf_loop(MAX_SWEPT, forget_next, &sweep, 0);
	return TC_ACT_OK;
}
