// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/module.h>
#include <linux/vfio_pci_core.h>

#include "sample.h"

/* What one card has for all of its functions, which have one type at a time. */
#define WHOLE 4

static const struct {
	unsigned int id;
	const char *name;
	unsigned int share;
} types[] = {
	{ 1428, "NVIDIA H200X-141C", 4 },
	{ 1429, "NVIDIA H200X-70C", 2 },
	{ 1430, "NVIDIA H200X-35C", 1 },
};

struct gpu_function {
	struct vfio_pci_core_device core;
	struct list_head functions;
	unsigned int type; /* 0 for none */
	char parameters[128];
};

/* All of them, of every card; protected by sample_lock. */
static LIST_HEAD(functions);

static struct gpu_function *function_of(struct device *dev)
{
	return container_of(dev_get_drvdata(dev), struct gpu_function, core);
}

static bool creatable(const struct gpu_function *function, size_t type)
{
	const struct gpu_function *other;
	unsigned int used = 0;

	list_for_each_entry(other, &functions, functions) {
		if (!other->type || pci_physfn(other->core.pdev) != pci_physfn(function->core.pdev))
			continue;
		if (other->type != types[type].id)
			return false;
		used += types[type].share;
	}
	return used + types[type].share <= WHOLE;
}

static ssize_t creatable_vgpu_types_show(struct device *dev, struct device_attribute *attr,
					 char *buf)
{
	ssize_t length = sysfs_emit(buf, "ID    : vGPU Name\n");
	size_t type;

	mutex_lock(&sample_lock);
	for (type = 0; type < ARRAY_SIZE(types); type++)
		if (creatable(function_of(dev), type))
			length += sysfs_emit_at(buf, length, "%-5u : %s\n", types[type].id,
						types[type].name);
	mutex_unlock(&sample_lock);
	return length;
}
static DEVICE_ATTR_RO(creatable_vgpu_types);

static ssize_t current_vgpu_type_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", function_of(dev)->type);
}

static int set_type(struct gpu_function *function, unsigned int id)
{
	size_t type;

	if (function->core.vdev.open_count)
		return -EBUSY;
	if (id && function->type)
		return -EPERM;
	for (type = 0; id && type < ARRAY_SIZE(types); type++)
		if (types[type].id == id && creatable(function, type))
			break;
	if (type == ARRAY_SIZE(types))
		return -EINVAL;
	function->type = id;
	function->parameters[0] = '\0';
	return 0;
}

static ssize_t current_vgpu_type_store(struct device *dev, struct device_attribute *attr,
				       const char *buf, size_t count)
{
	unsigned int id;
	int ret;

	ret = kstrtouint(buf, 10, &id);
	if (ret)
		return ret;
	mutex_lock(&sample_lock);
	ret = set_type(function_of(dev), id);
	mutex_unlock(&sample_lock);
	return ret ?: count;
}
static DEVICE_ATTR_RW(current_vgpu_type);

static ssize_t vgpu_params_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", function_of(dev)->parameters);
}

static ssize_t vgpu_params_store(struct device *dev, struct device_attribute *attr,
				 const char *buf, size_t count)
{
	struct gpu_function *function = function_of(dev);
	ssize_t ret = count;

	if (!count || count > sizeof(function->parameters))
		return -EINVAL;
	mutex_lock(&sample_lock);
	if (function->type) {
		/* Takes the last byte for the newline, whatever it is, as NVIDIA's driver does. */
		memcpy(function->parameters, buf, count);
		function->parameters[count - 1] = '\0';
	} else {
		ret = -EPERM;
	}
	mutex_unlock(&sample_lock);
	return ret;
}
static DEVICE_ATTR_RW(vgpu_params);

static struct attribute *gpu_attributes[] = {
	&dev_attr_creatable_vgpu_types.attr,
	&dev_attr_current_vgpu_type.attr,
	&dev_attr_vgpu_params.attr,
	NULL,
};

static const struct attribute_group gpu_group = {
	.name = "nvidia",
	.attrs = gpu_attributes,
};

static const struct attribute_group *gpu_groups[] = {
	&gpu_group,
	NULL,
};

static const struct vfio_device_ops gpu_ops = {
	SAMPLE_FUNCTION_OPERATIONS,
	.name = "nvidia",
	.open_device = sample_function_open,
	.close_device = vfio_pci_core_close_device,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
};

static int gpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct gpu_function *function;
	int ret;

	function = vfio_alloc_device(gpu_function, core.vdev, &pdev->dev, &gpu_ops);
	if (IS_ERR(function))
		return PTR_ERR(function);
	dev_set_drvdata(&pdev->dev, &function->core);
	ret = vfio_pci_core_register_device(&function->core);
	if (ret) {
		vfio_put_device(&function->core.vdev);
		return ret;
	}
	mutex_lock(&sample_lock);
	list_add(&function->functions, &functions);
	mutex_unlock(&sample_lock);
	return 0;
}

static void gpu_remove(struct pci_dev *pdev)
{
	struct gpu_function *function = function_of(&pdev->dev);

	mutex_lock(&sample_lock);
	list_del(&function->functions);
	mutex_unlock(&sample_lock);
	vfio_pci_core_unregister_device(&function->core);
	vfio_put_device(&function->core.vdev);
}

static const struct pci_device_id ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x10ca) },
	{}
};

static struct pci_driver gpu_driver = {
	.name = "nvidia",
	.id_table = ids,
	.probe = gpu_probe,
	.remove = gpu_remove,
	.dev_groups = gpu_groups,
	.err_handler = &vfio_pci_core_err_handlers,
	.driver_managed_dma = true,
};

int sample_gpu_init(void)
{
	return pci_register_driver(&gpu_driver);
}

void sample_gpu_exit(void)
{
	pci_unregister_driver(&gpu_driver);
}
