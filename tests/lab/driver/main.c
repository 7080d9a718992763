// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-2.0-only

#include <linux/module.h>

#include "sample.h"

static bool ccw = true;
module_param(ccw, bool, 0444);
MODULE_PARM_DESC(ccw, "whether there is a subchannel 0.0.1234 with driver vfio_ccw");

static bool ap = true;
module_param(ap, bool, 0444);
MODULE_PARM_DESC(ap, "whether there is a matrix with driver vfio_ap");

static int __init sample_init(void)
{
	int ret;

	sample_debug_init();
	ret = sample_graphics_init();
	if (ret)
		goto exit_debug;
	ret = sample_physical_init();
	if (ret)
		goto exit_graphics;
	ret = sample_virtual_init();
	if (ret)
		goto exit_physical;
	ret = sample_gpu_init();
	if (ret)
		goto exit_virtual;
	ret = sample_pci_create_bus();
	if (ret)
		goto exit_gpu;
	ret = ccw ? sample_ccw_init() : 0;
	if (ret)
		goto remove_bus;
	ret = ap ? sample_ap_init() : 0;
	if (ret)
		goto exit_ccw;
	return 0;

exit_ccw:
	if (ccw)
		sample_ccw_exit();
remove_bus:
	sample_pci_remove_bus();
exit_gpu:
	sample_gpu_exit();
exit_virtual:
	sample_virtual_exit();
exit_physical:
	sample_physical_exit();
exit_graphics:
	sample_graphics_exit();
exit_debug:
	sample_debug_exit();
	return ret;
}

static void __exit sample_exit(void)
{
	if (ap)
		sample_ap_exit();
	if (ccw)
		sample_ccw_exit();
	sample_pci_remove_bus();
	sample_gpu_exit();
	sample_virtual_exit();
	sample_physical_exit();
	sample_graphics_exit();
	sample_debug_exit();
}

module_init(sample_init);
module_exit(sample_exit);

MODULE_DESCRIPTION("Sample of a driver with the device compatibility interface for live migration");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
