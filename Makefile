# SPDX-License-Identifier: BSD-3-Clause
# Carryall: `make help` lists the targets. All outputs go under build/.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/bash

VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
BUILD   ?= build
JOBS    ?= $(shell nproc)

# `make V=1` shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

# --- what it needs ---------------------------------------------------------
DEPS_BUILD := gcc make liburing-dev libisal-dev clang llvm pkgconf libdpdk-dev libbpf-dev bpftool \
	libconfig-dev libnl-route-3-dev libcap-ng-dev libseccomp-dev \
	libjansson-dev libnuma-dev libsystemd-dev libpcap-dev node-llhttp
DEPS_TEST := $(DEPS_BUILD) check libsubunit-dev libclang-rt-14-dev \
	clang-format clang-tidy cppcheck shellcheck mandoc iproute2 ethtool \
	tcpdump procps iputils-ping curl jq nginx-light wrk apache2-utils \
	iperf3 dnsmasq-base bind9-dnsutils python3 git bsdextrautils haproxy nghttp2-client \
	libfuse3-dev liblwip-dev
DEPS_LAB := $(DEPS_BUILD) iproute2 ethtool tcpdump procps iputils-ping curl \
	jq nginx-light wrk python3 dnsmasq-base
DEPS_PERF := $(DEPS_TEST) gnuplot-nox haproxy nftables dpdk-dev \
	librte-net-vhost23 librte-net-virtio23

# Installs what is missing; silent and quick when nothing is.
define need
@missing=$$(for p in $(1); do \
	s=$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null); \
	[ "$$s" = installed ] || echo $$p; done); \
[ -z "$$missing" ] || { echo "installing:" $$missing; \
	apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -q --no-install-recommends $$missing >/dev/null; }
endef

