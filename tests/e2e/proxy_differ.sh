#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# providers: xdp soft
# bound: 60
#
# Well-formed requests and answers through this proxy, HAProxy and nginx: what
# the server sees and what the client gets is the same, but for differences
# that have a name and a reason (differ.py).
set -u
# shellcheck source=tests/lab/check.sh
. "$(dirname "$0")/../lab/check.sh"
# shellcheck source=tests/lab/config.sh
. "$(dirname "$0")/../lab/config.sh"
DIFFER=$ROOT/tests/e2e/differ.py
command -v haproxy >/dev/null || skip_all "needs haproxy"

CFG_FUNCTIONS=edge
CFG_INSTANCES=1
CFG_EDGE_SERVICES=",
    $(config_site differ "$VIP4" 8000 "forwarded_for = false;
	backends = ( { address = \"10.77.2.21\"; port = 9001; } );")"

haproxy_conf() {
	cat <<-END
	defaults
	  mode http
	  timeout client 20s
	  timeout server 20s
	  timeout connect 5s
	listen differ
	  bind 10.77.1.1:9002
	  server one 10.77.2.21:9002
	END
}

nginx_conf() {
	cat <<-END
	user root;
	daemon off;
	pid $LAB_DIR/front.pid;
	events { }
	http {
		access_log off;
		server {
			listen 10.77.1.1:9003;
			client_body_temp_path $LAB_DIR/f1;
			proxy_temp_path $LAB_DIR/f2;
			fastcgi_temp_path $LAB_DIR/f3;
			uwsgi_temp_path $LAB_DIR/f4;
			scgi_temp_path $LAB_DIR/f5;
			underscores_in_headers on;
			ignore_invalid_headers off;
			merge_slashes off;
			location / {
				proxy_pass http://10.77.2.21:9003;
				proxy_http_version 1.1;
				proxy_set_header Host \$http_host;
				proxy_set_header Connection "";
				proxy_redirect off;
			}
		}
	}
	END
}

listens() {
	lab_in "$1" ss -Htln "sport = :$2" | grep -q .
}

test_begin
haproxy_conf > "$LAB_DIR/haproxy.cfg"
nginx_conf > "$LAB_DIR/front.conf"
test_serve
lab_spawn recorder b1 /usr/bin/python3 "$DIFFER" serve "$LAB_DIR/seen" \
	9001 9002 9003
lab_spawn haproxy box haproxy -db -f "$LAB_DIR/haproxy.cfg"
lab_spawn front box nginx -c "$LAB_DIR/front.conf" -e "$LAB_DIR/front.err"
for at in "b1 9001" "b1 9003" "box 9002" "box 9003"; do
	# shellcheck disable=SC2086 # two words
	wait_for 10 listens $at || bail "$at listens"
done
client /usr/bin/python3 "$DIFFER" ask "$LAB_DIR/asked" "ours=$VIP4:8000" \
	haproxy=10.77.1.1:9002 nginx=10.77.1.1:9003 || bail "all is asked"
/usr/bin/python3 "$DIFFER" compare "$LAB_DIR/asked" "$LAB_DIR/seen" \
	ours=9001 haproxy=9002 nginx=9003 || TEST_FAILED=1
test_end
