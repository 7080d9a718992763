/* SPDX-FileCopyrightText: 2026 vfio.migration contributors */
/* SPDX-License-Identifier: GPL-2.0-only */

/*
 * A vendor driver without hardware that speaks the device compatibility interface proposed in
 * August 2020: its devices have migration/self and migration/compatible.
 *
 *   pci.c         a PCI bus of the module's own, so that PCI parents are real ones
 *   graphics.c    driver "i915": mediated devices that share a parent's capacity, with an aggregator
 *   physical.c    driver "sample_vfio_pci": a PCI device that is assigned as it is
 *   virtual.c     driver "sample_vf_vfio_pci": a variant driver for a real card's virtual functions
 *   gpu.c         driver "nvidia": the same functions, each of no use before it has a type
 *   bus.c         a bus with one device, for parents that are no PCI devices
 *   ccw.c, ap.c   drivers "vfio_ccw" and "vfio_ap"
 *   device.c      what every VFIO device here has in common
 *   registers.c   what a guest sees of a PCI device
 *   migration.c   live migration, and whose state a device takes over
 *   descriptor.c  the directory migration/ of a device, in either form of the proposal
 *   debug.c       what newer kernels show of a device in debugfs
 *   faults.c      parameters that make the driver misbehave while it runs
 */
#ifndef MIGRATION_SAMPLE_H
#define MIGRATION_SAMPLE_H

#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/seq_buf.h>
#include <linux/version.h>
#include <linux/vfio.h>

/* Since then VFIO copies what is told of a region from and to the process itself, and there is an operation for the rest. */
#define SAMPLE_HAS_REGION_INFO_OPERATION (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0))

#define SAMPLE_VERSION_SIZE 64

/* They keep what a guest writes, as the scratch register of a serial port does. */
#define SAMPLE_REGISTERS 8

struct dentry;
struct sample_device;
struct sample_transfer;

/*
 * What a device sends when it migrates: what it is, and its state. Whether another device takes it is
 * for that one's driver, which knows nothing of the language in which descriptors are written.
 */
struct sample_stream {
	__le64 magic;
	__le32 major;
	__le32 minor;
	char device_api[16];
	char type[64];
	__le16 pci_vendor;
	__le16 pci_device;
	__le32 fraction;
	__le32 aggregator;
	u8 registers[SAMPLE_REGISTERS];
};

/* In which form a device shows migration/; in that of proposal 1, of proposal 2, or not at all. */
enum sample_form {
	SAMPLE_FORM_NONE,
	SAMPLE_FORM_DIRECTORY,
	SAMPLE_FORM_FILE,
};

/* How the devices of one parent, or one physical device, describe themselves. */
struct sample_manner {
	enum sample_form form;
	const char *version;
	bool states_version; /* whether compatible has a software_version */
	bool p2p; /* whether they support peer-to-peer, without which QEMU migrates no guest that has several devices */
};

/* One attribute of a descriptor. The callbacks print its value, without a line's end. */
struct sample_attribute {
	struct kobj_attribute sysfs;
	void (*self)(const struct sample_device *sample, struct seq_buf *text);
	void (*compatible)(const struct sample_device *sample, struct seq_buf *text);
};

ssize_t sample_attribute_show(struct kobject *kobj, struct kobj_attribute *sysfs, char *buf);

#define SAMPLE_ATTRIBUTE(_name, _self, _compatible)                                      \
	struct sample_attribute sample_##_name = {                                       \
		.sysfs = __ATTR(_name, 0444, sample_attribute_show, NULL),               \
		.self = _self,                                                           \
		.compatible = _compatible,                                               \
	}

extern struct sample_attribute sample_software_version;
extern struct sample_attribute sample_device_api;
extern struct sample_attribute sample_type;
extern struct sample_attribute sample_pci_id;

/* What all devices of one kind have in common. */
struct sample_kind {
	const char *device_api;
	u32 info_flags; /* of struct vfio_device_info */
	struct sample_attribute *const *attributes; /* ends with NULL */
	/* Says why a device does not take the stream of another; NULL if it does. Without, none migrates. */
	const char *(*objection)(const struct sample_device *sample,
				 const struct sample_stream *stream);
};

struct sample_device {
	struct vfio_device vdev; /* but for virtual functions, which are the kernel's own VFIO devices */
	struct device *dev;
	const struct sample_kind *kind;
	struct sample_manner manner;
	char version[SAMPLE_VERSION_SIZE];
	const char *type;
	bool open;

	struct mutex state_lock; /* for what follows */
	enum vfio_device_mig_state state;
	struct sample_transfer *transfer; /* while it is saved or restored */
	u8 registers[SAMPLE_REGISTERS];

	u16 pci_vendor;
	u16 pci_device;

	/* graphics: the type's number (a device has 1/number of its parent), and how many of those */
	unsigned int fraction;
	unsigned int aggregator;
	int vgpu_id;

	/* ap: the adapters, domains and control domains assigned, and all such devices */
	DECLARE_BITMAP(adapters, 256);
	DECLARE_BITMAP(domains, 256);
	DECLARE_BITMAP(control_domains, 256);
	struct list_head matrices;

	struct dentry *debug; /* NULL where nothing is shown there */
	struct kobject *migration;
	struct kobject *self;
	struct kobject *compatible;
};

