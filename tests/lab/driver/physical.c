// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/module.h>

#include "sample.h"

#define DEVICES 8
#define FIRST_SLOT 16

static char *physical_id[DEVICES] = { "8086:37cd" };
static unsigned int physicals = 1;
module_param_array(physical_id, charp, &physicals, 0444);
MODULE_PARM_DESC(physical_id, "PCI ids of the devices that are assigned as they are");

static char *physical_form[DEVICES] = { [0 ... DEVICES - 1] = "file" };
module_param_array(physical_form, charp, NULL, 0444);
MODULE_PARM_DESC(physical_form, "form of migration/ on each: directory, file, none");

static char *physical_version[DEVICES] = { [0 ... DEVICES - 1] = "1.0.0" };
module_param_array(physical_version, charp, NULL, 0444);
MODULE_PARM_DESC(physical_version, "software_version of each");

static struct sample_manner manners[DEVICES];
static struct pci_device_id ids[DEVICES + 1];

static struct sample_attribute *const attributes[] = {
	&sample_software_version, &sample_device_api, &sample_type, &sample_pci_id, NULL,
};

static const char *objection(const struct sample_device *sample, const struct sample_stream *stream)
{
	return strncmp(stream->type, sample->type, sizeof(stream->type)) ? "it has another type" : NULL;
}

static const struct sample_kind kind = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.info_flags = VFIO_DEVICE_FLAGS_PCI,
	.attributes = attributes,
	.objection = objection,
};

static int physical_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct sample_device *sample;
	int ret;

	if (!sample_pci_owns(pdev))
		return -ENODEV;
	sample = sample_device_alloc(&pdev->dev, &kind,
				     &manners[PCI_SLOT(pdev->devfn) - FIRST_SLOT], "sample-nic_vf");
	if (IS_ERR(sample))
		return PTR_ERR(sample);
	sample->pci_vendor = pdev->vendor;
	sample->pci_device = pdev->device;
	ret = sample_device_add(sample);
	if (ret)
		vfio_put_device(&sample->vdev);
	return ret;
}

static void physical_remove(struct pci_dev *pdev)
{
	struct sample_device *sample = pci_get_drvdata(pdev);

	sample_device_remove(sample);
	vfio_put_device(&sample->vdev);
}

static struct pci_driver physical_driver = {
	.name = "sample_vfio_pci",
	.id_table = ids,
	.probe = physical_probe,
	.remove = physical_remove,
};

int sample_physical_init(void)
{
	unsigned int index;
	int ret;

	for (index = 0; index < physicals; index++) {
		ret = sample_form(physical_form[index], &manners[index].form);
		if (ret)
			return ret;
		manners[index].version = physical_version[index];
		manners[index].states_version = true;
		manners[index].p2p = true;
		ret = sample_pci_add_function(FIRST_SLOT + index, physical_id[index],
					      PCI_CLASS_NETWORK_ETHERNET, &ids[index]);
		if (ret)
			return ret;
	}
	return pci_register_driver(&physical_driver);
}

void sample_physical_exit(void)
{
	pci_unregister_driver(&physical_driver);
}
