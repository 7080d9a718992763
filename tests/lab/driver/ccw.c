// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/module.h>

#include "sample.h"

static char *ccw_form = "directory";
module_param(ccw_form, charp, 0444);
MODULE_PARM_DESC(ccw_form, "form of migration/ on devices of the subchannel: directory, file, none");

static char *ccw_version = "1.0.0";
module_param(ccw_version, charp, 0444);
MODULE_PARM_DESC(ccw_version, "software_version of devices of the subchannel");

static struct sample_manner manner = { .states_version = true };
static struct mdev_parent parent;
static struct mdev_type type = {
	.sysfs_name = "io",
	.pretty_name = "I/O subchannel (Non-QDIO)",
};
static struct mdev_type *type_list[] = { &type };

static void show_subchannel_type(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_puts(text, "0");
}

static void show_chpid_type(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_puts(text, "0x1a");
}

static SAMPLE_ATTRIBUTE(subchannel_type, show_subchannel_type, show_subchannel_type);
static SAMPLE_ATTRIBUTE(chpid_type, show_chpid_type, show_chpid_type);

static struct sample_attribute *const attributes[] = {
	&sample_software_version, &sample_device_api,  &sample_type,
	&sample_subchannel_type,  &sample_chpid_type, NULL,
};

static const struct sample_kind kind = {
	.device_api = VFIO_DEVICE_API_CCW_STRING,
	.info_flags = VFIO_DEVICE_FLAGS_CCW,
	.attributes = attributes,
};

static int ccw_mdev_probe(struct mdev_device *mdev)
{
	return sample_mdev_probe(mdev, &kind, &manner);
}

static struct mdev_driver ccw_mdev_driver = {
	.device_api = VFIO_DEVICE_API_CCW_STRING,
	.max_instances = 1,
	.probe = ccw_mdev_probe,
	.remove = sample_mdev_remove,
	.driver = {
		.name = "vfio_ccw_mdev",
		.owner = THIS_MODULE,
	},
};

static int ccw_probe(struct device *dev)
{
	return mdev_register_parent(&parent, dev, &ccw_mdev_driver, type_list, 1);
}

static int ccw_remove(struct device *dev)
{
	mdev_unregister_parent(&parent);
	return 0;
}

static struct sample_bus bus = {
	.bus = { .name = "css" },
	.driver = {
		.name = "vfio_ccw",
		.owner = THIS_MODULE,
		.probe = ccw_probe,
		.remove = ccw_remove,
	},
	.root_name = "css0",
	.device_name = "0.0.1234",
};

int sample_ccw_init(void)
{
	int ret;

	ret = sample_form(ccw_form, &manner.form);
	if (ret)
		return ret;
	manner.version = ccw_version;
	ret = mdev_register_driver(&ccw_mdev_driver);
	if (ret)
		return ret;
	ret = sample_bus_create(&bus);
	if (ret)
		mdev_unregister_driver(&ccw_mdev_driver);
	return ret;
}

void sample_ccw_exit(void)
{
	sample_bus_remove(&bus);
	mdev_unregister_driver(&ccw_mdev_driver);
}
