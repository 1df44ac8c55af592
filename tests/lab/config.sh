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

config() {
	cat <<-END
	appliance: { name = "$NAME"; state = "$LAB_DIR/state";
	  share_cores = true; $CFG_APPLIANCE };
	uplinks: ( { name = "wan"; device = "wan0"; provider = "$PROVIDER"; },
	           { name = "lan"; device = "lan0"; provider = "$PROVIDER"; } );
	functions: (
	  { name = "web"; type = "lb"; uplink = "wan"; backend_uplink = "lan";
	    instances = $CFG_INSTANCES; snat = [ "10.77.2.$CFG_SNAT", "fd77:2::$CFG_SNAT" ];
	    $CFG_WEB
	    services = (
	$(config_services)
	    ); },
	  { name = "ping"; type = "echo"; uplink = "wan"; instances = 1;
	    services = (
	$(config_echo_tcp)
	      { name = "udp4"; address = "$ECHO4"; port = 7; protocol = "udp"; },
	      { name = "udp6"; address = "$ECHO6"; port = 7; protocol = "udp"; },
	      { name = "icmp4"; address = "$ECHO4"; protocol = "icmp"; },
	      { name = "icmp6"; address = "$ECHO6"; protocol = "icmp"; } ); }
	);
	END
}
