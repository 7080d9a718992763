// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "sample.h"

static unsigned int fail_create;
module_param(fail_create, uint, 0644);
MODULE_PARM_DESC(fail_create, "fail the n-th create from now with EIO, once; 0: none");

static unsigned int created_delay_ms;
module_param(created_delay_ms, uint, 0644);
MODULE_PARM_DESC(created_delay_ms, "how long a create takes");

static bool refuse_attribute;
module_param(refuse_attribute, bool, 0644);
MODULE_PARM_DESC(refuse_attribute, "writes to aggregator fail with EINVAL");

static bool ignore_attribute;
module_param(ignore_attribute, bool, 0644);
MODULE_PARM_DESC(ignore_attribute, "writes to aggregator succeed without effect");

static bool plant_link;
module_param(plant_link, bool, 0644);
MODULE_PARM_DESC(plant_link, "graphics devices created from now on have a link \"planted\" to their parent");

static bool self_unreadable;
module_param(self_unreadable, bool, 0644);
MODULE_PARM_DESC(self_unreadable, "reading migration/self fails with EIO");

static bool refuse_stream;
module_param(refuse_stream, bool, 0644);
MODULE_PARM_DESC(refuse_stream, "devices refuse the state of others as it arrives");

static bool refuse_stream_late;
module_param(refuse_stream_late, bool, 0644);
MODULE_PARM_DESC(refuse_stream_late, "devices refuse the state of others when they shall use it");

static bool show_features;
module_param(show_features, bool, 0644);
MODULE_PARM_DESC(show_features,
		 "debugfs has what devices created from now on support, as with newer kernels");

static bool keep_less;
module_param(keep_less, bool, 0644);
MODULE_PARM_DESC(keep_less,
		 "attributes keep one byte less than they are given, as those of NVIDIA's driver");

/* The lock of the module's parameters protects what follows. */
static char created_software_version[SAMPLE_VERSION_SIZE];

static int created_software_version_set(const char *text, const struct kernel_param *parameter)
{
	if (strlen(text) >= sizeof(created_software_version))
		return -EINVAL;
	strscpy(created_software_version, text, sizeof(created_software_version));
	strim(created_software_version);
	return 0;
}

static int created_software_version_get(char *buf, const struct kernel_param *parameter)
{
	return sysfs_emit(buf, "%s\n", created_software_version);
}

static const struct kernel_param_ops created_software_version_ops = {
	.set = created_software_version_set,
	.get = created_software_version_get,
};

module_param_cb(created_software_version, &created_software_version_ops, NULL, 0644);
MODULE_PARM_DESC(created_software_version, "version of the devices created from now on; empty: normal");

static enum sample_malformation malformed_self;

static const char *const malformations[] = {
	[SAMPLE_WELL_FORMED] = "none",
	[SAMPLE_NO_EQUALS] = "no_equals",
	[SAMPLE_DUPLICATE] = "duplicate",
	[SAMPLE_NON_ASCII] = "non_ascii",
	[SAMPLE_OVERSIZED] = "oversized",
	[SAMPLE_EMPTY] = "empty",
	[SAMPLE_MISSING_TYPE] = "missing_type",
};

static int malformed_self_set(const char *text, const struct kernel_param *parameter)
{
	int index = sysfs_match_string(malformations, text);

	if (index < 0)
		return index;
	malformed_self = index;
	return 0;
}

static int malformed_self_get(char *buf, const struct kernel_param *parameter)
{
	return sysfs_emit(buf, "%s\n", malformations[malformed_self]);
}

static const struct kernel_param_ops malformed_self_ops = {
	.set = malformed_self_set,
	.get = malformed_self_get,
};

module_param_cb(malformed_self, &malformed_self_ops, NULL, 0644);
MODULE_PARM_DESC(malformed_self,
		 "what is wrong with migration/self: none, no_equals, duplicate, non_ascii, "
		 "oversized, empty, missing_type");

/* Returns the error that the present create shall end with, or 0. */
int sample_fault_create(struct device *dev)
{
	int ret = 0;

	if (created_delay_ms)
		msleep(created_delay_ms);
	kernel_param_lock(THIS_MODULE);
	if (fail_create && !--fail_create)
		ret = -EIO;
	kernel_param_unlock(THIS_MODULE);
	if (ret)
		dev_err(dev, "created with the fault fail_create\n");
	return ret;
}

/* Replaces the version of a device that is being created, if a fault asks for it. */
void sample_fault_version(char version[SAMPLE_VERSION_SIZE])
{
	kernel_param_lock(THIS_MODULE);
	if (*created_software_version)
		strscpy(version, created_software_version, SAMPLE_VERSION_SIZE);
	kernel_param_unlock(THIS_MODULE);
}

bool sample_fault_refuse_attribute(void)
{
	return READ_ONCE(refuse_attribute);
}

bool sample_fault_ignore_attribute(void)
{
	return READ_ONCE(ignore_attribute);
}

bool sample_fault_plant_link(void)
{
	return READ_ONCE(plant_link);
}

bool sample_fault_self_unreadable(void)
{
	return READ_ONCE(self_unreadable);
}

bool sample_fault_refuse_stream(void)
{
	return READ_ONCE(refuse_stream);
}

bool sample_fault_refuse_stream_late(void)
{
	return READ_ONCE(refuse_stream_late);
}

bool sample_fault_show_features(void)
{
	return READ_ONCE(show_features);
}

/* Returns what an attribute keeps of what it is given, for kfree(); NULL if there is no memory. */
char *sample_fault_kept(const char *buf, size_t count)
{
	return kstrndup(buf, count - (READ_ONCE(keep_less) && count), GFP_KERNEL);
}

enum sample_malformation sample_fault_malformed_self(void)
{
	return READ_ONCE(malformed_self);
}
