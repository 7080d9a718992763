// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/version.h>

#include "sample.h"

/* More than the 1,024 characters that a reader need accept of one value. */
#define OVERSIZED 1100

static void show_version(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_puts(text, sample->version);
}

static void show_api(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_puts(text, sample->kind->device_api);
}

/* The proposal writes "vfio_pci" in its example of compatible, where the kernel has "vfio-pci". */
static void show_compatible_api(const struct sample_device *sample, struct seq_buf *text)
{
	const char *character;

	for (character = sample->kind->device_api; *character; character++)
		seq_buf_putc(text, *character == '-' ? '_' : *character);
}

static void show_type(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_puts(text, sample->type);
}

static void show_compatible_type(const struct sample_device *sample, struct seq_buf *text)
{
	if (sample->fraction)
		seq_buf_puts(text, "i915-GVTg_V5_{val1:int:1,2,4,8}");
	else
		show_type(sample, text);
}

static void show_pci_id(const struct sample_device *sample, struct seq_buf *text)
{
	seq_buf_printf(text, "%04x%04x", sample->pci_vendor, sample->pci_device);
}

SAMPLE_ATTRIBUTE(software_version, show_version, show_version);
SAMPLE_ATTRIBUTE(device_api, show_api, show_compatible_api);
SAMPLE_ATTRIBUTE(type, show_type, show_compatible_type);
SAMPLE_ATTRIBUTE(pci_id, show_pci_id, show_pci_id);

/* Reads the name of a form, as it stands in the module's parameters. */
int sample_form(const char *text, enum sample_form *form)
{
	static const char *const names[] = {
		[SAMPLE_FORM_NONE] = "none",
		[SAMPLE_FORM_DIRECTORY] = "directory",
		[SAMPLE_FORM_FILE] = "file",
	};
	int index = match_string(names, ARRAY_SIZE(names), text);

	if (index < 0) {
		pr_err("migration_sample: %s: must be directory, file or none\n", text);
		return index;
	}
	*form = index;
	return 0;
}

static struct sample_device *sample_of(struct kobject *migration)
{
	struct device *dev = kobj_to_dev(migration->parent);

	return sample_virtual_device(dev) ?: dev_get_drvdata(dev);
}

static bool stated(const struct sample_device *sample, const struct sample_attribute *attribute)
{
	return attribute != &sample_software_version || sample->manner.states_version;
}

/* Prints one value of self, wrong where a fault asks for it. */
static void print_self(const struct sample_device *sample, const struct sample_attribute *attribute,
		       struct seq_buf *text)
{
	bool is_type = attribute == &sample_type;
	int count;

	switch (sample_fault_malformed_self()) {
	case SAMPLE_EMPTY:
		return;
	case SAMPLE_MISSING_TYPE:
		if (is_type)
			return;
		break;
	case SAMPLE_NON_ASCII:
		if (is_type)
			seq_buf_puts(text, "\xc3\xa9");
		break;
	case SAMPLE_OVERSIZED:
		for (count = 0; is_type && count < OVERSIZED; count++)
			seq_buf_putc(text, 'x');
		break;
	default:
		break;
	}
	attribute->self(sample, text);
}

static void print_self_line(const struct sample_device *sample,
			    const struct sample_attribute *attribute, struct seq_buf *text)
{
	enum sample_malformation malformation = sample_fault_malformed_self();
	bool is_type = attribute == &sample_type;

	if (malformation == SAMPLE_EMPTY || (malformation == SAMPLE_MISSING_TYPE && is_type))
		return;
	seq_buf_puts(text, attribute->sysfs.attr.name);
	seq_buf_putc(text, malformation == SAMPLE_NO_EQUALS && is_type ? ' ' : '=');
	print_self(sample, attribute, text);
	seq_buf_putc(text, '\n');
}

static void print_self_lines(const struct sample_device *sample, struct seq_buf *text)
{
	struct sample_attribute *const *attribute;

	for (attribute = sample->kind->attributes; *attribute; attribute++)
		print_self_line(sample, *attribute, text);
	if (sample_fault_malformed_self() == SAMPLE_DUPLICATE)
		print_self_line(sample, &sample_type, text);
}

