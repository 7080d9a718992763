// SPDX-FileCopyrightText: 2026 vfio.migration contributors
// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Answers as NVIDIA documents of NVML: two GPUs, the first with a vGPU. What is different is chosen at compile time:
 * HANGS, CRASHES, NOISY, OLD, LARGE, ENDLESS, REFUSES, ECC_OFF.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { LIVE = 8, LIMIT_HOST_DRIVER = 1 };

#ifdef LARGE
#define OPAQUE 5000
#else
#define OPAQUE 60
#endif

typedef struct { unsigned int minVersion, maxVersion; } vgpu_version;

struct vgpu_metadata {
	unsigned int version, revision;
	int guestInfoState;
	char guestDriverVersion[80], hostDriverVersion[80];
	unsigned int reserved[6], vgpuVirtualizationCaps, guestVgpuVersion, opaqueDataSize;
	char opaqueData[OPAQUE];
};

struct pgpu_metadata {
	unsigned int version, revision;
	char hostDriverVersion[80];
	unsigned int pgpuVirtualizationCaps, reserved[5];
	vgpu_version hostSupportedVgpuRange;
	unsigned int opaqueDataSize;
	char opaqueData[OPAQUE];
};

struct pci_info {
	char busIdLegacy[16];
	unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
	char busId[32];
};

static int gpus[] = { 0x41, 0x81 };

int nvmlInit_v2(void)
{
#ifdef HANGS
	if (!fork())
		pause();
	for (;;)
		pause();
#endif
#ifdef CRASHES
	abort();
#endif
#ifdef NOISY
	puts("{\"driver\": \"of somebody else\"}");
	fflush(stdout);
#endif
#ifdef ENDLESS
	static char noise[65536];
	for (int each = 3; each < 16; each++)
		while (write(each, noise, sizeof(noise)) > 0)
			;
#endif
#ifdef REFUSES
	return 9;
#endif
	return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
	return snprintf(version, length, "550.90.05") < (int)length ? SUCCESS : INSUFFICIENT_SIZE;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
	*count = 2;
	return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{
	*device = &gpus[index];
	return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci_info *info)
{
	info->domain = 0;
	info->bus = *(int *)device;
	info->device = 0;
	return SUCCESS;
}

int nvmlDeviceGetEccMode(void *device, unsigned int *current, unsigned int *pending)
{
#ifdef ECC_OFF
	*current = 0;
#else
	*current = 1;
#endif
	*pending = 0;
	return device ? SUCCESS : INVALID_ARGUMENT;
}

#ifndef OLD
int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending)
{
	*current = *pending = 0;
	return device == &gpus[0] ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetVirtualizationMode(void *device, unsigned int *mode)
{
	*mode = device == &gpus[0] ? 3 : 0;
	return SUCCESS;
}

int nvmlDeviceGetHostVgpuMode(void *device, unsigned int *mode)
{
	*mode = 1;
	return device == &gpus[0] ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetVgpuCapabilities(void *device, int capability, unsigned int *result)
{
	*result = capability == 2 || capability == 5;
	return device == &gpus[0] && capability < 12 ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetVgpuMetadata(void *device, struct pgpu_metadata *metadata, unsigned int *size)
{
	if (device != &gpus[0])
		return NOT_SUPPORTED;
	if (*size < sizeof(*metadata)) {
		*size = sizeof(*metadata);
		return INSUFFICIENT_SIZE;
	}
	*size = sizeof(*metadata);
	memset(metadata, 0, sizeof(*metadata));
	metadata->version = 2;
	strcpy(metadata->hostDriverVersion, "550.90.05");
	metadata->hostSupportedVgpuRange = (vgpu_version){ 0x70001, 0x100001 };
	metadata->opaqueDataSize = OPAQUE;
	memset(metadata->opaqueData, 0xa5, OPAQUE);
	return SUCCESS;
}

int nvmlDeviceGetActiveVgpus(void *device, unsigned int *count, unsigned int *instances)
{
	unsigned int there = device == &gpus[0] ? 1 : 0;

	if (*count < there) {
		*count = there;
		return INSUFFICIENT_SIZE;
	}
	*count = there;
	instances[0] = 3251634213;
	return SUCCESS;
}

int nvmlVgpuInstanceGetMdevUUID(unsigned int instance, char *uuid, unsigned int size)
{
	snprintf(uuid, size, "C73F1FA6-489E-4834-9476-D70DABD98C40");
	return instance == 3251634213 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlVgpuInstanceGetVmID(unsigned int instance, char *id, unsigned int size, int *kind)
{
	snprintf(id, size, "guest-1");
	*kind = 0;
	return instance == 3251634213 ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlVgpuInstanceGetMetadata(unsigned int instance, struct vgpu_metadata *metadata, unsigned int *size)
{
	if (*size < sizeof(*metadata)) {
		*size = sizeof(*metadata);
		return INSUFFICIENT_SIZE;
	}
	*size = sizeof(*metadata);
	memset(metadata, 0, sizeof(*metadata));
	metadata->guestInfoState = instance == 3251634213;
	strcpy(metadata->guestDriverVersion, "550.90.07");
	strcpy(metadata->hostDriverVersion, "550.90.05");
	metadata->guestVgpuVersion = 0x100001;
	metadata->opaqueDataSize = OPAQUE;
	return SUCCESS;
}

/* A guest of the same branch goes on live, another one only cold. */
int nvmlGetVgpuCompatibility(struct vgpu_metadata *vgpu, struct pgpu_metadata *pgpu, unsigned int found[2])
{
	if (vgpu->opaqueDataSize != OPAQUE || pgpu->opaqueDataSize != OPAQUE)
		return INVALID_ARGUMENT;
	if (!strncmp(vgpu->hostDriverVersion, pgpu->hostDriverVersion, 4)) {
		found[0] = 15;
		found[1] = 0;
	} else {
		found[0] = 1;
		found[1] = LIMIT_HOST_DRIVER;
	}
	return SUCCESS;
}
#endif
