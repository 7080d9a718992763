// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/uaccess.h>

#include "sample.h"

DEFINE_MUTEX(sample_lock);

static int sample_open(struct vfio_device *vdev)
{
	struct sample_device *sample = container_of(vdev, struct sample_device, vdev);

	sample_migration_reset(sample);
	mutex_lock(&sample_lock);
	sample->open = true;
	mutex_unlock(&sample_lock);
	return 0;
}

static void sample_close(struct vfio_device *vdev)
{
	struct sample_device *sample = container_of(vdev, struct sample_device, vdev);

	mutex_lock(&sample_lock);
	sample->open = false;
	mutex_unlock(&sample_lock);
	sample_migration_reset(sample);
}

static long sample_get_info(const struct sample_device *sample, void __user *argument)
{
	const size_t size = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, argument, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	info.flags = sample->kind->info_flags | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = sample_is_pci(sample) ? VFIO_PCI_NUM_REGIONS : 0;
	info.num_irqs = sample_is_pci(sample) ? VFIO_PCI_NUM_IRQS : 0;
	return copy_to_user(argument, &info, size) ? -EFAULT : 0;
}

static long sample_ioctl(struct vfio_device *vdev, unsigned int command, unsigned long argument)
{
	struct sample_device *sample = container_of(vdev, struct sample_device, vdev);

	switch (command) {
	case VFIO_DEVICE_GET_INFO:
		return sample_get_info(sample, (void __user *)argument);
	case VFIO_DEVICE_RESET:
		sample_migration_reset(sample);
		return 0;
	default:
		if (!sample_is_pci(sample))
			return -ENOTTY;
		return sample_registers_ioctl(command, (void __user *)argument);
	}
}

static const struct vfio_device_ops sample_ops = {
	.name = "migration_sample",
	.open_device = sample_open,
	.close_device = sample_close,
	.ioctl = sample_ioctl,
#if SAMPLE_HAS_REGION_INFO_OPERATION
	.get_region_info_caps = sample_region_info,
#endif
	.read = sample_registers_read,
	.write = sample_registers_write,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
};

/* Returns a device that sample_device_add() makes visible and vfio_put_device() frees. */
struct sample_device *sample_device_alloc(struct device *dev, const struct sample_kind *kind,
					  const struct sample_manner *manner, const char *type)
{
	struct sample_device *sample;

	sample = vfio_alloc_device(sample_device, vdev, dev, &sample_ops);
	if (IS_ERR(sample))
		return sample;
	sample->dev = dev;
	sample->kind = kind;
	sample->manner = *manner;
	sample->type = type;
	strscpy(sample->version, manner->version, sizeof(sample->version));
	sample_migration_init(sample, &sample->vdev);
	return sample;
}

int sample_device_add(struct sample_device *sample)
{
	int ret;

	ret = vfio_register_emulated_iommu_dev(&sample->vdev);
	if (ret)
		return ret;
	dev_set_drvdata(sample->vdev.dev, sample);
	ret = sample_descriptor_add(sample, sample->vdev.dev);
	if (ret)
		vfio_unregister_group_dev(&sample->vdev);
	else
		sample_debug_add(sample, &sample->vdev);
	return ret;
}

/* Waits until no process holds the device. */
void sample_device_remove(struct sample_device *sample)
{
	sample_debug_remove(sample);
	sample_descriptor_remove(sample);
	vfio_unregister_group_dev(&sample->vdev);
}

/* Returns a mediated device's state, unless a fault wants its creation to fail. */
struct sample_device *sample_mdev_alloc(struct mdev_device *mdev, const struct sample_kind *kind,
					const struct sample_manner *manner)
{
	struct sample_device *sample;
	int ret;

	ret = sample_fault_create(&mdev->dev);
	if (ret)
		return ERR_PTR(ret);
	sample = sample_device_alloc(&mdev->dev, kind, manner, kobject_name(&mdev->type->kobj));
	if (!IS_ERR(sample))
		sample_fault_version(sample->version);
	return sample;
}

int sample_mdev_probe(struct mdev_device *mdev, const struct sample_kind *kind,
		      const struct sample_manner *manner)
{
	struct sample_device *sample;
	int ret;

	sample = sample_mdev_alloc(mdev, kind, manner);
	if (IS_ERR(sample))
		return PTR_ERR(sample);
	ret = sample_device_add(sample);
	if (ret)
		vfio_put_device(&sample->vdev);
	return ret;
}

void sample_mdev_remove(struct mdev_device *mdev)
{
	struct sample_device *sample = dev_get_drvdata(&mdev->dev);

	sample_device_remove(sample);
	vfio_put_device(&sample->vdev);
}
