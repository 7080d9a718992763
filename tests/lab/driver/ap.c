// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/bitmap.h>
#include <linux/hex.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "sample.h"

#define IDS 256
#define MAX_ID 84
/* The queues of this adapter are the host's own. */
#define HOST_ADAPTER 0

static char *ap_form = "file";
module_param(ap_form, charp, 0444);
MODULE_PARM_DESC(ap_form, "form of migration/ on devices of the matrix: directory, file, none");

static char *ap_version = "1.0.0";
module_param(ap_version, charp, 0444);
MODULE_PARM_DESC(ap_version, "software_version of devices of the matrix");

static struct sample_manner manner = { .states_version = true };
static struct mdev_parent parent;
static struct mdev_type type = {
	.sysfs_name = "passthrough",
	.pretty_name = "VFIO AP Passthrough Device",
};
static struct mdev_type *type_list[] = { &type };
static LIST_HEAD(matrices);

static struct sample_attribute *const attributes[] = {
	&sample_software_version,
	&sample_device_api,
	&sample_type,
	NULL,
};

static const struct sample_kind kind = {
	.device_api = VFIO_DEVICE_API_AP_STRING,
	.info_flags = VFIO_DEVICE_FLAGS_AP,
	.attributes = attributes,
};

/* Checks the queues that adapters and domains make against those of the host and of other devices. */
static int check_queues(const struct sample_device *sample, const unsigned long *adapters,
			const unsigned long *domains)
{
	struct sample_device *other;

	if (test_bit(HOST_ADAPTER, adapters) && !bitmap_empty(domains, IDS))
		return -EADDRNOTAVAIL;
	list_for_each_entry(other, &matrices, matrices) {
		if (other != sample && bitmap_intersects(other->adapters, adapters, IDS) &&
		    bitmap_intersects(other->domains, domains, IDS))
			return -EBUSY;
	}
	return 0;
}

static int parse_id(const char *buf, size_t count, unsigned long *id)
{
	char *kept = sample_fault_kept(buf, count);
	int ret;

	if (!kept)
		return -ENOMEM;
	ret = kstrtoul(kept, 0, id);
	kfree(kept);
	return ret ?: *id > MAX_ID ? -ENODEV : 0;
}

static ssize_t assign_adapter_store(struct device *dev, struct device_attribute *attr,
				    const char *buf, size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	DECLARE_BITMAP(adapters, IDS) = {};
	unsigned long id;
	int ret;

	ret = parse_id(buf, count, &id);
	if (ret)
		return ret;
	set_bit(id, adapters);
	mutex_lock(&sample_lock);
	ret = check_queues(sample, adapters, sample->domains);
	if (!ret)
		set_bit(id, sample->adapters);
	mutex_unlock(&sample_lock);
	return ret ?: count;
}

static ssize_t assign_domain_store(struct device *dev, struct device_attribute *attr,
				   const char *buf, size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	DECLARE_BITMAP(domains, IDS) = {};
	unsigned long id;
	int ret;

	ret = parse_id(buf, count, &id);
	if (ret)
		return ret;
	set_bit(id, domains);
	mutex_lock(&sample_lock);
	ret = check_queues(sample, sample->adapters, domains);
	if (!ret)
		set_bit(id, sample->domains);
	mutex_unlock(&sample_lock);
	return ret ?: count;
}

static ssize_t unassign(unsigned long *assigned, const char *buf, size_t count)
{
	unsigned long id;
	int ret;

	ret = parse_id(buf, count, &id);
	if (ret)
		return ret;
	mutex_lock(&sample_lock);
	clear_bit(id, assigned);
	mutex_unlock(&sample_lock);
	return count;
}

static ssize_t unassign_adapter_store(struct device *dev, struct device_attribute *attr,
				      const char *buf, size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);

	return unassign(sample->adapters, buf, count);
}

