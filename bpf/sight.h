/* Observing addresses behind an uplink: ARP frames are reported to the control plane, up to a limit. A storm of ARP
 * costs only the counting. */
#ifndef ESFERA_SIGHT_H
#define ESFERA_SIGHT_H

#include "account.h"
#include "maps.h"

/* Spreads uplinks over the indexes of one VLAN. */
#define SIGHT_STRIDE 61

/* Reports a broadcast or multicast ARP frame from an uplink. */
__noinline int sight(struct __sk_buff *skb, __u32 number, __u32 vlan)
{
	__u32 place = (vlan + number * SIGHT_STRIDE) % MAX_SIGHTS;
	struct storm *said = bpf_map_lookup_elem(&sights, &place);
	struct sighted *sighted;

	if (!said || is_beyond(&said->window_ns, &said->frames, SIGHT_WINDOW_NS, SIGHT_LIMIT))
		return 0;
	sighted = bpf_ringbuf_reserve(&sightings, sizeof(*sighted), 0);
	if (!sighted)
		return 0;
	sighted->ifindex = skb->ifindex;
	sighted->vlan = vlan;
	if (bpf_skb_load_bytes(skb, 0, sighted->frame, sizeof(sighted->frame)))
		bpf_ringbuf_discard(sighted, 0);
	else
		bpf_ringbuf_submit(sighted, 0);
	return 0;
}

#endif
