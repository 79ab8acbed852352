/* CRC-32 of zlib, Ethernet and PNG: polynomial 0x04C11DB7, reflected. */
#ifndef HNAS_CRC32_H
#define HNAS_CRC32_H

#include <stdint.h>

uint32_t crc32(const void *data, uint32_t bytes);

#endif