# --- sources ---------------------------------------------------------------
# A function is a folder nf/NAME with a NAME.c in it.
NF_DIRS   := $(foreach d,$(patsubst nf/%/,%,$(sort $(wildcard nf/*/))),\
	$(if $(wildcard nf/$(d)/$(d).c),$(d)))
DP_SRC    := $(wildcard dataplane/*.c dataplane/*/*.c)
NF_SRC    := $(wildcard nf/*/*.c)
CTRL_SRC  := $(wildcard ctrl/*.c ctrl/*/*.c)
APP_SRC   := $(wildcard appliance/*.c)
BPF_SRC   := $(wildcard ctrl/*/*.bpf.c)
CTRL_SRC  := $(filter-out $(BPF_SRC),$(CTRL_SRC))
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
PERF_SRC  := $(wildcard perf/*.c)
PERF_LIB  := $(wildcard perf/lib/*.c)
E2E_SRC   := $(filter-out tests/e2e/frame.c,$(wildcard tests/e2e/*.c))

GEN       := build/gen
SKELS     := $(patsubst %.bpf.c,$(GEN)/%.skel.h,$(notdir $(BPF_SRC)))
NF_LIST   := $(GEN)/nf_list.c

# --- flags -----------------------------------------------------------------
WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wvla \
	-Wstrict-prototypes -Wpointer-arith -Wundef -Wformat=2
OPT  ?= -O3 -g
PKGS := libbpf libconfig libnl-route-3.0 libcap-ng libseccomp jansson \
	libsystemd libisal libpcap
BASE_FLAGS = -std=gnu11 $(OPT) $(WARN) -D_GNU_SOURCE -I. -I$(GEN) \
	-DCARRYALL_VERSION='"$(VERSION)"' $(LLHTTP_INC) -MMD -MP $(SAN)
# System headers by -isystem: their warnings are not ours.
DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags \
	libdpdk 2>/dev/null))
PKG_CFLAGS  := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags \
	$(PKGS) 2>/dev/null))

# DPDK is linked statically with the drivers we use and no others, so that an
# instance starts in a fraction of a second and needs no plugin directory.
DPDK_DRIVERS := mempool_ring bus_vdev bus_pci net_af_xdp net_af_packet net_virtio \
	net_vhost net_null net_ring
DPDK_LIBS    := vhost cryptodev dmadev pci bpf hash ethdev mbuf mempool net meter rcu ring eal telemetry kvargs
DPDK_LDLIBS  := -Wl,--whole-archive \
	$(DPDK_DRIVERS:%=-l:librte_%.a) -Wl,--no-whole-archive \
	-Wl,--start-group $(DPDK_LIBS:%=-l:librte_%.a) -Wl,--end-group \
	-lxdp -lbpf -lelf -lz -lnuma -lbsd -lpthread -ldl -lm
# liburing's shared library does not export all that its header has.
LDLIBS = $(DPDK_LDLIBS) $(shell pkg-config --libs $(PKGS)) -l:liburing.a
LDFLAGS = $(SAN) -Wl,-z,relro,-z,now

# Debian ships llhttp as C sources, not as a library.
LLHTTP     := /usr/share/llhttp
LLHTTP_INC := -isystem /usr/share/include/llhttp
LLHTTP_SIMD := $(if $(filter x86_64,$(shell uname -m)),-msse4.2)
LLHTTP_SRC := $(addprefix $(LLHTTP)/,api.c http.c llhttp.c)

# --- objects ---------------------------------------------------------------
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_SRC := $(DP_SRC) $(NF_SRC) $(CTRL_SRC)
LIB_OBJ  = $(call obj,$(LIB_SRC)) $(BUILD)/obj/nf_list.o \
	$(LLHTTP_SRC:$(LLHTTP)/%.c=$(BUILD)/obj/llhttp/%.o)
APP_OBJ  = $(call obj,$(APP_SRC))
LIB      = $(BUILD)/libcarryall.a

.PHONY: all deps deps-test deps-lab deps-perf help test unit fuzz lint e2e demo lab \
	lab-down perf perf-quick install clean compile compile-clang format man

all: deps ## build everything: build/carryall
	@$(MAKE) -j$(JOBS) compile

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | \
		sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

deps: ## install what the build needs (Debian 12; quick when there)
	$(call need,$(DEPS_BUILD))

deps-test:
	$(call need,$(DEPS_TEST))

deps-lab:
	$(call need,$(DEPS_LAB))

deps-perf:
	$(call need,$(DEPS_PERF))

compile: $(BUILD)/carryall

$(BUILD)/carryall: $(APP_OBJ) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(APP_OBJ) $(LIB) $(LDLIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(BUILD)/obj/%.o: EXTRA = $(DPDK_CFLAGS) $(PKG_CFLAGS)
$(BUILD)/obj/ctrl/%.o: EXTRA = $(PKG_CFLAGS)
$(BUILD)/obj/%.o: %.c | $(SKELS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(BASE_FLAGS) $(EXTRA) -c -o $@ $<

# Without strict mode it takes CR alone for the end of a line.
$(BUILD)/obj/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 $(OPT) -w -DLLHTTP_STRICT_MODE=1 $(LLHTTP_SIMD) \
		$(LLHTTP_INC) $(SAN) -c -o $@ $<

$(BUILD)/obj/nf_list.o: $(NF_LIST)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_FLAGS) $(DPDK_CFLAGS) -c -o $@ $<

$(NF_LIST): FORCE
	@mkdir -p $(@D)
	@{ echo '#include "dataplane/nf.h"'; \
	for f in $(NF_DIRS); do echo "extern const struct nf nf_$$f;"; done; \
	echo 'const struct nf *const nf_all[] = {'; \
	for f in $(NF_DIRS); do echo "	&nf_$$f,"; done; \
	echo '	0,'; echo '};'; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# With .SECONDARY alone a target that is no file is never remade.
.PHONY: FORCE
FORCE:

# BPF: one object and one skeleton per program file.
vpath %.bpf.c $(sort $(dir $(BPF_SRC)))
$(GEN)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) -O2 -g -Wall -Wextra -Werror -target bpf -mcpu=v3 -I. \
		-isystem /usr/include/$(shell gcc -print-multiarch) \
		-MMD -MF $@.d -MT $@ -c -o $@ $<

# What libxdp reads of a program, libbpf does not know, and says so.
$(GEN)/%.skel.h: $(GEN)/%.bpf.o
	$(Q)bpftool gen skeleton $< name $*_bpf > $@ \
		2> >(grep -v 'unrecognized data section(.*) xdp_metadata' >&2)

-include $(wildcard $(GEN)/*.d)
-include $(shell [ -d build ] && find build -name '*.d' -path '*/obj/*')

# --- tests -----------------------------------------------------------------
# Unit tests are built under the sanitizers, into their own tree.
UNIT_BIN := $(patsubst tests/unit/%.c,build/asan/unit/%,$(UNIT_SRC))
ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer

build/asan/unit/%: build/asan/obj/tests/unit/%.o build/asan/libcarryall.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ASAN) -o $@ $< build/asan/libcarryall.a $(LDLIBS) \
		$(shell pkg-config --libs check)

# lwip is loaded when it runs: its functions have names of ours.
build/asan/obj/tests/unit/lwip_peer.o: EXTRA = -isystem /usr/include/lwip
build/asan/unit/test_tcp_lwip: build/asan/obj/tests/unit/test_tcp_lwip.o \
		build/asan/obj/tests/unit/lwip_peer.o build/asan/libcarryall.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ASAN) -o $@ $^ $(LDLIBS) $(shell pkg-config --libs check)

# What benchmarks measure with is tested as well.
$(filter build/asan/unit/test_perf_%,$(UNIT_BIN)): build/asan/unit/%: \
		build/asan/obj/tests/unit/%.o \
		$(PERF_LIB:%.c=build/asan/obj/%.o) build/asan/libcarryall.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ASAN) -o $@ $^ $(LDLIBS) $(shell pkg-config --libs check)

unit-bins: $(UNIT_BIN)

unit-build:
	@$(MAKE) -j$(JOBS) BUILD=build/asan OPT="-O1 -g" SAN="$(ASAN)" unit-bins

FUZZ_BIN := $(patsubst tests/fuzz/%.c,build/fuzz/bin/%,$(FUZZ_SRC))
FUZZ_SAN := -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all

build/fuzz/bin/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/libcarryall.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined -o $@ $< \
		build/fuzz/libcarryall.a $(LDLIBS)

fuzz-bins: $(FUZZ_BIN)

fuzz-build:
	@$(MAKE) -j$(JOBS) BUILD=build/fuzz CC=$(CLANG) OPT="-O1 -g" \
		SAN="$(FUZZ_SAN)" fuzz-bins

# Programs that the end-to-end tests send odd frames with.
E2E_BIN := $(patsubst tests/e2e/%.c,build/tests/%,$(E2E_SRC))

build/tests/%: $(BUILD)/obj/tests/e2e/%.o $(BUILD)/obj/tests/e2e/frame.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^

# Those that use the log itself.
build/tests/log_%: $(BUILD)/obj/tests/e2e/log_%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

# The file system whose faults are switched while it runs.
$(BUILD)/obj/tests/e2e/faultfs.o: EXTRA = $(patsubst -I%,-isystem %,$(shell \
	pkg-config --cflags fuse3))
build/tests/faultfs: $(BUILD)/obj/tests/e2e/faultfs.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(shell pkg-config --libs fuse3)

e2e-bins: $(E2E_BIN)

compile-clang:
	@$(MAKE) -j$(JOBS) BUILD=build/clang CC=$(CLANG) compile

test: deps-test ## every test: both compilers, unit, fuzz, lint, end to end
	@tests/run

unit: deps-test ## the unit tests alone
	@tests/run unit

fuzz: deps-test ## a short fuzz of each parser
	@tests/run fuzz

lint: deps-test ## format, includes across layers, cppcheck, shellcheck
	@tests/run lint

e2e: deps-test ## end to end in network namespaces, with kernel peers
	@tests/run e2e

format: ## let clang-format decide
	@git ls-files '*.c' '*.h' | xargs clang-format -i

# --- lab, demo, benchmarks -------------------------------------------------
demo: deps-lab ## see it work, real traffic, faults (PROVIDER=soft too)
	@$(MAKE) -j$(JOBS) compile
	@tests/lab/demo.sh

lab: deps-lab ## leave the demo's lab up, to play (PROVIDER=soft too)
	@$(MAKE) -j$(JOBS) compile
	@tests/lab/lab.sh up

lab-down: ## end the lab
	@tests/lab/lab.sh down

# Each perf/*.c is a program; perf/lib is what they share.
PERF_BIN := $(patsubst perf/%.c,$(BUILD)/perf/%,$(PERF_SRC))

$(BUILD)/perf/%: $(BUILD)/obj/perf/%.o $(call obj,$(PERF_LIB)) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(call obj,$(PERF_LIB)) $(LIB) $(LDLIBS)

perf-bins: $(PERF_BIN)

perf: deps-perf ## benchmarks: a table, build/perf/report.json and index.html
	@$(MAKE) -j$(JOBS) compile perf-bins
	@perf/run

perf-quick: deps-perf ## the main lines of them, within a minute
	@$(MAKE) -j$(JOBS) compile perf-bins
	@perf/run --quick

# --- install ---------------------------------------------------------------
man: $(BUILD)/carryall ## build/carryall.conf.5 from the table of keys
	@{ cat appliance/carryall.conf.5.in; $(BUILD)/carryall keys --mdoc; } \
		> $(BUILD)/carryall.conf.5

install: all ## install below $(DESTDIR)$(PREFIX)
	@$(MAKE) man
	install -D -m 755 $(BUILD)/carryall $(DESTDIR)$(PREFIX)/sbin/carryall
	install -D -m 644 appliance/carryall.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/carryall.8
	install -D -m 644 $(BUILD)/carryall.conf.5 \
		$(DESTDIR)$(PREFIX)/share/man/man5/carryall.conf.5
	install -d $(DESTDIR)$(PREFIX)/share/carryall/examples \
		$(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,@PREFIX@,$(PREFIX),' appliance/carryall@.service.in > \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/carryall@.service
	install -m 644 conf/*.cfg $(DESTDIR)$(PREFIX)/share/carryall/examples

clean: ## remove build/
	rm -rf build
