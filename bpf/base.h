/* Common definitions of all files of the programs. */
#ifndef ESFERA_BASE_H
#define ESFERA_BASE_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Not in every release of the kernel's headers. */
#ifndef ETH_P_BEACON
#define ETH_P_BEACON 0x8922
#endif

#define VLAN_ID_MASK 0x0fff
#define VLAN_TAG_BYTES 4

#endif
