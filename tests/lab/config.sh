# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# The configs of the end-to-end tests: one shape, made from variables that a
# test may set before it calls `config`.

# Who makes the VNICs: xdp or soft, also from the environment.
PROVIDER=${PROVIDER:-xdp}
CFG_INSTANCES=2
# Last parts of the backends' addresses and their weights; 3/24 is far.
CFG_BACKENDS="21=2 22=1 23=1"
CFG_SCHEDULER=maglev
# Last part of the SNAT addresses.
CFG_SNAT=9
# More keys of the function web, and of the appliance.
CFG_WEB=""
CFG_APPLIANCE=""
# More keys of the services made next.
CFG_SERVICE=""
# Whether the function ping has services of TCP, too.
CFG_ECHO_TCP=false
# The functions: a load balancer web and an echo server ping, or a proxy edge.
CFG_FUNCTIONS="web ping"
# More keys of the function edge, and of its services site4 and site6; the port
# of their backends; services besides these, each with a comma before it.
CFG_EDGE=""
CFG_SITE=""
CFG_PORT=80
CFG_EDGE_SERVICES=""

# One backend's addresses: HOST=WEIGHT, in family 4 or 6.
config_backend() {
	local host=${1%=*} weight=${1#*=} net=2
	[ "$host" != 24 ] || net=3
	case $2 in
	4) host="10.77.$net.$host" ;;
	6) host="fd77:$net::$host" ;;
	esac
	printf '{ address = "%s"; weight = %s; }' "$host" "$weight"
}

# config_service NAME ADDRESS PORT PROTOCOL FAMILY
config_service() {
	local b sep=""
	printf '    { name = "%s"; address = "%s"; port = %s;\n' "$1" "$2" "$3"
	printf '      protocol = "%s"; scheduler = "%s"; %s\n' "$4" \
		"$CFG_SCHEDULER" "$CFG_SERVICE"
	printf '      backends = (\n'
	for b in $CFG_BACKENDS; do
		printf '%s        %s' "$sep" "$(config_backend "$b" "$5")"
		sep=$',\n'
	done
	printf ' ); }'
}

config_services() {
	config_service site4 "$VIP4" 80 tcp 4; echo ,
	config_service site6 "$VIP6" 80 tcp 6; echo ,
	config_service sink4 "$VIP4" 81 tcp 4; echo ,
	config_service sink6 "$VIP6" 81 tcp 6; echo ,
	config_service dns4 "$VIP4" 53 udp 4; echo ,
	config_service dns6 "$VIP6" 53 udp 6; echo
}

config_echo_tcp() {
	[ "$CFG_ECHO_TCP" = true ] || return 0
	cat <<-END
	      { name = "tcp4"; address = "$ECHO4"; port = 7; protocol = "tcp"; },
	      { name = "tcp6"; address = "$ECHO6"; port = 7; protocol = "tcp"; },
	END
}

config_web() {
	cat <<-END
	  { name = "web"; type = "lb"; uplink = "wan"; backend_uplink = "lan";
	    instances = $CFG_INSTANCES; snat = [ "10.77.2.$CFG_SNAT", "fd77:2::$CFG_SNAT" ];
	    $CFG_WEB
	    services = (
	$(config_services)
	    ); }
	END
}

config_ping() {
	cat <<-END
	  { name = "ping"; type = "echo"; uplink = "wan"; instances = 1;
	    services = (
	$(config_echo_tcp)
	      { name = "udp4"; address = "$ECHO4"; port = 7; protocol = "udp"; },
	      { name = "udp6"; address = "$ECHO6"; port = 7; protocol = "udp"; },
	      { name = "icmp4"; address = "$ECHO4"; protocol = "icmp"; },
	      { name = "icmp6"; address = "$ECHO6"; protocol = "icmp"; } ); }
	END
}

# config_origins PORT HOST...: servers behind edge.
config_origins() {
	local port=$1 host sep=""
	shift
	printf 'backends = ('
	for host in "$@"; do
		printf '%s { address = "%s"; port = %s; }' "$sep" "$host" "$port"
		sep=,
	done
	printf ' );'
}

# config_site NAME ADDRESS PORT KEYS: a service of edge.
config_site() {
	printf '{ name = "%s"; address = "%s"; port = %s; protocol = "tcp";\n' \
		"$1" "$2" "$3"
	printf '      %s }' "$4"
}

# The clients of either family meet backends of both.
config_edge() {
	local keys
	keys="$CFG_SITE $(config_origins "$CFG_PORT" \
		10.77.2.21 fd77:2::22 10.77.2.23)"
	cat <<-END
	  { name = "edge"; type = "proxy"; uplink = "wan"; backend_uplink = "lan";
	    instances = $CFG_INSTANCES; snat = [ "10.77.2.$CFG_SNAT", "fd77:2::$CFG_SNAT" ];
	    $CFG_EDGE
	    services = (
	    $(config_site site4 "$VIP4" 80 "$keys"),
	    $(config_site site6 "$VIP6" 80 "$keys")$CFG_EDGE_SERVICES
	    ); }
	END
}

config_functions() {
	local f sep=""
	for f in $CFG_FUNCTIONS; do
		printf '%s' "$sep"
		"config_$f"
		sep=,
	done
}

config() {
	cat <<-END
	appliance: { name = "$NAME"; state = "$LAB_DIR/state";
	  share_cores = true; $CFG_APPLIANCE };
	uplinks: ( { name = "wan"; device = "wan0"; provider = "$PROVIDER"; },
	           { name = "lan"; device = "lan0"; provider = "$PROVIDER"; } );
	functions: (
	$(config_functions)
	);
	END
}
