// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/gcd.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "sample.h"

#define GPUS 8
#define FIRST_SLOT 2
#define TYPES 4
/* What a parent has to give; a device of type V5_N takes UNITS/N of it for each it aggregates. */
#define UNITS (1U << (TYPES - 1))

static char *gpu_id[GPUS] = { "8086:5963", "8086:5963" };
static unsigned int gpus = 2;
module_param_array(gpu_id, charp, &gpus, 0444);
MODULE_PARM_DESC(gpu_id, "PCI ids of the graphics devices, as many as there shall be");

static char *gpu_form[GPUS] = { "file", [1 ... GPUS - 1] = "directory" };
module_param_array(gpu_form, charp, NULL, 0444);
MODULE_PARM_DESC(gpu_form, "form of migration/ on each: directory, file, none");

static char *gpu_version[GPUS] = { [0 ... GPUS - 1] = "0.1.0" };
module_param_array(gpu_version, charp, NULL, 0444);
MODULE_PARM_DESC(gpu_version, "software_version of each");

static bool gpu_states_version[GPUS] = { [0 ... GPUS - 1] = true };
module_param_array(gpu_states_version, bool, NULL, 0444);
MODULE_PARM_DESC(gpu_states_version, "whether compatible has a software_version, on each");

static bool gpu_p2p[GPUS] = { [0 ... GPUS - 1] = true };
module_param_array(gpu_p2p, bool, NULL, 0444);
MODULE_PARM_DESC(gpu_p2p, "whether devices support P2P, on each");

struct graphics {
	struct mdev_parent parent;
	struct mdev_type types[TYPES];
	struct mdev_type *type_list[TYPES];
	struct sample_manner manner;
	struct pci_dev *pdev;
	unsigned int free;
};

static const char *const type_names[TYPES] = { "GVTg_V5_1", "GVTg_V5_2", "GVTg_V5_4", "GVTg_V5_8" };
static struct sample_manner manners[GPUS];
static struct pci_device_id ids[GPUS + 1];
static DEFINE_IDA(vgpu_ids);

static void show_aggregator(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_printf(text, "%u", READ_ONCE(sample->aggregator));
}

/*
 * A device of another type V5_val1 has the same share of its parent if it aggregates
 * val1 * aggregator / fraction: for a V5_4 that aggregates 2, val1 / 2.
 */
static void show_compatible_aggregator(const struct sample_device *sample, struct seq_buf *text)
{
	unsigned int aggregator = READ_ONCE(sample->aggregator);
	unsigned int divisor = gcd(aggregator, sample->fraction);

	seq_buf_puts(text, "{val1}");
	if (aggregator > divisor)
		seq_buf_printf(text, "*%u", aggregator / divisor);
	if (sample->fraction > divisor)
		seq_buf_printf(text, "/%u", sample->fraction / divisor);
}

static SAMPLE_ATTRIBUTE(aggregator, show_aggregator, show_compatible_aggregator);

static struct sample_attribute *const attributes[] = {
	&sample_software_version, &sample_device_api, &sample_type, &sample_pci_id,
	&sample_aggregator,	  NULL,
};

/* The same share of the same device is as good, whatever it is made of. */
static const char *objection(const struct sample_device *sample, const struct sample_stream *stream)
{
	u64 fraction = le32_to_cpu(stream->fraction);
	u64 aggregator = le32_to_cpu(stream->aggregator);

	if (!fraction)
		return "it is no graphics device's";
	if (aggregator * sample->fraction != sample->aggregator * fraction)
		return "it has another share of a graphics device";
	return NULL;
}

const struct sample_kind sample_graphics_kind = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.info_flags = VFIO_DEVICE_FLAGS_PCI,
	.attributes = attributes,
	.objection = objection,
};

static struct graphics *graphics_of(struct mdev_type *type)
{
	return container_of(type->parent, struct graphics, parent);
}