static inline bool sample_is_pci(const struct sample_device *sample)
{
	return sample->kind->info_flags & VFIO_DEVICE_FLAGS_PCI;
}

/* graphics.c */
extern const struct sample_kind sample_graphics_kind;

/* virtual.c */
struct sample_device *sample_virtual_device(struct device *dev);
struct sample_device *sample_of_vfio(struct vfio_device *vdev);
int sample_function_open(struct vfio_device *vdev);

/* What drivers of virtual functions leave to the kernel's own. */
#if SAMPLE_HAS_REGION_INFO_OPERATION
#define SAMPLE_FUNCTION_REGION_INFO .get_region_info_caps = vfio_pci_ioctl_get_region_info,
#else
#define SAMPLE_FUNCTION_REGION_INFO
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define SAMPLE_FUNCTION_TOKEN .match_token_uuid = vfio_pci_core_match_token_uuid,
#else
#define SAMPLE_FUNCTION_TOKEN
#endif
#define SAMPLE_FUNCTION_OPERATIONS                            \
	.init = vfio_pci_core_init_dev,                       \
	.release = vfio_pci_core_release_dev,                 \
	.ioctl = vfio_pci_core_ioctl,                         \
	SAMPLE_FUNCTION_REGION_INFO                           \
	SAMPLE_FUNCTION_TOKEN                                 \
	.device_feature = vfio_pci_core_ioctl_feature,        \
	.mmap = vfio_pci_core_mmap,                           \
	.request = vfio_pci_core_request,                     \
	.match = vfio_pci_core_match,                         \
	.bind_iommufd = vfio_iommufd_physical_bind,           \
	.unbind_iommufd = vfio_iommufd_physical_unbind,       \
	.attach_ioas = vfio_iommufd_physical_attach_ioas,     \
	.detach_ioas = vfio_iommufd_physical_detach_ioas

/* Protects capacity, what is assigned, types, and `open`. */
extern struct mutex sample_lock;

struct sample_device *sample_device_alloc(struct device *dev, const struct sample_kind *kind,
					  const struct sample_manner *manner, const char *type);
int sample_device_add(struct sample_device *sample);
void sample_device_remove(struct sample_device *sample);

/* registers.c */
ssize_t sample_registers_read(struct vfio_device *vdev, char __user *buf, size_t count,
			      loff_t *offset);
ssize_t sample_registers_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			       loff_t *offset);
long sample_registers_ioctl(unsigned int command, void __user *argument);
#if SAMPLE_HAS_REGION_INFO_OPERATION
int sample_region_info(struct vfio_device *vdev, struct vfio_region_info *info,
		       struct vfio_info_cap *caps);
#endif

/* migration.c */
void sample_migration_init(struct sample_device *sample, struct vfio_device *vdev);
void sample_migration_reset(struct sample_device *sample);

struct sample_device *sample_mdev_alloc(struct mdev_device *mdev, const struct sample_kind *kind,
					const struct sample_manner *manner);
int sample_mdev_probe(struct mdev_device *mdev, const struct sample_kind *kind,
		      const struct sample_manner *manner);
void sample_mdev_remove(struct mdev_device *mdev);

int sample_form(const char *text, enum sample_form *form);
int sample_descriptor_add(struct sample_device *sample, struct device *dev);
void sample_descriptor_remove(struct sample_device *sample);

/* faults.c: what is asked for at this moment */
enum sample_malformation {
	SAMPLE_WELL_FORMED,
	SAMPLE_NO_EQUALS,
	SAMPLE_DUPLICATE,
	SAMPLE_NON_ASCII,
	SAMPLE_OVERSIZED,
	SAMPLE_EMPTY,
	SAMPLE_MISSING_TYPE,
};

int sample_fault_create(struct device *dev);
void sample_fault_version(char version[SAMPLE_VERSION_SIZE]);
bool sample_fault_refuse_attribute(void);
bool sample_fault_ignore_attribute(void);
bool sample_fault_plant_link(void);
bool sample_fault_self_unreadable(void);
bool sample_fault_refuse_stream(void);
bool sample_fault_refuse_stream_late(void);
bool sample_fault_show_features(void);
char *sample_fault_kept(const char *buf, size_t count);
enum sample_malformation sample_fault_malformed_self(void);

/* debug.c */
void sample_debug_add(struct sample_device *sample, struct vfio_device *vdev);
void sample_debug_remove(struct sample_device *sample);
void sample_debug_init(void);
void sample_debug_exit(void);

/* pci.c */
int sample_pci_add_function(unsigned int slot, const char *text, u16 class,
			    struct pci_device_id *id);
bool sample_pci_owns(const struct pci_dev *pdev);
int sample_pci_create_bus(void);
void sample_pci_remove_bus(void);

/* bus.c */
struct sample_bus {
	struct bus_type bus;
	struct device_driver driver;
	const char *root_name;
	const char *device_name;

	struct device *root;
	struct device *device;
};

int sample_bus_create(struct sample_bus *bus);
void sample_bus_remove(struct sample_bus *bus);

int sample_graphics_init(void);
void sample_graphics_exit(void);
int sample_physical_init(void);
void sample_physical_exit(void);
int sample_virtual_init(void);
void sample_virtual_exit(void);
int sample_gpu_init(void);
void sample_gpu_exit(void);
int sample_ccw_init(void);
void sample_ccw_exit(void);
int sample_ap_init(void);
void sample_ap_exit(void);

#endif