static ssize_t unassign_domain_store(struct device *dev, struct device_attribute *attr,
				     const char *buf, size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);

	return unassign(sample->domains, buf, count);
}

static ssize_t assign_control_domain_store(struct device *dev, struct device_attribute *attr,
					   const char *buf, size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	unsigned long id;
	int ret;

	ret = parse_id(buf, count, &id);
	if (ret)
		return ret;
	mutex_lock(&sample_lock);
	set_bit(id, sample->control_domains);
	mutex_unlock(&sample_lock);
	return count;
}

static ssize_t unassign_control_domain_store(struct device *dev, struct device_attribute *attr,
					     const char *buf, size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);

	return unassign(sample->control_domains, buf, count);
}

static ssize_t control_domains_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	unsigned long domain;
	int length = 0;

	mutex_lock(&sample_lock);
	for_each_set_bit(domain, sample->control_domains, IDS)
		length += sysfs_emit_at(buf, length, "%04lx\n", domain);
	mutex_unlock(&sample_lock);
	return length;
}

/* The leftmost bit of a mask is number 0; what is left out at its right end is 0. */
static int parse_mask(char **text, unsigned long *ids)
{
	const char *mask = strsep(text, ",\n");
	unsigned int id = 0;
	int digit, bit;

	if (!mask)
		return -EINVAL;
	if (mask[0] == '0' && mask[1] == 'x')
		mask += 2;
	for (; *mask; mask++) {
		digit = hex_to_bin(*mask);
		if (digit < 0 || id == IDS)
			return -EINVAL;
		for (bit = 8; bit; bit >>= 1, id++) {
			if (digit & bit)
				set_bit(id, ids);
		}
	}
	return find_next_bit(ids, IDS, MAX_ID + 1) < IDS ? -ENODEV : 0;
}

static int show_mask(const unsigned long *ids, char *buf, int length, char end)
{
	unsigned int id;
	int digit;

	length += sysfs_emit_at(buf, length, "0x");
	for (id = 0; id < IDS; id += 4) {
		digit = test_bit(id, ids) << 3 | test_bit(id + 1, ids) << 2 |
			test_bit(id + 2, ids) << 1 | test_bit(id + 3, ids);
		length += sysfs_emit_at(buf, length, "%x", digit);
	}
	return length + sysfs_emit_at(buf, length, "%c", end);
}

/* Adapters, domains and control domains, all at once. */
static ssize_t ap_config_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	int length;

	mutex_lock(&sample_lock);
	length = show_mask(sample->adapters, buf, 0, ',');
	length = show_mask(sample->domains, buf, length, ',');
	length = show_mask(sample->control_domains, buf, length, '\n');
	mutex_unlock(&sample_lock);
	return length;
}

static ssize_t ap_config_store(struct device *dev, struct device_attribute *attr, const char *buf,
			       size_t count)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	DECLARE_BITMAP(control_domains, IDS) = {};
	DECLARE_BITMAP(adapters, IDS) = {};
	DECLARE_BITMAP(domains, IDS) = {};
	char *copy, *text;
	int ret;

	copy = sample_fault_kept(buf, count);
	if (!copy)
		return -ENOMEM;
	text = copy;
	ret = parse_mask(&text, adapters) ?: parse_mask(&text, domains) ?:
	      parse_mask(&text, control_domains);
	kfree(copy);
	if (ret)
		return ret;
	mutex_lock(&sample_lock);
	ret = check_queues(sample, adapters, domains);
	if (!ret) {
		bitmap_copy(sample->adapters, adapters, IDS);
		bitmap_copy(sample->domains, domains, IDS);
		bitmap_copy(sample->control_domains, control_domains, IDS);
	}
	mutex_unlock(&sample_lock);
	return ret ?: count;
}

