/* What the C programs share: declarations that libbpf's headers would give, and the walk to the
 * transport header over VLAN tags, the options of IPv4 and the extension headers of IPv6. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define always_inline inline __attribute__((always_inline))
#define htons(n) __builtin_bswap16(n)

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value,
					 unsigned long long flags) = (void *)2;
static unsigned long long (*const bpf_ktime_get_boot_ns)(void) = (void *)125;

struct vlan_tag {
	__be16 tci;
	__be16 protocol;
};

struct extension {
	__u8 next;
	__u8 length;
	__be16 fragment;
	__u32 id;
};

struct packet {
	struct iphdr *ip;
	struct ipv6hdr *ip6;
	void *transport;
	__u8 protocol;
};

/* Finds the network and transport headers; protocol is 0 if there is no transport header. */
static always_inline void parse(struct xdp_md *ctx, struct packet *packet)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	void *at = eth + 1;
	__be16 kind;

	if (at > end)
		return;
	kind = eth->h_proto;
	for (int i = 0; i < 2; i++) {
		struct vlan_tag *tag = at;

		if (kind != htons(ETH_P_8021Q) && kind != htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return;
		kind = tag->protocol;
		at = tag + 1;
	}
	if (kind == htons(ETH_P_IP)) {
		struct iphdr *ip = at;

		if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
			return;
		packet->ip = ip;
		if (ip->frag_off & htons(0x1fff))
			return;
		packet->transport = at + ip->ihl * 4;
		packet->protocol = ip->protocol;
	} else if (kind == htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = at;
		__u8 next;

		if ((void *)(ip6 + 1) > end || ip6->version != 6)
			return;
		packet->ip6 = ip6;
		next = ip6->nexthdr;
		at = ip6 + 1;
		for (int i = 0; i < 8; i++) {
			struct extension *extension = at;

			if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60)
				break;
			if ((void *)(extension + 1) > end)
				return;
			if (next == 44) {
				if (extension->fragment & htons(0xfff8))
					return;
				at += 8;
			} else if (next == 51) {
				at += (extension->length + 2) * 4;
			} else {
				at += (extension->length + 1) * 8;
			}
			next = extension->next;
		}
		packet->transport = at;
		packet->protocol = next;
	}
}

char _license[] SEC("license") = "GPL";
