// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include "sample.h"

#define MAGIC 0x656c706d61734d56ULL

/* What a process reads from a device that it saves, or writes to one that it restores. */
struct sample_transfer {
	struct sample_device *sample;
	struct file *file;
	struct mutex lock; /* for all below */
	bool ended;
	struct sample_stream stream;
	bool accepted; /* the whole of it, when it is restored */
};

static int transfer_release(struct inode *inode, struct file *file)
{
	struct sample_transfer *transfer = file->private_data;

	mutex_destroy(&transfer->lock);
	kfree(transfer);
	return 0;
}

static ssize_t transfer_read(struct file *file, char __user *buf, size_t size, loff_t *offset)
{
	struct sample_transfer *transfer = file->private_data;
	ssize_t ret;

	if (offset)
		return -ESPIPE;
	mutex_lock(&transfer->lock);
	if (transfer->ended)
		ret = -ENODEV;
	else
		ret = simple_read_from_buffer(buf, size, &file->f_pos, &transfer->stream,
					      sizeof(transfer->stream));
	mutex_unlock(&transfer->lock);
	return ret;
}

static bool parse_version(const char *version, u32 *major, u32 *minor)
{
	return sscanf(version, "%u.%u", major, minor) == 2;
}

/* Returns why a device cannot go on from where the one that sent the stream has stopped, or NULL. */
static const char *objection(const struct sample_device *sample, const struct sample_stream *stream)
{
	u32 major, minor;

	if (sample_fault_refuse_stream())
		return "with the fault refuse_stream";
	if (le64_to_cpu(stream->magic) != MAGIC)
		return "it is none of this driver";
	if (strncmp(stream->device_api, sample->kind->device_api, sizeof(stream->device_api)))
		return "it has another device API";
	if (!parse_version(sample->version, &major, &minor) || le32_to_cpu(stream->major) != major)
		return "it has another major version";
	if (le32_to_cpu(stream->minor) > minor)
		return "it has a newer version";
	if (le16_to_cpu(stream->pci_vendor) != sample->pci_vendor ||
	    le16_to_cpu(stream->pci_device) != sample->pci_device)
		return "it has another PCI id";
	return sample->kind->objection(sample, stream);
}

/* Judges a whole stream as soon as it is there: what is refused later, the emulator ignores. */
static int judge(struct sample_transfer *transfer)
{
	const char *why = objection(transfer->sample, &transfer->stream);

	transfer->accepted = !why;
	if (!why)
		return 0;
	dev_err(transfer->sample->dev, "refuses the stream: %s\n", why);
	return -EINVAL;
}

static ssize_t transfer_write(struct file *file, const char __user *buf, size_t size,
			      loff_t *offset)
{
	struct sample_transfer *transfer = file->private_data;
	ssize_t ret;

	if (offset)
		return -ESPIPE;
	mutex_lock(&transfer->lock);
	if (transfer->ended) {
		ret = -ENODEV;
	} else {
		ret = simple_write_to_buffer(&transfer->stream, sizeof(transfer->stream),
					     &file->f_pos, buf, size);
		if (!ret && size)
			ret = -EFBIG;
		if (ret > 0 && file->f_pos == sizeof(transfer->stream))
			ret = judge(transfer) ?: ret;
	}
	mutex_unlock(&transfer->lock);
	return ret;
}

static const struct file_operations save_operations = {
	.owner = THIS_MODULE,
	.read = transfer_read,
	.release = transfer_release,
};

static const struct file_operations restore_operations = {
	.owner = THIS_MODULE,
	.write = transfer_write,
	.release = transfer_release,
};

static struct sample_transfer *begin_transfer(struct sample_device *sample,
					      const struct file_operations *operations, int flags)
{
	struct sample_transfer *transfer;

	transfer = kzalloc(sizeof(*transfer), GFP_KERNEL_ACCOUNT);
	if (!transfer)
		return ERR_PTR(-ENOMEM);
	mutex_init(&transfer->lock);
	transfer->sample = sample;
	transfer->file = anon_inode_getfile("migration_sample", operations, transfer, flags);
	if (IS_ERR(transfer->file)) {
		int ret = PTR_ERR(transfer->file);

		kfree(transfer);
		return ERR_PTR(ret);
	}
	stream_open(file_inode(transfer->file), transfer->file);
	/* One reference is the process's, the other the device's. */
	get_file(transfer->file);
	sample->transfer = transfer;
	return transfer;
}

/* From now on the process's file is of no use. */
static void end_transfer(struct sample_device *sample)
{
	struct sample_transfer *transfer = sample->transfer;

	if (!transfer)
		return;
	sample->transfer = NULL;
	mutex_lock(&transfer->lock);
	transfer->ended = true;
	mutex_unlock(&transfer->lock);
	fput(transfer->file);
}

