#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# TCP through HAProxy in TCP mode and through the appliance on the same veth,
# with wrk and nginx: core time of a request over kept connections, and of a
# connection with one request: {haproxy.tcp,xdp.lb}.{request,connection}.
set -uo pipefail
# shellcheck source=perf/lib/http.sh
. "$(dirname "$0")/lib/http.sh"

both() { # NAME SYSTEM
	http_lines "$1.request" "requests over kept connections, of 1 KiB" \
		"$2" 1k
	http_lines "$1.connection" \
		"connections with one request each, of 1 KiB" "$2" 1k \
		-H "Connection: close"
}

http_begin
haproxy_serve tcp
both haproxy.tcp "$(haproxy_title), TCP mode, one thread"
haproxy_end
http_appliance lb ""
both xdp.lb "carryall, provider xdp, one lb instance, round robin; it shares its core with an idle one, and so does not poll"
