/* Counts the packets of each flow of IPv4: addresses, ports, protocol. */
#include "common.h"

struct flow {
	__u32 saddr, daddr;
	__u16 sport, dport;
	__u8 protocol;
	__u8 padding[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int program(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct packet packet = {};
	struct flow flow = {};
	struct udphdr *ports;
	__u64 one = 1, *count;

	parse(ctx, &packet);
	if (!packet.ip || (packet.protocol != IPPROTO_TCP && packet.protocol != IPPROTO_UDP))
		return XDP_PASS;
	ports = packet.transport;
	if ((void *)(ports + 1) > end)
		return XDP_PASS;
	flow.saddr = packet.ip->saddr;
	flow.daddr = packet.ip->daddr;
	flow.sport = __builtin_bswap16(ports->source);
	flow.dport = __builtin_bswap16(ports->dest);
	flow.protocol = packet.protocol;
	count = bpf_map_lookup_elem(&flows, &flow);
	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&flows, &flow, &one, BPF_ANY);
	return XDP_PASS;
}