static unsigned int fraction_of(struct mdev_type *type)
{
	return 1U << (type - graphics_of(type)->types);
}

/* Changes what a device aggregates; 0 is a device that takes nothing. */
static int aggregate(struct graphics *graphics, struct sample_device *sample, unsigned int aggregator)
{
	unsigned int unit = UNITS / sample->fraction;
	unsigned int free;

	lockdep_assert_held(&sample_lock);
	free = graphics->free + sample->aggregator * unit;
	if (aggregator > free / unit) {
		dev_err(&graphics->pdev->dev, "%u times %u units are wanted, %u are free\n",
			aggregator, unit, free);
		return -ENOSPC;
	}
	graphics->free = free - aggregator * unit;
	WRITE_ONCE(sample->aggregator, aggregator);
	return 0;
}

static ssize_t aggregator_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sample_device *sample = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", READ_ONCE(sample->aggregator));
}

static ssize_t aggregator_store(struct device *dev, struct device_attribute *attr, const char *buf,
				size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	unsigned int aggregator;
	char *kept;
	int ret;

	kept = sample_fault_kept(buf, count);
	if (!kept)
		return -ENOMEM;
	/* Of a text of which nothing is kept nothing changes. */
	ret = *kept ? kstrtouint(kept, 10, &aggregator) : 1;
	kfree(kept);
	if (ret < 0 || (!ret && !aggregator) || sample_fault_refuse_attribute())
		return -EINVAL;
	if (ret || sample_fault_ignore_attribute())
		return count;
	mutex_lock(&sample_lock);
	if (sample->open)
		ret = -EBUSY;
	else
		ret = aggregate(graphics_of(to_mdev_device(dev)->type), sample, aggregator);
	mutex_unlock(&sample_lock);
	return ret ?: count;
}

static ssize_t vgpu_id_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sample_device *sample = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%d\n", sample->vgpu_id);
}

static DEVICE_ATTR_RW(aggregator);
static DEVICE_ATTR_RO(vgpu_id);

static struct attribute *vgpu_attributes[] = {
	&dev_attr_aggregator.attr,
	&dev_attr_vgpu_id.attr,
	NULL,
};

static const struct attribute_group vgpu_group = {
	.name = "intel_vgpu",
	.attrs = vgpu_attributes,
};

static const struct attribute_group *vgpu_groups[] = { &vgpu_group, NULL };

static int vgpu_take(struct mdev_device *mdev, struct sample_device *sample)
{
	int ret;

	ret = ida_alloc_min(&vgpu_ids, 1, GFP_KERNEL);
	if (ret < 0)
		return ret;
	sample->vgpu_id = ret;
	mutex_lock(&sample_lock);
	ret = aggregate(graphics_of(mdev->type), sample, 1);
	mutex_unlock(&sample_lock);
	if (ret)
		ida_free(&vgpu_ids, sample->vgpu_id);
	return ret;
}

static void vgpu_give_back(struct mdev_device *mdev, struct sample_device *sample)
{
	mutex_lock(&sample_lock);
	aggregate(graphics_of(mdev->type), sample, 0);
	mutex_unlock(&sample_lock);
	ida_free(&vgpu_ids, sample->vgpu_id);
}

static int vgpu_probe(struct mdev_device *mdev)
{
	struct graphics *graphics = graphics_of(mdev->type);
	struct sample_device *sample;
	int ret;

	sample = sample_mdev_alloc(mdev, &sample_graphics_kind, &graphics->manner);
	if (IS_ERR(sample))
		return PTR_ERR(sample);
	sample->pci_vendor = graphics->pdev->vendor;
	sample->pci_device = graphics->pdev->device;
	sample->fraction = fraction_of(mdev->type);
	ret = vgpu_take(mdev, sample);
	if (ret)
		goto put_device;
	ret = sample_device_add(sample);
	if (ret)
		goto give_back;
	if (sample_fault_plant_link())
		ret = sysfs_create_link(&mdev->dev.kobj, &graphics->pdev->dev.kobj, "planted");
	if (ret)
		goto remove_device;
	return 0;

remove_device:
	sample_device_remove(sample);
give_back:
	vgpu_give_back(mdev, sample);
put_device:
	vfio_put_device(&sample->vdev);
	return ret;
}

