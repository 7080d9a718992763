// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "sample.h"

/* Where the kernel was not built with this directory, which is most often so. */
static struct dentry *root;

static int features_show(struct seq_file *text, void *data)
{
	const struct vfio_device *vdev = text->private;

	if (vdev->migration_flags & VFIO_MIGRATION_STOP_COPY)
		seq_puts(text, "stop-copy\n");
	if (vdev->migration_flags & VFIO_MIGRATION_P2P)
		seq_puts(text, "p2p\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(features);

static int state_show(struct seq_file *text, void *data)
{
	seq_puts(text, "RUNNING\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

/* Shows what a visible device supports, as Documentation/ABI/testing/debugfs-vfio has it, where that is asked for. */
void sample_debug_add(struct sample_device *sample, struct vfio_device *vdev)
{
	struct dentry *migration;

	if (!sample->kind->objection || !sample_fault_show_features())
		return;
	sample->debug = debugfs_create_dir(dev_name(sample->dev), root);
	migration = debugfs_create_dir("migration", sample->debug);
	debugfs_create_file("features", 0400, migration, vdev, &features_fops);
	debugfs_create_file("state", 0400, migration, vdev, &state_fops);
}

void sample_debug_remove(struct sample_device *sample)
{
	debugfs_remove_recursive(sample->debug);
}

void sample_debug_init(void)
{
	root = debugfs_create_dir("vfio", NULL);
}

void sample_debug_exit(void)
{
	debugfs_remove_recursive(root);
}
