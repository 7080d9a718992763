// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "sample.h"

#define CONFIG_SIZE 64

static void put_u16(u8 *config, unsigned int where, u16 value)
{
	*(__le16 *)&config[where] = cpu_to_le16(value);
}

/* Without capabilities and interrupts; the emulator keeps what can be written. */
static void fill_config(const struct sample_device *sample, u8 config[CONFIG_SIZE])
{
	memset(config, 0, CONFIG_SIZE);
	put_u16(config, PCI_VENDOR_ID, sample->pci_vendor);
	put_u16(config, PCI_DEVICE_ID, sample->pci_device);
	put_u16(config, PCI_COMMAND, PCI_COMMAND_IO);
	put_u16(config, PCI_CLASS_DEVICE, PCI_CLASS_OTHERS);
	put_u16(config, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_SPACE_IO);
	put_u16(config, PCI_SUBSYSTEM_VENDOR_ID, sample->pci_vendor);
	put_u16(config, PCI_SUBSYSTEM_ID, sample->pci_device);
}

static size_t region_size(unsigned int region)
{
	switch (region) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return SAMPLE_REGISTERS;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return CONFIG_SIZE;
	default:
		return 0;
	}
}

/* Returns how many of the bytes at an offset of the device's file are inside a region. */
static size_t inside(const struct sample_device *sample, loff_t offset, size_t count)
{
	size_t size = region_size(VFIO_PCI_OFFSET_TO_INDEX(offset));
	u64 where = offset & VFIO_PCI_OFFSET_MASK;

	return sample_is_pci(sample) && where < size ? min(count, (size_t)(size - where)) : 0;
}

ssize_t sample_registers_read(struct vfio_device *vdev, char __user *buf, size_t count,
			      loff_t *offset)
{
	struct sample_device *sample = container_of(vdev, struct sample_device, vdev);
	u64 where = *offset & VFIO_PCI_OFFSET_MASK;
	u8 config[CONFIG_SIZE];
	const u8 *bytes = sample->registers;

	count = inside(sample, *offset, count);
	if (!count)
		return -EINVAL;
	if (VFIO_PCI_OFFSET_TO_INDEX(*offset) == VFIO_PCI_CONFIG_REGION_INDEX) {
		fill_config(sample, config);
		bytes = config;
	}
	if (copy_to_user(buf, bytes + where, count))
		return -EFAULT;
	*offset += count;
	return count;
}

ssize_t sample_registers_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			       loff_t *offset)
{
	struct sample_device *sample = container_of(vdev, struct sample_device, vdev);
	u64 where = *offset & VFIO_PCI_OFFSET_MASK;

	count = inside(sample, *offset, count);
	if (!count)
		return -EINVAL;
	if (VFIO_PCI_OFFSET_TO_INDEX(*offset) == VFIO_PCI_BAR0_REGION_INDEX &&
	    copy_from_user(sample->registers + where, buf, count))
		return -EFAULT;
	*offset += count;
	return count;
}

static int fill_region_info(struct vfio_region_info *info)
{
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->size = region_size(info->index);
	info->offset = VFIO_PCI_INDEX_TO_OFFSET(info->index);
	info->flags = info->size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	return 0;
}

#if SAMPLE_HAS_REGION_INFO_OPERATION
int sample_region_info(struct vfio_device *vdev, struct vfio_region_info *info,
		       struct vfio_info_cap *caps)
{
	struct sample_device *sample = container_of(vdev, struct sample_device, vdev);

	return sample_is_pci(sample) ? fill_region_info(info) : -ENOTTY;
}
#else
static long get_region_info(void __user *argument)
{
	const size_t size = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	int ret;

	if (copy_from_user(&info, argument, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	ret = fill_region_info(&info);
	if (ret)
		return ret;
	info.cap_offset = 0;
	return copy_to_user(argument, &info, size) ? -EFAULT : 0;
}
#endif

static long get_irq_info(void __user *argument)
{
	const size_t size = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;

	if (copy_from_user(&info, argument, size))
		return -EFAULT;
	if (info.argsz < size || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.flags = 0;
	info.count = 0;
	return copy_to_user(argument, &info, size) ? -EFAULT : 0;
}

long sample_registers_ioctl(unsigned int command, void __user *argument)
{
	switch (command) {
#if !SAMPLE_HAS_REGION_INFO_OPERATION
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info(argument);
#endif
	case VFIO_DEVICE_GET_IRQ_INFO:
		return get_irq_info(argument);
	default:
		return -ENOTTY;
	}
}