static void vgpu_remove(struct mdev_device *mdev)
{
	struct sample_device *sample = dev_get_drvdata(&mdev->dev);

	sample_device_remove(sample);
	vgpu_give_back(mdev, sample);
	vfio_put_device(&sample->vdev);
}

static unsigned int vgpu_get_available(struct mdev_type *type)
{
	unsigned int free;

	mutex_lock(&sample_lock);
	free = graphics_of(type)->free;
	mutex_unlock(&sample_lock);
	return free / (UNITS / fraction_of(type));
}

static ssize_t vgpu_show_description(struct mdev_type *type, char *buf)
{
	unsigned int fraction = fraction_of(type);

	return sysfs_emit(buf, "low_gm_size: %uMB\nhigh_gm_size: %uMB\nfence: 4\nweight: %u\n",
			  512 / fraction, 2048 / fraction, 16 / fraction);
}

static struct mdev_driver vgpu_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.get_available = vgpu_get_available,
	.show_description = vgpu_show_description,
	.driver = {
		.name = "intel_vgpu_mdev",
		.owner = THIS_MODULE,
		.dev_groups = vgpu_groups,
	},
};

static int graphics_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct graphics *graphics;
	unsigned int index;
	int ret;

	if (!sample_pci_owns(pdev))
		return -ENODEV;
	graphics = kzalloc(sizeof(*graphics), GFP_KERNEL);
	if (!graphics)
		return -ENOMEM;
	graphics->manner = manners[PCI_SLOT(pdev->devfn) - FIRST_SLOT];
	graphics->pdev = pdev;
	graphics->free = UNITS;
	for (index = 0; index < TYPES; index++) {
		graphics->types[index].sysfs_name = type_names[index];
		graphics->types[index].pretty_name = type_names[index];
		graphics->type_list[index] = &graphics->types[index];
	}
	pci_set_drvdata(pdev, graphics);
	ret = mdev_register_parent(&graphics->parent, &pdev->dev, &vgpu_driver,
				   graphics->type_list, TYPES);
	if (ret)
		kfree(graphics);
	return ret;
}

static void graphics_remove(struct pci_dev *pdev)
{
	struct graphics *graphics = pci_get_drvdata(pdev);

	mdev_unregister_parent(&graphics->parent);
	kfree(graphics);
}

static struct pci_driver graphics_driver = {
	.name = "i915",
	.id_table = ids,
	.probe = graphics_probe,
	.remove = graphics_remove,
};

static int add_functions(void)
{
	unsigned int index;
	int ret;

	for (index = 0; index < gpus; index++) {
		ret = sample_form(gpu_form[index], &manners[index].form);
		if (ret)
			return ret;
		manners[index].version = gpu_version[index];
		manners[index].states_version = gpu_states_version[index];
		manners[index].p2p = gpu_p2p[index];
		ret = sample_pci_add_function(FIRST_SLOT + index, gpu_id[index],
					      PCI_CLASS_DISPLAY_OTHER, &ids[index]);
		if (ret)
			return ret;
	}
	return 0;
}

int sample_graphics_init(void)
{
	int ret;

	ret = add_functions();
	if (ret)
		return ret;
	ret = mdev_register_driver(&vgpu_driver);
	if (ret)
		return ret;
	ret = pci_register_driver(&graphics_driver);
	if (ret)
		mdev_unregister_driver(&vgpu_driver);
	return ret;
}

void sample_graphics_exit(void)
{
	pci_unregister_driver(&graphics_driver);
	mdev_unregister_driver(&vgpu_driver);
	ida_destroy(&vgpu_ids);
}
