#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The appliance over veth, by its provider xdp: xdp.echo.{64,1024},
# xdp.lb.{64,1024} with known flows, xdp.lb.new with a new one each packet.
set -uo pipefail
# shellcheck source=perf/lib/lab.sh
. "$(dirname "$0")/lib/lab.sh"

config() { # echo|lb
	cat <<-END
	appliance: { name = "$NAME"; state = "$LAB_DIR/state"; };
	uplinks: ( { name = "wan"; device = "$WAN"; provider = "xdp"; },
	           { name = "lan"; device = "$LAN"; provider = "xdp"; } );
	functions: ( $("config_$1") );
	END
}

config_echo() {
	cat <<-END
	{ name = "it"; type = "echo"; uplink = "wan"; cores = "$SUT_CORE";
	  services = ( { name = "s"; address = "$VIP4"; port = $VPORT;
	                 protocol = "udp"; } ); }
	END
}

config_lb() {
	cat <<-END
	{ name = "it"; type = "lb"; uplink = "wan"; backend_uplink = "lan";
	  cores = "$SUT_CORE"; snat = [ "10.77.2.9" ];
	  services = ( { name = "s"; address = "$VIP4"; port = $VPORT;
	    protocol = "udp"; scheduler = "rr"; backends = (
	      { address = "10.77.2.21"; port = $VPORT; },
	      { address = "10.77.2.22"; port = $VPORT; },
	      { address = "10.77.2.23"; port = $VPORT; } ); } ); }
	END
}

serve() { # echo|lb
	config "$1" >"$LAB_DIR/$NAME.cfg"
	perf_serve
}

sizes="64 1024"
[ -z "$PERF_QUICK" ] || sizes=64
perf_begin
perf_lab
serve echo
for bytes in $sizes; do
	perf_gen echo "xdp.echo.$bytes" "$bytes" "carryall, provider xdp, one echo instance; it polls: below the most, the core works whether there is something or not" -L -P ||
		exit 1
done
carryall_stop || perf_fail "carryall does not stop"
serve lb
for bytes in $sizes; do
	perf_gen lb "xdp.lb.$bytes" "$bytes" "carryall, provider xdp, one lb instance, round robin, 3 backends; known flows; it polls: below the most, the core works whether there is something or not" -L -P ||
		exit 1
done
perf_gen fresh xdp.lb.new 64 "carryall, provider xdp, one lb instance, round robin, 3 backends; each packet a new flow, from clients alone" -P ||
	exit 1
