/* Counts SYNs of each IPv4 address and drops those above a limit. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} syns SEC(".maps");

SEC("xdp")
int program(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct packet packet = {};
	struct tcphdr *tcp;
	__u64 one = 1, *count;
	__u32 key;

	parse(ctx, &packet);
	if (packet.protocol != IPPROTO_TCP || !packet.ip)
		return XDP_PASS;
	tcp = packet.transport;
	if ((void *)(tcp + 1) > end || !tcp->syn || tcp->ack)
		return XDP_PASS;
	key = packet.ip->saddr;
	count = bpf_map_lookup_elem(&syns, &key);
	if (!count) {
		bpf_map_update_elem(&syns, &key, &one, BPF_ANY);
		return XDP_PASS;
	}
	if (*count > 100)
		return XDP_DROP;
	*count += 1;
	return XDP_PASS;
}
