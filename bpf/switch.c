/* The data plane: `from_port` runs for what a VM or a VMkernel adapter sends, `from_uplink` for what a physical network does.
 * docs/virtual-switch.md says what they do and why. */
#include <stdbool.h>

#include "deliver.h"

char LICENSE[] SEC("license") = "Apache-2.0";

SEC("classifier")
int from_port(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct counters *mine;
	struct target *station;
	struct group *group;
	struct frame frame;

	if (!port)
		return TC_ACT_SHOT;
	mine = counters_of(port->number);
	if (!mine)
		return TC_ACT_SHOT;
	if (unlikely(port->flags & PORT_BLOCKED))
		return drop(mine, DROP_BLOCKED);
	if (!read_frame(skb, &frame) || is_group(frame.source))
		return drop(mine, DROP_MALFORMED);
	if (!same_mac(frame.source, port->mac) && !(port->flags & PORT_FORGED))
		return drop(mine, DROP_FORGED);
	if (port->vlan != VLAN_TRUNK) {
		if (unlikely(skb->vlan_present || is_tag(frame.protocol)))
			return drop(mine, DROP_TAGGED);
		frame.vlan = port->vlan;
	} else if (unlikely(skb->vlan_present && skb->vlan_proto != bpf_htons(ETH_P_8021Q))) {
		return drop(mine, DROP_TAGGED);
	}
	if (unlikely(is_oversize(skb, port->mtu)))
		return drop(mine, DROP_OVERSIZE);
	if (unlikely(is_control(&frame)))
		return drop(mine, DROP_CONTROL);

	if (unlikely(is_group(frame.destination))) {
		if (is_storm(port))
			return drop(mine, DROP_STORM);
		count_from(mine, skb, frame.destination);
		group = find_group(port->network, frame.vlan, frame.destination);
		if (group)
			copy_to(skb, group, &frame, ifindex, 0, 0);
		return send_up(skb, choose_uplink(skb, port, &frame), &frame, mine);
	}

	count_from(mine, skb, frame.destination);
	station = find_station(port->network, frame.vlan, frame.destination);
	if (unlikely(port->flags & PORT_SNOOPED)) {
		group = find_promiscuous(port->network, frame.vlan);
		if (group)
			copy_to(skb, group, &frame, ifindex, station ? station->ifindex : 0, 0);
	}
	if (station) {
		if (unlikely(station->ifindex == ifindex))
			return drop(mine, DROP_UNKNOWN);
		return deliver(skb, station, &frame, mine);
	}
	return send_up(skb, choose_uplink(skb, port, &frame), &frame, mine);
}

SEC("classifier")
int from_uplink(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex, reverse;
	struct port *port = bpf_map_lookup_elem(&ports, &ifindex);
	struct counters *mine;
	struct target *station;
	struct group *group;
	struct frame frame;

	if (!port)
		return TC_ACT_SHOT;
	mine = counters_of(port->number);
	if (!mine)
		return TC_ACT_SHOT;
	if (!read_frame(skb, &frame) || is_group(frame.source))
		return drop(mine, DROP_MALFORMED);
	if (unlikely(is_control(&frame)))
		return TC_ACT_OK;
	if (unlikely(port->flags & PORT_BLOCKED))
		return drop(mine, DROP_BLOCKED);
	if (unlikely(skb->vlan_present && skb->vlan_proto != bpf_htons(ETH_P_8021Q)))
		return drop(mine, DROP_TAGGED);
	if (unlikely(is_oversize(skb, port->mtu)))
		return drop(mine, DROP_OVERSIZE);
	if (unlikely(find_station(port->network, frame.vlan, frame.source)))
		return drop(mine, DROP_REFLECTION);
	count_from(mine, skb, frame.destination);

	reverse = port->flags & PORT_TEAMED ? ifindex : 0;
	if (unlikely(is_group(frame.destination))) {
		group = find_group(port->network, frame.vlan, frame.destination);
		if (group)
			copy_to(skb, group, &frame, ifindex, 0, reverse);
		return TC_ACT_SHOT;
	}
	station = find_station(port->network, frame.vlan, frame.destination);
	if (unlikely(port->flags & PORT_SNOOPED)) {
		group = find_promiscuous(port->network, frame.vlan);
		if (group)
			copy_to(skb, group, &frame, ifindex, station ? station->ifindex : 0, reverse);
	}
	return station ? deliver(skb, station, &frame, mine) : drop(mine, DROP_UNKNOWN);
}
