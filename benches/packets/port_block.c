/* Drops TCP segments for one port. */
#include "common.h"

SEC("xdp")
int program(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct packet packet = {};
	struct tcphdr *tcp;

	parse(ctx, &packet);
	if (packet.protocol != IPPROTO_TCP)
		return XDP_PASS;
	tcp = packet.transport;
	if ((void *)(tcp + 1) > end)
		return XDP_PASS;
	return tcp->dest == htons(8080) ? XDP_DROP : XDP_PASS;
}
