/* Port mirroring, at the source: copying a frame to its mirrors. The copy is cut, tagged or encapsulated at the other
 * end of an internal interface that carries only copies, so the original stays unchanged. That interface has no
 * offloads (no segmentation, no checksums), so frames leave it as they would be on a wire. */
#ifndef ESFERA_MIRROR_H
#define ESFERA_MIRROR_H

#include "frame.h"
#include "maps.h"
#include "team.h"

static __always_inline bool is_copy(struct __sk_buff *skb)
{
	return (skb->mark & MARK_KIND) == MARK_COPY;
}

/* Copies a frame, tagged with its VLAN, to the mirrors of a source. A mirror's copy, which may enter the switch again,
 * is not copied. */
/* Not static, as in extra.h: the verifier then checks it once, not for every path to every call. */
__noinline int copy_to_mirrors(struct __sk_buff *skb, __u32 of, __u32 vlan, __u32 way)
{
	struct source_key key = { .of = of, .vlan = vlan, .way = way };
	struct copies *copies = bpf_map_lookup_elem(&sources, &key);
	__u32 mark = skb->mark, to = way == WAY_TO ? MARK_COPY_TO : 0;

	if (!copies || is_copy(skb))
		return 0;
	for (__u32 at = 0; at < MAX_COPIES; at++) {
		__u32 number = copies->mirror[at];
		struct mirrored *mirrored;
		struct mirror *mirror;

		if (at >= copies->count)
			break;
		mirror = bpf_map_lookup_elem(&mirrors, &number);
		mirrored = bpf_map_lookup_elem(&mirrored_by, &number);
		if (!mirror || !mirrored)
			continue;
		if (mirror->flags & MIRROR_TEAMED && !is_slot_of(mirror->team, mirror->slot, skb->ifindex))
			continue;
		if (__sync_fetch_and_add(&mirrored->seen, 1) % (mirror->every ?: 1))
			continue;
		skb->mark = MARK_COPY | to | number;
		bpf_clone_redirect(skb, copies->ifindex, 0);
	}
	skb->mark = mark;
	return 0;
}

#endif