/* One queue a line; without domains the adapters alone, without adapters the domains. */
static ssize_t matrix_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct sample_device *sample = dev_get_drvdata(dev);
	unsigned long adapter, domain;
	int length = 0;

	mutex_lock(&sample_lock);
	for_each_set_bit(adapter, sample->adapters, IDS) {
		if (bitmap_empty(sample->domains, IDS))
			length += sysfs_emit_at(buf, length, "%02lx.\n", adapter);
		for_each_set_bit(domain, sample->domains, IDS)
			length += sysfs_emit_at(buf, length, "%02lx.%04lx\n", adapter, domain);
	}
	if (bitmap_empty(sample->adapters, IDS)) {
		for_each_set_bit(domain, sample->domains, IDS)
			length += sysfs_emit_at(buf, length, ".%04lx\n", domain);
	}
	mutex_unlock(&sample_lock);
	return length;
}

static DEVICE_ATTR_WO(assign_adapter);
static DEVICE_ATTR_WO(assign_domain);
static DEVICE_ATTR_WO(unassign_adapter);
static DEVICE_ATTR_WO(unassign_domain);
static DEVICE_ATTR_WO(assign_control_domain);
static DEVICE_ATTR_WO(unassign_control_domain);
static DEVICE_ATTR_RO(control_domains);
static DEVICE_ATTR_RW(ap_config);
static DEVICE_ATTR_RO(matrix);

static struct attribute *ap_attrs[] = {
	&dev_attr_assign_adapter.attr,
	&dev_attr_assign_domain.attr,
	&dev_attr_unassign_adapter.attr,
	&dev_attr_unassign_domain.attr,
	&dev_attr_assign_control_domain.attr,
	&dev_attr_unassign_control_domain.attr,
	&dev_attr_control_domains.attr,
	&dev_attr_ap_config.attr,
	&dev_attr_matrix.attr,
	NULL,
};
ATTRIBUTE_GROUPS(ap);

static int ap_mdev_probe(struct mdev_device *mdev)
{
	struct sample_device *sample;
	int ret;

	ret = sample_mdev_probe(mdev, &kind, &manner);
	if (ret)
		return ret;
	sample = dev_get_drvdata(&mdev->dev);
	mutex_lock(&sample_lock);
	list_add(&sample->matrices, &matrices);
	mutex_unlock(&sample_lock);
	return 0;
}

static void ap_mdev_remove(struct mdev_device *mdev)
{
	struct sample_device *sample = dev_get_drvdata(&mdev->dev);

	mutex_lock(&sample_lock);
	list_del(&sample->matrices);
	mutex_unlock(&sample_lock);
	sample_mdev_remove(mdev);
}

static struct mdev_driver ap_mdev_driver = {
	.device_api = VFIO_DEVICE_API_AP_STRING,
	.max_instances = IDS,
	.probe = ap_mdev_probe,
	.remove = ap_mdev_remove,
	.driver = {
		.name = "vfio_ap_mdev",
		.owner = THIS_MODULE,
		.dev_groups = ap_groups,
	},
};

static int ap_probe(struct device *dev)
{
	return mdev_register_parent(&parent, dev, &ap_mdev_driver, type_list, 1);
}

static int ap_remove(struct device *dev)
{
	mdev_unregister_parent(&parent);
	return 0;
}

static struct sample_bus bus = {
	.bus = { .name = "matrix" },
	.driver = {
		.name = "vfio_ap",
		.owner = THIS_MODULE,
		.probe = ap_probe,
		.remove = ap_remove,
	},
	.root_name = "vfio_ap",
	.device_name = "matrix",
};

int sample_ap_init(void)
{
	int ret;

	ret = sample_form(ap_form, &manner.form);
	if (ret)
		return ret;
	manner.version = ap_version;
	ret = mdev_register_driver(&ap_mdev_driver);
	if (ret)
		return ret;
	ret = sample_bus_create(&bus);
	if (ret)
		mdev_unregister_driver(&ap_mdev_driver);
	return ret;
}

void sample_ap_exit(void)
{
	sample_bus_remove(&bus);
	mdev_unregister_driver(&ap_mdev_driver);
}