static void print_compatible_lines(const struct sample_device *sample, struct seq_buf *text)
{
	struct sample_attribute *const *attribute;

	for (attribute = sample->kind->attributes; *attribute; attribute++) {
		if (!stated(sample, *attribute))
			continue;
		seq_buf_puts(text, (*attribute)->sysfs.attr.name);
		seq_buf_putc(text, '=');
		(*attribute)->compatible(sample, text);
		seq_buf_putc(text, '\n');
	}
}

/* Proposal 1: one value in migration/self/<name> or migration/compatible/<name>. */
ssize_t sample_attribute_show(struct kobject *kobj, struct kobj_attribute *sysfs, char *buf)
{
	struct sample_attribute *attribute = container_of(sysfs, struct sample_attribute, sysfs);
	struct sample_device *sample = sample_of(kobj->parent);
	struct seq_buf text;

	seq_buf_init(&text, buf, PAGE_SIZE);
	if (kobj == sample->compatible) {
		attribute->compatible(sample, &text);
	} else {
		if (sample_fault_self_unreadable())
			return -EIO;
		print_self(sample, attribute, &text);
	}
	seq_buf_putc(&text, '\n');
	return seq_buf_used(&text);
}

static ssize_t read_lines(struct kobject *migration, char *buf, loff_t offset, size_t size,
			  void (*print)(const struct sample_device *sample, struct seq_buf *text))
{
	struct seq_buf text;
	char *page;
	ssize_t ret;

	page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	seq_buf_init(&text, page, PAGE_SIZE);
	print(sample_of(migration), &text);
	ret = memory_read_from_buffer(buf, size, &offset, page, seq_buf_used(&text));
	kfree(page);
	return ret;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define BIN_ATTRIBUTE const struct bin_attribute
#else
#define BIN_ATTRIBUTE struct bin_attribute
#endif

/* Proposal 2: all lines in migration/self or migration/compatible. */
static ssize_t self_read(struct file *file, struct kobject *kobj, BIN_ATTRIBUTE *attribute,
			 char *buf, loff_t offset, size_t size)
{
	if (sample_fault_self_unreadable())
		return -EIO;
	return read_lines(kobj, buf, offset, size, print_self_lines);
}

static ssize_t compatible_read(struct file *file, struct kobject *kobj, BIN_ATTRIBUTE *attribute,
			       char *buf, loff_t offset, size_t size)
{
	return read_lines(kobj, buf, offset, size, print_compatible_lines);
}

static const BIN_ATTR_RO(self, 0);
static const BIN_ATTR_RO(compatible, 0);

static int add_files(struct sample_device *sample)
{
	int ret = sysfs_create_bin_file(sample->migration, &bin_attr_self);

	return ret ?: sysfs_create_bin_file(sample->migration, &bin_attr_compatible);
}

static int add_directories(struct sample_device *sample)
{
	struct sample_attribute *const *attribute;
	int ret = 0;

	sample->self = kobject_create_and_add("self", sample->migration);
	sample->compatible = kobject_create_and_add("compatible", sample->migration);
	if (!sample->self || !sample->compatible)
		return -ENOMEM;
	for (attribute = sample->kind->attributes; *attribute && !ret; attribute++) {
		ret = sysfs_create_file(sample->self, &(*attribute)->sysfs.attr);
		if (!ret && stated(sample, *attribute))
			ret = sysfs_create_file(sample->compatible, &(*attribute)->sysfs.attr);
	}
	return ret;
}

int sample_descriptor_add(struct sample_device *sample, struct device *dev)
{
	int ret;

	if (sample->manner.form == SAMPLE_FORM_NONE)
		return 0;
	sample->migration = kobject_create_and_add("migration", &dev->kobj);
	if (!sample->migration)
		return -ENOMEM;
	if (sample->manner.form == SAMPLE_FORM_FILE)
		ret = add_files(sample);
	else
		ret = add_directories(sample);
	if (ret)
		sample_descriptor_remove(sample);
	return ret;
}

/* Takes the files away; waits for who is reading them. */
void sample_descriptor_remove(struct sample_device *sample)
{
	kobject_put(sample->self);
	kobject_put(sample->compatible);
	kobject_put(sample->migration);
}
