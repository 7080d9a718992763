// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/slab.h>

#include "sample.h"

static void release(struct device *dev)
{
	kfree(dev);
}

/* Returns the new device; its driver has to be there already and binds to it. */
static struct device *create_device(struct sample_bus *bus)
{
	struct device *dev;
	int ret;

	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return ERR_PTR(-ENOMEM);
	device_initialize(dev);
	dev->bus = &bus->bus;
	dev->parent = bus->root;
	dev->release = release;
	ret = dev_set_name(dev, "%s", bus->device_name);
	if (!ret)
		ret = device_add(dev);
	if (ret) {
		put_device(dev);
		return ERR_PTR(ret);
	}
	return dev;
}

/* Makes a bus and the only device on it. */
int sample_bus_create(struct sample_bus *bus)
{
	int ret;

	ret = bus_register(&bus->bus);
	if (ret)
		return ret;
	bus->driver.bus = &bus->bus;
	ret = driver_register(&bus->driver);
	if (ret)
		goto unregister_bus;
	bus->root = root_device_register(bus->root_name);
	if (IS_ERR(bus->root)) {
		ret = PTR_ERR(bus->root);
		goto unregister_driver;
	}
	bus->device = create_device(bus);
	if (IS_ERR(bus->device)) {
		ret = PTR_ERR(bus->device);
		goto unregister_root;
	}
	return 0;

unregister_root:
	root_device_unregister(bus->root);
unregister_driver:
	driver_unregister(&bus->driver);
unregister_bus:
	bus_unregister(&bus->bus);
	return ret;
}

void sample_bus_remove(struct sample_bus *bus)
{
	device_unregister(bus->device);
	root_device_unregister(bus->root);
	driver_unregister(&bus->driver);
	bus_unregister(&bus->bus);
}
