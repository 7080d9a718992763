// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/module.h>
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

struct virtual_function {
	struct vfio_pci_core_device core;
	/* Only describes it: core is the VFIO device. */
	struct sample_device sample;
};

static struct sample_manner manner;

static int virtual_open(struct vfio_device *vdev)
{
	struct vfio_pci_core_device *core = container_of(vdev, struct vfio_pci_core_device, vdev);
	int ret;

	ret = vfio_pci_core_enable(core);
	if (!ret)
		vfio_pci_core_finish_enable(core);
	return ret;
}

const struct vfio_device_ops sample_virtual_ops = {
	.name = "sample-vf-vfio-pci",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = virtual_open,
	.close_device = vfio_pci_core_close_device,
	.ioctl = vfio_pci_core_ioctl,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

/* Describes the function as the module's first graphics device would describe such a part of it. */
static void describe(struct sample_device *sample)
{
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
	function = vfio_alloc_device(virtual_function, core.vdev, &pdev->dev, &sample_virtual_ops);
	if (IS_ERR(function))
		return PTR_ERR(function);
	dev_set_drvdata(&pdev->dev, &function->core);
	ret = vfio_pci_core_register_device(&function->core);
	if (ret)
		goto put_device;
	describe(&function->sample);
	ret = sample_descriptor_add(&function->sample, &pdev->dev);
	if (ret)
		goto unregister;
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

	sample_descriptor_remove(&container_of(core, struct virtual_function, core)->sample);
	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

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
	.err_handler = &vfio_pci_core_err_handlers,
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

int sample_virtual_init(void)
{
	int ret;

	ret = sample_form(vf_form, &manner.form);
	if (ret)
		return ret;
	manner.version = vf_version;
	manner.states_version = true;
	return pci_register_driver(&virtual_driver);
}

void sample_virtual_exit(void)
{
	pci_unregister_driver(&virtual_driver);
}
