/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of uplinks: against each other, against the machine, and which keys
 * go with which provider.
 */
#include "ctrl/config_parse.h"

#include <ctype.h>
#include <string.h>

/* Drivers of virtual devices that an uplink's port may be. */
static const char *const drivers[] = { "net_af_packet", "net_af_xdp",
	"net_null", "net_ring", "net_vhost", "net_virtio_user" };

/* A PCI address: "0000:03:00.0" or "03:00.0". */
static bool
is_pci(const char *port)
{
	static const char *const forms[] = { "xxxx:xx:xx.x", "xx:xx.x" };

	for (int i = 0; i < 2; i++) {
		const char *form = forms[i], *at = port;

		for (; *form != '\0' && *at != '\0'; form++, at++)
			if (*form == 'x' ? !isxdigit((unsigned char)*at)
					 : *form != *at)
				break;
		if (*form == '\0' && *at == '\0')
			return true;
	}
	return false;
}

/* "net_vhost0,iface=/run/x": a known driver, a number, arguments. */
static bool
is_virtual(const char *port)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		size_t n = strlen(drivers[i]);

		if (strncmp(port, drivers[i], n) != 0)
			continue;
		n += strspn(port + n, "0123456789");
		if (port[n] == '\0' || port[n] == ',')
			return true;
	}
	return false;
}

static void
check_port(struct parse *p, unsigned int i, config_setting_t *entry)
{
	const struct config_uplink *u = p->config->uplinks, *v = &u[i];
	config_setting_t *at = parse_at(entry, "port");

	if (strcmp(v->provider, "xdp") == 0)
		parse_fault(p, at,
			"port goes with provider soft only; remove it, or set "
			"provider = \"soft\"");
	else if (!is_pci(v->port) && !is_virtual(v->port))
		parse_fault(p, at,
			"port is \"%.100s\"; allowed: a PCI address, as "
			"\"0000:03:00.0\", or net_af_packet, net_af_xdp, "
			"net_null, net_ring, net_vhost or net_virtio_user "
			"with arguments, as \"net_vhost,iface=/run/lan\"",
			v->port);
	if (parse_has(entry, "mode"))
		parse_fault(p, parse_at(entry, "mode"),
			"mode is how XDP attaches to a device, and this uplink "
			"has a port; remove mode");
	for (unsigned int j = 0; j < i; j++)
		if (strcmp(u[j].port, v->port) == 0)
			parse_fault(p, at,
				"port \"%.100s\" is uplink \"%s\" already, at "
				"line %d; one uplink per port",
				v->port, u[j].name, u[j].line);
}

/* The device of an uplink with a port is made, all others must be there. */
static void
check_exists(
	struct parse *p, const struct config_uplink *u, config_setting_t *at)
{
	int is = p->machine->has_device(p->machine->ctx, u->device);

	if (*u->port == '\0' && is == CONFIG_DEVICE_NONE)
		parse_fault(p, at,
			"there is no network device \"%s\" on this machine; "
			"ip link lists those there are",
			u->device);
	else if (*u->port != '\0' && is == CONFIG_DEVICE_OTHER)
		parse_fault(p, at,
			"there is a network device \"%s\" already; an uplink "
			"with a port makes its own: take a name that is free",
			u->device);
}

static void
check_device(struct parse *p, unsigned int i, config_setting_t *entry)
{
	const struct config_uplink *u = p->config->uplinks, *v = &u[i];

	if (*v->device == '\0')
		return;
	check_exists(p, v, parse_at(entry, "device"));
	for (unsigned int j = 0; j < i; j++)
		if (strcmp(u[j].device, v->device) == 0)
			parse_fault(p, parse_at(entry, "device"),
				"device \"%s\" is uplink \"%s\" already, at "
				"line %d; one uplink per device",
				v->device, u[j].name, u[j].line);
}

/* One provider makes all VNICs, which may use several uplinks. */
static void
check_provider(struct parse *p, unsigned int i, config_setting_t *entry)
{
	const struct config_uplink *u = p->config->uplinks;

	if (*u[i].provider != '\0' && *u[0].provider != '\0' &&
		strcmp(u[i].provider, u[0].provider) != 0)
		parse_fault(p, parse_at(entry, "provider"),
			"provider of uplink \"%s\" is %s, and of uplink "
			"\"%s\" %s; all uplinks must have the same",
			u[i].name, u[i].provider, u[0].name, u[0].provider);
}

static void
check_name(struct parse *p, unsigned int i, config_setting_t *entry)
{
	const struct config_uplink *u = p->config->uplinks;

	for (unsigned int j = 0; j < i && *u[i].name != '\0'; j++)
		if (strcmp(u[i].name, u[j].name) == 0)
			parse_fault(p, parse_at(entry, "name"),
				"uplink name \"%s\" is used already, at line "
				"%d; names must differ",
				u[i].name, u[j].line);
}

void
check_uplinks(struct parse *p)
{
	for (unsigned int i = 0; i < p->config->n_uplinks; i++) {
		config_setting_t *entry = parse_entry(p->root, "uplinks", i);

		check_name(p, i, entry);
		check_provider(p, i, entry);
		check_device(p, i, entry);
		if (*p->config->uplinks[i].port != '\0')
			check_port(p, i, entry);
	}
}
