// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "sample.h"

/* What a virtual function is a part of, as its descriptor has it: one eighth of a graphics device. */
#define FRACTION 8
#define TYPE "i915-GVTg_V5_8"

static char *vf_form = "file";
module_param(vf_form, charp, 0444);
MODULE_PARM_DESC(vf_form, "form of migration/ on virtual functions: directory, file, none");

static char *vf_version = "0.1.0";
module_param(vf_version, charp, 0444);
MODULE_PARM_DESC(vf_version, "software_version of virtual functions");

/* Where the card has nothing in the configuration space of its functions, they have the registers that migrate. */
#define REGISTERS (VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_CONFIG_REGION_INDEX) + 0xf8)

struct virtual_function {
	struct vfio_pci_core_device core;
	/* Describes it and has its state: core is the VFIO device. */
	struct sample_device sample;
};

static struct sample_manner manner;

static struct virtual_function *function_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct virtual_function, core.vdev);
}

int sample_function_open(struct vfio_device *vdev)
{
	struct vfio_pci_core_device *core = container_of(vdev, struct vfio_pci_core_device, vdev);
	int ret;

	ret = vfio_pci_core_enable(core);
	if (!ret)
		vfio_pci_core_finish_enable(core);
	return ret;
}

static int virtual_open(struct vfio_device *vdev)
{
	sample_migration_reset(&function_of(vdev)->sample);
	return sample_function_open(vdev);
}

static void virtual_close(struct vfio_device *vdev)
{
	vfio_pci_core_close_device(vdev);
	sample_migration_reset(&function_of(vdev)->sample);
}

/* Returns the registers that an access is to; NULL if it is not to them alone. */
static u8 *registers(struct vfio_device *vdev, loff_t offset, size_t count)
{
	if (offset < REGISTERS || offset - REGISTERS + count > SAMPLE_REGISTERS)
		return NULL;
	return function_of(vdev)->sample.registers + (offset - REGISTERS);
}

static ssize_t virtual_read(struct vfio_device *vdev, char __user *buf, size_t count,
			    loff_t *offset)
{
	const u8 *found = registers(vdev, *offset, count);

	if (!found)
		return vfio_pci_core_read(vdev, buf, count, offset);
	if (copy_to_user(buf, found, count))
		return -EFAULT;
	*offset += count;
	return count;
}

static ssize_t virtual_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			     loff_t *offset)
{
	u8 *found = registers(vdev, *offset, count);

	if (!found)
		return vfio_pci_core_write(vdev, buf, count, offset);
	if (copy_from_user(found, buf, count))
		return -EFAULT;
	*offset += count;
	return count;
}

static const struct vfio_device_ops virtual_ops = {
	SAMPLE_FUNCTION_OPERATIONS,
	.name = "sample-vf-vfio-pci",
	.open_device = virtual_open,
	.close_device = virtual_close,
	.read = virtual_read,
	.write = virtual_write,
};

/* Describes the function as the module's first graphics device would describe such a part of it. */
static void describe(struct sample_device *sample, struct device *dev)
{
	sample->dev = dev;
	sample->kind = &sample_graphics_kind;
	sample->manner = manner;
	sample->type = TYPE;
	sample->fraction = FRACTION;
	sample->aggregator = 1;
	sample->pci_vendor = PCI_VENDOR_ID_INTEL;
	sample->pci_device = 0x5963;
	strscpy(sample->version, vf_version, sizeof(sample->version));
	sample_fault_version(sample->version);
}

static int virtual_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct virtual_function *function;
	int ret;

	ret = sample_fault_create(&pdev->dev);
	if (ret)
		return ret;
	function = vfio_alloc_device(virtual_function, core.vdev, &pdev->dev, &virtual_ops);
	if (IS_ERR(function))
		return PTR_ERR(function);
	dev_set_drvdata(&pdev->dev, &function->core);
	describe(&function->sample, &pdev->dev);
	sample_migration_init(&function->sample, &function->core.vdev);
	ret = vfio_pci_core_register_device(&function->core);
	if (ret)
		goto put_device;
	ret = sample_descriptor_add(&function->sample, &pdev->dev);
	if (ret)
		goto unregister;
	sample_debug_add(&function->sample, &function->core.vdev);
	return 0;

unregister:
	vfio_pci_core_unregister_device(&function->core);
put_device:
	vfio_put_device(&function->core.vdev);
	return ret;
}

static void virtual_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	struct sample_device *sample = &container_of(core, struct virtual_function, core)->sample;

	sample_debug_remove(sample);
	sample_descriptor_remove(sample);
	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

static void virtual_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	sample_migration_reset(&container_of(core, struct virtual_function, core)->sample);
}

static const struct pci_error_handlers error_handlers = {
	.error_detected = vfio_pci_core_aer_err_detected,
	.reset_done = virtual_reset_done,
};

static const struct pci_device_id ids[] = {
	/* Intel 82576 virtual function, of which the emulator has some. */
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x10ca) },
	{}
};

static struct pci_driver virtual_driver = {
	.name = "sample_vf_vfio_pci",
	.id_table = ids,
	.probe = virtual_probe,
	.remove = virtual_remove,
	.err_handler = &error_handlers,
	.driver_managed_dma = true,
};

/* Returns what describes a device that this driver has; NULL for any other. */
struct sample_device *sample_virtual_device(struct device *dev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(dev);

	if (dev->driver != &virtual_driver.driver)
		return NULL;
	return &container_of(core, struct virtual_function, core)->sample;
}

/* Returns what a VFIO device is that migrates. */
struct sample_device *sample_of_vfio(struct vfio_device *vdev)
{
	if (vdev->ops == &virtual_ops)
		return &function_of(vdev)->sample;
	return container_of(vdev, struct sample_device, vdev);
}

int sample_virtual_init(void)
{
	int ret;

	ret = sample_form(vf_form, &manner.form);
	if (ret)
		return ret;
	manner.version = vf_version;
	manner.states_version = true;
	manner.p2p = true;
	return pci_register_driver(&virtual_driver);
}

void sample_virtual_exit(void)
{
	pci_unregister_driver(&virtual_driver);
}
