// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only


#include "sample.h"

#define CONFIG_SIZE 256
#define SLOTS 32

/* Configuration space of function 0 in each slot; a slot without vendor is empty. */
static u8 config[SLOTS][CONFIG_SIZE];
static struct pci_sysdata sysdata = { .node = NUMA_NO_NODE };
static struct resource bus_numbers = {
	.name = "migration_sample",
	.start = 0,
	.end = 0,
	.flags = IORESOURCE_BUS,
};
static struct pci_bus *bus;

static void put_u16(unsigned int slot, unsigned int where, u16 value)
{
	*(__le16 *)&config[slot][where] = cpu_to_le16(value);
}

static int config_read(struct pci_bus *pci_bus, unsigned int devfn, int where, int size, u32 *value)
{
	const u8 *function = config[PCI_SLOT(devfn)];
	__le32 bytes = 0;

	if (PCI_FUNC(devfn) || !*(__le16 *)&function[PCI_VENDOR_ID]) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	if (where + size > CONFIG_SIZE) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_BAD_REGISTER_NUMBER;
	}
	memcpy(&bytes, &function[where], size);
	*value = le32_to_cpu(bytes);
	return PCIBIOS_SUCCESSFUL;
}

/* Nothing can be written, so the BARs stay 0: the functions have no memory, ports or interrupts. */
static int config_write(struct pci_bus *pci_bus, unsigned int devfn, int where, int size, u32 value)
{
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops config_ops = {
	.read = config_read,
	.write = config_write,
};

/* Puts a function into a slot, before the bus is made, and names its id to a driver's table. */
int sample_pci_add_function(unsigned int slot, const char *text, u16 class, struct pci_device_id *id)
{
	int length = 0;
	u16 vendor, device;

	/* Vendors 0, 1 and ffff have meanings of their own: empty, not ready, absent. */
	if (sscanf(text, "%4hx:%4hx%n", &vendor, &device, &length) != 2 || text[length] ||
	    vendor <= 1 || vendor == 0xffff) {
		pr_err("migration_sample: %s: must be a PCI id, vendor:device\n", text);
		return -EINVAL;
	}
	put_u16(slot, PCI_VENDOR_ID, vendor);
	put_u16(slot, PCI_DEVICE_ID, device);
	put_u16(slot, PCI_SUBSYSTEM_VENDOR_ID, vendor);
	put_u16(slot, PCI_SUBSYSTEM_ID, device);
	put_u16(slot, PCI_CLASS_DEVICE, class);
	*id = (struct pci_device_id){ PCI_DEVICE(vendor, device) };
	return 0;
}

/* Tells the module's functions from real ones that have the same id. */
bool sample_pci_owns(const struct pci_dev *pdev)
{
	return pdev->bus->ops == &config_ops;
}

static int unused_domain(void)
{
	struct pci_bus *other = NULL;
	int domain = -1;

	while ((other = pci_find_next_bus(other)))
		domain = max(domain, pci_domain_nr(other));
	return domain + 1;
}

/* Makes the bus with its functions; drivers that are registered already bind to them. */
int sample_pci_create_bus(void)
{
	LIST_HEAD(resources);

	sysdata.domain = unused_domain();
	pci_add_resource(&resources, &bus_numbers);
	pci_lock_rescan_remove();
	bus = pci_scan_root_bus(NULL, 0, &config_ops, &sysdata, &resources);
	if (bus)
		pci_bus_add_devices(bus);
	pci_unlock_rescan_remove();
	if (!bus) {
		pci_free_resource_list(&resources);
		return -ENOMEM;
	}
	return 0;
}

void sample_pci_remove_bus(void)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
}