static struct file *save(struct sample_device *sample)
{
	struct sample_transfer *transfer;
	struct sample_stream *stream;
	u32 major, minor;

	if (!parse_version(sample->version, &major, &minor)) {
		dev_err(sample->dev, "has no version that another could accept\n");
		return ERR_PTR(-EINVAL);
	}
	transfer = begin_transfer(sample, &save_operations, O_RDONLY);
	if (IS_ERR(transfer))
		return ERR_CAST(transfer);
	stream = &transfer->stream;
	stream->magic = cpu_to_le64(MAGIC);
	stream->major = cpu_to_le32(major);
	stream->minor = cpu_to_le32(minor);
	strscpy(stream->device_api, sample->kind->device_api, sizeof(stream->device_api));
	strscpy(stream->type, sample->type, sizeof(stream->type));
	stream->pci_vendor = cpu_to_le16(sample->pci_vendor);
	stream->pci_device = cpu_to_le16(sample->pci_device);
	stream->fraction = cpu_to_le32(sample->fraction);
	stream->aggregator = cpu_to_le32(sample->aggregator);
	memcpy(stream->registers, sample->registers, SAMPLE_REGISTERS);
	return transfer->file;
}

static struct file *begin_restore(struct sample_device *sample)
{
	struct sample_transfer *transfer = begin_transfer(sample, &restore_operations, O_WRONLY);

	return IS_ERR(transfer) ? ERR_CAST(transfer) : transfer->file;
}

static int restore(struct sample_device *sample)
{
	struct sample_transfer *transfer = sample->transfer;
	int ret = -EINVAL;

	mutex_lock(&transfer->lock);
	if (!transfer->accepted) {
		dev_err(sample->dev, "has no stream that it accepts\n");
	} else if (sample_fault_refuse_stream_late()) {
		dev_err(sample->dev, "refuses the stream: with the fault refuse_stream_late\n");
	} else {
		memcpy(sample->registers, transfer->stream.registers, SAMPLE_REGISTERS);
		ret = 0;
	}
	mutex_unlock(&transfer->lock);
	return ret;
}

/* Does what a single step asks for; returns the file, if there is one, that is the process's then. */
static struct file *step(struct sample_device *sample, enum vfio_device_mig_state next)
{
	int ret = 0;

	switch (next) {
	case VFIO_DEVICE_STATE_STOP_COPY:
		return save(sample);
	case VFIO_DEVICE_STATE_RESUMING:
		return begin_restore(sample);
	case VFIO_DEVICE_STATE_STOP:
		if (sample->state == VFIO_DEVICE_STATE_RESUMING)
			ret = restore(sample);
		if (!ret)
			end_transfer(sample);
		return ERR_PTR(ret);
	default:
		/* The guest's processors drive the device: it runs, with or without others, while they do. */
		return NULL;
	}
}

static struct file *set_state(struct vfio_device *vdev, enum vfio_device_mig_state wanted)
{
	struct sample_device *sample = sample_of_vfio(vdev);
	enum vfio_device_mig_state next;
	struct file *file = NULL;
	int ret;

	mutex_lock(&sample->state_lock);
	while (!file && sample->state != wanted) {
		ret = vfio_mig_get_next_state(vdev, sample->state, wanted, &next);
		file = ret ? ERR_PTR(ret) : step(sample, next);
		if (!IS_ERR(file))
			sample->state = next;
	}
	mutex_unlock(&sample->state_lock);
	return file;
}

static int get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct sample_device *sample = sample_of_vfio(vdev);

	mutex_lock(&sample->state_lock);
	*state = sample->state;
	mutex_unlock(&sample->state_lock);
	return 0;
}

static int get_data_size(struct vfio_device *vdev, unsigned long *length)
{
	*length = sizeof(struct sample_stream);
	return 0;
}

static const struct vfio_migration_ops operations = {
	.migration_set_state = set_state,
	.migration_get_state = get_state,
	.migration_get_data_size = get_data_size,
};

/* For a device that is not visible yet. */
void sample_migration_init(struct sample_device *sample, struct vfio_device *vdev)
{
	mutex_init(&sample->state_lock);
	sample->state = VFIO_DEVICE_STATE_RUNNING;
	if (sample->kind->objection) {
		vdev->migration_flags = VFIO_MIGRATION_STOP_COPY;
		if (sample->manner.p2p)
			vdev->migration_flags |= VFIO_MIGRATION_P2P;
		vdev->mig_ops = &operations;
	}
}

/* Makes a device as good as new. */
void sample_migration_reset(struct sample_device *sample)
{
	mutex_lock(&sample->state_lock);
	end_transfer(sample);
	sample->state = VFIO_DEVICE_STATE_RUNNING;
	memset(sample->registers, 0, SAMPLE_REGISTERS);
	mutex_unlock(&sample->state_lock);
}
